package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// drains is what an operator sets who has a balancer: longer than it takes to notice.
const drains = 4 * time.Second

// toExit is the promise after a SIGTERM.
const toExit = 25 * time.Second

// T-12: P12.
var _ = Describe("a rolling restart", func() {
	It("is noticed by nobody", func(ctx SpecContext) {
		const clients, skus, rate = 32, 20, 200
		restarts, every := sized(3, 20), sized(2500*time.Millisecond, 5*time.Second)
		slow := drains + sized(3*time.Second, 6*time.Second) // in hand when the listener closes
		s := hostShop(ctx)
		door, err := lab.Balance(ctx)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(door.Close)
		roll := func() *lab.Replica {
			GinkgoHelper()
			r, err := s.Replica(ctx, "FUSION_SHUTDOWN_DELAY="+drains.String())
			Expect(err).NotTo(HaveOccurred())
			door.Add(r.Addr)
			return r
		}
		running := []*lab.Replica{roll(), roll()}
		s.openTo(door.URL(), clients)
		s.stock(ctx, skus, 1_000_000)

		crowd := s.openPaced(ctx, clients, rate, visits(s, skus))
		var (
			exits   sync.WaitGroup
			mu      sync.Mutex
			slowest time.Duration
		)
		for n := range restarts {
			next := time.NewTimer(every)
			defer next.Stop()
			old := running[0]
			key := fmt.Sprintf("slow-%02d", n)
			sent := make(chan struct{})
			exits.Go(func() {
				defer GinkgoRecover()
				s.believe(s.askSlowly(ctx, old.URL(), order(key, line{sku(0), 1}), slow, sent))
			})
			Eventually(ctx, sent).Should(BeClosed())
			exits.Go(func() {
				defer GinkgoRecover()
				took, err := old.Stop(ctx)
				Expect(err).NotTo(HaveOccurred())
				door.Remove(old.Addr)
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, took)
			})
			running = append(running[1:], roll())
			select {
			case <-next.C:
			case <-ctx.Done():
			}
		}
		exits.Wait()
		asked := crowd.close()
		settled := s.settle(ctx, toEnd)

		t := &table{title: "T-12 rolling restart"}
		t.row("restarts / requests (orders)", fmt.Sprintf("%d / %d (%d)", restarts, asked, s.accepted()))
		t.row("answers that are neither 2xx nor 409", s.history.Unanswered())
		t.row("refusals", s.history.Count(load.Fail))
		t.row("slowest exit", slowest)
		t.row("last order ended after the last was accepted", settled)
		t.row("seed", GinkgoRandomSeed())
		t.report()

		Expect(s.history.Unanswered()).To(BeEmpty(), "nobody heard anything but 2xx and 409")
		Expect(s.history.Count(load.Fail)).To(BeZero())
		Expect(slowest).To(BeNumerically("<", toExit))
		s.mustBeSound(ctx, audit.Samples{})
		Expect(s.accepted()).To(BeNumerically(">", restarts*10), "there was something to notice")
	}, SpecTimeout(sized(2*time.Minute, 6*time.Minute)))

	It("is told to balancers before it is felt", func(ctx SpecContext) {
		s := hostShop(ctx)
		r, err := s.Replica(ctx, "FUSION_SHUTDOWN_DELAY="+drains.String())
		Expect(err).NotTo(HaveOccurred())
		s.openTo(r.URL(), 1)
		s.stock(ctx, 1, 10)
		s.settle(ctx, toEnd)
		Expect(r.Terminate()).To(Succeed())
		var closes bool // of the first answer that says so: net/http itself ends connections at the end
		Eventually(func(g Gomega) {
			var status int
			var code string
			status, code, closes = s.readiness(ctx, g, r.URL())
			g.Expect([]any{status, code}).To(Equal([]any{http.StatusServiceUnavailable, "draining"}))
		}).WithContext(ctx).WithTimeout(drains).WithPolling(5 * time.Millisecond).Should(Succeed())
		Expect(closes).To(BeTrue(), "no connection is kept for a next request")
		a, err := s.customers.Ask(ctx, 0, order("let-in", line{sku(0), 1}))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Attempts).To(Equal(1), "who has not noticed is served as before")
		s.believe(a)
		_, err = r.Stop(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Said(`"msg":"stopped"`)).To(Equal(1), "in good order")
		s.mustBeSound(ctx, audit.Samples{})
	}, SpecTimeout(time.Minute))
})

// readiness of a program as a balancer is told.
func (s *shop) readiness(ctx context.Context, g Gomega, url string) (status int, code string, closes bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	resp, err := http.DefaultClient.Do(req)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	var problem struct {
		Code string `json:"code"`
	}
	g.Expect(json.NewDecoder(resp.Body).Decode(&problem)).To(Succeed())
	return resp.StatusCode, problem.Code, resp.Close
}

// askSlowly sends a request whose body takes its time on the way, once. sent is closed
// when the program has begun to read it.
func (s *shop) askSlowly(ctx context.Context, url string, r load.Request, takes time.Duration, sent chan<- struct{}) load.Answer {
	GinkgoHelper()
	const drops = 40
	body, err := json.Marshal(r.Body)
	Expect(err).NotTo(HaveOccurred())
	from, to := io.Pipe()
	go func() {
		began := sync.OnceFunc(func() { close(sent) })
		defer began()
		size := (len(body) + drops - 1) / drops
		for len(body) > 0 {
			n := min(size, len(body))
			if _, err := to.Write(body[:n]); err != nil {
				return
			}
			body = body[n:]
			pass(ctx, takes/drops)
			began()
		}
		_ = to.Close()
	}()
	req, err := http.NewRequestWithContext(ctx, r.Method, url+r.Path, from)
	Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Authorization", "Bearer "+lab.Key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", r.Key)
	s.history.Asks(r)
	resp, err := http.DefaultClient.Do(req)
	Expect(err).NotTo(HaveOccurred(), "the slow request of %s", r.Key)
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp.StatusCode).To(Equal(http.StatusCreated), "%s", raw)
	return load.Answer{Request: r, Status: resp.StatusCode, Header: resp.Header, Raw: raw, Attempts: 1}
}

// visits are what customers of a shop in good order want: mostly to look, often to buy,
// and sometimes they press the button twice.
func visits(s *shop, skus int) func(n int) []load.Request {
	rng := randomness(1)
	return func(n int) []load.Request {
		get := func(path string) []load.Request { return []load.Request{{Method: http.MethodGet, Path: path}} }
		switch dice := rng.IntN(10); {
		case dice < 3:
			return []load.Request{order(fmt.Sprintf("visit-%05d", n), line{sku(rng.IntN(skus)), 1})}
		case dice == 3:
			twice := order(fmt.Sprintf("visit-%05d", n), line{sku(rng.IntN(skus)), 1})
			return []load.Request{twice, twice}
		case dice < 6:
			return get("/v1/products?limit=5")
		case dice < 8:
			return get("/v1/inventory/" + sku(rng.IntN(skus)))
		default:
			return get("/v1/orders?limit=3")
		}
	}
}
