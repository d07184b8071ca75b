// Package calc computes what a basket costs: a pure function over data, without a clock, a
// database or a float. Discounts come first, then tax; every amount is exact, every rounding
// happens once and in a place that docs/pricing.md names.
package calc

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// ErrBasket refuses what is no basket: a quantity below one or beyond a billion, a price below nothing, two
// lines of one name.
var ErrBasket = errors.New("calc: not a basket")

// Settings are how a shop computes.
type Settings struct {
	PricesIncludeTax bool
	// PerOrder rounds the tax of all that is taxed alike together; otherwise each line's is
	// rounded by itself.
	PerOrder bool
	Mode     Mode
	Country  string // of the shop
	Region   string
	// ShippingTax is the tax class of shipping; empty: as the goods, in proportion to their worth.
	ShippingTax string
}

// Rules are what a shop, and its database for this basket, say.
type Rules struct {
	Rates     Rates
	Automatic []*Discount
	Codes     map[string]Coupon   // by Code
	Standing  map[string]Standing // by discount; absent: its use is not limited
}

// Coupon is a code that the shop knows.
type Coupon struct {
	Discount *Discount // nil: it is over
	UsedUp   bool      // the code itself
}

// Code is a code as codes are compared, however the buyer types it.
func Code(text string) string { return strings.ToUpper(strings.TrimSpace(text)) }

// mostUnits of a line: so many that sums of quantities always fit.
const mostUnits = 1_000_000_000

// item is a line, or shipping, while it is priced.
type item struct {
	line     *pricingapi.Line
	subtotal int64
	left     int64 // after discounts
	shares   []pricingapi.DiscountShare
	taxes    []pricingapi.Tax
	tax      int64
}

func (it *item) discount(id string, off int64) {
	it.left -= off
	it.shares = append(it.shares, pricingapi.DiscountShare{DiscountID: id, Amount: money.Amount{Minor: off, Currency: it.line.Price.Currency}})
}

// Evaluate says what a basket costs, and of every discount why it counts or not. Amounts
// that do not fit, or are in different currencies, are errors.
func Evaluate(b pricingapi.Basket, r Rules, s Settings, at time.Time) (pricingapi.Quote, []Candidate, error) {
	g := regime{rates: r.Rates, to: b.Destination, at: at, included: s.PricesIncludeTax, mode: s.Mode, perOrder: s.PerOrder}
	if g.to.Country == "" {
		g.to = pricingapi.Destination{Country: s.Country, Region: s.Region}
	}
	g.reverse = reverseCharge(s.Country, g.to.Country, b.VATID)
	items, shipping, err := unpack(b)
	if err != nil {
		return pricingapi.Quote{}, nil, err
	}
	if g.reverse && g.included {
		home := regime{rates: r.Rates, to: pricingapi.Destination{Country: s.Country, Region: s.Region}, at: at, included: true, mode: s.Mode}
		if err := home.strip(items, shipping, s.ShippingTax); err != nil {
			return pricingapi.Quote{}, nil, err
		}
		g.included = false
	}
	candidates, said := r.candidates(b)
	bargain := bargain{basket: &b, items: items, shipping: shipping, mode: s.Mode, at: at, standing: r.Standing, off: make([]int64, len(items))}
	if err := bargain.apply(candidates); err != nil {
		return pricingapi.Quote{}, nil, err
	}
	if err := g.settle(items, shipping, s.ShippingTax); err != nil {
		return pricingapi.Quote{}, nil, err
	}
	q, err := g.quote(b.Currency, items, shipping)
	if err != nil {
		return pricingapi.Quote{}, nil, err
	}
	q.RegionWanted = b.Destination.Country != "" && g.wantsRegion()
	looked := make([]Candidate, len(said))
	for i, c := range said {
		looked[i] = *c
		switch {
		case c.Applied:
			q.Applied = append(q.Applied, pricingapi.Applied{DiscountID: c.DiscountID, Code: c.Code, Name: c.Name, Amount: c.Amount})
		case c.Code != "":
			q.Refused = append(q.Refused, pricingapi.Refusal{Code: c.Code, Reason: c.Reason, Detail: c.Detail})
		}
	}
	return q, looked, nil
}

