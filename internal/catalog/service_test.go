package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "catalog", Schemas: catalogapi.Schemas},
		eventschema.Module{Name: "inventory", Schemas: inventoryapi.Schemas}, eventschema.Module{Name: "orders", Schemas: ordersapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

// replica is the catalog of one process. Whatever it publishes must follow its schema.
func replica() *service {
	GinkgoHelper()
	log := event.NewLog()
	log.Check = contract().Check
	return &service{db: testkit.Open(testkit.Shared().App), events: log, cache: listening()}
}

// recorded lists the facts of a merchant, in the order of the log.
func recorded(ctx context.Context, s *service) (facts []event.Envelope) {
	GinkgoHelper()
	Expect(s.db.Read(ctx, func(tx *db.Tx) error {
		facts = nil
		return tx.Select(ctx, &facts, `
			select id, tenant_id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data
			from platform.event where tenant_id = platform.current_tenant() order by seq`)
	})).To(Succeed())
	return facts
}

// topics are the facts without what they say.
func topics(ctx context.Context, s *service) []string {
	GinkgoHelper()
	list := []string{}
	for _, f := range recorded(ctx, s) {
		list = append(list, fmt.Sprintf("%s %d", f.Type, f.Sequence))
	}
	return list
}

func says(f event.Envelope, fact any) {
	GinkgoHelper()
	body, err := json.Marshal(fact)
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Data).To(MatchJSON(body))
}

// whoWaits counts the transactions that wait for a lock of another one.
func whoWaits() func() (int, error) {
	GinkgoHelper()
	auditor := testkit.SQL(testkit.Shared().Super)
	return func() (n int, err error) {
		err = auditor.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
		return n, err
	}
}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

var anyVersion = httpx.IfMatch{}

// updated is update in a transaction of its own.
func (s *service) updated(ctx context.Context, id uuid.UUID, match httpx.IfMatch, want func(product) (changes, error)) (p product, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		p, err = s.update(ctx, tx, id, match, want)
		return err
	})
	return p, err
}

