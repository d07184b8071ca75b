package money

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

var _ = Describe("splitting an amount", func() {
	DescribeTable("gives every part its share and loses no cent", func(minor int64, weights, want []int64) {
		parts, err := usd(minor).Split(weights...)
		Expect(err).NotTo(HaveOccurred())
		Expect(minors(parts)).To(Equal(want))
		Expect(Sum(USD, parts...)).To(Equal(usd(minor)))
	},
		Entry("a discount that divides evenly", int64(900), []int64{1, 1, 1}, []int64{300, 300, 300}),
		Entry("a cent left over goes to the first of equals", int64(1000), []int64{1, 1, 1}, []int64{334, 333, 333}),
		Entry("two cents left over go to the first two", int64(1001), []int64{1, 1, 1}, []int64{334, 334, 333}),
		Entry("the part that lost most by rounding gets it, not the first", int64(100), []int64{3333, 3333, 3334}, []int64{33, 33, 34}),
		Entry("by line totals", int64(500), []int64{2999, 1500, 1}, []int64{333, 167, 0}),
		Entry("fewer cents than parts", int64(2), []int64{1, 1, 1}, []int64{1, 1, 0}),
		Entry("a free item gets nothing, even when it comes first", int64(1), []int64{0, 1, 1}, []int64{0, 1, 0}),
		Entry("one part gets all", int64(1234), []int64{7}, []int64{1234}),
		Entry("nothing", int64(0), []int64{1, 2}, []int64{0, 0}),
		Entry("a refund mirrors what was charged", int64(-1000), []int64{1, 1, 1}, []int64{-334, -333, -333}),
		Entry("the most there is", int64(math.MaxInt64), []int64{1, 1}, []int64{math.MaxInt64/2 + 1, math.MaxInt64 / 2}),
		Entry("the least there is", int64(math.MinInt64), []int64{1}, []int64{math.MinInt64}),
		Entry("the least there is, in two", int64(math.MinInt64), []int64{1, 1}, []int64{math.MinInt64 / 2, math.MinInt64 / 2}),
		Entry("the most there is by the heaviest weights", int64(math.MaxInt64), []int64{math.MaxInt64, math.MaxInt64}, []int64{math.MaxInt64/2 + 1, math.MaxInt64 / 2}),
		Entry("the least there is by a heavy and a light weight", int64(math.MinInt64), []int64{math.MaxInt64, 1}, []int64{-math.MaxInt64, -1}),
	)

	It("keeps the currency", func() {
		parts, err := Amount{5, JPY}.Split(1, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(parts).To(Equal([]Amount{{3, JPY}, {2, JPY}}))
	})

	It("serves a hundred equals in their order", func() {
		parts, err := usd(150).Split(slices.Repeat([]int64{7}, 100)...)
		Expect(err).NotTo(HaveOccurred())
		Expect(minors(parts)).To(Equal(slices.Concat(slices.Repeat([]int64{2}, 50), slices.Repeat([]int64{1}, 50))))
	})

	DescribeTable("refuses weights that say nothing", func(want error, weights ...int64) {
		parts, err := usd(100).Split(weights...)
		Expect(err).To(MatchError(want))
		Expect(parts).To(BeNil())
	},
		Entry("none at all", ErrWeights),
		Entry("all zero", ErrWeights, int64(0), int64(0)),
		Entry("a negative one", ErrWeights, int64(5), int64(-1)),
		Entry("a negative one that cancels another", ErrWeights, int64(1), int64(-1)),
		Entry("together more than can be counted", ErrOverflow, int64(math.MaxInt64), int64(math.MaxInt64), int64(2)),
	)

	Context("whatever the amount and the weights", func() {
		// Three of the heaviest weights would exceed 2^64-1.
		weights := rapid.OneOf(
			// Many equal weights: short lists would pass with an unstable sort, too.
			rapid.SliceOfN(rapid.Int64Range(0, 3), 1, 60),
			rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64/10), 1, 20),
			rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 2),
		).Filter(func(weights []int64) bool {
			for _, w := range weights {
				if w > 0 {
					return true
				}
			}
			return false
		})

		It("adds up to the whole, each part less than one minor unit from its exact share", func() {
			always(func(t *rapid.T, g Gomega) {
				a, ws := anyAmount().Draw(t, "amount"), weights.Draw(t, "weights")
				parts, err := a.Split(ws...)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(parts).To(HaveLen(len(ws)))
				g.Expect(Sum(a.Currency, parts...)).To(Equal(a))

				total := new(big.Int)
				for _, w := range ws {
					total.Add(total, big.NewInt(w))
				}
				for i, p := range parts {
					got := new(big.Int).Mul(big.NewInt(p.Minor), total)
					exact := new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(ws[i]))
					g.Expect(got.Sub(got, exact).CmpAbs(total)).To(Equal(-1), "part %d", i)
					g.Expect(ws[i] > 0 || p.IsZero()).To(BeTrue(), "part %d has no weight", i)
				}
			})
		})

		It("never gives a heavier part less, nor a later one of equals more", func() {
			always(func(t *rapid.T, g Gomega) {
				a, ws := anyAmount().Draw(t, "amount"), weights.Draw(t, "weights")
				parts, err := a.Split(ws...)
				g.Expect(err).NotTo(HaveOccurred())
				for i := range ws {
					for j := range i {
						if ws[i] <= ws[j] {
							g.Expect(magnitude(parts[i].Minor)).To(BeNumerically("<=", magnitude(parts[j].Minor)))
						} else {
							g.Expect(magnitude(parts[i].Minor)).To(BeNumerically(">=", magnitude(parts[j].Minor)))
						}
					}
				}
			})
		})

		It("refunds each part as it was charged", func() {
			always(func(t *rapid.T, g Gomega) {
				charged, ws := usd(rapid.Int64Min(0).Draw(t, "minor")), weights.Draw(t, "weights")
				refund, err := charged.Neg()
				g.Expect(err).NotTo(HaveOccurred())
				charges, err := charged.Split(ws...)
				g.Expect(err).NotTo(HaveOccurred())
				refunds, err := refund.Split(ws...)
				g.Expect(err).NotTo(HaveOccurred())
				for i := range ws {
					g.Expect(charges[i].Neg()).To(Equal(refunds[i]))
				}
			})
		})
	})

	It("spreads a million discounts over a million orders to the cent", func() {
		random := rand.New(rand.NewPCG(4217, 2026))
		for range 1_000_000 {
			lines := make([]int64, 1+random.IntN(8))
			for i := range lines {
				lines[i] = 1 + random.Int64N(100_000)
			}
			discount := usd(-random.Int64N(50_000))
			parts, err := discount.Split(lines...)
			// Expect a million times would take longer than the splitting itself.
			if sum, sumErr := Sum(USD, parts...); err != nil || sumErr != nil || sum != discount {
				Fail("lost a cent of " + discount.String())
			}
		}
	})
})