// unpack makes items of a basket.
func unpack(b pricingapi.Basket) (items []item, shipping *item, err error) {
	lines := slices.Clone(b.Lines) // a reverse charge changes prices
	items = make([]item, len(lines))
	seen := make(map[string]bool, len(lines))
	total := money.Amount{Currency: b.Currency}
	for i := range lines {
		l := &lines[i]
		if l.Quantity < 1 || l.Quantity > mostUnits || l.Price.IsNegative() || seen[l.ID] {
			return nil, nil, ErrBasket
		}
		seen[l.ID] = true
		subtotal, err := l.Price.Mul(l.Quantity)
		if err != nil {
			return nil, nil, err
		}
		if total, err = total.Add(subtotal); err != nil {
			return nil, nil, err
		}
		items[i] = item{line: l, subtotal: subtotal.Minor, left: subtotal.Minor}
	}
	if b.Shipping == nil {
		return items, nil, nil
	}
	price := b.Shipping.Price
	if price.IsNegative() {
		return nil, nil, ErrBasket
	}
	if _, err := total.Add(price); err != nil {
		return nil, nil, err
	}
	line := &pricingapi.Line{ID: b.Shipping.MethodID, TaxClass: b.Shipping.TaxClass, Quantity: 1, Price: price}
	return items, &item{line: line, subtotal: price.Minor, left: price.Minor}, nil
}

// candidates are the discounts to look at: those that apply by themselves and those of codes.
func (r Rules) candidates(b pricingapi.Basket) (list []*candidate, said []*Candidate) {
	add := func(d *Discount, code string, exhausted bool) {
		c := &Candidate{DiscountID: d.ID, Code: code, Name: d.Name, Amount: money.Amount{Currency: b.Currency}}
		list, said = append(list, &candidate{Discount: d, coupon: exhausted, said: c}), append(said, c)
	}
	for _, d := range r.Automatic {
		add(d, "", false)
	}
	tried := map[string]bool{}
	for _, typed := range b.Codes {
		code := Code(typed)
		if tried[code] {
			continue
		}
		tried[code] = true
		coupon, known := r.Codes[code]
		switch {
		case !known:
			said = append(said, &Candidate{Code: code, Reason: unknownCode, Detail: "There is no such code.", Amount: money.Amount{Currency: b.Currency}})
		case coupon.Discount == nil:
			said = append(said, &Candidate{Code: code, Reason: expired, Detail: "It is not valid any more.", Amount: money.Amount{Currency: b.Currency}})
		default:
			add(coupon.Discount, code, coupon.UsedUp)
		}
	}
	return list, said
}

// strip takes the shop's own tax out of prices.
func (g *regime) strip(items []item, shipping *item, shippingClass string) error {
	for i := range items {
		it := &items[i]
		tax, err := g.treatment(it.line.TaxClass).of(it.line.Price.Minor, true, g.mode)
		if err != nil {
			return err
		}
		it.line.Price.Minor -= tax
		it.subtotal = it.line.Price.Minor * it.line.Quantity
		it.left = it.subtotal
	}
	if shipping == nil {
		return nil
	}
	parts, err := g.parts(items, shipping, shippingClass)
	if err != nil {
		return err
	}
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.of != shipping })
	if err := g.tax(parts); err != nil {
		return err
	}
	for _, p := range parts {
		shipping.line.Price.Minor -= p.tax
	}
	shipping.subtotal, shipping.left = shipping.line.Price.Minor, shipping.line.Price.Minor
	return nil
}

// parts are what is taxed in one way each: the lines, and of shipping as many as the goods
// are taxed in different ways.
func (g *regime) parts(items []item, shipping *item, shippingClass string) ([]part, error) {
	parts := make([]part, 0, len(items)+1)
	for i := range items {
		parts = append(parts, part{of: &items[i], by: g.treatment(items[i].line.TaxClass), worth: items[i].left})
	}
	if shipping == nil {
		return parts, nil
	}
	if class := cmp.Or(shipping.line.TaxClass, shippingClass); class != "" || len(items) == 0 {
		return append(parts, part{of: shipping, by: g.treatment(class), worth: shipping.left}), nil
	}
	worths, goods := make([]int64, len(g.known)), int64(0)
	weigh := func(of func(*item) int64) {
		for i := range items {
			it := &items[i]
			worths[slices.Index(g.known, g.treatment(it.line.TaxClass))] += of(it)
			goods += of(it)
		}
	}
	weigh(func(it *item) int64 { return it.left })
	if goods == 0 { // all of it is given away: what it was worth counts, or how much it is
		weigh(func(it *item) int64 { return it.subtotal })
	}
	if goods == 0 {
		weigh(func(it *item) int64 { return it.line.Quantity })
	}
	shares, err := split(shipping.left, worths)
	if err != nil {
		return nil, err
	}
	for k, share := range shares {
		if worths[k] > 0 {
			parts = append(parts, part{of: shipping, by: g.known[k], worth: share})
		}
	}
	return parts, nil
}

