package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// hands is a clock that stands until it is moved.
type hands struct{ at atomic.Int64 }

func (h *hands) now() time.Time          { return time.Unix(0, h.at.Load()) }
func (h *hands) moveBy(by time.Duration) { h.at.Add(int64(by)) }

// allowed counts how many of so many requests are let in, which clients send in parallel.
func allowed(l Limiter, clients, each int, key string, q Quota) int64 {
	var in atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				if l.Take(context.Background(), key, q).Allowed {
					in.Add(1)
				}
			}
		})
	}
	all.Wait()
	return in.Load()
}

var thousand = Quota{1000, time.Minute}

var _ = Describe("a limit", func() {
	var (
		clock *hands
		local *Local
	)
	ctx := context.Background()

	BeforeEach(func() {
		clock = &hands{}
		clock.moveBy(1_800_000_000 * time.Second)
		local = NewLocal(clock.now)
	})

	It("lets in exactly a minute's allowance at once", func() {
		Expect(allowed(local, 1, 1500, "anna", thousand)).To(BeEquivalentTo(1000))
	})

	It("lets in exactly as many when 32 clients ask with the same key", func() {
		Expect(allowed(local, 32, 100, "anna", thousand)).To(BeEquivalentTo(1000))
	})

	It("gives back one request at a time", func() {
		allowed(local, 1, 1000, "anna", thousand)
		clock.moveBy(59 * time.Millisecond)
		Expect(local.Take(ctx, "anna", thousand).Allowed).To(BeFalse())
		clock.moveBy(time.Millisecond)
		Expect(local.Take(ctx, "anna", thousand).Allowed).To(BeTrue())
		Expect(local.Take(ctx, "anna", thousand).Allowed).To(BeFalse())
	})

	DescribeTable("holds over an hour to one in a hundred, however hard somebody tries", func(requests int, every time.Duration) {
		q, in := Quota{requests, time.Minute}, 0
		for range int(time.Hour / every) {
			if local.Take(ctx, "anna", q).Allowed {
				in++
			}
			clock.moveBy(every)
		}
		Expect(in).To(BeNumerically("~", 61*requests, 61*requests/100)) // the first minute's came at once
	},
		Entry("a thousand a minute", 1000, 30*time.Millisecond),
		Entry("a number that does not divide a minute", 700, 11*time.Millisecond),
		Entry("thirty", 30, 333*time.Millisecond),
	)

	It("says what is left, when all is back and how long to wait", func() {
		q := Quota{3, time.Minute}
		Expect(local.Take(ctx, "anna", q)).To(Equal(Decision{Allowed: true, Remaining: 2, Reset: 20 * time.Second}))
		Expect(local.Take(ctx, "anna", q)).To(Equal(Decision{Allowed: true, Remaining: 1, Reset: 40 * time.Second}))
		Expect(local.Take(ctx, "anna", q)).To(Equal(Decision{Allowed: true, Remaining: 0, Reset: time.Minute}))
		clock.moveBy(5 * time.Second)
		Expect(local.Take(ctx, "anna", q)).To(Equal(Decision{Reset: 55 * time.Second, Wait: 15 * time.Second}))
		clock.moveBy(15 * time.Second)
		Expect(local.Take(ctx, "anna", q).Allowed).To(BeTrue())
	})

	It("does not count who is refused, or who only looks", func() {
		q := Quota{1, time.Minute}
		Expect(local.Peek("anna", q).Allowed).To(BeTrue())
		Expect(allowed(local, 1, 100, "anna", q)).To(BeEquivalentTo(1))
		Expect(local.Peek("anna", q)).To(Equal(Decision{Reset: time.Minute, Wait: time.Minute}))
		clock.moveBy(time.Minute)
		Expect(local.Take(ctx, "anna", q).Allowed).To(BeTrue())
	})

	It("is each caller's own", func() {
		allowed(local, 1, 1500, "anna", thousand)
		Expect(local.Take(ctx, "ben", thousand).Remaining).To(Equal(999))
	})

	It("locks nobody out for longer than their debt when the clock is set back", func() {
		allowed(local, 1, 1000, "anna", thousand)
		clock.moveBy(-24 * time.Hour)
		Expect(local.Take(ctx, "anna", thousand).Wait).To(BeNumerically("<=", time.Minute))
	})

	It("keeps a bounded memory of callers, and forgets rather who asks little", func() {
		allowed(local, 1, 1000, "busy", thousand)
		for i := range 2 * shards * remembered {
			local.Take(ctx, fmt.Sprint(i), thousand)
		}
		Expect(local.known()).To(BeNumerically("<=", shards*remembered))
		Expect(local.Take(ctx, "busy", thousand).Allowed).To(BeFalse())
	})

	It("forgets who has not asked for a while", func() {
		for i := range 1000 {
			local.Take(ctx, fmt.Sprint(i), thousand)
		}
		clock.moveBy(2 * time.Minute)
		for i := range 10 * shards { // some in every shard
			local.Take(ctx, fmt.Sprint("later ", i), thousand)
		}
		Expect(local.known()).To(Equal(10 * shards))
	})
})

// known counts the callers that are remembered.
func (l *Local) known() (n int) {
	for i := range l.shards {
		n += len(l.shards[i].paid)
	}
	return n
}
