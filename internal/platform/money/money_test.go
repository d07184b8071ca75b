package money

import (
	"math"
	"math/big"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

var _ = Describe("reading an amount", func() {
	DescribeTable("takes decimal text as the currency's minor units", func(text string, c Currency, minor int64) {
		a, err := Parse(text, c)
		Expect(err).NotTo(HaveOccurred())
		Expect(a).To(Equal(Amount{minor, c}))
	},
		Entry("all digits", "29.99", USD, int64(2999)),
		Entry("one digit short", "29.9", USD, int64(2990)),
		Entry("no fraction", "29", USD, int64(2900)),
		Entry("yen, which have none: never a hundredfold", "80", JPY, int64(80)),
		Entry("dinars, which have three", "1.234", Currency("KWD"), int64(1234)),
		Entry("dinars, short", "1.2", Currency("KWD"), int64(1200)),
		Entry("the indexed unit of Chile, which has four", "1.2345", Currency("CLF"), int64(12345)),
		Entry("less than one", "0.05", EUR, int64(5)),
		Entry("negative", "-29.99", USD, int64(-2999)),
		Entry("negative and less than one", "-0.05", USD, int64(-5)),
		Entry("zero", "0", USD, int64(0)),
		Entry("zero with a sign, which it loses", "-0.00", USD, int64(0)),
		Entry("leading zeros", "007.50", USD, int64(750)),
		Entry("more leading zeros than an int64 has digits", strings.Repeat("0", 40)+"1", JPY, int64(1)),
		Entry("the most there is", "92233720368547758.07", USD, int64(math.MaxInt64)),
		Entry("the least there is", "-92233720368547758.08", USD, int64(math.MinInt64)),
		Entry("the most yen there are", "9223372036854775807", JPY, int64(math.MaxInt64)),
	)

	DescribeTable("refuses", func(c Currency, want error, texts ...string) {
		for _, text := range texts {
			a, err := Parse(text, c)
			Expect(err).To(MatchError(want), "%q", text)
			Expect(a).To(BeZero(), "%q", text)
		}
	},
		Entry("what is no number", USD, ErrNotDecimal, "", "-", ".", "-.", "abc", "NaN", "Inf", "null", "1a", "a1", "1a1"),
		Entry("a point without digits on both sides", USD, ErrNotDecimal, ".5", "5.", "-.5", "-5.", "1..2", "1.2.3"),
		Entry("a second sign, a plus, a sign at the end", USD, ErrNotDecimal, "+1", "--1", "-+1", "1-", "1.-5"),
		Entry("spaces", USD, ErrNotDecimal, " 1", "1 ", "1 000", "\t1", "1\n", "- 1"),
		Entry("exponents and other bases", USD, ErrNotDecimal, "1e2", "1E2", "1.5e1", "0x10", "0b1", "1_000"),
		Entry("thousands separators and decimal commas", USD, ErrNotDecimal, "1,000", "1,50", "1.000,50", "1'000"),
		Entry("digits of other scripts, bytes that are no text", USD, ErrNotDecimal, "١", "１", "1\x00", "\xff"),
		Entry("currency signs", USD, ErrNotDecimal, "$1", "1 USD", "-$1"),
		Entry("cents of a cent", USD, ErrTooManyDigits, "29.999", "0.001", "-0.001"),
		Entry("a fraction of a yen, even of zeros", JPY, ErrTooManyDigits, "1500.5", "1500.00", "0.0"),
		Entry("too fine a fraction of a dinar", Currency("KWD"), ErrTooManyDigits, "1.2345"),
		Entry("one minor unit too many", USD, ErrOutOfRange, "92233720368547758.08"),
		Entry("one minor unit too few", USD, ErrOutOfRange, "-92233720368547758.09"),
		Entry("what fits only before it is filled up with zeros", USD, ErrOutOfRange, "92233720368547759", "9223372036854775807"),
		Entry("what wraps around to something small", JPY, ErrOutOfRange, "18446744073709551617", strings.Repeat("9", 1000)),
		Entry("first of all what is no number", USD, ErrNotDecimal, "1.9999x", strings.Repeat("9", 30)+"x"),
		Entry("and a fine fraction before a great number", USD, ErrTooManyDigits, strings.Repeat("9", 30)+".999"),
	)

	It("agrees with arithmetic without limits on any text", func() {
		decimal := regexp.MustCompile(`^-?[0-9]+(?:\.([0-9]+))?$`)
		text := rapid.OneOf(
			rapid.StringMatching(`-?[0-9]{1,21}(\.[0-9]{1,5})?`),
			rapid.StringMatching(`[-+]?[0-9]{0,3}[.,e_ ]?[-.]?[0-9]{0,3}`),
			rapid.String(),
		)
		always(func(t *rapid.T, g Gomega) {
			s, c := text.Draw(t, "text"), rapid.SampledFrom(everyCurrency).Draw(t, "currency")
			a, err := Parse(s, c)

			match := decimal.FindStringSubmatch(s)
			if match == nil {
				g.Expect(err).To(MatchError(ErrNotDecimal))
				return
			}
			if len(match[1]) > c.Digits() {
				g.Expect(err).To(MatchError(ErrTooManyDigits))
				return
			}
			minor, _ := new(big.Rat).SetString(s)
			minor.Mul(minor, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Digits())), nil)))
			if !minor.Num().IsInt64() {
				g.Expect(err).To(MatchError(ErrOutOfRange))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a).To(Equal(Amount{minor.Num().Int64(), c}))
		})
	})
})

