package faults_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
)

// acceptOrders is what the program does with a number of orders for one unit of one SKU
// each, in one statement and without its answer: order, line, timeline, fact, and a
// delivery for everybody who has subscribed. Their numbers are none that it gives.
const acceptOrders = `
with fence as materialized (select platform.fence()),
shop as (select tenant_id from platform.tenant where slug = 'default'),
goods as (
    select v.tenant_id, v.product_id, v.sku, p.name, c.minor, row_number() over (order by v.sku) - 1 place, count(*) over () places
    from catalog.variant v join catalog.product p on p.tenant_id = v.tenant_id and p.id = v.product_id
    join catalog.price c on c.tenant_id = v.tenant_id and c.variant_id = v.id and c.is_default
),
wanted as materialized (
    select shop.tenant_id, gen_random_uuid() id, n - 1000000 number, n, g.product_id, g.sku, g.name, g.minor
    from fence, shop, generate_series($1::bigint, $2::bigint) n join goods g on g.place = n % g.places
),
o as (
    insert into orders.orders (tenant_id, id, number, customer_id, status, currency, total_minor, metadata, version, created_at, updated_at)
    select tenant_id, id, number, 'customer-' || n, 'created', 'USD', minor, '{}', 1, now(), now() from wanted
),
l as (
    insert into orders.line (tenant_id, order_id, position, product_id, sku, name, quantity, price_minor, total_minor)
    select tenant_id, id, 1, product_id, sku, name, 1, minor, minor from wanted
),
t as (
    insert into orders.timeline (tenant_id, order_id, version, status, actor, at) select tenant_id, id, 1, 'created', 'auditor', now() from wanted
),
e as (
    insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
    select tenant_id, gen_random_uuid(), 'order.created', 1, id::text, 1, now(), 'backlog-' || n, '', 'auditor', json_build_object(
        'orderId', id, 'number', number, 'customerId', 'customer-' || n, 'status', 'created',
        'items', json_build_array(json_build_object('sku', sku, 'quantity', 1, 'price', (minor / 100.0)::numeric(20, 2)::text)),
        'total', (minor / 100.0)::numeric(20, 2)::text, 'currency', 'USD', 'version', 1, 'createdAt', now())
    from wanted order by n
    returning tenant_id, seq, recorded_at, subject
)
insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
select e.tenant_id, s.consumer, s.part, e.seq, e.recorded_at, e.subject
from e join platform.subscription s on s.topic = 'order.created' and s.part = (hashtext(e.subject) & 2147483647) % s.parts`

