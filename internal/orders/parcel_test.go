package orders

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// settled is an order of n mugs that was paid.
func settled(ctx context.Context, svc *service, n int64) order {
	GinkgoHelper()
	o := accepted(ctx, svc, n)
	held := []event.Received[inventoryapi.Reserved]{{ID: clock.NewID(), Fact: inventoryapi.Reserved{OrderID: o.ID.String()}}}
	Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onReserved(ctx, tx, held) })).To(Succeed())
	total := o.Total.Decimal()
	batch := []event.Received[paymentsapi.PaymentSucceeded]{{ID: clock.NewID(), Fact: paymentsapi.PaymentSucceeded{Payment: paymentsapi.Payment{
		PaymentID: clock.NewID().String(), OrderID: o.ID.String(), Provider: "test", Amount: total, Currency: "EUR", Status: "succeeded",
		Authorized: total, Captured: total, Refunded: "0.00", Disputed: "0.00", Version: 2,
	}}}}
	hear := heed(svc, func(e paymentsapi.PaymentSucceeded) paymentsapi.Payment { return e.Payment })
	Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return hear(ctx, tx, batch) })).To(Succeed())
	return reread(ctx, svc, o)
}

func reread(ctx context.Context, svc *service, o order) order {
	GinkgoHelper()
	found, err := svc.get(ctx, o.ID)
	Expect(err).NotTo(HaveOccurred())
	return found
}

// packed puts n of the first line into a parcel.
func packed(ctx context.Context, svc *service, o order, parcel uuid.UUID, n int64) (c ordersapi.Consignee, err error) {
	err = svc.db.InTx(ctx, func(tx *db.Tx) error {
		c, err = (&Module{svc}).Consign(ctx, tx, o.ID, parcel, []ordersapi.ConsignedItem{{SKU: "MUG", Quantity: n}})
		return err
	})
	return c, err
}

// tells lets a shipment say what became of it.
func tells(ctx context.Context, svc *service, o order, parcel uuid.UUID, status parcelStatus, version int64, failure ...string) {
	GinkgoHelper()
	batch := []event.Received[shippingapi.ShipmentCreated]{{ID: clock.NewID(), Fact: shippingapi.ShipmentCreated{Shipment: shippingapi.Shipment{
		ShipmentID: parcel.String(), OrderID: o.ID.String(), Direction: shippingapi.Outbound, Carrier: "USPS", TrackingNumber: "94001", Version: version,
		FailureCode: strings.Join(failure, ""),
	}}}}
	hear := follow(svc, status, func(e shippingapi.ShipmentCreated) shippingapi.Shipment { return e.Shipment })
	Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return hear(ctx, tx, batch) })).To(Succeed())
}

func code(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Code
	}
	return fmt.Sprint(err)
}

var _ = DescribeTable("how far an order of three units is on its way",
	func(p progress, want fulfillmentStatus) {
		Expect(fulfillment([]line{{Quantity: 3, progress: p}})).To(Equal(want))
	},
	Entry("of which nothing has left", progress{Consigned: 3}, unfulfilled),
	Entry("of which a part has left", progress{Consigned: 3, Shipped: 2}, partiallyShipped),
	Entry("of which all has left", progress{Consigned: 3, Shipped: 3}, fullyShipped),
	Entry("of which the rest was cancelled", progress{Cancelled: 1, Consigned: 2, Shipped: 2}, fullyShipped),
	Entry("of which a part has arrived", progress{Consigned: 3, Shipped: 3, Delivered: 1}, partiallyDelivered),
	Entry("of which all has arrived", progress{Consigned: 3, Shipped: 3, Delivered: 3}, fullyDelivered),
	Entry("of which all that was not cancelled has arrived", progress{Cancelled: 2, Consigned: 1, Shipped: 1, Delivered: 1}, fullyDelivered),
	Entry("that was cancelled", progress{Cancelled: 3}, unfulfilled),
)