var _ = Describe("showing an amount", func() {
	DescribeTable("writes exactly the currency's digits", func(a Amount, decimal string) {
		Expect(a.Decimal()).To(Equal(decimal))
		Expect(a.String()).To(Equal(decimal + " " + string(a.Currency)))
	},
		Entry("dollars and cents", usd(2999), "29.99"),
		Entry("round dollars", usd(2900), "29.00"),
		Entry("one cent", usd(1), "0.01"),
		Entry("ten cents", usd(10), "0.10"),
		Entry("nothing", usd(0), "0.00"),
		Entry("a refund", usd(-2999), "-29.99"),
		Entry("a refund of one cent", usd(-1), "-0.01"),
		Entry("yen", Amount{1500, JPY}, "1500"),
		Entry("no yen", Amount{0, JPY}, "0"),
		Entry("negative yen", Amount{-5, JPY}, "-5"),
		Entry("dinars", Amount{1234, "KWD"}, "1.234"),
		Entry("a thousandth of a dinar", Amount{-1, "KWD"}, "-0.001"),
		Entry("the indexed unit of Chile", Amount{12345, "CLF"}, "1.2345"),
		Entry("the most there is", usd(math.MaxInt64), "92233720368547758.07"),
		Entry("the least there is", usd(math.MinInt64), "-92233720368547758.08"),
		Entry("the least yen there are", Amount{math.MinInt64, JPY}, "-9223372036854775808"),
		Entry("the least dinars there are", Amount{math.MinInt64, "KWD"}, "-9223372036854775.808"),
	)

	It("is read back as the same amount in every currency", func() {
		for _, c := range everyCurrency {
			for _, minor := range []int64{0, 1, -1, 9, 10, 99, 100, -100, 999, 1000, 9999, 10000, math.MaxInt64, math.MinInt64} {
				a := Amount{minor, c}
				Expect(Parse(a.Decimal(), c)).To(Equal(a))
			}
		}
		always(func(t *rapid.T, g Gomega) {
			a := anyAmount().Draw(t, "amount")
			g.Expect(Parse(a.Decimal(), a.Currency)).To(Equal(a))
		})
	})

	It("is shown again as the text it was read from", func() {
		always(func(t *rapid.T, g Gomega) {
			text := rapid.StringMatching(`(0|[1-9][0-9]{0,14})\.[0-9]{2}`).Draw(t, "text")
			a, err := Parse(text, USD)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a.Decimal()).To(Equal(text))
		})
	})
})

