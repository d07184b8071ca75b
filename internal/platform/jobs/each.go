package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// mostPieces is how often a merchant's work goes on before it is the next one's turn.
const mostPieces = 50

// ForEach makes the work of a job of what is to be done for each merchant, one after the
// other and piece by piece, as long as there is more. Every piece is a transaction of its own,
// of that pool: nobody waits for what is done for others, and a merchant whose work fails does
// not keep it from the rest. Who is being removed needs none of it.
//
// The pool is not the runner's, which may have no connection but the one that holds the job.
func ForEach(d *db.DB, actor string, do func(ctx context.Context, tx *db.Tx) (more bool, err error)) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		var tenants []uuid.UUID
		if err := tx.Select(ctx, &tenants, `select tenant_id from platform.tenant where status <> 'deleted' order by tenant_id`); err != nil {
			return fmt.Errorf("list merchants: %w", err)
		}
		var failed []error
		for _, t := range tenants {
			as := identity.With(ctx, identity.Identity{Tenant: t, Actor: "system:" + actor})
			for piece, more := 0, true; more && piece < mostPieces; piece++ {
				if err := stay(ctx, tx); err != nil {
					return errors.Join(append(failed, err)...)
				}
				err := d.InTx(as, func(tx *db.Tx) (err error) {
					more, err = do(as, tx)
					return err
				})
				if err != nil {
					failed = append(failed, fmt.Errorf("merchant %s: %w", t, err))
					break
				}
			}
		}
		return errors.Join(failed...)
	}
}

// stay keeps the transaction that holds the job, which has nothing to do, for longer than a
// piece takes; and says so when the job is not ours any more.
func stay(ctx context.Context, tx *db.Tx) error {
	if _, err := tx.Exec(ctx, `select set_config('idle_in_transaction_session_timeout', '1min', true)`); err != nil {
		return fmt.Errorf("hold the job: %w", err)
	}
	return nil
}
