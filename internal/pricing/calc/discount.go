package calc

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// Effect is what a discount does.
type Effect string

// The effects.
const (
	PercentOff   Effect = "percent"
	FixedOff     Effect = "fixed"       // once, spread over the items by their worth
	FixedPrice   Effect = "fixed_price" // of one unit of each item
	BuyXGetY     Effect = "buy_x_get_y"
	FreeShipping Effect = "free_shipping"
)

// Discount is a rule that may take something off.
type Discount struct {
	ID        string
	Name      string
	Automatic bool // without a code
	Effect    Effect
	Percent   Percent        // off; for BuyXGetY off the units that are got
	Amount    int64          // minor units: off, or the price of one unit
	Currency  money.Currency // empty: any

	// Items that it takes from, and that its conditions look at.
	Items Selection
	// Of the items Buy units are bought, and Get units of Gets, or of the items when that
	// selects all, are got: the cheapest. Repeats is how often at most; 0: as often as it goes.
	Buy, Get int64
	Gets     Selection
	Repeats  int64

	MinSubtotal int64 // of the items, before discounts
	MinQuantity int64 // of the items
	Groups      []string
	FirstOrder  bool
	From        time.Time // zero: always was
	Until       time.Time // the first moment without it; zero: no end is known

	Priority  int    // the lowest comes first
	Exclusive bool   // with nothing else
	Stack     string // of discounts with the same one counts; empty: with any
}

// Selection of products. The zero value selects all.
type Selection struct{ skus, products map[string]bool }

// Select makes a selection of SKUs and products; of none it selects all.
func Select(skus, products []string) Selection {
	var s Selection
	if len(skus)+len(products) == 0 {
		return s
	}
	s.skus, s.products = make(map[string]bool, len(skus)), make(map[string]bool, len(products))
	for _, sku := range skus {
		s.skus[sku] = true
	}
	for _, id := range products {
		s.products[id] = true
	}
	return s
}

func (s Selection) all() bool { return s.skus == nil }

func (s Selection) has(l *pricingapi.Line) bool {
	return s.all() || s.skus[l.SKU] || s.products[l.ProductID]
}

// Standing of a discount whose use is limited.
type Standing struct {
	UsedUp      bool
	UsedByBuyer bool
	Left        *int64 // minor units that may still be taken off; nil: any
}

// Why a discount does not count.
const (
	unknownCode       = "unknown_code"
	expired           = "expired"
	notStarted        = "not_started"
	usedUp            = "used_up"
	usedByBuyer       = "already_used_by_you"
	notCombinable     = "not_combinable"
	wrongCurrency     = "wrong_currency"
	noMatchingItems   = "no_matching_items"
	minSubtotalNotMet = "min_subtotal_not_met"
	minQuantityNotMet = "min_quantity_not_met"
	notEligible       = "customer_not_eligible"
	nothingLeft       = "nothing_left"
)

// Candidate is a discount that was looked at, and what came of it.
type Candidate struct {
	DiscountID string // empty: no discount has the code
	Code       string // empty: it applies by itself
	Name       string
	Applied    bool
	Amount     money.Amount // that it takes off
	Reason     string       // why it was refused
	Detail     string       // for people
}

func (c *Candidate) refuse(reason, detail string) { c.Reason, c.Detail = reason, detail }

// candidate is a discount on its way through the basket.
type candidate struct {
	*Discount
	coupon bool // its code is good for no more
	said   *Candidate
	worth  int64 // what it would take off the basket as it came
}

// bargain is the basket as discounts see it: what is left of each line, and of shipping.
type bargain struct {
	basket   *pricingapi.Basket
	items    []item
	shipping *item // nil: none is chosen
	mode     Mode
	at       time.Time
	standing map[string]Standing

	// of the discount in hand
	off     []int64  // that it takes from each item
	some    []int    // of the items, that it is for
	weights []int64  // what is left of them
	units   []bundle // that can be got
}

// fits tells whether the conditions of a discount are met.
func (b *bargain) fits(c *candidate) bool {
	d, standing := c.Discount, b.standing[c.ID]
	refuse := func(reason, detail string) bool {
		c.said.refuse(reason, detail)
		return false
	}
	switch {
	case b.at.Before(d.From):
		return refuse(notStarted, "It is not valid yet.")
	case !d.Until.IsZero() && !b.at.Before(d.Until):
		return refuse(expired, "It is not valid any more.")
	case d.Currency != "" && d.Currency != b.basket.Currency:
		return refuse(wrongCurrency, "It is for orders in "+string(d.Currency)+".")
	case c.coupon || standing.UsedUp:
		return refuse(usedUp, "It has been used as often as it may be.")
	// Before all that is about this buyer: it tells nobody whether an address has bought.
	case len(d.Groups) > 0 && !slices.ContainsFunc(d.Groups, func(g string) bool { return slices.Contains(b.basket.Groups, g) }):
		return refuse(notEligible, "It is for some customers only.")
	case standing.UsedByBuyer:
		return refuse(usedByBuyer, "You have used it as often as you may.")
	case d.FirstOrder && !b.basket.FirstOrder:
		return refuse(notEligible, "It is for first orders.")
	}
	var subtotal, quantity int64
	matching := false
	for i := range b.items {
		if it := &b.items[i]; d.Items.has(it.line) {
			matching = true
			subtotal += it.subtotal
			quantity += it.line.Quantity
		}
	}
	switch {
	case !matching:
		return refuse(noMatchingItems, "It is for other products.")
	case subtotal < d.MinSubtotal:
		return refuse(minSubtotalNotMet, "Needs "+money.Amount{Minor: d.MinSubtotal - subtotal, Currency: b.basket.Currency}.String()+" more.")
	case quantity < d.MinQuantity:
		return refuse(minQuantityNotMet, "Needs "+itoa(d.MinQuantity-quantity)+" more.")
	}
	return true
}

