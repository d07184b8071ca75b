package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// toExpire is the promise for the stock of a hold whose time is up.
const toExpire = time.Minute

// held is a hold as the shopper was told of it.
type held struct {
	ID        string    `json:"id"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func holding(key string, ttlSeconds int, lines ...line) load.Request {
	return load.Request{Key: key, Method: http.MethodPost, Path: "/v1/inventory/holds", Body: map[string]any{"items": lines, "ttlSeconds": ttlSeconds}}
}

// paying is an order that claims a hold.
func paying(key, hold string, lines ...line) load.Request {
	return load.Request{Key: key, Method: http.MethodPost, Path: "/v1/orders", Body: map[string]any{
		"customerId": "customer-" + key, "items": lines, "metadata": map[string]string{"key": key}, "holdId": hold,
	}}
}

// hold asks until somebody holds the stock for the shopper.
func (s *shop) hold(ctx context.Context, at *load.Shop, client int, r load.Request) held {
	GinkgoHelper()
	a, err := at.Ask(ctx, client, r)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
	var h held
	Expect(a.Read(&h)).To(Succeed())
	return h
}

// pay asks until the order of a shopper who holds its stock is accepted.
func (s *shop) pay(ctx context.Context, at *load.Shop, client int, r load.Request) {
	GinkgoHelper()
	a, err := at.Ask(ctx, client, r)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
	s.believe(a)
}

// openReplica starts a second program on the shop's database, with a door of its own.
func (s *shop) openReplica(ctx context.Context, clients int) (*lab.Lab, *load.Shop) {
	GinkgoHelper()
	r, err := s.Twin(ctx)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(r.Close(ctx)).To(Succeed()) })
	Expect(r.Start(ctx)).To(Succeed())
	return r, load.NewShop(r.URL, lab.Key, clients, s.history)
}

// T-04: P4.
var _ = Describe("a hold that runs out as it is paid for", func() {
	It("ends once, and its stock is back, though one of two programs is killed", func(ctx SpecContext) {
		const lasts, around, skus, abandoned = 2, 50 * time.Millisecond, 4, 5 // seconds; every fifth
		shoppers := sized(60, 500)
		arrive := sized(1500*time.Millisecond, 8*time.Second)
		s := openShop(ctx, shoppers)
		replica, elsewhere := s.openReplica(ctx, shoppers)
		s.stock(ctx, skus, int64(2*shoppers/skus)) // a unit for every hold, and none beyond
		sampler := audit.Every(ctx, sized(50*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		var all sync.WaitGroup
		for shopper := range shoppers {
			rng, at := randomness(uint64(shopper)+1), s.customers
			if shopper%2 == 1 {
				at = elsewhere
			}
			all.Go(func() {
				defer GinkgoRecover()
				pass(ctx, arrive*time.Duration(shopper)/time.Duration(shoppers))
				basket := []line{{sku((shopper + 1) % skus), 1}, {sku(shopper % skus), 1}}
				h := s.hold(ctx, at, shopper, holding(fmt.Sprintf("hold-%03d", shopper), lasts, basket...))
				if shopper%abandoned == 0 {
					return
				}
				paid := between(rng, -around, around)
				if shopper%3 == 0 { // of whom a slow machine, too, hears in time
					paid = between(rng, -time.Second, -around)
				}
				pass(ctx, time.Until(h.ExpiresAt)+paid)
				s.pay(ctx, at, shopper, paying(fmt.Sprintf("order-%03d", shopper), h.ID, basket...))
			})
		}
		pass(ctx, lasts*time.Second+arrive/2)
		Expect(s.Kill()).To(Succeed())
		Expect(s.Start(ctx)).To(Succeed())
		all.Wait()
		s.settle(ctx, toEnd)
		Eventually(func() int { return s.count(`select count(*) from inventory.hold where status = 'held'`) }).
			WithContext(ctx).WithTimeout(lasts*time.Second + toExpire).WithPolling(20 * time.Millisecond).Should(BeZero())
		samples := sampler.Stop()

		ended := func(status string) int {
			return s.count(`select count(*) from inventory.hold where status = $1`, status)
		}
		twice := s.count(`select count(*) from (
			select from inventory.movement where hold_id is not null and kind <> 'held' group by hold_id having count(distinct kind) <> 1) twice`)
		late := s.count(`select count(*) from inventory.movement m join inventory.hold h on h.id = m.hold_id
			where m.kind = 'expired' and m.created_at > h.expires_at + $1 * interval '1 second'`, toExpire.Seconds())
		slowest := s.count(`select coalesce(max(extract(epoch from m.created_at - h.expires_at) * 1000), 0)::int
			from inventory.movement m join inventory.hold h on h.id = m.hold_id where m.kind = 'expired'`)
		back := s.count(`select sum(on_hand - reserved) from inventory.stock`)
		deadlocks, err := audit.Deadlocks(ctx, s.db)
		Expect(err).NotTo(HaveOccurred())
		t := &table{title: "T-04 hold expiry"}
		t.row("holds / paid around their end", fmt.Sprintf("%d / %d", shoppers, s.accepted()))
		t.row("claimed / expired", fmt.Sprintf("%d / %d", ended("claimed"), ended("expired")))
		t.row("ended in two ways", twice)
		t.row("stock back later than 60 s", late)
		t.row("stock back after, at the most", time.Duration(slowest)*time.Millisecond)
		t.row("units back / abandoned", fmt.Sprintf("%d / %d", back, 2*shoppers/abandoned))
		t.row("program killed", s.Faults().Kills)
		t.row("deadlocks", deadlocks)
		t.row(samplesRow, sampled(samples))
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row("seed", GinkgoRandomSeed())
		t.report()

		Expect(twice).To(BeZero())
		Expect(late).To(BeZero())
		Expect(ended("claimed") + ended("expired")).To(Equal(shoppers))
		Expect(ended("claimed")).To(BeNumerically(">", 0))
		Expect(back).To(Equal(2 * shoppers / abandoned))
		Expect(s.count(`select count(*) from orders.orders where status = 'confirmed'`)).To(Equal(s.accepted()), "who has paid gets it: their stock was held, or free again")
		Expect(deadlocks).To(BeZero())
		s.mustBeSound(ctx, samples)
		for _, program := range []*lab.Lab{s.Lab, replica} {
			Expect(program.GaveUp()).To(BeEmpty())
			for _, complaint := range []string{"timer failed", "event failed", "panic"} {
				Expect(program.Said(complaint)).To(BeZero(), complaint)
			}
		}
	}, SpecTimeout(sized(3*time.Minute, 5*time.Minute)))
})

// holdInEveryWay leaves one hold of each kind behind: held, claimed, released and expired.
func (s *shop) holdInEveryWay(ctx context.Context, sku string) {
	GinkgoHelper()
	hold := func(key string, ttlSeconds, quantity int) held {
		GinkgoHelper()
		return s.hold(ctx, s.customers, 0, holding(key, ttlSeconds, line{sku, quantity}))
	}
	hold("stays", 3600, 2)
	hold("expires", 1, 1)
	claimed, released := hold("is claimed", 3600, 3), hold("is released", 3600, 1)
	s.pay(ctx, s.customers, 0, paying("claims", claimed.ID, line{sku, 3}))
	a, err := s.customers.Ask(ctx, 0, load.Request{Method: http.MethodDelete, Path: "/v1/inventory/holds/" + released.ID})
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Status).To(Equal(http.StatusNoContent), "%s", a.Raw)
	Eventually(func() int { return s.count(`select count(distinct status) from inventory.hold`) }).
		WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Equal(4))
}

// holdForgeries are lies about what shoppers hold.
var holdForgeries = []forgery{
	{
		lie:  "a hold that is over while its units stay reserved",
		sql:  `update inventory.hold set status = 'released' where status = 'held'`,
		seen: "what is reserved is what orders and shoppers hold",
	},
	{
		lie: "a hold that was claimed and expired",
		sql: `insert into inventory.movement (tenant_id, id, location, sku, kind, on_hand_delta, reserved_delta, reason, hold_id, actor, created_at)
			select m.tenant_id, gen_random_uuid(), m.location, m.sku, 'expired', 0, m.reserved_delta, 'again', m.hold_id, m.actor, m.created_at
			from inventory.movement m where m.kind = 'claimed';
			update inventory.stock s set reserved = s.reserved + m.reserved_delta from inventory.movement m where m.kind = 'claimed' and m.sku = s.sku`,
		seen: "a hold takes its stock once and ends at most once",
	},
	{
		lie:  "a hold that ended in another way than the ledger says",
		sql:  `update inventory.hold set status = 'expired' where status = 'released'`,
		seen: "a hold takes its stock once and ends at most once", alone: true,
	},
	{
		lie: "a hold that took its stock twice and quietly gave it back",
		sql: `insert into inventory.movement (tenant_id, id, location, sku, kind, on_hand_delta, reserved_delta, reason, hold_id, actor, created_at)
			select tenant_id, gen_random_uuid(), location, sku, kind, 0, delta * reserved_delta, reason, hold_id, actor, created_at
			from inventory.movement, (values (1), (-1)) twice(delta) where kind = 'held'`,
		seen: "a hold takes its stock once and ends at most once", alone: true,
	},
	{
		lie:  "a hold that is claimed by nobody",
		sql:  `update inventory.hold set order_id = null where status = 'claimed'`,
		seen: "who claims a hold is an order that named it", alone: true,
	},
	{
		lie:  "a hold that is claimed by another order",
		sql:  `update inventory.hold set order_id = ` + aConfirmed + ` where status = 'claimed'`,
		seen: "who claims a hold is an order that named it", alone: true,
	},
	{
		lie:  "a hold that was forgotten",
		sql:  `update inventory.hold set expires_at = now() - interval '61 seconds' where status = 'held'`,
		seen: "no hold outlives its time by a minute", alone: true,
	},
}
