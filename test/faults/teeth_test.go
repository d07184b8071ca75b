package faults_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// forgery is a lie in the books and the invariant that must see it.
type forgery struct {
	lie   string
	sql   string
	seen  string // by this invariant
	alone bool   // and by no other: nothing else would have noticed
}

const (
	aConfirmed = `(select id from orders.orders where status = 'confirmed' order by number limit 1)`
	anotherOne = `(select id from orders.orders where status = 'confirmed' order by number offset 1 limit 1)`
	aSuccess   = `(select id from groupbuy.campaign where status = 'successful')`
	aFailure   = `(select id from groupbuy.campaign where status = 'cancelled')`
	aFailed    = `(select id from orders.orders where status = 'failed' order by number limit 1)`
	// A SKU of which one unit is reserved at least, and one is not.
	aSKU = `(select sku from inventory.stock where reserved > 0 and on_hand > reserved order by sku limit 1)`
)

var forgeries = slices.Concat(holdForgeries, moneyForgeries, []forgery{
	{
		lie:  "stock that is promised twice",
		sql:  `alter table inventory.stock drop constraint stock_reserved_check; update inventory.stock set reserved = on_hand + 1 where sku = ` + aSKU,
		seen: "stock is never promised twice",
	},
	{
		lie:  "stock that is less than nothing",
		sql:  `alter table inventory.stock drop constraint stock_reserved_check; update inventory.stock set reserved = -1 where sku = ` + aSKU,
		seen: "stock is never promised twice",
	},
	{
		lie:  "reserved that is off by one",
		sql:  `update inventory.stock set reserved = reserved - 1 where sku = ` + aSKU,
		seen: "what is reserved is what orders and shoppers hold",
	},
	{
		lie: "a line that is held twice",
		sql: `alter table inventory.reservation_line drop constraint reservation_line_pkey;
			insert into inventory.reservation_line select * from inventory.reservation_line where order_id = ` + aConfirmed,
		seen: "what is reserved is what orders and shoppers hold",
	},
	{
		lie:  "a reservation that is released while its units stay reserved",
		sql:  `update inventory.reservation set status = 'released' where order_id = ` + aConfirmed,
		seen: "what is reserved is what orders and shoppers hold",
	},
	{
		lie:  "a line that has left without a movement",
		sql:  `update inventory.reservation_line set shipped = 1 where order_id = ` + aConfirmed,
		seen: "a parcel leaves the stock once",
	},
	{
		lie:  "a parcel that left and is still on the shelf",
		sql:  `update orders.line set consigned = quantity - cancelled, shipped = quantity - cancelled where order_id = ` + aConfirmed,
		seen: "what has left of an order has left the stock", alone: true,
	},
	{
		lie:  "units that came back by no return",
		sql:  `update orders.line set taken_back = 1 where order_id = ` + aConfirmed,
		seen: "an order and its returns are one", alone: true,
	},
	{
		lie:  "money back for a return that there is not",
		sql:  `update orders.orders set returned_minor = 1 where id = ` + aConfirmed,
		seen: "an order and its returns are one", alone: true,
	},
	{
		lie:  "units that nobody delivered",
		sql:  `update inventory.stock set on_hand = on_hand + 1 where sku = ` + aSKU,
		seen: "stock is the sum of its movements", alone: true,
	},
	{
		lie:  "a movement that was forgotten",
		sql:  `delete from inventory.movement where kind = 'initial' and sku = ` + aSKU,
		seen: "stock is the sum of its movements", alone: true,
	},
	{
		lie: "a hold that was written twice and quietly taken back",
		sql: `insert into inventory.movement (tenant_id, id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, actor, created_at)
			select tenant_id, gen_random_uuid(), location, sku, kind, 0, delta * reserved_delta, reason, order_id, actor, created_at
			from inventory.movement, (values (1), (-1)) twice(delta) where kind = 'reserved' and order_id = ` + aConfirmed,
		seen: "a line is held once and freed at most once", alone: true,
	},
	{
		lie:  "a reservation that nobody was told of",
		sql:  `delete from platform.event where type = 'inventory.reserved' and subject = ` + aConfirmed + `::text`,
		seen: "a stock decision and its facts are one",
	},
	{
		lie: "an order that was told it has stock and that it has none",
		sql: `insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
			select tenant_id, gen_random_uuid(), 'inventory.insufficient', version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data
			from platform.event where type = 'inventory.reserved' and subject = ` + aConfirmed + `::text`,
		seen: "a stock decision and its facts are one",
	},
	{
		lie:  "an order that nobody was told of: the dual write",
		sql:  `delete from platform.event where type = 'order.created' and subject = ` + aConfirmed + `::text`,
		seen: "an order and its facts are one",
	},
	{
		lie: "an outcome that was told twice",
		sql: `insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
			select tenant_id, gen_random_uuid(), type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data
			from platform.event where type = 'order.confirmed' and subject = ` + aConfirmed + `::text`,
		seen: "an order and its facts are one",
	},
	{
		lie:  "an outcome that was never told",
		sql:  `delete from platform.event where type = 'order.failed' and subject = ` + aFailed + `::text`,
		seen: "an order and its facts are one",
	},
	{
		lie:  "a step that is missing in a timeline",
		sql:  `delete from orders.timeline where version = 2 and order_id = ` + aConfirmed,
		seen: "a timeline tells every step of its order", alone: true,
	},
	{
		lie:  "a cent too much",
		sql:  `update orders.orders set total_minor = total_minor + 1 where id = ` + aConfirmed,
		seen: "an order costs what its lines cost",
	},
	{
		lie:  "an order that lost its lines",
		sql:  `delete from orders.line where order_id = ` + aConfirmed,
		seen: "an order costs what its lines cost",
	},
	{
		lie: "two orders with one number",
		sql: `alter table orders.orders drop constraint orders_number_key;
			update orders.orders set number = (select number from orders.orders where id = ` + aConfirmed + `) where id = ` + anotherOne,
		seen: "no two orders have one number",
	},
	{
		lie:  "an order whose number will be given again",
		sql:  `update orders.counter set next = (select max(number) from orders.orders)`,
		seen: "an order's number is used up", alone: true,
	},
	{
		lie:  "a log whose sequence begins anew",
		sql:  `alter sequence platform.event_seq restart with 1`,
		seen: "the log is behind its sequence", alone: true,
	},
	{
		lie:  "orders that every merchant could read",
		sql:  `alter table orders.orders no force row level security`,
		seen: "a merchant's rows are shown to nobody else", alone: true,
	},
	{
		lie: "a request that was executed twice",
		sql: `insert into orders.orders (tenant_id, id, number, customer_id, status, currency, total_minor, metadata, version, created_at, updated_at)
			select tenant_id, gen_random_uuid(), number + 100000, customer_id, status, currency, total_minor, metadata, version, created_at, updated_at
			from orders.orders where id = ` + aConfirmed,
		seen: "one key is one order",
	},
	{
		lie:  "an answer that was not kept with its order",
		sql:  `delete from platform.idempotency where key = (select metadata->>'key' from orders.orders where id = ` + aConfirmed + `)`,
		seen: "an order and its kept answer are one", alone: true,
	},
	{
		lie: "an answer that names another order",
		sql: `update platform.idempotency set body = convert_to(replace(convert_from(body, 'UTF8'), ` + aConfirmed + `::text, ` + anotherOne + `::text), 'UTF8')
			where scope like '% POST /v1/orders'`,
		seen: "an order and its kept answer are one", alone: true,
	},
	{
		lie: "a fact that is lost on its way to a consumer",
		sql: `delete from platform.inbox where consumer = 'orders.confirm-reserved' and event_id =
			(select id from platform.event where type = 'inventory.reserved' and subject = ` + aConfirmed + `::text)`,
		seen: "a fact reaches each consumer once", alone: true,
	},
	{
		lie: "a fact that the carrier has lost",
		sql: `with on_kafka as (update platform.subscription set carried_after = 0 where consumer = 'orders.confirm-reserved')
			delete from platform.inbox where consumer = 'orders.confirm-reserved' and event_id =
			(select id from platform.event where type = 'inventory.reserved' and subject = ` + aConfirmed + `::text)`,
		seen: "the carrier has brought every fact", alone: true,
	},
	{
		lie: "a fact that comes back after it was handled",
		sql: `insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject, parked_at)
			select tenant_id, 'orders.confirm-reserved', 0, seq, recorded_at, subject, now() from platform.event where type = 'inventory.reserved' order by seq limit 1`,
		seen: "a fact reaches each consumer once",
	},
	{
		lie:  "a participant more than a campaign knows of",
		sql:  `update groupbuy.campaign set actual_participants = actual_participants - 1, min_participants = 1 where id = ` + aSuccess,
		seen: "a campaign knows how many have joined, and has room for them",
	},
	{
		lie: "a user who joined twice",
		sql: `alter table groupbuy.participant drop constraint participant_pkey;
			update groupbuy.participant set user_id = 'ana' where campaign_id = ` + aSuccess,
		seen: "a campaign knows how many have joined, and has room for them",
	},
	{
		lie: "a campaign with more people than it has room for",
		sql: `alter table groupbuy.campaign drop constraint campaign_participants_check;
			update groupbuy.campaign set max_participants = actual_participants - 1 where id = ` + aSuccess,
		seen: "a campaign knows how many have joined, and has room for them", alone: true,
	},
	{
		lie:  "somebody who joined before it began",
		sql:  `update groupbuy.participant p set joined_at = c.start_time - interval '1 microsecond' from groupbuy.campaign c where c.id = p.campaign_id and position = 1`,
		seen: "nobody joins outside of the time", alone: true,
	},
	{
		lie:  "somebody who joined as it ended",
		sql:  `update groupbuy.participant p set joined_at = c.end_time from groupbuy.campaign c where c.id = p.campaign_id and position = 1`,
		seen: "nobody joins outside of the time", alone: true,
	},
	{
		lie: "a success that was told twice",
		sql: `insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
			select tenant_id, gen_random_uuid(), type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data
			from platform.event where type = 'group-commerce.campaign.successful'`,
		seen: "a campaign and its facts are one", alone: true,
	},
	{
		lie:  "a success that nobody noticed",
		sql:  `update groupbuy.campaign set status = 'active' where id = ` + aSuccess,
		seen: "a campaign and its facts are one",
	},
	{
		lie: "an order that was asked for twice",
		sql: `insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
			select tenant_id, gen_random_uuid(), type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data
			from platform.event where type = 'group-commerce.campaign.order-due' order by seq limit 1`,
		seen: "an order is asked for once for each who is to get one",
	},
	{
		lie:  "somebody who was forgotten",
		sql:  `update groupbuy.participant set ordered_at = null where position = 3 and campaign_id = ` + aSuccess,
		seen: "an order is asked for once for each who is to get one", alone: true,
	},
	{
		lie:  "an order for nobody",
		sql:  `delete from orders.participation where ctid = (select min(ctid) from orders.participation)`,
		seen: "one participation is one order",
	},
	{
		lie:  "one order for two",
		sql:  `update orders.participation set order_id = (select min(order_id::text)::uuid from orders.participation)`,
		seen: "one participation is one order",
	},
	{
		lie: "another price than was promised",
		sql: `update orders.line set price_minor = price_minor + 1, total_minor = total_minor + quantity where order_id in (select order_id from orders.participation);
			update orders.orders o set total_minor = (select total_minor from orders.line l where l.order_id = o.id) where id in (select order_id from orders.participation)`,
		seen: "participants of a successful campaign have what it promised, others nothing",
	},
	{
		lie:  "an order of a campaign that failed",
		sql:  `update orders.participation set campaign_id = ` + aFailure + ` where ctid = (select min(ctid) from orders.participation)`,
		seen: "participants of a successful campaign have what it promised, others nothing",
	},
	{
		lie:  "a timer that never goes off",
		sql:  `update platform.timer set due_at = now() - interval '1 minute'`,
		seen: "nothing waits whose time has come", alone: true,
	},
	{
		lie:  "an order without an end",
		sql:  `update orders.orders set status = 'created' where id = ` + aConfirmed,
		seen: "every order has ended",
	},
	{
		lie: "a delivery that nobody will handle",
		sql: `insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject, attempts, parked_at)
			select tenant_id, 'inventory.reserve-for-order', 0, seq, recorded_at, subject, 8, now() from platform.event where type = 'order.created' order by seq limit 1`,
		seen: "nothing is left to deliver",
	},
	{
		lie: "a confirmed order with half of its items",
		sql: `with half as (
				update inventory.reservation_line set quantity = quantity - 1
				where quantity > 1 and order_id = (select order_id from inventory.reservation_line l join orders.orders o on o.id = l.order_id where o.status = 'confirmed' and l.quantity > 1 order by o.number limit 1)
				returning order_id, sku
			), m as (
				update inventory.movement m set reserved_delta = reserved_delta - 1 from half where m.order_id = half.order_id and m.sku = half.sku
			)
			update inventory.stock s set reserved = reserved - 1 from half where s.sku = half.sku`,
		seen: "confirmed orders hold their items, others nothing", alone: true,
	},
	{
		lie: "a failed order that holds something",
		sql: `update inventory.reservation set status = 'held' where order_id = ` + aFailed + `;
			insert into inventory.reservation_line (tenant_id, order_id, location, sku, quantity)
			select tenant_id, order_id, 'default', sku, 1 from orders.line where order_id = ` + aFailed + ` limit 1`,
		seen: "confirmed orders hold their items, others nothing",
	},
	{
		lie: "a fact that names another sum",
		sql: `update platform.event set data = jsonb_set(data::jsonb, '{total}', '"0.01"')::json
			where type = 'order.created' and subject = ` + aConfirmed + `::text`,
		seen: "a fact of an order says what was ordered", alone: true,
	},
	{
		lie: "a fact that names other items",
		sql: `update platform.event set data = jsonb_set(data::jsonb, '{items,0,quantity}', '77')::json
			where type = 'order.created' and subject = ` + aConfirmed + `::text`,
		seen: "a fact of an order says what was ordered", alone: true,
	},
	{
		lie: "a buyer who was refused while there was stock",
		sql: `update platform.event set data = jsonb_set(data::jsonb, '{items,0,available}', '1000')::json
			where type = 'inventory.insufficient' and subject = ` + aFailed + `::text`,
		seen: "no order is refused what there is", alone: true,
	},
	{
		lie: "an accepted order that vanished without a trace",
		sql: `create temporary table gone on commit drop as select id, metadata->>'key' key from orders.orders where id = ` + aFailed + `;
			delete from platform.inbox where event_id in (select e.id from platform.event e join gone on e.subject = gone.id::text);
			delete from platform.event where subject in (select id::text from gone);
			delete from platform.idempotency where key in (select key from gone);
			delete from inventory.reservation where order_id in (select id from gone);
			delete from orders.timeline where order_id in (select id from gone);
			delete from orders.line where order_id in (select id from gone);
			delete from orders.orders where id in (select id from gone)`,
		seen: "what was accepted is there", alone: true,
	},
	{
		lie:  "a cancelled order that is sold after all",
		sql:  `update orders.orders set status = 'confirmed' where status = 'cancelled'`,
		seen: "what was accepted is there",
	},
	{
		lie:  "an order out of nowhere",
		sql:  `update orders.orders set metadata = '{"key": "never-asked"}' where id = ` + aConfirmed,
		seen: "nobody gets what nobody asked for",
	},
})