var _ = Describe("computing with amounts", func() {
	DescribeTable("adds and takes away", func(a, b, sum, difference int64) {
		Expect(usd(a).Add(usd(b))).To(Equal(usd(sum)))
		Expect(usd(a).Sub(usd(b))).To(Equal(usd(difference)))
	},
		Entry("an item and its shipping", int64(2999), int64(500), int64(3499), int64(2499)),
		Entry("nothing", int64(2999), int64(0), int64(2999), int64(2999)),
		Entry("more than there is", int64(500), int64(2999), int64(3499), int64(-2499)),
		Entry("a discount", int64(2999), int64(-500), int64(2499), int64(3499)),
		Entry("within one cent of the end", int64(math.MaxInt64-1), int64(1), int64(math.MaxInt64), int64(math.MaxInt64-2)),
	)

	It("makes a line's total of quantity and price", func() {
		Expect(usd(2999).Mul(3)).To(Equal(usd(8997)))
		Expect(usd(2999).Mul(0)).To(Equal(usd(0)))
		Expect(usd(2999).Mul(-1)).To(Equal(usd(-2999)))
		Expect(usd(2999).Neg()).To(Equal(usd(-2999)))
	})

	It("adds up an order", func() {
		Expect(Sum(USD, usd(2999), usd(500), usd(-300))).To(Equal(usd(3199)))
		Expect(Sum(USD)).To(Equal(usd(0)))
	})

	DescribeTable("compares", func(a, b int64, want int) {
		Expect(usd(a).Cmp(usd(b))).To(Equal(want))
	},
		Entry("a lower price", int64(1999), int64(2999), -1),
		Entry("the same price", int64(2999), int64(2999), 0),
		Entry("a higher price", int64(2999), int64(-2999), 1),
		Entry("the two ends", int64(math.MinInt64), int64(math.MaxInt64), -1),
	)

	It("knows nothing and less than nothing", func() {
		Expect(usd(0).IsZero()).To(BeTrue())
		Expect(usd(0).IsNegative()).To(BeFalse())
		Expect(usd(-1).IsZero()).To(BeFalse())
		Expect(usd(-1).IsNegative()).To(BeTrue())
		Expect(usd(1).IsZero()).To(BeFalse())
		Expect(usd(1).IsNegative()).To(BeFalse())
	})

	DescribeTable("refuses two currencies, even when one of them is nothing", func(a, b Amount) {
		_, err := a.Add(b)
		Expect(err).To(MatchError(ErrCurrencyMismatch))
		_, err = a.Sub(b)
		Expect(err).To(MatchError(ErrCurrencyMismatch))
		_, err = a.Cmp(b)
		Expect(err).To(MatchError(ErrCurrencyMismatch))
		_, err = Sum(a.Currency, a, b)
		Expect(err).To(MatchError(ErrCurrencyMismatch))
	},
		Entry("dollars and euros", usd(1), eur(1)),
		Entry("dollars and no euros", usd(1), eur(0)),
		Entry("dollars and an amount that was never set", usd(1), Amount{}),
	)

	DescribeTable("refuses a result that does not fit", func(compute func() (Amount, error)) {
		a, err := compute()
		Expect(err).To(MatchError(ErrOverflow))
		Expect(a).To(BeZero())
	},
		Entry("above", func() (Amount, error) { return usd(math.MaxInt64).Add(usd(1)) }),
		Entry("below", func() (Amount, error) { return usd(math.MinInt64).Add(usd(-1)) }),
		Entry("taking away below", func() (Amount, error) { return usd(math.MinInt64).Sub(usd(1)) }),
		Entry("taking away the least there is", func() (Amount, error) { return usd(0).Sub(usd(math.MinInt64)) }),
		Entry("negating the least there is", func() (Amount, error) { return usd(math.MinInt64).Neg() }),
		Entry("the least there is, minus once", func() (Amount, error) { return usd(math.MinInt64).Mul(-1) }),
		Entry("minus one, the most negative number of times", func() (Amount, error) { return usd(-1).Mul(math.MinInt64) }),
		Entry("a product that wraps around to zero", func() (Amount, error) { return usd(1 << 32).Mul(1 << 32) }),
		Entry("a sum", func() (Amount, error) { return Sum(USD, usd(math.MaxInt64), usd(1)) }),
	)

	It("agrees with arithmetic without limits, or says that it overflows", func() {
		always(func(t *rapid.T, g Gomega) {
			x, y := rapid.Int64().Draw(t, "x"), rapid.Int64().Draw(t, "y")
			exact := func(op func(z, x, y *big.Int) *big.Int) *big.Int {
				return op(new(big.Int), big.NewInt(x), big.NewInt(y))
			}
			agree := func(got Amount, err error, want *big.Int) {
				if !want.IsInt64() {
					g.Expect(err).To(MatchError(ErrOverflow))
					return
				}
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(got).To(Equal(usd(want.Int64())))
			}
			sum, err := usd(x).Add(usd(y))
			agree(sum, err, exact((*big.Int).Add))
			difference, err := usd(x).Sub(usd(y))
			agree(difference, err, exact((*big.Int).Sub))
			product, err := usd(x).Mul(y)
			agree(product, err, exact((*big.Int).Mul))
			g.Expect(usd(x).Cmp(usd(y))).To(Equal(big.NewInt(x).Cmp(big.NewInt(y))))
		})
	})
})
