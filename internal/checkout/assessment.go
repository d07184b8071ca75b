package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// assessment is a cart as it would be bought now.
type assessment struct {
	cart
	Quote   pricingapi.Quote
	Rates   shippingapi.Rates
	Option  *shippingapi.Option // that the buyer chose; nil: none, or it is not to be had
	Changes []change            // since the buyer was shown the cart last
	Unsold  bool                // the shop has given up the currency of the cart
}

// change is something that moved without the buyer's doing.
type change struct {
	Type    string `json:"type" enum:"price,name,gone,back,stock,discount,shipping,total" example:"price"`
	ItemID  string `json:"itemId,omitempty" format:"uuid"`
	SKU     string `json:"sku,omitempty"`
	Before  string `json:"before,omitempty" doc:"What the buyer was shown" example:"12.50"`
	After   string `json:"after,omitempty" doc:"What it is now" example:"13.00"`
	Message string `json:"message" example:"MUG-BLUE costs 13.00 EUR now, not 12.50 EUR."`
}

// copied is one to change for as long as a transaction may begin again.
func (a *assessment) copied() assessment {
	b := *a
	b.cart, b.Changes = a.clone(), slices.Clone(a.Changes)
	return b
}

// stored is a cart that is over, as its buyer was shown it last.
func stored(c cart) assessment {
	a := assessment{cart: c}
	in := func(minor *int64) money.Amount {
		if minor == nil {
			return money.Amount{Currency: c.Currency}
		}
		return money.Amount{Minor: *minor, Currency: c.Currency}
	}
	a.Quote = pricingapi.Quote{
		Currency: c.Currency, TaxIncluded: true, Subtotal: in(nil), DiscountTotal: in(nil), ShippingTotal: in(c.Shown.Shipping), TaxTotal: in(nil), Total: in(c.Shown.Total),
	}
	if subtotal, err := a.subtotal(); err == nil {
		a.Quote.Subtotal = subtotal
	}
	return a
}

// assess finds out what a cart is worth now, and changes its lines to what is now. Stock is
// another matter.
func (s *service) assess(ctx context.Context, c cart, offers map[string]catalogapi.Offer) (assessment, error) {
	a := assessment{cart: c.clone(), Unsold: !isSold(ctx, c.Currency)}
	for i := range a.Lines {
		a.compare(&a.Lines[i], offers)
	}
	subtotal, err := a.subtotal()
	if err != nil {
		return a, err
	}
	parcel := shippingapi.Parcel{Subtotal: subtotal, Goods: a.goods(offers)}
	if to := a.ShippingAddress; to != nil {
		parcel.Country, parcel.Region, parcel.PostalCode = to.Country, to.Region, to.PostalCode
	}
	if a.Currency != "" {
		if a.Rates, err = s.shipping.Rates(ctx, parcel); err != nil {
			return a, fmt.Errorf("ask how to send a cart: %w", err)
		}
	}
	if o, ok := a.Rates.Find(a.MethodID); ok {
		a.Option = &o
	}
	return a, s.quote(ctx, &a, offers)
}

// compare notes what a line was shown as and is not any more.
func (a *assessment) compare(l *line, offers map[string]catalogapi.Offer) {
	say := func(kind, before, after, format string, args ...any) {
		a.Changes = append(a.Changes, change{kind, l.ID.String(), l.SKU, before, after, fmt.Sprintf(format, args...)})
	}
	offer, sold := offers[l.SKU]
	price, priced := offer.In(a.Currency)
	if !sold || !priced {
		if !l.Gone {
			say("gone", "", "", "%s is not for sale any more.", l.Name)
		}
		l.Gone, l.Available = true, nil
		return
	}
	if l.Gone {
		say("back", "", "", "%s is for sale again.", l.Name)
	}
	if l.Price != price {
		say("price", l.Price.Decimal(), price.Decimal(), "%s costs %s now, not %s.", l.Name, price, l.Price)
	}
	if l.Name != offer.Name {
		say("name", l.Name, offer.Name, "%s is called %s now.", l.Name, offer.Name)
	}
	l.Gone, l.Price, l.Name = false, price, offer.Name
}

