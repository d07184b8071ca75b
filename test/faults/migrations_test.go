package faults_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/migrations"
	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// first is the migration that makes a module's schema. It cannot be taken back while a
// program of today serves customers: what the module does cannot be done without.
const first = 1

// needsStop are the later ones of which that is true as well, "orders/2", each with its
// reason. All others are taken back and applied again, and nobody notices: a migration that
// is added is held to that until it is entered here.
var needsStop = map[string]string{
	"catalog/2":   "whoever reads a product or a price reads how it is taxed",
	"catalog/3":   "whoever reads a product or a price reads what it weighs",
	"catalog/4":   "whoever reads a product or a price reads what customs ask of it",
	"inventory/2": "the reaction to an order asks it whether a hold is claimed",
	"orders/5":    "whoever reads or moves an order reads what was paid for it",
	"orders/6":    "whoever reads or moves an order reads how far its units are on their way",
	"orders/7":    "whoever reads or moves an order reads what came back of it",
	"orders/8":    "whoever reads or moves an order reads why it is held back",
	"orders/9":    "whoever reads a timeline reads what was edited",
	"orders/10":   "whoever reads or moves an order reads what was given back of it",
	"platform/3":  "whoever publishes a fact asks it how the consumers hear of it",
	"platform/4":  "whoever changes something writes into it that they did",
	"shipping/3":  "whoever looks at a cart, or at whether the shop sends, reads its zones and boxes",
}

// reads show that a module's schema is gone.
var reads = map[string]string{
	"catalog": "/v1/products", "inventory": "/v1/inventory", "orders": "/v1/orders",
}

// versions of each module's schema: the numbers of its files, in order.
func versions() map[string][]int {
	files, err := fs.Glob(migrations.FS, "*/*.up.sql")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	all := map[string][]int{}
	for _, file := range files {
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			panic(err) // golang-migrate would not find the file either
		}
		all[path.Dir(file)] = append(all[path.Dir(file)], version)
	}
	for _, numbers := range all {
		slices.Sort(numbers)
	}
	return all
}

func named(module string, version int) string { return fmt.Sprintf("%s/%d", module, version) }

// dependents first, the platform last: the order in which schemas can be taken away.
func dependents() []string {
	modules := slices.Sorted(maps.Keys(versions()))
	return append(slices.DeleteFunc(modules, func(m string) bool { return m == "platform" }), "platform")
}

