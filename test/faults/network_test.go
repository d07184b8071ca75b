package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// T-18: P1, P2, P16.
var _ = Describe("a network between the program and PostgreSQL", func() {
	// through lets customers order while the network is bad, and for a while before and after.
	through := func(ctx context.Context, title string, bad func(n *lab.Network) (felt int)) {
		const clients, skus, rate = 12, 20, 60
		s := hostShop(ctx)
		network, err := s.Wire(ctx, randomness(2))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(network.Close)
		r, err := s.Replica(ctx)
		Expect(err).NotTo(HaveOccurred())
		s.openTo(r.URL(), clients)
		s.stock(ctx, skus, 1_000_000)
		sampler := audit.Every(ctx, sized(200*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		rng := randomness(3)
		crowd := s.openPaced(ctx, clients, rate, func(n int) []load.Request {
			return []load.Request{order(fmt.Sprintf("over-%05d", n), line{sku(rng.IntN(skus)), 1}, line{sku(rng.IntN(skus)), 1})}
		})
		pass(ctx, 500*time.Millisecond)
		felt := bad(network)
		healed := time.Now()
		network.Turns(lab.Weather{})
		pass(ctx, 500*time.Millisecond)
		asked := crowd.close()
		answered := time.Since(healed)
		settled := s.settle(ctx, toEnd)
		samples := sampler.Stop()

		t := &table{title: "T-18 " + title}
		t.row("orders accepted (clients)", fmt.Sprintf("%d (%d)", s.accepted(), clients))
		t.row("times that the network made itself felt", felt)
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row("answers replayed", s.history.Replays())
		t.row("all customers answered after the network was well", answered)
		t.row("last order ended after the last was accepted", settled)
		t.row(samplesRow, sampled(samples))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		Expect(felt).To(BeNumerically(">=", 5))
		Expect(s.accepted()).To(Equal(asked))
		s.mustHaveWholePools(ctx)
	}

	It("may be slow", func(ctx SpecContext) {
		through(ctx, "300 ms latency", func(n *lab.Network) int {
			n.Turns(lab.Weather{Latency: 300 * time.Millisecond})
			pass(ctx, sized(3*time.Second, 30*time.Second))
			return n.Delayed()
		})
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))

	It("may reset one message in a hundred", func(ctx SpecContext) {
		through(ctx, "1 % resets", func(n *lab.Network) int {
			n.Turns(lab.Weather{Resets: 0.01})
			pass(ctx, sized(2*time.Second, time.Minute))
			return n.Resets()
		})
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))

	It("may lose the answer to a commit: who asks again is told what was done", func(ctx SpecContext) {
		through(ctx, "resets between COMMIT and its answer", func(n *lab.Network) int {
			n.Turns(lab.Weather{Unanswered: 0.2})
			pass(ctx, sized(2*time.Second, time.Minute))
			return n.Unanswered()
		})
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))

	It("may fall silent and forget all connections", func(ctx SpecContext) {
		through(ctx, "half-open silence", func(n *lab.Network) int {
			n.Turns(lab.Weather{Silent: true})
			pass(ctx, sized(3*time.Second, time.Minute))
			n.Forget()
			return n.Silenced()
		})
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))
})

// mustHaveWholePools proves that no connection is held by nobody: as many customers as the
// program has connections for requests are served at once and at the first try.
func (s *shop) mustHaveWholePools(ctx context.Context) {
	GinkgoHelper()
	const connections, busConnections = 16, 6
	Eventually(func() int {
		return s.count(`select count(*) from pg_stat_activity where usename = 'fusion_app' and state <> 'idle'`)
	}).WithContext(ctx).WithTimeout(toDatabase).WithPolling(50*time.Millisecond).Should(BeZero(), "transactions that nobody ends")
	Expect(s.count(`select count(*) from pg_stat_activity where usename = 'fusion_app'`)).To(BeNumerically("<=", connections+busConnections))

	inOrders, err := s.db.BeginTx(ctx, nil)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = inOrders.Rollback() }()
	_, err = inOrders.ExecContext(ctx, `lock table orders.orders in share mode`)
	Expect(err).NotTo(HaveOccurred())
	c := s.openCrowd(ctx, connections, connections)
	defer c.close()
	for n := range connections {
		c.ask(order(fmt.Sprintf("at-once-%02d", n), line{sku(0), 1}))
	}
	s.awaitBlocked(ctx, connections)
	Expect(inOrders.Rollback()).To(Succeed())
	for _, a := range c.hear(ctx, connections) {
		Expect([]any{a.Status, a.Attempts}).To(Equal([]any{http.StatusCreated, 1}), "%s", a.Raw)
		s.believe(a)
	}
}
