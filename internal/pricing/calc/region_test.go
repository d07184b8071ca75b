package calc_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

var _ = DescribeTable("goods to", func(country, region, tax string, wanted bool, rates ...calc.Rate) {
	for i := range rates {
		rates[i].ID, rates[i].Class = string(rune('a'+i)), calc.Standard
	}
	b := pricingapi.Basket{
		Currency: money.EUR, Lines: []pricingapi.Line{{ID: "1", SKU: "MUG", Quantity: 1, Price: money.Amount{Minor: 10000, Currency: money.EUR}}},
		Destination: pricingapi.Destination{Country: country, Region: region},
	}
	q, _, err := calc.Evaluate(b, calc.Rules{Rates: calc.NewRates(rates)}, calc.Settings{Country: "DE"}, noon)
	Expect(err).NotTo(HaveOccurred())
	Expect([]any{q.TaxTotal.Decimal(), q.RegionWanted}).To(Equal([]any{tax, wanted}))
},
	Entry("a region that has a rate", "US", "NY", "8.00", false, inNewYork),
	Entry("one that is called by its name", "US", "new york", "8.00", false, inNewYork),
	Entry("one with its country", "US", "us-ny", "8.00", false, inNewYork),
	Entry("one with points", "US", "N.Y.", "8.00", false, inNewYork),
	Entry("a region without a rate", "US", "Texas", "0.00", false, inNewYork),
	Entry("no region where one has a rate", "US", "", "0.00", true, inNewYork),
	Entry("a region that there is not", "US", "New Yrok", "0.00", true, inNewYork),
	Entry("no region, though something is due everywhere", "CA", "", "5.00", true, calc.Rate{Country: "CA", Percent: 5_0000}, calc.Rate{Country: "CA", Region: "QC", Percent: 9_9750, Priority: 1}),
	Entry("no region where none has a rate", "DE", "", "19.00", false, calc.Rate{Country: "DE", Percent: 19_0000}, inNewYork),
	Entry("a region of a country whose regions are not known, with a rate for all others", "ES", "Madrid", "21.00", false, calc.Rate{Country: "ES", Percent: 21_0000}, calc.Rate{Country: "ES", Region: "CN"}),
	Entry("one with a rate for no others", "BR", "Rio", "0.00", true, calc.Rate{Country: "BR", Region: "SP", Percent: 18_0000}),
	Entry("one that the shop calls as the buyer does", "BR", "são paulo", "18.00", false, calc.Rate{Country: "BR", Region: "Sao Paulo", Percent: 18_0000}),
	Entry("no region where a rate was", "US", "", "0.00", false, calc.Rate{Country: "US", Region: "NY", Percent: 8_0000, Until: noon}),
	Entry("nowhere yet", "", "", "0.00", false, calc.Rate{Country: "DE", Region: "BY", Percent: 8_0000}),
)

var inNewYork = calc.Rate{Country: "US", Region: "NY", Percent: 8_0000}
