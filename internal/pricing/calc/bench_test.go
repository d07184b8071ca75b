package calc_test

import (
	"fmt"
	"testing"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// BenchmarkEvaluate prices a hundred lines by fifty discounts that all look at them.
func BenchmarkEvaluate(b *testing.B) {
	rules := calc.Rules{Rates: calc.NewRates([]calc.Rate{
		{ID: "s", Country: "DE", Class: "standard", Percent: 19_0000}, {ID: "r", Country: "DE", Class: "reduced", Percent: 7_0000},
	})}
	effects := []calc.Effect{calc.PercentOff, calc.FixedOff, calc.FixedPrice, calc.BuyXGetY, calc.PercentOff}
	for i := range 50 {
		d := &calc.Discount{ID: fmt.Sprintf("%02d", i), Name: "D", Effect: effects[i%len(effects)], Percent: 1_0000, Amount: 990, Buy: 2, Get: 1}
		if i%2 == 0 {
			var skus []string
			for k := i; k < i+20; k++ {
				skus = append(skus, fmt.Sprintf("SKU-%d", k))
			}
			d.Items = calc.Select(skus, nil)
		}
		rules.Automatic = append(rules.Automatic, d)
	}
	basket := pricingapi.Basket{Currency: money.EUR, Shipping: &pricingapi.Shipping{Price: money.Amount{Minor: 490, Currency: money.EUR}}}
	for i := range 100 {
		basket.Lines = append(basket.Lines, pricingapi.Line{
			ID: fmt.Sprint(i), SKU: fmt.Sprintf("SKU-%d", i), TaxClass: []string{"", "reduced"}[i%2], Quantity: int64(1 + i%5), Price: money.Amount{Minor: int64(500 + 37*i), Currency: money.EUR},
		})
	}
	settings := calc.Settings{PricesIncludeTax: true, Mode: calc.HalfUp, Country: "DE"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := calc.Evaluate(basket, rules, settings, noon); err != nil {
			b.Fatal(err)
		}
	}
}
