package inventory

import (
	"slices"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

var everyHoldStatus = []holdStatus{holdHeld, holdClaimed, holdReleased, holdExpired}

var _ = Describe("the status of a hold", func() {
	DescribeTable("moves", func(from holdStatus, to ...holdStatus) {
		for _, next := range everyHoldStatus {
			Expect(from.canBecome(next)).To(Equal(slices.Contains(to, next)), "%s to %s", from, next)
		}
	},
		Entry("held", holdHeld, holdClaimed, holdReleased, holdExpired),
		Entry("claimed, which is an end", holdClaimed),
		Entry("released, which is an end", holdReleased),
		Entry("expired, which is an end", holdExpired),
	)

	DescribeTable("when it is released", func(from holdStatus, changes bool, refusal error) {
		changed, err := hold{Status: from}.release()
		Expect(changed).To(Equal(changes))
		if refusal == nil {
			Expect(err).NotTo(HaveOccurred())
		} else {
			Expect(err).To(MatchError(refusal))
		}
	},
		Entry("frees what is held", holdHeld, true, nil),
		Entry("does nothing twice", holdReleased, false, nil),
		Entry("has nothing to do after its time", holdExpired, false, nil),
		Entry("does not take from an order what it has claimed", holdClaimed, false, errHoldClaimed),
	)
})

var _ = Describe("holds that run out together", func() {
	DescribeTable("are expired in pieces of so many lines", func(lines, first int) {
		list := []hold{{Items: make([]item, 3)}, {Items: make([]item, 2)}, {Items: make([]item, 4)}}
		Expect(atMost(list, lines)).To(Equal(list[:first]))
	},
		Entry("all that fit", 9, 3),
		Entry("not one too many", 8, 2),
		Entry("up to the last line", 5, 2),
		Entry("one at least, however many lines it has", 1, 1),
	)

	It("may be none", func() { Expect(atMost(nil, 9)).To(BeEmpty()) })
})

var _ = Describe("a refused hold", func() {
	It("names every line of what is short, and how much there is", func() {
		lines := []item{{"MUG", 2}, {"CUP", 1}, {"MUG", 3}, {"JUG", 4}}
		f := fault.From(outOfStock(lines, []shortage{{item{"MUG", 5}, 4}, {item{"JUG", 4}, 0}}))
		Expect(f).To(MatchError(errOutOfStock))
		Expect(f.Fields).To(HaveExactElements(
			fault.Field{Pointer: "/items/0", Code: "out_of_stock", Detail: "4 of MUG are available, not 5"},
			fault.Field{Pointer: "/items/2", Code: "out_of_stock", Detail: "4 of MUG are available, not 5"},
			fault.Field{Pointer: "/items/3", Code: "out_of_stock", Detail: "0 of JUG are available, not 4"},
		))
		Expect(f.Extra).To(HaveKeyWithValue("missing", []missing{{"/items/0", "MUG", 5, 4}, {"/items/2", "MUG", 5, 4}, {"/items/3", "JUG", 4, 0}}))
	})
})

var _ = Describe("an order that claims a hold", func() {
	It("is reserved wholly or not at all, and leaves nothing of the hold behind", func() {
		always(func(t *rapid.T, g Gomega) {
			quantity := rapid.Int64Range(0, 5)
			levels, before := map[string]*level{}, map[string]level{}
			var held, wanted []item
			enough := true
			for _, sku := range []string{"A", "B", "C"} {
				free, others, own, want := quantity.Draw(t, "free"), quantity.Draw(t, "others"), quantity.Draw(t, "held"), quantity.Draw(t, "wanted")
				before[sku] = level{SKU: sku, OnHand: free + others + own, Reserved: others + own}
				l := before[sku]
				levels[sku] = &l
				if own > 0 {
					held = append(held, item{sku, own})
				}
				if want > 0 {
					wanted = append(wanted, item{sku, want})
				}
				enough = enough && want <= free+own
			}
			short := claim(levels, demand{uuid.NewString(), wanted}, held)
			if enough {
				g.Expect(short).To(BeEmpty())
			} else {
				g.Expect(short).NotTo(BeEmpty())
			}
			for sku, l := range levels {
				expected := before[sku].Reserved
				if enough {
					expected += quantityOf(wanted, sku) - quantityOf(held, sku)
				}
				g.Expect(l.Reserved).To(Equal(expected), sku)
				g.Expect(l.available()).To(BeNumerically(">=", 0), sku)
			}
		})
	})
})

func quantityOf(items []item, sku string) (n int64) {
	for _, i := range items {
		if i.SKU == sku {
			n += i.Quantity
		}
	}
	return n
}