// T-19: P17.
var _ = Describe("a migration", Ordered, func() {
	const clients, skus, rate = 16, 20, 100
	var (
		s *shop
		r *lab.Replica
		t *table
	)

	BeforeAll(func(ctx SpecContext) {
		const piece = 5000
		history := sized(5000, 100_000)
		s = hostShop(ctx)
		var err error
		r, err = s.Replica(ctx)
		Expect(err).NotTo(HaveOccurred())
		s.URL = r.URL()
		s.openTo(r.URL(), clients)
		s.stock(ctx, skus, 1_000_000)
		for from := 0; from < history; from += piece {
			_, err := s.db.ExecContext(ctx, acceptOrders, from, from+piece-1)
			Expect(err).NotTo(HaveOccurred())
		}
		s.settle(ctx, time.Duration(4*history)*time.Second/slowest)
		_, err = s.db.ExecContext(ctx, `vacuum analyze`) // what autovacuum does in its own time
		Expect(err).NotTo(HaveOccurred())
		t = &table{title: "T-19 migrations"}
		t.row("orders in the database", history)
		t.row("seed", GinkgoRandomSeed())
	}, NodeTimeout(sized(2*time.Minute, 15*time.Minute)))

	// under runs something while customers come, and tells what they heard but 2xx and 409.
	under := func(ctx context.Context, what string, do func()) (heard map[string]int) {
		GinkgoHelper()
		s.history = load.NewHistory()
		s.customers = load.NewShop(s.URL, lab.Key, clients, s.history)
		crowd := s.openPaced(ctx, clients, rate, visitsOf(s, what, skus))
		pass(ctx, 500*time.Millisecond)
		began := time.Now()
		do()
		took := time.Since(began)
		pass(ctx, 500*time.Millisecond)
		asked := crowd.close()
		Expect(s.history.Count(load.Fail)).To(BeZero())
		t.row(what+": requests, not answered", fmt.Sprintf("%d, %v in %s", asked, s.history.Unanswered(), took.Round(time.Millisecond)))
		return s.history.Unanswered()
	}
	migrating := func(module string, files fs.FS) *migrate.Runner {
		GinkgoHelper()
		runner, err := migrate.Open(s.OwnerURL(), files, slices.DeleteFunc([]string{module}, func(m string) bool { return m == "platform" })...)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(runner.Close)
		return runner
	}

	It("that adds to a table is noticed by nobody, there and back", func(ctx SpecContext) {
		next := madeUp("orders", [2]string{
			`alter table orders.orders add column rehearsal text; comment on column orders.orders.rehearsal is 'not yet read by anybody'`,
			`alter table orders.orders drop column rehearsal`,
		}, [2]string{
			`create index concurrently orders_rehearsal on orders.orders (tenant_id, rehearsal)`,
			`drop index concurrently orders.orders_rehearsal`,
		})
		before, err := s.Schema(ctx)
		Expect(err).NotTo(HaveOccurred())
		runner := migrating("orders", next)
		Expect(under(ctx, "a column and an index", func() {
			applied, err := runner.Up(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(applied).To(Equal(2))
			pass(ctx, 500*time.Millisecond)
			Expect(runner.Down(ctx, "orders")).To(Succeed())
			Expect(runner.Down(ctx, "orders")).To(Succeed())
		})).To(BeEmpty())
		Expect(s.Schema(ctx)).To(Equal(before))
	}, SpecTimeout(2*time.Minute))

	It("would be noticed if it kept customers waiting", func(ctx SpecContext) {
		runner := migrating("orders", madeUp("orders", [2]string{
			`lock table orders.orders in access exclusive mode; select pg_sleep(4)`, `select`,
		}))
		Expect(under(ctx, "a table that is locked for long", func() {
			_, err := runner.Up(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(runner.Down(ctx, "orders")).To(Succeed())
		})).NotTo(BeEmpty())
	}, SpecTimeout(2*time.Minute))

	for _, module := range dependents() {
		numbers := versions()[module]
		latest := numbers[len(numbers)-1]
		if needsStop[named(module, latest)] != "" || latest == first {
			continue
		}
		It(fmt.Sprintf("%s is taken back and applied again under customers' eyes, and they notice nothing", named(module, latest)), func(ctx SpecContext) {
			Expect(under(ctx, named(module, latest), func() {
				Expect(s.Fusion(ctx, "migrate", "down", module, "--yes")).To(Succeed())
				Expect(s.Fusion(ctx, "migrate", "up")).To(Succeed())
			})).To(BeEmpty(), "or it needs a stop, and its reason in needsStop")
		}, SpecTimeout(2*time.Minute))
	}

	It("loses nothing of what was accepted meanwhile", func(ctx SpecContext) {
		s.settle(ctx, toEnd)
		asked := s.keys
		for _, key := range asked {
			s.history.Asks(load.Request{Key: key})
		}
		s.mustBeSound(ctx, audit.Samples{})
	}, SpecTimeout(2*time.Minute))

	It("has a reason where it needs a stop", func() {
		for name, reason := range needsStop {
			module, number, _ := strings.Cut(name, "/")
			version, err := strconv.Atoi(number)
			Expect(err).NotTo(HaveOccurred())
			Expect(versions()[module]).To(ContainElement(version), name)
			Expect(version).NotTo(Equal(first), name)
			Expect(reason).NotTo(BeEmpty())
		}
	})

	// What happens to those who do not stop the program, although it says that they must.
	It("that takes a module's schema from under a program shows as a failure, and as nothing worse", func(ctx SpecContext) {
		for _, module := range dependents() {
			resource, shown := reads[module]
			if !shown {
				continue
			}
			for range versions()[module] {
				Expect(s.Fusion(ctx, "migrate", "down", module, "--yes")).To(Succeed())
			}
			resp := s.once(ctx, Default, http.MethodGet, resource, "")
			Expect(resp.StatusCode).To(BeNumerically(">=", 500), resource)
			Expect(resp).To(HaveHTTPHeaderWithValue("Content-Type", "application/problem+json"))
			Expect(resp).To(HaveHTTPBody(Not(ContainSubstring("relation"))))
			Expect(resp.Body.Close()).To(Succeed())
			s.mustBeAlive(ctx)
			t.row(named(module, first)+" under a program: "+resource, resp.StatusCode)

			Expect(s.Fusion(ctx, "migrate", "up")).To(Succeed())
			Eventually(func(g Gomega) {
				resp := s.once(ctx, g, http.MethodGet, resource, "")
				defer func() { _ = resp.Body.Close() }()
				g.Expect(resp).To(HaveHTTPStatus(http.StatusOK))
			}).WithContext(ctx).WithTimeout(toDatabase).Should(Succeed(), "it goes on by itself when its schema is back")
		}
	}, SpecTimeout(2*time.Minute))

	It("is taken back and applied again, each alone, and leaves the same schema and everybody else's rows", func(ctx SpecContext) {
		_, err := r.Stop(ctx)
		Expect(err).NotTo(HaveOccurred())
		whole, err := s.Schema(ctx)
		Expect(err).NotTo(HaveOccurred())
		alone := 0
		for _, module := range dependents() {
			rows := s.fingerprints(ctx, module)
			for _, version := range slices.Backward(versions()[module]) {
				before, err := s.Schema(ctx)
				Expect(err).NotTo(HaveOccurred())
				runner := migrating(module, upTo{migrations.FS, module, version})
				Expect(s.Fusion(ctx, "migrate", "down", module, "--yes")).To(Succeed(), named(module, version))
				without, err := s.Schema(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(without).NotTo(Equal(before), "%s does something", named(module, version))
				_, err = runner.Up(ctx)
				Expect(err).NotTo(HaveOccurred(), named(module, version))
				Expect(runner.Close()).To(Succeed(), "there are more migrations than connections")
				Expect(s.Schema(ctx)).To(Equal(before), "up after down of %s", named(module, version))
				Expect(s.Fusion(ctx, "migrate", "down", module, "--yes")).To(Succeed(), named(module, version))
				Expect(s.Schema(ctx)).To(Equal(without), "down again of %s", named(module, version))
				alone++
			}
			Expect(s.fingerprints(ctx, module)).To(Equal(rows), "rows of others than %s", module)
		}
		Expect(s.Fusion(ctx, "migrate", "up")).To(Succeed())
		Expect(s.Schema(ctx)).To(Equal(whole))
		t.row("migrations taken back and applied again, each alone", alone)
		t.report()
	}, SpecTimeout(sized(4*time.Minute, 10*time.Minute)))
})

// fingerprints of the rows of all schemas but a module's own.
func (s *shop) fingerprints(ctx context.Context, but string) map[string]string {
	GinkgoHelper()
	var tables string
	Expect(s.db.QueryRowContext(ctx, `
		select coalesce(string_agg(n.nspname || '.' || c.relname, ' '), '') from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^(pg_|information_schema$|migrations$)' and n.nspname <> $1`, but).
		Scan(&tables)).To(Succeed())
	prints := map[string]string{}
	for table := range strings.FieldsSeq(tables) {
		var print string
		Expect(s.db.QueryRowContext(ctx, `select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from `+table+` t`).Scan(&print)).To(Succeed())
		prints[table] = print
	}
	return prints
}

// visitsOf are visits whose orders have names of their own.
func visitsOf(s *shop, what string, skus int) func(int) []load.Request {
	wants := visits(s, skus)
	return func(n int) []load.Request {
		list := wants(n)
		for i, r := range list {
			if r.Method == http.MethodPost {
				key := fmt.Sprintf("%s-%d", strings.ReplaceAll(what, " ", "-"), n)
				s.keys = append(s.keys, key)
				list[i] = order(key, line{sku(n % skus), 1})
			}
		}
		return list
	}
}

// upTo shows the migrations of one module up to a version, and all of the others.
type upTo struct {
	fs.FS

	module  string
	version int
}

// ReadDir leaves out what is newer.
func (u upTo) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(u.FS, name)
	if name != u.module {
		return entries, err
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		number, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(number)
		return err == nil && version > u.version
	}), err
}

// madeUp are the migrations of a module with further ones behind them, each its way up and
// its way down.
func madeUp(module string, further ...[2]string) fs.FS {
	GinkgoHelper()
	files := fstest.MapFS{}
	Expect(fs.WalkDir(migrations.FS, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		body, err := fs.ReadFile(migrations.FS, name)
		files[name] = &fstest.MapFile{Data: body}
		return err
	})).To(Succeed())
	numbers := versions()[module]
	for i, f := range further {
		stem := fmt.Sprintf("%s/%04d_rehearsal", module, numbers[len(numbers)-1]+1+i)
		files[stem+".up.sql"] = &fstest.MapFile{Data: []byte(f[0])}
		files[stem+".down.sql"] = &fstest.MapFile{Data: []byte(f[1])}
	}
	return files
}
