// Package shippingapi is the shipping's published language: what a parcel is, and how it
// can be sent. It is the only part of the module that others may import. Fields are only
// ever added.
package shippingapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Parcel is what a price of sending is asked for.
type Parcel struct {
	Country  string       // ISO 3166-1 alpha-2; empty: not known yet, then only methods that go everywhere do
	Region   string       // ISO 3166-2 without the country, or free text
	Subtotal money.Amount // what the goods are worth; its currency is that of the prices
}

// Rates are the ways to send a parcel, in the order in which the shop shows them.
type Rates struct {
	// Ships says that the shop has methods at all, also if none goes there. One without any
	// sees to it outside of the program, and its buyers choose nothing.
	Ships   bool
	Options []Option
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
}

// Find is the option of a method; ok is false when the parcel cannot go by it.
func (r Rates) Find(methodID string) (o Option, ok bool) {
	for _, o := range r.Options {
		if o.MethodID == methodID {
			return o, true
		}
	}
	return Option{}, false
}
