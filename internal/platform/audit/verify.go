package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Report is what was found out about the chain of a merchant.
type Report struct {
	Tenant   uuid.UUID `json:"tenantId"`
	Rows     int64     `json:"rows"` // that were checked
	Unsealed int64     `json:"unsealed"`
	Head     Head      `json:"head"`
	Broken   *Broken   `json:"broken,omitempty"` // the first row at which something is wrong
}

// Broken is what is wrong with a chain.
type Broken struct {
	Seq  int64  `json:"seq"`
	What string `json:"what"`
}

func (b Broken) String() string { return fmt.Sprintf("row %d %s", b.Seq, b.What) }

// seal is a link of a chain.
type link struct {
	Seq    int64  `db:"seq"`
	Micros int64  `db:"micros"`
	Prev   []byte `db:"prev"`
	Hash   []byte `db:"hash"`
}

// Verify walks the chains of all merchants and finds what was changed, removed, slipped in
// or moved. That the end was cut off, or all of a chain made anew, it finds with heads that
// were exported earlier; those without a merchant may be anybody's. tell hears of how many
// rows were checked, now and then.
func Verify(ctx context.Context, d *db.DB, exported []Head, tell func(rows int64)) ([]Report, error) {
	var tenants []uuid.UUID
	if err := d.Across(ctx, func(tx *db.Tx) error {
		tenants = nil
		// The distinct merchants of the chain, each found by one look into its index.
		return tx.Select(ctx, &tenants, `
			with recursive chained as (
				(select tenant_id from platform.audit_seal order by tenant_id limit 1)
				union all
				select (select s.tenant_id from platform.audit_seal s where s.tenant_id > c.tenant_id order by s.tenant_id limit 1) from chained c where c.tenant_id is not null)
			select tenant_id from chained where tenant_id is not null union select tenant_id from platform.tenant
			union select tenant_id from platform.audit_retired union select unnest($1::uuid[]) order by 1`, db.Array(namedBy(exported)))
	}); err != nil {
		return nil, fmt.Errorf("whose audit logs there are: %w", err)
	}
	loose := map[string]bool{} // heads of nobody in particular
	for _, h := range exported {
		if h.Tenant == uuid.Nil {
			loose[h.Hash] = true
		}
	}
	reports := []Report{}
	var before int64
	for _, t := range tenants {
		w := walk{db: d, tenant: t, expected: map[int64]string{}, loose: loose, tell: func(rows int64) { tell(before + rows) }}
		for _, h := range exported {
			if h.Tenant == t {
				w.expected[h.Seq] = h.Hash
			}
		}
		if err := w.run(ctx); err != nil {
			return nil, fmt.Errorf("verify the audit log of %s: %w", t, err)
		}
		before += w.report.Rows
		if w.report.Rows > 0 || w.report.Broken != nil {
			reports = append(reports, w.report)
		}
	}
	for hash := range loose {
		reports = append(reports, Report{Head: Head{Hash: hash}, Broken: &Broken{What: "of the head " + hash + " is in no chain: the end was cut off, or the chain made anew"}})
	}
	return reports, nil
}

func namedBy(heads []Head) []string {
	tenants := []string{}
	for _, h := range heads {
		if h.Tenant != uuid.Nil {
			tenants = append(tenants, h.Tenant.String())
		}
	}
	return tenants
}

// walk goes along the chain of a merchant.
type walk struct {
	db       *db.DB
	tenant   uuid.UUID
	expected map[int64]string // heads that were exported
	loose    map[string]bool
	tell     func(rows int64)

	cut     *retired
	through int64 // all rows up to here were sealed when the walk began
	prev    []byte
	at      int64
	said    map[string]bool // where the chain says of itself that its beginning was dropped
	report  Report
}

func (w *walk) run(ctx context.Context) error {
	w.report.Tenant, w.prev, w.said = w.tenant, first(), map[string]bool{}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for w.report.Broken == nil {
		links, rows, err := w.next(ctx)
		if err != nil {
			return err
		}
		if len(links) == 0 {
			w.end(rows)
			break
		}
		if w.report.Broken, err = w.compare(links, rows); err != nil {
			return err
		}
		w.tell(w.report.Rows)
	}
	w.report.Head = Head{w.tenant, w.at, hex.EncodeToString(w.prev)}
	return nil
}

