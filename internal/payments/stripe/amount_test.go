package stripe

import (
	"math"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	upstream "github.com/stripe/stripe-go/v85"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// currencies are all of ISO 4217 that the program knows.
func currencies() (all []money.Currency) {
	letters := []rune("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	for _, a := range letters {
		for _, b := range letters {
			for _, c := range letters {
				if code, err := money.ParseCurrency(string([]rune{a, b, c})); err == nil {
					all = append(all, code)
				}
			}
		}
	}
	return all
}

var _ = Describe("an amount in Stripe's units", func() {
	It("has the digits that Stripe publishes, in every currency of ISO 4217", func() {
		none := []money.Currency{"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
		three := []money.Currency{"BHD", "JOD", "KWD", "OMR", "TND"}
		all := currencies()
		Expect(len(all)).To(BeNumerically(">", 150))
		for _, c := range all {
			one, err := money.Parse("1", c) // of its unit, a dollar or a yen
			Expect(err).NotTo(HaveOccurred())
			n, err := toStripe(one)
			switch {
			case slices.Contains(untaken, c):
				Expect(err).To(BeAssignableToTypeOf(&provider.Declined{}), string(c))
				continue
			case slices.Contains(none, c):
				Expect(n).To(Equal(int64(1)), string(c))
			case slices.Contains(three, c):
				Expect(n).To(Equal(int64(1000)), string(c))
			default:
				Expect(n).To(Equal(int64(100)), string(c))
			}
			Expect(err).NotTo(HaveOccurred())
			Expect(fromStripe(n, upstream.Currency(lower(c)))).To(Equal(one))
		}
	})

	It("comes back as it went, or does not go", func() {
		all := currencies()
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			g := NewWithT(t)
			a := money.Amount{Minor: rapid.Int64().Draw(t, "minor"), Currency: rapid.SampledFrom(all).Draw(t, "currency")}
			n, err := toStripe(a)
			if err == nil {
				g.Expect(fromStripe(n, upstream.Currency(lower(a.Currency)))).To(Equal(a))
			}
		})
	})

	DescribeTable("is declined before anybody is asked", func(minor int64, c money.Currency) {
		_, err := toStripe(money.Amount{Minor: minor, Currency: c})
		Expect(err).To(BeAssignableToTypeOf(&provider.Declined{}))
	},
		Entry("a thousandth of a dinar", int64(5124), money.Currency("KWD")),
		Entry("a hundredth of an ariary, which Stripe does not have", int64(50050), money.Currency("MGA")),
		Entry("a unit of account", int64(10000), money.Currency("CLF")),
	)

	It("is an error when it does not fit", func() {
		_, err := toStripe(money.Amount{Minor: math.MaxInt64 / 50, Currency: "ISK"})
		Expect(err).To(MatchError(money.ErrOverflow))
		_, err = fromStripe(math.MaxInt64, "mga")
		Expect(err).To(MatchError(money.ErrOverflow))
		_, err = fromStripe(50010, "isk")
		Expect(err).To(MatchError(money.ErrTooManyDigits))
		_, err = fromStripe(1, "eux")
		Expect(err).To(MatchError(money.ErrUnknownCurrency))
	})
})