// A test that cannot fail proves nothing: every invariant is shown a lie that it must see.
var _ = Describe("the auditor", func() {
	Context("with books in order", Ordered, func() {
		var s *shop
		var claims audit.Claims

		BeforeAll(func(ctx SpecContext) {
			s = openShop(ctx, 4, "FUSION_PAYMENTS_TEST_PROVIDER=true")
			s.stock(ctx, 7, 12) // orders leave the last two to holds and carts
			c := s.openCrowd(ctx, 4, 40)
			for n := range 40 {
				c.ask(order(fmt.Sprintf("order-%02d", n), line{sku(n % 5), 2}, line{sku((n + 1) % 5), 1}))
			}
			var ids []string
			for _, a := range c.hear(ctx, 40) {
				ids = append(ids, s.believe(a))
			}
			c.close()
			s.holdInEveryWay(ctx, sku(5))
			s.sellForMoney(ctx, sku(6))
			s.settle(ctx, toEnd)
			cancelled := 0
			for _, id := range ids {
				if cancelled == 3 {
					break
				}
				a, err := s.customers.Ask(ctx, 0, load.Request{Key: "cancel-" + id, Method: http.MethodPost, Path: "/v1/orders/" + id + "/cancel", Body: map[string]string{}})
				Expect(err).NotTo(HaveOccurred())
				if a.OK() {
					s.believeCancelled(id)
					cancelled++
				}
			}
			success, failure := s.campaign(ctx, terms{least: 2, most: 5}), s.campaign(ctx, terms{least: 2, most: 5})
			for _, r := range []load.Request{join(success, "ana"), join(success, "ben"), join(success, "cleo"), join(failure, "ana"), calledOff(failure)} {
				a, err := s.customers.Ask(ctx, 0, r)
				Expect(err).NotTo(HaveOccurred())
				Expect(a.OK()).To(BeTrue(), "%s", a.Raw)
			}
			s.settle(ctx, toEnd)
			s.mustBeSound(ctx, audit.Samples{})
			claims = s.claims
		})

		for _, f := range forgeries {
			It("sees "+f.lie, func(ctx SpecContext) {
				found := audited(ctx, s.db, f.sql, claims)
				Expect(found).To(ContainElement(f.seen))
				if f.alone {
					Expect(found).To(HaveEach(f.seen))
				}
			})
		}

		It("is shown a lie for each of its invariants", func() {
			for _, i := range audit.All() {
				Expect(slices.ContainsFunc(forgeries, func(f forgery) bool { return f.seen == i.Name })).To(BeTrue(), i.Name)
			}
			t := &table{title: "lies shown to the auditor"}
			t.row("invariants", len(audit.All()))
			t.row("lies, all seen", len(forgeries))
			t.report()
		})

		It("finds the books in order again after all that", func(ctx SpecContext) {
			s.mustBeSound(ctx, audit.Samples{})
		})
	})

	// What happens without row locks: buyers who look at the same moment all see the same
	// stock, and all of them buy.
	DescribeTable("sees while it happens that stock is sold by a decision without row locks",
		func(ctx SpecContext, prepare, take, seen string) {
			const units, buyers = 5, 20
			s := openShop(ctx, 1)
			s.stock(ctx, 1, units)
			s.settle(ctx, toEnd)
			sampler := audit.Every(ctx, 10*time.Millisecond, s.db)
			DeferCleanup(func() { sampler.Stop() })
			Eventually(func() int { return sampler.Now().Stock }).WithContext(ctx).Should(BeNumerically(">", 1))
			Expect(sampler.Now().Violations).To(BeEmpty())
			_, err := s.db.ExecContext(ctx, prepare)
			Expect(err).NotTo(HaveOccurred())

			sold := sabotage(ctx, s, buyers, take)
			Expect(sold).To(Equal(buyers), "all of them, of %d units", units)
			Eventually(func() []audit.Violation { return sampler.Now().Violations }).WithContext(ctx).WithTimeout(toEnd).
				Should(ContainElement(HaveField("Invariant", seen)))
		},
		Entry("which writes what it has read plus one", `select`,
			`update inventory.stock set reserved = $1 + 1`, "what is reserved is what orders and shoppers hold", SpecTimeout(time.Minute)),
		Entry("which adds one, past the constraint", `alter table inventory.stock drop constraint stock_reserved_check`,
			`update inventory.stock set reserved = reserved + 1 where $1::bigint is not null`, "stock is never promised twice", SpecTimeout(time.Minute)),
	)

	It("counts the deadlock of two who lock in different orders", func(ctx SpecContext) {
		s := openShop(ctx, 1)
		s.stock(ctx, 2, 10)
		before, err := audit.Deadlocks(ctx, s.db)
		Expect(err).NotTo(HaveOccurred())
		Expect(before).To(BeZero())
		one, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = one.Rollback() }()
		other, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = other.Rollback() }()
		const take = `update inventory.stock set reserved = reserved + 1 where sku = $1`
		_, err = one.ExecContext(ctx, take, sku(0))
		Expect(err).NotTo(HaveOccurred())
		_, err = other.ExecContext(ctx, take, sku(1))
		Expect(err).NotTo(HaveOccurred())
		crossed := make(chan error, 2)
		go func() { _, err := one.ExecContext(ctx, take, sku(1)); crossed <- err }()
		go func() { _, err := other.ExecContext(ctx, take, sku(0)); crossed <- err }()
		var ends [2]error
		for i := range ends {
			Eventually(ctx, crossed).WithTimeout(10 * time.Second).Should(Receive(&ends[i]))
		}
		Expect(ends).To(ConsistOf(Succeed(), MatchError(ContainSubstring("deadlock detected"))))
		Expect(one.Rollback()).To(Succeed())
		Expect(other.Rollback()).To(Succeed())
		Expect(s.PostgresSaid("deadlock detected")).To(Equal(1))
		Eventually(func() (int, error) { return audit.Deadlocks(ctx, s.db) }).WithContext(ctx).WithTimeout(toEnd).Should(Equal(1))
	}, SpecTimeout(time.Minute))
})

