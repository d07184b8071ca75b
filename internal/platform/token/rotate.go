package token

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// begin makes the first key, unless another replica does. It signs at once: nobody can have
// kept a key set in which it is missing.
func (t *Tokens) begin(ctx context.Context) error {
	made, err := t.generate()
	if err != nil {
		return err
	}
	return t.change(ctx, func(tx *db.Tx, stored []row) error {
		for _, r := range stored {
			if !r.ActiveFrom.After(tx.Now) {
				return nil
			}
		}
		return insert(ctx, tx, made, tx.Now)
	})
}

// Rotate makes a key that follows the present one, as soon as everybody can know it. Those
// that signed until then stay published until what they signed is over.
func (t *Tokens) Rotate(ctx context.Context) (kid string, from time.Time, err error) {
	made, err := t.generate()
	if err != nil {
		return "", time.Time{}, err
	}
	err = t.change(ctx, func(tx *db.Tx, stored []row) error {
		from = tx.Now
		if len(stored) > 0 {
			from = tx.Now.Add(CacheFor + overlap)
		}
		return follow(ctx, tx, made, from)
	})
	return made.ID, from, err
}

// Replace makes a key that signs at once and drops all others with what they signed, as
// when somebody else has got hold of one. Running programs follow within freshness.
func (t *Tokens) Replace(ctx context.Context) (kid string, from time.Time, err error) {
	made, err := t.generate()
	if err != nil {
		return "", time.Time{}, err
	}
	err = t.change(ctx, func(tx *db.Tx, _ []row) error {
		from = tx.Now
		if _, err := tx.Exec(ctx, `delete from platform.signing_key`); err != nil {
			return fmt.Errorf("drop signing keys: %w", err)
		}
		return insert(ctx, tx, made, from)
	})
	return made.ID, from, err
}

// Maintain is periodic work: it lets the key be followed by another one when it is old, or
// not of the algorithm that is wanted, and forgets those of which everything is over.
func (t *Tokens) Maintain(ctx context.Context, tx *db.Tx) error {
	stored, err := lock(ctx, tx)
	if err != nil {
		return err
	}
	for _, r := range stored {
		if t.over(r, tx.Now) {
			if _, err := tx.Exec(ctx, `delete from platform.signing_key where kid = $1`, r.ID); err != nil {
				return fmt.Errorf("forget signing key: %w", err)
			}
		}
	}
	if len(stored) == 0 {
		return nil // nobody has signed in yet
	}
	last := stored[len(stored)-1]
	if last.Algorithm == t.opt.Algorithm && tx.Now.Sub(last.CreatedAt) < t.opt.Rotation {
		return nil
	}
	made, err := t.generate()
	if err != nil {
		return err
	}
	return follow(ctx, tx, made, tx.Now.Add(CacheFor+overlap))
}

// change runs fn while nobody else changes the keys.
func (t *Tokens) change(ctx context.Context, fn func(tx *db.Tx, stored []row) error) error {
	return t.opt.DB.Across(ctx, func(tx *db.Tx) error {
		stored, err := lock(ctx, tx)
		if err != nil {
			return err
		}
		return fn(tx, stored)
	})
}

// lock reads the keys in the order in which they sign, and keeps others from changing them.
func lock(ctx context.Context, tx *db.Tx) ([]row, error) {
	if _, err := tx.Exec(ctx, `lock table platform.signing_key in share row exclusive mode`); err != nil {
		return nil, fmt.Errorf("lock signing keys: %w", err)
	}
	var stored []row
	if err := tx.Select(ctx, &stored, `select `+columns+` from platform.signing_key order by active_from, kid`); err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return stored, nil
}

// follow stores a key that signs from some moment on; until then the others do.
func follow(ctx context.Context, tx *db.Tx, r row, from time.Time) error {
	if _, err := tx.Exec(ctx, `update platform.signing_key set retired_at = greatest($1, active_from) where retired_at is null`, from); err != nil {
		return fmt.Errorf("retire signing keys: %w", err)
	}
	return insert(ctx, tx, r, from)
}

func insert(ctx context.Context, tx *db.Tx, r row, from time.Time) error {
	if _, err := tx.Exec(ctx, `
		insert into platform.signing_key (kid, algorithm, public_key, private_key, created_at, active_from) values ($1, $2, $3, $4, $5, $6)`,
		r.ID, r.Algorithm, r.Public, r.Private, tx.Now, from); err != nil {
		return fmt.Errorf("store signing key: %w", err)
	}
	return nil
}