// subtotal is what the lines that can be bought cost, before discounts.
func (a *assessment) subtotal() (money.Amount, error) {
	sum := money.Amount{Currency: a.Currency}
	for _, l := range a.Lines {
		if l.Gone {
			continue
		}
		total, err := l.Price.Mul(l.Quantity)
		if err == nil {
			sum, err = sum.Add(total)
		}
		if err != nil {
			return sum, errAmountRange
		}
	}
	return sum, nil
}

// goods are the lines that can be bought, as they are sent.
func (a *assessment) goods(offers map[string]catalogapi.Offer) (list []shippingapi.Goods) {
	for _, l := range a.Lines {
		if l.Gone {
			continue
		}
		o := offers[l.SKU]
		list = append(list, shippingapi.Goods{
			SKU: l.SKU, TaxClass: o.TaxClass, Quantity: l.Quantity, Grams: o.Measures.Grams, Length: o.Measures.Length, Width: o.Measures.Width, Height: o.Measures.Height,
		})
	}
	return list
}

// quote asks what it all costs, and notes which discounts came and went.
func (s *service) quote(ctx context.Context, a *assessment, offers map[string]catalogapi.Offer) error {
	zero := money.Amount{Currency: a.Currency}
	a.Quote = pricingapi.Quote{Currency: a.Currency, TaxIncluded: true, Subtotal: zero, DiscountTotal: zero, ShippingTotal: zero, TaxTotal: zero, Total: zero}
	b := pricingapi.Basket{Currency: a.Currency, Codes: a.Codes}
	for _, l := range a.Lines {
		if !l.Gone {
			b.Lines = append(b.Lines, pricingapi.Line{ID: l.ID.String(), SKU: l.SKU, ProductID: l.ProductID.String(), TaxClass: offers[l.SKU].TaxClass, Quantity: l.Quantity, Price: l.Price})
		}
	}
	if len(b.Lines) == 0 {
		return nil
	}
	if to := a.ShippingAddress; to != nil {
		b.Destination = pricingapi.Destination{Country: to.Country, Region: to.Region, PostalCode: to.PostalCode}
	}
	if o := a.Option; o != nil {
		b.Shipping = &pricingapi.Shipping{MethodID: o.MethodID, Name: o.Name, Price: o.Price, TaxClass: o.TaxClass}
	}
	err := s.stands(ctx, a.cart, &b)
	if err != nil {
		return err
	}
	switch a.Quote, err = s.prices.Quote(ctx, b); {
	case errors.Is(err, money.ErrOverflow):
		return errAmountRange
	case err != nil:
		return fmt.Errorf("price a cart: %w", err)
	}
	a.compareDiscounts()
	return nil
}

// stands says in a basket what discounts look at in a buyer: whose uses count, the groups of
// a customer, and whether it is a first order. Anybody can type an address or a guest's name:
// what they have bought is told by placing only, and until then they are as good as new.
func (s *service) stands(ctx context.Context, c cart, b *pricingapi.Basket) (err error) {
	b.FirstOrder = true
	var buyer string
	if c.isRegistered() {
		b.CustomerID, buyer = c.CustomerID, c.CustomerID
		if s.customers != nil {
			if b.Groups, err = s.customers.Groups(ctx, c.CustomerID); err != nil {
				return fmt.Errorf("ask which groups a customer is in: %w", err)
			}
		}
	}
	if c.Shown.Checked {
		b.CustomerID, b.Email, buyer = c.CustomerID, c.Email, c.buyer()
	}
	if buyer == "" {
		return nil
	}
	before, err := s.orders.HasOrdered(ctx, buyer, b.Email)
	if err != nil {
		return fmt.Errorf("ask for earlier orders: %w", err)
	}
	b.FirstOrder = !before
	return nil
}

