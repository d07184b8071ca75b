package pack

import (
	"fmt"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

var _ = Describe("packing", func() {
	cube := func(mm int64) Sides { return Sides{mm, mm, mm} }
	small := Box{Name: "S", Sides: cube(100), Own: 50, Most: 2000}
	large := Box{Name: "L", Sides: cube(200), Own: 150, Most: 10_000}
	boxes := []Box{small, large}
	// said is what is in which boxes, "2×S 350 g [2 MUG]".
	said := func(parcels []Parcel) (list []string) {
		for _, p := range parcels {
			s := fmt.Sprintf("%d×%s %d g", p.Count, p.Box, p.Grams)
			for _, c := range p.Items {
				s += fmt.Sprintf(" [%d %s]", c.Quantity, c.SKU)
			}
			if p.Oversize {
				s += " oversize"
			}
			if p.Excess != Within {
				s += " " + string(p.Excess)
			}
			list = append(list, s)
		}
		return list
	}
	mug := func(n int64) Item { return Item{SKU: "MUG", Quantity: n, Grams: 300, Sides: Sides{100, 50, 50}} }

	DescribeTable("puts", func(items []Item, boxes []Box, limit Limit, want ...string) {
		Expect(said(Pack(items, boxes, limit))).To(HaveExactElements(want))
	},
		Entry("little into the smallest box", []Item{mug(4)}, boxes, Limit{}, "1×S 1250 g [4 MUG]"),
		Entry("more into a larger one, turned as it fits", []Item{{SKU: "MUG", Quantity: 32, Grams: 30, Sides: Sides{50, 100, 50}}}, boxes, Limit{}, "1×L 1110 g [32 MUG]"),
		Entry("what is too much for one box into as few as can be", []Item{mug(68)}, boxes, Limit{}, "2×L 9750 g [32 MUG]", "1×S 1250 g [4 MUG]"),
		Entry("small things into the room that large ones leave", []Item{mug(1), {SKU: "VASE", Quantity: 1, Grams: 900, Sides: Sides{200, 200, 150}}}, boxes, Limit{}, "1×L 1350 g [1 VASE] [1 MUG]"),
		Entry("no more into a box than it may weigh", []Item{{SKU: "IRON", Quantity: 3, Grams: 4000, Sides: cube(20)}}, boxes, Limit{}, "1×L 8150 g [2 IRON]", "1×L 4150 g [1 IRON]"),
		Entry("what fits into no box into a parcel of its own", []Item{{SKU: "POSTER", Quantity: 2, Grams: 80, Sides: Sides{900, 60, 60}}, mug(1)}, boxes, Limit{}, "2× 80 g [1 POSTER] oversize", "1×S 350 g [1 MUG]"),
		Entry("what is too heavy for any box into a parcel of its own", []Item{{SKU: "ANVIL", Quantity: 1, Grams: 30_000, Sides: cube(90)}}, boxes, Limit{}, "1× 30000 g [1 ANVIL] oversize"),
		Entry("what nobody has measured wherever it is not too heavy", []Item{{SKU: "CARD", Quantity: 25, Grams: 100}}, boxes, Limit{}, "1×L 2650 g [25 CARD]"),
		Entry("everything together where there are no boxes", []Item{mug(70), {SKU: "POSTER", Quantity: 1, Grams: 80, Sides: Sides{900, 60, 60}}}, nil, Limit{}, "1× 21080 g [1 POSTER] [70 MUG]"),
		Entry("as much as may go where there are no boxes", []Item{mug(7)}, nil, Limit{Grams: 1000}, "2× 900 g [3 MUG]", "1× 300 g [1 MUG]"),
		Entry("what is too heavy by itself alone", []Item{mug(1)}, nil, Limit{Grams: 200}, "1× 300 g [1 MUG] oversize parcel_too_heavy"),
		Entry("what is too long by itself alone", []Item{mug(1), {SKU: "POSTER", Quantity: 1, Grams: 80, Sides: Sides{900, 60, 60}}}, nil, Limit{Sides: Sides{350, 250, 250}}, "1× 80 g [1 POSTER] oversize parcel_too_large", "1× 300 g [1 MUG]"),
		Entry("nothing into boxes that may not go", []Item{mug(8)}, boxes, Limit{Sides: cube(150)}, "2×S 1250 g [4 MUG]"),
		Entry("no more than may go", []Item{mug(8)}, boxes, Limit{Grams: 700}, "4×S 650 g [2 MUG]"),
		Entry("what may not go with its box alone", []Item{mug(1)}, boxes, Limit{Grams: 320}, "1× 300 g [1 MUG] parcel_too_heavy"),
		Entry("what fits only into boxes that may not go alone", []Item{mug(1)}, []Box{large}, Limit{Sides: cube(150)}, "1× 300 g [1 MUG] parcel_too_large"),
		Entry("nothing into nothing", nil, boxes, Limit{}),
	)

	It("takes no longer for a hundred thousand", func() {
		parcels := Pack([]Item{mug(100_000), {SKU: "PIN", Quantity: 99_999, Grams: 1, Sides: Sides{7, 3, 3}}}, boxes, Limit{})
		Expect(len(parcels)).To(BeNumerically("<", 10))
	})

	side := rapid.Int64Range(1, 300)
	sides := rapid.Custom(func(t *rapid.T) Sides {
		if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
			return Sides{}
		}
		return Sides{side.Draw(t, "l"), side.Draw(t, "w"), side.Draw(t, "h")}
	})
	item := func(i int) *rapid.Generator[Item] {
		return rapid.Custom(func(t *rapid.T) Item {
			return Item{SKU: fmt.Sprintf("SKU-%d", i), Quantity: rapid.Int64Range(1, 40).Draw(t, "quantity"), Grams: rapid.Int64Range(0, 3000).Draw(t, "grams"), Sides: sides.Draw(t, "sides")}
		})
	}
	box := rapid.Custom(func(t *rapid.T) Box {
		return Box{Name: rapid.StringMatching(`[A-Z]{3}`).Draw(t, "name"), Sides: Sides{side.Draw(t, "l"), side.Draw(t, "w"), side.Draw(t, "h")}, Own: rapid.Int64Range(0, 500).Draw(t, "own"), Most: rapid.SampledFrom([]int64{0, 1000, 5000, 30_000}).Draw(t, "most")}
	})
	drawn := func(t *rapid.T) (items []Item, boxes []Box, limit Limit) {
		for i := range rapid.IntRange(0, 8).Draw(t, "items") {
			items = append(items, item(i).Draw(t, "item"))
		}
		for i, b := range rapid.SliceOfN(box, 0, 4).Draw(t, "boxes") {
			b.Name += fmt.Sprint(i)
			boxes = append(boxes, b)
		}
		if rapid.Bool().Draw(t, "limited") {
			limit = Limit{Grams: rapid.SampledFrom([]int64{0, 500, 2000}).Draw(t, "grams"), Sides: rapid.SampledFrom([]Sides{{}, {250, 200, 100}}).Draw(t, "sides")}
		}
		return items, boxes, limit
	}

	It("loses nothing, goes over no limit, and puts no two things in the same place", func() {
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			items, boxes, limit := drawn(t)
			of := map[string]Item{}
			for _, it := range items {
				of[it.SKU] = it
			}
			found := map[string]int64{}
			for _, p := range Pack(items, boxes, limit) {
				weighs, boxed := int64(0), slices.IndexFunc(boxes, func(b Box) bool { return b.Name == p.Box })
				lie := map[Sides]int64{}
				for _, c := range p.Items {
					found[c.SKU] += c.Quantity * p.Count
					weighs += c.Quantity * of[c.SKU].Grams
					if of[c.SKU].known() && boxed >= 0 {
						lie[of[c.SKU].sorted()] += c.Quantity
					}
				}
				if boxed < 0 {
					if p.Grams != weighs || len(boxes) > 0 && (len(p.Items) != 1 || p.Items[0].Quantity != 1) {
						t.Fatalf("%+v has no box", p)
					}
					only := of[p.Items[0].SKU]
					if p.Oversize && slices.ContainsFunc(boxes, func(b Box) bool { return only.Within(b.Sides) && (b.Most == 0 || b.Own+only.Grams <= b.Most) }) {
						t.Fatalf("there is a box for %+v", p)
					}
					if p.Excess == Within && (limit.Grams > 0 && p.Grams > limit.Grams || len(boxes) > 0 && !only.Within(limit.Sides)) {
						t.Fatalf("%+v is over the limit", p)
					}
					continue
				}
				b := boxes[boxed]
				if p.Grams != b.Own+weighs || b.Most > 0 && p.Grams > b.Most || limit.Grams > 0 && p.Grams > limit.Grams || !b.Within(limit.Sides) || p.Oversize || p.Excess != Within {
					t.Fatalf("%+v is over the limit of %+v", p, b)
				}
				var units []space
				for _, bl := range p.layout {
					lie[bl.sorted()] -= bl.nx * bl.ny * bl.nz
					units = append(units, space{bl.x, bl.y, bl.z, Sides{bl.nx * bl.Length, bl.ny * bl.Width, bl.nz * bl.Height}})
				}
				for kind, n := range lie {
					if n != 0 {
						t.Fatalf("%d of %+v lie nowhere in %+v", n, kind, p)
					}
				}
				for i, u := range units {
					if u.x+u.Length > b.Length || u.y+u.Width > b.Width || u.z+u.Height > b.Height {
						t.Fatalf("%+v sticks out of %+v", u, b)
					}
					for _, o := range units[:i] {
						if u.x < o.x+o.Length && o.x < u.x+u.Length && u.y < o.y+o.Width && o.y < u.y+u.Width && u.z < o.z+o.Height && o.z < u.z+u.Height {
							t.Fatalf("%+v is where %+v is", u, o)
						}
					}
				}
			}
			for _, it := range items {
				if found[it.SKU] != it.Quantity {
					t.Fatalf("%d of %d %s are packed", found[it.SKU], it.Quantity, it.SKU)
				}
			}
		})
	})

	It("is the same however things and boxes are named", func() {
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			items, boxes, limit := drawn(t)
			want := said(Pack(items, boxes, limit))
			if got := said(Pack(rapid.Permutation(items).Draw(t, "others"), boxes, limit)); !slices.Equal(got, want) {
				t.Fatalf("%v, and then %v", want, got)
			}
		})
	})
})