var _ = Describe("an order on its way to the door", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})
	stands := func(o order, s status, f fulfillmentStatus, p progress) {
		GinkgoHelper()
		found := reread(ctx, svc, o)
		Expect([]any{found.Status, found.Fulfillment, found.Lines[0].progress}).To(Equal([]any{s, f, p}))
	}

	It("goes in as many parcels as it takes, and is shipped and delivered with the last", func() {
		o := settled(ctx, svc, 3)
		one, other := clock.NewID(), clock.NewID()
		c, err := packed(ctx, svc, o, one, 2)
		Expect(err).NotTo(HaveOccurred())
		Expect(c).To(And(HaveField("Number", o.Number), HaveField("Items", HaveExactElements(And(HaveField("Line", 1), HaveField("Quantity", int64(2)), HaveField("Price", eur(1250)))))))
		var rest ordersapi.Consignee
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
			rest, err = (&Module{svc}).Consign(ctx, tx, o.ID, other, nil)
			return err
		})).To(Succeed())
		Expect(rest.Items).To(HaveExactElements(HaveField("Quantity", int64(1))))
		stands(o, paid, unfulfilled, progress{Consigned: 3})
		tells(ctx, svc, o, one, parcelShipped, 3)
		stands(o, paid, partiallyShipped, progress{Consigned: 3, Shipped: 2})
		tells(ctx, svc, o, other, parcelShipped, 3)
		stands(o, shipped, fullyShipped, progress{Consigned: 3, Shipped: 3})
		tells(ctx, svc, o, other, parcelDelivered, 4)
		stands(o, shipped, partiallyDelivered, progress{Consigned: 3, Shipped: 3, Delivered: 1})
		tells(ctx, svc, o, one, parcelDelivered, 4)
		stands(o, delivered, fullyDelivered, progress{Consigned: 3, Shipped: 3, Delivered: 3})
		Expect(topics(ctx, svc)).To(HaveExactElements(HavePrefix("order.created"), HavePrefix("order.confirmed"), HavePrefix("order.paid"), "order.shipped 6", "order.delivered 8"))
		steps, err := svc.timeline(ctx, o.ID, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(steps[4:]).To(HaveExactElements(
			And(HaveField("Status", "paid"), HaveField("Fulfillment", HaveValue(Equal("partially_shipped"))), HaveField("Shipment", HaveValue(Equal(one))), HaveField("Told", HaveValue(Equal("shipped")))),
			And(HaveField("Status", "shipped"), HaveField("Shipment", HaveValue(Equal(other)))),
			HaveField("Fulfillment", HaveValue(Equal("partially_delivered"))),
			And(HaveField("Status", "delivered"), HaveField("Told", HaveValue(Equal("delivered")))),
		))
	})

	returns := func(o order, parcel uuid.UUID, scrap ...ordersapi.ConsignedItem) (after order, err error) {
		err = svc.db.InTx(ctx, func(tx *db.Tx) error {
			after, err = svc.takeParcelBack(ctx, tx, o.ID, parcel, scrap)
			return err
		})
		return after, err
	}

	It("is sent again, or called off, when a parcel is back that could not be handed over", func() {
		o := settled(ctx, svc, 3)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 3)).Error().NotTo(HaveOccurred())
		_, err := returns(o, parcel)
		Expect(code(err)).To(Equal("parcel_not_back"), "it has not left")
		tells(ctx, svc, o, parcel, parcelShipped, 3)
		tells(ctx, svc, o, parcel, parcelReturned, 4)
		stands(o, shipped, fullyShipped, progress{Consigned: 3, Shipped: 3, Returned: 3})
		_, err = returns(o, clock.NewID())
		Expect(code(err)).To(Equal("not_found"))
		_, err = returns(o, parcel, ordersapi.ConsignedItem{SKU: "MUG", Quantity: 4})
		Expect(code(err)).To(Equal("validation_failed"))
		Expect(returns(o, parcel, ordersapi.ConsignedItem{SKU: "MUG", Quantity: 1})).To(HaveField("HeldFor", parcelBack))
		stands(o, paid, unfulfilled, progress{})
		before := reread(ctx, svc, o)
		Expect(returns(o, parcel)).To(HaveField("Version", before.Version), "it came back once")
		tells(ctx, svc, o, parcel, parcelDelivered, 5)
		stands(o, paid, unfulfilled, progress{})
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.cancelItems(ctx, tx, o.ID, "", "the buyer has moved", []ordersapi.ConsignedItem{{Line: 1, Quantity: 1}})
			return err
		})).To(Succeed())
		again := clock.NewID()
		Expect(packed(ctx, svc, o, again, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, again, parcelDelivered, 3)
		stands(o, delivered, fullyDelivered, progress{Cancelled: 1, Consigned: 2, Shipped: 2, Delivered: 2})
		Expect(reread(ctx, svc, o)).To(HaveField("HeldFor", ""))
		Expect(topics(ctx, svc)).To(ContainElements("order.shipped 5", "order.parcel_back 7", "order.items_cancelled 9", "order.delivered 11"))
		j, err := (&Module{svc}).Journey(ctx, o.Number)
		Expect(err).NotTo(HaveOccurred())
		Expect(j.Shipments).To(HaveExactElements(HaveField("Status", "arrived_back"), HaveField("Status", "delivered")))
		Expect(j.Steps).To(ContainElement(And(HaveField("Status", "paid"), HaveField("FulfillmentStatus", "unfulfilled"), HaveField("ShipmentStatus", "arrived_back"))))
	})

	It("is called off as a whole when all of it is back", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelException, 3)
		Expect(returns(o, parcel)).To(HaveField("Status", paid))
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { _, err := svc.cancel(ctx, tx, o.ID, "", ""); return err })).To(Succeed())
		stands(o, cancelled, unfulfilled, progress{})
	})

	It("does not come back twice: with the parcel, and with a return", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelShipped, 3)
		r, err := sends(ctx, svc, o, 1, "")
		Expect(err).NotTo(HaveOccurred())
		_, err = returns(o, parcel)
		Expect(code(err)).To(Equal("parcel_in_return"))
		stands(o, shipped, fullyShipped, progress{Consigned: 2, Shipped: 2})
		Expect(stepped(ctx, svc, r, rmaCancelled)).Error().NotTo(HaveOccurred())
		Expect(returns(o, parcel)).To(HaveField("Status", paid))
		_, err = sends(ctx, svc, o, 1, "")
		Expect(code(err)).To(Equal("not_returnable"))
	})

	It("says that it has left when that is heard after it was called off, until somebody has looked at it", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelLabelled, 2)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { _, err := svc.cancel(ctx, tx, o.ID, "", ""); return err })).To(Succeed())
		tells(ctx, svc, o, parcel, parcelLabelled, 4) // the carrier does not take its label back
		Expect(reread(ctx, svc, o)).To(HaveField("HeldFor", ""))
		tells(ctx, svc, o, parcel, parcelShipped, 5)
		stands(o, cancelled, fullyShipped, progress{Consigned: 2, Shipped: 2})
		Expect(reread(ctx, svc, o)).To(HaveField("HeldFor", leftAfterCancel))
		steps, err := svc.timeline(ctx, o.ID, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(steps[len(steps)-1]).To(And(HaveField("Status", "cancelled"), HaveField("Told", HaveValue(Equal("shipped"))), HaveField("Reason", HaveValue(Equal(leftAfterCancel)))))
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { _, err := svc.letGo(ctx, tx, o.ID, "the buyer pays for it"); return err })).To(Succeed())
		tells(ctx, svc, o, parcel, parcelDelivered, 6)
		Expect(reread(ctx, svc, o)).To(HaveField("HeldFor", ""))
	})

	It("says the same of a part of it", func() {
		o := settled(ctx, svc, 2)
		parcel, rest := clock.NewID(), clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 1)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelVoided, 2)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.cancelItems(ctx, tx, o.ID, "", "", []ordersapi.ConsignedItem{{Line: 1, Quantity: 1}})
			return err
		})).To(Succeed())
		Expect(packed(ctx, svc, o, rest, 1)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, rest, parcelShipped, 2)
		Expect(reread(ctx, svc, o)).To(HaveField("HeldFor", ""))
		tells(ctx, svc, o, parcel, parcelShipped, 3)
		Expect(reread(ctx, svc, o)).To(HaveField("HeldFor", leftAfterCancel))
		Expect(returns(o, parcel)).To(HaveField("HeldFor", ""))
		stands(o, shipped, fullyShipped, progress{Cancelled: 1, Consigned: 1, Shipped: 1})
	})

	It("ends alike in whatever order its shipments tell what became of them", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		news := []parcelStatus{parcelCreated, parcelLabelled, parcelShipped, parcelException, parcelDelivered}
		order := append(rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0)).Perm(len(news)), 2, 0)
		for _, i := range order {
			tells(ctx, svc, o, parcel, news[i], int64(i)+1)
		}
		stands(o, delivered, fullyDelivered, progress{Consigned: 2, Shipped: 2, Delivered: 2})
	})

	It("gets back what was in a shipment that failed or was voided", func() {
		o := settled(ctx, svc, 2)
		one, other := clock.NewID(), clock.NewID()
		Expect(packed(ctx, svc, o, one, 2)).Error().NotTo(HaveOccurred())
		_, err := packed(ctx, svc, o, other, 1)
		Expect(code(err)).To(Equal("nothing_to_ship"))
		tells(ctx, svc, o, one, parcelFailed, 2)
		stands(o, paid, unfulfilled, progress{})
		Expect(packed(ctx, svc, o, other, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, other, parcelVoided, 2)
		stands(o, paid, unfulfilled, progress{})
		Expect(packed(ctx, svc, o, one, 1)).Error().NotTo(HaveOccurred()) // it is tried again
		stands(o, paid, unfulfilled, progress{Consigned: 1})
	})

	It("keeps what is packed anew before the news that it had failed", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelFailed, 2)
		stands(o, paid, unfulfilled, progress{Consigned: 2})
		tells(ctx, svc, o, parcel, parcelFailed, 4)
		stands(o, paid, unfulfilled, progress{})
	})

	It("is not packed before it is paid, nor after it was called off, nor what was not ordered", func() {
		early, o := accepted(ctx, svc, 1), settled(ctx, svc, 1)
		_, err := packed(ctx, svc, early, clock.NewID(), 1)
		Expect(code(err)).To(Equal("order_not_shippable"))
		_, err = packed(ctx, svc, o, clock.NewID(), 2)
		Expect(code(err)).To(Equal("nothing_to_ship"))
		_, err = packed(ctx, svc, order{ID: clock.NewID()}, clock.NewID(), 1)
		Expect(code(err)).To(Equal("not_found"))
		Expect(calledOff(ctx, svc, o.ID, "")).Error().NotTo(HaveOccurred())
		_, err = packed(ctx, svc, o, clock.NewID(), 1)
		Expect(code(err)).To(Equal("order_not_shippable"))
	})

	It("is called off with its parcels as long as none has left", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 1)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelLabelled, 2)
		Expect(calledOff(ctx, svc, o.ID, "changed my mind")).To(HaveField("Status", cancelled))
		tells(ctx, svc, o, parcel, parcelVoided, 3)
		stands(o, cancelled, unfulfilled, progress{})
	})

	It("is not called off as a whole with something of it on its way, but in part", func() {
		o := settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 1)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelShipped, 3)
		_, err := calledOff(ctx, svc, o.ID, "")
		Expect(code(err)).To(Equal("order_not_cancellable"))
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.cancelItems(ctx, tx, o.ID, "", "", []ordersapi.ConsignedItem{{Line: 1, Quantity: 1}})
			return err
		})).To(Succeed())
		stands(o, shipped, fullyShipped, progress{Cancelled: 1, Consigned: 1, Shipped: 1})
	})

	It("counts no more than is left of it when a parcel was given up, and is used all the same", func() {
		o := settled(ctx, svc, 3)
		one, other := clock.NewID(), clock.NewID()
		Expect(packed(ctx, svc, o, one, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, one, parcelVoided, 3)
		Expect(packed(ctx, svc, o, other, 2)).Error().NotTo(HaveOccurred())
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.cancelItems(ctx, tx, o.ID, "", "", []ordersapi.ConsignedItem{{Line: 1, Quantity: 1}})
			return err
		})).To(Succeed())
		tells(ctx, svc, o, one, parcelShipped, 4)
		stands(o, shipped, fullyShipped, progress{Cancelled: 1, Consigned: 2, Shipped: 2})
		tells(ctx, svc, o, other, parcelDelivered, 3)
		tells(ctx, svc, o, one, parcelDelivered, 5)
		stands(o, delivered, fullyDelivered, progress{Cancelled: 1, Consigned: 2, Shipped: 2, Delivered: 2})
	})

	Describe("that no label can be bought for", func() {
		It("waits for somebody, and says so until there is a label", func() {
			o := settled(ctx, svc, 2)
			one, other := clock.NewID(), clock.NewID()
			Expect(packed(ctx, svc, o, one, 2)).Error().NotTo(HaveOccurred())
			tells(ctx, svc, o, one, parcelFailed, 2)
			Expect(reread(ctx, svc, o)).To(And(HaveField("Status", paid), HaveField("HeldFor", labelFailed)))
			Expect(packed(ctx, svc, o, other, 2)).Error().NotTo(HaveOccurred())
			tells(ctx, svc, o, other, parcelLabelled, 2)
			Expect(reread(ctx, svc, o)).To(And(HaveField("Status", paid), HaveField("HeldFor", "")))
		})

		It("is called off when the shop wants it so", func() {
			svc.refundUnshippable = true
			o := settled(ctx, svc, 2)
			parcel := clock.NewID()
			Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
			tells(ctx, svc, o, parcel, parcelFailed, 2)
			tells(ctx, svc, o, parcel, parcelFailed, 2)
			Expect(reread(ctx, svc, o)).To(And(HaveField("Status", cancelled), HaveField("Reason", labelFailed), HaveField("HeldFor", "")))
			Expect(topics(ctx, svc)).To(HaveExactElements(HavePrefix("order.created"), HavePrefix("order.confirmed"), HavePrefix("order.paid"), HavePrefix("order.cancelled")))
		})

		It("waits for somebody when nobody knows whether its label is sold, however the shop wants it", func() {
			svc.refundUnshippable = true
			o := settled(ctx, svc, 2)
			parcel := clock.NewID()
			Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
			tells(ctx, svc, o, parcel, parcelFailed, 2, shippingapi.OutcomeUnknown)
			Expect(reread(ctx, svc, o)).To(And(HaveField("Status", paid), HaveField("HeldFor", labelFailed)))
		})

		It("is called off in part when the rest is on its way", func() {
			svc.refundUnshippable = true
			o := settled(ctx, svc, 3)
			one, other := clock.NewID(), clock.NewID()
			Expect(packed(ctx, svc, o, one, 1)).Error().NotTo(HaveOccurred())
			Expect(packed(ctx, svc, o, other, 2)).Error().NotTo(HaveOccurred())
			tells(ctx, svc, o, one, parcelShipped, 3)
			tells(ctx, svc, o, other, parcelFailed, 2)
			stands(o, shipped, fullyShipped, progress{Cancelled: 2, Consigned: 1, Shipped: 1})
			Expect(reread(ctx, svc, o)).To(And(HaveField("CalledOff", eur(2500)), HaveField("HeldFor", "")))
		})
	})

	It("is never in more parcels than were ordered, however many are packed at the same moment", func() {
		o := settled(ctx, svc, 20)
		var done sync.WaitGroup
		var won atomic.Int64
		for range 50 {
			done.Go(func() {
				defer GinkgoRecover()
				if _, err := packed(ctx, svc, o, clock.NewID(), 1); err == nil {
					won.Add(1)
				} else {
					Expect(code(err)).To(Equal("nothing_to_ship"))
				}
			})
		}
		done.Wait()
		Expect(won.Load()).To(BeEquivalentTo(20))
		stands(o, paid, unfulfilled, progress{Consigned: 20})
	})
})

