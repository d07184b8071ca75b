package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// stepOf an order to the door, or back: what it writes first.
type stepOf struct {
	name, table, event, when string
}

func forward() []stepOf {
	told := func(status string) string { return "new.status = '" + status + "'" }
	return []stepOf{
		{"order", "orders.orders", "insert", "true"},
		{"reserve", "inventory.reservation", "insert", "true"},
		{"confirm", "orders.timeline", "insert", told("confirmed")},
		{"pay", "payments.payment", "insert", "true"},
		{"paid", "orders.timeline", "insert", told("paid")},
		{"label", "shipping.shipment", "insert", "true"},
		{"ship", "shipping.shipment", "update", told("shipped")},
		{"stock leaves", "inventory.departure", "insert", "true"},
		{"deliver", "shipping.shipment", "update", told("delivered")},
		{"delivered", "orders.timeline", "insert", told("delivered")},
	}
}

func backward() []stepOf {
	return []stepOf{
		{"cancel", "orders.orders", "update", "new.status = 'cancelled' and old.status <> 'cancelled'"},
		{"void", "shipping.shipment", "update", "new.label = 'voided'"},
		{"release", "inventory.reservation", "update", "new.status = 'released'"},
		{"refund", "payments.refund", "insert", "true"},
		{"refunded", "payments.refund", "update", "new.status = 'succeeded'"},
	}
}

// saga is a shop whose steps fail where the spec wants it.
type saga struct {
	*shop
	till    *till
	asked   int
	struck  int
	crashes int
}

// prepare has PostgreSQL ready to fail a step. What a try that fails has counted stays counted:
// sequences do not go back.
func (s *saga) prepare(ctx context.Context) {
	GinkgoHelper()
	s.do(ctx, `
		create schema strike;
		create sequence strike.met minvalue 0 start 0;
		create table strike.plan (kind text not null, times bigint not null);
		create function strike.now() returns trigger language plpgsql security definer as $$
		declare p strike.plan; n bigint;
		begin
			select * into p from strike.plan;
			if not found then return new; end if;
			n := nextval('strike.met');
			if n > p.times then return new; end if;
			case p.kind
				when 'error' then raise exception 'struck' using errcode = '53100';
				when 'timeout' then raise exception 'struck: canceling statement due to statement timeout' using errcode = '57014';
				else perform pg_sleep(30);
			end case;
			return new;
		end $$`)
}

func (s *saga) do(ctx context.Context, query string, args ...any) {
	GinkgoHelper()
	_, err := s.db.ExecContext(ctx, query, args...)
	Expect(err).NotTo(HaveOccurred(), query)
}

// fail has a step fail so often from now on.
func (s *saga) fail(ctx context.Context, st stepOf, kind string, times int) {
	GinkgoHelper()
	s.do(ctx, `select setval('strike.met', 0, true)`)
	s.do(ctx, `delete from strike.plan`)
	s.do(ctx, `insert into strike.plan values ($1, $2)`, kind, times)
	s.do(ctx, fmt.Sprintf(`create trigger strike before %s on %s for each row when (%s) execute function strike.now()`, st.event, st.table, st.when))
}

// mend ends that. The step must have been struck as often as it was to be.
func (s *saga) mend(ctx context.Context, st stepOf, times int) {
	GinkgoHelper()
	Expect(s.count(`select last_value from strike.met`)).To(BeNumerically(">=", times), "%s was not struck: the spec has proven nothing of it", st.name)
	s.do(ctx, `drop trigger strike on `+st.table)
	s.struck++
}

// crashAt kills the program once the step is under way.
func (s *saga) crashAt(ctx context.Context) func() {
	done := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(done)
		Eventually(func() int { return s.count(`select last_value from strike.met`) }).WithContext(ctx).WithTimeout(toEnd).WithPolling(5 * time.Millisecond).Should(BeNumerically(">", 0))
		s.inject(ctx, kill)
		s.do(ctx, `select pg_terminate_backend(pid) from pg_stat_activity where query not like '%pg_stat_activity%' and wait_event = 'PgSleep'`)
		s.crashes++
	}()
	return func() { <-done }
}

// hasten makes due what waits to be tried again, also of who was killed with it in hand.
func (s *saga) hasten(ctx context.Context) {
	GinkgoHelper()
	s.shop.hasten(ctx)
	s.do(ctx, `update platform.timer set due_at = now() where kind like 'shipping.%' and due_at > now()`)
}

func (s *saga) ask(ctx context.Context, method, path string, body any) load.Answer {
	GinkgoHelper()
	s.asked++
	a, err := s.customers.Ask(ctx, 0, load.Request{Key: fmt.Sprintf("saga-%d", s.asked), Method: method, Path: path, Body: body})
	Expect(err).NotTo(HaveOccurred())
	return a
}

