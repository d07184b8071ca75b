package httpx

import (
	"context"

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