// compareDiscounts notes which ones came and went by themselves. That a code does something,
// or that one was taken back, is the buyer's own doing.
func (a *assessment) compareDiscounts() {
	if a.Shown.Total == nil {
		return // the first time, nothing has changed
	}
	for _, d := range a.Shown.Discounts {
		taken := d.Code != "" && !slices.ContainsFunc(a.Codes, func(c string) bool { return strings.EqualFold(c, d.Code) })
		if !taken && !slices.ContainsFunc(a.Quote.Applied, func(p pricingapi.Applied) bool { return p.DiscountID == d.ID }) {
			a.Changes = append(a.Changes, change{Type: "discount", Before: d.Name, Message: d.Name + " does not apply any more."})
		}
	}
	for _, p := range a.Quote.Applied {
		if p.Code == "" && !slices.ContainsFunc(a.Shown.Discounts, func(d shownDiscount) bool { return d.ID == p.DiscountID }) {
			a.Changes = append(a.Changes, change{Type: "discount", After: p.Name, Message: p.Name + " applies."})
		}
	}
}

// compareTotal notes that sending, or all of it, does not cost what the buyer was shown.
func (a *assessment) compareTotal() {
	if was := a.Shown.Shipping; was != nil && a.Option != nil && *was != a.Quote.ShippingTotal.Minor {
		before := money.Amount{Minor: *was, Currency: a.Currency}
		a.Changes = append(a.Changes, change{
			Type: "shipping", Before: before.Decimal(), After: a.Quote.ShippingTotal.Decimal(), Message: fmt.Sprintf("Sending costs %s now, not %s.", a.Quote.ShippingTotal, before),
		})
	}
	if was := a.Shown.Total; was != nil && *was != a.Quote.Total.Minor {
		a.sawTotal(money.Amount{Minor: *was, Currency: a.Currency})
	}
}

// sawTotal notes which total the buyer saw instead.
func (a *assessment) sawTotal(before money.Amount) {
	a.Changes = append(a.Changes, change{
		Type: "total", Before: before.Decimal(), After: a.Quote.Total.Decimal(), Message: fmt.Sprintf("It costs %s now, not %s.", a.Quote.Total, before),
	})
}

// short notes which lines there is not enough of; the others have enough.
func (a *assessment) short(list []inventoryapi.Short) {
	for i := range a.Lines {
		l := &a.Lines[i]
		at := slices.IndexFunc(list, func(s inventoryapi.Short) bool { return s.SKU == l.SKU })
		was := l.Available
		l.Available = nil
		if at < 0 || l.Gone {
			if was != nil && !l.Gone {
				a.Changes = append(a.Changes, change{Type: "stock", ItemID: l.ID.String(), SKU: l.SKU, Message: fmt.Sprintf("There is enough of %s again.", l.Name)})
			}
			continue
		}
		available := max(list[at].Available, 0)
		l.Available = &available
		if was == nil || *was != available {
			a.Changes = append(a.Changes, change{
				Type: "stock", ItemID: l.ID.String(), SKU: l.SKU, Before: fmt.Sprint(l.Quantity), After: fmt.Sprint(available),
				Message: fmt.Sprintf("There are %d of %s, not %d.", available, l.Name, l.Quantity),
			})
		}
	}
}

// acknowledged is the cart whose buyer has been shown all of this.
func (a *assessment) acknowledged() cart {
	c := a.cart
	total, shipping := a.Quote.Total.Minor, a.Quote.ShippingTotal.Minor
	c.Shown = shown{Total: &total, Shipping: &shipping, Checked: a.Shown.Checked}
	for _, p := range a.Quote.Applied {
		c.Shown.Discounts = append(c.Shown.Discounts, shownDiscount{p.DiscountID, p.Code, p.Name})
	}
	return c
}

