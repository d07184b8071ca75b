// Package shippingapi is the shipping's published language: what a parcel is, and how it
// can be sent. It is the only part of the module that others may import. Fields are only
// ever added.
package shippingapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Parcel is what a price of sending is asked for.
type Parcel struct {
	Country    string       // ISO 3166-1 alpha-2; empty: not known yet, then only methods that go everywhere do
	Region     string       // ISO 3166-2 without the country, or free text
	PostalCode string       // as people write it
	Subtotal   money.Amount // what the goods are worth; its currency is that of the prices
	Goods      []Goods      // none: only their worth is known
}

// Goods are a quantity of one thing. Measures that are 0 are not known.
type Goods struct {
	SKU                   string
	TaxClass              string
	Quantity              int64
	Grams                 int64 // of one
	Length, Width, Height int64 // mm, of one
}

// Rates are the ways to send a parcel, in the order in which the shop shows them.
type Rates struct {
	// Ships says that the shop has methods at all, also if none goes there. One without any
	// sees to it outside of the program, and its buyers choose nothing.
	Ships   bool
	Options []Option
	// Unavailable are the methods that the parcel cannot go by.
	Unavailable []Unavailable
}

// Option is a method that the parcel can go by.
type Option struct {
	MethodID    string
	Name        string
	Description string
	TaxClass    string       // empty: as the goods
	Price       money.Amount // zero when the parcel is worth enough
	// FreeFrom is the subtotal from which it costs nothing; nil: it always costs its price.
	FreeFrom *money.Amount
	// Parcels are how the goods would be packed; none when they are not known.
	Parcels []Packed
}

// Packed is a number of parcels that are alike.
type Packed struct {
	Count                 int64
	Box                   string // empty: as it is
	Grams                 int64  // of each, with its box
	Length, Width, Height int64  // mm, of each; 0: not known
	Items                 []PackedItem
	Oversize              bool // it fits into none of the shop's boxes
}

// PackedItem is how much of something is in each of the parcels.
type PackedItem struct {
	SKU      string
	Quantity int64
}

// Unavailable is a method that the parcel cannot go by.
type Unavailable struct {
	MethodID string
	Name     string
	Reason   Reason
	Detail   string // for people
}

// Reason is why a parcel cannot go by a method.
type Reason string

// The reasons.
const (
	NoAddress     Reason = "address_required" // it depends on where the parcel goes, which is not known
	NoGoods       Reason = "items_required"   // it depends on what is sent, which is not known
	NotThere      Reason = "destination"
	NoPrice       Reason = "currency"
	SubtotalRange Reason = "subtotal"
	WeightRange   Reason = "weight"
	ItemsRange    Reason = "items"
	Conditions    Reason = "conditions" // there is a price for each of these, and none for all of them
	Excluded      Reason = "excluded_item"
	TooHeavy      Reason = "parcel_too_heavy"
	TooLarge      Reason = "parcel_too_large"
)

// Find is the option of a method; ok is false when the parcel cannot go by it.
func (r Rates) Find(methodID string) (o Option, ok bool) {
	for _, o := range r.Options {
		if o.MethodID == methodID {
			return o, true
		}
	}
	return Option{}, false
}
