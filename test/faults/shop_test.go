package faults_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

const (
	// toReady is the promise after a kill -9.
	toReady = 5 * time.Second
	// toDatabase is the promise after PostgreSQL was gone.
	toDatabase = 10 * time.Second
	// toEnd is the promise for accepted orders once the faults are over.
	toEnd = time.Minute
)

// shop is a running program with customers before it and an auditor behind it.
type shop struct {
	*lab.Lab
	db        *sql.DB
	history   *load.History
	customers *load.Shop
	rng       *rand.Rand // of the spec, from Ginkgo's --seed

	keys   []string // of orders that an earlier history tells of
	panics int      // of PostgreSQL, that are due to the fault

	mu     sync.Mutex
	claims audit.Claims
	place  map[string]int // of an accepted order in the claims
}

// openShop starts a shop for the running spec, with room for a number of clients.
func openShop(ctx context.Context, clients int, settings ...string) *shop {
	GinkgoHelper()
	s := buildShop(ctx)
	s.Configure(settings...)
	Expect(s.Start(ctx)).To(Succeed())
	s.openTo(s.URL, clients)
	return s
}

// hostShop makes a shop whose PostgreSQL is not the program's own, and starts no program.
func hostShop(ctx context.Context) *shop {
	GinkgoHelper()
	s := buildShop(ctx)
	Expect(s.Host(ctx)).To(Succeed())
	return s
}

func buildShop(ctx context.Context) *shop {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "fusion-faults-lab-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	l, err := lab.New(ctx, binary(), workshop, dir)
	Expect(err).NotTo(HaveOccurred())
	return keep(&shop{Lab: l, history: load.NewHistory(), rng: randomness(0), place: map[string]int{}})
}

// keep closes the lab when the spec is over, and saves what tells of a failure.
func keep(s *shop) *shop {
	DeferCleanup(func(ctx SpecContext) {
		if CurrentSpecReport().Failed() {
			s.keepEvidence()
		}
		Expect(s.Close(ctx)).To(Succeed())
	})
	return s
}

// startShop opens the shop of a lab to customers whose history may have begun elsewhere.
func startShop(ctx context.Context, l *lab.Lab, clients int, history *load.History) *shop {
	GinkgoHelper()
	s := keep(&shop{Lab: l, history: history, rng: randomness(0), place: map[string]int{}})
	Expect(s.Start(ctx)).To(Succeed())
	s.openTo(s.URL, clients)
	return s
}

// openTo lets customers in at an address, and the auditor.
func (s *shop) openTo(url string, clients int) {
	GinkgoHelper()
	s.customers = load.NewShop(url, lab.Key, clients, s.history)
	var err error
	s.db, err = s.Database()
	Expect(err).NotTo(HaveOccurred())
	s.db.SetMaxOpenConns(4)
	DeferCleanup(func() { _ = s.db.Close() }) // complains of connections that a crash has cut
}

// randomness is the same in every run with the same --seed; each stream differs.
func randomness(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), stream))
}

// keepEvidence saves the history and the logs of a failed spec where they outlive it.
func (s *shop) keepEvidence() {
	GinkgoHelper()
	kept, err := os.MkdirTemp("", "fusion-faults-failed-")
	Expect(err).NotTo(HaveOccurred())
	Expect(s.history.Write(filepath.Join(kept, "history.jsonl"))).To(Succeed())
	Expect(s.Keep(kept)).To(Succeed())
	AddReportEntry("evidence", fmt.Sprintf("history and logs are in %s; again with --seed=%d", kept, GinkgoRandomSeed()))
}

// between is a random duration.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// pass lets time go by, in the schedule of the faults and nowhere else.
func pass(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func sku(n int) string { return fmt.Sprintf("SKU-%03d", n) }

// stock makes products and waits until there is stock of all of them.
func (s *shop) stock(ctx context.Context, products int, units int64) {
	GinkgoHelper()
	c := s.openCrowd(ctx, 10, products)
	for n := range products {
		c.ask(load.Request{Key: "product-" + sku(n), Method: http.MethodPost, Path: "/v1/products", Body: map[string]any{
			"sku": sku(n), "name": "Thing " + sku(n), "price": fmt.Sprintf("%d.%02d", 1+n%20, n%100), "currency": "USD", "inventory": units,
		}})
	}
	for _, a := range c.hear(ctx, products) {
		Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
	}
	c.close()
	Eventually(func() int { return s.count(`select count(*) from inventory.stock`) }).
		WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Equal(products))
}