// begin finds out where the chain starts and up to where it has to be whole.
func (w *walk) begin(ctx context.Context) error {
	return w.db.Across(ctx, func(tx *db.Tx) error {
		if err := tx.Get(ctx, &w.through, `select coalesce(max(through), 0) from platform.audit_sealed`); err != nil {
			return err
		}
		var cuts []retired
		if err := tx.Select(ctx, &cuts, `select tenant_id, seq, encode(hash, 'hex') hash, until from platform.audit_retired where tenant_id = $1`, w.tenant); err != nil {
			return err
		}
		if len(cuts) > 0 {
			w.cut = &cuts[0]
			w.at, w.prev = w.cut.Seq, Head{Hash: w.cut.Hash}.hash()
			w.meet(w.at, w.cut.Hash)
		}
		return nil
	})
}

// next reads the links that follow, with the rows up to the last of them; at the end of
// the chain, the rows that follow it.
func (w *walk) next(ctx context.Context) (links []link, rows []Row, err error) {
	err = w.db.Across(ctx, func(tx *db.Tx) error {
		links, rows = nil, nil
		if err := tx.Select(ctx, &links, `
			select s.seq, (extract(epoch from s.recorded_at) * 1000000)::bigint micros, s.prev, s.hash
			from platform.audit_seal s where s.tenant_id = $1 and s.seq > $2 order by s.seq limit $3`, w.tenant, w.at, page); err != nil {
			return err
		}
		to := int64(1<<63 - 1)
		if len(links) > 0 {
			to = links[len(links)-1].Seq
		}
		return tx.Select(ctx, &rows, `
			select `+rowColumns+` from platform.audit a where a.tenant_id = $1 and a.seq > $2 and a.seq <= $3 order by a.seq limit $4`, w.tenant, w.at, to, 2*page)
	})
	return links, rows, err
}

// compare holds links and rows against each other.
func (w *walk) compare(links []link, rows []Row) (*Broken, error) {
	for _, l := range links {
		if len(rows) > 0 && rows[0].Seq < l.Seq {
			return &Broken{rows[0].Seq, "was slipped in: it is in no chain"}, nil
		}
		if !bytes.Equal(l.Prev, w.prev) {
			return &Broken{l.Seq, fmt.Sprintf("does not continue row %d: something between was removed, or rows were moved", w.at)}, nil
		}
		switch {
		case len(rows) > 0 && rows[0].Seq == l.Seq:
			hash, err := rows[0].hash(w.prev)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(hash, l.Hash) {
				return &Broken{l.Seq, "was changed: " + describe(rows[0])}, nil
			}
			w.hear(rows[0])
			rows = rows[1:]
			w.report.Rows++
		// The row of a dropped month whose link was kept.
		case w.cut != nil && time.UnixMicro(l.Micros).Before(w.cut.Until):
		default:
			return &Broken{l.Seq, "was removed"}, nil
		}
		w.prev, w.at = l.Hash, l.Seq
		if b := w.meet(l.Seq, hex.EncodeToString(l.Hash)); b != nil {
			return b, nil
		}
	}
	if len(rows) > 0 {
		return &Broken{rows[0].Seq, "was slipped in: it is in no chain"}, nil
	}
	return nil, nil //nolint:nilnil // nothing is broken
}

func describe(r Row) string {
	return fmt.Sprintf("%s of %s %s by %s, %s", r.Action, r.Entity, r.EntityID, r.Actor, r.At().Format(time.RFC3339))
}

// meet compares a link with the head that was exported of it.
func (w *walk) meet(seq int64, hash string) *Broken {
	delete(w.loose, hash)
	want, ok := w.expected[seq]
	delete(w.expected, seq)
	if ok && want != hash {
		return &Broken{seq, "has another hash than was exported: the chain was made anew"}
	}
	return nil
}

// hear remembers what the chain says of itself.
func (w *walk) hear(r Row) {
	var said retired
	if r.Action == actionRetired && r.After != nil && json.Unmarshal([]byte(*r.After), &said) == nil {
		w.said[said.Hash] = true
	}
}

// end looks at what lies behind the last link: rows that are to be sealed soon, and what
// should be there and is not.
func (w *walk) end(rows []Row) {
	for _, r := range rows {
		if r.Seq <= w.through {
			w.report.Broken = &Broken{r.Seq, "was slipped in: it is in no chain"}
			return
		}
		w.hear(r)
		w.report.Unsealed++
	}
	if w.cut != nil && w.cut.Seq > 0 && !w.said[w.cut.Hash] {
		w.report.Broken = &Broken{w.cut.Seq, "and those before it are gone, and no entry says that they were dropped for their age"}
		return
	}
	for seq := range w.expected {
		if w.cut == nil || seq > w.cut.Seq {
			w.report.Broken = &Broken{seq, "was exported as a head and is not there: the end was cut off"}
			return
		}
	}
}
