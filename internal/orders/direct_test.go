package orders

import (
	"context"
	"errors"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// surcharge stands in for what makes a checkout cost more than its goods.
type surcharge struct {
	adds bool
	err  error
}

func (s *surcharge) AddsToPrices(context.Context) (bool, error) { return s.adds, s.err }

var _ = Describe("an order that was no cart", Label("db"), func() {
	var (
		svc           *service
		tax, shipping *surcharge
		tenant        uuid.UUID
	)
	BeforeEach(func() {
		svc, tax, shipping = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), &surcharge{}, &surcharge{}
		(&Module{svc}).Minds(tax, shipping)
		tenant = testkit.NewTenant(testkit.Shared())
	})
	orders := func(ctx context.Context, buyer string) error {
		in := &placeInput{}
		in.Body = placeBody{CustomerID: buyer, Items: []itemBody{{SKU: "MUG", Quantity: 1}}}
		return why(svc.handlePlace(ctx, in))
	}

	It("is anybody's to place while its prices are what a checkout asks for too", func() {
		Expect(orders(testkit.As(tenant, identity.Storefront()...), "guest-1")).To(Succeed())
		Expect(orders(testkit.AsCustomer(tenant, clock.NewID().String()), "")).To(Succeed())
	})

	DescribeTable("is placed by who writes orders only, once the shop adds to its prices", func(adds func()) {
		adds()
		Expect(orders(testkit.As(tenant, identity.Storefront()...), "guest-1")).To(MatchError(errCheckoutRequired))
		Expect(orders(testkit.AsCustomer(tenant, clock.NewID().String()), "")).To(MatchError(errCheckoutRequired))
		Expect(orders(testkit.As(tenant, "orders:place", permissionOverridePrice), "guest-1")).To(MatchError(errCheckoutRequired))
		Expect(orders(testkit.As(tenant, permissionWrite), "guest-1")).To(Succeed())
	},
		Entry("tax", func() { tax.adds = true }),
		Entry("shipping", func() { shipping.adds = true }),
	)

	It("is not placed while nobody knows what the shop adds", func() {
		shipping.err = errors.New("no answer")
		Expect(orders(testkit.As(tenant, identity.Storefront()...), "guest-1")).To(MatchError(shipping.err))
	})
})
