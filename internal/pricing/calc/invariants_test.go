package calc_test

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// baskets that each rule is tried on.
const baskets = "40000"

// currencies are all that money knows.
var currencies = everyCurrency()

func everyCurrency() (list []money.Currency) {
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				if currency, err := money.ParseCurrency(string([]rune{a, b, c})); err == nil {
					list = append(list, currency)
				}
			}
		}
	}
	return list
}

var noon = time.Date(2026, time.June, 15, 12, 0, 0, 0, time.UTC)

// always checks a rule on many generated cases and reports the smallest that breaks it. The
// rule says what is wrong, or nothing: matchers would take longer than what they look at.
func always(rule func(t *rapid.T) string) {
	GinkgoHelper()
	before := flag.Lookup("rapid.checks").Value.String()
	Expect(flag.Set("rapid.checks", baskets)).To(Succeed())
	DeferCleanup(func() { Expect(flag.Set("rapid.checks", before)).To(Succeed()) })
	rapid.Check(GinkgoT(), func(t *rapid.T) {
		if wrong := rule(t); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

var (
	percents = rapid.SampledFrom([]calc.Percent{0, 1, 2_6000, 5_0000, 7_0000, 9_9750, 19_0000, 20_0000, 33_3333, 100_0000})
	classes  = rapid.SampledFrom([]string{"", "standard", "reduced", "zero", "none"})
	minor    = rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, 1_000_000))
	few      = rapid.Int64Range(1, 7)
)

func anyRates(t *rapid.T) calc.Rates {
	list := []calc.Rate{
		{ID: "s", Country: "XX", Class: "standard", Percent: percents.Draw(t, "standard")},
		{ID: "r", Country: "XX", Class: "reduced", Percent: percents.Draw(t, "reduced")},
		{ID: "z", Country: "XX", Class: "zero"},
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "more") {
		list = append(list, calc.Rate{ID: fmt.Sprint(i), Country: "XX", Class: "standard", Percent: percents.Draw(t, "rate"), Priority: i + 1, Compound: rapid.Bool().Draw(t, "compound")})
	}
	return calc.NewRates(list)
}

func anySettings(t *rapid.T) calc.Settings {
	return calc.Settings{
		PricesIncludeTax: rapid.Bool().Draw(t, "included"), PerOrder: rapid.Bool().Draw(t, "per order"), Country: "XX",
		Mode: rapid.SampledFrom([]calc.Mode{calc.HalfUp, calc.HalfEven}).Draw(t, "mode"), ShippingTax: rapid.SampledFrom([]string{"", "standard"}).Draw(t, "shipping tax"),
	}
}

func anyBasket(t *rapid.T, c money.Currency) pricingapi.Basket {
	b := pricingapi.Basket{Currency: c, Codes: []string{"a", "b"}}
	for i := range rapid.IntRange(0, 5).Draw(t, "lines") {
		b.Lines = append(b.Lines, pricingapi.Line{
			ID: fmt.Sprint(i), SKU: string(rune('A' + i)), TaxClass: classes.Draw(t, "class"), Quantity: few.Draw(t, "quantity"),
			Price: money.Amount{Minor: minor.Draw(t, "price"), Currency: c},
		})
	}
	if rapid.Bool().Draw(t, "shipped") {
		b.Shipping = &pricingapi.Shipping{MethodID: "m", Price: money.Amount{Minor: minor.Draw(t, "shipping"), Currency: c}}
	}
	return b
}

func anyDiscount(t *rapid.T, id string) *calc.Discount {
	effects := []calc.Effect{calc.PercentOff, calc.FixedOff, calc.FixedPrice, calc.BuyXGetY, calc.FreeShipping}
	d := &calc.Discount{
		ID: id, Name: id, Effect: rapid.SampledFrom(effects).Draw(t, "effect"), Percent: min(100_0000, percents.Draw(t, "off")), Amount: minor.Draw(t, "amount"),
		Buy: few.Draw(t, "buy"), Get: few.Draw(t, "get"), Repeats: rapid.Int64Range(0, 2).Draw(t, "repeats"), Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
		Exclusive: rapid.IntRange(0, 9).Draw(t, "exclusive") == 0, Stack: rapid.SampledFrom([]string{"", "", "g"}).Draw(t, "stack"),
	}
	if rapid.Bool().Draw(t, "some") {
		d.Items = calc.Select([]string{"A", "C"}, nil)
	}
	if rapid.Bool().Draw(t, "gets") {
		d.Gets = calc.Select([]string{"B", "C"}, nil)
	}
	return d
}

func anyRules(t *rapid.T) calc.Rules {
	r := calc.Rules{Rates: anyRates(t), Codes: map[string]calc.Coupon{}}
	for i := range rapid.IntRange(0, 3).Draw(t, "automatic") {
		r.Automatic = append(r.Automatic, anyDiscount(t, fmt.Sprintf("auto %d", i)))
	}
	if rapid.Bool().Draw(t, "code") {
		r.Codes["A"] = calc.Coupon{Discount: anyDiscount(t, "code")}
	}
	return r
}

// wrongIn says what does not add up in a line, or in shipping.
func wrongIn(q pricingapi.Quote, p pricingapi.Priced) string {
	var count, discount, net, tax, taxes, shares int64
	for _, u := range p.Units {
		count += u.Count
		discount += u.Count * u.Discount.Minor
		net += u.Count * u.Net.Minor
		tax += u.Count * u.Tax.Minor
		worth := u.Net.Minor + u.Discount.Minor
		if q.TaxIncluded {
			worth += u.Tax.Minor
		}
		if worth != p.Price.Minor || min(u.Count-1, u.Discount.Minor, u.Net.Minor, u.Tax.Minor) < 0 {
			return fmt.Sprintf("a unit is not worth its price: %+v of %+v", u, p)
		}
	}
	for _, t := range p.Taxes {
		taxes += t.Amount.Minor
		if t.Amount.IsNegative() {
			return fmt.Sprintf("a tax is negative: %+v", p)
		}
	}
	for _, d := range p.Discounts {
		shares += d.Amount.Minor
	}
	after := p.Net.Minor
	if q.TaxIncluded {
		after = p.Total.Minor
	}
	switch {
	case p.Net.Minor+p.Tax.Minor != p.Total.Minor:
		return fmt.Sprintf("net and tax are not the total: %+v", p)
	case p.Subtotal.Minor-p.Discount.Minor != after:
		return fmt.Sprintf("the discount is lost: %+v", p)
	case taxes != p.Tax.Minor || shares != p.Discount.Minor:
		return fmt.Sprintf("the shares are not the whole: %+v", p)
	case count != p.Quantity || discount != p.Discount.Minor || net != p.Net.Minor || tax != p.Tax.Minor:
		return fmt.Sprintf("unit by unit is not the whole: %+v", p)
	case min(p.Discount.Minor, p.Net.Minor, p.Tax.Minor, p.Total.Minor) < 0 || len(p.Units) > 3:
		return fmt.Sprintf("out of bounds: %+v", p)
	}
	return ""
}

func wrongWith(q pricingapi.Quote) string {
	var subtotal, discount, tax, total, applied int64
	all := slices.Clone(q.Lines)
	for _, p := range q.Lines {
		subtotal += p.Subtotal.Minor
	}
	if q.Shipping != nil {
		all = append(all, *q.Shipping)
	}
	for _, p := range all {
		if wrong := wrongIn(q, p); wrong != "" {
			return wrong
		}
		discount += p.Discount.Minor
		tax += p.Tax.Minor
		total += p.Total.Minor
	}
	for _, a := range q.Applied {
		applied += a.Amount.Minor
	}
	for _, a := range []money.Amount{q.Subtotal, q.DiscountTotal, q.ShippingTotal, q.TaxTotal, q.Total} {
		if a.Currency != q.Currency {
			return fmt.Sprintf("in no currency: %+v", q)
		}
	}
	if subtotal != q.Subtotal.Minor || discount != q.DiscountTotal.Minor || tax != q.TaxTotal.Minor || total != q.Total.Minor || applied != discount {
		return fmt.Sprintf("the sums of the lines are not the totals: %+v", q)
	}
	return ""
}

var _ = Describe("any basket", Serial, func() {
	It("adds up in every currency: lines, taxes, discounts, and unit by unit", func() {
		Expect(currencies).To(ContainElements(money.EUR, money.JPY, money.Currency("KWD"), money.Currency("CLF")))
		always(func(t *rapid.T) string {
			b, r, s := anyBasket(t, rapid.SampledFrom(currencies).Draw(t, "currency")), anyRules(t), anySettings(t)
			q, _, err := calc.Evaluate(b, r, s, noon)
			if err != nil {
				return err.Error()
			}
			again, _, _ := calc.Evaluate(b, r, s, noon)
			if !reflect.DeepEqual(q, again) {
				return "it is not the same twice"
			}
			return wrongWith(q)
		})
	})

	It("costs the same whether its prices are entered with or without tax", func() {
		always(func(t *rapid.T) string {
			b, r, s := anyBasket(t, money.EUR), calc.Rules{Rates: anyRates(t)}, anySettings(t)
			b.Shipping, s.PerOrder = nil, false
			for i := range b.Lines {
				b.Lines[i].Quantity = 1
			}
			s.PricesIncludeTax = false
			added, _, err := calc.Evaluate(b, r, s, noon)
			if err != nil {
				return err.Error()
			}
			for i := range b.Lines {
				b.Lines[i].Price = added.Lines[i].Total
			}
			s.PricesIncludeTax = true
			included, _, err := calc.Evaluate(b, r, s, noon)
			if err != nil {
				return err.Error()
			}
			for i, p := range included.Lines {
				if p.Net != added.Lines[i].Net || !slices.Equal(p.Taxes, added.Lines[i].Taxes) {
					return fmt.Sprintf("%+v is not %+v", p, added.Lines[i])
				}
			}
			return ""
		})
	})

	It("pays each tax of its whole, to the minor unit, when it is rounded together", func() {
		always(func(t *rapid.T) string {
			b, r, s := anyBasket(t, money.EUR), anyRules(t), anySettings(t)
			s.PerOrder = true
			for i := range b.Lines {
				b.Lines[i].TaxClass = "standard"
			}
			q, _, err := calc.Evaluate(b, r, s, noon)
			if err != nil {
				return err.Error()
			}
			one := pricingapi.Basket{Currency: b.Currency, Lines: []pricingapi.Line{{ID: "all", Quantity: 1, Price: q.Subtotal}}}
			one.Lines[0].Price.Minor += q.ShippingTotal.Minor - q.DiscountTotal.Minor
			whole, _, err := calc.Evaluate(one, calc.Rules{Rates: r.Rates}, s, noon)
			if err != nil {
				return err.Error()
			}
			sums, all := map[string]int64{}, q.Lines
			if q.Shipping != nil {
				all = append(slices.Clone(all), *q.Shipping)
			}
			for _, p := range all {
				for _, tax := range p.Taxes {
					sums[tax.RateID] += tax.Amount.Minor
				}
			}
			if whole.TaxTotal != q.TaxTotal || whole.Total != q.Total {
				return fmt.Sprintf("%v is not %v", whole.TaxTotal, q.TaxTotal)
			}
			for _, tax := range whole.Lines[0].Taxes {
				if len(all) > 0 && sums[tax.RateID] != tax.Amount.Minor {
					return fmt.Sprintf("%v is not %v", sums, whole.Lines[0].Taxes)
				}
			}
			return ""
		})
	})

	It("never costs more for a discount", func() {
		always(func(t *rapid.T) string {
			b, r, s := anyBasket(t, money.EUR), anyRules(t), anySettings(t)
			with, _, err := calc.Evaluate(b, r, s, noon)
			if err != nil {
				return err.Error()
			}
			without, _, err := calc.Evaluate(b, calc.Rules{Rates: r.Rates}, s, noon)
			if err != nil {
				return err.Error()
			}
			// Shipping that follows the goods may be taxed higher when another part of them is
			// discounted; where prices include the tax nothing but the discount is less.
			if s.PricesIncludeTax && with.Total.Minor != without.Total.Minor-with.DiscountTotal.Minor {
				return fmt.Sprintf("%v less %v is not %v", without.Total, with.DiscountTotal, with.Total)
			}
			if with.Subtotal != without.Subtotal || with.DiscountTotal.Minor > with.Subtotal.Minor+with.ShippingTotal.Minor {
				return fmt.Sprintf("%+v", with)
			}
			return ""
		})
	})
})

var _ = DescribeTable("an amount that does not fit", func(b pricingapi.Basket, s calc.Settings, want error) {
	rates := calc.NewRates([]calc.Rate{{ID: "r", Country: "XX", Class: calc.Standard, Percent: 1000_0000}})
	s.Country, s.Mode = "XX", calc.HalfUp
	_, _, err := calc.Evaluate(b, calc.Rules{Rates: rates, Automatic: []*calc.Discount{{ID: "d", Effect: calc.FixedPrice, Amount: 1 << 62}}}, s, noon)
	Expect(err).To(MatchError(want))
},
	Entry("is refused: a line", pricingapi.Basket{Currency: money.EUR, Lines: []pricingapi.Line{{Quantity: 3, Price: money.Amount{Minor: 1 << 62, Currency: money.EUR}}}}, calc.Settings{}, money.ErrOverflow),
	Entry("is refused: the sum of lines", pricingapi.Basket{Currency: money.EUR, Lines: []pricingapi.Line{
		{ID: "a", Quantity: 1, Price: money.Amount{Minor: 1 << 62, Currency: money.EUR}}, {ID: "b", Quantity: 1, Price: money.Amount{Minor: 1 << 62, Currency: money.EUR}},
	}}, calc.Settings{}, money.ErrOverflow),
	Entry("is refused: a tax", pricingapi.Basket{Currency: money.EUR, Lines: []pricingapi.Line{{Quantity: 1, Price: money.Amount{Minor: 1 << 62, Currency: money.EUR}}}}, calc.Settings{}, money.ErrOverflow),
	Entry("is refused: more units than anybody buys", pricingapi.Basket{Currency: money.EUR, Lines: []pricingapi.Line{{Quantity: 1 << 40, Price: money.Amount{Currency: money.EUR}}}}, calc.Settings{}, calc.ErrBasket),
	Entry("is refused: two currencies", pricingapi.Basket{Currency: money.EUR, Lines: []pricingapi.Line{{Quantity: 1, Price: money.Amount{Minor: 1, Currency: money.USD}}}}, calc.Settings{}, money.ErrCurrencyMismatch),
	Entry("is refused: shipping below nothing", pricingapi.Basket{Currency: money.EUR, Shipping: &pricingapi.Shipping{Price: money.Amount{Minor: -1, Currency: money.EUR}}}, calc.Settings{}, calc.ErrBasket),
)

var _ = Describe("a price that a discount fixes and that does not fit", func() {
	It("takes nothing off its items, and leaves the others what they cost", func() {
		dear := &calc.Discount{ID: "dear", Effect: calc.FixedPrice, Amount: 1 << 62, Items: calc.Select([]string{"MANY"}, nil), Automatic: true, Priority: 1}
		both := &calc.Discount{ID: "both", Effect: calc.FixedPrice, Amount: 1 << 61, Automatic: true}
		b := pricingapi.Basket{Currency: money.EUR, Lines: []pricingapi.Line{
			{ID: "1", SKU: "MANY", Quantity: 9, Price: money.Amount{Minor: 100, Currency: money.EUR}},
			{ID: "2", SKU: "ONE", Quantity: 1, Price: money.Amount{Minor: 1<<61 + 5, Currency: money.EUR}},
		}}
		q, candidates, err := calc.Evaluate(b, calc.Rules{Automatic: []*calc.Discount{dear, both}}, calc.Settings{Mode: calc.HalfUp}, noon)
		Expect(err).NotTo(HaveOccurred())
		Expect(candidates).To(HaveExactElements(HaveField("Reason", "nothing_left"), HaveField("Amount.Minor", int64(5))))
		Expect(q.Total.Minor).To(Equal(int64(900 + 1<<61)))
	})
})

var _ = Describe("a discount for some customers", func() {
	It("tells others nothing of who has ordered or used it before", func() {
		d := &calc.Discount{ID: "d", Effect: calc.PercentOff, Percent: 10_0000, Groups: []string{"club"}, FirstOrder: true}
		said := map[calc.Candidate]bool{}
		for _, first := range []bool{true, false} {
			for _, used := range []bool{true, false} {
				_, candidates, err := calc.Evaluate(
					pricingapi.Basket{Currency: money.EUR, Codes: []string{"CLUB"}, FirstOrder: first, Lines: []pricingapi.Line{{Quantity: 1, Price: money.Amount{Minor: 100, Currency: money.EUR}}}},
					calc.Rules{Codes: map[string]calc.Coupon{"CLUB": {Discount: d}}, Standing: map[string]calc.Standing{"d": {UsedByBuyer: used}}}, calc.Settings{Mode: calc.HalfUp}, noon)
				Expect(err).NotTo(HaveOccurred())
				said[candidates[0]] = true
			}
		}
		Expect(said).To(HaveLen(1))
	})
})

var _ = DescribeTable("a percentage", func(text, shown string) {
	p, err := calc.ParsePercent(text)
	if shown == "" {
		Expect(err).To(MatchError(calc.ErrPercent))
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(p.String()).To(Equal(shown))
},
	Entry("is a whole number", "19", "19"), Entry("has up to four digits", "8.8751", "8.8751"), Entry("loses zeros at its end", "2.60", "2.6"), Entry("may be nothing", "0", "0"),
	Entry("loses zeros in front", "007", "7"), Entry("is at most a thousand", "1000", "1000"), Entry("and no more", "1000.0001", ""), Entry("has no five digits", "0.00001", ""),
	Entry("is not negative", "-1", ""), Entry("has no sign", "+1", ""), Entry("is no power", "1e1", ""), Entry("is no text", "ten", ""), Entry("is not nothing at all", "", ""),
	Entry("has digits after its point", "1.", ""), Entry("and before it", ".5", ""), Entry("has no comma", "8,5", ""), Entry("is not long", "00000000000000000001", ""),
)

var _ = DescribeTable("a VAT id", func(text, country string) {
	got, ok := calc.VATCountry(text)
	Expect(got).To(Equal(country))
	Expect(ok).To(Equal(country != ""))
},
	Entry("of Germany", "DE136695976", "DE"), Entry("with blanks and in small letters", "fr 83 404-833.048", "FR"), Entry("of Greece", "EL094259216", "GR"), Entry("of Austria", "ATU13585627", "AT"),
	Entry("of the Netherlands", "NL004495445B01", "NL"), Entry("of Ireland, as of old", "IE8Z49289F", "IE"), Entry("of Sweden", "SE556188840401", "SE"),
	Entry("with a digit too few", "DE13669597", ""), Entry("with one too many", "DE1366959761", ""), Entry("of no member state", "GB999999973", ""), Entry("of a country alone", "DE", ""), Entry("of nobody", "", ""),
)
