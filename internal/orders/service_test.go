package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

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
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// shelf stands in for the catalog. It remembers what it was asked.
type shelf struct {
	offers map[string]catalogapi.Offer
	asked  [][]string
	err    error
}

func (s *shelf) Offers(_ context.Context, skus []string) (map[string]catalogapi.Offer, error) {
	s.asked = append(s.asked, skus)
	return s.offers, s.err
}

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "catalog", Schemas: catalogapi.Schemas},
		eventschema.Module{Name: "inventory", Schemas: inventoryapi.Schemas}, eventschema.Module{Name: "orders", Schemas: ordersapi.Schemas},
		eventschema.Module{Name: "shipping", Schemas: shippingapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

// replica is the orders of one process. Whatever it publishes must follow its schema.
func replica(offers Offers) *service {
	GinkgoHelper()
	log := event.NewLog()
	log.Check = contract().Check
	d := testkit.Open(testkit.Shared().App)
	post, err := mail.New(d, testkit.Vault(), testkit.Log(), mail.Options{})
	Expect(err).NotTo(HaveOccurred())
	timers := timer.New(d, testkit.Log())
	return &service{db: d, events: log, mail: post, offers: offers, numbers: newNumbers(d, clock.System), daily: newDaily(d, clock.System), paying: newDeadline(timers, sweepUnpaid, time.Hour), packing: newDeadline(timers, sweepOverdue, 72*time.Hour)}
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

func eur(minor int64) money.Amount { return amount(minor, money.EUR) }

// accepted is an order of n mugs that was placed.
func accepted(ctx context.Context, s *service, n int64) order {
	GinkgoHelper()
	o, err := s.draft(ctx, asks(want{SKU: "MUG", Quantity: n}), terms{})
	Expect(err).NotTo(HaveOccurred())
	o.CustomerID, o.Metadata = "c-1", map[string]string{}
	Expect(s.db.InTx(ctx, func(tx *db.Tx) error {
		o, err = s.place(ctx, tx, o)
		return err
	})).To(Succeed())
	return o
}

// calledOff cancels an order.
func calledOff(ctx context.Context, s *service, id uuid.UUID, reason string) (o order, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		o, err = s.cancel(ctx, tx, id, "", reason)
		return err
	})
	return o, err
}

// journey is what the timeline says.
func journey(ctx context.Context, s *service, id uuid.UUID) []string {
	GinkgoHelper()
	steps, err := s.timeline(ctx, id, "")
	Expect(err).NotTo(HaveOccurred())
	list := []string{}
	for _, st := range steps {
		list = append(list, st.Status)
	}
	return list
}

