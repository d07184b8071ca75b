package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/cmd/fusion/backup"
	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// trade is T-14's size: T-01's load without its blows.
type trade struct {
	clients, skus int
	rush          int // orders before, and at least so many after
	next          int // orders in the shop that was restored
	asked         int
}

func newTrade() *trade {
	return &trade{clients: sized(4, 16), skus: sized(10, 100), rush: sized(60, 1000), next: sized(50, 500)}
}

// roomy is a folder for a lab, which an account of PostgreSQL's can pass through.
func roomy() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "fusion-faults-copy-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o755)).To(Succeed())
	return dir
}

// sell has a number of orders accepted.
func (t *trade) sell(ctx context.Context, s *shop, c *crowd, n int) {
	GinkgoHelper()
	for range n {
		t.asked++
		lines := make([]line, 0, 3)
		for range 1 + s.rng.IntN(3) {
			lines = append(lines, line{sku(s.rng.IntN(t.skus)), 1 + s.rng.IntN(2)})
		}
		c.ask(order(fmt.Sprintf("trade-%05d", t.asked), lines...))
	}
	for _, a := range c.hear(ctx, n) {
		Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
		s.believe(a)
	}
}

// sellWhile goes on selling until something is done.
func (t *trade) sellWhile(ctx context.Context, s *shop, c *crowd, do func()) {
	GinkgoHelper()
	done := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(done)
		do()
	}()
	for {
		t.sell(ctx, s, c, t.clients)
		select {
		case <-done:
			return
		default:
		}
	}
}

// many are more requests than a crowd in these specs is ever asked.
const many = 50_000

// believed are the orders that have been accepted so far.
func (s *shop) believed() []audit.Accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.claims.Accepted)
}

// heir starts the shop that a copy below dir has become, with the orders that it must know.
func (s *shop) heir(ctx context.Context, dir string, clients int, must []audit.Accepted) *shop {
	GinkgoHelper()
	l, err := lab.Adopt(ctx, binary(), dir)
	Expect(err).NotTo(HaveOccurred())
	h := startShop(ctx, l, clients, s.history)
	h.claims.Accepted = must
	for n, o := range must {
		h.place[o.ID] = n
	}
	return h
}

// goesOn wants every one of a number of new orders confirmed, with a number and with facts
// that nobody had before.
func (s *shop) goesOn(ctx context.Context, t *trade) {
	GinkgoHelper()
	c := s.openCrowd(ctx, t.clients, 1+t.next)
	defer c.close()
	c.ask(load.Request{Key: "product-NEW", Method: http.MethodPost, Path: "/v1/products", Body: map[string]any{
		"sku": "NEW", "name": "New thing", "price": "1.00", "currency": "USD", "inventory": t.next,
	}})
	Expect(c.hear(ctx, 1)[0].Status).To(Equal(http.StatusCreated))
	Eventually(func() int { return s.count(`select count(*) from inventory.stock where sku = 'NEW'`) }).
		WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Equal(1))
	lastNumber := s.count(`select max(number) from orders.orders`)
	lastFact := s.count(`select max(seq) from platform.event`)
	for n := range t.next {
		c.ask(order(fmt.Sprintf("next-%05d", n), line{"NEW", 1}))
	}
	var ids []string
	for _, a := range c.hear(ctx, t.next) {
		Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
		ids = append(ids, s.believe(a))
	}
	s.settle(ctx, toEnd)
	s.mustBeSound(ctx, audit.Samples{})

	const these = ` from orders.orders where metadata->>'key' like 'next-%' and `
	Expect(ids).To(HaveLen(t.next))
	Expect(s.count(`select count(*)` + these + `status = 'confirmed'`)).To(Equal(t.next))
	Expect(s.count(`select count(distinct number)`+these+`number > $1`, lastNumber)).To(Equal(t.next), "numbers that nobody had")
	Expect(s.count(`select count(*) from platform.event e join orders.orders o on o.id::text = e.subject and o.metadata->>'key' like 'next-%'
		where e.type in ('order.created', 'inventory.reserved', 'order.confirmed') and e.seq > $1`, lastFact)).To(Equal(3*t.next), "facts after all others")
	Expect(s.count(`select count(*) - count(distinct seq) from platform.event`)).To(BeZero())
}

