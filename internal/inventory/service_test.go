package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "catalog", Schemas: catalogapi.Schemas},
		eventschema.Module{Name: "inventory", Schemas: inventoryapi.Schemas}, eventschema.Module{Name: "orders", Schemas: ordersapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

// replica is the inventory of one process. Whatever it publishes must follow its schema.
func replica() *service {
	GinkgoHelper()
	log := event.NewLog()
	log.Check = contract().Check
	pool := testkit.Open(testkit.Shared().App)
	return &service{db: pool, events: log, timers: timer.New(pool, testkit.Log()), log: testkit.Log()}
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

// told reads what a fact says.
func told[T any](f event.Envelope) T {
	GinkgoHelper()
	var fact T
	Expect(json.Unmarshal(f.Data, &fact)).To(Succeed())
	return fact
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

// addsUp holds the books of a merchant against each other: what stock says, what its
// movements add up to, and what reservations and holds have.
func addsUp(shop uuid.UUID) {
	GinkgoHelper()
	rows, err := testkit.SQL(testkit.Shared().Super).Query(`
		select s.sku, s.on_hand, s.reserved,
		       (select coalesce(sum(on_hand_delta), 0) from inventory.movement m where m.tenant_id = $1 and m.sku = s.sku),
		       (select coalesce(sum(reserved_delta), 0) from inventory.movement m where m.tenant_id = $1 and m.sku = s.sku),
		       (select coalesce(sum(l.quantity - l.released - l.shipped), 0) from inventory.reservation_line l join inventory.reservation r using (tenant_id, order_id)
		        where l.tenant_id = $1 and l.sku = s.sku and r.status = 'held')
		       + (select coalesce(sum(l.quantity), 0) from inventory.hold_line l join inventory.hold h on h.tenant_id = l.tenant_id and h.id = l.hold_id
		          where l.tenant_id = $1 and l.sku = s.sku and h.status = 'held')
		from inventory.stock s where s.tenant_id = $1`, shop)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(rows.Close()).To(Succeed()) }()
	for rows.Next() {
		var sku string
		var onHand, reserved, moved, movedReserved, held int64
		Expect(rows.Scan(&sku, &onHand, &reserved, &moved, &movedReserved, &held)).To(Succeed())
		Expect(reserved).To(And(BeNumerically(">=", 0), BeNumerically("<=", onHand)), sku)
		Expect([]int64{moved, movedReserved}).To(Equal([]int64{onHand, reserved}), "the movements of %s add up to it", sku)
		Expect(held).To(Equal(reserved), "what orders and holds have of %s", sku)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
}

var anyVersion = httpx.IfMatch{}

// counted is set in a transaction of its own.
func (s *service) counted(ctx context.Context, sku string, match httpx.IfMatch, onHand int64, threshold *int64) (l level, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		l, err = s.set(ctx, tx, sku, match, onHand, threshold)
		return err
	})
	return l, err
}

// released is releaseHold in a transaction of its own.
func (s *service) released(ctx context.Context, id uuid.UUID) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error { return s.releaseHold(ctx, tx, id) })
}

