package jobs

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ForEach makes the work of a job of what is to be done for each merchant, one after the
// other. Who is being removed needs none of it.
func ForEach(actor string, do func(ctx context.Context, tx *db.Tx) error) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		var tenants []uuid.UUID
		if err := tx.Select(ctx, &tenants, `select tenant_id from platform.tenant where status <> 'deleted' order by tenant_id`); err != nil {
			return fmt.Errorf("list merchants: %w", err)
		}
		for _, t := range tenants {
			if err := tx.As(ctx, t); err != nil {
				return fmt.Errorf("act for merchant %s: %w", t, err)
			}
			if err := do(identity.With(ctx, identity.Identity{Tenant: t, Actor: "system:" + actor}), tx); err != nil {
				return fmt.Errorf("merchant %s: %w", t, err)
			}
			if err := tx.EndAs(ctx); err != nil {
				return fmt.Errorf("act for merchant %s: %w", t, err)
			}
		}
		return nil
	}
}