// T-14: P14.
var _ = Describe("a backup of a shop at work", Ordered, func() {
	var (
		t        *trade
		original *shop
		restored *shop
		manifest backup.Manifest
		waiting  int // deliveries, as the backup began
		took     time.Duration
	)

	BeforeAll(func(ctx SpecContext) {
		t = newTrade()
		original = openShop(ctx, t.clients)
		original.stock(ctx, t.skus, int64(t.rush/t.skus+2)) // too little for some
		c := original.openCrowd(ctx, t.clients, many)
		DeferCleanup(c.close)
		t.sell(ctx, original, c, t.rush)
		// Orders that wait for their stock must be in the backup with all that will come of them.
		release, err := lab.HoldBack(ctx, original.db, "inventory.reserve-for-order")
		Expect(err).NotTo(HaveOccurred())
		defer release()
		t.sell(ctx, original, c, t.clients)
		must := original.believed()
		waiting = original.count(`select count(*) from platform.delivery`)
		dir := roomy()
		file := filepath.Join(dir, "shop.tar")
		t.sellWhile(ctx, original, c, func() {
			began := time.Now()
			out, err := original.Command(ctx, "backup", "create", "--to", file, "--json")
			took = time.Since(began)
			Expect(err).NotTo(HaveOccurred())
			var made struct{ Manifest backup.Manifest }
			Expect(json.Unmarshal(out, &made)).To(Succeed())
			manifest = made.Manifest
		})
		release()
		t.sell(ctx, original, c, t.rush)
		c.close()
		original.settle(ctx, toEnd)
		original.mustBeSound(ctx, audit.Samples{})

		_, err = lab.Command(ctx, binary(), dir, "backup", "verify", file)
		Expect(err).NotTo(HaveOccurred())
		_, err = lab.Command(ctx, binary(), dir, "backup", "restore", file, "--data", filepath.Join(dir, "data"))
		Expect(err).NotTo(HaveOccurred())
		restored = original.heir(ctx, dir, t.clients, must)
	}, NodeTimeout(sized(2*time.Minute, 5*time.Minute)))

	It("holds every order that was accepted before it, and ends them all", func(ctx SpecContext) {
		settled := restored.settle(ctx, toEnd)
		restored.mustBeSound(ctx, audit.Samples{})
		saved := restored.count(`select count(*) from orders.orders`)
		report := &table{title: "T-14 backup under load"}
		report.row("orders accepted before / saved / accepted in all", fmt.Sprintf("%d / %d / %d", restored.accepted(), saved, t.asked))
		report.row("deliveries that waited as it began", waiting)
		report.row("rows / tables / log position saved", fmt.Sprintf("%d / %d / %d", manifest.Rows(), len(manifest.Tables), manifest.Position))
		report.row("backup took", took)
		report.row("last order ended after the restored shop was ready", settled)
		report.row("seed", GinkgoRandomSeed())
		report.report()
		Expect(waiting).To(BeNumerically(">=", t.clients), "it has caught orders on their way")
		Expect(saved).To(BeNumerically(">=", restored.accepted()))
		Expect(saved).To(BeNumerically("<", t.asked-t.rush/2), "it was made in the middle")
	}, SpecTimeout(2*time.Minute))

	It("goes on: new orders are confirmed, with new numbers and new facts", func(ctx SpecContext) {
		restored.goesOn(ctx, t)
		Expect(restored.count(`select min(seq) from platform.event where seq > $1`, manifest.Position)).To(BeNumerically(">", manifest.Position+100_000),
			"who has read further than the backup misses nothing")
	}, SpecTimeout(2*time.Minute))

	// The mutants: the auditor of these specs must see what a bad backup leaves out.
	DescribeTable("would not get past the auditor", func(ctx SpecContext, mutation string) {
		Expect(audited(ctx, restored.db, `set local session_replication_role = replica; `+mutation, restored.claims)).NotTo(BeEmpty())
	},
		Entry("without orders", `delete from orders.orders`, SpecTimeout(time.Minute)),
		Entry("without lines", `delete from orders.line`, SpecTimeout(time.Minute)),
		Entry("without timelines", `delete from orders.timeline`, SpecTimeout(time.Minute)),
		Entry("without the order numbers' counter", `delete from orders.counter`, SpecTimeout(time.Minute)),
		Entry("without stock", `delete from inventory.stock`, SpecTimeout(time.Minute)),
		Entry("without movements", `delete from inventory.movement`, SpecTimeout(time.Minute)),
		Entry("without reservations", `delete from inventory.reservation`, SpecTimeout(time.Minute)),
		Entry("without reserved lines", `delete from inventory.reservation_line`, SpecTimeout(time.Minute)),
		Entry("without the log", `delete from platform.event`, SpecTimeout(time.Minute)),
		Entry("without what consumers have handled", `delete from platform.inbox`, SpecTimeout(time.Minute)),
		Entry("without who is subscribed", `delete from platform.subscription`, SpecTimeout(time.Minute)),
		Entry("without kept answers", `delete from platform.idempotency`, SpecTimeout(time.Minute)),
		Entry("with a log whose sequence begins anew", `alter sequence platform.event_seq restart with 1`, SpecTimeout(time.Minute)),
		Entry("with numbers that begin anew", `update orders.counter set next = 1001`, SpecTimeout(time.Minute)),
	)
})

