package tenant

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
)

// Follow keeps what other deployments say about tenants: those with databases of their own
// know the same tenants then. What this one has said itself comes back to it and is no news.
func Follow(bus *event.Bus) {
	event.On(bus, "tenants.follow-created", func(ctx context.Context, tx *db.Tx, r event.Received[tenantapi.TenantCreated]) error {
		return take(ctx, tx, r.Fact.Tenant, "")
	})
	event.On(bus, "tenants.follow-updated", func(ctx context.Context, tx *db.Tx, r event.Received[tenantapi.TenantUpdated]) error {
		return take(ctx, tx, r.Fact.Tenant, "")
	})
	event.On(bus, "tenants.follow-suspended", func(ctx context.Context, tx *db.Tx, r event.Received[tenantapi.TenantSuspended]) error {
		return take(ctx, tx, r.Fact.Tenant, r.Fact.Reason)
	})
	event.On(bus, "tenants.follow-resumed", func(ctx context.Context, tx *db.Tx, r event.Received[tenantapi.TenantResumed]) error {
		return take(ctx, tx, r.Fact.Tenant, "")
	})
	event.On(bus, "tenants.follow-deleted", func(ctx context.Context, tx *db.Tx, r event.Received[tenantapi.TenantDeleted]) error {
		return take(ctx, tx, r.Fact.Tenant, "")
	})
}

// take stores a tenant as another deployment shows it, unless a later version is known: the
// facts of one tenant come in order within a topic, not across topics.
func take(ctx context.Context, tx *db.Tx, f tenantapi.Tenant, reason string) error {
	id, err := uuid.Parse(f.TenantID)
	if err != nil {
		return fmt.Errorf("tenant of a fact: %w", err)
	}
	settings, quotas, err := encode(f.Settings, f.Quotas)
	if err != nil {
		return err
	}
	return tx.Across(ctx, func() error {
		n, err := tx.Exec(ctx, `
			insert into platform.tenant as old (tenant_id, slug, name, status, reason, settings, quotas, purge_after, created_at, updated_at, version)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			on conflict (tenant_id) do update set name = excluded.name, status = excluded.status, reason = excluded.reason, settings = excluded.settings,
				quotas = excluded.quotas, purge_after = excluded.purge_after, updated_at = excluded.updated_at, version = excluded.version
			where old.version < excluded.version and old.status <> 'deleted'`,
			id, f.Slug, f.Name, f.Status, reason, settings, quotas, f.PurgeAfter, f.CreatedAt, f.UpdatedAt, f.Version)
		if err != nil {
			return fmt.Errorf("take in tenant: %w", err)
		}
		if n == 0 {
			return nil
		}
		return putHosts(ctx, tx, Tenant{ID: id, Hosts: f.Hosts})
	})
}
