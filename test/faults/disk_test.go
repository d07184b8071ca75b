package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// T-17: P1, P16.
var _ = Describe("a disk that is full", func() {
	const clients, skus, rate = 8, 10, 60

	// fills lets customers order before the disk is full, while it is, and afterwards. made
	// waits until PostgreSQL feels it; mended is what somebody has to do besides making room.
	fills := func(ctx context.Context, s *shop, title string, disk lab.Disk, made, mended func()) {
		s.stock(ctx, skus, 1_000_000)
		sampler := audit.Every(ctx, sized(200*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })
		rng := randomness(4)
		crowd := s.openPaced(ctx, clients, rate, func(n int) []load.Request {
			return []load.Request{order(fmt.Sprintf("disk-%05d", n), line{sku(rng.IntN(skus)), 1})}
		})
		Eventually(s.accepted).WithContext(ctx).WithTimeout(toEnd).Should(BeNumerically(">", 20))

		Expect(disk.Fill(ctx)).To(Succeed())
		made()
		before := s.accepted()
		refused := s.mustBeRefused(ctx)
		pass(ctx, sized(2*time.Second, 20*time.Second))
		s.mustBeAlive(ctx)
		while := s.accepted() - before
		freed := time.Now()
		Expect(disk.Free()).To(Succeed())
		mended()
		a, err := s.customers.Ask(ctx, 0, order("room-again", line{sku(0), 1}))
		back := time.Since(freed)
		Expect(err).NotTo(HaveOccurred())
		s.believe(a)
		pass(ctx, 500*time.Millisecond)
		asked := crowd.close()
		settled := s.settle(ctx, toEnd)
		samples := sampler.Stop()
		s.panics = s.PostgresSaid("PANIC")

		t := &table{title: "T-17 " + title}
		t.row("orders accepted (clients)", fmt.Sprintf("%d (%d)", s.accepted(), clients))
		t.row("of them while the disk was full", while)
		t.row("PostgreSQL panicked", s.panics)
		t.row("what a customer heard", refused)
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row("first order accepted after there was room again", back)
		t.row("last order ended after the last was accepted", settled)
		t.row(samplesRow, sampled(samples))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		Expect(back).To(BeNumerically("<", toDatabase))
		Expect(s.accepted()).To(Equal(asked + 1))
	}

	It("of the tables refuses what needs room, shows the rest, and goes on when there is some", func(ctx SpecContext) {
		s := buildShop(ctx)
		disk, err := s.DataDisk(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Start(ctx)).To(Succeed())
		s.openTo(s.URL, clients)
		fills(ctx, s, "data volume full", disk, func() {
			Eventually(func() int { return s.PostgresSaid("could not extend file") }).
				WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(BeNumerically(">", 0))
			a, err := s.customers.Ask(ctx, 0, load.Request{Method: http.MethodGet, Path: "/v1/products"})
			Expect(err).NotTo(HaveOccurred())
			Expect([]any{a.Status, a.Attempts}).To(Equal([]any{http.StatusOK, 1}), "who only looks needs no room")
		}, func() {})
		Expect(s.panics).To(BeZero())
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))

	// panics writes until the log has no room left, as a neighbour in the database does.
	panics := func(ctx context.Context, s *shop) func() {
		return func() {
			GinkgoHelper()
			Eventually(func() int {
				_, _ = s.db.ExecContext(ctx, `select pg_logical_emit_message(false, 'faults', repeat('x', 4000000))`)
				return s.PostgresSaid("PANIC")
			}).WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(BeNumerically(">", 0))
		}
	}

	It("of the write-ahead log takes PostgreSQL away, and the program brings its own one back", func(ctx SpecContext) {
		s := buildShop(ctx)
		disk, err := s.WALDisk(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Start(ctx)).To(Succeed())
		s.openTo(s.URL, clients)
		fills(ctx, s, "WAL volume full, PostgreSQL of the program's own", disk, panics(ctx, s), func() {})
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))

	It("of the write-ahead log takes PostgreSQL away, and the program waits for somebody else's", func(ctx SpecContext) {
		s := hostShop(ctx)
		Expect(s.Unhost(ctx)).To(Succeed())
		disk, err := s.WALDisk(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Host(ctx)).To(Succeed())
		r, err := s.Replica(ctx)
		Expect(err).NotTo(HaveOccurred())
		s.openTo(r.URL(), clients)
		s.URL = r.URL()
		fills(ctx, s, "WAL volume full, PostgreSQL elsewhere", disk, panics(ctx, s), func() {
			Expect(s.Unhost(ctx)).To(Succeed())
			Expect(s.Host(ctx)).To(Succeed())
		})
	}, SpecTimeout(sized(2*time.Minute, 4*time.Minute)))
})

// mustBeRefused asks for an order that nobody claims later, until it is refused for want of
// room, and tells how.
func (s *shop) mustBeRefused(ctx context.Context) string {
	GinkgoHelper()
	var heard string
	Eventually(func(g Gomega) {
		resp := s.once(ctx, g, http.MethodPost, "/v1/orders", `{"customerId":"impatient","items":[{"sku":"`+sku(0)+`","quantity":1}]}`)
		defer func() { _ = resp.Body.Close() }()
		g.Expect(resp).To(HaveHTTPStatus(http.StatusServiceUnavailable))
		g.Expect(resp).To(HaveHTTPHeaderWithValue("Content-Type", "application/problem+json"))
		g.Expect(resp.Header.Get("Retry-After")).NotTo(BeEmpty())
		g.Expect(resp).To(HaveHTTPBody(ContainSubstring(`"code":"dependency_unavailable"`)))
		heard = fmt.Sprintf("%s, Retry-After %s", resp.Status, resp.Header.Get("Retry-After"))
	}).WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Succeed())
	return heard
}

// mustBeAlive asks what needs no database.
func (s *shop) mustBeAlive(ctx context.Context) {
	GinkgoHelper()
	resp := s.once(ctx, Default, http.MethodGet, "/livez", "")
	defer func() { _ = resp.Body.Close() }()
	Expect(resp).To(HaveHTTPStatus(http.StatusOK))
}

// once asks once, and outside of the history.
func (s *shop) once(ctx context.Context, g Gomega, method, path, body string) *http.Response {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	g.Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Authorization", "Bearer "+lab.Key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	g.Expect(err).NotTo(HaveOccurred())
	return resp
}
