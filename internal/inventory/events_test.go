package inventory

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func received[T any](fact T) event.Received[T] {
	return event.Received[T]{Fact: fact, ID: clock.NewID(), CorrelationID: "req-1", Attempt: 1}
}

// placed is the news that an order was created.
func placed(order uuid.UUID, items ...item) event.Received[ordersapi.OrderCreated] {
	o := ordersapi.OrderCreated{Order: ordersapi.Order{OrderID: order.String(), Status: "created", Version: 1}}
	for _, i := range items {
		o.Items = append(o.Items, ordersapi.Item{SKU: i.SKU, Quantity: i.Quantity, Price: "1.00"})
	}
	return received(o)
}

func cancelledNews(order uuid.UUID) event.Received[ordersapi.OrderCancelled] {
	return received(ordersapi.OrderCancelled{Order: ordersapi.Order{OrderID: order.String(), Status: "cancelled", Version: 2}})
}

func failedNews(order uuid.UUID) event.Received[ordersapi.OrderFailed] {
	return received(ordersapi.OrderFailed{Order: ordersapi.Order{OrderID: order.String(), Status: "failed", Version: 2}})
}

// stocked makes the stock of new products.
func stocked(ctx context.Context, s *service, items ...item) {
	GinkgoHelper()
	var batch []event.Received[catalogapi.ProductCreated]
	for _, i := range items {
		batch = append(batch, received(catalogapi.ProductCreated{Product: catalogapi.Product{ProductID: clock.NewID().String(), SKU: i.SKU}, Inventory: i.Quantity}))
	}
	Expect(s.db.InTx(ctx, func(tx *db.Tx) error { return s.onProductCreated(ctx, tx, batch) })).To(Succeed())
}

// heard is a batch of orders that were created.
func heard(ctx context.Context, s *service, batch ...event.Received[ordersapi.OrderCreated]) {
	GinkgoHelper()
	Expect(s.db.InTx(ctx, func(tx *db.Tx) error { return s.onOrderCreated(ctx, tx, batch) })).To(Succeed())
}

// calledOff is a batch of orders that were cancelled.
func calledOff(ctx context.Context, s *service, orders ...uuid.UUID) {
	GinkgoHelper()
	var batch []event.Received[ordersapi.OrderCancelled]
	for _, id := range orders {
		batch = append(batch, cancelledNews(id))
	}
	Expect(s.db.InTx(ctx, func(tx *db.Tx) error { return s.onOrderCancelled(ctx, tx, batch) })).To(Succeed())
}

// unhurried lets a transaction wait for locks as long as a busy machine makes it.
func unhurried(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `set local lock_timeout = 0; set local statement_timeout = 0`)
	return err
}