// audited tells which invariants complain after a lie that is taken back afterwards.
func audited(ctx context.Context, db *sql.DB, lie string, claims audit.Claims) []string {
	GinkgoHelper()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(tx.Rollback()).To(Succeed()) }()
	before, err := audit.Check(ctx, tx, audit.All(), claims)
	Expect(err).NotTo(HaveOccurred())
	Expect(before).To(BeEmpty(), "before the lie")
	_, err = tx.ExecContext(ctx, lie)
	Expect(err).NotTo(HaveOccurred())
	after, err := audit.Check(ctx, tx, audit.All(), claims)
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, v := range after {
		names = append(names, v.Invariant)
	}
	return names
}

// sabotage lets buyers decide on what they have read without a lock, all at the same
// moment, and returns how many of them got a unit.
func sabotage(ctx context.Context, s *shop, buyers int, take string) (sold int) {
	GinkgoHelper()
	db, err := s.Database()
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(db.Close()).To(Succeed()) }()
	var (
		looked, all sync.WaitGroup
		mu          sync.Mutex
	)
	looked.Add(buyers)
	for range buyers {
		all.Go(func() {
			defer GinkgoRecover()
			tx, err := db.BeginTx(ctx, nil)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = tx.Rollback() }()
			var onHand, reserved int
			err = tx.QueryRowContext(ctx, `select on_hand, reserved from inventory.stock`).Scan(&onHand, &reserved)
			looked.Done()
			Expect(err).NotTo(HaveOccurred())
			looked.Wait()
			if onHand-reserved < 1 {
				return
			}
			_, err = tx.ExecContext(ctx, take, reserved)
			Expect(err).NotTo(HaveOccurred())
			_, err = tx.ExecContext(ctx, `
				with o as (select tenant_id, gen_random_uuid() order_id, sku from inventory.stock), r as (
					insert into inventory.reservation (tenant_id, order_id, status, created_at, updated_at)
					select tenant_id, order_id, 'held', now(), now() from o
				), l as (
					insert into inventory.reservation_line (tenant_id, order_id, location, sku, quantity) select tenant_id, order_id, 'default', sku, 1 from o
				)
				insert into inventory.movement (tenant_id, id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, actor, created_at)
				select tenant_id, gen_random_uuid(), 'default', sku, 'reserved', 0, 1, 'sabotage', order_id, 'saboteur', now() from o`)
			Expect(err).NotTo(HaveOccurred())
			Expect(tx.Commit()).To(Succeed())
			mu.Lock()
			sold++
			mu.Unlock()
		})
	}
	all.Wait()
	return sold
}