func (s *saga) becomes(ctx context.Context, id, status string) {
	GinkgoHelper()
	Eventually(func() (found string, err error) {
		s.hasten(ctx)
		err = s.db.QueryRowContext(ctx, `select status from orders.orders where id = $1`, id).Scan(&found)
		return found, err
	}).WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Equal(status))
}

// places an order of something.
func (s *saga) places(ctx context.Context, quantity int) string {
	GinkgoHelper()
	s.asked++
	ask := order(fmt.Sprintf("saga-%d", s.asked), line{sku(s.asked % 4), quantity})
	ask.Body.(map[string]any)["shippingAddress"] = map[string]any{"name": "Ana", "line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"}
	a, err := s.customers.Ask(ctx, 0, ask)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
	return s.believe(a)
}

// pays an order; what is not known yet is looked for.
func (s *saga) pays(ctx context.Context, id string) {
	GinkgoHelper()
	s.becomes(ctx, id, "confirmed")
	s.asked++
	a, err := s.customers.Ask(ctx, 0, pay(fmt.Sprintf("saga-%d", s.asked), id, good))
	Expect(err).NotTo(HaveOccurred())
	Expect(a.OK() || a.Code() == "payment_in_progress").To(BeTrue(), "%s", a.Raw)
	s.becomes(ctx, id, "paid")
}

func (s *saga) parcel(ctx context.Context, order string) (id string) {
	GinkgoHelper()
	Eventually(func() error {
		s.hasten(ctx)
		return s.db.QueryRowContext(ctx, `select id from shipping.shipment where order_id = $1 and status = 'labelled'`, order).Scan(&id)
	}).WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Succeed())
	return id
}

// travel takes an order to the door.
func (s *saga) travel(ctx context.Context) {
	GinkgoHelper()
	id := s.places(ctx, 2)
	s.pays(ctx, id)
	parcel := s.parcel(ctx, id)
	Expect(s.ask(ctx, http.MethodPost, "/v1/shipments/"+parcel+"/ship", nil).Status).To(Equal(http.StatusOK))
	s.becomes(ctx, id, "shipped")
	Expect(s.ask(ctx, http.MethodPost, "/v1/shipments/"+parcel+"/deliver", nil).Status).To(Equal(http.StatusOK))
	s.becomes(ctx, id, "delivered")
	Eventually(func() int { return s.count(`select count(*) from inventory.departure where order_id = $1`, id) }).WithContext(ctx).WithTimeout(toEnd).Should(Equal(1))
}

// undo takes an order as far as its label and calls it off.
func (s *saga) undo(ctx context.Context) {
	GinkgoHelper()
	id := s.places(ctx, 2)
	s.pays(ctx, id)
	s.parcel(ctx, id)
	Expect(s.ask(ctx, http.MethodPost, "/v1/orders/"+id+"/cancel", map[string]any{"reason": "ordered twice"}).Status).To(Equal(http.StatusOK))
	s.believeCancelled(id)
	Eventually(func(g Gomega) {
		s.hasten(ctx)
		g.Expect(s.count(`select count(*) from orders.orders where id = $1 and status = 'cancelled' and captured_minor = refunded_minor and captured_minor > 0`, id)).To(Equal(1))
		g.Expect(s.count(`select count(*) from inventory.reservation where order_id = $1 and status = 'released'`, id)).To(Equal(1))
		g.Expect(s.count(`select count(*) from shipping.shipment where order_id = $1 and status = 'voided'`, id)).To(Equal(1))
	}).WithContext(ctx).WithTimeout(toEnd).WithPolling(50 * time.Millisecond).Should(Succeed())
}

