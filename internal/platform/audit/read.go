package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Filter says which entries are wanted. What is empty matches all.
type Filter struct {
	Actor    string     `json:"actor,omitempty"`
	Action   string     `json:"action,omitempty"`
	Entity   string     `json:"entity,omitempty"`
	EntityID string     `json:"entityId,omitempty"`
	From     *time.Time `json:"from,omitempty"`  // at this time or later
	Until    *time.Time `json:"until,omitempty"` // before this time
}

// Sealed is a row with what seals them.
type Sealed struct {
	Row

	Hash string `db:"hash"` // empty: not sealed yet
}

// matching are the conditions of a filter on platform.audit a; their arguments come first.
const matching = `
	from platform.audit a left join platform.audit_seal s on s.tenant_id = a.tenant_id and s.seq = a.seq and s.recorded_at = a.recorded_at
	where a.tenant_id = platform.current_tenant()
	  and ($1 = '' or a.actor = $1) and ($2 = '' or a.action = $2) and ($3 = '' or a.entity = $3) and ($4 = '' or a.entity_id = $4)
	  and ($5::timestamptz is null or a.recorded_at >= $5) and ($6::timestamptz is null or a.recorded_at < $6)`

func (f Filter) args() []any { return []any{f.Actor, f.Action, f.Entity, f.EntityID, f.From, f.Until} }

// List lists entries of the merchant of the transaction, newest first, before one of them
// unless it is 0.
func List(ctx context.Context, tx *db.Tx, f Filter, before int64, limit int) ([]Sealed, error) {
	list := []Sealed{}
	if err := tx.Select(ctx, &list, `select `+rowColumns+`, coalesce(encode(s.hash, 'hex'), '') hash `+matching+`
		and ($7 = 0 or a.seq < $7) order by a.seq desc limit $8`, append(f.args(), before, limit)...); err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	return list, nil
}

// page of what Each goes through.
const page = 1000

// Each calls do for all entries of the merchant that are there when it begins, oldest first.
// It reads in pieces, so that no transaction is open for long.
func Each(ctx context.Context, d *db.DB, f Filter, do func(Sealed) error) error {
	var after, last int64
	for first := true; ; first = false {
		var list []Sealed
		if err := d.Read(ctx, func(tx *db.Tx) error {
			if first {
				if err := tx.Get(ctx, &last, `select last_value from platform.audit_seq`); err != nil {
					return fmt.Errorf("end of the audit log: %w", err)
				}
			}
			list = nil
			return tx.Select(ctx, &list, `select `+rowColumns+`, coalesce(encode(s.hash, 'hex'), '') hash `+matching+`
				and a.seq > $7 and a.seq <= $8 order by a.seq limit $9`, append(f.args(), after, last, page)...)
		}); err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		for _, e := range list {
			if err := do(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(list) < page {
			return nil
		}
	}
}

// retired is where a chain goes on whose beginning was dropped for its age.
type retired struct {
	Tenant uuid.UUID `db:"tenant_id" json:"-"`
	Seq    int64     `db:"seq" json:"seq"`
	Hash   string    `db:"hash" json:"hash"`
	Until  time.Time `db:"until" json:"until"`
}

// actionRetired is the entry in a chain that says so.
const actionRetired = "audit.retired"

// Retire drops the months that ended longer ago than keep, and are sealed. Each chain that
// loses its beginning says so itself, so that nobody else can cut one.
func Retire(ctx context.Context, tx *db.Tx, keep time.Duration) error {
	var cuts []retired
	if err := tx.Select(ctx, &cuts, `
		select tenant_id, seq, encode(hash, 'hex') hash, until from platform.retire_audit($1 * interval '1 second')`, int64(keep.Seconds())); err != nil {
		return fmt.Errorf("retire the audit log: %w", err)
	}
	for _, c := range cuts {
		if err := tx.As(ctx, c.Tenant); err != nil {
			return err
		}
		if err := Record(ctx, tx, Entry{Action: actionRetired, Entity: "audit", Actor: "system:audit", After: c}); err != nil {
			return err
		}
		if err := tx.EndAs(ctx); err != nil {
			return err
		}
	}
	return nil
}
