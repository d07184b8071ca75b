package inventory

import (
	"fmt"
	"maps"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

func stock(onHand, reserved int64) level {
	return level{Location: defaultLocation, SKU: "MUG", OnHand: onHand, Reserved: reserved, LowThreshold: defaultThreshold, Version: 1}
}

// carts are demands of a few SKUs, each SKU once.
func carts(skus []string) *rapid.Generator[demand] {
	return rapid.Custom(func(t *rapid.T) demand {
		quantities := rapid.MapOfN(rapid.SampledFrom(skus), rapid.Int64Range(1, 4), 1, len(skus)).Draw(t, "cart")
		var d demand
		for _, sku := range skus {
			if q := quantities[sku]; q > 0 {
				d.Items = append(d.Items, item{sku, q})
			}
		}
		return d
	})
}

var _ = Describe("counting stock", func() {
	DescribeTable("sets what is on hand", func(before level, onHand, available int64) {
		Expect(before.count(onHand)).To(Succeed())
		Expect([]int64{before.OnHand, before.available()}).To(Equal([]int64{onHand, available}))
	},
		Entry("more", stock(10, 4), int64(25), int64(21)),
		Entry("less", stock(10, 4), int64(5), int64(1)),
		Entry("what orders have reserved, and nothing to sell", stock(10, 4), int64(4), int64(0)),
		Entry("none, of which nothing is reserved", stock(10, 0), int64(0), int64(0)),
	)

	DescribeTable("never leaves less than orders have reserved", func(before level, onHand int64) {
		after := before
		err := after.count(onHand)
		Expect(err).To(MatchError(errBelowReserved))
		Expect(fault.From(err).Extra).To(HaveKeyWithValue("reserved", before.Reserved))
		Expect(after).To(Equal(before))
	},
		Entry("one less", stock(10, 4), int64(3)),
		Entry("none", stock(10, 4), int64(0)),
		Entry("less than none", stock(10, 0), int64(-1)),
	)
})

var _ = Describe("stock that runs low", func() {
	DescribeTable("is told of when it falls to the threshold", func(before, after level, told bool) {
		Expect(ranLow(before, after)).To(Equal(told))
	},
		Entry("to the threshold", stock(6, 0), stock(6, 1), true),
		Entry("far below it", stock(100, 0), stock(100, 100), true),
		Entry("because less is on hand", stock(6, 0), stock(5, 0), true),
		Entry("not while it is above", stock(10, 0), stock(10, 4), false),
		Entry("not when it was at it already", stock(5, 0), stock(5, 1), false),
		Entry("not when it rises", stock(5, 5), stock(5, 1), false),
		Entry("not when nothing changes", stock(5, 1), stock(5, 1), false),
		Entry("when the threshold is raised above it", stock(8, 0), level{OnHand: 8, LowThreshold: 9}, true),
	)

	It("is told of once, until it has been above the threshold again", func() {
		always(func(t *rapid.T, g Gomega) {
			l := stock(rapid.Int64Range(0, 12).Draw(t, "first"), 0)
			low := l.available() <= l.LowThreshold
			for range rapid.IntRange(1, 30).Draw(t, "steps") {
				before := l
				l.OnHand = rapid.Int64Range(0, 12).Draw(t, "on hand")
				isLow := l.available() <= l.LowThreshold
				g.Expect(ranLow(before, l)).To(Equal(isLow && !low))
				low = isLow
			}
		})
	})
})

var _ = Describe("adding up the lines of an order", func() {
	DescribeTable("asks for each SKU once", func(lines, want []item) {
		Expect(merge(lines)).To(Equal(want))
	},
		Entry("of none", nil, []item{}),
		Entry("of one", []item{{"A", 2}}, []item{{"A", 2}}),
		Entry("of the same SKU", []item{{"A", 1}, {"A", 1}}, []item{{"A", 2}}),
		Entry("in the order in which they came", []item{{"B", 1}, {"A", 2}, {"B", 3}, {"C", 4}, {"A", 5}}, []item{{"B", 4}, {"A", 7}, {"C", 4}}),
		Entry("and tells SKUs apart by case", []item{{"a", 1}, {"A", 1}}, []item{{"a", 1}, {"A", 1}}),
	)

	It("loses no unit and leaves the lines as they were", func() {
		always(func(t *rapid.T, g Gomega) {
			lines := rapid.SliceOf(rapid.Custom(func(t *rapid.T) item {
				return item{rapid.SampledFrom([]string{"A", "B", "C", "D"}).Draw(t, "sku"), rapid.Int64Range(1, 1000).Draw(t, "quantity")}
			})).Draw(t, "lines")
			untouched := append([]item{}, lines...)
			want := map[string]int64{}
			for _, i := range lines {
				want[i.SKU] += i.Quantity
			}
			got := map[string]int64{}
			for _, i := range merge(lines) {
				g.Expect(got).NotTo(HaveKey(i.SKU))
				got[i.SKU] = i.Quantity
			}
			g.Expect(got).To(Equal(want))
			g.Expect(append([]item{}, lines...)).To(Equal(untouched))
		})
	})
})

var _ = Describe("reserving for an order", func() {
	levels := func() map[string]*level {
		return map[string]*level{"A": {SKU: "A", OnHand: 5, Reserved: 2}, "B": {SKU: "B", OnHand: 1}, "C": {SKU: "C", OnHand: 3, Reserved: 3}}
	}

	DescribeTable("promises all of it, or nothing and says what is short", func(items []item, short []shortage, reserved map[string]int64) {
		l := levels()
		Expect(reserve(l, demand{"order", items})).To(Equal(short))
		for sku, level := range l {
			Expect(level.Reserved).To(Equal(levels()[sku].Reserved+reserved[sku]), sku)
			Expect(level.OnHand).To(Equal(levels()[sku].OnHand), sku)
		}
	},
		Entry("of one SKU", []item{{"A", 2}}, nil, map[string]int64{"A": 2}),
		Entry("to the last unit", []item{{"A", 3}, {"B", 1}}, nil, map[string]int64{"A": 3, "B": 1}),
		Entry("one too many", []item{{"A", 4}}, []shortage{{item{"A", 4}, 3}}, nil),
		Entry("one short of two", []item{{"A", 1}, {"B", 2}}, []shortage{{item{"B", 2}, 1}}, nil),
		Entry("all that are short", []item{{"C", 1}, {"A", 1}, {"B", 9}}, []shortage{{item{"C", 1}, 0}, {item{"B", 9}, 1}}, nil),
		Entry("an unknown SKU", []item{{"A", 1}, {"GHOST", 1}}, []shortage{{item{"GHOST", 1}, 0}}, nil),
	)

	// The model is a map of what is on hand and one of what each order holds.
	It("keeps 0 <= reserved <= on hand through any history", func() {
		skus := []string{"A", "B", "C"}
		always(func(t *rapid.T, g Gomega) {
			levels, onHand, reserved := map[string]*level{}, map[string]int64{}, map[string]int64{}
			for _, sku := range skus {
				onHand[sku] = rapid.Int64Range(0, 8).Draw(t, "on hand of "+sku)
				levels[sku] = &level{SKU: sku, OnHand: onHand[sku]}
			}
			var held []demand
			for step := range rapid.IntRange(1, 40).Draw(t, "steps") {
				switch rapid.SampledFrom([]string{"reserve", "release", "count"}).Draw(t, "step") {
				case "reserve":
					d := carts(skus).Draw(t, "demand")
					d.OrderID = fmt.Sprint(step)
					var lacking []shortage
					for _, i := range d.Items {
						if free := onHand[i.SKU] - reserved[i.SKU]; free < i.Quantity {
							lacking = append(lacking, shortage{i, free})
						}
					}
					g.Expect(reserve(levels, d)).To(Equal(lacking))
					if len(lacking) == 0 {
						held = append(held, d)
						for _, i := range d.Items {
							reserved[i.SKU] += i.Quantity
						}
					}
				case "release":
					if len(held) == 0 {
						continue
					}
					at := rapid.IntRange(0, len(held)-1).Draw(t, "which")
					for _, i := range held[at].Items {
						levels[i.SKU].Reserved -= i.Quantity
						reserved[i.SKU] -= i.Quantity
					}
					held = append(held[:at], held[at+1:]...)
				case "count":
					sku, n := rapid.SampledFrom(skus).Draw(t, "sku"), rapid.Int64Range(-1, 8).Draw(t, "counted")
					err := levels[sku].count(n)
					if n < reserved[sku] {
						g.Expect(err).To(MatchError(errBelowReserved))
					} else {
						g.Expect(err).NotTo(HaveOccurred())
						onHand[sku] = n
					}
				}
				for sku, l := range levels {
					g.Expect([]int64{l.OnHand, l.Reserved}).To(Equal([]int64{onHand[sku], reserved[sku]}), sku)
					g.Expect(l.Reserved).To(And(BeNumerically(">=", 0), BeNumerically("<=", l.OnHand)), sku)
				}
			}
		})
	})

	It("serves orders in the order in which they came", func() {
		always(func(t *rapid.T, g Gomega) {
			skus := []string{"A", "B"}
			levels := map[string]*level{}
			for _, sku := range skus {
				levels[sku] = &level{SKU: sku, OnHand: rapid.Int64Range(0, 6).Draw(t, sku)}
			}
			left := map[string]int64{}
			for sku, l := range levels {
				left[sku] = l.OnHand
			}
			for _, d := range rapid.SliceOfN(carts(skus), 1, 10).Draw(t, "demands") {
				enough := true
				for _, i := range d.Items {
					enough = enough && left[i.SKU] >= i.Quantity
				}
				g.Expect(reserve(levels, d) == nil).To(Equal(enough))
				if enough {
					for _, i := range d.Items {
						left[i.SKU] -= i.Quantity
					}
				}
			}
			g.Expect(maps.Collect(func(yield func(string, int64) bool) {
				for sku, l := range levels {
					if !yield(sku, l.available()) {
						return
					}
				}
			})).To(Equal(left))
		})
	})
})
