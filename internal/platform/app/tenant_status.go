package app

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

type suspendBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" example:"unpaid"`
}

// Check finds what the schema cannot say.
func (b *suspendBody) Check() []fault.Field { return tenant.CheckName("/reason", b.Reason) }

type suspendInput struct {
	httpx.JSON[suspendBody]
	ID string `path:"id"`
}

func (t *tenants) suspend(ctx context.Context, in *suspendInput) (tenantResponse, error) {
	audit.Because(ctx, in.Body.Reason)
	return t.step(ctx, in.ID, func(tx *db.Tx, id uuid.UUID) (tenant.Tenant, error) {
		return t.svc.Suspend(ctx, tx, id, in.Body.Reason)
	})
}

func (t *tenants) resume(ctx context.Context, in *tenantByID) (tenantResponse, error) {
	return t.step(ctx, in.ID, func(tx *db.Tx, id uuid.UUID) (tenant.Tenant, error) { return t.svc.Resume(ctx, tx, id) })
}

func (t *tenants) delete(ctx context.Context, in *tenantByID) (tenantResponse, error) {
	return t.step(ctx, in.ID, func(tx *db.Tx, id uuid.UUID) (tenant.Tenant, error) { return t.svc.Delete(ctx, tx, id) })
}

func (t *tenants) step(ctx context.Context, text string, do func(*db.Tx, uuid.UUID) (tenant.Tenant, error)) (tenantResponse, error) {
	id, err := httpx.ID(text)
	if err != nil {
		return tenantResponse{}, err
	}
	return httpx.Command(ctx, t.db, func(tx *db.Tx) (tenantResponse, error) {
		old, err := t.svc.Find(ctx, tx, id)
		if err != nil {
			return tenantResponse{}, err
		}
		audit.Before(ctx, presentTenant(old))
		changed, err := do(tx, id)
		return presentTenant(changed), err
	})
}