var _ = Describe("inventory hears", Label("db"), func() {
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
	statusOf := func(order uuid.UUID) (status string) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &status, `select coalesce((select status from inventory.reservation where order_id = $1), 'unknown')`, order)
		})).To(Succeed())
		return status
	}
	// cost of a reaction, in round trips; the transaction itself takes two of them.
	cost := func(react func(ctx context.Context, tx *db.Tx) error) int64 {
		GinkgoHelper()
		c := &db.Cost{}
		inner := db.WithCost(ctx, c)
		Expect(svc.db.InTx(inner, func(tx *db.Tx) error { return react(inner, tx) })).To(Succeed())
		return c.RoundTrips() - 2
	}

	Describe("of new products", func() {
		It("and starts their stock", func() {
			stocked(ctx, svc, item{"MUG", 40}, item{"CUP", 0})
			Expect(level("MUG")).To(Equal("0 of 40"))
			Expect(level("CUP")).To(Equal("0 of 0"))
			Expect(svc.get(ctx, "MUG")).To(And(HaveField("Version", int64(1)), HaveField("LowThreshold", int64(defaultThreshold)), HaveField("Location", defaultLocation)))
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 10)).To(HaveExactElements(And(HaveField("Kind", "initial"), HaveField("OnHandDelta", int64(40)))))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("and keeps the stock that a SKU has already", func() {
			stocked(ctx, svc, item{"MUG", 40})
			heard(ctx, svc, placed(clock.NewID(), item{"MUG", 3}))
			stocked(ctx, svc, item{"CUP", 2}, item{"MUG", 7})
			Expect(level("MUG")).To(Equal("3 of 40"))
			Expect(level("CUP")).To(Equal("0 of 2"))
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 10)).To(HaveLen(2))
		})

		It("and takes the first of two that have the same SKU", func() {
			stocked(ctx, svc, item{"MUG", 40}, item{"CUP", 1}, item{"MUG", 7})
			Expect(level("MUG")).To(Equal("0 of 40"))
		})

		It("in as many round trips for 200 as for one", func() {
			batch := func(n int) []event.Received[catalogapi.ProductCreated] {
				var list []event.Received[catalogapi.ProductCreated]
				for i := range n {
					list = append(list, received(catalogapi.ProductCreated{Product: catalogapi.Product{SKU: fmt.Sprintf("SKU-%d-%d", n, i)}, Inventory: 1}))
				}
				return list
			}
			for _, n := range []int{1, 200} {
				Expect(cost(func(ctx context.Context, tx *db.Tx) error { return svc.onProductCreated(ctx, tx, batch(n)) })).To(BeEquivalentTo(2), "%d products", n)
			}
		})
	})

	Describe("of new orders", func() {
		It("and holds the whole of one, and says so because of it", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			order := clock.NewID()
			news := placed(order, item{"MUG", 3}, item{"CUP", 1})
			news.Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			heard(ctx, svc, news)

			Expect([]string{level("MUG"), level("CUP"), statusOf(order)}).To(Equal([]string{"3 of 10", "1 of 10", "held"}))
			facts := recorded(ctx, svc)
			Expect(facts).To(HaveLen(1))
			Expect(facts[0]).To(And(HaveField("Type", "inventory.reserved"), HaveField("Subject", order.String()), HaveField("CorrelationID", "req-1"),
				HaveField("CausationID", HaveValue(Equal(news.ID))), HaveField("Traceparent", news.Traceparent)))
			Expect(told[inventoryapi.Reserved](facts[0])).To(Equal(inventoryapi.Reserved{
				OrderID: order.String(), Status: "reserved", SKU: "MUG", Quantity: 3, Items: []inventoryapi.Item{{SKU: "MUG", Quantity: 3}, {SKU: "CUP", Quantity: 1}},
			}))
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 1)).To(HaveExactElements(And(
				HaveField("Kind", "reserved"), HaveField("ReservedDelta", int64(3)), HaveField("OnHandDelta", int64(0)), HaveField("OrderID", HaveValue(Equal(order))))))
		})

		It("and holds nothing of one that is short, and names all that is", func() {
			stocked(ctx, svc, item{"MUG", 2}, item{"CUP", 10}, item{"JUG", 0})
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"CUP", 1}, item{"MUG", 3}, item{"JUG", 1}))

			Expect([]string{level("MUG"), level("CUP"), statusOf(order)}).To(Equal([]string{"0 of 2", "0 of 10", "refused"}))
			facts := recorded(ctx, svc)
			Expect(facts).To(HaveLen(1))
			Expect(told[inventoryapi.Insufficient](facts[0])).To(Equal(inventoryapi.Insufficient{
				OrderID: order.String(), Status: "insufficient", SKU: "MUG", Quantity: 3,
				Items: []inventoryapi.Short{{SKU: "MUG", Quantity: 3, Available: 2}, {SKU: "JUG", Quantity: 1, Available: 0}},
			}))
			Expect(svc.movements(ctx, "CUP", uuid.Nil, 10)).To(HaveLen(1))
		})

		It("and adds up lines of the same SKU", func() {
			stocked(ctx, svc, item{"MUG", 4})
			short, fits := clock.NewID(), clock.NewID()
			heard(ctx, svc, placed(short, item{"MUG", 3}, item{"MUG", 2}), placed(fits, item{"MUG", 3}, item{"MUG", 1}))
			Expect([]string{level("MUG"), statusOf(short), statusOf(fits)}).To(Equal([]string{"4 of 4", "refused", "held"}))
			Expect(told[inventoryapi.Insufficient](recorded(ctx, svc)[0]).Items).To(Equal([]inventoryapi.Short{{SKU: "MUG", Quantity: 5, Available: 4}}))
			Expect(told[inventoryapi.Reserved](recorded(ctx, svc)[1]).Items).To(Equal([]inventoryapi.Item{{SKU: "MUG", Quantity: 4}}))
		})

		It("and serves them in the order in which they were accepted", func() {
			stocked(ctx, svc, item{"MUG", 5})
			var ids []uuid.UUID
			var batch []event.Received[ordersapi.OrderCreated]
			for _, quantity := range []int64{2, 2, 2, 1, 1} {
				ids = append(ids, uuid.New())
				batch = append(batch, placed(ids[len(ids)-1], item{"MUG", quantity}))
			}
			heard(ctx, svc, batch...)
			var outcome []string
			for _, id := range ids {
				outcome = append(outcome, statusOf(id))
			}
			Expect(outcome).To(Equal([]string{"held", "held", "refused", "held", "refused"}))
			Expect(level("MUG")).To(Equal("5 of 5"))
		})

		It("once, however often it is told", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order, refused := clock.NewID(), clock.NewID()
			news, bad := placed(order, item{"MUG", 3}), placed(refused, item{"MUG", 11})
			heard(ctx, svc, news, bad, news, placed(order, item{"MUG", 3}), bad)
			heard(ctx, svc, news)
			heard(ctx, svc, placed(clock.NewID(), item{"MUG", 1}), news, bad)
			Expect(level("MUG")).To(Equal("4 of 10"))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1", "inventory.insufficient 1", "inventory.reserved 1"}))
		})

		It("and leaves nothing behind when the batch is rolled back", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			broken := errors.New("the delivery could not be taken")
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				Expect(svc.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{placed(order, item{"MUG", 3})})).To(Succeed())
				return broken
			})).To(MatchError(broken))
			Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 10", "unknown"}))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("in as many round trips for 200 as for one", func() {
			var skus []item
			for i := range 20 {
				skus = append(skus, item{fmt.Sprintf("SKU-%02d", i), 60})
			}
			stocked(ctx, svc, skus...)
			batch := func(n int) []event.Received[ordersapi.OrderCreated] {
				list := make([]event.Received[ordersapi.OrderCreated], n)
				for i := range list {
					list[i] = placed(clock.NewID(), item{skus[i%20].SKU, 3}, item{skus[(i+7)%20].SKU, 2}, item{skus[i%20].SKU, 1})
				}
				return list
			}
			one := cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCreated(ctx, tx, batch(1)) })
			many := cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCreated(ctx, tx, batch(200)) })
			Expect(one).To(BeEquivalentTo(4))
			Expect(many).To(Equal(one))
			Expect(recorded(ctx, svc)).To(HaveLen(1+200+20), "each order has its answer, and each SKU ran low")
		})

		It("and asks nothing further for those it knows", func() {
			stocked(ctx, svc, item{"MUG", 10})
			news := placed(clock.NewID(), item{"MUG", 3})
			heard(ctx, svc, news)
			Expect(cost(func(ctx context.Context, tx *db.Tx) error {
				return svc.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{news})
			})).To(BeEquivalentTo(1))
		})

		Describe("with a SKU it does not know", func() {
			attempt := func(n int, order uuid.UUID) error {
				news := placed(order, item{"MUG", 1}, item{"NEW", 2})
				news.Attempt = n
				return svc.db.InTx(ctx, func(tx *db.Tx) error {
					return svc.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{news})
				})
			}

			It("and waits for the news of it", func() {
				stocked(ctx, svc, item{"MUG", 10})
				order := clock.NewID()
				Expect(attempt(1, order)).To(MatchError(errStockUnknown))
				Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 10", "unknown"}))
				stocked(ctx, svc, item{"NEW", 5})
				Expect(attempt(2, order)).To(Succeed())
				Expect([]string{level("MUG"), level("NEW"), statusOf(order)}).To(Equal([]string{"1 of 10", "2 of 5", "held"}))
				Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1"}))
			})

			It("and loses patience: there is none of it", func() {
				stocked(ctx, svc, item{"MUG", 10})
				order := clock.NewID()
				for n := 1; n <= patience; n++ {
					Expect(attempt(n, order)).To(MatchError(And(ContainSubstring("NEW"), ContainSubstring(order.String()))))
					Expect(topics(ctx, svc)).To(BeEmpty())
				}
				Expect(attempt(patience+1, order)).To(Succeed())
				Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 10", "refused"}))
				Expect(told[inventoryapi.Insufficient](recorded(ctx, svc)[0]).Items).To(Equal([]inventoryapi.Short{{SKU: "NEW", Quantity: 2, Available: 0}}))
			})

			It("and waits for nothing when the order is off already", func() {
				order := clock.NewID()
				calledOff(ctx, svc, order)
				Expect(attempt(1, order)).To(Succeed())
				Expect(topics(ctx, svc)).To(BeEmpty())
			})

			It("while nothing of its batch is lost: the others are served when they come alone", func() {
				stocked(ctx, svc, item{"MUG", 10})
				good := placed(clock.NewID(), item{"MUG", 1})
				Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
					return svc.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{good, placed(clock.NewID(), item{"NEW", 1})})
				})).To(MatchError(errStockUnknown))
				heard(ctx, svc, good)
				Expect(level("MUG")).To(Equal("1 of 10"))
			})
		})

		It("and tells of low stock once, with the version that is stored", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 100}, item{"LOW", 3})
			var batch []event.Received[ordersapi.OrderCreated]
			for range 7 { // the fifth makes it low
				batch = append(batch, placed(clock.NewID(), item{"MUG", 1}, item{"CUP", 1}))
			}
			heard(ctx, svc, append(batch, placed(clock.NewID(), item{"LOW", 1}))...) // 3 mugs are left
			heard(ctx, svc, placed(clock.NewID(), item{"MUG", 1}))
			var low []event.Envelope
			for _, f := range recorded(ctx, svc) {
				if f.Type == "inventory.low_stock" {
					low = append(low, f)
				}
			}
			Expect(low).To(ConsistOf(And(HaveField("Subject", "MUG"), HaveField("CausationID", HaveValue(Equal(batch[4].ID))))))
			Expect(told[inventoryapi.LowStock](low[0])).To(Equal(inventoryapi.LowStock{
				Level: inventoryapi.Level{SKU: "MUG", Location: "default", OnHand: 10, Reserved: 7, Available: 3, Version: 2}, Threshold: 5,
			}))
			Expect(svc.get(ctx, "MUG")).To(HaveField("Version", int64(3)))
		})

		It("and tells of low stock again after it has been above the threshold", func() {
			stocked(ctx, svc, item{"MUG", 10})
			first := clock.NewID()
			heard(ctx, svc, placed(first, item{"MUG", 5}))
			calledOff(ctx, svc, first)
			heard(ctx, svc, placed(clock.NewID(), item{"MUG", 6}))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1", "inventory.low_stock 2", "inventory.released 2", "inventory.reserved 1", "inventory.low_stock 4"}))
		})
	})

	Describe("that goods came back", func() {
		comes := func(id uuid.UUID, items ...ordersapi.ReturnedItem) {
			GinkgoHelper()
			news := received(ordersapi.ReturnReceived{Return: ordersapi.Return{ReturnID: id.String(), OrderID: clock.NewID().String(), Status: "received", Items: items, Version: 3}})
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				return svc.onReturnReceived(ctx, tx, []event.Received[ordersapi.ReturnReceived]{news})
			})).To(Succeed())
		}

		It("and puts on the shelf what can be sold again, once, and nothing of the rest", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			id := clock.NewID()
			for range 3 { // it is told again and again
				comes(id, ordersapi.ReturnedItem{Line: 1, SKU: "MUG", Quantity: 3, Received: 3, Restocked: 2}, ordersapi.ReturnedItem{Line: 2, SKU: "CUP", Quantity: 1, Received: 1}, ordersapi.ReturnedItem{Line: 3, SKU: "MUG", Quantity: 1, Received: 1, Restocked: 1})
			}
			Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"0 of 13", "0 of 10"}))
			comes(clock.NewID(), ordersapi.ReturnedItem{Line: 1, SKU: "MUG", Quantity: 1, Received: 1, Restocked: 1})
			Expect(level("MUG")).To(Equal("0 of 14"))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.adjusted 2", "inventory.adjusted 3"}))
			moved, err := svc.handleMovements(ctx, &movementsInput{SKU: "MUG", Page: httpx.Page{Limit: 10}})
			Expect(err).NotTo(HaveOccurred())
			Expect(moved.Data).To(HaveExactElements(
				And(HaveField("Kind", "returned"), HaveField("OnHandDelta", int64(1))), And(HaveField("Kind", "returned"), HaveField("OnHandDelta", int64(3)), HaveField("ReturnID", HaveValue(Equal(id)))), HaveField("Kind", "initial")))
		})
	})

	Describe("that a part of an order is off", func() {
		less := func(order uuid.UUID, items ...item) {
			GinkgoHelper()
			off := ordersapi.ItemsCancelled{Order: ordersapi.Order{OrderID: order.String(), Status: "paid", Version: 4}}
			for i, it := range items {
				off.Cancelled = append(off.Cancelled, ordersapi.CancelledItem{Line: i + 1, SKU: it.SKU, Quantity: it.Quantity})
			}
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				return svc.onItemsCancelled(ctx, tx, []event.Received[ordersapi.ItemsCancelled]{received(off)})
			})).To(Succeed())
		}

		It("and frees that part, and the rest when the order is off", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 3}, item{"CUP", 1}))
			less(order, item{"MUG", 1}, item{"MUG", 1}, item{"CUP", 1})
			Expect([]string{level("MUG"), level("CUP"), statusOf(order)}).To(Equal([]string{"1 of 10", "0 of 10", "held"}))
			calledOff(ctx, svc, order)
			Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 10", "released"}))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1", "inventory.reduced 1", "inventory.released 2"}))
			facts := recorded(ctx, svc)
			Expect(told[inventoryapi.Reduced](facts[1]).Items).To(ConsistOf(inventoryapi.Item{SKU: "CUP", Quantity: 1}, inventoryapi.Item{SKU: "MUG", Quantity: 2}))
			Expect(told[inventoryapi.Released](facts[2]).Items).To(Equal([]inventoryapi.Item{{SKU: "MUG", Quantity: 1}}))
		})

		It("and frees nothing of an order that was called off before we heard of it", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 3}))
			calledOff(ctx, svc, order)
			less(order, item{"MUG", 1})
			Expect(level("MUG")).To(Equal("0 of 10"))
		})
	})

	Describe("that orders are off", func() {
		tellings := map[string]func(order uuid.UUID) error{
			"cancelled": func(order uuid.UUID) error {
				return svc.db.InTx(ctx, func(tx *db.Tx) error {
					return svc.onOrderCancelled(ctx, tx, []event.Received[ordersapi.OrderCancelled]{cancelledNews(order)})
				})
			},
			"failed": func(order uuid.UUID) error {
				return svc.db.InTx(ctx, func(tx *db.Tx) error {
					return svc.onOrderFailed(ctx, tx, []event.Received[ordersapi.OrderFailed]{failedNews(order)})
				})
			},
		}

		DescribeTable("and frees what they hold, once", func(ways ...string) {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			order, other := clock.NewID(), clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 3}, item{"CUP", 1}), placed(other, item{"MUG", 1}))
			for _, way := range ways {
				Expect(tellings[way](order)).To(Succeed())
			}
			Expect([]string{level("MUG"), level("CUP"), statusOf(order), statusOf(other)}).To(Equal([]string{"1 of 10", "0 of 10", "released", "held"}))
			facts := recorded(ctx, svc)
			Expect(facts).To(HaveLen(3))
			Expect(facts[2]).To(And(HaveField("Type", "inventory.released"), HaveField("Subject", order.String()), HaveField("Sequence", int64(2)),
				HaveField("CorrelationID", "req-1"), HaveField("CausationID", Not(BeNil()))))
			Expect(told[inventoryapi.Released](facts[2])).To(Equal(inventoryapi.Released{
				OrderID: order.String(), Status: "released", Items: []inventoryapi.Item{{SKU: "CUP", Quantity: 1}, {SKU: "MUG", Quantity: 3}},
			}))
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 1)).To(HaveExactElements(And(
				HaveField("Kind", "released"), HaveField("ReservedDelta", int64(-3)), HaveField("OrderID", HaveValue(Equal(order))))))
		},
			Entry("cancelled", "cancelled"),
			Entry("failed", "failed"),
			Entry("cancelled twice", "cancelled", "cancelled"),
			Entry("failed, then cancelled", "failed", "cancelled"),
		)

		DescribeTable("and keeps in mind those that it has not heard of", func(way string) {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			Expect(tellings[way](order)).To(Succeed())
			Expect(statusOf(order)).To(Equal("released"))
			other := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 3}), placed(other, item{"MUG", 1}))
			Expect(level("MUG")).To(Equal("1 of 10"))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1"}))
			Expect(recorded(ctx, svc)[0].Subject).To(Equal(other.String()))
		},
			Entry("cancelled", "cancelled"),
			Entry("failed", "failed"),
		)

		It("and has nothing to free for one that it refused", func() {
			stocked(ctx, svc, item{"MUG", 1})
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 2}))
			calledOff(ctx, svc, order)
			Expect(tellings["failed"](order)).To(Succeed())
			Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 1", "refused"}))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.insufficient 1"}))
		})

		It("twice in one batch, beside others", func() {
			stocked(ctx, svc, item{"MUG", 10})
			a, b, unheard := clock.NewID(), clock.NewID(), clock.NewID()
			heard(ctx, svc, placed(a, item{"MUG", 1}), placed(b, item{"MUG", 2}))
			calledOff(ctx, svc, b, unheard, a, b, unheard)
			Expect(level("MUG")).To(Equal("0 of 10"))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1", "inventory.reserved 1", "inventory.released 2", "inventory.released 2"}))
		})

		It("in as many round trips for 200 as for one", func() {
			stocked(ctx, svc, item{"MUG", 1000}, item{"CUP", 1000})
			batch := func(n int) []event.Received[ordersapi.OrderCancelled] {
				var orders []event.Received[ordersapi.OrderCreated]
				var off []event.Received[ordersapi.OrderCancelled]
				for range n {
					id := clock.NewID()
					orders, off = append(orders, placed(id, item{"MUG", 1}, item{"CUP", 2})), append(off, cancelledNews(id))
				}
				heard(ctx, svc, orders...)
				return off
			}
			one, many := batch(1), batch(200)
			Expect(cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCancelled(ctx, tx, one) })).To(BeEquivalentTo(5))
			Expect(cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCancelled(ctx, tx, many) })).To(BeEquivalentTo(5))
			Expect(level("MUG")).To(Equal("0 of 1000"))
		})
	})

	Describe("of an order and of its end at the same moment", func() {
		// meet lets two reactions meet: the second is waiting for the first when that commits.
		meet := func(first, second func(ctx context.Context, tx *db.Tx) error) {
			GinkgoHelper()
			reacted, proceed := make(chan struct{}), make(chan struct{})
			firstDone, secondDone := make(chan error, 1), make(chan error, 1)
			go func() {
				firstDone <- svc.db.InTx(ctx, func(tx *db.Tx) error {
					err := first(ctx, tx)
					close(reacted)
					<-proceed
					return err
				})
			}()
			Eventually(reacted, testkit.Patience).Should(BeClosed())
			go func() {
				secondDone <- svc.db.InTx(ctx, func(tx *db.Tx) error {
					if err := unhurried(ctx, tx); err != nil {
						return err
					}
					return second(ctx, tx)
				})
			}()
			Eventually(whoWaits(), testkit.Patience, "2ms").Should(Equal(1))
			close(proceed)
			Eventually(firstDone, testkit.Patience).Should(Receive(BeNil()))
			Eventually(secondDone, testkit.Patience).Should(Receive(BeNil()))
		}
		creation := func(order uuid.UUID, items ...item) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				return svc.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{placed(order, items...)})
			}
		}
		end := func(order uuid.UUID) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				return svc.onOrderCancelled(ctx, tx, []event.Received[ordersapi.OrderCancelled]{cancelledNews(order)})
			}
		}

		It("and frees what was just reserved", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			meet(creation(order, item{"MUG", 3}), end(order))
			Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 10", "released"}))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1", "inventory.released 2"}))
		})

		It("and reserves nothing when the end was first", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			meet(end(order), creation(order, item{"MUG", 3}))
			Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 10", "released"}))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("and leaves one alone that was just refused", func() {
			stocked(ctx, svc, item{"MUG", 1})
			order := clock.NewID()
			meet(creation(order, item{"MUG", 3}), end(order))
			Expect([]string{level("MUG"), statusOf(order)}).To(Equal([]string{"0 of 1", "refused"}))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.insufficient 1"}))
		})

		It("and reserves once for two that are told of one order", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			meet(creation(order, item{"MUG", 3}), creation(order, item{"MUG", 3}))
			Expect(level("MUG")).To(Equal("3 of 10"))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1"}))
		})

		It("and frees once for two that are told of its end", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 3}))
			meet(end(order), end(order))
			Expect(level("MUG")).To(Equal("0 of 10"))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1", "inventory.released 2"}))
		})

		// Both would have made one reservation and want the other's, were they not made in
		// order: the ends of p and q, which are not committed yet, hold each of them up half-way.
		It("and never waits in a circle, in whatever order it is told", func() {
			stocked(ctx, svc, item{"MUG", 10})
			x, p, q, y := clock.NewID(), clock.NewID(), clock.NewID(), clock.NewID()
			one := func(id uuid.UUID) event.Received[ordersapi.OrderCreated] { return placed(id, item{"MUG", 1}) }
			var began atomic.Int64
			done := make(chan error, 2)
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				if err := svc.onOrderCancelled(ctx, tx, []event.Received[ordersapi.OrderCancelled]{cancelledNews(p), cancelledNews(q)}); err != nil {
					return err
				}
				for i, batch := range [][]event.Received[ordersapi.OrderCreated]{{one(x), one(p), one(y)}, {one(y), one(q), one(x)}} {
					go func() {
						done <- svc.db.InTx(ctx, func(tx *db.Tx) error {
							began.Add(1)
							if err := unhurried(ctx, tx); err != nil {
								return err
							}
							return svc.onOrderCreated(ctx, tx, batch)
						})
					}()
					Eventually(whoWaits(), testkit.Patience, "2ms").Should(Equal(i + 1))
				}
				return nil
			})).To(Succeed())
			for range 2 {
				Eventually(done, testkit.Patience).Should(Receive(BeNil()))
			}
			Expect(began.Load()).To(BeEquivalentTo(2), "transactions that began again after a deadlock")
			Expect([]string{level("MUG"), statusOf(x), statusOf(y), statusOf(p)}).To(Equal([]string{"2 of 10", "held", "held", "released"}))
		})

		It("and sells the last unit once", func() {
			stocked(ctx, svc, item{"MUG", 1})
			a, b := clock.NewID(), clock.NewID()
			meet(creation(a, item{"MUG", 1}), creation(b, item{"MUG", 1}))
			Expect([]string{level("MUG"), statusOf(a), statusOf(b)}).To(Equal([]string{"1 of 1", "held", "refused"}))
		})
	})

	Describe("on many connections at the same moment", func() {
		const workers = 16

		// flood runs work on two replicas and tells how many transactions began again: none
		// does unless it lost a deadlock.
		flood := func(rounds int, work func(round int, dice *rand.Rand) func(ctx context.Context, s *service, tx *db.Tx) error) (restarts int64) {
			GinkgoHelper()
			replicas := []*service{svc, replica()}
			var began, meant atomic.Int64
			var wg sync.WaitGroup
			for worker := range workers {
				s, dice := replicas[worker%2], rand.New(rand.NewSource(GinkgoRandomSeed()*workers+int64(worker)))
				wg.Go(func() {
					defer GinkgoRecover()
					for round := range rounds {
						react := work(round, dice)
						meant.Add(1)
						Expect(s.db.InTx(ctx, func(tx *db.Tx) error {
							began.Add(1)
							if err := unhurried(ctx, tx); err != nil {
								return err
							}
							return react(ctx, s, tx)
						})).To(Succeed())
					}
				})
			}
			wg.Wait()
			return began.Load() - meant.Load()
		}
		statuses := func() map[string]int {
			GinkgoHelper()
			var rows []struct {
				Status string `db:"status"`
				N      int    `db:"n"`
			}
			Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
				rows = nil
				return tx.Select(ctx, &rows, `select status, count(*) n from inventory.reservation group by status`)
			})).To(Succeed())
			counts := map[string]int{}
			for _, r := range rows {
				counts[r.Status] = r.N
			}
			return counts
		}

		It("sells exactly what there is", func() {
			stocked(ctx, svc, item{"MUG", 100})
			Expect(flood(4, func(int, *rand.Rand) func(context.Context, *service, *db.Tx) error {
				batch := []event.Received[ordersapi.OrderCreated]{placed(uuid.New(), item{"MUG", 1}), placed(uuid.New(), item{"MUG", 1})}
				return func(ctx context.Context, s *service, tx *db.Tx) error { return s.onOrderCreated(ctx, tx, batch) }
			})).To(BeZero())
			Expect(level("MUG")).To(Equal("100 of 100"))
			Expect(statuses()).To(Equal(map[string]int{"held": 100, "refused": workers*4*2 - 100}))
		})

		It("reserves once for each order, whoever is told of it and in whatever order", func() {
			stocked(ctx, svc, item{"MUG", 500}, item{"CUP", 500})
			rounds := make([][]event.Received[ordersapi.OrderCreated], 4)
			for round := range rounds {
				for range 25 {
					rounds[round] = append(rounds[round], placed(uuid.New(), item{"MUG", 1}, item{"CUP", 2}))
				}
			}
			Expect(flood(len(rounds), func(round int, dice *rand.Rand) func(context.Context, *service, *db.Tx) error {
				batch := slices.Clone(rounds[round])
				dice.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
				return func(ctx context.Context, s *service, tx *db.Tx) error { return s.onOrderCreated(ctx, tx, batch) }
			})).To(BeZero(), "transactions that began again after a deadlock")
			Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"100 of 500", "200 of 500"}))
			Expect(topics(ctx, svc)).To(HaveLen(100))
		})

		It("never waits in a circle and never oversells, whatever is in the carts and whatever is called off", func() {
			skus := []string{"A", "B", "C", "D", "E", "F"}
			for i, sku := range skus {
				stocked(ctx, svc, item{sku, int64(20 + 15*i)})
			}
			orders := make([]event.Received[ordersapi.OrderCreated], 240)
			dice := rand.New(rand.NewSource(GinkgoRandomSeed()))
			for i := range orders {
				var items []item
				for range 1 + dice.Intn(4) {
					items = append(items, item{skus[dice.Intn(len(skus))], 1 + dice.Int63n(3)})
				}
				orders[i] = placed(uuid.New(), items...)
			}
			Expect(flood(8, func(_ int, dice *rand.Rand) func(context.Context, *service, *db.Tx) error {
				var some []event.Received[ordersapi.OrderCreated]
				for range 1 + dice.Intn(10) { // others are told of the same orders
					some = append(some, orders[dice.Intn(len(orders))])
				}
				switch dice.Intn(4) {
				case 0:
					var off []event.Received[ordersapi.OrderCancelled]
					for _, r := range some {
						off = append(off, cancelledNews(uuid.MustParse(r.Fact.OrderID)))
					}
					return func(ctx context.Context, s *service, tx *db.Tx) error { return s.onOrderCancelled(ctx, tx, off) }
				case 1:
					var off []event.Received[ordersapi.OrderFailed]
					for _, r := range some[:1] {
						off = append(off, failedNews(uuid.MustParse(r.Fact.OrderID)))
					}
					return func(ctx context.Context, s *service, tx *db.Tx) error { return s.onOrderFailed(ctx, tx, off) }
				default:
					return func(ctx context.Context, s *service, tx *db.Tx) error { return s.onOrderCreated(ctx, tx, some) }
				}
			})).To(BeZero(), "transactions that began again after a deadlock")

			answers := map[string][]string{}
			for _, f := range recorded(ctx, svc) {
				if f.Type != "inventory.low_stock" {
					answers[f.Subject] = append(answers[f.Subject], f.Type)
				}
			}
			for order, facts := range answers {
				Expect(facts).To(BeElementOf([]string{"inventory.reserved"}, []string{"inventory.insufficient"}, []string{"inventory.reserved", "inventory.released"}), order)
				Expect(statusOf(uuid.MustParse(order))).To(Equal(map[string]string{
					"inventory.reserved": "held", "inventory.insufficient": "refused", "inventory.released": "released",
				}[facts[len(facts)-1]]), order)
			}
		})
	})

	It("anything in any order, and agrees with a plain map", func() {
		run := 0
		always(func(t *rapid.T, g Gomega) {
			run++
			skus := []string{fmt.Sprintf("A%d", run), fmt.Sprintf("B%d", run), fmt.Sprintf("C%d", run)}
			onHand, reserved := map[string]int64{}, map[string]int64{}
			status, facts, holds := map[uuid.UUID]string{}, map[uuid.UUID][]string{}, map[uuid.UUID][]item{}
			var begin []event.Received[catalogapi.ProductCreated]
			for _, sku := range skus {
				onHand[sku] = rapid.Int64Range(0, 9).Draw(t, "on hand of "+sku)
				begin = append(begin, received(catalogapi.ProductCreated{Product: catalogapi.Product{SKU: sku}, Inventory: onHand[sku]}))
			}
			do := func(react func(tx *db.Tx) error) error { return svc.db.InTx(ctx, react) }
			g.Expect(do(func(tx *db.Tx) error { return svc.onProductCreated(ctx, tx, begin) })).To(Succeed())
			known := []uuid.UUID{clock.NewID(), clock.NewID(), clock.NewID(), clock.NewID(), clock.NewID()}
			order := rapid.SampledFrom(known)
			cart := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item {
				return item{rapid.SampledFrom(skus).Draw(t, "sku"), rapid.Int64Range(1, 4).Draw(t, "quantity")}
			}), 1, 4)
			off := func(id uuid.UUID) {
				switch status[id] {
				case "held":
					for _, i := range holds[id] {
						reserved[i.SKU] -= i.Quantity
					}
					status[id], facts[id] = "released", append(facts[id], "inventory.released")
				case "":
					status[id] = "released"
				}
			}
			for range rapid.IntRange(1, 6).Draw(t, "steps") {
				switch rapid.SampledFrom([]string{"created", "created", "cancelled", "failed", "count"}).Draw(t, "step") {
				case "created":
					var batch []event.Received[ordersapi.OrderCreated]
					for range rapid.IntRange(1, 4).Draw(t, "orders") {
						id, items := order.Draw(t, "order"), cart.Draw(t, "cart")
						batch = append(batch, placed(id, items...))
						if status[id] != "" {
							continue
						}
						want := map[string]int64{}
						enough := true
						for _, i := range items {
							want[i.SKU] += i.Quantity
						}
						for sku, quantity := range want {
							enough = enough && onHand[sku]-reserved[sku] >= quantity
						}
						if !enough {
							status[id], facts[id] = "refused", []string{"inventory.insufficient"}
							continue
						}
						status[id], facts[id], holds[id] = "held", []string{"inventory.reserved"}, items
						for sku, quantity := range want {
							reserved[sku] += quantity
						}
					}
					g.Expect(do(func(tx *db.Tx) error { return svc.onOrderCreated(ctx, tx, batch) })).To(Succeed())
				case "cancelled":
					var batch []event.Received[ordersapi.OrderCancelled]
					for _, id := range rapid.SliceOfN(order, 1, 3).Draw(t, "orders") {
						off(id)
						batch = append(batch, cancelledNews(id))
					}
					g.Expect(do(func(tx *db.Tx) error { return svc.onOrderCancelled(ctx, tx, batch) })).To(Succeed())
				case "failed":
					id := order.Draw(t, "order")
					off(id)
					g.Expect(do(func(tx *db.Tx) error {
						return svc.onOrderFailed(ctx, tx, []event.Received[ordersapi.OrderFailed]{failedNews(id)})
					})).To(Succeed())
				case "count":
					sku, n := rapid.SampledFrom(skus).Draw(t, "sku"), rapid.Int64Range(0, 9).Draw(t, "counted")
					_, err := svc.counted(ctx, sku, anyVersion, n, nil)
					if n < reserved[sku] {
						g.Expect(err).To(MatchError(errBelowReserved))
					} else {
						g.Expect(err).NotTo(HaveOccurred())
						onHand[sku] = n
					}
				}
				g.Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
					for _, sku := range skus {
						l, err := svc.store.find(ctx, tx, sku)
						g.Expect(err).NotTo(HaveOccurred())
						g.Expect([]int64{l.OnHand, l.Reserved}).To(Equal([]int64{onHand[sku], reserved[sku]}), sku)
					}
					return nil
				})).To(Succeed())
			}
			told := map[uuid.UUID][]string{}
			for _, f := range recorded(ctx, svc) {
				if id, err := uuid.Parse(f.Subject); err == nil && slices.Contains(known, id) {
					told[id] = append(told[id], f.Type)
				}
			}
			g.Expect(told).To(Equal(facts))
			for _, id := range known {
				if status[id] == "" {
					status[id] = "unknown"
				}
				g.Expect(statusOf(id)).To(Equal(status[id]))
			}
		})
	})
})
