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

// ShopURL is where browsers find the shop that the request is for: the origin, as in
// https://shop.example.com.
func ShopURL(ctx context.Context) (string, error) {
	c := callOf(ctx)
	if c.tenants == nil {
		return "", errors.New("a shop is asked for its address outside of a request")
	}
	return c.tenants.Address(ctx, c.remote.Scheme, c.remote.Host)
}

// IsShopPage reports whether the pages of an origin are the shop's that the request is for.
func IsShopPage(ctx context.Context, origin string) (bool, error) {
	c := callOf(ctx)
	if c.tenants == nil {
		return false, nil
	}
	return c.tenants.HasPages(ctx, origin)
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
