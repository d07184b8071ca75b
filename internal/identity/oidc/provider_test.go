package oidc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a provider that is slow", func() {
	It("is waited for by a few, and not by who comes then", func() {
		var asked atomic.Int64
		held := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			<-held
			w.WriteHeader(http.StatusNotFound)
		}))
		DeferCleanup(server.Close)
		release := sync.OnceFunc(func() { close(held) })
		DeferCleanup(release)
		p := newProvider(server.URL, server.Client(), time.Now)
		ctx := context.Background()

		var waiters sync.WaitGroup
		for range queue {
			waiters.Go(func() {
				defer GinkgoRecover()
				_, err := p.discovered(ctx)
				Expect(err).To(MatchError(ErrUnavailable))
			})
		}
		Eventually(func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.waiting
		}).Should(Equal(queue))
		Eventually(asked.Load).Should(BeEquivalentTo(1))
		_, err := p.discovered(ctx)
		Expect(err).To(And(MatchError(ErrUnavailable), MatchError(ContainSubstring("others wait for it already"))))
		Expect(p.inQueue(ctx, func(context.Context) error { return nil })).To(MatchError(ErrUnavailable), "nor for what it would say of one person")
		release()
		waiters.Wait()
		Expect(asked.Load()).To(BeEquivalentTo(1))
		Expect(p.inQueue(ctx, func(context.Context) error { return nil })).To(Succeed())
	})
})
