package faults_test

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

var _ = Describe("an Idempotency-Key", func() {
	// T-02: P2.
	It("is one order and one answer, however often it is sent and whatever is killed meanwhile", func(ctx SpecContext) {
		const keys, clients = 20, 40
		requests := sized(600, 3000)
		s := openShop(ctx, clients)
		s.stock(ctx, keys, 1000)
		sampler := audit.Every(ctx, sized(100*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		key := func(n int) string { return fmt.Sprintf("key-%02d", n%keys) }
		ask := func(n int) load.Request { return order(key(n), line{sku(n % keys), 1 + n%keys}) }
		turns := s.rng.Perm(requests)
		c := s.openCrowd(ctx, clients, requests)
		DeferCleanup(c.close)
		answers := make([]load.Answer, 0, requests)
		third := requests / 3
		for _, n := range turns[:third] {
			c.ask(ask(n))
		}
		// The first blow falls while most keys have not been answered once.
		answers = append(answers, c.hear(ctx, 1+s.rng.IntN(keys))...)
		s.inject(ctx, kill)
		for _, n := range turns[third:] {
			c.ask(ask(n))
		}
		answers = append(answers, c.hear(ctx, third+s.rng.IntN(third))...)
		s.inject(ctx, kill)
		answers = append(answers, c.hear(ctx, requests-len(answers))...)
		c.close()
		s.settle(ctx, toEnd)
		samples := sampler.Stop()

		first, executed, different := map[string]load.Answer{}, 0, 0
		for _, a := range answers {
			Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
			if !a.Replayed {
				executed++
			}
			was, seen := first[a.Request.Key]
			if !seen {
				first[a.Request.Key] = a
				s.believe(a)
				continue
			}
			if !bytes.Equal(was.Raw, a.Raw) || was.Header.Get("Location") != a.Header.Get("Location") || was.Header.Get("ETag") != a.Header.Get("ETag") {
				different++
			}
		}
		orders := s.count(`select count(*) from orders.orders`)
		t := &table{title: "T-02 idempotency under kill -9"}
		t.row("requests / keys / clients", fmt.Sprintf("%d / %d / %d", requests, keys, clients))
		t.row("SIGKILL of the program", s.Faults().Kills)
		t.row("orders", orders)
		t.row("answers at first hand / replayed", fmt.Sprintf("%d / %d", executed, len(answers)-executed))
		t.row("replays that differ from the first answer", different)
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row(samplesRow, sampled(samples))
		t.row("violations", len(samples.Violations))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		Expect(s.Faults().Kills).To(Equal(2))
		Expect(orders).To(Equal(keys))
		Expect(first).To(HaveLen(keys))
		Expect(executed).To(BeNumerically("<=", keys))
		Expect(different).To(BeZero())

		By("refusing another body under a key that is taken, also after a restart")
		s.inject(ctx, kill)
		other, err := s.customers.Ask(ctx, 0, order(key(0), line{sku(0), 999}))
		Expect(err).NotTo(HaveOccurred())
		Expect(other.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(other.Code()).To(Equal("idempotency_key_reused"))
		again, err := s.customers.Ask(ctx, 0, ask(0))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Replayed).To(BeTrue())
		Expect(again.Raw).To(Equal(first[key(0)].Raw))
		Expect(s.count(`select count(*) from orders.orders`)).To(Equal(keys))
	}, SpecTimeout(sized(2*time.Minute, 3*time.Minute)))
})