var _ = Describe("a point in time", func() {
	// T-14: P14.
	It("in the archived log of a shop at work becomes a shop that goes on", func(ctx SpecContext) {
		t := newTrade()
		s := openShop(ctx, t.clients)
		archive, dir := roomy(), roomy()
		Expect(os.Chmod(archive, 0o777)).To(Succeed())
		Expect(lab.ArchiveTo(ctx, s.db, archive)).To(Succeed())
		Expect(s.CrashPostgres(ctx)).To(Succeed())
		Expect(s.AwaitReady(ctx)).To(Succeed())
		s.stock(ctx, t.skus, int64(t.rush/t.skus+2))
		c := s.openCrowd(ctx, t.clients, many)
		DeferCleanup(c.close)
		t.sell(ctx, s, c, t.rush)
		t.sellWhile(ctx, s, c, func() { Expect(s.BaseBackup(ctx, s.db, dir)).To(Succeed()) })

		position := func() (lsn string) {
			GinkgoHelper()
			Expect(s.db.QueryRowContext(ctx, `select pg_current_wal_lsn()`).Scan(&lsn)).To(Succeed())
			return lsn
		}
		t.sell(ctx, s, c, 1+s.rng.IntN(t.rush))
		must, from := s.believed(), position()
		t.sell(ctx, s, c, t.rush)
		to := position()
		t.sell(ctx, s, c, t.rush)
		c.close()
		var target, segment string
		Expect(s.db.QueryRowContext(ctx, `select $1::pg_lsn + trunc(($2::pg_lsn - $1::pg_lsn) * $3::numeric)`, from, to, s.rng.Float64()).Scan(&target)).To(Succeed())
		Expect(s.db.QueryRowContext(ctx, `select pg_walfile_name(pg_switch_wal())`).Scan(&segment)).To(Succeed())
		archived := filepath.Join(archive, segment)
		Eventually(archived).WithContext(ctx).WithTimeout(toEnd).Should(BeARegularFile())
		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, audit.Samples{})

		Expect(lab.RecoverTo(dir, archive, target)).To(Succeed())
		h := s.heir(ctx, dir, t.clients, must)
		saved := h.count(`select count(*) from orders.orders`)
		settled := h.settle(ctx, toEnd)
		report := &table{title: "T-14 point in time"}
		report.row("orders accepted before / recovered / accepted in all", fmt.Sprintf("%d / %d / %d", len(must), saved, t.asked))
		report.row("position, between", fmt.Sprintf("%s, %s and %s", target, from, to))
		report.row("last order ended after the recovered shop was ready", settled)
		report.row("seed", GinkgoRandomSeed())
		report.report()
		h.mustBeSound(ctx, audit.Samples{})
		Expect(saved).To(BeNumerically(">=", len(must)))
		Expect(saved).To(BeNumerically("<=", t.asked-t.rush), "what came later is not there")
		h.goesOn(ctx, t)
	}, SpecTimeout(sized(2*time.Minute, 5*time.Minute)))
})