// take computes what a discount takes off what is left: of each item into off, or of shipping.
func (b *bargain) take(d *Discount) (total int64, err error) {
	clear(b.off)
	switch d.Effect {
	case FreeShipping:
		if b.shipping == nil {
			return 0, nil
		}
		return b.shipping.left, nil
	case PercentOff, FixedOff:
		return b.spread(d)
	case FixedPrice:
		for i := range b.items {
			it := &b.items[i]
			if !d.Items.has(it.line) {
				continue
			}
			// A price that does not fit is more than anything costs: nothing comes off.
			if price, err := (money.Amount{Minor: d.Amount}).Mul(it.line.Quantity); err == nil {
				b.off[i] = max(0, it.left-price.Minor)
			}
			total += b.off[i]
		}
		return total, nil
	case BuyXGetY:
		return b.bundle(d)
	}
	return 0, nil
}

// sum is what a discount takes off its items together, rounded once.
func (b *bargain) sum(d *Discount) (int64, error) {
	b.some, b.weights = b.some[:0], b.weights[:0]
	var base int64
	for i := range b.items {
		if it := &b.items[i]; d.Items.has(it.line) {
			b.some, b.weights = append(b.some, i), append(b.weights, it.left)
			base += it.left
		}
	}
	if d.Effect == PercentOff {
		return b.mode.share(base, int64(d.Percent), int64(whole))
	}
	return min(d.Amount, base), nil
}

// spread takes the sum off, from each item by its worth.
func (b *bargain) spread(d *Discount) (int64, error) {
	total, err := b.sum(d)
	if err != nil {
		return 0, err
	}
	parts, err := split(total, b.weights)
	if err != nil {
		return 0, err
	}
	for k, i := range b.some {
		b.off[i] = parts[k]
	}
	return total, nil
}

// bundle is the units of an item that can be got.
type bundle struct {
	item  int
	price int64 // of a unit, about: what is left of it
	also  bool  // they can be bought as well
}

// bundle takes its share off the cheapest units that can be got, and never off a unit that
// has to be bought for it.
func (b *bargain) bundle(d *Discount) (total int64, err error) {
	gets := d.Gets
	if gets.all() {
		gets = d.Items
	}
	var buys, both, got int64 // units that can only be bought, either, only got
	b.units = b.units[:0]
	for i := range b.items {
		it := &b.items[i]
		buy, get, n := d.Items.has(it.line), gets.has(it.line), it.line.Quantity
		switch {
		case buy && get:
			both += n
		case buy:
			buys += n
		case get:
			got += n
		}
		if get {
			b.units = append(b.units, bundle{i, it.left / n, buy})
		}
	}
	times := min((buys+both)/d.Buy, (got+both)/d.Get, (buys+both+got)/(d.Buy+d.Get))
	if d.Repeats > 0 {
		times = min(times, d.Repeats)
	}
	left, spare := times*d.Get, buys+both-times*d.Buy
	slices.SortStableFunc(b.units, func(x, y bundle) int { return cmp.Compare(x.price, y.price) })
	for _, u := range b.units {
		it := &b.items[u.item]
		n := min(left, it.line.Quantity)
		if u.also {
			n = min(n, spare)
			spare -= n
		}
		left -= n
		worth, err := b.mode.share(it.left, n, it.line.Quantity)
		if err != nil {
			return 0, err
		}
		if b.off[u.item], err = b.mode.share(worth, int64(d.Percent), int64(whole)); err != nil {
			return 0, err
		}
		total += b.off[u.item]
	}
	return total, nil
}

// apply lets the discounts act, in order, and tells of each what came of it.
func (b *bargain) apply(candidates []*candidate) error {
	willing := candidates[:0]
	for _, c := range candidates {
		if !b.fits(c) {
			continue
		}
		var err error
		if c.Effect == PercentOff || c.Effect == FixedOff { // how it is divided does not matter yet
			c.worth, err = b.sum(c.Discount)
		} else {
			c.worth, err = b.take(c.Discount)
		}
		if err != nil {
			return err
		}
		willing = append(willing, c)
	}
	slices.SortStableFunc(willing, func(x, y *candidate) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(y.worth, x.worth), strings.Compare(x.ID, y.ID))
	})
	var acting []*candidate
	for _, c := range willing {
		if with := b.against(c, acting); with != nil {
			c.said.refuse(notCombinable, "It cannot be combined with "+with.Name+".")
			continue
		}
		total, err := b.take(c.Discount)
		if err != nil {
			return err
		}
		switch left := b.standing[c.ID].Left; {
		case total == 0 && (c.Effect != FreeShipping || b.shipping != nil):
			c.said.refuse(nothingLeft, "There is nothing that it could take off.")
			continue
		case left != nil && total > *left:
			c.said.refuse(usedUp, "It has been used as often as it may be.")
			continue
		}
		b.act(c, total)
		acting = append(acting, c)
	}
	return nil
}

// against is who of the discounts that act stands in the way of another.
func (b *bargain) against(c *candidate, acting []*candidate) *candidate {
	for _, other := range acting {
		if c.Exclusive || other.Exclusive || c.ID == other.ID || c.Stack != "" && c.Stack == other.Stack {
			return other
		}
	}
	return nil
}

func (b *bargain) act(c *candidate, total int64) {
	c.said.Applied, c.said.Amount.Minor = true, total
	if c.Effect == FreeShipping {
		if b.shipping != nil {
			b.shipping.discount(c.ID, total)
		}
		return
	}
	for i, off := range b.off {
		if off > 0 {
			b.items[i].discount(c.ID, off)
		}
	}
}
