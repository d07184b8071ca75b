package tenant

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Removed is how many rows of a table a purge has removed.
type Removed struct {
	Table string `db:"relation" json:"table"`
	Rows  int64  `db:"removed" json:"rows"`
}

const (
	// piece is how many rows one statement removes: that many go in a fraction of the time
	// that a statement may take.
	piece = 5000
	// pieces of all tenants together are removed in one run of the job.
	pieces = 20
)

// Purge removes a piece of what is kept of a tenant whose time is over, and tells what that
// was: nothing when there is nothing left, or when its time is not over.
func Purge(ctx context.Context, tx *db.Tx, id uuid.UUID) (removed []Removed, err error) {
	if err := begin(ctx, tx, id); err != nil {
		return nil, err
	}
	if err := tx.Select(ctx, &removed, `select relation, removed from platform.purge_tenant($1, $2)`, id, piece); err != nil {
		return nil, fmt.Errorf("purge tenant %s: %w", id, err)
	}
	return removed, nil
}

// begin is the point of no return: from here on the tenant cannot be taken back.
func begin(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
		update platform.tenant set status = 'deleted', version = version + 1, updated_at = now()
		where tenant_id = $1 and status = 'deleting' and purge_after <= clock_timestamp()`, id); err != nil {
		return fmt.Errorf("begin to purge tenant %s: %w", id, err)
	}
	return nil
}

// PurgeDue goes on with the purges of all tenants whose time is over. It runs in a
// transaction that sees all of them, as jobs do.
func PurgeDue(ctx context.Context, tx *db.Tx) error {
	var due []uuid.UUID
	if err := tx.Select(ctx, &due, `
		select tenant_id from platform.tenant where status in ('deleting', 'deleted') and purge_after <= clock_timestamp() order by purge_after, tenant_id`); err != nil {
		return fmt.Errorf("look for tenants to purge: %w", err)
	}
	left := pieces
	for _, id := range due {
		for removed := []Removed{{}}; len(removed) > 0 && left > 0; left-- {
			var err error
			if removed, err = Purge(ctx, tx, id); err != nil {
				return err
			}
		}
	}
	return nil
}
