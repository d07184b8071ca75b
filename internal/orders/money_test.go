package orders

import (
	"context"
	"math/rand/v2"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = DescribeTable("how an order of 25.00 stands with its money",
	func(f funds, want paymentStatus) { Expect(f.standing(2500)).To(Equal(want)) },
	Entry("that nobody paid", funds{}, unpaid),
	Entry("whose money is held", funds{Held: 2500}, moneyHeld),
	Entry("of which a part was captured", funds{Captured: 2000}, partiallyPaid),
	Entry("of which a part was captured and the rest is held", funds{Held: 500, Captured: 2000}, partiallyPaid),
	Entry("that was paid", funds{Captured: 2500}, fullyPaid),
	Entry("that was paid too much", funds{Captured: 2501}, overpaid),
	Entry("that was paid too much, which went back", funds{Captured: 2600, Refunded: 100}, fullyPaid),
	Entry("of which a part went back", funds{Captured: 2500, Refunded: 1}, partiallyRefunded),
	Entry("of which all went back", funds{Captured: 2500, Refunded: 2500}, fullyRefunded),
	Entry("of which all that was paid went back", funds{Captured: 100, Refunded: 100}, fullyRefunded),
	Entry("about which the buyer argues with their bank", funds{Captured: 2500, Disputed: 2500}, disputed),
)

var _ = Describe("an order and its payments", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)), onSale("GIFT", eur(0)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})

	tells := func(list ...paymentsapi.Payment) {
		GinkgoHelper()
		batch := make([]event.Received[paymentsapi.PaymentSucceeded], len(list))
		for i, p := range list {
			batch[i].Fact.Payment, batch[i].ID = p, clock.NewID()
		}
		hear := heed(svc, func(e paymentsapi.PaymentSucceeded) paymentsapi.Payment { return e.Payment })
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return hear(ctx, tx, batch) })).To(Succeed())
	}
	says := func(o order, id, status, authorized, captured, refunded string, version int64) paymentsapi.Payment {
		return paymentsapi.Payment{
			PaymentID: id, OrderID: o.ID.String(), Provider: "test", Amount: "25.00", Currency: "EUR", Status: status,
			Authorized: authorized, Captured: captured, Refunded: refunded, Disputed: "0.00", Version: version,
		}
	}
	confirm := func(o order) {
		GinkgoHelper()
		batch := []event.Received[inventoryapi.Reserved]{{ID: clock.NewID(), Fact: inventoryapi.Reserved{OrderID: o.ID.String()}}}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onReserved(ctx, tx, batch) })).To(Succeed())
	}
	now := func(o order) (status, paymentStatus) {
		GinkgoHelper()
		found, err := svc.get(ctx, o.ID)
		Expect(err).NotTo(HaveOccurred())
		return found.Status, found.Payment
	}
	stands := func(o order, want status, money paymentStatus) {
		GinkgoHelper()
		s, m := now(o)
		Expect([]any{s, m}).To(Equal([]any{want, money}))
	}

	It("is paid when its stock is held and its money is there, whichever comes first", func() {
		first, last := accepted(ctx, svc, 2), accepted(ctx, svc, 2)
		id := clock.NewID().String()
		confirm(first)
		tells(says(first, clock.NewID().String(), "succeeded", "25.00", "25.00", "0.00", 2))
		stands(first, paid, fullyPaid)
		tells(says(last, id, "authorized", "25.00", "0.00", "0.00", 2))
		stands(last, created, moneyHeld)
		tells(says(last, id, "succeeded", "25.00", "25.00", "0.00", 3))
		stands(last, created, fullyPaid)
		confirm(last)
		stands(last, paid, fullyPaid)
		Expect(topics(ctx, svc)).To(Equal([]string{"order.created 1", "order.created 1", "order.confirmed 2", "order.paid 4", "order.confirmed 4", "order.paid 5"}))
		steps, err := svc.timeline(ctx, last.ID, "")
		Expect(err).NotTo(HaveOccurred())
		list := []string{}
		for _, st := range steps {
			list = append(list, st.Status+" "+text(st.Payment))
		}
		Expect(list).To(Equal([]string{"created ", "created authorized", "created paid", "confirmed ", "paid "}))
	})

	It("stands as the latest news of each payment says, in whatever order it comes", func() {
		o := accepted(ctx, svc, 2)
		confirm(o)
		one, other := clock.NewID().String(), clock.NewID().String()
		news := []paymentsapi.Payment{
			says(o, one, "processing", "0.00", "0.00", "0.00", 1), says(o, one, "succeeded", "10.00", "10.00", "0.00", 2), says(o, one, "succeeded", "10.00", "10.00", "4.00", 3),
			says(o, other, "authorized", "15.00", "0.00", "0.00", 2), says(o, other, "succeeded", "15.00", "15.00", "0.00", 3),
		}
		news = append(news, news...)
		rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0)).Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
		for _, p := range news {
			tells(p)
		}
		_, money := now(o)
		Expect(money).To(Equal(partiallyRefunded))
		found, err := svc.get(ctx, o.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect([]string{present(found).Captured, present(found).Refunded}).To(Equal([]string{"25.00", "4.00"}))
	})

	It("hears many at once, and nothing of orders that there are not", func() {
		a, b := accepted(ctx, svc, 2), accepted(ctx, svc, 2)
		ghost := order{ID: clock.NewID()}
		confirm(a)
		tells(says(a, clock.NewID().String(), "succeeded", "25.00", "25.00", "0.00", 2), says(ghost, clock.NewID().String(), "succeeded", "25.00", "25.00", "0.00", 2),
			says(b, clock.NewID().String(), "succeeded", "20.00", "20.00", "0.00", 2))
		stands(a, paid, fullyPaid)
		stands(b, created, partiallyPaid)
	})

	It("is not paid any more when it was called off", func() {
		o := accepted(ctx, svc, 2)
		Expect(calledOff(ctx, svc, o.ID, "")).Error().NotTo(HaveOccurred())
		tells(says(o, clock.NewID().String(), "succeeded", "25.00", "25.00", "25.00", 4))
		stands(o, cancelled, fullyRefunded)
		Expect(owed(ctx, &Module{svc}, o.ID)).To(HaveField("Closed", true))
	})

	It("that costs nothing is paid when its stock is held", func() {
		o, err := svc.draft(ctx, asks(want{SKU: "GIFT", Quantity: 1}), terms{})
		Expect(err).NotTo(HaveOccurred())
		o.CustomerID, o.Metadata = "c-1", map[string]string{}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			o, err = svc.place(ctx, tx, o)
			return err
		})).To(Succeed())
		confirm(o)
		s, _ := now(o)
		Expect(s).To(Equal(paid))
	})

	It("is found by how it stands", func() {
		a := accepted(ctx, svc, 2)
		accepted(ctx, svc, 2)
		tells(says(a, clock.NewID().String(), "succeeded", "25.00", "25.00", "0.00", 2))
		in := &listInput{Payment: "paid", Sort: "createdAt"}
		in.Limit = 10
		page, err := svc.handleList(ctx, in)
		Expect(err).NotTo(HaveOccurred())
		Expect(page.Data).To(HaveExactElements(And(HaveField("ID", a.ID.String()), HaveField("PaymentStatus", "paid"), HaveField("Captured", "25.00"))))
	})
})

// owed is what there is to pay for an order that there is.
func owed(ctx context.Context, m *Module, order uuid.UUID) (p ordersapi.Payable, err error) {
	err = m.svc.db.Read(ctx, func(tx *db.Tx) error {
		var ok bool
		p, ok, err = m.Payable(ctx, tx, order, "")
		Expect(ok).To(BeTrue())
		return err
	})
	return p, err
}
