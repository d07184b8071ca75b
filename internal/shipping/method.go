package shipping

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/pack"
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

// ways are all that a shop has said about sending.
type ways struct {
	methods []method
	zones   []zone
	boxes   []pack.Box
	grams   int64 // of what nobody has weighed
}

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
	Excluded     excluded
	MaxParcel    pack.Limit
	Version      int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// excluded is what does not go by a method.
type excluded struct {
	SKUs       []string
	TaxClasses []string
}

// price in one currency, for what is within its bands.
type price struct {
	Zone     *uuid.UUID // nil: for wherever the method has no price of the zone
	Amount   money.Amount
	FreeFrom *money.Amount
	Min, Max *money.Amount // subtotal
	Grams    band          // of all parcels with their boxes
	Items    band
}

// band is from a number to another, both of them in it; nil: without an end.
type band struct{ Min, Max *int64 }

func (b band) has(n int64) bool {
	return (b.Min == nil || n >= *b.Min) && (b.Max == nil || n <= *b.Max)
}

// covers tells whether everything that is in another band is in this one.
func (b band) covers(o band) bool {
	return (b.Min == nil || o.Min != nil && *o.Min >= *b.Min) && (b.Max == nil || o.Max != nil && *o.Max <= *b.Max)
}

func (b band) empty() bool { return b.Min != nil && b.Max != nil && *b.Min > *b.Max }

func (b band) open() bool { return b.Min == nil && b.Max == nil }

func (p price) subtotals() band { return band{minor(p.Min), minor(p.Max)} }

// hides tells whether another price that comes after it can never be the one.
func (p price) hides(o price) bool {
	zone := p.Zone == nil && o.Zone == nil || p.Zone != nil && o.Zone != nil && *p.Zone == *o.Zone
	return zone && p.Amount.Currency == o.Amount.Currency && p.subtotals().covers(o.subtotals()) && p.Grams.covers(o.Grams) && p.Items.covers(o.Items)
}

// goesTo tells whether the method goes to where a parcel goes.
func (m method) goesTo(p shippingapi.Parcel) bool {
	if len(m.Destinations) == 0 {
		return true
	}
	region := p.Country + "-" + territory.Region(p.Country, p.Region)
	return slices.ContainsFunc(m.Destinations, func(d string) bool { return d == p.Country || d == region })
}

// takes finds the first of the goods that the method does not take.
func (m method) takes(goods []shippingapi.Goods) (not string, ok bool) {
	for _, g := range goods {
		if slices.Contains(m.Excluded.SKUs, g.SKU) || slices.Contains(m.Excluded.TaxClasses, g.TaxClass) {
			return g.SKU, false
		}
	}
	return "", true
}

// pricesIn are the prices of a method where a parcel goes: those of its zone, else those of none.
func (m method) pricesIn(c money.Currency, z *zone) (there []price, priced bool) {
	var everywhere []price
	for _, p := range m.Prices {
		switch {
		case p.Amount.Currency != c:
			continue
		case p.Zone == nil:
			everywhere = append(everywhere, p)
		case z != nil && *p.Zone == z.ID:
			there = append(there, p)
		}
		priced = true
	}
	if len(there) == 0 {
		there = everywhere
	}
	return there, priced
}

// load is a parcel as it would go.
type load struct {
	shippingapi.Parcel
	zone *zone
	// within packs it into parcels within a limit.
	within  func(pack.Limit) []pack.Parcel
	parcels []pack.Parcel
}

func (l load) grams() (sum int64) {
	for _, p := range l.parcels {
		sum += p.Grams * p.Count
	}
	return sum
}

func (l load) items() (n int64) {
	for _, g := range l.Goods {
		n += g.Quantity
	}
	return n
}

// pick is the first price that is for a load, or why none is.
func (l load) pick(prices []price) (p price, why shippingapi.Reason) {
	grams, items, known := l.grams(), l.items(), len(l.Goods) > 0
	var worth, weighs, counts bool // whether any price is for it, as far as that goes
	for _, p := range prices {
		a, b, c := p.subtotals().has(l.Subtotal.Minor), p.Grams.has(grams), p.Items.has(items)
		if !known {
			b, c = p.Grams.open(), p.Items.open()
		}
		if a && b && c {
			return p, ""
		}
		worth, weighs, counts = worth || a, weighs || b, counts || c
	}
	switch {
	case !worth:
		return p, shippingapi.SubtotalRange
	case !known:
		return p, shippingapi.NoGoods
	case !weighs:
		return p, shippingapi.WeightRange
	case !counts:
		return p, shippingapi.ItemsRange
	}
	return p, shippingapi.Conditions
}

