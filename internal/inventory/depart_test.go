package inventory

import (
	"context"
	"fmt"
	"math/rand"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// parcelOf is what a shipment of an order says of itself.
func parcelOf(order, id uuid.UUID, items ...item) shippingapi.Shipment {
	s := shippingapi.Shipment{ShipmentID: id.String(), OrderID: order.String(), Direction: shippingapi.Outbound, Version: 3}
	for n, i := range items {
		s.Items = append(s.Items, shippingapi.Item{Line: n + 1, SKU: i.SKU, Quantity: i.Quantity})
	}
	return s
}

// leaves tells that parcels are on their way.
func leaves(ctx context.Context, s *service, parcels ...shippingapi.Shipment) error {
	batch := make([]event.Received[shippingapi.ShipmentShipped], len(parcels))
	for i, p := range parcels {
		batch[i] = received(shippingapi.ShipmentShipped{Shipment: p})
	}
	hear := depart(s, func(e shippingapi.ShipmentShipped) shippingapi.Shipment { return e.Shipment })
	return s.db.InTx(ctx, func(tx *db.Tx) error { return hear(ctx, tx, batch) })
}

var _ = Describe("stock that leaves in parcels", Label("db"), func() {
	var (
		svc  *service
		shop uuid.UUID
		ctx  context.Context
	)
	BeforeEach(func() {
		svc, shop = replica(), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})
	AfterEach(func() { addsUp(shop) })
	level := func(sku string) string {
		GinkgoHelper()
		l, err := svc.get(ctx, sku)
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf("%d of %d", l.Reserved, l.OnHand)
	}
	reduces := func(order uuid.UUID, i item) {
		GinkgoHelper()
		off := ordersapi.ItemsCancelled{Order: ordersapi.Order{OrderID: order.String(), Status: "paid", Version: 4}}
		off.Cancelled = []ordersapi.CancelledItem{{Line: 1, SKU: i.SKU, Quantity: i.Quantity}}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			return svc.onItemsCancelled(ctx, tx, []event.Received[ordersapi.ItemsCancelled]{received(off)})
		})).To(Succeed())
	}

	It("is neither on hand nor reserved any more, parcel by parcel, and the rest is freed with the order", func() {
		stocked(ctx, svc, item{"MUG", 40}, item{"CUP", 9})
		order := clock.NewID()
		heard(ctx, svc, placed(order, item{"MUG", 5}, item{"CUP", 2}))
		Expect(leaves(ctx, svc, parcelOf(order, clock.NewID(), item{"MUG", 1}, item{"CUP", 2}, item{"MUG", 1}))).To(Succeed())
		Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"3 of 38", "0 of 7"}))
		Expect(svc.movements(ctx, "MUG", uuid.Nil, 1)).To(HaveExactElements(And(
			HaveField("Kind", "shipped"), HaveField("OnHandDelta", int64(-2)), HaveField("ReservedDelta", int64(-2)), HaveField("OrderID", HaveValue(Equal(order))))))
		reduces(order, item{"MUG", 1})
		Expect(level("MUG")).To(Equal("2 of 38"))
		calledOff(ctx, svc, order)
		Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"0 of 38", "0 of 7"}))
	})

	It("is held by nobody when an order is called off of which all has left", func() {
		stocked(ctx, svc, item{"MUG", 5})
		order := clock.NewID()
		heard(ctx, svc, placed(order, item{"MUG", 5}))
		Expect(leaves(ctx, svc, parcelOf(order, clock.NewID(), item{"MUG", 5}))).To(Succeed())
		calledOff(ctx, svc, order)
		var status string
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &status, `select status from inventory.reservation where order_id = $1`, order)
		})).To(Succeed())
		Expect(status).To(Equal("released"))
		Expect(level("MUG")).To(Equal("0 of 0"))
	})

	It("leaves once, however often, by whatever and by how many at once it is told", func() {
		stocked(ctx, svc, item{"MUG", 40})
		order, id := clock.NewID(), clock.NewID()
		heard(ctx, svc, placed(order, item{"MUG", 5}))
		p := parcelOf(order, id, item{"MUG", 3})
		var tells sync.WaitGroup
		for n := range 6 {
			tells.Go(func() {
				defer GinkgoRecover()
				if n%2 == 0 {
					Expect(leaves(ctx, svc, p, p)).To(Succeed())
					return
				}
				hear := depart(svc, func(e shippingapi.ShipmentDelivered) shippingapi.Shipment { return e.Shipment })
				Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
					return hear(ctx, tx, []event.Received[shippingapi.ShipmentDelivered]{received(shippingapi.ShipmentDelivered{Shipment: p})})
				})).To(Succeed())
			})
		}
		tells.Wait()
		Expect(level("MUG")).To(Equal("2 of 37"))
	})

	It("stays when a parcel comes from the buyer", func() {
		stocked(ctx, svc, item{"MUG", 40})
		order := clock.NewID()
		heard(ctx, svc, placed(order, item{"MUG", 5}))
		back := parcelOf(order, clock.NewID(), item{"MUG", 5})
		back.Direction = shippingapi.Return
		Expect(leaves(ctx, svc, back)).To(Succeed())
		Expect(level("MUG")).To(Equal("5 of 40"))
	})

	It("is taken from what nobody was promised when the order holds it no more, and never from what others were", func() {
		stocked(ctx, svc, item{"MUG", 10})
		off, other := clock.NewID(), clock.NewID()
		heard(ctx, svc, placed(off, item{"MUG", 4}), placed(other, item{"MUG", 5}))
		calledOff(ctx, svc, off) // the label was given up, and the parcel is sent all the same
		Expect(level("MUG")).To(Equal("5 of 10"))
		Expect(leaves(ctx, svc, parcelOf(off, clock.NewID(), item{"MUG", 4}))).To(Succeed())
		Expect(level("MUG")).To(Equal("5 of 6"))
		Expect(leaves(ctx, svc, parcelOf(off, clock.NewID(), item{"MUG", 4}))).To(Succeed())
		Expect(level("MUG")).To(Equal("5 of 5"))
	})

	back := func(order, id uuid.UUID, sku string, n, restocked int64) {
		GinkgoHelper()
		f := ordersapi.ParcelBack{Order: ordersapi.Order{OrderID: order.String(), Status: "paid", Version: 9}, ShipmentID: id.String()}
		f.Contents = []ordersapi.UnpackedItem{{Line: 1, SKU: sku, Quantity: n, Restocked: restocked}}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			return svc.onParcelBack(ctx, tx, []event.Received[ordersapi.ParcelBack]{received(f)})
		})).To(Succeed())
	}
	cancels := func(order uuid.UUID, sku string, n, inAll int64) {
		GinkgoHelper()
		f := ordersapi.ItemsCancelled{Order: ordersapi.Order{OrderID: order.String(), Status: "paid", Version: 4}}
		f.Cancelled, f.CalledOff = []ordersapi.CancelledItem{{Line: 1, SKU: sku, Quantity: n}}, []ordersapi.CalledOff{{SKU: sku, Quantity: inAll}}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			return svc.onItemsCancelled(ctx, tx, []event.Received[ordersapi.ItemsCancelled]{received(f)})
		})).To(Succeed())
	}

	It("is freed once of what was called off, however often and in whatever order that is told", func() {
		stocked(ctx, svc, item{"MUG", 40})
		order := clock.NewID()
		heard(ctx, svc, placed(order, item{"MUG", 6}))
		cancels(order, "MUG", 1, 3)
		Expect(level("MUG")).To(Equal("3 of 40"))
		cancels(order, "MUG", 2, 2)
		cancels(order, "MUG", 1, 3)
		Expect(level("MUG")).To(Equal("3 of 40"))
		cancels(order, "MUG", 1, 4)
		Expect(level("MUG")).To(Equal("2 of 40"))
	})

	It("is held for its order again when its parcel is back, once, and what is broken is not", func() {
		stocked(ctx, svc, item{"MUG", 40})
		order, id := clock.NewID(), clock.NewID()
		heard(ctx, svc, placed(order, item{"MUG", 5}))
		Expect(leaves(ctx, svc, parcelOf(order, id, item{"MUG", 3}))).To(Succeed())
		Expect(level("MUG")).To(Equal("2 of 37"))
		back(order, id, "MUG", 3, 2)
		back(order, id, "MUG", 3, 2)
		Expect(level("MUG")).To(Equal("4 of 39"))
		Expect(leaves(ctx, svc, parcelOf(order, clock.NewID(), item{"MUG", 3}))).To(Succeed())
		Expect(level("MUG")).To(Equal("1 of 36"))
		calledOff(ctx, svc, order)
		Expect(level("MUG")).To(Equal("0 of 36"))
	})

	It("ends alike in whatever order it is told that parcels leave, are back and are called off", func() {
		stocked(ctx, svc, item{"MUG", 400})
		for range 20 {
			order, id, other := clock.NewID(), clock.NewID(), clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 6}))
			before, err := svc.get(ctx, "MUG")
			Expect(err).NotTo(HaveOccurred())
			news := []func(){
				func() { Expect(leaves(ctx, svc, parcelOf(order, id, item{"MUG", 4}))).To(Succeed()) },
				func() { back(order, id, "MUG", 4, 3) },
				func() { Expect(leaves(ctx, svc, parcelOf(order, other, item{"MUG", 1}))).To(Succeed()) },
				func() { cancels(order, "MUG", 2, 2) },
				func() { cancels(order, "MUG", 1, 3) },
			}
			rand.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
			for _, tell := range news {
				tell()
			}
			after, err := svc.get(ctx, "MUG")
			Expect(err).NotTo(HaveOccurred())
			Expect([]int64{after.Reserved, after.OnHand}).To(Equal([]int64{before.Reserved - 5, before.OnHand - 2}), "one is broken, one has left and three are called off")
		}
	})

	It("ends alike in whatever order parcels leave and parts are called off", func() {
		stocked(ctx, svc, item{"MUG", 400})
		for range 10 {
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 6}))
			before, err := svc.get(ctx, "MUG")
			Expect(err).NotTo(HaveOccurred())
			news := []func(){
				func() { Expect(leaves(ctx, svc, parcelOf(order, clock.NewID(), item{"MUG", 2}))).To(Succeed()) },
				func() { Expect(leaves(ctx, svc, parcelOf(order, clock.NewID(), item{"MUG", 3}))).To(Succeed()) }, // given up, and used
				func() { reduces(order, item{"MUG", 3}) },
				func() { calledOff(ctx, svc, order) },
			}
			rand.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
			for _, tell := range news {
				tell()
			}
			after, err := svc.get(ctx, "MUG")
			Expect(err).NotTo(HaveOccurred())
			Expect([]int64{after.Reserved, after.OnHand}).To(Equal([]int64{before.Reserved - 6, before.OnHand - 5}))
		}
	})
})