var _ = Describe("the inventory", Label("db"), func() {
	var (
		svc  *service
		shop uuid.UUID
		ctx  context.Context
	)

	BeforeEach(func() {
		svc, shop = replica(), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})
	AfterEach(func() { addsUp(shop) })

	adjust := func(sku string, delta int64, reason string) (l level, err error) {
		err = svc.db.InTx(ctx, func(tx *db.Tx) error {
			l, err = svc.adjust(ctx, tx, sku, delta, reason)
			return err
		})
		return l, err
	}
	counts := func(l level) []int64 { return []int64{l.OnHand, l.Reserved, l.Version} }

	Describe("setting what is on hand", func() {
		It("stores the count with its movement and publishes one fact", func() {
			stocked(ctx, svc, item{"MUG", 10})
			l, err := svc.counted(ctx, "MUG", anyVersion, 25, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(counts(l)).To(Equal([]int64{25, 0, 2}))
			Expect(svc.get(ctx, "MUG")).To(And(HaveField("OnHand", int64(25)), HaveField("Version", int64(2)), HaveField("UpdatedAt", BeTemporally("==", l.UpdatedAt))))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.adjusted 2"}))
			f := recorded(ctx, svc)[0]
			Expect(f).To(And(HaveField("Subject", "MUG"), HaveField("Actor", "key:spec")))
			Expect(told[inventoryapi.Adjusted](f)).To(Equal(inventoryapi.Adjusted{Level: fact(l), Delta: 15, Reason: "counted"}))
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 10)).To(HaveExactElements(
				And(HaveField("Kind", "set"), HaveField("OnHandDelta", int64(15)), HaveField("ReservedDelta", int64(0)), HaveField("Reason", "counted"), HaveField("Actor", "key:spec")),
				And(HaveField("Kind", "initial"), HaveField("OnHandDelta", int64(10)))))
		})

		It("changes nothing when the count is what was there", func() {
			stocked(ctx, svc, item{"MUG", 10})
			l, err := svc.counted(ctx, "MUG", anyVersion, 10, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(counts(l)).To(Equal([]int64{10, 0, 1}))
			Expect(topics(ctx, svc)).To(BeEmpty())
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 10)).To(HaveLen(1))
		})

		It("keeps a new threshold, which moves no stock", func() {
			stocked(ctx, svc, item{"MUG", 10})
			threshold := int64(3)
			Expect(svc.counted(ctx, "MUG", anyVersion, 10, &threshold)).To(And(HaveField("LowThreshold", int64(3)), HaveField("Version", int64(2))))
			Expect(svc.get(ctx, "MUG")).To(HaveField("LowThreshold", int64(3)))
			Expect(topics(ctx, svc)).To(BeEmpty())
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 10)).To(HaveLen(1))
		})

		It("tells that a raised threshold makes the stock low", func() {
			stocked(ctx, svc, item{"MUG", 10})
			threshold := int64(10)
			l, err := svc.counted(ctx, "MUG", anyVersion, 10, &threshold)
			Expect(err).NotTo(HaveOccurred())
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.low_stock 2"}))
			Expect(told[inventoryapi.LowStock](recorded(ctx, svc)[0])).To(Equal(inventoryapi.LowStock{Level: fact(l), Threshold: 10}))
		})

		It("is refused below what is reserved, and leaves nothing", func() {
			stocked(ctx, svc, item{"MUG", 10})
			heard(ctx, svc, placed(uuid.New(), item{"MUG", 4}))
			_, err := svc.counted(ctx, "MUG", anyVersion, 3, nil)
			Expect(err).To(MatchError(errBelowReserved))
			Expect(svc.get(ctx, "MUG")).To(And(HaveField("OnHand", int64(10)), HaveField("Reserved", int64(4))))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1"}))
			Expect(svc.counted(ctx, "MUG", anyVersion, 4, nil)).To(HaveField("OnHand", int64(4)))
		})

		It("is refused when the caller knows an older version", func() {
			stocked(ctx, svc, item{"MUG", 10})
			Expect(svc.counted(ctx, "MUG", httpx.IfMatch{Match: `"1"`}, 11, nil)).To(HaveField("Version", int64(2)))
			_, err := svc.counted(ctx, "MUG", httpx.IfMatch{Match: `"1"`}, 12, nil)
			Expect(fault.From(err).Kind).To(Equal(fault.Stale))
			Expect(svc.get(ctx, "MUG")).To(HaveField("OnHand", int64(11)))
		})

		It("answers 404 for a SKU without stock", func() {
			Expect(svc.counted(ctx, "GHOST", anyVersion, 1, nil)).Error().To(MatchError(httpx.ErrNotFound))
			Expect(adjust("GHOST", 1, "found")).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.get(ctx, "GHOST")).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.movements(ctx, "GHOST", uuid.Nil, 10)).Error().To(MatchError(httpx.ErrNotFound))
		})
	})

	Describe("adjusting what is on hand", func() {
		It("adds and takes away, with the reason", func() {
			stocked(ctx, svc, item{"MUG", 10})
			Expect(adjust("MUG", 5, "received")).To(HaveField("OnHand", int64(15)))
			l, err := adjust("MUG", -2, "broken in transport")
			Expect(err).NotTo(HaveOccurred())
			Expect(counts(l)).To(Equal([]int64{13, 0, 3}))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.adjusted 2", "inventory.adjusted 3"}))
			Expect(told[inventoryapi.Adjusted](recorded(ctx, svc)[1])).To(Equal(inventoryapi.Adjusted{Level: fact(l), Delta: -2, Reason: "broken in transport"}))
		})

		DescribeTable("is refused as a whole when it goes", func(delta int64, want error) {
			stocked(ctx, svc, item{"MUG", 10})
			heard(ctx, svc, placed(uuid.New(), item{"MUG", 4}))
			_, err := adjust("MUG", delta, "oops")
			Expect(err).To(MatchError(want))
			Expect(svc.get(ctx, "MUG")).To(And(HaveField("OnHand", int64(10)), HaveField("Version", int64(2))))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1"}))
		},
			Entry("below what is reserved", int64(-7), errBelowReserved),
			Entry("below nothing", int64(-1_000_000_000), errBelowReserved),
			Entry("beyond what can be counted", int64(1_000_000_000), httpx.ErrValidation()),
		)

		It("tells of low stock once, until it has been above the threshold", func() {
			stocked(ctx, svc, item{"MUG", 10})
			for _, delta := range []int64{-4, -1, -1, +3, -2, +20, -25} { // 6, 5, 4, 7, 5, 25, 0
				Expect(adjust("MUG", delta, "test")).Error().NotTo(HaveOccurred())
			}
			Expect(topics(ctx, svc)).To(HaveExactElements(
				"inventory.adjusted 2", "inventory.adjusted 3", "inventory.low_stock 3", "inventory.adjusted 4", "inventory.adjusted 5",
				"inventory.adjusted 6", "inventory.low_stock 6", "inventory.adjusted 7", "inventory.adjusted 8", "inventory.low_stock 8"))
		})

		It("leaves nothing behind when its transaction is rolled back", func() {
			stocked(ctx, svc, item{"MUG", 10})
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				if _, err := svc.adjust(ctx, tx, "MUG", 5, "received"); err != nil {
					return err
				}
				return errBelowReserved
			})).To(MatchError(errBelowReserved))
			Expect(svc.get(ctx, "MUG")).To(HaveField("OnHand", int64(10)))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("counts every one of many at the same moment, while orders reserve", func() {
			stocked(ctx, svc, item{"MUG", 100})
			var wg sync.WaitGroup
			for worker := range 8 {
				dice := rand.New(rand.NewSource(GinkgoRandomSeed() + int64(worker)))
				wg.Go(func() {
					defer GinkgoRecover()
					for range 6 {
						if worker%2 == 0 {
							heard(ctx, svc, placed(uuid.New(), item{"MUG", 1 + dice.Int63n(3)}))
						} else {
							Expect(adjust("MUG", 1, "received")).Error().NotTo(HaveOccurred())
						}
					}
				})
			}
			wg.Wait()
			Expect(svc.get(ctx, "MUG")).To(And(HaveField("OnHand", int64(124)), HaveField("Version", int64(49))))
		})

		DescribeTable("needs a number of units", func(delta int64, ok bool) {
			Expect((&adjustBody{Delta: delta}).Check() == nil).To(Equal(ok))
		}, Entry("some", int64(-1), true), Entry("not none", int64(0), false))
	})

	It("answers with stock, what can be sold of it, and its version", func() {
		stocked(ctx, svc, item{"MUG", 10})
		heard(ctx, svc, placed(uuid.New(), item{"MUG", 4}))
		was, err := svc.handleGet(ctx, &bySKU{"MUG"})
		Expect(err).NotTo(HaveOccurred())
		Expect(was.ETag()).To(Equal(`"2"`))
		Expect(was).To(And(HaveField("OnHand", int64(10)), HaveField("Reserved", int64(4)), HaveField("Available", int64(6)), HaveField("LowStockThreshold", int64(5))))

		set, err := svc.handleSet(ctx, &setInput{SKU: "MUG", IfMatch: httpx.IfMatch{Match: was.ETag()}, JSON: httpx.JSON[setBody]{Body: setBody{OnHand: 12}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(set).To(And(HaveField("OnHand", int64(12)), HaveField("Available", int64(8))))
		Expect(svc.handleAdjust(ctx, &adjustInput{SKU: "MUG", JSON: httpx.JSON[adjustBody]{Body: adjustBody{Delta: -3, Reason: "broken"}}})).
			To(And(HaveField("OnHand", int64(9)), HaveField("Available", int64(5))))
		_, err = svc.handleSet(ctx, &setInput{SKU: "MUG", IfMatch: httpx.IfMatch{Match: was.ETag()}, JSON: httpx.JSON[setBody]{Body: setBody{OnHand: 99}}})
		Expect(fault.From(err).Kind).To(Equal(fault.Stale))
	})

	Describe("to another merchant", func() {
		It("shows and changes nothing", func() {
			stocked(ctx, svc, item{"MUG", 10})
			order := uuid.New()
			heard(ctx, svc, placed(order, item{"MUG", 4}))
			other := testkit.As(testkit.NewTenant(testkit.Shared()))

			Expect(svc.get(other, "MUG")).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.counted(other, "MUG", anyVersion, 99, nil)).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.movements(other, "MUG", uuid.Nil, 10)).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.list(other, filter{Limit: 10})).To(BeEmpty())
			calledOff(other, svc, order)
			Expect(topics(other, svc)).To(BeEmpty())
			Expect(svc.get(ctx, "MUG")).To(And(HaveField("OnHand", int64(10)), HaveField("Reserved", int64(4))))
		})

		It("leaves the SKU free", func() {
			stocked(ctx, svc, item{"MUG", 10})
			other := testkit.As(testkit.NewTenant(testkit.Shared()))
			stocked(other, svc, item{"MUG", 3})
			Expect(svc.get(other, "MUG")).To(HaveField("OnHand", int64(3)))
		})
	})

	Describe("the list", func() {
		skusOf := func(in listInput) (skus []string, next string) {
			GinkgoHelper()
			if in.Sort == "" {
				in.Sort = "sku"
			}
			out, err := svc.handleList(ctx, &in)
			Expect(err).NotTo(HaveOccurred())
			for _, l := range out.Data {
				skus = append(skus, l.SKU)
			}
			return skus, out.NextCursor
		}

		It("shows each SKU once, page by page, both ways", func() {
			var items []item
			for i := range 11 {
				items = append(items, item{fmt.Sprintf("SKU-%02d", i), int64(i)})
			}
			stocked(ctx, svc, items...)
			for _, sort := range []string{"sku", "-sku"} {
				all, _ := skusOf(listInput{Page: httpx.Page{Limit: 100}, Sort: sort})
				Expect(all).To(HaveLen(11))
				var walked []string
				in := listInput{Page: httpx.Page{Limit: 4}, Sort: sort}
				for {
					skus, next := skusOf(in)
					walked = append(walked, skus...)
					if in.Cursor = next; next == "" {
						break
					}
				}
				Expect(walked).To(Equal(all), sort)
			}
		})

		It("shows only what runs low, when asked", func() {
			stocked(ctx, svc, item{"FEW", 6}, item{"MANY", 100}, item{"NONE", 0})
			heard(ctx, svc, placed(uuid.New(), item{"FEW", 1}, item{"MANY", 50}))
			low, _ := skusOf(listInput{Page: httpx.Page{Limit: 10}, LowStock: true})
			Expect(low).To(Equal([]string{"FEW", "NONE"}))
		})

		It("refuses a cursor of another order", func() {
			stocked(ctx, svc, item{"A", 1}, item{"B", 1})
			_, next := skusOf(listInput{Page: httpx.Page{Limit: 1}})
			_, err := svc.handleList(ctx, &listInput{Page: httpx.Page{Limit: 1, Cursor: next}, Sort: "-sku"})
			Expect(fault.From(err).Code).To(Equal("invalid_cursor"))
		})
	})

	Describe("the movements", func() {
		It("are listed newest first, page by page, each once", func() {
			stocked(ctx, svc, item{"MUG", 1})
			stocked(ctx, svc, item{"CUP", 1})
			for i := range 10 {
				Expect(adjust("MUG", 1, fmt.Sprint(i))).Error().NotTo(HaveOccurred())
			}
			var reasons []string
			in := movementsInput{Page: httpx.Page{Limit: 4}, SKU: "MUG"}
			for {
				page, err := svc.handleMovements(ctx, &in)
				Expect(err).NotTo(HaveOccurred())
				for _, m := range page.Data {
					reasons = append(reasons, m.Reason)
				}
				if in.Cursor = page.NextCursor; in.Cursor == "" {
					break
				}
			}
			Expect(reasons).To(Equal([]string{"9", "8", "7", "6", "5", "4", "3", "2", "1", "0", "product created"}))
		})
	})
})