var _ = Describe("a customer", func() {
	It("repeats what has no definite answer, and takes a refusal for one", func(ctx SpecContext) {
		script := []int{http.StatusServiceUnavailable, 0, http.StatusInternalServerError, http.StatusCreated, http.StatusUnprocessableEntity}
		var keys []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status := script[0]
			script, keys = script[1:], append(keys, r.Header.Get("Idempotency-Key"))
			if status == 0 {
				panic(http.ErrAbortHandler) // the connection breaks
			}
			if status == http.StatusCreated {
				w.Header().Set("Idempotency-Replayed", "true")
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"code":"because"}`))
		}))
		DeferCleanup(server.Close)
		h := load.NewHistory()
		c := load.NewShop(server.URL, "key", 1, h)
		a, err := c.Ask(ctx, 0, order("wanted"))
		Expect(err).NotTo(HaveOccurred())
		Expect([]any{a.Status, a.Replayed, a.Attempts}).To(Equal([]any{http.StatusCreated, true, 4}))
		a, err = c.Ask(ctx, 0, order("refused"))
		Expect(err).NotTo(HaveOccurred())
		Expect([]any{a.Status, a.Code(), a.Attempts}).To(Equal([]any{http.StatusUnprocessableEntity, "because", 1}))

		Expect(keys).To(Equal([]string{"wanted", "wanted", "wanted", "wanted", "refused"}))
		Expect(h.Unknown()).To(Equal("500 because ×1, 503 because ×1, connection ×1"))
		Expect(h.Broken()).To(HaveLen(1))
		Expect([]int{h.Count(load.Invoke), h.Count(load.Info), h.Count(load.OK), h.Count(load.Fail), h.Replays()}).To(Equal([]int{2, 3, 1, 1, 1}))
		Expect(h.Keys()).To(Equal([]string{"refused", "wanted"}))
	}, SpecTimeout(time.Minute))
})
