package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// ErrOtherKey says that a database is sealed by a key that this program does not have.
var ErrOtherKey = errors.New("the secrets in this database are sealed by another master key")

// SealedBy are the ids of the keys that a database remembers, the oldest first.
func SealedBy(ctx context.Context, d *db.DB) ([]string, error) {
	ids, err := db.Query[string](ctx, d, `select id from platform.vault_key order by created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("ask which keys seal the database: %w", err)
	}
	return ids, nil
}

// Adopt has a database remember the key that it is sealed with from now on. A key that
// cannot open what is there is refused: two programs would make secrets that each can
// open a part of.
//
// Errors: ErrNoKey, ErrOtherKey.
func (v *Vault) Adopt(ctx context.Context, d *db.DB) error {
	if len(v.keys) == 0 {
		return ErrNoKey
	}
	return d.Across(ctx, func(tx *db.Tx) error {
		// Two programs that start at the same moment, each with a key of its own: one is first.
		if _, err := tx.Exec(ctx, `lock table platform.vault_key in share row exclusive mode`); err != nil {
			return fmt.Errorf("look for master keys: %w", err)
		}
		var ids []string
		if err := tx.Select(ctx, &ids, `select id from platform.vault_key order by created_at, id`); err != nil {
			return fmt.Errorf("look for master keys: %w", err)
		}
		if missing := v.missing(ids); len(missing) > 0 {
			return fmt.Errorf("%w (%s)", ErrOtherKey, strings.Join(missing, ", "))
		}
		if slices.Contains(ids, v.keys[0].ID()) {
			return nil
		}
		_, err := tx.Exec(ctx, `insert into platform.vault_key (id) values ($1)`, v.keys[0].ID())
		return err
	})
}

// Opens refuses a database that is sealed by keys that the vault does not have.
//
// Errors: ErrOtherKey.
func (v *Vault) Opens(ctx context.Context, d *db.DB) error {
	ids, err := SealedBy(ctx, d)
	if err != nil {
		return err
	}
	if missing := v.missing(ids); len(missing) > 0 {
		return fmt.Errorf("%w (%s)", ErrOtherKey, strings.Join(missing, ", "))
	}
	return nil
}

// missing are the ids of keys that the vault does not have.
func (v *Vault) missing(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.ContainsFunc(v.keys, func(k Key) bool { return k.ID() == id })
	})
}