// line of an order that is asked for.
type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

func order(key string, lines ...line) load.Request {
	return load.Request{Key: key, Method: http.MethodPost, Path: "/v1/orders", Body: map[string]any{
		"customerId": "customer-" + key, "items": lines, "metadata": map[string]string{"key": key},
	}}
}

// believe notes an accepted order as the customer was told of it.
func (s *shop) believe(a load.Answer) (id string) {
	GinkgoHelper()
	id, err := s.note(a)
	Expect(err).NotTo(HaveOccurred())
	return id
}

func (s *shop) note(a load.Answer) (id string, err error) {
	var o audit.Accepted
	if err := a.Read(&o); err != nil {
		return "", err
	}
	o.Key = a.Request.Key
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place[o.ID] = len(s.claims.Accepted)
	s.claims.Accepted = append(s.claims.Accepted, o)
	return o.ID, nil
}

// believeCancelled notes that the customer was told so.
func (s *shop) believeCancelled(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.Accepted[s.place[id]].Cancelled = true
}

func (s *shop) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.claims.Accepted)
}

// count asks the auditor's connection for a number.
func (s *shop) count(query string, args ...any) int {
	GinkgoHelper()
	var n int
	Expect(s.db.QueryRow(query, args...).Scan(&n)).To(Succeed())
	return n
}

// settle waits until every order has ended and nothing waits that can be done by now, and
// tells how long it took.
func (s *shop) settle(ctx context.Context, within time.Duration) time.Duration {
	GinkgoHelper()
	began := time.Now()
	Eventually(func() (left int, err error) {
		err = s.db.QueryRowContext(ctx, `
			select (select count(*) from platform.delivery) + (select count(*) from (`+audit.OnTheWay+`) facts) + (select count(*) from orders.orders where status = 'created')
			     + (select count(*) from platform.timer where due_at <= clock_timestamp())`).Scan(&left)
		return left, err
	}).WithContext(ctx).WithTimeout(within).WithPolling(20*time.Millisecond).Should(BeZero(), func() string {
		found, err := audit.Snapshot(context.WithoutCancel(ctx), s.db, audit.All(), audit.Claims{Asked: s.history.Keys()})
		text := fmt.Sprintf("orders and deliveries that wait; the auditor says (%v):", err)
		for _, v := range found {
			text += "\n" + v.String()
		}
		return text
	})
	return time.Since(began)
}

// mustBeSound is the auditor's final word on a shop that has settled.
func (s *shop) mustBeSound(ctx context.Context, samples audit.Samples) {
	GinkgoHelper()
	Expect(samples.Violations).To(BeEmpty(), "while the shop worked")
	s.claims.Asked = s.history.Keys()
	found, err := audit.Snapshot(ctx, s.db, audit.All(), s.claims)
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeEmpty(), "in the end")

	Expect(s.GaveUp()).To(BeEmpty(), "the program ends when it is told to")
	Expect(s.history.Broken()).To(BeEmpty(), "no fault excuses a 500")
	Expect(s.Said("panic")).To(BeZero(), "panics in the program's log")
	Expect(s.Said("event failed")).To(BeZero(), "an outage costs an event no attempt")
	Expect(s.Said("event parked")).To(BeZero())
	Expect(s.PostgresSaid("deadlock detected")).To(BeZero())
	Expect(s.PostgresSaid("violates check constraint")).To(BeZero(), "the last line of defence is never needed")
	Expect(s.PostgresSaid("PANIC")).To(Equal(s.panics), "PostgreSQL gave up only where it was made to")
}

// crowd is a number of clients at work.
type crowd struct {
	requests chan load.Request
	answers  chan result
	done     chan struct{}
	close    func()
}

type result struct {
	answer load.Answer
	err    error
}