var _ = Describe("the orders", Label("db"), func() {
	var (
		svc     *service
		catalog *shelf
		shop    uuid.UUID
		ctx     context.Context
	)

	BeforeEach(func() {
		catalog = &shelf{offers: assortment(onSale("MUG", eur(1250)), onSale("CUP", eur(800), amount(900, money.USD)), onSale("TEA", amount(1500, money.JPY)))}
		svc, shop = replica(catalog), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})

	body := func(items ...itemBody) *placeInput {
		return &placeInput{httpx.JSON[placeBody]{Body: placeBody{CustomerID: "c-1", Items: items}}}
	}

	Describe("placing an order", func() {
		It("stores it with its lines and publishes one fact", func() {
			o := accepted(ctx, svc, 3)

			Expect(svc.get(ctx, o.ID)).To(Equal(o))
			Expect(o).To(And(HaveField("Status", created), HaveField("Version", int64(1)), HaveField("Number", int64(firstNumber)),
				HaveField("Total", eur(3750)), HaveField("Lines", HaveLen(1))))
			facts := recorded(ctx, svc)
			Expect(facts).To(HaveLen(1))
			Expect(facts[0]).To(And(HaveField("Type", "order.created"), HaveField("Subject", o.ID.String()), HaveField("Sequence", int64(1)),
				HaveField("OccurredAt", BeTemporally("==", o.CreatedAt)), HaveField("Actor", "key:spec")))
			says(facts[0], ordersapi.OrderCreated{Order: fact(o)})
			Expect(fact(o)).To(And(HaveField("Total", "37.50"), HaveField("Currency", "EUR"), HaveField("Items", []ordersapi.Item{{SKU: "MUG", Quantity: 3, Price: "12.50"}})))
			steps, err := svc.timeline(ctx, o.ID, "")
			Expect(err).NotTo(HaveOccurred())
			Expect(steps).To(HaveExactElements(And(HaveField("Status", "created"), HaveField("Actor", "key:spec"), HaveField("At", BeTemporally("==", o.CreatedAt)))))
		})

		It("commits order and fact together", func() {
			o := accepted(ctx, svc, 1)
			var one bool
			Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`
				select (select xmin::text from orders.orders where id = $1) = (select xmin::text from platform.event where subject = $1::text)`, o.ID).Scan(&one)).To(Succeed())
			Expect(one).To(BeTrue())
		})

		It("leaves nothing behind when its transaction is rolled back", func() {
			o, err := svc.draft(ctx, asks(want{SKU: "MUG", Quantity: 1}), terms{})
			Expect(err).NotTo(HaveOccurred())
			o.CustomerID = "c-1"
			broken := errors.New("something later failed")
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				_, err := svc.place(ctx, tx, o)
				Expect(err).NotTo(HaveOccurred())
				return broken
			})).To(MatchError(broken))
			Expect(svc.get(ctx, o.ID)).Error().To(MatchError(httpx.ErrNotFound))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("asks the catalog once, for everything", func() {
			Expect(svc.handlePlace(ctx, body(itemBody{SKU: "MUG", Quantity: 1}, itemBody{SKU: "CUP", Quantity: 1}))).Error().NotTo(HaveOccurred())
			Expect(catalog.asked).To(Equal([][]string{{"MUG", "CUP"}}))
		})

		It("keeps all that the buyer said", func() {
			in := body(itemBody{SKU: "CUP", Quantity: 2, Price: "9"}, itemBody{SKU: "CUP", Quantity: 1})
			in.Body.Currency, in.Body.Email, in.Body.Metadata = "USD", "ana@example.com", map[string]string{"channel": "app", "<&>": "é\n\"'\\"}
			in.Body.ShippingAddress = &address{Name: "Ana Sá", Line1: "Rua 1", City: "Porto", PostalCode: "4000-001", Country: "PT"}
			placed, err := svc.handlePlace(ctx, in)
			Expect(err).NotTo(HaveOccurred())
			Expect(placed.Location()).To(Equal("/v1/orders/" + placed.ID))
			Expect(placed.ETag()).To(Equal(`"1"`))
			Expect(placed).To(And(HaveField("Total", "27.00"), HaveField("Currency", "USD"), HaveField("Status", "created"),
				HaveField("Items", []itemResponse{{SKU: "CUP", Name: "The CUP", Quantity: 3, Price: "9.00", Discount: "0.00", Tax: "0.00", Total: "27.00"}})))
			Expect(svc.handleGet(ctx, &getInput{ID: placed.ID})).To(Equal(placed.orderResponse))
			Expect(placed).To(And(HaveField("Email", in.Body.Email), HaveField("Metadata", in.Body.Metadata), HaveField("ShippingAddress", in.Body.ShippingAddress)))
		})

		It("tells, and only then, what hold the buyer has", func() {
			held := body(itemBody{SKU: "MUG", Quantity: 1})
			id := clock.NewID()
			held.Body.HoldID = &id
			Expect(svc.handlePlace(ctx, held)).Error().NotTo(HaveOccurred())
			Expect(svc.handlePlace(ctx, body(itemBody{SKU: "MUG", Quantity: 1}))).Error().NotTo(HaveOccurred())
			facts := recorded(ctx, svc)
			Expect(string(facts[0].Data)).To(ContainSubstring(`"holdId":"` + id.String() + `"`))
			Expect(string(facts[1].Data)).NotTo(ContainSubstring("holdId"))
		})

		It("has no metadata but an empty object when none is sent", func() {
			placed, err := svc.handlePlace(ctx, body(itemBody{SKU: "TEA", Quantity: 2}))
			Expect(err).NotTo(HaveOccurred())
			Expect(httpx.Marshal(placed)).To(ContainSubstring(`"metadata":{}`))
			Expect(svc.handleGet(ctx, &getInput{ID: placed.ID})).To(And(HaveField("Metadata", Not(BeNil())), HaveField("Total", "3000")))
		})

		DescribeTable("is refused, takes no number and publishes nothing", func(want error, items ...itemBody) {
			_, err := svc.handlePlace(testkit.As(shop, "orders:write"), body(items...))
			Expect(err).To(MatchError(want))
			Expect(topics(ctx, svc)).To(BeEmpty())
			Expect(accepted(ctx, svc, 1).Number).To(BeEquivalentTo(firstNumber))
		},
			Entry("with a SKU that is not for sale", errUnknownSKU, itemBody{SKU: "MUG", Quantity: 1}, itemBody{SKU: "GHOST", Quantity: 1}),
			Entry("in two currencies", errCurrencyMismatch, itemBody{SKU: "MUG", Quantity: 1}, itemBody{SKU: "TEA", Quantity: 1}),
			Entry("with a price that is no more", errPriceChanged, itemBody{SKU: "MUG", Quantity: 1, Price: "12.49"}),
			Entry("with a price that is none", httpx.ErrValidation(), itemBody{SKU: "MUG", Quantity: 1, Price: "-1"}),
		)

		It("is refused when the catalog does not answer", func() {
			catalog.err = errors.New("connection refused")
			Expect(svc.handlePlace(ctx, body(itemBody{SKU: "MUG", Quantity: 1}))).Error().To(MatchError(catalog.err))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("takes another price from who may override it, and from nobody else", func() {
			in := body(itemBody{SKU: "MUG", Quantity: 2, Price: "1"})
			Expect(svc.handlePlace(testkit.As(shop, "orders:write"), in)).Error().To(MatchError(errPriceChanged))
			Expect(svc.handlePlace(testkit.As(shop, "orders:write", permissionOverridePrice), in)).To(HaveField("Total", "2.00"))
		})

		It("keeps the price that was agreed, whatever happens to the catalog", func() {
			o := accepted(ctx, svc, 1)
			catalog.offers = assortment(onSale("MUG", eur(9999)))
			Expect(svc.get(ctx, o.ID)).To(And(HaveField("Total", eur(1250)), HaveField("Lines", ConsistOf(HaveField("Price", eur(1250))))))
		})

		It("takes as many round trips for 500 lines as for one", func() {
			offers := map[string]catalogapi.Offer{}
			var wants []want
			for i := range 500 {
				sku := fmt.Sprintf("SKU-%03d", i)
				offers[sku] = onSale(sku, eur(int64(i)))
				wants = append(wants, want{SKU: sku, Quantity: 1})
			}
			catalog.offers = offers
			for _, n := range []int{1, 2, fewLines, fewLines + 1, 500} {
				o, err := svc.draft(ctx, asks(wants[:n]...), terms{})
				Expect(err).NotTo(HaveOccurred())
				o.CustomerID, o.Metadata = "c-1", map[string]string{}
				cost := &db.Cost{}
				inner := db.WithCost(ctx, cost)
				Expect(svc.db.InTx(inner, func(tx *db.Tx) error {
					_, err := svc.place(inner, tx, o)
					return err
				})).To(Succeed())
				Expect(cost.RoundTrips()).To(BeEquivalentTo(4), "begin, order, fact, commit: %d lines", n)
				Expect(svc.get(ctx, o.ID)).To(HaveField("Lines", Equal(o.Lines)), "in the order in which they were sent")
			}
		})

		It("gives each of many at the same moment its own number", func() {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					defer GinkgoRecover()
					for range 5 {
						accepted(ctx, &service{db: svc.db, events: svc.events, offers: &shelf{offers: catalog.offers}, numbers: svc.numbers}, 1)
					}
				})
			}
			wg.Wait()
			list, err := svc.list(ctx, filter{Sort: "createdAt", Limit: 100})
			Expect(err).NotTo(HaveOccurred())
			var numbers []int64
			for _, o := range list {
				numbers = append(numbers, o.Number)
			}
			slices.Sort(numbers)
			Expect(slices.Compact(numbers)).To(HaveLen(40))
			Expect(topics(ctx, svc)).To(HaveLen(40))
		})
	})

	Describe("cancelling an order", func() {
		It("stores why, and publishes it once", func() {
			o := accepted(ctx, svc, 1)
			off, err := calledOff(ctx, svc, o.ID, "changed my mind")
			Expect(err).NotTo(HaveOccurred())
			Expect(off).To(And(HaveField("Status", cancelled), HaveField("Reason", "changed my mind"), HaveField("Version", int64(2))))
			Expect(svc.get(ctx, o.ID)).To(Equal(off))
			Expect(topics(ctx, svc)).To(Equal([]string{"order.created 1", "order.cancelled 2"}))
			says(recorded(ctx, svc)[1], ordersapi.OrderCancelled{Order: fact(off), Reason: "changed my mind"})

			Expect(calledOff(ctx, svc, o.ID, "again")).To(Equal(off))
			Expect(topics(ctx, svc)).To(HaveLen(2))
			steps, err := svc.timeline(ctx, o.ID, "")
			Expect(err).NotTo(HaveOccurred())
			Expect(steps).To(HaveExactElements(HaveField("Status", "created"),
				And(HaveField("Status", "cancelled"), HaveField("Reason", HaveValue(Equal("changed my mind"))), HaveField("Actor", "key:spec"), HaveField("At", BeTemporally("==", off.UpdatedAt)))))
		})

		It("needs no reason", func() {
			o := accepted(ctx, svc, 1)
			Expect(svc.handleCancel(ctx, &cancelInput{ID: o.ID.String()})).To(And(HaveField("Status", "cancelled"), HaveField("Reason", "")))
			Expect(svc.handleTimeline(ctx, &byID{o.ID.String()})).To(HaveField("Data", HaveExactElements(HaveField("Status", "created"), HaveField("Status", "cancelled"))))
		})

		It("is refused, without a trace, when it is too late", func() {
			o := accepted(ctx, svc, 1)
			Expect(testkit.SQL(testkit.Shared().Super).Exec(`update orders.orders set status = 'shipped' where id = $1`, o.ID)).Error().NotTo(HaveOccurred())
			_, err := calledOff(ctx, svc, o.ID, "")
			Expect(err).To(MatchError(errNotCancellable))
			Expect(svc.get(ctx, o.ID)).To(And(HaveField("Status", shipped), HaveField("Version", int64(1))))
			Expect(topics(ctx, svc)).To(Equal([]string{"order.created 1"}))
		})

		It("leaves nothing behind when its transaction is rolled back", func() {
			o := accepted(ctx, svc, 1)
			broken := errors.New("something later failed")
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				Expect(svc.cancel(ctx, tx, o.ID, "", "no")).Error().NotTo(HaveOccurred())
				return broken
			})).To(MatchError(broken))
			Expect(svc.get(ctx, o.ID)).To(Equal(o))
			Expect(topics(ctx, svc)).To(HaveLen(1))
			Expect(journey(ctx, svc, o.ID)).To(Equal([]string{"created"}))
		})

		It("answers 404 for what does not exist", func() {
			Expect(calledOff(ctx, svc, clock.NewID(), "")).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.handleCancel(ctx, &cancelInput{ID: "no-id"})).Error().To(MatchError(httpx.ErrNotFound))
		})

		It("happens once, however many ask at the same moment", func() {
			o := accepted(ctx, svc, 1)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					defer GinkgoRecover()
					Expect(calledOff(ctx, svc, o.ID, "all at once")).To(HaveField("Version", int64(2)))
				})
			}
			wg.Wait()
			Expect(topics(ctx, svc)).To(Equal([]string{"order.created 1", "order.cancelled 2"}))
			Expect(journey(ctx, svc, o.ID)).To(Equal([]string{"created", "cancelled"}))
		})
	})

	It("show nothing to another merchant", func() {
		o := accepted(ctx, svc, 1)
		other := testkit.As(testkit.NewTenant(testkit.Shared()))
		Expect(svc.get(other, o.ID)).Error().To(MatchError(httpx.ErrNotFound))
		Expect(svc.timeline(other, o.ID, "")).Error().To(MatchError(httpx.ErrNotFound))
		Expect(calledOff(other, svc, o.ID, "mine now")).Error().To(MatchError(httpx.ErrNotFound))
		Expect(svc.list(other, filter{Sort: "createdAt", Limit: 10})).To(BeEmpty())
		Expect(topics(other, svc)).To(BeEmpty())
		Expect(svc.get(ctx, o.ID)).To(Equal(o))
		Expect(accepted(other, svc, 1).Number).To(Equal(o.Number), "each counts for itself")
	})

	Describe("the list", func() {
		// acceptAll places orders in one transaction: they have the same time of creation.
		acceptAll := func(n int, customer string) (ids []string) {
			GinkgoHelper()
			drafts := make([]order, n)
			for i := range drafts {
				var err error
				drafts[i], err = svc.draft(ctx, asks(want{SKU: "MUG", Quantity: 1}, want{SKU: "CUP", Quantity: 2}), terms{})
				Expect(err).NotTo(HaveOccurred())
				drafts[i].CustomerID, drafts[i].Metadata = customer, map[string]string{}
				ids = append(ids, drafts[i].ID.String())
			}
			for i := range n / 2 { // replicas draw from blocks of their own: numbers do not follow time
				drafts[i].Number, drafts[n-1-i].Number = drafts[n-1-i].Number, drafts[i].Number
			}
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				for _, o := range drafts {
					if _, err := svc.place(ctx, tx, o); err != nil {
						return err
					}
				}
				return nil
			})).To(Succeed())
			return ids
		}
		page := func(in listInput) httpx.List[orderResponse] {
			GinkgoHelper()
			if in.Limit == 0 {
				in.Limit = 100
			}
			if in.Sort == "" {
				in.Sort = "createdAt"
			}
			out, err := svc.handleList(ctx, &in)
			Expect(err).NotTo(HaveOccurred())
			return out
		}
		idsOf := func(l httpx.List[orderResponse]) []string {
			ids := []string{}
			for _, o := range l.Data {
				ids = append(ids, o.ID)
			}
			return ids
		}
		walk := func(in listInput, between func()) (all []string) {
			GinkgoHelper()
			for {
				out := page(in)
				all = append(all, idsOf(out)...)
				if out.NextCursor == "" {
					return all
				}
				Expect(out.Data).To(HaveLen(in.Limit))
				in.Cursor = out.NextCursor
				between()
			}
		}

		It("shows each order once, page by page, also those of the same moment", func() {
			ids := slices.Concat(acceptAll(9, "c-1"), acceptAll(9, "c-1"))
			reversed := slices.Clone(ids)
			slices.Reverse(reversed)
			for _, limit := range []int{1, 4, 9, 18, 100} {
				Expect(walk(listInput{Page: httpx.Page{Limit: limit}}, func() {})).To(Equal(ids), "pages of %d", limit)
				Expect(walk(listInput{Page: httpx.Page{Limit: limit}, Sort: "-createdAt"}, func() {})).To(Equal(reversed), "pages of %d", limit)
			}
		})

		It("shows what was there when it began, whatever is placed meanwhile", func() {
			ids := acceptAll(7, "c-1")
			slices.Reverse(ids)
			Expect(walk(listInput{Page: httpx.Page{Limit: 3}, Sort: "-createdAt"}, func() { acceptAll(2, "c-1") })).To(Equal(ids))
		})

		It("shows each order with its lines, in two statements however many there are", func() {
			acceptAll(1, "c-1")
			acceptAll(30, "c-1")
			for _, limit := range []int{1, 31} {
				cost := &db.Cost{}
				list, err := svc.list(db.WithCost(ctx, cost), filter{Sort: "createdAt", Limit: limit})
				Expect(err).NotTo(HaveOccurred())
				Expect(list).To(HaveEach(HaveField("Lines", HaveExactElements(HaveField("SKU", "MUG"), HaveField("SKU", "CUP")))))
				Expect(cost.RoundTrips()).To(BeEquivalentTo(4), "pages of %d", limit)
			}
		})

		It("can be of one customer, one status, one time", func() {
			early := acceptAll(2, "c-1")
			late := acceptAll(1, "c-2")
			first, err := svc.get(ctx, uuid.MustParse(early[0]))
			Expect(err).NotTo(HaveOccurred())
			second, err := svc.get(ctx, uuid.MustParse(late[0]))
			Expect(err).NotTo(HaveOccurred())
			Expect(calledOff(ctx, svc, first.ID, "")).Error().NotTo(HaveOccurred())

			Expect(idsOf(page(listInput{CustomerID: "c-2"}))).To(Equal(late))
			Expect(idsOf(page(listInput{CustomerID: "c-3"}))).To(BeEmpty())
			Expect(idsOf(page(listInput{Status: "cancelled"}))).To(Equal(early[:1]))
			Expect(idsOf(page(listInput{Status: "created", CustomerID: "c-1"}))).To(Equal(early[1:]))
			Expect(idsOf(page(listInput{From: second.CreatedAt}))).To(Equal(late), "from is included")
			Expect(idsOf(page(listInput{Until: second.CreatedAt}))).To(Equal(early), "until is not")
			Expect(idsOf(page(listInput{From: first.CreatedAt, Until: first.CreatedAt}))).To(BeEmpty())
		})

		It("keeps its filters from page to page", func() {
			mine := acceptAll(3, "c-1")
			acceptAll(3, "c-2")
			mine = append(mine, acceptAll(3, "c-1")...)
			Expect(walk(listInput{Page: httpx.Page{Limit: 2}, CustomerID: "c-1"}, func() {})).To(Equal(mine))
		})

		It("is an empty array, not nothing, when there is nothing", func() {
			Expect(httpx.Marshal(page(listInput{}))).To(MatchJSON(`{"data":[]}`))
		})

		It("refuses a cursor of another order", func() {
			acceptAll(3, "c-1")
			cursor := page(listInput{Page: httpx.Page{Limit: 1}}).NextCursor
			for _, c := range []string{cursor, cursor[1:], "garbage"} {
				_, err := svc.handleList(ctx, &listInput{Page: httpx.Page{Limit: 1, Cursor: c}, Sort: "-createdAt"})
				Expect(fault.From(err).Code).To(Equal("invalid_cursor"))
			}
		})
	})
})
