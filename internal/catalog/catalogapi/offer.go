package catalogapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Offer is what a SKU costs now. A SKU that is not for sale has none.
type Offer struct {
	SKU       string
	ProductID string
	Name      string
	Prices    []money.Amount // one a currency; the first is the product's own
	TaxClass  string         // how it is taxed: "standard", or a class of the shop's own
	Measures  Measures
	Customs   Customs
}

// Measures are what one of a SKU weighs and how large it is. What is 0 is not known.
type Measures struct {
	Grams                 int64
	Length, Width, Height int64 // mm; all are known, or none
}

// Customs is what customs are told of a SKU. What is empty is not known.
type Customs struct {
	HSCode string // of the Harmonized System, 6 to 12 digits
	Origin string // where it was made, ISO 3166-1 alpha-2
}

// In is the price in a currency.
func (o Offer) In(c money.Currency) (money.Amount, bool) {
	for _, p := range o.Prices {
		if p.Currency == c {
			return p, true
		}
	}
	return money.Amount{}, false
}
