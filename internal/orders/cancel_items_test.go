package orders

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// partlyOff calls off n mugs of an order.
func partlyOff(ctx context.Context, svc *service, o order, n int64) (after order, err error) {
	err = svc.db.InTx(ctx, func(tx *db.Tx) error {
		after, err = svc.cancelItems(ctx, tx, o.ID, "", "one too many", []ordersapi.ConsignedItem{{SKU: "MUG", Quantity: n}})
		return err
	})
	return after, err
}

var _ = It("gives back unit by unit what it gives back of the whole, in every currency and however it was rounded", func() {
	always(func(t *rapid.T, g Gomega) {
		c := rapid.SampledFrom([]money.Currency{money.JPY, money.EUR, "KWD"}).Draw(t, "currency")
		runs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ordersapi.UnitShare {
			of := func(name string, most int64) money.Amount { return amount(rapid.Int64Range(0, most).Draw(t, name), c) }
			return ordersapi.UnitShare{Count: rapid.Int64Range(1, 4).Draw(t, "units"), Discount: of("discount", 99), Net: of("net", 100000), Tax: of("tax", 30000)}
		}), 1, 4).Draw(t, "runs")
		var units int64
		for _, r := range runs {
			units += r.Count
		}
		whole, err := sharesOf(runs, c, 0, units)
		g.Expect(err).NotTo(HaveOccurred())
		sum := ordersapi.UnitShare{Count: units, Discount: amount(0, c), Net: amount(0, c), Tax: amount(0, c)}
		for at := int64(0); at < units; {
			n := rapid.Int64Range(1, units-at).Draw(t, "at once")
			part, err := sharesOf(runs, c, at, n)
			g.Expect(err).NotTo(HaveOccurred())
			sum.Discount.Minor, sum.Net.Minor, sum.Tax.Minor = sum.Discount.Minor+part.Discount.Minor, sum.Net.Minor+part.Net.Minor, sum.Tax.Minor+part.Tax.Minor
			at += n
		}
		g.Expect(sum).To(Equal(whole))
		_, err = sharesOf(runs, c, units, 1)
		g.Expect(err).To(MatchError(errUnitsMissing))
	})
})

var _ = Describe("calling off a part of an order", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})

	It("takes it off what is to be paid, and says so", func() {
		o := settled(ctx, svc, 3)
		after, err := partlyOff(ctx, svc, o, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(after).To(And(HaveField("Status", paid), HaveField("Payment", overpaid), HaveField("CalledOff", eur(1250)), HaveField("Total", eur(3750))))
		Expect(after.Lines[0].progress).To(Equal(progress{Cancelled: 1}))
		Expect(owed(ctx, &Module{svc}, o.ID)).To(HaveField("Total", eur(2500)))
		facts := recorded(ctx, svc)
		Expect(facts[len(facts)-1].Type).To(Equal("order.items_cancelled"))
		Expect(facts[len(facts)-1].Data).To(And(ContainSubstring(`"amount":"12.50"`), ContainSubstring(`"due":"25.00"`), ContainSubstring(`"reason":"one too many"`)))
		steps, err := svc.handleTimeline(ctx, &byID{ID: o.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(steps.Data).To(ContainElement(And(HaveField("Reason", "one too many"), HaveField("Cancelled", HaveExactElements(ordersapi.CancelledItem{Line: 1, SKU: "MUG", Quantity: 1})))))
	})

	It("gives back the exact shares of discount and tax", func() {
		p := quoted()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := (&Module{svc}).Place(ctx, tx, p, true)
			return err
		})).To(Succeed())
		o := order{ID: uuid.MustParse(p.OrderID)}
		_, err := partlyOff(ctx, svc, o, 1)
		Expect(code(err)).To(Equal("order_not_cancellable"), "its stock is not known yet")
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.store.advance(ctx, tx, []string{p.OrderID}, created, confirmed, "")
			return err
		})).To(Succeed())
		for _, want := range []int64{1217, 2434} { // 989 + 228 each; the third unit would be 1216
			after, err := partlyOff(ctx, svc, o, 1)
			Expect(err).NotTo(HaveOccurred())
			Expect(after.CalledOff).To(Equal(eur(want)))
		}
	})

	It("is calling off the order when nothing is left", func() {
		o := settled(ctx, svc, 2)
		Expect(partlyOff(ctx, svc, o, 1)).To(HaveField("Status", paid))
		Expect(partlyOff(ctx, svc, o, 1)).To(And(HaveField("Status", cancelled), HaveField("Reason", "one too many")))
		list := topics(ctx, svc)
		Expect(list[len(list)-1]).To(HavePrefix("order.cancelled"))
	})

	It("leaves an order shipped of which the rest has left", func() {
		o := settled(ctx, svc, 3)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelShipped, 3)
		_, err := partlyOff(ctx, svc, o, 2)
		Expect(code(err)).To(Equal("order_not_cancellable"))
		Expect(partlyOff(ctx, svc, o, 1)).To(And(HaveField("Status", shipped), HaveField("Fulfillment", fullyShipped)))
		list := topics(ctx, svc)
		Expect(list[len(list)-2:]).To(HaveExactElements(HavePrefix("order.items_cancelled"), HavePrefix("order.shipped")))
	})

	It("never ships what was called off, nor calls off what was packed, however many do both at the same moment", func() {
		o := settled(ctx, svc, 20)
		var done sync.WaitGroup
		var boxed, off atomic.Int64
		for i := range 50 {
			done.Go(func() {
				defer GinkgoRecover()
				if i%2 == 0 {
					if _, err := packed(ctx, svc, o, clock.NewID(), 1); err == nil {
						boxed.Add(1)
					} else {
						Expect(code(err)).To(BeElementOf("nothing_to_ship", "order_not_shippable"))
					}
					return
				}
				if _, err := partlyOff(ctx, svc, o, 1); err == nil {
					off.Add(1)
				} else {
					Expect(code(err)).To(Equal("order_not_cancellable"))
				}
			})
		}
		done.Wait()
		found := reread(ctx, svc, o)
		Expect(boxed.Load()+off.Load()).To(BeEquivalentTo(20), fmt.Sprint(found.Lines[0].progress))
		Expect(found.Lines[0].progress).To(Equal(progress{Cancelled: off.Load(), Consigned: boxed.Load()}))
		Expect(found.CalledOff).To(Equal(eur(1250 * off.Load())))
	})
})
