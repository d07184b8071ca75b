package httpx

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ShopAt is the tenant whose shop the host of the request is: for credentials that do not
// say by themselves which shop they are for.
func ShopAt(ctx context.Context) (uuid.UUID, error) {
	c := callOf(ctx)
	if c.tenants == nil {
		return identity.DefaultTenant, nil
	}
	return c.tenants.At(ctx, c.remote.Host)
}

// Enter is the context of a request for the tenant that stands in a token which its body
// brings, if that tenant's shop is open. The host of the request says nothing of it.
func Enter(ctx context.Context, tenant uuid.UUID) (context.Context, error) {
	id := identity.Identity{Tenant: tenant, Actor: identity.Anonymous}
	ctx = identity.With(ctx, id)
	c := callOf(ctx)
	if c.tenants == nil {
		return ctx, errors.New("a token names a tenant outside of a request")
	}
	c.entered = tenant
	return c.tenants.Admit(ctx, id)
}