var _ = Describe("an order from the shelf to the door, whose steps fail", func() {
	// T-10: P10 P4. Each step fails in turn: by an error, by a time that runs out, by the end of
	// the program; what undoes an order fails twice. Then nothing is half done.
	It("ends, holds nothing any more and costs nobody what they do not get", func(ctx SpecContext) {
		each := sized(1, 10)
		t := openTill()
		s := &saga{shop: openShop(ctx, 8, "FUSION_PAYMENTS_STRIPE_URL="+t.server.URL), till: t}
		const products, units = 4, 10_000
		s.stock(ctx, products, units)
		s.hireStripe(ctx, t)
		Expect(s.ask(ctx, http.MethodPut, "/v1/shipping/settings", map[string]any{
			"sender": map[string]any{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"}, "policy": "auto",
		}).Status).To(Equal(http.StatusOK))
		s.prepare(ctx)

		sheet := &table{title: "T-10 each step fails in turn"}
		run := func(steps []stepOf, times int, journey func(context.Context)) {
			for _, st := range steps {
				var took []string
				for _, kind := range []string{"error", "timeout", "crash"} {
					began := time.Now()
					for range each {
						often, finish := times, func() {}
						if kind == "crash" {
							often = 1
						}
						s.fail(ctx, st, kind, often)
						if kind == "crash" {
							finish = s.crashAt(ctx)
						}
						journey(ctx)
						finish()
						s.mend(ctx, st, often)
					}
					took = append(took, fmt.Sprintf("%s %s", kind, time.Since(began).Round(time.Millisecond)))
				}
				sheet.row(st.name, strings.Join(took, ", "))
			}
		}
		run(forward(), 1, s.travel)
		run(backward(), 2, s.undo)

		for range each { // the provider does not refund, or does not say so
			for kind, times := range map[string]int{stripesim.Fail: 1, stripesim.Drop: 1, stripesim.Busy: 2} {
				t.Break(stripesim.Fault{Kind: kind, Call: "POST /v1/refunds", Times: times})
				s.undo(ctx)
				s.struck += times
			}
		}
		for _, f := range t.Faults() {
			Expect(f.Met).To(Equal(f.Times), "%s did not happen: the spec has proven nothing of it", f.Kind)
		}
		short := s.places(ctx, units+1)
		s.becomes(ctx, short, "failed")
		declined := s.places(ctx, 1)
		s.becomes(ctx, declined, "confirmed")
		s.ask(ctx, http.MethodPost, "/v1/payments", pay("", declined, declines).Body)
		Expect(s.ask(ctx, http.MethodPost, "/v1/orders/"+declined+"/cancel", map[string]any{"reason": "not paid"}).Status).To(Equal(http.StatusOK))
		s.believeCancelled(declined)
		s.settle(ctx, toEnd)

		ended, open := s.count(`select count(*) from orders.orders where status in ('delivered', 'cancelled', 'failed')`), s.count(`select count(*) from orders.orders where status not in ('delivered', 'cancelled', 'failed')`)
		holds := s.count(`select coalesce(sum(reserved), 0) from inventory.stock`) + s.count(`select count(*) from inventory.hold where status = 'held'`)
		owed := s.count(`select count(*) from orders.orders where status in ('cancelled', 'failed') and captured_minor <> refunded_minor`)
		labels := s.count(`select count(*) from shipping.shipment h join orders.orders o on o.tenant_id = h.tenant_id and o.id = h.order_id where o.status = 'cancelled' and h.status <> 'voided'`)
		gone := s.count(`select coalesce(sum(l.shipped), 0) from orders.line l`)
		sheet.row("faults that happened / kills", fmt.Sprintf("%d / %d", s.struck, s.crashes))
		sheet.row("orders that ended / did not", fmt.Sprintf("%d / %d", ended, open))
		sheet.row("leaked holds", holds)
		sheet.row("captures that are not refunded", owed)
		sheet.row("labels of orders that were called off", labels)
		sheet.row("units that left / are missing on the shelf", fmt.Sprintf("%d / %d", gone, products*units-s.count(`select sum(on_hand) from inventory.stock`)))
		sheet.report()

		Expect([]int{open, holds, owed, labels}).To(Equal([]int{0, 0, 0, 0}))
		Expect(s.count(`select sum(on_hand) from inventory.stock`)).To(Equal(products*units - gone))
		ledger := t.Ledger("")
		Expect(ledger.Orders).To(HaveEach(HaveField("Charges", BeNumerically("<=", 1))), "nobody is charged twice")
		Expect(s.count(`select sum(captured_minor) from payments.payment`)).To(BeEquivalentTo(ledger.Sums[0].Captured))
		Expect(s.count(`select sum(refunded_minor) from payments.payment`)).To(BeEquivalentTo(ledger.Sums[0].Refunded))
		Expect(ledger.Sums[0].Captured - ledger.Sums[0].Refunded).To(BeEquivalentTo(s.count(`select sum(total_minor) from orders.orders where status = 'delivered'`)))

		s.do(ctx, `drop schema strike cascade`)
		s.claims.Asked = s.history.Keys()
		found, err := audit.Snapshot(ctx, s.db, audit.All(), s.claims)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeEmpty(), "in the end")
		Expect(s.Said("panic")).To(BeZero())
		Expect(s.PostgresSaid("violates check constraint")).To(BeZero(), "the last line of defence is never needed")
	}, SpecTimeout(15*time.Minute))
})
