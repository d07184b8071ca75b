package orders

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var errCheckoutRequired = fault.New(fault.Conflict, "checkout_required", "The shop adds tax or shipping to its prices. Begin a cart: POST /v1/carts.")

// Surcharges is what orders needs to know of who makes a checkout cost more than its goods.
type Surcharges interface {
	// AddsToPrices tells whether a buyer may have to pay anything on top of prices.
	AddsToPrices(ctx context.Context) (bool, error)
}

// Minds has orders that were no cart refused while one of these adds to prices. What is not in
// the deployment adds nothing that its shops could know of.
func (m *Module) Minds(surcharges ...Surcharges) { m.svc.surcharges = surcharges }

// mayOrderDirectly refuses an order that would leave out what a checkout adds to it. Who writes
// orders decides what is paid for them.
func (s *service) mayOrderDirectly(ctx context.Context) error {
	id, err := identity.From(ctx)
	if err != nil || id.Can(permissionWrite) {
		return err
	}
	for _, charge := range s.surcharges {
		adds, err := charge.AddsToPrices(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("ask what is added to prices: %w", err)
		case adds:
			return errCheckoutRequired
		}
	}
	return nil
}