// settle taxes everything.
func (g *regime) settle(items []item, shipping *item, shippingClass string) error {
	parts, err := g.parts(items, shipping, shippingClass)
	if err != nil {
		return err
	}
	if err := g.tax(parts); err != nil {
		return err
	}
	for _, p := range parts {
		p.of.tax += p.tax
		for k, t := range p.by.taxes {
			t.Amount = money.Amount{Minor: p.shares[k], Currency: p.of.line.Price.Currency}
			p.of.owe(t)
		}
	}
	return nil
}

// owe adds a tax to those that the item owes already.
func (it *item) owe(t pricingapi.Tax) {
	for i := range it.taxes {
		if known := &it.taxes[i]; known.RateID == t.RateID && known.Reason == t.Reason {
			known.Amount.Minor += t.Amount.Minor
			return
		}
	}
	it.taxes = append(it.taxes, t)
}

func (g *regime) quote(currency money.Currency, items []item, shipping *item) (q pricingapi.Quote, err error) {
	zero := money.Amount{Currency: currency}
	q = pricingapi.Quote{
		Currency: currency, TaxIncluded: g.included, Lines: make([]pricingapi.Priced, len(items)),
		Subtotal: zero, DiscountTotal: zero, ShippingTotal: zero, TaxTotal: zero, Total: zero,
	}
	for i := range items {
		if q.Lines[i], err = g.priced(&items[i]); err != nil {
			return pricingapi.Quote{}, err
		}
		if err := add(&q.Subtotal, q.Lines[i].Subtotal); err != nil {
			return pricingapi.Quote{}, err
		}
	}
	all := q.Lines
	if shipping != nil {
		p, err := g.priced(shipping)
		if err != nil {
			return pricingapi.Quote{}, err
		}
		q.Shipping, q.ShippingTotal = &p, p.Subtotal
		all = append(slices.Clone(all), p)
	}
	for _, p := range all {
		if err := errors.Join(add(&q.DiscountTotal, p.Discount), add(&q.TaxTotal, p.Tax), add(&q.Total, p.Total)); err != nil {
			return pricingapi.Quote{}, err
		}
	}
	return q, nil
}

func add(to *money.Amount, a money.Amount) (err error) {
	*to, err = to.Add(a)
	return err
}

// priced is an item with its shares. What is left of it holds its tax, or does not.
func (g *regime) priced(it *item) (pricingapi.Priced, error) {
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: it.line.Price.Currency} }
	p := pricingapi.Priced{
		ID: it.line.ID, Quantity: it.line.Quantity, Price: it.line.Price, Subtotal: amount(it.subtotal), Discount: amount(it.subtotal - it.left),
		Net: amount(it.left), Tax: amount(it.tax), Taxes: it.taxes, Discounts: it.shares,
	}
	if g.included {
		p.Net = amount(it.left - it.tax)
	}
	var err error
	if p.Total, err = p.Net.Add(p.Tax); err != nil {
		return pricingapi.Priced{}, err
	}
	p.Units = units(p, g.included)
	return p, nil
}

// units deals a line out to its units. Those that get a unit more of the discount are the
// first, those that get one more of the tax the last: where prices include the tax, no unit
// is taxed more than what is left of it.
func units(p pricingapi.Priced, included bool) (runs []pricingapi.UnitShare) {
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: p.Price.Currency} }
	discounted := p.Discount.Minor % p.Quantity    // have one more off
	untaxed := p.Quantity - p.Tax.Minor%p.Quantity // have no more tax
	for from := int64(0); from < p.Quantity; {
		to := p.Quantity
		discount, tax := p.Discount.Minor/p.Quantity, p.Tax.Minor/p.Quantity
		if from < discounted {
			discount++
			to = min(to, discounted)
		}
		if from >= untaxed {
			tax++
		} else {
			to = min(to, untaxed)
		}
		net := p.Price.Minor - discount
		if included {
			net -= tax
		}
		runs = append(runs, pricingapi.UnitShare{Count: to - from, Discount: amount(discount), Net: amount(net), Tax: amount(tax)})
		from = to
	}
	return runs
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
