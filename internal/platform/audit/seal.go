package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Sealer ties the rows of each merchant together shortly after they were written: in the
// transactions that write them, one merchant's would have to wait for each other.
type Sealer struct {
	db   *db.DB
	log  *slog.Logger
	seen int64 // nothing is to be sealed up to here
}

// NewSealer makes a sealer that does not run yet.
func NewSealer(d *db.DB, log *slog.Logger) *Sealer { return &Sealer{db: d, log: log} }

const (
	// sealEvery is how long a row waits at most before it is looked at.
	sealEvery = time.Second
	// batch is how many rows one transaction seals.
	batch = 1000
)

// Run seals what is written until ctx ends. Any number of programs may run it: one at a
// time does something.
func (s *Sealer) Run(ctx context.Context) error {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		if err := s.Seal(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the audit log waits to be sealed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Seal seals all that is settled now.
func (s *Sealer) Seal(ctx context.Context) error {
	last, err := db.Query[int64](ctx, s.db, `select last_value from platform.audit_seq`)
	if err != nil {
		return fmt.Errorf("end of the audit log: %w", err)
	}
	for s.seen < last[0] {
		through, more, err := s.batch(ctx, last[0])
		if err != nil {
			return err
		}
		s.seen = max(s.seen, through)
		if !more {
			return nil
		}
	}
	return nil
}

// batch seals the next rows and tells up to where all are sealed now. last was read by an
// earlier statement: see platform.fence().
func (s *Sealer) batch(ctx context.Context, last int64) (through int64, more bool, err error) {
	err = s.db.Across(ctx, func(tx *db.Tx) error {
		var mine []int64
		if err := tx.Select(ctx, &mine, `select through from platform.audit_sealed for update skip locked`); err != nil {
			return fmt.Errorf("become the sealer: %w", err)
		}
		if len(mine) == 0 {
			through, more = 0, false
			return nil
		}
		var settled int64
		if err := tx.Get(ctx, &settled, `select platform.audit_settled($1)`, last); err != nil {
			return fmt.Errorf("how far the audit log is settled: %w", err)
		}
		var rows []Row
		if err := tx.Select(ctx, &rows, `
			select `+rowColumns+` from platform.audit a where a.seq > $1 and a.seq <= $2 order by a.seq limit $3`, mine[0], settled, batch); err != nil {
			return fmt.Errorf("read what is to be sealed: %w", err)
		}
		through, more = settled, len(rows) == batch
		if more {
			through = rows[batch-1].Seq
		}
		if through <= mine[0] {
			through, more = mine[0], false
			return nil
		}
		if err := seal(ctx, tx, rows); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update platform.audit_sealed set through = $1`, through); err != nil {
			return fmt.Errorf("note how far the audit log is sealed: %w", err)
		}
		return nil
	})
	return through, more, err
}

// seal continues the chains of the rows' merchants.
func seal(ctx context.Context, tx *db.Tx, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	heads, err := headsOf(ctx, tx, rows)
	if err != nil {
		return err
	}
	n := len(rows)
	tenants, seqs, micros := make([]string, n), make([]int64, n), make([]int64, n)
	prevs, hashes := make([]string, n), make([]string, n)
	for i, r := range rows {
		prev := heads[r.Tenant]
		hash, err := r.hash(prev)
		if err != nil {
			return err
		}
		heads[r.Tenant] = hash
		tenants[i], seqs[i], micros[i] = r.Tenant.String(), r.Seq, r.Micros
		prevs[i], hashes[i] = hex.EncodeToString(prev), hex.EncodeToString(hash)
	}
	if _, err := tx.Exec(ctx, `
		insert into platform.audit_seal (tenant_id, seq, recorded_at, prev, hash)
		select t, s, timestamptz 'epoch' + m * interval '1 microsecond', decode(p, 'hex'), decode(h, 'hex')
		from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[]) r(t, s, m, p, h)`,
		db.Array(tenants), db.Array(seqs), db.Array(micros), db.Array(prevs), db.Array(hashes)); err != nil {
		return fmt.Errorf("seal the audit log: %w", err)
	}
	return nil
}

// headsOf are the ends of the chains that rows continue.
func headsOf(ctx context.Context, tx *db.Tx, rows []Row) (map[uuid.UUID][]byte, error) {
	heads := map[uuid.UUID][]byte{}
	var tenants []string
	for _, r := range rows {
		if _, known := heads[r.Tenant]; !known {
			heads[r.Tenant] = first()
			tenants = append(tenants, r.Tenant.String())
		}
	}
	ends, err := ends(ctx, tx, `unnest($1::uuid[]) t(tenant_id)`, db.Array(tenants))
	if err != nil {
		return nil, err
	}
	for _, h := range ends {
		heads[h.Tenant] = h.hash()
	}
	return heads, nil
}