// option is what the method is to a load, or why it cannot go by it.
func (m method) option(l load) (o shippingapi.Option, no *shippingapi.Unavailable) {
	refuse := func(why shippingapi.Reason, format string, args ...any) (shippingapi.Option, *shippingapi.Unavailable) {
		return o, &shippingapi.Unavailable{MethodID: m.ID.String(), Name: m.Name, Reason: why, Detail: fmt.Sprintf(format, args...)}
	}
	prices, priced := m.pricesIn(l.Subtotal.Currency, l.zone)
	switch {
	case !priced:
		return refuse(shippingapi.NoPrice, "It has no price in %s.", l.Subtotal.Currency)
	case (!m.goesTo(l.Parcel) || len(prices) == 0) && l.Country == "":
		return refuse(shippingapi.NoAddress, "Say where it goes.")
	case !m.goesTo(l.Parcel) || len(prices) == 0:
		return refuse(shippingapi.NotThere, "It does not go there.")
	}
	if sku, ok := m.takes(l.Goods); !ok {
		return refuse(shippingapi.Excluded, "%s does not go this way.", sku)
	}
	l.parcels = l.within(m.MaxParcel)
	for _, p := range l.parcels {
		if p.Excess != pack.Within {
			return refuse(shippingapi.Reason(p.Excess), "%s is more than may go this way.", p.Items[0].SKU)
		}
	}
	c, why := l.pick(prices)
	if why != "" {
		return refuse(why, "%s", noPrice[why])
	}
	o = shippingapi.Option{MethodID: m.ID.String(), Name: m.Name, Description: m.Description, TaxClass: m.TaxClass, Price: c.Amount, FreeFrom: c.FreeFrom, Parcels: packedOf(l.parcels)}
	if c.FreeFrom != nil && l.Subtotal.Minor >= c.FreeFrom.Minor {
		o.Price.Minor = 0
	}
	return o, nil
}

var noPrice = map[shippingapi.Reason]string{
	shippingapi.SubtotalRange: "It is not for goods of this worth.",
	shippingapi.WeightRange:   "It is not for this weight.",
	shippingapi.ItemsRange:    "It is not for this many.",
	shippingapi.NoGoods:       "It depends on what is sent.",
	shippingapi.Conditions:    "It has no price for all of this together.",
}

func packedOf(parcels []pack.Parcel) (list []shippingapi.Packed) {
	for _, p := range parcels {
		packed := shippingapi.Packed{Count: p.Count, Box: p.Box, Grams: p.Grams, Length: p.Length, Width: p.Width, Height: p.Height, Oversize: p.Oversize}
		for _, c := range p.Items {
			packed.Items = append(packed.Items, shippingapi.PackedItem(c))
		}
		list = append(list, packed)
	}
	return list
}

// packable are goods as they are packed. What nobody has weighed weighs what the shop says.
func (w ways) packable(goods []shippingapi.Goods) []pack.Item {
	items := make([]pack.Item, len(goods))
	for i, g := range goods {
		items[i] = pack.Item{SKU: g.SKU, Quantity: g.Quantity, Grams: cmp.Or(g.Grams, w.grams), Sides: pack.Sides{Length: g.Length, Width: g.Width, Height: g.Height}}
	}
	return items
}

// ratesOf are the ways of a shop to send a parcel.
func ratesOf(w ways, p shippingapi.Parcel) shippingapi.Rates {
	var r shippingapi.Rates
	items, packed := w.packable(p.Goods), map[pack.Limit][]pack.Parcel{}
	goes := load{Parcel: p, zone: zoneOf(w.zones, p), within: func(l pack.Limit) []pack.Parcel {
		if _, ok := packed[l]; !ok {
			packed[l] = pack.Pack(items, w.boxes, l)
		}
		return packed[l]
	}}
	for _, m := range w.methods {
		if !m.Active {
			continue
		}
		r.Ships = true
		o, no := m.option(goes)
		if no != nil {
			r.Unavailable = append(r.Unavailable, *no)
			continue
		}
		r.Options = append(r.Options, o)
	}
	return r
}
