package shipping

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var (
	errManyMethods      = fault.New(fault.Conflict, "too_many_methods", "A shop has 100 shipping methods at most. Remove one first.")
	errUnknownSKU       = fault.New(fault.Invalid, "unknown_sku", "Something is not for sale.")
	errCurrencyMismatch = fault.New(fault.Invalid, "currency_mismatch", "Something has no price in the currency.")
	errAmountRange      = fault.New(fault.Invalid, "amount_out_of_range", "The goods are worth more than can be counted.")
)

// mostMethods of a shop: more than a buyer can tell apart.
const mostMethods = 100

// method is a way to send.
type method struct {
	ID           uuid.UUID
	Name         string
	Description  string
	Destinations []string // "PT", "US-CA"; none: everywhere
	TaxClass     string
	Active       bool
	Position     int64
	Prices       []price
	Version      int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// price in one currency, for subtotals from Min up to Max.
type price struct {
	Amount   money.Amount
	FreeFrom *money.Amount
	Min, Max *money.Amount
}

// goesTo tells whether the method goes to where a parcel goes.
func (m method) goesTo(p shippingapi.Parcel) bool {
	if len(m.Destinations) == 0 {
		return true
	}
	region := p.Country + "-" + territory.Region(p.Country, p.Region)
	return slices.ContainsFunc(m.Destinations, func(d string) bool { return d == p.Country || d == region })
}

// option is what the method is to a parcel; ok is false when it cannot go by it.
func (m method) option(p shippingapi.Parcel) (o shippingapi.Option, ok bool) {
	at := slices.IndexFunc(m.Prices, func(c price) bool { return c.Amount.Currency == p.Subtotal.Currency })
	if at < 0 || !m.Active || !m.goesTo(p) {
		return o, false
	}
	c := m.Prices[at]
	if c.Min != nil && p.Subtotal.Minor < c.Min.Minor || c.Max != nil && p.Subtotal.Minor > c.Max.Minor {
		return o, false
	}
	o = shippingapi.Option{MethodID: m.ID.String(), Name: m.Name, Description: m.Description, TaxClass: m.TaxClass, Price: c.Amount, FreeFrom: c.FreeFrom}
	if c.FreeFrom != nil && p.Subtotal.Minor >= c.FreeFrom.Minor {
		o.Price.Minor = 0
	}
	return o, true
}

// ratesOf are the ways of a shop to send a parcel.
func ratesOf(methods []method, p shippingapi.Parcel) shippingapi.Rates {
	var r shippingapi.Rates
	for _, m := range methods {
		r.Ships = r.Ships || m.Active
		if o, ok := m.option(p); ok {
			r.Options = append(r.Options, o)
		}
	}
	return r
}
