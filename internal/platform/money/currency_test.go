package money

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a currency", func() {
	It("is one of the four of the first release, or not yet enabled", func() {
		Expect(Enabled()).To(Equal([]Currency{"USD", "EUR", "GBP", "JPY"}))
		enabled := 0
		for _, c := range everyCurrency {
			if c.IsEnabled() {
				enabled++
			}
		}
		Expect(enabled).To(Equal(4))
	})

	It("stays enabled whatever a caller does to the list", func() {
		Enabled()[0] = "CHF"
		Expect(USD.IsEnabled()).To(BeTrue())
		Expect(Currency("CHF").IsEnabled()).To(BeFalse())
	})

	DescribeTable("has the minor unit that ISO 4217 gives it", func(digits, howMany int, codes string) {
		for code := range strings.FieldsSeq(codes) {
			c, err := ParseCurrency(code)
			Expect(err).NotTo(HaveOccurred(), code)
			Expect(c.Digits()).To(Equal(digits), code)
		}
		found := 0
		for _, d := range minorDigits {
			if d == digits {
				found++
			}
		}
		Expect(found).To(Equal(howMany))
	},
		Entry("none", 0, 17, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
		Entry("thousandths", 3, 7, "BHD IQD JOD KWD LYD OMR TND"),
		Entry("ten-thousandths", 4, 2, "CLF UYW"),
		Entry("hundredths, as most have", 2, 132, "USD EUR GBP CHF CNY INR BRL MXN HUF IDR MGA MRU TWD XCD"),
		Entry("hundredths, in the codes ISO added last", 2, 132, "SLE VED XCG ZWG"),
	)

	DescribeTable("is refused when it is", func(codes ...string) {
		for _, code := range codes {
			_, err := ParseCurrency(code)
			Expect(err).To(MatchError(ErrUnknownCurrency), code)
			_, err = Parse("1", Currency(code))
			Expect(err).To(MatchError(ErrUnknownCurrency), code)
		}
	},
		Entry("nothing", ""),
		Entry("misspelt", "usd", "Usd", "US", "USDT", " USD", "USD ", "US\x00", "ＵＳＤ"),
		Entry("invented", "ABC", "BTC", "EUX"),
		Entry("no currency, or for tests", "XXX", "XTS"),
		Entry("a metal", "XAU", "XAG", "XPT", "XPD"),
		Entry("a unit of bonds, banks and funds", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XAD", "BOV", "CHE", "CHW", "COU", "MXV", "USN"),
		Entry("withdrawn", "DEM", "HRK", "BGN", "CUC", "ANG", "SLL", "ZWL"),
	)

	It("does not repeat a long text in its refusal", func() {
		_, err := ParseCurrency(strings.Repeat("x", 1<<20))
		Expect(len(err.Error())).To(BeNumerically("<", 100))
	})

	It("that slipped in unchecked shows bare minor units, so that no digit is hidden", func() {
		Expect(Amount{2999, "usd"}.String()).To(Equal("2999 usd"))
	})
})