// wish is the stock that the cart wants to hold.
func (a *assessment) wish(lasts time.Duration) inventoryapi.Wish {
	w := inventoryapi.Wish{Lasts: lasts}
	if a.HoldID != "" {
		w.HoldIDs = append(w.HoldIDs, a.HoldID)
	}
	if a.isRegistered() {
		w.Customer = a.CustomerID
	}
	for _, l := range a.Lines {
		if !l.Gone {
			w.Items = append(w.Items, inventoryapi.Item{SKU: l.SKU, Quantity: l.Quantity})
		}
	}
	return w
}

// requirement is what is missing before the cart can be placed.
type requirement struct {
	Field   string `json:"field" doc:"What it is about; an item by its id" example:"shippingAddress"`
	Code    string `json:"code" enum:"required,incomplete,unavailable,out_of_stock" example:"required"`
	Message string `json:"message" example:"Say where it goes."`
}

// requirements are all that is missing.
func (a *assessment) requirements() []requirement {
	list := []requirement{}
	need := func(field, code, message string) { list = append(list, requirement{field, code, message}) }
	for _, l := range a.Lines {
		switch {
		case l.Gone:
			need("items/"+l.ID.String(), "unavailable", l.Name+" is not for sale any more: remove it.")
		case l.Available != nil:
			need("items/"+l.ID.String(), "out_of_stock", fmt.Sprintf("There are %d of %s: take fewer.", *l.Available, l.Name))
		}
	}
	if len(a.Lines) == 0 {
		need("items", "required", "There is nothing in the cart.")
	}
	if a.Unsold {
		need("currency", "unavailable", fmt.Sprintf("The shop does not sell in %s any more: begin another cart.", a.Currency))
	}
	if a.Email == "" {
		need("email", "required", "Say whom to write to.")
	}
	switch to := a.ShippingAddress; {
	case to == nil:
		need("shippingAddress", "required", "Say where it goes.")
	case to.Line1 == "" || to.City == "" || to.Country == "":
		need("shippingAddress", "incomplete", "An address has a line, a city and a country.")
	case a.Quote.RegionWanted:
		need("shippingAddress/region", "required", "Say in which region it is, as a code or by name: the tax depends on it.")
	}
	switch {
	case !a.Rates.Ships || a.Option != nil:
	case a.MethodID == "":
		need("shippingMethodId", "required", "Choose how it is sent.")
	default:
		need("shippingMethodId", "unavailable", a.noWay()+" Choose another way to send it.")
	}
	return list
}

// noWay is why it cannot be sent as the buyer chose.
func (a *assessment) noWay() string {
	for _, u := range a.Rates.Unavailable {
		if u.MethodID == a.MethodID {
			return u.Detail
		}
	}
	return "It cannot be sent this way."
}

// stage is how far the cart is on its way to an order.
func (a *assessment) stage() string {
	switch {
	case a.Status == placed:
		return "placed"
	case a.Status != open:
		return "expired"
	case len(a.Lines) == 0:
		return "empty"
	case len(a.requirements()) > 0:
		return "incomplete"
	}
	return "ready"
}

// freeShipping is what is missing until sending costs nothing: by the method that is chosen,
// else by the one that is nearest to it. ok is false when nothing ever makes it so.
func (a *assessment) freeShipping() (missing money.Amount, ok bool) {
	subtotal, err := a.subtotal()
	if err != nil {
		return missing, false
	}
	options := a.Rates.Options
	if a.Option != nil {
		options = []shippingapi.Option{*a.Option}
	}
	for _, o := range options {
		if o.FreeFrom == nil {
			continue
		}
		left, err := o.FreeFrom.Sub(subtotal)
		if err != nil {
			continue
		}
		left.Minor = max(left.Minor, 0)
		if !ok || left.Minor < missing.Minor {
			missing, ok = left, true
		}
	}
	return missing, ok
}
