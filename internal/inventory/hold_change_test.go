package inventory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("the hold of a cart", Label("db"), func() {
	var (
		m    *Module
		shop uuid.UUID
		ctx  context.Context
	)
	BeforeEach(func() {
		m, shop = &Module{replica()}, testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
		stocked(ctx, m.svc, item{"CUP", 10}, item{"MUG", 10})
	})
	AfterEach(func() { addsUp(shop) })

	former := func(hold string) []string {
		if hold == "" {
			return nil
		}
		return []string{hold}
	}
	hold := func(ctx context.Context, w inventoryapi.Wish) (held inventoryapi.Held) {
		GinkgoHelper()
		Expect(m.svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
			held, err = m.Hold(ctx, tx, w)
			return err
		})).To(Succeed())
		return held
	}
	wants := func(held string, items ...inventoryapi.Item) inventoryapi.Held {
		GinkgoHelper()
		return hold(ctx, inventoryapi.Wish{HoldIDs: former(held), Items: items, Lasts: time.Minute})
	}
	release := func(held string) {
		GinkgoHelper()
		Expect(m.svc.db.InTx(ctx, func(tx *db.Tx) error { return m.Release(ctx, tx, held) })).To(Succeed())
	}
	free := func() (available map[string]int64) {
		GinkgoHelper()
		Expect(m.svc.db.Read(ctx, func(tx *db.Tx) (err error) {
			available, err = m.Available(ctx, tx, []string{"CUP", "MUG", "GHOST"})
			return err
		})).To(Succeed())
		return available
	}
	cups := func(n int64) inventoryapi.Item { return inventoryapi.Item{SKU: "CUP", Quantity: n} }
	mugs := func(n int64) inventoryapi.Item { return inventoryapi.Item{SKU: "MUG", Quantity: n} }

	It("is never in the cart's own way", func() {
		first := wants("", cups(10))
		Expect(free()).To(Equal(map[string]int64{"CUP": 0, "MUG": 10}))
		second := wants(first.HoldID, cups(9), mugs(2))
		Expect(second.HoldID).NotTo(Or(BeEmpty(), Equal(first.HoldID)))
		Expect(free()).To(Equal(map[string]int64{"CUP": 1, "MUG": 8}))
	})

	It("lasts longer when nothing has changed, and is the same", func() {
		first := wants("", cups(2))
		later := hold(ctx, inventoryapi.Wish{HoldIDs: former(first.HoldID), Items: []inventoryapi.Item{cups(2)}, Lasts: time.Hour})
		Expect(later.HoldID).To(Equal(first.HoldID))
		Expect(later.ExpiresAt).To(BeTemporally(">", first.ExpiresAt.Add(50*time.Minute)))
		Expect(wants(first.HoldID, cups(2)).ExpiresAt).To(Equal(later.ExpiresAt), "never for shorter")
		Expect(free()).To(HaveKeyWithValue("CUP", int64(8)))
	})

	It("stays as it was when there is not enough of what the cart wants, and says how much there is for it", func() {
		first := wants("", cups(4))
		wants("", cups(3))
		Expect(wants(first.HoldID, cups(8), inventoryapi.Item{SKU: "GHOST", Quantity: 1})).To(Equal(inventoryapi.Held{
			Short: []inventoryapi.Short{{SKU: "CUP", Quantity: 8, Available: 7}, {SKU: "GHOST", Quantity: 1}},
		}))
		Expect(free()).To(HaveKeyWithValue("CUP", int64(3)))
		Expect(wants(first.HoldID, cups(7)).Short).To(BeEmpty())
	})

	It("takes the place of several at once, and nobody gets anything of theirs in between", func() {
		first, second := wants("", cups(4), mugs(10)), wants("", cups(6))
		both := func(items ...inventoryapi.Item) inventoryapi.Held {
			GinkgoHelper()
			return hold(ctx, inventoryapi.Wish{HoldIDs: []string{first.HoldID, second.HoldID}, Items: items, Lasts: time.Minute})
		}
		Expect(both(cups(11)).Short).To(HaveExactElements(inventoryapi.Short{SKU: "CUP", Quantity: 11, Available: 10}))
		Expect(free()).To(Equal(map[string]int64{"CUP": 0, "MUG": 0}))
		Expect(both(cups(9), mugs(10)).HoldID).NotTo(Or(BeEmpty(), Equal(first.HoldID), Equal(second.HoldID)))
		Expect(free()).To(Equal(map[string]int64{"CUP": 1, "MUG": 0}))
		for _, over := range []inventoryapi.Held{first, second} {
			release(over.HoldID)
		}
		Expect(free()).To(Equal(map[string]int64{"CUP": 1, "MUG": 0}), "they are over")
	})

	It("costs one statement when nothing has changed", func() {
		first, cost := wants("", cups(2), mugs(1)), &db.Cost{}
		held := hold(db.WithCost(ctx, cost), inventoryapi.Wish{HoldIDs: []string{first.HoldID}, Items: []inventoryapi.Item{cups(2), mugs(1)}, Lasts: time.Minute})
		Expect(held.HoldID).To(Equal(first.HoldID))
		Expect(cost.RoundTrips()).To(BeEquivalentTo(3), "begin, extend, commit")
	})

	It("is given up once, whoever asks how often", func() {
		held := wants("", cups(4))
		for range 2 {
			release(held.HoldID)
			Expect(free()).To(HaveKeyWithValue("CUP", int64(10)))
		}
		Expect(wants(held.HoldID, cups(1)).HoldID).NotTo(Equal(held.HoldID), "one that is over is no hold")
	})

	It("goes to as many carts as there is stock, however many want it at the same moment", func() {
		var got sync.Map
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				defer GinkgoRecover()
				if held := wants("", cups(3), mugs(1)); held.HoldID != "" {
					got.Store(n, held)
				}
			})
		}
		all.Wait()
		n := 0
		got.Range(func(any, any) bool { n++; return true })
		Expect(n).To(Equal(3))
		Expect(free()).To(Equal(map[string]int64{"CUP": 1, "MUG": 7}))
	})
})
