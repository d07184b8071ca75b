package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Sealed declares a column that holds what the vault has sealed, so that it is sealed anew
// when the master key changes. Null is nothing sealed.
type Sealed struct {
	Table   string // with its schema: "identity.account"
	Column  string // bytea
	Purpose string // as it was sealed for
	// Installation says that the rows are no tenant's: they were sealed for uuid.Nil.
	Installation bool
}

// Keep declares sealed columns. Their owners call it once, where they mount.
func (v *Vault) Keep(columns ...Sealed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sealed = append(v.sealed, columns...)
}

// Kept are the declared columns.
func (v *Vault) Kept() []Sealed {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.sealed)
}

// Use says how many secrets a key seals.
type Use struct {
	Key     string `json:"key"`
	Current bool   `json:"current"` // new secrets are sealed with it
	Known   bool   `json:"known"`   // this program has it
	Secrets int64  `json:"secrets"`
}

// Status counts the secrets of each key, the current one first.
func (v *Vault) Status(ctx context.Context, d *db.DB) ([]Use, error) {
	if len(v.keys) == 0 {
		return nil, ErrNoKey
	}
	remembered, err := SealedBy(ctx, d)
	if err != nil {
		return nil, err
	}
	secrets := map[string]int64{}
	if err := v.each(ctx, d, func(ctx context.Context, _ uuid.UUID, c Sealed, in inTx) error {
		var found []struct {
			ID []byte
			N  int64
		}
		if err := in(ctx, func(tx *db.Tx) error {
			found = nil
			return tx.Select(ctx, &found, `select substr(`+c.Column+`, 2, 8) id, count(*) n from `+c.Table+` where `+c.Column+` is not null group by 1`)
		}); err != nil {
			return fmt.Errorf("count the secrets of %s: %w", c.Table, err)
		}
		for _, f := range found {
			secrets[hex.EncodeToString(f.ID)] += f.N
		}
		return nil
	}); err != nil {
		return nil, err
	}
	ids := []string{v.keys[0].ID()}
	for _, id := range remembered {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for id := range secrets {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids[1:])
	var uses []Use
	for i, id := range ids {
		uses = append(uses, Use{Key: id, Current: i == 0, Known: len(v.missing([]string{id})) == 0, Secrets: secrets[id]})
	}
	return uses, nil
}

// batch is small, so that a row is not locked for long while the shop works.
const batch = 100

// Rotate seals with the current key whatever another one sealed, and has the database
// forget the others. What is done stays done: after a kill it goes on with the rest.
//
// Errors: ErrUnknownKey, ErrDamaged. What can be opened is sealed anew nevertheless.
func (v *Vault) Rotate(ctx context.Context, d *db.DB) (renewed int64, err error) {
	if len(v.keys) == 0 {
		return 0, ErrNoKey
	}
	var broken error
	err = v.each(ctx, d, func(ctx context.Context, tenant uuid.UUID, c Sealed, in inTx) error {
		for r := (renewal{last: "(0,0)"}); !r.over; {
			from := r.last
			if err := in(ctx, func(tx *db.Tx) (err error) {
				r, err = v.renew(ctx, tx, tenant, c, from)
				return err
			}); err != nil {
				return fmt.Errorf("seal %s anew: %w", c.Table, err)
			}
			renewed += r.done
			if r.broken != nil && broken == nil {
				broken = fmt.Errorf("%s of %s: %w", c.Column, c.Table, r.broken)
			}
		}
		return nil
	})
	if err = errors.Join(err, broken); err != nil {
		return renewed, err
	}
	return renewed, d.Across(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `delete from platform.vault_key where id <> $1`, v.keys[0].ID())
		return err
	})
}

// renewal is what became of a batch.
type renewal struct {
	done   int64
	last   string // place of the last row that was looked at
	over   bool
	broken error // of the first that could not be opened
}

// renew seals a batch anew, in the order of the rows' places: those hold still while the
// rows are locked.
func (v *Vault) renew(ctx context.Context, tx *db.Tx, tenant uuid.UUID, c Sealed, after string) (r renewal, err error) {
	var rows []struct {
		Place  string
		Sealed []byte
	}
	if err := tx.Select(ctx, &rows, `
		select ctid::text place, `+c.Column+` sealed from `+c.Table+`
		where `+c.Column+` is not null and substr(`+c.Column+`, 2, 8) <> $1 and ctid > $2::tid
		order by ctid limit $3 for update`, v.keys[0].id[:], after, batch); err != nil {
		return renewal{}, err
	}
	r = renewal{last: after, over: len(rows) < batch}
	for _, row := range rows {
		r.last = row.Place
		plain, err := v.Open(tenant, c.Purpose, row.Sealed)
		if err != nil {
			if r.broken == nil {
				r.broken = err
			}
			continue // the others need not wait for it
		}
		sealed, err := v.Seal(tenant, c.Purpose, plain)
		if err != nil {
			return renewal{}, err
		}
		if _, err := tx.Exec(ctx, `update `+c.Table+` set `+c.Column+` = $1 where ctid = $2::tid`, sealed, row.Place); err != nil {
			return renewal{}, err
		}
		r.done++
	}
	return r, nil
}

// inTx runs something in a transaction that sees a tenant's rows, or the installation's.
type inTx func(ctx context.Context, fn func(tx *db.Tx) error) error

// each visits the declared columns that this database has, as each tenant.
func (v *Vault) each(ctx context.Context, d *db.DB, visit func(ctx context.Context, tenant uuid.UUID, c Sealed, in inTx) error) error {
	var tenants []uuid.UUID
	if err := d.Across(ctx, func(tx *db.Tx) error {
		tenants = nil
		return tx.Select(ctx, &tenants, `select tenant_id from platform.tenant order by tenant_id`)
	}); err != nil {
		return fmt.Errorf("list the tenants: %w", err)
	}
	for _, c := range v.Kept() {
		// A deployment that runs a part of the modules has a part of the tables.
		there, err := db.Query[bool](ctx, d, `select to_regclass($1) is not null`, c.Table)
		if err != nil {
			return fmt.Errorf("look for %s: %w", c.Table, err)
		}
		if !there[0] {
			continue
		}
		if c.Installation {
			if err := visit(ctx, uuid.Nil, c, d.Across); err != nil {
				return err
			}
			continue
		}
		for _, t := range tenants {
			as := identity.With(ctx, identity.Identity{Tenant: t, Actor: "system:vault"})
			if err := visit(as, t, c, d.InTx); err != nil {
				return err
			}
		}
	}
	return nil
}
