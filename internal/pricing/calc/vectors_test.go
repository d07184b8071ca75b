package calc_test

import (
	"encoding/json"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// vector is a basket with the rules it is priced by and what it costs, in words that are
// not ours alone: testdata/vectors.json can be read by another implementation.
type vector struct {
	Name     string
	At       time.Time
	Settings struct {
		PricesIncludeTax                             bool
		Rounding, Mode, Country, Region, ShippingTax string
	}
	Rates []struct {
		ID, Name, Country, Region, PostalPrefix, TaxClass, Percent string
		Priority                                                   int
		Compound                                                   bool
		ValidFrom, ValidUntil                                      time.Time
	}
	Discounts []struct {
		ID, Name, Code, Effect, Percent, Amount, Currency, MinSubtotal, StackGroup string
		SKUs, ProductIDs, GetSKUs, CustomerGroups                                  []string
		BuyQuantity, GetQuantity, MaxRepeats, MinQuantity                          int64
		FirstOrder, Exclusive, UsedUp, UsedByBuyer                                 bool
		SpendLeft                                                                  string
		StartsAt, EndsAt                                                           time.Time
		Priority                                                                   int
	}
	EndedCodes []string
	Basket     struct {
		Currency string
		Lines    []struct {
			ID, SKU, ProductID, TaxClass, Price string
			Quantity                            int64
		}
		Shipping                           *struct{ Price, TaxClass string }
		Country, Region, PostalCode, VATID string
		Codes, CustomerGroups              []string
		FirstOrder                         bool
	}
	Expect expected
}

type expected struct {
	Error                                    string
	Subtotal, Discount, Shipping, Tax, Total string
	TaxIncluded                              bool
	Lines                                    []expectedLine
	Shipped                                  *expectedLine
	Taxes                                    map[string]string // by rate, or by reason where there is none
	Applied                                  map[string]string // by discount
	Refused                                  map[string]string // by code
	Details                                  map[string]string // by code
}

type expectedLine struct {
	ID, Discount, Net, Tax, Total string
	Units                         []expectedUnits
}

type expectedUnits struct {
	Count              int64
	Discount, Net, Tax string
}

func (v vector) minor(text string) int64 {
	GinkgoHelper()
	if text == "" {
		return 0
	}
	a, err := money.Parse(text, money.Currency(v.Basket.Currency))
	Expect(err).NotTo(HaveOccurred())
	return a.Minor
}

func percent(text string) calc.Percent {
	GinkgoHelper()
	if text == "" {
		return 0
	}
	p, err := calc.ParsePercent(text)
	Expect(err).NotTo(HaveOccurred())
	return p
}

func (v vector) evaluate() (pricingapi.Quote, []calc.Candidate, error) {
	GinkgoHelper()
	s := v.Settings
	settings := calc.Settings{PricesIncludeTax: s.PricesIncludeTax, PerOrder: s.Rounding == "order", Mode: calc.Mode(s.Mode), Country: s.Country, Region: s.Region, ShippingTax: s.ShippingTax}
	var rates []calc.Rate
	for _, r := range v.Rates {
		rates = append(rates, calc.Rate{
			ID: r.ID, Name: r.Name, Country: r.Country, Region: r.Region, PostalPrefix: r.PostalPrefix, Class: r.TaxClass, Percent: percent(r.Percent),
			Priority: r.Priority, Compound: r.Compound, From: r.ValidFrom, Until: r.ValidUntil,
		})
	}
	rules := calc.Rules{Rates: calc.NewRates(rates), Codes: map[string]calc.Coupon{}, Standing: map[string]calc.Standing{}}
	for _, d := range v.Discounts {
		rule := &calc.Discount{
			ID: d.ID, Name: d.Name, Automatic: d.Code == "", Effect: calc.Effect(d.Effect), Percent: percent(d.Percent), Amount: v.minor(d.Amount), Currency: money.Currency(d.Currency),
			Items: calc.Select(d.SKUs, d.ProductIDs), Gets: calc.Select(d.GetSKUs, nil), Buy: d.BuyQuantity, Get: d.GetQuantity, Repeats: d.MaxRepeats,
			MinSubtotal: v.minor(d.MinSubtotal), MinQuantity: d.MinQuantity, Groups: d.CustomerGroups, FirstOrder: d.FirstOrder, From: d.StartsAt, Until: d.EndsAt,
			Priority: d.Priority, Exclusive: d.Exclusive, Stack: d.StackGroup,
		}
		standing := calc.Standing{UsedUp: d.UsedUp, UsedByBuyer: d.UsedByBuyer}
		if d.SpendLeft != "" {
			standing.Left = new(v.minor(d.SpendLeft))
		}
		rules.Standing[d.ID] = standing
		if d.Code == "" {
			rules.Automatic = append(rules.Automatic, rule)
		} else {
			rules.Codes[calc.Code(d.Code)] = calc.Coupon{Discount: rule}
		}
	}
	for _, code := range v.EndedCodes {
		rules.Codes[code] = calc.Coupon{}
	}
	currency := money.Currency(v.Basket.Currency)
	b := pricingapi.Basket{
		Currency: currency, Codes: v.Basket.Codes, Groups: v.Basket.CustomerGroups, FirstOrder: v.Basket.FirstOrder, VATID: v.Basket.VATID,
		Destination: pricingapi.Destination{Country: v.Basket.Country, Region: v.Basket.Region, PostalCode: v.Basket.PostalCode},
	}
	for _, l := range v.Basket.Lines {
		b.Lines = append(b.Lines, pricingapi.Line{
			ID: l.ID, SKU: l.SKU, ProductID: l.ProductID, TaxClass: l.TaxClass, Quantity: l.Quantity, Price: money.Amount{Minor: v.minor(l.Price), Currency: currency},
		})
	}
	if sh := v.Basket.Shipping; sh != nil {
		b.Shipping = &pricingapi.Shipping{MethodID: "parcel", Name: "Parcel", TaxClass: sh.TaxClass, Price: money.Amount{Minor: v.minor(sh.Price), Currency: currency}}
	}
	return calc.Evaluate(b, rules, settings, v.At)
}

func shown(p pricingapi.Priced) expectedLine {
	line := expectedLine{ID: p.ID, Discount: p.Discount.Decimal(), Net: p.Net.Decimal(), Tax: p.Tax.Decimal(), Total: p.Total.Decimal()}
	for _, u := range p.Units {
		line.Units = append(line.Units, expectedUnits{u.Count, u.Discount.Decimal(), u.Net.Decimal(), u.Tax.Decimal()})
	}
	return line
}

// outcome is what came of a vector, in its own words.
func outcome(q pricingapi.Quote) expected {
	e := expected{
		Subtotal: q.Subtotal.Decimal(), Discount: q.DiscountTotal.Decimal(), Shipping: q.ShippingTotal.Decimal(), Tax: q.TaxTotal.Decimal(), Total: q.Total.Decimal(),
		TaxIncluded: q.TaxIncluded, Lines: []expectedLine{}, Taxes: map[string]string{}, Applied: map[string]string{}, Refused: map[string]string{}, Details: map[string]string{},
	}
	all := q.Lines
	for _, p := range q.Lines {
		e.Lines = append(e.Lines, shown(p))
	}
	if q.Shipping != nil {
		e.Shipped = new(shown(*q.Shipping))
		e.Shipped.ID, e.Shipped.Units = "", nil
		all = append(append([]pricingapi.Priced{}, all...), *q.Shipping)
	}
	sums := map[string]money.Amount{}
	for _, p := range all {
		for _, t := range p.Taxes {
			key := t.RateID
			if key == "" {
				key = t.Reason
			}
			sums[key] = money.Amount{Minor: sums[key].Minor + t.Amount.Minor, Currency: q.Currency}
		}
	}
	for key, sum := range sums {
		e.Taxes[key] = sum.Decimal()
	}
	for _, a := range q.Applied {
		e.Applied[a.DiscountID] = a.Amount.Decimal()
	}
	for _, r := range q.Refused {
		e.Refused[r.Code], e.Details[r.Code] = r.Reason, r.Detail
	}
	return e
}

func vectors() (list []vector) {
	GinkgoHelper()
	file, err := os.Open("testdata/vectors.json")
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	in := json.NewDecoder(file)
	in.DisallowUnknownFields() // a condition that is misspelt would always be met
	Expect(in.Decode(&list)).To(Succeed())
	return list
}

var _ = Describe("the published test vectors", func() {
	It("come out to the minor unit", func() {
		list := vectors()
		Expect(len(list)).To(BeNumerically(">=", 60))
		for _, v := range list {
			q, _, err := v.evaluate()
			if v.Expect.Error != "" {
				Expect(err).To(MatchError(ContainSubstring(v.Expect.Error)), v.Name)
				continue
			}
			Expect(err).NotTo(HaveOccurred(), v.Name)
			got := outcome(q)
			Expect(got).To(Equal(v.Expect), v.Name)
		}
	})
})
