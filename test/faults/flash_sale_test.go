package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// T-03: P3, P4.
var _ = Describe("a flash sale", func() {
	It("sells exactly what there is and refuses nobody while there is some", func(ctx SpecContext) {
		units, buyers, clients := sized(200, 1000), sized(600, 3000), 64
		s := openShop(ctx, clients)
		s.stock(ctx, 1, int64(units))
		sampler := audit.Every(ctx, sized(100*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		began := time.Now()
		c := s.openCrowd(ctx, clients, buyers)
		DeferCleanup(c.close)
		for n := range buyers {
			c.ask(order(fmt.Sprintf("buyer-%05d", n), line{sku(0), 1}))
		}
		for _, a := range c.hear(ctx, buyers) {
			Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
			s.believe(a)
		}
		took := time.Since(began)
		settled := s.settle(ctx, toEnd)
		samples := sampler.Stop()

		sold := s.count(`select count(*) from orders.orders where status = 'confirmed'`)
		refused := s.count(`select count(*) from orders.orders where status = 'failed'`)
		deadlocks, err := audit.Deadlocks(ctx, s.db)
		Expect(err).NotTo(HaveOccurred())
		t := &table{title: "T-03 flash sale"}
		t.row("units / buyers / clients", fmt.Sprintf("%d / %d / %d", units, buyers, clients))
		t.row("sold / refused", fmt.Sprintf("%d / %d", sold, refused))
		t.row("deadlocks", deadlocks)
		t.row(samplesRow, sampled(samples))
		t.row("violations", len(samples.Violations))
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row("orders accepted a second", int(float64(buyers)/took.Seconds()))
		t.row("last order ended after the last was accepted", settled)
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		Expect(sold).To(Equal(units))
		Expect(refused).To(Equal(buyers - units))
		Expect(s.count(`select on_hand - reserved from inventory.stock`)).To(BeZero())
		Expect(s.count(`
			select count(*) from platform.event refused join platform.event sold on sold.type = 'inventory.reserved' and sold.seq > refused.seq
			where refused.type = 'inventory.insufficient'`)).To(BeZero(), "nobody was refused before the last unit was sold")
		Expect(deadlocks).To(BeZero())
		Expect(samples.Stock).To(BeNumerically(">=", 2))
	}, SpecTimeout(sized(2*time.Minute, 5*time.Minute)))

	It("keeps mixed carts whole while stock is counted, corrected and freed", func(ctx SpecContext) {
		const clients, skus = 16, 50
		lasts := sized(4*time.Second, 45*time.Second)
		s := openShop(ctx, clients)
		s.stock(ctx, skus, 40)
		sampler := audit.Every(ctx, sized(100*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		var market market
		var all sync.WaitGroup
		until := time.Now().Add(lasts)
		for client := range clients {
			all.Go(func() {
				defer GinkgoRecover()
				market.visit(ctx, s, client, skus, until)
			})
		}
		all.Wait()
		settled := s.settle(ctx, toEnd)
		samples := sampler.Stop()

		deadlocks, err := audit.Deadlocks(ctx, s.db)
		Expect(err).NotTo(HaveOccurred())
		t := &table{title: "T-03 mixed carts"}
		t.row("SKUs / clients / seconds", fmt.Sprintf("%d / %d / %.0f", skus, clients, lasts.Seconds()))
		happened := market.count(s, t)
		t.row("deadlocks", deadlocks)
		t.row(samplesRow, sampled(samples))
		t.row("violations", len(samples.Violations))
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row("last order ended after the last was accepted", settled)
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		Expect(deadlocks).To(BeZero())
		Expect(happened).To(HaveEach(BeNumerically(">", 0)), "everything happened")
		Expect(samples.Stock).To(BeNumerically(">=", 4))
	}, SpecTimeout(sized(2*time.Minute, 5*time.Minute)))
})

// market is what customers and staff do to the stock at once.
type market struct {
	tooLate, counted, countRefused, adjusted, adjustRefused atomic.Int64
}

// count notes what came of it, and returns what became of the orders.
func (m *market) count(s *shop, t *table) (happened []int) {
	GinkgoHelper()
	for _, status := range []string{"confirmed", "failed", "cancelled"} {
		happened = append(happened, s.count(`select count(*) from orders.orders where status = $1`, status))
	}
	freed := s.count(`select count(*) from platform.event where type = 'inventory.released'`)
	t.row("orders: confirmed / failed / cancelled", fmt.Sprintf("%d / %d / %d", happened[0], happened[1], happened[2]))
	t.row("cancelled after their stock was held", freed)
	t.row("cancellations refused, order had failed", m.tooLate.Load())
	t.row("stock counted / refused below reserved", fmt.Sprintf("%d / %d", m.counted.Load(), m.countRefused.Load()))
	t.row("stock adjusted / refused below reserved", fmt.Sprintf("%d / %d", m.adjusted.Load(), m.adjustRefused.Load()))
	return append(happened, freed)
}

// most things that one client does, however fast the machine.
const mostVisits = 20_000

// visit is one client's time in the market, the same in every run with the same seed as
// far as the answers allow.
func (m *market) visit(ctx context.Context, s *shop, client, skus int, until time.Time) {
	GinkgoHelper()
	rng := randomness(uint64(client) + 1)
	var mine []string // orders that were not cancelled yet
	for n := 0; n < mostVisits && time.Now().Before(until) && ctx.Err() == nil; n++ {
		key := fmt.Sprintf("market-%02d-%05d", client, n)
		switch dice := rng.IntN(100); {
		case dice < 60 || len(mine) == 0 && dice < 85:
			a := m.ask(ctx, s, client, order(key, cart(rng, skus)...))
			Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
			mine = append(mine, s.believe(a))
		case dice < 85:
			// Mostly the order just placed: its stock may be held, or about to be.
			at := len(mine) - 1
			if rng.IntN(4) == 0 {
				at = rng.IntN(len(mine))
			}
			id := mine[at]
			mine = append(mine[:at], mine[at+1:]...)
			a := m.ask(ctx, s, client, load.Request{Key: key, Method: http.MethodPost, Path: "/v1/orders/" + id + "/cancel", Body: map[string]string{"reason": "changed my mind"}})
			if m.okOr(a, "order_not_cancellable", &m.tooLate) {
				s.believeCancelled(id)
			}
		case dice < 92:
			shelf := "/v1/inventory/" + sku(rng.IntN(skus))
			var level struct {
				OnHand int `json:"onHand"`
			}
			Expect(m.ask(ctx, s, client, load.Request{Method: http.MethodGet, Path: shelf}).Read(&level)).To(Succeed())
			a := m.ask(ctx, s, client, load.Request{Method: http.MethodPut, Path: shelf, Body: map[string]int{"onHand": max(0, level.OnHand+change(rng))}})
			if m.okOr(a, "below_reserved", &m.countRefused) {
				m.counted.Add(1)
			}
		default:
			a := m.ask(ctx, s, client, load.Request{
				Key: key, Method: http.MethodPost, Path: "/v1/inventory/" + sku(rng.IntN(skus)) + "/adjustments",
				Body: map[string]any{"delta": change(rng), "reason": "delivery or damage"},
			})
			if m.okOr(a, "below_reserved", &m.adjustRefused) {
				m.adjusted.Add(1)
			}
		}
	}
}

func (m *market) ask(ctx context.Context, s *shop, client int, r load.Request) load.Answer {
	GinkgoHelper()
	a, err := s.customers.Ask(ctx, client, r)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		Expect(err).NotTo(HaveOccurred())
	}
	return a
}

// okOr accepts the one refusal that the rules of the shop allow.
func (m *market) okOr(a load.Answer, code string, refused *atomic.Int64) bool {
	GinkgoHelper()
	if a.OK() {
		return true
	}
	Expect(a.Code()).To(Equal(code), "%s", a.Raw)
	refused.Add(1)
	return false
}

// change of what is on hand: deliveries and damage that make up for about half of what
// the customers want.
func change(rng *rand.Rand) int {
	if n := rng.IntN(71) - 20; n != 0 {
		return n
	}
	return 1
}

// cart has three lines; some name a SKU twice.
func cart(rng *rand.Rand, skus int) []line {
	lines := make([]line, 3)
	for i := range lines {
		lines[i] = line{sku(rng.IntN(skus)), 1 + rng.IntN(3)}
	}
	if rng.IntN(10) == 0 {
		lines[2].SKU = lines[0].SKU
	}
	return lines
}
