package erasure

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ErrErased refuses what would be kept of somebody who is to be forgotten.
var ErrErased = fault.New(fault.Conflict, "customer_erased", "The customer's personal data was erased: nothing more is kept of them.")

// Allow refuses to write of a subject that was erased; a session outlives the erasure for a
// moment. What is written after it is seen by whoever heeds the erasure, who waits for the
// end of the transaction.
func Allow(ctx context.Context, tx *db.Tx, subject string) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock_shared($1)`, lockKey(id.Tenant, subject)); err != nil {
		return fmt.Errorf("look for an erasure: %w", err)
	}
	var erased bool
	// A statement of its own: it has to see what was committed while the lock was waited for.
	if err := tx.Get(ctx, &erased, `select exists (select from platform.erasure where subject = $1)`, subject); err != nil {
		return fmt.Errorf("look for an erasure: %w", err)
	}
	if erased {
		return ErrErased
	}
	return nil
}

// Heed notes, also where another database has the people, that subjects are erased, and
// waits for those who are writing of them: what it is followed by finds all that there is.
func Heed(ctx context.Context, tx *db.Tx, subjects []string) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	keys := make([]int64, len(subjects))
	for i, s := range subjects {
		keys[i] = lockKey(id.Tenant, s)
	}
	slices.Sort(keys) // all take them in one order
	for _, key := range slices.Compact(keys) {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, key); err != nil {
			return fmt.Errorf("heed an erasure: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, `insert into platform.erasure (subject) select unnest($1::text[]) on conflict do nothing`, db.Array(subjects)); err != nil {
		return fmt.Errorf("heed an erasure: %w", err)
	}
	return nil
}

// lockKey keeps clear of the fences of the logs and of idempotency keys, which begin with
// other bits.
func lockKey(tenant uuid.UUID, subject string) int64 {
	sum := sha256.Sum256([]byte(tenant.String() + "\x00" + subject))
	return int64(binary.BigEndian.Uint64(sum[:8])>>2) | 1<<62
}