// openCrowd lets clients work on at most a number of requests in all.
func (s *shop) openCrowd(ctx context.Context, clients, most int) *crowd {
	c := &crowd{requests: make(chan load.Request, most), answers: make(chan result, most), done: make(chan struct{})}
	c.close = sync.OnceFunc(func() { close(c.requests); <-c.done })
	go func() {
		defer close(c.done)
		s.customers.Crowd(ctx, clients, c.requests, func(a load.Answer, err error) { c.answers <- result{a, err} })
	}()
	return c
}

func (c *crowd) ask(r load.Request) { c.requests <- r }

// hear waits for the next n answers.
func (c *crowd) hear(ctx context.Context, n int) []load.Answer {
	GinkgoHelper()
	heard := make([]load.Answer, 0, n)
	for range n {
		select {
		case r := <-c.answers:
			Expect(r.err).NotTo(HaveOccurred())
			heard = append(heard, r.answer)
		case <-ctx.Done():
			Fail("answers are missing: " + ctx.Err().Error())
		}
	}
	return heard
}

// paced is a crowd that asks at a rate, whatever it hears.
type paced struct {
	stop, done chan struct{}
	leave      context.CancelFunc
	n          int
	err        error // the first that somebody got instead of an answer
}

// maxPaced requests, however long it goes on.
const maxPaced = 100_000

// openPaced asks what wants says, at a rate a second, until it is closed. What was
// accepted is believed; a refusal is left to the history.
func (s *shop) openPaced(ctx context.Context, clients, rate int, wants func(n int) []load.Request) *paced {
	GinkgoHelper()
	ctx, leave := context.WithCancel(ctx)
	p := &paced{stop: make(chan struct{}), done: make(chan struct{}), leave: leave}
	requests := make(chan load.Request)
	go func() {
		defer close(requests)
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for n := range maxPaced {
			select {
			case <-tick.C:
			case <-p.stop:
				return
			}
			for _, r := range wants(n) {
				p.n++
				requests <- r
			}
		}
	}()
	go func() {
		defer close(p.done)
		known := map[string]bool{}
		s.customers.Crowd(ctx, clients, requests, func(a load.Answer, err error) {
			if err != nil && p.err == nil {
				p.err = err
			}
			if key := a.Request.Key; err == nil && a.Status == http.StatusCreated && !known[key] {
				known[key] = true
				_, err := s.note(a)
				p.err = errors.Join(p.err, err)
			}
		})
	}()
	DeferCleanup(func() { // of a spec that failed
		leave()
		p.finish()
	})
	return p
}

func (p *paced) finish() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	<-p.done
}

// close waits for the answers to what was asked, and tells how much that was.
func (p *paced) close() (asked int) {
	GinkgoHelper()
	p.finish()
	Expect(p.err).NotTo(HaveOccurred())
	return p.n
}

// sampled tells how closely a shop was watched.
func sampled(s audit.Samples) string {
	return fmt.Sprintf("%d (%d, %d), slowest %s", s.Stock, s.Whole, s.Missed, s.Slowest.Round(time.Millisecond))
}

const samplesRow = "samples of stock (of everything, PostgreSQL away)"

// table is what a person wants to read after a run.
type table struct {
	title string
	rows  [][2]string
}

func (t *table) row(name string, value any) {
	if d, ok := value.(time.Duration); ok {
		value = d.Round(time.Millisecond)
	}
	t.rows = append(t.rows, [2]string{name, fmt.Sprint(value)})
}

func (t *table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprintf(w, "| %s\t| %s\t|\n| ---\t| ---\t|\n", t.title, sized("short", "full"))
	for _, r := range t.rows {
		_, _ = fmt.Fprintf(w, "| %s\t| %s\t|\n", r[0], r[1])
	}
	_ = w.Flush()
	return "\n" + b.String()
}

// report shows the table: always after a full run, else when somebody wants to know.
func (t *table) report() {
	visibility := ReportEntryVisibilityFailureOrVerbose
	if full {
		visibility = ReportEntryVisibilityAlways
	}
	AddReportEntry(t.title, visibility, t)
}
