package orders

import (
	"context"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("an order that nobody pays", Label("db"), func() {
	var (
		svc *service
		m   *Module
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
		m = &Module{svc}
	})

	// ago has something done to an order as long ago as that.
	ago := func(id uuid.UUID, past time.Duration) {
		GinkgoHelper()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			for _, statement := range []string{`update orders.orders set created_at = $2 where id = $1`, `update orders.payment set updated_at = $2 where order_id = $1`} {
				if _, err := tx.Exec(ctx, statement, id, tx.Now.Add(-past)); err != nil {
					return err
				}
			}
			return nil
		})).To(Succeed())
	}
	n := int64(0)
	placed := func(past time.Duration) uuid.UUID {
		GinkgoHelper()
		p := quoted()
		n++
		p.Number = n
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return why(m.Place(ctx, tx, p, true)) })).To(Succeed())
		id := uuid.MustParse(p.OrderID)
		ago(id, past)
		return id
	}
	told := func(ctx context.Context, tx *db.Tx, order uuid.UUID, payment, status, captured string, version int64) error {
		r := event.Received[paymentsapi.PaymentCreated]{ID: clock.NewID()}
		r.Fact.Payment = paymentsapi.Payment{
			PaymentID: payment, OrderID: order.String(), Provider: "test", Amount: "41.40", Currency: "EUR", Status: status,
			Authorized: captured, Captured: captured, Refunded: "0.00", Disputed: "0.00", Version: version,
		}
		return heed(svc, func(e paymentsapi.PaymentCreated) paymentsapi.Payment { return e.Payment })(ctx, tx, []event.Received[paymentsapi.PaymentCreated]{r})
	}
	tells := func(order uuid.UUID, payment, status, captured string, version int64) {
		GinkgoHelper()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return told(ctx, tx, order, payment, status, captured, version) })).To(Succeed())
	}
	swept := func() {
		GinkgoHelper()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onUnpaid(ctx, tx, "now") })).To(Succeed())
	}
	stands := func(id uuid.UUID) status {
		GinkgoHelper()
		o, err := svc.get(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		return o.Status
	}
	timers := func() (due []time.Time) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			due = nil
			return tx.Select(ctx, &due, `select due_at from platform.timer where tenant_id = platform.current_tenant() and kind = $1 order by due_at`, sweepUnpaid)
		})).To(Succeed())
		return due
	}

	It("is cancelled when its time is up, which frees what was held for it", func() {
		late, young := placed(time.Hour+time.Second), placed(time.Hour-time.Minute)
		swept()
		swept()
		Expect(stands(young)).To(Equal(created))
		o, err := svc.get(ctx, late)
		Expect(err).NotTo(HaveOccurred())
		Expect(o).To(And(HaveField("Status", cancelled), HaveField("Reason", "unpaid"), HaveField("Version", BeEquivalentTo(2))))
		Expect(journey(ctx, svc, late)).To(Equal([]string{"created", "cancelled"}))
		facts := recorded(ctx, svc)
		Expect(facts).To(HaveLen(3))
		says(facts[2], ordersapi.OrderCancelled{Order: fact(o), Reason: "unpaid"})
	})

	It("is left alone as long as it was no cart, or somebody is paying it or has paid", func() {
		direct := accepted(ctx, svc, 1)
		ago(direct.ID, 48*time.Hour)
		transfer, page, part, whole := placed(0), placed(0), placed(0), placed(0)
		tells(transfer, clock.NewID().String(), "processing", "0.00", 1)
		tells(page, clock.NewID().String(), "requires_action", "0.00", 2)
		tells(part, clock.NewID().String(), "processing", "10.00", 2)
		tells(whole, clock.NewID().String(), "succeeded", "41.40", 2)
		for _, id := range []uuid.UUID{transfer, page, part, whole} {
			ago(id, 48*time.Hour)
		}
		swept()
		for _, id := range []uuid.UUID{direct.ID, transfer, page, part, whole} {
			Expect(stands(id)).To(Equal(created))
		}
	})

	It("has its time once more after a payment that came to nothing, unless it is tried again", func() {
		declined, retried := placed(0), placed(0)
		one, other := clock.NewID().String(), clock.NewID().String()
		for order, payment := range map[uuid.UUID]string{declined: one, retried: other} {
			tells(order, payment, "processing", "0.00", 1)
			tells(order, payment, "failed", "0.00", 2)
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				return why(tx.Exec(ctx, `update orders.orders set created_at = $2 where id = $1`, order, tx.Now.Add(-2*time.Hour)))
			})).To(Succeed())
		}
		swept()
		Expect([]status{stands(declined), stands(retried)}).To(Equal([]status{created, created}))
		tells(retried, other, "processing", "0.00", 3)
		ago(declined, 2*time.Hour)
		ago(retried, 2*time.Hour)
		swept()
		Expect([]status{stands(declined), stands(retried)}).To(Equal([]status{cancelled, created}))
	})

	It("is not cancelled when a payment begins at the same moment", func() {
		id := placed(2 * time.Hour)
		waits := whoWaits()
		before, err := waits()
		Expect(err).NotTo(HaveOccurred())
		done := make(chan error, 1)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			if err := told(ctx, tx, id, clock.NewID().String(), "processing", "0.00", 1); err != nil {
				return err
			}
			go func() {
				done <- svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onUnpaid(ctx, tx, "now") })
			}()
			Eventually(waits).Should(BeNumerically(">", before))
			return nil
		})).To(Succeed())
		Eventually(done).Should(Receive(BeNil()))
		Expect(stands(id)).To(Equal(created))
	})

	It("stays cancelled when money comes after all, which payments send back", func() {
		id := placed(2 * time.Hour)
		swept()
		tells(id, clock.NewID().String(), "succeeded", "41.40", 2)
		o, err := svc.get(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		Expect(o).To(And(HaveField("Status", cancelled), HaveField("Payment", fullyPaid)))
		Expect(owed(ctx, m, id)).To(HaveField("Closed", true))
	})

	It("is cancelled with up to 500 others at a time, the oldest first, and the rest directly after", func() {
		first := placed(3 * time.Hour)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			return why(tx.Exec(ctx, `
				with o as (
					insert into orders.orders (id, number, customer_id, status, currency, total_minor, metadata, version, created_at, updated_at, cart_id)
					select gen_random_uuid(), 1000 + i, 'guest', 'created', 'EUR', 100, '{}', 1, $1, $1, gen_random_uuid() from generate_series(1, $2) i returning id
				)
				insert into orders.line (order_id, position, product_id, sku, name, quantity, price_minor, total_minor) select id, 1, gen_random_uuid(), 'PEN', 'Pen', 1, 100, 100 from o`, tx.Now.Add(-2*time.Hour), sweepSize))
		})).To(Succeed())
		count := func() (left int) {
			GinkgoHelper()
			Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
				return tx.Get(ctx, &left, `select count(*) from orders.orders where tenant_id = platform.current_tenant() and status = 'created'`)
			})).To(Succeed())
			return left
		}
		again := len(timers())
		swept()
		Expect(stands(first)).To(Equal(cancelled))
		Expect(count()).To(Equal(1))
		Expect(timers()).To(HaveLen(again+1), "it comes again")
		swept()
		Expect(count()).To(BeZero())
	})

	It("is looked after by one timer a shop and quarter of an hour", func() {
		began := clock.System()
		placed(0)
		placed(0)
		due := timers()
		Expect(due).To(HaveLen(1))
		Expect(due[0].Minute() % 15).To(BeZero())
		Expect(due[0]).To(And(BeTemporally(">=", began.Add(time.Hour)), BeTemporally("<=", clock.System().Add(time.Hour+15*time.Minute))))
	})

	It("is looked at again after a payment that came to nothing", func() {
		id := placed(0)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			return why(tx.Exec(ctx, `delete from platform.timer where kind = $1`, sweepUnpaid))
		})).To(Succeed())
		svc.paying = newDeadline(svc.paying.timers, sweepUnpaid, svc.paying.after)
		payment := clock.NewID().String()
		tells(id, payment, "processing", "0.00", 1)
		Expect(timers()).To(BeEmpty())
		tells(id, payment, "failed", "0.00", 2)
		Expect(timers()).To(HaveLen(1))
	})

	It("is nobody's business where the installation says so", func() {
		svc.paying = newDeadline(svc.paying.timers, sweepUnpaid, 0)
		id := placed(1000 * time.Hour)
		Expect(timers()).To(BeEmpty())
		swept()
		Expect(stands(id)).To(Equal(created))
	})

	It("begins to be paid at the price of one statement", func() {
		id := placed(0)
		cost := &db.Cost{}
		Expect(svc.db.InTx(db.WithCost(ctx, cost), func(tx *db.Tx) error { return told(ctx, tx, id, clock.NewID().String(), "processing", "0.00", 1) })).To(Succeed())
		Expect(cost.RoundTrips()).To(BeEquivalentTo(3), "begin, what was told, commit")
	})
})
