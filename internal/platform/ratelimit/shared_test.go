package ratelimit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/fusioncommerce/fusion/internal/platform/testkit/rediskit"
)

var _ = Describe("a limit that programs share", func() {
	var (
		store *rediskit.Server
		clock *hands
		said  *gbytes.Buffer
	)
	ctx := context.Background()
	// In an hour's quota the specs' own time is worth nothing.
	hourly := Quota{1000, time.Hour}

	BeforeEach(func() {
		store, clock, said = rediskit.Start(), &hands{}, gbytes.NewBuffer()
		clock.moveBy(1_800_000_000 * time.Second)
	})

	program := func(patience time.Duration) *Shared {
		GinkgoHelper()
		s, err := newShared(store.URL(), NewLocal(clock.now), clock.now, slog.New(slog.NewTextHandler(said, nil)), patience)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
		return s
	}

	It("lets in a quota at once, to one in a hundred, when 32 clients ask two programs", func() {
		one, other := program(time.Minute), program(time.Minute)
		var in [2]int64
		var both sync.WaitGroup
		both.Go(func() { in[0] = allowed(one, 16, 100, "anna", hourly) })
		both.Go(func() { in[1] = allowed(other, 16, 100, "anna", hourly) })
		both.Wait()
		Expect(string(said.Contents())).To(BeEmpty())
		Expect(in[0] + in[1]).To(BeNumerically("~", 1000, 10))
		Expect(in[0]).To(BeNumerically(">", 0))
		Expect(in[1]).To(BeNumerically(">", 0))
	})

	It("answers as the one that a program keeps for itself", func() {
		q := Quota{2, time.Hour}
		s := program(time.Minute)
		first := s.Take(ctx, "anna", q)
		Expect(first.Allowed).To(BeTrue())
		Expect(first.Remaining).To(Equal(1))
		Expect(first.Reset).To(BeNumerically("~", 30*time.Minute, 10*time.Second))
		Expect(s.Take(ctx, "anna", q).Remaining).To(Equal(0))
		refused := s.Take(ctx, "anna", q)
		Expect(refused.Allowed).To(BeFalse())
		Expect(refused.Wait).To(BeNumerically("~", 30*time.Minute, 10*time.Second))
		Expect(s.Take(ctx, "ben", q).Allowed).To(BeTrue())
	})

	It("is counted by each program for itself while the store is away, and shared when it is back", func() {
		s := program(time.Minute)
		Expect(allowed(s, 1, 10, "anna", Quota{5, time.Hour})).To(BeEquivalentTo(5))
		store.Stop()
		Expect(allowed(s, 8, 100, "anna", Quota{5, time.Hour})).To(BeEquivalentTo(5))
		Expect(s.Check(ctx)).NotTo(Succeed())
		Expect(said).To(gbytes.Say("does not answer"))
		Expect(string(said.Contents())).NotTo(MatchRegexp("(?s)does not answer.*does not answer"), "it is said once")
		store.Restart()
		Eventually(func() *gbytes.Buffer {
			clock.moveBy(pause)
			s.Take(ctx, "ben", hourly)
			return said
		}).Should(gbytes.Say("shared again"))
		Expect(allowed(s, 1, 10, "anna", Quota{5, time.Hour})).To(BeEquivalentTo(5), "the store has forgotten, and is what counts")
	})

	It("does not wait for a store that accepts connections and says nothing", func() {
		s := program(time.Second)
		Expect(s.Take(ctx, "anna", hourly).Allowed).To(BeTrue())
		store.Freeze()
		DeferCleanup(store.Thaw)
		Expect(allowed(s, 8, 1000, "anna", hourly)).To(BeEquivalentTo(1000))
	})

	It("cannot be kept at an address that is none", func() {
		_, err := NewShared("http://store", NewLocal(clock.now), clock.now, slog.New(slog.DiscardHandler))
		Expect(err).To(MatchError(ContainSubstring("limits.store_url")))
	})
})
