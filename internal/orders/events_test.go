package orders

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func received[T any](fact T) event.Received[T] {
	return event.Received[T]{Fact: fact, ID: clock.NewID(), CorrelationID: "req-1", Attempt: 1}
}

func heldNews(ids ...uuid.UUID) (batch []event.Received[inventoryapi.Reserved]) {
	for _, id := range ids {
		batch = append(batch, received(inventoryapi.Reserved{OrderID: id.String(), Status: "reserved"}))
	}
	return batch
}

func shortNews(ids ...uuid.UUID) (batch []event.Received[inventoryapi.Insufficient]) {
	for _, id := range ids {
		batch = append(batch, received(inventoryapi.Insufficient{OrderID: id.String(), Status: "insufficient"}))
	}
	return batch
}

var _ = Describe("orders hear of their stock", Label("db"), func() {
	var (
		svc   *service
		shop  uuid.UUID
		buyer context.Context // who places and cancels
		bus   context.Context // what reacts
	)

	BeforeEach(func() {
		svc, shop = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.NewTenant(testkit.Shared())
		buyer = testkit.As(shop)
		bus = identity.With(context.Background(), identity.Identity{Tenant: shop, Actor: "system:orders.confirm-reserved"})
	})

	held := func(ids ...uuid.UUID) {
		GinkgoHelper()
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error { return svc.onReserved(bus, tx, heldNews(ids...)) })).To(Succeed())
	}
	short := func(ids ...uuid.UUID) {
		GinkgoHelper()
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error { return svc.onInsufficient(bus, tx, shortNews(ids...)) })).To(Succeed())
	}
	status := func(id uuid.UUID) string {
		GinkgoHelper()
		o, err := svc.get(buyer, id)
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf("%s %d", o.Status, o.Version)
	}

	It("and are confirmed, because of it", func() {
		o := accepted(buyer, svc, 2)
		news := heldNews(o.ID)
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error { return svc.onReserved(bus, tx, news) })).To(Succeed())

		o, err := svc.get(buyer, o.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(o).To(And(HaveField("Status", confirmed), HaveField("Version", int64(2)), HaveField("Reason", ""), HaveField("Lines", HaveLen(1))))
		facts := recorded(buyer, svc)
		Expect(facts).To(HaveLen(2))
		Expect(facts[1]).To(And(HaveField("Type", "order.confirmed"), HaveField("Subject", o.ID.String()), HaveField("Sequence", int64(2)),
			HaveField("CausationID", HaveValue(Equal(news[0].ID))), HaveField("CorrelationID", "req-1"), HaveField("Actor", "system:orders.confirm-reserved")))
		says(facts[1], ordersapi.OrderConfirmed{Order: fact(o)})
		steps, err := svc.timeline(buyer, o.ID, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(steps).To(HaveExactElements(HaveField("Status", "created"),
			And(HaveField("Status", "confirmed"), HaveField("Actor", "system:orders.confirm-reserved"), HaveField("At", BeTemporally("==", o.UpdatedAt)))))
	})

	It("and fail when there is too little, with the reason", func() {
		o := accepted(buyer, svc, 2)
		short(o.ID)
		o, err := svc.get(buyer, o.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(o).To(And(HaveField("Status", failed), HaveField("Reason", outOfStock), HaveField("Version", int64(2))))
		Expect(topics(buyer, svc)).To(Equal([]string{"order.created 1", "order.failed 2"}))
		says(recorded(buyer, svc)[1], ordersapi.OrderFailed{Order: fact(o), Reason: "insufficient_stock"})
		Expect(svc.timeline(buyer, o.ID, "")).To(HaveExactElements(HaveField("Status", "created"), And(HaveField("Status", "failed"), HaveField("Reason", HaveValue(Equal(outOfStock))))))
	})

	DescribeTable("and leave late and repeated news alone", func(want string, facts []string, happenings ...string) {
		o := accepted(buyer, svc, 1)
		for _, happening := range happenings {
			switch happening {
			case "held":
				held(o.ID)
			case "short":
				short(o.ID)
			case "cancelled":
				Expect(calledOff(buyer, svc, o.ID, "")).Error().NotTo(HaveOccurred())
			default:
				Expect(testkit.SQL(testkit.Shared().Super).Exec(`update orders.orders set status = $2 where id = $1`, o.ID, happening)).Error().NotTo(HaveOccurred())
			}
		}
		Expect(status(o.ID)).To(Equal(want))
		Expect(topics(buyer, svc)).To(Equal(append([]string{"order.created 1"}, facts...)))
		Expect(journey(buyer, svc, o.ID)).To(HaveLen(1 + len(facts)))
	},
		Entry("held twice", "confirmed 2", []string{"order.confirmed 2"}, "held", "held"),
		Entry("short twice", "failed 2", []string{"order.failed 2"}, "short", "short"),
		Entry("held after it was cancelled", "cancelled 2", []string{"order.cancelled 2"}, "cancelled", "held"),
		Entry("short after it was cancelled", "cancelled 2", []string{"order.cancelled 2"}, "cancelled", "short"),
		Entry("held after it failed", "failed 2", []string{"order.failed 2"}, "short", "held"),
		Entry("short after it was confirmed", "confirmed 2", []string{"order.confirmed 2"}, "held", "short"),
		Entry("held after it was paid", "paid 1", []string{}, "paid", "held"),
		Entry("short after it was shipped", "shipped 1", []string{}, "shipped", "short"),
		Entry("anything after it was delivered", "delivered 1", []string{}, "delivered", "held", "short"),
		Entry("anything after it was refunded", "refunded 1", []string{}, "refunded", "short", "held"),
	)

	It("each of a batch once, and not those that nobody placed", func() {
		a, b, off := accepted(buyer, svc, 1), accepted(buyer, svc, 2), accepted(buyer, svc, 3)
		Expect(calledOff(buyer, svc, off.ID, "")).Error().NotTo(HaveOccurred())
		held(b.ID, a.ID, clock.NewID(), off.ID, b.ID)
		Expect([]string{status(a.ID), status(b.ID), status(off.ID)}).To(Equal([]string{"confirmed 2", "confirmed 2", "cancelled 2"}))
		Expect(topics(buyer, svc)).To(HaveLen(3 + 1 + 2))
	})

	It("of which those of another merchant change nothing", func() {
		o := accepted(buyer, svc, 1)
		other := testkit.As(testkit.NewTenant(testkit.Shared()))
		Expect(svc.db.InTx(other, func(tx *db.Tx) error { return svc.onReserved(other, tx, heldNews(o.ID)) })).To(Succeed())
		Expect(status(o.ID)).To(Equal("created 1"))
		Expect(topics(other, svc)).To(BeEmpty())
	})

	It("and keep nothing of it when the batch is rolled back", func() {
		o := accepted(buyer, svc, 1)
		broken := errors.New("the delivery could not be taken")
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error {
			Expect(svc.onReserved(bus, tx, heldNews(o.ID))).To(Succeed())
			return broken
		})).To(MatchError(broken))
		Expect(status(o.ID)).To(Equal("created 1"))
		Expect(topics(buyer, svc)).To(HaveLen(1))
		Expect(journey(buyer, svc, o.ID)).To(Equal([]string{"created"}))
	})

	It("and refuse news that name no order at all", func() {
		bad := []event.Received[inventoryapi.Reserved]{received(inventoryapi.Reserved{OrderID: "1001"})}
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error { return svc.onReserved(bus, tx, bad) })).NotTo(Succeed())
	})

	It("in as many round trips for 200 as for one", func() {
		for _, n := range []int{1, 200} {
			ids := make([]uuid.UUID, n)
			Expect(svc.db.InTx(buyer, func(tx *db.Tx) error {
				for i := range ids {
					o, err := svc.draft(buyer, asks(want{SKU: "MUG", Quantity: 1}), terms{})
					if err != nil {
						return err
					}
					o.CustomerID, ids[i] = "c-1", o.ID
					if _, err := svc.place(buyer, tx, o); err != nil {
						return err
					}
				}
				return nil
			})).To(Succeed())
			cost := &db.Cost{}
			inner := db.WithCost(bus, cost)
			Expect(svc.db.InTx(inner, func(tx *db.Tx) error { return svc.onReserved(inner, tx, heldNews(ids...)) })).To(Succeed())
			Expect(cost.RoundTrips()).To(BeEquivalentTo(2+3), "%d orders", n)
			Expect(status(ids[n-1])).To(Equal("confirmed 2"))
		}
	})

	Describe("while they are cancelled", func() {
		// meet lets two transactions meet: the second is waiting for the first when that
		// commits, or rolls back.
		meet := func(first, second func(tx *db.Tx) error, outcome error) {
			GinkgoHelper()
			acted, proceed := make(chan struct{}), make(chan struct{})
			firstDone, secondDone := make(chan error, 1), make(chan error, 1)
			go func() {
				firstDone <- svc.db.InTx(buyer, func(tx *db.Tx) error {
					err := first(tx)
					close(acted)
					<-proceed
					return errors.Join(err, outcome)
				})
			}()
			Eventually(acted, testkit.Patience).Should(BeClosed())
			go func() {
				secondDone <- svc.db.InTx(buyer, func(tx *db.Tx) error {
					if _, err := tx.Exec(buyer, `set local lock_timeout = 0; set local statement_timeout = 0`); err != nil {
						return err
					}
					return second(tx)
				})
			}()
			Eventually(whoWaits(), testkit.Patience, "2ms").Should(Equal(1))
			close(proceed)
			if outcome == nil {
				Eventually(firstDone, testkit.Patience).Should(Receive(BeNil()))
			} else {
				Eventually(firstDone, testkit.Patience).Should(Receive(MatchError(outcome)))
			}
			Eventually(secondDone, testkit.Patience).Should(Receive(BeNil()))
		}
		cancel := func(id uuid.UUID) func(*db.Tx) error {
			return func(tx *db.Tx) error {
				_, err := svc.cancel(buyer, tx, id, "", "changed my mind")
				return err
			}
		}
		confirm := func(id uuid.UUID) func(*db.Tx) error {
			return func(tx *db.Tx) error { return svc.onReserved(bus, tx, heldNews(id)) }
		}
		fail := func(id uuid.UUID) func(*db.Tx) error {
			return func(tx *db.Tx) error { return svc.onInsufficient(bus, tx, shortNews(id)) }
		}

		It("first, and stay cancelled", func() {
			o := accepted(buyer, svc, 1)
			meet(cancel(o.ID), confirm(o.ID), nil)
			Expect(status(o.ID)).To(Equal("cancelled 2"))
			Expect(topics(buyer, svc)).To(Equal([]string{"order.created 1", "order.cancelled 2"}))
			Expect(journey(buyer, svc, o.ID)).To(Equal([]string{"created", "cancelled"}))
		})

		It("second, and are cancelled as confirmed ones are", func() {
			o := accepted(buyer, svc, 1)
			meet(confirm(o.ID), cancel(o.ID), nil)
			Expect(status(o.ID)).To(Equal("cancelled 3"))
			Expect(topics(buyer, svc)).To(Equal([]string{"order.created 1", "order.confirmed 2", "order.cancelled 3"}))
			Expect(journey(buyer, svc, o.ID)).To(Equal([]string{"created", "confirmed", "cancelled"}))
		})

		It("first, but in vain: what was rolled back did not happen", func() {
			o := accepted(buyer, svc, 1)
			meet(cancel(o.ID), confirm(o.ID), errors.New("connection lost"))
			Expect(status(o.ID)).To(Equal("confirmed 2"))
			Expect(topics(buyer, svc)).To(Equal([]string{"order.created 1", "order.confirmed 2"}))
		})

		It("and told that there is too little: the first of both counts", func() {
			o := accepted(buyer, svc, 1)
			meet(cancel(o.ID), fail(o.ID), nil)
			Expect(topics(buyer, svc)).To(Equal([]string{"order.created 1", "order.cancelled 2"}))
		})

		It("and told twice at the same moment: once counts", func() {
			o := accepted(buyer, svc, 1)
			meet(confirm(o.ID), confirm(o.ID), nil)
			Expect(topics(buyer, svc)).To(Equal([]string{"order.created 1", "order.confirmed 2"}))
		})

		It("by many in any order, and end cancelled with a history without gaps", func() {
			const orders = 12
			var ids []uuid.UUID
			for range orders {
				ids = append(ids, accepted(buyer, svc, 1).ID)
			}
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					defer GinkgoRecover()
					for i := range ids {
						switch id := ids[(i+worker*3)%orders]; worker % 2 {
						case 0:
							held(id, ids[(i+5)%orders])
						default:
							Expect(calledOff(buyer, svc, id, "")).Error().NotTo(HaveOccurred())
						}
					}
				})
			}
			wg.Wait()
			told := map[string][]string{}
			for _, f := range recorded(buyer, svc) {
				told[f.Subject] = append(told[f.Subject], fmt.Sprintf("%s %d", f.Type, f.Sequence))
			}
			for _, id := range ids {
				o, err := svc.get(buyer, id)
				Expect(err).NotTo(HaveOccurred())
				Expect(o.Status).To(Equal(cancelled))
				Expect(told[id.String()]).To(BeElementOf(
					[]string{"order.created 1", "order.cancelled 2"}, []string{"order.created 1", "order.confirmed 2", "order.cancelled 3"}))
				Expect(journey(buyer, svc, id)).To(HaveLen(int(o.Version)))
				Expect(told[id.String()]).To(HaveLen(int(o.Version)))
			}
		})
	})
})
