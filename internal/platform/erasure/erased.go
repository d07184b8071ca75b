package erasure

import (
	"context"
	"fmt"
	"slices"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Among are those of subjects that were erased. As with Allow, who is being erased is waited
// for, and nobody of the others is until the transaction has ended. It comes before rows of
// theirs are locked.
func Among(ctx context.Context, tx *db.Tx, subjects []string) (map[string]bool, error) {
	if len(subjects) == 0 {
		return map[string]bool{}, nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]int64, len(subjects))
	for i, s := range subjects {
		keys[i] = lockKey(id.Tenant, s)
	}
	slices.Sort(keys) // all take them in one order
	for _, key := range slices.Compact(keys) {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock_shared($1)`, key); err != nil {
			return nil, fmt.Errorf("look for erasures: %w", err)
		}
	}
	var found []string
	// A statement of its own: it has to see what was committed while the locks were waited for.
	if err := tx.Select(ctx, &found, `select subject from platform.erasure where subject = any($1)`, db.Array(subjects)); err != nil {
		return nil, fmt.Errorf("look for erasures: %w", err)
	}
	erased := map[string]bool{}
	for _, s := range found {
		erased[s] = true
	}
	return erased, nil
}