var _ = It("never takes more of a line than is left, and says where", func() {
	always(func(t *rapid.T, g Gomega) {
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) line {
			n := rapid.Int64Range(1, 5).Draw(t, "quantity")
			off := rapid.Int64Range(0, n).Draw(t, "cancelled")
			return line{SKU: rapid.SampledFrom([]string{"A", "B"}).Draw(t, "sku"), Quantity: n, progress: progress{Cancelled: off, Consigned: rapid.Int64Range(0, n-off).Draw(t, "consigned")}}
		}), 1, 3).Draw(t, "lines")
		wanted := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ordersapi.ConsignedItem {
			return ordersapi.ConsignedItem{Line: rapid.IntRange(0, 4).Draw(t, "line"), SKU: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "sku"), Quantity: rapid.Int64Range(1, 6).Draw(t, "quantity")}
		}), 1, 4).Draw(t, "wanted")
		list, wrong := portions(lines, wanted)
		var asked, got int64
		for _, w := range wanted {
			asked += w.Quantity
		}
		for _, p := range list {
			got += p.Quantity
			g.Expect(p.Quantity).To(BeNumerically("<=", lines[p.Position-1].left()))
		}
		if len(wrong) == 0 {
			g.Expect(got).To(Equal(asked))
		} else {
			g.Expect(got).To(BeNumerically("<", asked))
		}
	})
})