var _ = Describe("a program that was killed", func() {
	// T-13: P13. Serial, because it measures.
	It("is back at once, however much waits, and works it off", Serial, func(ctx SpecContext) {
		const skus, piece = 100, 5000
		backlog := sized(5000, 50_000)
		s := openShop(ctx, 4)
		s.stock(ctx, skus, int64(backlog/skus*3/4)) // a quarter of the orders finds nothing
		release, err := lab.HoldBack(ctx, s.db, "inventory.reserve-for-order")
		Expect(err).NotTo(HaveOccurred())
		defer release()
		for from := 0; from < backlog; from += piece {
			_, err := s.db.ExecContext(ctx, acceptOrders, from, from+piece-1)
			Expect(err).NotTo(HaveOccurred())
		}
		_, err = s.db.ExecContext(ctx, `analyze platform.delivery, platform.event`) // what autovacuum does in its own time
		Expect(err).NotTo(HaveOccurred())
		waited := s.count(`select count(*) from platform.delivery where consumer = 'inventory.reserve-for-order'`)

		struck := time.Now()
		Expect(s.Kill()).To(Succeed())
		release()
		first := make(chan time.Duration, 1)
		Expect(s.Launch()).To(Succeed())
		go func() {
			defer GinkgoRecover()
			a, err := s.customers.Ask(ctx, 0, order("first-after", line{sku(0), 1}))
			took := time.Since(struck)
			Expect(err).NotTo(HaveOccurred())
			Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
			s.believe(a)
			first <- took
		}()
		Expect(s.AwaitReady(ctx)).To(Succeed())
		ready := time.Since(struck)
		var accepted time.Duration
		Eventually(ctx, first).WithTimeout(toEnd).Should(Receive(&accepted))

		facts := func() int {
			return s.count(`select count(*) from platform.inbox where consumer in ('inventory.reserve-for-order', 'orders.confirm-reserved', 'orders.fail-insufficient')`)
		}
		Eventually(func() int {
			return s.count(`select count(*) from platform.delivery where consumer = 'inventory.reserve-for-order'`)
		}).
			WithContext(ctx).WithTimeout(time.Duration(backlog) * time.Second / slowest).WithPolling(50 * time.Millisecond).Should(BeZero())
		reserved := time.Since(struck)
		s.settle(ctx, 2*time.Duration(backlog)*time.Second/slowest)
		drained := time.Since(struck)
		handled := facts()

		rate := func(n int, d time.Duration) int { return int(float64(n) / d.Seconds()) }
		t := &table{title: "T-13 recovery with a backlog"}
		t.row("deliveries that waited at the kill -9", waited)
		t.row("ready after", ready)
		t.row("first new order accepted after", accepted)
		t.row("stock of all decided after (deliveries a second)", fmt.Sprintf("%s (%d)", reserved.Round(time.Millisecond), rate(waited, reserved)))
		t.row("all orders ended after (deliveries a second)", fmt.Sprintf("%s (%d)", drained.Round(time.Millisecond), rate(handled, drained)))
		t.row("confirmed / failed", fmt.Sprintf("%d / %d",
			s.count(`select count(*) from orders.orders where status = 'confirmed'`), s.count(`select count(*) from orders.orders where status = 'failed'`)))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, audit.Samples{})
		Expect(waited).To(Equal(backlog))
		Expect(ready).To(BeNumerically("<", toReady))
		Expect(accepted).To(BeNumerically("<", toReady))
		Expect(rate(handled, drained)).To(BeNumerically(">=", slowest))
	}, SpecTimeout(sized(2*time.Minute, 10*time.Minute)))

	It("does not give up when the database is in its way just after it became ready", func(ctx SpecContext) {
		s := openShop(ctx, 1)
		s.stock(ctx, 1, 10)
		s.settle(ctx, toEnd)
		Expect(s.Kill()).To(Succeed())
		other, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = other.Rollback() }()
		_, err = other.ExecContext(ctx, `lock table platform.job, platform.subscription in access exclusive mode`)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Start(ctx)).To(Succeed())
		Eventually(func() int {
			return min(s.Said("job cannot be registered yet"), s.Said("consumer cannot subscribe yet"))
		}).
			WithContext(ctx).WithTimeout(toEnd).WithPolling(20*time.Millisecond).Should(BeNumerically(">", 0), "it tries again, and says so")
		Expect(other.Rollback()).To(Succeed())

		a, err := s.customers.Ask(ctx, 0, order("at-last", line{sku(0), 1}))
		Expect(err).NotTo(HaveOccurred())
		s.believe(a)
		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, audit.Samples{})
		Expect(s.count(`select reserved from inventory.stock`)).To(Equal(1))
	}, SpecTimeout(2*time.Minute))

	DescribeTable("starts again after it was killed in the middle of a migration", func(ctx SpecContext, then func(context.Context, *shop, *sql.Tx)) {
		s := openShop(ctx, 1)
		s.stock(ctx, 1, 10)
		s.settle(ctx, toEnd)
		Expect(s.Kill()).To(Succeed())
		_, err := s.db.ExecContext(ctx, `drop schema orders cascade; truncate migrations.orders`)
		Expect(err).NotTo(HaveOccurred())
		other, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = other.Rollback() }()
		_, err = other.ExecContext(ctx, `lock table pg_catalog.pg_policy in share mode`) // the file makes policies at its end
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Launch()).To(Succeed())
		s.awaitBlocked(ctx, 1)
		Expect(s.Kill()).To(Succeed())
		then(ctx, s, other)

		Expect(s.Start(ctx)).To(Succeed())
		a, err := s.customers.Ask(ctx, 0, order("after-all", line{sku(0), 1}))
		Expect(err).NotTo(HaveOccurred())
		s.believe(a)
		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, audit.Samples{})
		Expect(s.count(`select reserved from inventory.stock`)).To(Equal(1))
	},
		Entry("which PostgreSQL finished on its own", func(_ context.Context, _ *shop, other *sql.Tx) {
			Expect(other.Rollback()).To(Succeed())
		}, SpecTimeout(2*time.Minute)),
		Entry("which PostgreSQL did not finish either", func(ctx context.Context, s *shop, _ *sql.Tx) {
			Expect(s.CrashPostgres(ctx)).To(Succeed())
		}, SpecTimeout(2*time.Minute)),
	)

	It("hears of what another replica was just publishing as it subscribed", func(ctx SpecContext) {
		s := openShop(ctx, 1)
		s.stock(ctx, 1, 100)
		s.settle(ctx, toEnd)
		By("making a consumer one that nobody has heard of yet, as after an upgrade")
		Expect(s.Kill()).To(Succeed())
		_, err := s.db.ExecContext(ctx, `delete from platform.subscription where consumer = 'inventory.reserve-for-order'`)
		Expect(err).NotTo(HaveOccurred())
		_, err = s.db.ExecContext(ctx, acceptOrders, 1, 5)
		Expect(err).NotTo(HaveOccurred())
		By("beginning to publish before it subscribes and committing afterwards")
		other, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = other.Rollback() }()
		_, err = other.ExecContext(ctx, acceptOrders, 6, 10)
		Expect(err).NotTo(HaveOccurred())
		_, err = s.db.ExecContext(ctx, acceptOrders, 11, 15) // later in the log, and there before
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Launch()).To(Succeed())
		s.awaitBlocked(ctx, 1)
		Expect(other.Commit()).To(Succeed())

		Expect(s.AwaitReady(ctx)).To(Succeed())
		Eventually(func() int { return s.count(`select count(*) from orders.orders where status = 'confirmed'`) }).
			WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Equal(15))
		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, audit.Samples{})
	}, SpecTimeout(2*time.Minute))
})

// slowest rate at which a backlog may be worked off, in deliveries a second.
const slowest = 300
