// Package pricingapi is the pricing's published language: what a basket is, and what it
// costs. It is the only part of the module that others may import. Fields are only ever
// added.
package pricingapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Basket is what a price is asked for: goods, where they go, and who asks.
type Basket struct {
	Currency money.Currency
	Lines    []Line
	Shipping *Shipping // nil: none is chosen yet
	// Destination decides the tax. Empty: the shop's own country, as an estimate.
	Destination Destination
	Codes       []string // of discounts, as the buyer typed them
	CustomerID  string   // empty: a guest
	Email       string   // counts a guest's uses of a discount; empty: not known yet
	Groups      []string // of customers, that the buyer belongs to
	FirstOrder  bool     // the buyer has none yet
	// VATID of a business. When it belongs to another EU country than the shop's, and the goods
	// go to another one, the buyer accounts for the tax: see Quote.TaxIncluded.
	VATID string
}

// Buyer is whose use of a discount counts: under the one, the other, or both.
type Buyer struct {
	CustomerID string // empty: a guest
	Email      string // empty: not known
}

// Line is a quantity of one SKU. Its price is entered with or without tax, as the shop's
// settings say.
type Line struct {
	ID        string // names the line in the answer; each once
	SKU       string
	ProductID string
	TaxClass  string // empty: standard
	Quantity  int64
	Price     money.Amount // of one unit
}

// Shipping is the method that the buyer chose.
type Shipping struct {
	MethodID string
	Name     string
	Price    money.Amount // as lines' are
	TaxClass string       // empty: as the goods, in proportion to their worth
}

// Destination of the goods.
type Destination struct {
	Country    string // ISO 3166-1 alpha-2
	Region     string // ISO 3166-2 with or without the country, or a name
	PostalCode string
}

// Quote is what a basket costs, to the minor unit, and how it came to that.
//
// For each line and for shipping Net + Tax = Total, and Subtotal - Discount is Total when
// prices include tax, Net when they do not. The sums over lines and shipping are the totals.
type Quote struct {
	Currency money.Currency
	// TaxIncluded in prices, and so in Subtotal and Discount. Under a reverse charge it is
	// not, whatever the shop's settings say: prices are less the shop's own tax then.
	TaxIncluded bool
	Lines       []Priced
	Shipping    *Priced // nil: none was chosen

	Subtotal      money.Amount // of lines, before discounts
	DiscountTotal money.Amount // of lines and shipping; not negative
	ShippingTotal money.Amount // before discounts
	TaxTotal      money.Amount
	Total         money.Amount // what is to pay

	// RegionWanted says that what is due depends on a region which the destination does not
	// say, or not so that anybody knows it: the tax may be more than this.
	RegionWanted bool

	Applied []Applied
	Refused []Refusal // codes of the basket that do nothing, and why
}

// Priced is a line, or shipping, with its shares of everything.
type Priced struct {
	ID        string
	Quantity  int64
	Price     money.Amount // of one unit, before discounts
	Subtotal  money.Amount // Price x Quantity
	Discount  money.Amount // not negative
	Net       money.Amount
	Tax       money.Amount
	Total     money.Amount
	Taxes     []Tax           // their amounts add up to Tax
	Discounts []DiscountShare // their amounts add up to Discount
	// Units says what each unit has of the line, in runs of equal ones: a refund of one
	// looks its share up and computes nothing. Runs add up to the line.
	Units []UnitShare
}

// Tax is one rate's part.
type Tax struct {
	RateID string // empty: nothing is taxed there
	Name   string
	Rate   string // percent, decimal: "19", "8.875"
	Reason string // why: "standard", "zero_rated", "no_rate", "reverse_charge"
	Amount money.Amount
}

// DiscountShare is what one discount takes from a line.
type DiscountShare struct {
	DiscountID string
	Amount     money.Amount
}

// UnitShare is what each of Count units has.
type UnitShare struct {
	Count    int64
	Discount money.Amount
	Net      money.Amount
	Tax      money.Amount
}

// Applied is a discount that counts.
type Applied struct {
	DiscountID string
	Code       string // empty: it applies by itself
	Name       string
	Amount     money.Amount
}

// Refusal says why a code does nothing.
type Refusal struct {
	Code   string
	Reason string // min_subtotal_not_met, expired, not_started, unknown_code, used_up, …
	Detail string // for people: "Needs 12.00 EUR more."
}