var _ = Describe("the catalog", Label("db"), func() {
	var (
		svc  *service
		shop uuid.UUID
		ctx  context.Context
	)

	BeforeEach(func() {
		svc, shop = replica(), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})

	add := func(p product, inventory int64) (product, error) {
		p.ID = clock.NewID()
		err := svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
			p, err = svc.create(ctx, tx, p, inventory)
			return err
		})
		return p, err
	}
	added := func(sku string, price money.Amount) product {
		GinkgoHelper()
		p, err := add(product{SKU: sku, Name: "Mug " + sku, Description: "Holds 30 cl.", Price: price, Status: active}, 7)
		Expect(err).NotTo(HaveOccurred())
		return p
	}
	wants := func(c changes) func(product) (changes, error) {
		return func(product) (changes, error) { return c, nil }
	}
	costs := func(minor int64) func(product) (changes, error) {
		return wants(changes{Price: &money.Amount{Minor: minor, Currency: money.EUR}})
	}
	becomes := func(s status) func(product) (changes, error) { return wants(changes{Status: &s}) }

	Describe("creating a product", func() {
		It("stores it and publishes one fact", func() {
			p := added("MUG", eur(1250))

			Expect(svc.get(ctx, p.ID)).To(Equal(p))
			Expect(p).To(And(HaveField("Version", int64(1)), HaveField("Status", active), HaveField("UpdatedAt", p.CreatedAt)))
			facts := recorded(ctx, svc)
			Expect(facts).To(HaveLen(1))
			Expect(facts[0]).To(And(HaveField("Type", "product.created"), HaveField("Subject", p.ID.String()), HaveField("Sequence", int64(1)),
				HaveField("OccurredAt", BeTemporally("==", p.CreatedAt)), HaveField("Actor", "key:spec")))
			says(facts[0], catalogapi.ProductCreated{Product: fact(p), Inventory: 7})
			Expect(fact(p)).To(And(HaveField("Price", "12.50"), HaveField("Currency", "EUR"), HaveField("SKU", "MUG"), HaveField("Status", "active")))
		})

		It("commits product and fact together", func() {
			p := added("MUG", eur(1250))
			var one bool
			Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`
				select (select xmin::text from catalog.product where id = $1) = (select xmin::text from platform.event where subject = $1::text)`, p.ID).Scan(&one)).To(Succeed())
			Expect(one).To(BeTrue())
		})

		It("leaves nothing behind when its transaction is rolled back", func() {
			broken := errors.New("something later failed")
			id := clock.NewID()
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				_, err := svc.create(ctx, tx, product{ID: id, SKU: "MUG", Name: "Mug", Price: eur(1), Status: active}, 0)
				Expect(err).NotTo(HaveOccurred())
				return broken
			})).To(MatchError(broken))

			_, err := svc.get(ctx, id)
			Expect(err).To(MatchError(httpx.ErrNotFound))
			Expect(topics(ctx, svc)).To(BeEmpty())
			Expect(added("MUG", eur(1))).To(HaveField("SKU", "MUG"), "the SKU is free")
		})

		It("is refused when the SKU is taken, and publishes nothing", func() {
			added("MUG", eur(1250))
			_, err := add(product{SKU: "MUG", Name: "Other", Price: eur(1), Status: active}, 0)
			Expect(err).To(MatchError(errSKUTaken))
			Expect(fault.From(err).Fields).To(ConsistOf(HaveField("Pointer", "/sku")))
			Expect(topics(ctx, svc)).To(Equal([]string{"product.created 1"}))
			Expect(svc.list(ctx, filter{Status: active, Sort: "sku", Limit: 10})).To(HaveLen(1))
		})

		It("keeps the SKU of an archived product", func() {
			p := added("MUG", eur(1250))
			Expect(svc.updated(ctx, p.ID, anyVersion, becomes(archived))).Error().NotTo(HaveOccurred())
			_, err := add(product{SKU: "MUG", Name: "Other", Price: eur(1), Status: active}, 0)
			Expect(err).To(MatchError(errSKUTaken))
		})

		It("tells SKUs apart by case", func() {
			added("MUG", eur(1))
			added("mug", eur(2))
			Expect(svc.offers(ctx, []string{"MUG", "mug", "Mug"})).To(HaveLen(2))
		})

		It("gives a SKU to one of many who ask for it at the same moment", func() {
			results := make(chan error, 8)
			var wg sync.WaitGroup
			for range cap(results) {
				wg.Go(func() {
					_, err := add(product{SKU: "MUG", Name: "Mug", Price: eur(1), Status: active}, 0)
					results <- err
				})
			}
			wg.Wait()
			close(results)
			made := 0
			for err := range results {
				if err == nil {
					made++
				} else {
					Expect(err).To(MatchError(errSKUTaken))
				}
			}
			Expect(made).To(Equal(1))
			Expect(topics(ctx, svc)).To(Equal([]string{"product.created 1"}))
		})

		It("takes four round trips", func() {
			cost := &db.Cost{}
			inner := db.WithCost(ctx, cost)
			Expect(svc.db.InTx(inner, func(tx *db.Tx) error {
				_, err := svc.create(inner, tx, product{ID: clock.NewID(), SKU: "MUG", Name: "Mug", Price: eur(1), Status: active}, 0)
				return err
			})).To(Succeed())
			Expect(cost.RoundTrips()).To(BeEquivalentTo(4))
		})

		It("answers with the product, its version and where it is", func() {
			out, err := svc.handleCreate(ctx, &createInput{httpx.JSON[createBody]{Body: createBody{
				SKU: "MUG", Name: "Mug", Description: "5 < 6<script>x</script>", Price: "1500", Currency: "JPY", Status: "active",
			}}})
			Expect(err).NotTo(HaveOccurred())
			Expect(out.Location()).To(Equal("/v1/products/" + out.ID))
			Expect(out.ETag()).To(Equal(`"1"`))
			Expect(out).To(And(HaveField("Price", "1500"), HaveField("Currency", "JPY"), HaveField("Description", "5 &lt; 6")))
		})
	})

	Describe("changing a product", func() {
		It("stores the change and publishes the product as it is then", func() {
			p := added("MUG", eur(1250))
			name := "Navy mug"
			changed, err := svc.updated(ctx, p.ID, anyVersion, wants(changes{Name: &name, Price: &money.Amount{Minor: 900, Currency: money.USD}}))
			Expect(err).NotTo(HaveOccurred())

			Expect(changed).To(And(HaveField("Version", int64(2)), HaveField("Name", name), HaveField("Price", money.Amount{Minor: 900, Currency: money.USD})))
			Expect(svc.get(ctx, p.ID)).To(Equal(changed))
			Expect(topics(ctx, svc)).To(Equal([]string{"product.created 1", "product.updated 2"}))
			says(recorded(ctx, svc)[1], catalogapi.ProductUpdated{Product: fact(changed)})
		})

		It("has one price after the currency changed, in the new one", func() {
			p := added("MUG", eur(1250))
			Expect(svc.updated(ctx, p.ID, anyVersion, wants(changes{Price: &money.Amount{Minor: 900, Currency: money.JPY}}))).Error().NotTo(HaveOccurred())
			Expect(svc.offers(ctx, []string{"MUG"})).To(HaveKeyWithValue("MUG", HaveField("Prices", []money.Amount{{Minor: 900, Currency: money.JPY}})))
		})

		It("has an offer by its id, as long as it is for sale, for its own merchant", func() {
			p, q := added("MUG", eur(1250)), added("CUP", eur(800))
			ids := []string{p.ID.String(), q.ID.String(), uuid.NewString(), "MUG", ""}
			Expect(svc.offersByProduct(ctx, ids)).To(Equal(map[string]catalogapi.Offer{
				p.ID.String(): {SKU: "MUG", ProductID: p.ID.String(), Name: p.Name, Prices: []money.Amount{eur(1250)}, TaxClass: standard},
				q.ID.String(): {SKU: "CUP", ProductID: q.ID.String(), Name: q.Name, Prices: []money.Amount{eur(800)}, TaxClass: standard},
			}))
			Expect(svc.offersByProduct(testkit.As(testkit.NewTenant(testkit.Shared())), ids)).To(BeEmpty())
			Expect(svc.handleArchive(ctx, &archiveInput{ID: p.ID.String()})).Error().NotTo(HaveOccurred())
			Expect(svc.offersByProduct(ctx, ids)).To(And(HaveLen(1), HaveKey(q.ID.String())))
			Expect(svc.offersByProduct(ctx, []string{"MUG"})).To(BeEmpty())
		})

		It("publishes that it was archived, once", func() {
			p := added("MUG", eur(1250))
			for range 2 {
				Expect(svc.handleArchive(ctx, &archiveInput{ID: p.ID.String()})).Error().NotTo(HaveOccurred())
			}
			Expect(topics(ctx, svc)).To(Equal([]string{"product.created 1", "product.archived 2"}))
			gone, err := svc.get(ctx, p.ID)
			Expect(err).NotTo(HaveOccurred())
			says(recorded(ctx, svc)[1], catalogapi.ProductArchived{Product: fact(gone)})
			Expect(svc.offers(ctx, []string{"MUG"})).To(BeEmpty())

			Expect(svc.updated(ctx, p.ID, anyVersion, becomes(active))).To(HaveField("Version", int64(3)))
			Expect(topics(ctx, svc)).To(HaveExactElements("product.created 1", "product.archived 2", "product.updated 3"))
			Expect(svc.offers(ctx, []string{"MUG"})).To(HaveLen(1))
		})

		It("publishes nothing when nothing changes", func() {
			p := added("MUG", eur(1250))
			Expect(svc.updated(ctx, p.ID, anyVersion, costs(1250))).To(Equal(p))
			Expect(topics(ctx, svc)).To(Equal([]string{"product.created 1"}))
		})

		It("is refused, without a trace, when the status cannot be", func() {
			p := added("MUG", eur(1250))
			Expect(svc.updated(ctx, p.ID, anyVersion, becomes(archived))).Error().NotTo(HaveOccurred())
			_, err := svc.updated(ctx, p.ID, anyVersion, becomes(draft))
			Expect(err).To(MatchError(errTransition))
			Expect(topics(ctx, svc)).To(HaveLen(2))
		})

		It("is refused when the caller knows an older version", func() {
			p := added("MUG", eur(1250))
			Expect(svc.updated(ctx, p.ID, httpx.IfMatch{Match: `"1"`}, costs(1300))).To(HaveField("Version", int64(2)))
			_, err := svc.updated(ctx, p.ID, httpx.IfMatch{Match: `"1"`}, costs(1400))
			Expect(fault.From(err)).To(And(HaveField("Kind", fault.Stale), HaveField("Code", "version_conflict")))
			Expect(svc.get(ctx, p.ID)).To(HaveField("Price", eur(1300)))
			Expect(topics(ctx, svc)).To(HaveLen(2))
		})

		It("answers 404 for what does not exist", func() {
			_, err := svc.updated(ctx, clock.NewID(), anyVersion, costs(1))
			Expect(err).To(MatchError(httpx.ErrNotFound))
			_, err = svc.handleUpdate(ctx, &updateInput{ID: "no-id"})
			Expect(err).To(MatchError(httpx.ErrNotFound))
		})

		It("reads a price without a currency in the product's own", func() {
			p := added("MUG", money.Amount{Minor: 1500, Currency: money.JPY})
			price := httpx.Decimal("1600")
			Expect(svc.handleUpdate(ctx, &updateInput{ID: p.ID.String(), JSON: httpx.JSON[updateBody]{Body: updateBody{Price: &price}}})).
				To(And(HaveField("Price", "1600"), HaveField("Currency", "JPY")))
			price = "16.50"
			_, err := svc.handleUpdate(ctx, &updateInput{ID: p.ID.String(), JSON: httpx.JSON[updateBody]{Body: updateBody{Price: &price}}})
			Expect(fault.From(err).Fields).To(ConsistOf(And(HaveField("Pointer", "/price"), HaveField("Code", "too_many_digits"))))
		})

		// Whoever waits for the row must see all that the one before it wrote, also in the
		// tables that are only joined.
		It("loses neither of two changes that meet", func() {
			p := added("MUG", eur(1250))
			waiting, proceed := make(chan struct{}), make(chan struct{})
			first := make(chan error, 1)
			go func() {
				_, err := svc.updated(ctx, p.ID, anyVersion, func(product) (changes, error) {
					close(waiting)
					<-proceed
					return changes{Price: &money.Amount{Minor: 1300, Currency: money.EUR}}, nil
				})
				first <- err
			}()
			Eventually(waiting, testkit.Patience).Should(BeClosed())
			second := make(chan error, 1)
			go func() {
				name := "Navy mug"
				_, err := svc.updated(ctx, p.ID, anyVersion, wants(changes{Name: &name}))
				second <- err
			}()
			Eventually(whoWaits(), testkit.Patience, "2ms").Should(Equal(1))
			close(proceed)
			Eventually(first, testkit.Patience).Should(Receive(BeNil()))
			Eventually(second, testkit.Patience).Should(Receive(BeNil()))

			Expect(svc.get(ctx, p.ID)).To(And(HaveField("Name", "Navy mug"), HaveField("Price", eur(1300)), HaveField("Version", int64(3))))
			var last catalogapi.ProductUpdated
			Expect(json.Unmarshal(recorded(ctx, svc)[2].Data, &last)).To(Succeed())
			Expect(last).To(And(HaveField("Name", "Navy mug"), HaveField("Price", "13.00")))
		})

		It("counts every one of many changes at the same moment", func() {
			p := added("MUG", eur(0))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					defer GinkgoRecover()
					for range 5 {
						_, err := svc.updated(ctx, p.ID, anyVersion, func(now product) (changes, error) {
							next := eur(now.Price.Minor + 1)
							return changes{Price: &next}, nil
						})
						Expect(err).NotTo(HaveOccurred())
					}
				})
			}
			wg.Wait()
			Expect(svc.get(ctx, p.ID)).To(And(HaveField("Price", eur(40)), HaveField("Version", int64(41))))
			for i, f := range recorded(ctx, svc)[1:] {
				Expect(f).To(And(HaveField("Type", "product.updated"), HaveField("Sequence", int64(i+2))))
			}
		})
	})

	Describe("to another merchant", func() {
		It("shows nothing", func() {
			p := added("MUG", eur(1250))
			other := testkit.As(testkit.NewTenant(testkit.Shared()))
			_, err := svc.get(other, p.ID)
			Expect(err).To(MatchError(httpx.ErrNotFound))
			_, err = svc.updated(other, p.ID, anyVersion, costs(1))
			Expect(err).To(MatchError(httpx.ErrNotFound))
			Expect(svc.list(other, filter{Status: active, Sort: "sku", Limit: 10})).To(BeEmpty())
			Expect(svc.offers(other, []string{"MUG"})).To(BeEmpty())
			Expect(topics(other, svc)).To(BeEmpty())
		})

		It("shows nothing of what is cached", func() {
			p := added("MUG", eur(1250))
			Expect(svc.handleGet(ctx, &byID{p.ID.String()})).To(HaveField("JSON", Not(BeEmpty())))
			Expect(svc.offers(ctx, []string{"MUG"})).To(HaveLen(1))
			other := testkit.As(testkit.NewTenant(testkit.Shared()))
			_, err := svc.handleGet(other, &byID{p.ID.String()})
			Expect(err).To(MatchError(httpx.ErrNotFound))
			Expect(svc.offers(other, []string{"MUG"})).To(BeEmpty())
		})

		It("leaves its SKUs free", func() {
			mine := added("MUG", eur(1250))
			ctx = testkit.As(testkit.NewTenant(testkit.Shared()))
			theirs := added("MUG", eur(999))
			Expect(theirs.ID).NotTo(Equal(mine.ID))
			Expect(svc.offers(ctx, []string{"MUG"})).To(HaveKeyWithValue("MUG", HaveField("Prices", []money.Amount{eur(999)})))
		})
	})

	Describe("reading", func() {
		It("hides drafts from shoppers", func() {
			p, err := add(product{SKU: "NEW", Name: "New", Price: eur(1), Status: draft}, 0)
			Expect(err).NotTo(HaveOccurred())
			shopper := testkit.As(shop, "orders:write")
			for _, reader := range []context.Context{ctx, shopper, ctx, shopper} { // also from the cache
				_, err := svc.handleGet(reader, &byID{p.ID.String()})
				_, listErr := svc.handleList(reader, &listInput{Page: httpx.Page{Limit: 20}, Status: "draft", Sort: "-createdAt"})
				if reader == shopper {
					Expect(err).To(MatchError(httpx.ErrNotFound))
					Expect(listErr).To(MatchError(errDraftsHidden))
				} else {
					Expect(err).NotTo(HaveOccurred())
					Expect(listErr).NotTo(HaveOccurred())
				}
			}
			Expect(svc.offers(ctx, []string{"NEW"})).To(BeEmpty())
		})

		It("makes no round trip for what did not change", func() {
			p := added("MUG", eur(1250))
			read := func() int64 {
				cost := &db.Cost{}
				inner := db.WithCost(ctx, cost)
				Expect(svc.handleGet(inner, &byID{p.ID.String()})).Error().NotTo(HaveOccurred())
				Expect(svc.handleList(inner, &listInput{Page: httpx.Page{Limit: 20}, Status: "active", Sort: "-createdAt"})).Error().NotTo(HaveOccurred())
				Expect(svc.offers(inner, []string{"MUG"})).Error().NotTo(HaveOccurred())
				return cost.RoundTrips()
			}
			Expect(read()).To(BeEquivalentTo(9), "begin, read, commit: three times")
			Expect(read()).To(BeZero())
			Expect(svc.updated(ctx, p.ID, anyVersion, costs(1300))).Error().NotTo(HaveOccurred())
			Expect(read()).To(BeEquivalentTo(9))
		})

		It("does not keep what it read while somebody changed it: the next reader gets the new one", func() {
			p := added("MUG", eur(1250))
			read := func(meanwhile func()) string {
				GinkgoHelper()
				page, err := cached(ctx, svc.cache, "page", func() (productResponse, error) {
					p, err := svc.get(ctx, p.ID)
					meanwhile()
					return present(p), err
				})
				Expect(err).NotTo(HaveOccurred())
				return string(page.JSON)
			}
			Expect(read(func() {
				Expect(svc.updated(ctx, p.ID, anyVersion, costs(1300))).Error().NotTo(HaveOccurred())
			})).To(ContainSubstring(`"12.50"`))
			Expect(pageOf(svc.cache, shop, "page")).To(BeNil())
			for range 2 { // the first only knows that somebody was shown something else
				Expect(read(func() {})).To(ContainSubstring(`"13.00"`))
			}
			Expect(pageOf(svc.cache, shop, "page")).NotTo(BeNil())
		})

		It("forgets nothing when a change is rolled back", func() {
			p := added("MUG", eur(1250))
			Expect(svc.offers(ctx, []string{"MUG"})).Error().NotTo(HaveOccurred())
			_, err := svc.updated(ctx, p.ID, anyVersion, func(product) (changes, error) { return changes{}, errors.New("no") })
			Expect(err).To(HaveOccurred())
			cost := &db.Cost{}
			Expect(svc.offers(db.WithCost(ctx, cost), []string{"MUG"})).To(HaveLen(1))
			Expect(cost.RoundTrips()).To(BeZero())
		})

		It("keeps searches apart whose text runs together", func() {
			added("MUG", eur(1250))
			found := func(in listInput) int {
				GinkgoHelper()
				in.Limit, in.Status, in.Sort = 20, "active", "sku"
				page, err := svc.handleList(ctx, &in)
				Expect(err).NotTo(HaveOccurred())
				var list listResponse
				Expect(json.Unmarshal(page.JSON, &list)).To(Succeed())
				return len(list.Data)
			}
			Expect(found(listInput{Q: "Mug SKU:", SKU: ""})).To(Equal(0))
			Expect(found(listInput{Q: "Mug", SKU: "MUG"})).To(Equal(1))
			Expect(found(listInput{Q: "Mug SKU:MUG", SKU: ""})).To(Equal(0))
			Expect(found(listInput{Q: "Mug", SKU: "MUG SKU:"})).To(Equal(0))
			Expect(svc.cache.shops[shop].pages).To(HaveLen(4))
		})

		// A read that begins after the writer was answered sees what it wrote, whichever
		// way it reads and however many others fill the cache meanwhile; and nobody who saw
		// what is new sees what is old again.
		It("is never stale, however many read while somebody writes", func() {
			p := added("MUG", eur(0))
			others := []product{added("CUP", eur(5)), added("JUG", eur(6))}
			var written, reads atomic.Int64
			reading := map[string]func() (int64, error){
				"product": func() (int64, error) {
					page, err := svc.handleGet(ctx, &byID{p.ID.String()})
					if err != nil {
						return 0, err
					}
					var r productResponse
					if err := json.Unmarshal(page.JSON, &r); err != nil {
						return 0, err
					}
					return minorOf(r)
				},
				"list": func() (int64, error) {
					page, err := svc.handleList(ctx, &listInput{Page: httpx.Page{Limit: 20}, Status: "active", Sort: "sku"})
					if err != nil {
						return 0, err
					}
					var list listResponse
					if err := json.Unmarshal(page.JSON, &list); err != nil {
						return 0, err
					}
					i := slices.IndexFunc(list.Data, func(r productResponse) bool { return r.SKU == "MUG" })
					if i < 0 {
						return 0, errors.New("the list lost a product")
					}
					return minorOf(list.Data[i])
				},
				"offers": func() (int64, error) {
					offers, err := svc.offers(ctx, []string{"CUP", "MUG", "JUG"})
					if err != nil {
						return 0, err
					}
					price, ok := offers["MUG"].In(money.EUR)
					if !ok || len(offers) != 1+len(others) {
						return 0, errors.New("an offer is missing")
					}
					return price.Minor, nil
				},
			}
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for range 8 {
				wg.Go(func() {
					defer GinkgoRecover()
					last := map[string]int64{}
					for {
						select {
						case <-stop:
							return
						default:
						}
						for way, read := range reading {
							atLeast := written.Load()
							seen, err := read()
							Expect(err).NotTo(HaveOccurred())
							Expect(seen).To(BeNumerically(">=", atLeast), "the %s is older than a change that was answered before the read began", way)
							Expect(seen).To(BeNumerically(">=", last[way]), "the %s is older than the one that the same reader saw before", way)
							last[way] = seen
							reads.Add(1)
						}
					}
				})
			}
			const writes = 40
			func() {
				defer close(stop)
				for minor := int64(1); minor <= writes; minor++ {
					Expect(svc.updated(ctx, p.ID, anyVersion, costs(minor))).Error().NotTo(HaveOccurred())
					written.Store(minor)
				}
			}()
			wg.Wait()
			Expect(reads.Load()).To(BeNumerically(">", writes))
			for way, read := range reading {
				Expect(read()).To(BeEquivalentTo(writes), way)
			}
		})
	})

	Describe("offers", func() {
		It("are of what is on sale, with its price, also when part of them is cached", func() {
			mug := added("MUG", eur(1250))
			added("CUP", eur(800))
			Expect(add(product{SKU: "NEW", Name: "New", Price: eur(1), Status: draft}, 0)).Error().NotTo(HaveOccurred())
			Expect(svc.offers(ctx, []string{"MUG"})).To(Equal(map[string]catalogapi.Offer{
				"MUG": {SKU: "MUG", ProductID: mug.ID.String(), Name: "Mug MUG", Prices: []money.Amount{eur(1250)}, TaxClass: standard},
			}))
			offers, err := svc.offers(ctx, []string{"MUG", "CUP", "NEW", "GHOST", "MUG"})
			Expect(err).NotTo(HaveOccurred())
			Expect(offers).To(HaveLen(2))
			Expect(offers["CUP"].Prices).To(Equal([]money.Amount{eur(800)}))
		})

		It("of none are none", func() {
			Expect(svc.offers(ctx, nil)).To(BeEmpty())
		})

		It("take one statement, however many there are", func() {
			var skus []string
			for i := range 50 {
				skus = append(skus, added(fmt.Sprintf("SKU-%02d", i), eur(int64(i))).SKU)
			}
			svc.cache.drop(shop)
			cost := &db.Cost{}
			Expect(svc.offers(db.WithCost(ctx, cost), skus)).To(HaveLen(50))
			Expect(cost.RoundTrips()).To(BeEquivalentTo(3))
		})

		It("come from a module that is given to others", func() {
			added("MUG", eur(1250))
			Expect((&Module{svc}).Offers(ctx, []string{"MUG"})).To(HaveKey("MUG"))
		})
	})

	Describe("the list", func() {
		// addAll adds products in one transaction: they have the same time of creation.
		addAll := func(products ...product) {
			GinkgoHelper()
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				for _, p := range products {
					p.ID, p.Price, p.Status = clock.NewID(), eur(1), active
					if _, err := svc.create(ctx, tx, p, 0); err != nil {
						return err
					}
				}
				return nil
			})).To(Succeed())
		}
		page := func(in listInput) listResponse {
			GinkgoHelper()
			if in.Limit == 0 {
				in.Limit = 100
			}
			if in.Status == "" {
				in.Status = "active"
			}
			if in.Sort == "" {
				in.Sort = "sku"
			}
			out, err := svc.page(ctx, &in)
			Expect(err).NotTo(HaveOccurred())
			return out
		}
		skus := func(r listResponse) (list []string) {
			for _, p := range r.Data {
				list = append(list, p.SKU)
			}
			return list
		}
		walk := func(in listInput, between func()) (all []string) {
			GinkgoHelper()
			for {
				out := page(in)
				all = append(all, skus(out)...)
				if out.NextCursor == "" {
					return all
				}
				Expect(out.Data).To(HaveLen(in.Limit))
				in.Cursor = out.NextCursor
				between()
			}
		}

		DescribeTable("shows each product once, page by page, also those that are equal to the sort", func(sort string, compare func(a, b string) int) {
			var products []product
			for i := range 23 {
				products = append(products, product{SKU: fmt.Sprintf("SKU-%02d", i), Name: []string{"Äpfel", "apple", "Apple", "100 %"}[i%4]})
			}
			addAll(products...)
			walked := walk(listInput{Page: httpx.Page{Limit: 5}, Sort: sort}, func() {})
			Expect(walked).To(Equal(skus(page(listInput{Sort: sort}))))
			all := slices.Clone(walked)
			slices.Sort(all)
			Expect(slices.Compact(all)).To(HaveLen(23))
			if compare != nil {
				Expect(slices.IsSortedFunc(walked, compare)).To(BeTrue())
			}
		},
			Entry("oldest first", "createdAt", nil),
			Entry("newest first", "-createdAt", nil),
			Entry("by name", "name", nil),
			Entry("by name, from the end", "-name", nil),
			Entry("by SKU", "sku", strings.Compare),
			Entry("by SKU, from the end", "-sku", func(a, b string) int { return strings.Compare(b, a) }),
		)

		It("shows what was there when it began, whatever is added meanwhile", func() {
			for i := range 12 {
				added(fmt.Sprintf("OLD-%02d", i), eur(1))
			}
			n := 0
			walked := walk(listInput{Page: httpx.Page{Limit: 5}, Sort: "-createdAt"}, func() { n++; added(fmt.Sprintf("NEW-%02d", n), eur(1)) })
			Expect(walked).To(HaveLen(12))
			Expect(walked[0]).To(Equal("OLD-11"))
			Expect(walked[11]).To(Equal("OLD-00"))
		})

		It("finds text in name, SKU and description, and takes it literally", func() {
			addAll(product{SKU: "A-1", Name: "100% cotton"}, product{SKU: "B_2", Name: "Towel", Description: `for the sauna \ bath`}, product{SKU: "C-3", Name: "Soap"})
			for q, want := range map[string][]string{
				"": {"A-1", "B_2", "C-3"}, "COTTON": {"A-1"}, "sauna": {"B_2"}, "c-3": {"C-3"}, "%": {"A-1"}, "_": {"B_2"}, `\`: {"B_2"}, "'; drop table": nil, "o": {"A-1", "B_2", "C-3"},
			} {
				Expect(skus(page(listInput{Q: q}))).To(Equal(want), "q=%s", q)
			}
			Expect(skus(page(listInput{SKU: "C-3"}))).To(Equal([]string{"C-3"}))
			Expect(skus(page(listInput{SKU: "c-3"}))).To(BeEmpty())
			Expect(skus(page(listInput{Status: "archived"}))).To(BeEmpty())
		})

		It("has another tag as soon as something on it changed", func() {
			p := added("MUG", eur(1250))
			before := page(listInput{}).ETag()
			Expect(page(listInput{}).ETag()).To(Equal(before))
			Expect(svc.updated(ctx, p.ID, anyVersion, costs(1))).Error().NotTo(HaveOccurred())
			Expect(page(listInput{}).ETag()).NotTo(Equal(before))
		})

		It("is an empty array, not nothing, when there is nothing", func() {
			out, err := svc.handleList(ctx, &listInput{Page: httpx.Page{Limit: 20}, Status: "active", Sort: "sku"})
			Expect(err).NotTo(HaveOccurred())
			Expect(out.JSON).To(MatchJSON(`{"data":[]}`))
		})

		DescribeTable("refuses a cursor that is not one of its own", func(cursor func() string) {
			_, err := svc.handleList(ctx, &listInput{Page: httpx.Page{Limit: 5, Cursor: cursor()}, Status: "active", Sort: "createdAt"})
			Expect(fault.From(err)).To(And(HaveField("Kind", fault.Invalid), HaveField("Code", "invalid_cursor")))
		},
			Entry("garbage", func() string { return "garbage" }),
			Entry("of another order", func() string { return cursorOf(position{"sku", "MUG", clock.NewID()}) }),
			Entry("with a time that is none", func() string { return cursorOf(position{"createdAt", "yesterday", clock.NewID()}) }),
			Entry("with fields of another list", func() string { return cursorOf(map[string]any{"seq": 1}) }),
		)
	})
})

func cursorOf(position any) string {
	GinkgoHelper()
	cursor, err := httpx.Cursor(position)
	Expect(err).NotTo(HaveOccurred())
	return cursor
}

func minorOf(r productResponse) (int64, error) {
	a, err := money.Parse(r.Price, money.Currency(r.Currency))
	return a.Minor, err
}
