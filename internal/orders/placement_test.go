package orders

import (
	"context"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// quoted is a placement of three mugs, one of them half a cent dearer to tax, and a parcel.
func quoted() ordersapi.Placement {
	vat := func(minor int64) []ordersapi.TaxShare {
		return []ordersapi.TaxShare{{RateID: "vat", Name: "VAT", Rate: "23", Reason: "standard", Amount: eur(minor)}}
	}
	return ordersapi.Placement{
		OrderID: clock.NewID().String(), Number: 1001, CartID: clock.NewID().String(), CustomerID: "guest-1", Email: "ana@example.com", HoldID: clock.NewID().String(), Ticket: hashOf("ticket"),
		ShippingAddress: &ordersapi.Address{Name: "Ana", City: "Lisboa", Country: "PT"}, BillingAddress: &ordersapi.Address{Name: "Ana Ltd"},
		Currency: "EUR", TaxIncluded: true, Subtotal: eur(3750), DiscountTotal: eur(100), ShippingTotal: eur(490), TaxTotal: eur(774), Total: eur(4140),
		Lines: []ordersapi.PlacedLine{{
			ProductID: clock.NewID().String(), SKU: "MUG", Name: "The MUG", Quantity: 3, Price: eur(1250),
			Shares: ordersapi.Shares{
				Discount: eur(100), Net: eur(2967), Tax: eur(683), Total: eur(3650), Taxes: vat(683), Discounts: []ordersapi.DiscountShare{{DiscountID: "ten", Amount: eur(100)}},
				Units: []ordersapi.UnitShare{{Count: 2, Discount: eur(33), Net: eur(989), Tax: eur(228)}, {Count: 1, Discount: eur(34), Net: eur(989), Tax: eur(227)}},
			},
		}},
		Shipping: &ordersapi.PlacedShipping{MethodID: "0199c1de-0000-7000-8000-00000000000a", Name: "Parcel", Shares: ordersapi.Shares{
			Discount: eur(0), Net: eur(399), Tax: eur(91), Total: eur(490), Taxes: vat(91), Units: []ordersapi.UnitShare{{Count: 1, Discount: eur(0), Net: eur(399), Tax: eur(91)}},
		}},
		Discounts: []ordersapi.PlacedDiscount{{ID: "ten", Code: "TEN", Name: "Ten", Amount: eur(100)}},
	}
}

var _ = Describe("an order that was a cart", Label("db"), func() {
	var (
		svc *service
		m   *Module
		ctx context.Context
	)
	BeforeEach(func() {
		svc = replica(&shelf{})
		m, ctx = &Module{svc}, testkit.As(testkit.NewTenant(testkit.Shared()))
	})
	place := func(p ordersapi.Placement) (view ordersapi.OrderView, err error) {
		err = svc.db.InTx(ctx, func(tx *db.Tx) error {
			view, err = m.Place(ctx, tx, p, true)
			return err
		})
		return view, err
	}

	It("keeps what it was quoted, and shows what its total is made of", func() {
		p := quoted()
		view, err := place(p)
		Expect(err).NotTo(HaveOccurred())
		Expect(view).To(And(
			HaveField("Subtotal", "37.50"), HaveField("DiscountTotal", "1.00"), HaveField("ShippingTotal", "4.90"), HaveField("TaxTotal", "7.74"), HaveField("Total", "41.40"),
			HaveField("Items", HaveExactElements(ordersapi.ItemView{SKU: "MUG", Name: "The MUG", Quantity: 3, Price: "12.50", Discount: "1.00", Tax: "6.83", Total: "36.50"})),
			HaveField("Shipping", HaveValue(Equal(ordersapi.ShippingView{MethodID: p.Shipping.MethodID, Name: "Parcel", Discount: "0.00", Tax: "0.91", Total: "4.90"}))),
			HaveField("Discounts", HaveExactElements(ordersapi.DiscountView{ID: "ten", Code: "TEN", Name: "Ten", Amount: "1.00"})),
			HaveField("Taxes", HaveExactElements(ordersapi.TaxView{Name: "VAT", Rate: "23", Reason: "standard", Amount: "7.74"})),
			HaveField("CartID", p.CartID), HaveField("BillingAddress.Name", "Ana Ltd"), HaveField("Metadata", BeEmpty()),
		))
		Expect(svc.handleGet(ctx, &getInput{ID: p.OrderID})).To(Equal(view))
		Expect(recorded(ctx, svc)).To(HaveExactElements(HaveField("Type", "order.created")))
		says(recorded(ctx, svc)[0], ordersapi.OrderCreated{HoldID: p.HoldID, Order: ordersapi.Order{
			OrderID: p.OrderID, Number: 1001, CustomerID: "guest-1", Status: "created", Items: []ordersapi.Item{{SKU: "MUG", Quantity: 3, Price: "12.50"}}, Total: "41.40", Currency: "EUR", Version: 1, CreatedAt: view.CreatedAt,
			CartID: p.CartID, Subtotal: "37.50", DiscountTotal: "1.00", ShippingTotal: "4.90", TaxTotal: "7.74",
		}})
	})

	It("knows of each unit what it has of the line, so that a refund computes nothing", func() {
		p := quoted()
		Expect(place(p)).Error().NotTo(HaveOccurred())
		var units []struct {
			Position, First, Units, Discount, Net, Tax int64
		}
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			units = nil
			return tx.Select(ctx, &units, `select position, first_unit as first, units, discount_minor as discount, net_minor as net, tax_minor as tax from orders.allocation where order_id = $1 order by position, first_unit`, p.OrderID)
		})).To(Succeed())
		var runs [][6]int64
		for _, u := range units {
			runs = append(runs, [6]int64{u.Position, u.First, u.Units, u.Discount, u.Net, u.Tax})
		}
		Expect(runs).To(HaveExactElements([6]int64{0, 1, 1, 0, 399, 91}, [6]int64{1, 1, 2, 33, 989, 228}, [6]int64{1, 3, 1, 34, 989, 227}))
	})

	It("is one: a second order of the same cart cannot be", func() {
		p := quoted()
		Expect(place(p)).Error().NotTo(HaveOccurred())
		p.OrderID, p.Number = clock.NewID().String(), 1002
		_, err := place(p)
		Expect(db.Violates(err, "orders_cart_key")).To(BeTrue(), "%v", err)
		Expect(recorded(ctx, svc)).To(HaveLen(1))
	})

	It("is read by who has its ticket, and by nobody else who is nobody", func() {
		p := quoted()
		p.Metadata = map[string]string{"note": "for Ana"}
		Expect(place(p)).Error().NotTo(HaveOccurred())
		tenant, err := identity.From(ctx)
		Expect(err).NotTo(HaveOccurred())
		page := testkit.As(tenant.Tenant, "orders:place")
		Expect(svc.handleGet(page, &getInput{ID: p.OrderID, Ticket: "ticket"})).To(And(HaveField("Email", "ana@example.com"), HaveField("ShippingAddress.City", "Lisboa")))
		for _, wrong := range []string{"", "tickets"} {
			Expect(svc.handleGet(page, &getInput{ID: p.OrderID, Ticket: wrong})).Error().To(MatchError(httpx.ErrNotFound))
		}
		Expect(svc.handleGet(testkit.AsCustomer(tenant.Tenant, uuid.NewString()), &getInput{ID: p.OrderID})).Error().To(MatchError(httpx.ErrNotFound))
		Expect(svc.handleGet(testkit.As(tenant.Tenant, "orders:read"), &getInput{ID: p.OrderID, Ticket: "tickets"})).To(HaveField("Email", "a***@e***.com"))
		Expect(m.Order(testkit.As(tenant.Tenant, "carts:write"), uuid.MustParse(p.OrderID), false)).To(HaveField("BillingAddress.Name", Not(Equal("Ana Ltd"))))
		Expect(svc.handleGet(testkit.As(tenant.Tenant, "orders:read"), &getInput{ID: p.OrderID})).To(HaveField("Metadata", Equal(map[string]string{"note": "***"})))
		Expect(m.Order(page, uuid.MustParse(p.OrderID), true)).To(HaveField("Email", "ana@example.com"))
	})

	It("is shown to who places it for somebody else as it is shown to them later", func() {
		p := quoted()
		p.Metadata = map[string]string{"note": "for Ana"}
		clerk := testkit.As(uuid.MustParse(tenantOf(ctx)), "carts:write")
		var view ordersapi.OrderView
		Expect(svc.db.InTx(clerk, func(tx *db.Tx) (err error) {
			view, err = m.Place(clerk, tx, p, false)
			return err
		})).To(Succeed())
		Expect(view).To(And(HaveField("Email", "a***@e***.com"), HaveField("BillingAddress.Name", Not(Equal("Ana Ltd"))), HaveField("Metadata", Equal(map[string]string{"note": "***"})), HaveField("Masked", true)))
		Expect(m.Order(clerk, uuid.MustParse(p.OrderID), false)).To(Equal(view))
	})

	It("opens to nobody any more, and names nobody, when its buyer is forgotten", func() {
		p := quoted()
		p.CustomerID = clock.NewID().String()
		Expect(place(p)).Error().NotTo(HaveOccurred())
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.store.forget(ctx, tx, []string{p.CustomerID}) })).To(Succeed())
		view, err := m.Order(ctx, uuid.MustParse(p.OrderID), true)
		Expect(err).NotTo(HaveOccurred())
		Expect(view).To(And(HaveField("Email", ""), HaveField("ShippingAddress", BeNil()), HaveField("BillingAddress", BeNil()), HaveField("Total", "41.40")))
		Expect(svc.handleGet(testkit.As(uuid.MustParse(tenantOf(ctx)), "orders:place"), &getInput{ID: p.OrderID, Ticket: "ticket"})).Error().To(MatchError(httpx.ErrNotFound))
	})

	It("is not placed any more for a customer who was erased", func() {
		p := quoted()
		p.CustomerID = clock.NewID().String()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return erasure.Heed(ctx, tx, []string{p.CustomerID}) })).To(Succeed())
		Expect(place(p)).Error().To(MatchError(erasure.ErrErased))
		Expect(recorded(ctx, svc)).To(BeEmpty())
	})

	It("is written in two statements, whatever is in it", func() {
		Expect(place(quoted())).Error().NotTo(HaveOccurred()) // sees to the timer of the quarter
		p := quoted()
		p.Number++
		cost := &db.Cost{}
		Expect(svc.db.InTx(db.WithCost(ctx, cost), func(tx *db.Tx) error {
			_, err := m.Place(ctx, tx, p, true)
			return err
		})).To(Succeed())
		Expect(cost.RoundTrips()).To(BeEquivalentTo(4), "begin, the order, its fact, commit")
	})
})

func tenantOf(ctx context.Context) string {
	id, err := identity.From(ctx)
	Expect(err).NotTo(HaveOccurred())
	return id.Tenant.String()
}
