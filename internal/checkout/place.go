package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

var (
	errNotReady    = fault.New(fault.Conflict, "checkout_incomplete", "Something is missing before the cart can be placed.")
	errCartChanged = fault.New(fault.Conflict, "cart_changed", "The cart is not what the buyer saw. Show it and ask again.")
	// errUsedUp is the pricing's refusal to take from a budget what is not there. Buyers hear it
	// who lose it to others however often the cart is priced anew.
	errUsedUp = fault.New(fault.Conflict, "discount_used_up", "A discount has been used up meanwhile.")
)

type placeBody struct {
	Total *httpx.Decimal `json:"total,omitempty" doc:"What the buyer saw, in the currency of the cart"`
}

type placeInput struct {
	ID    string `path:"id"`
	Token string `header:"Cart-Token" maxLength:"200"`
	Body  *placeBody
}

type placedResponse struct {
	ordersapi.OrderView
}

// Location of the order.
func (r placedResponse) Location() string { return "/v1/orders/" + r.ID }

func (s *service) handlePlace(ctx context.Context, in *placeInput) (placedResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return placedResponse{}, err
	}
	who, err := callerOf(ctx, in.Token, permissionWrite)
	if err != nil {
		return placedResponse{}, err
	}
	var saw *httpx.Decimal
	if in.Body != nil {
		saw = in.Body.Total
	}
	return s.place(ctx, id, who, saw)
}

// place makes an order of a cart, once. Who comes second finds the order.
func (s *service) place(ctx context.Context, id uuid.UUID, who caller, saw *httpx.Decimal) (placedResponse, error) {
	return again(ctx, s.turns, id, func() (placedResponse, error) { return s.placeOnce(ctx, id, who, saw) })
}

func (s *service) placeOnce(ctx context.Context, id uuid.UUID, who caller, saw *httpx.Decimal) (out placedResponse, err error) {
	c, err := s.find(ctx, id, who)
	switch {
	case err != nil:
		return out, err
	case c.Status == placed:
		return s.placedBefore(ctx, c, who)
	case c.Status != open:
		return out, c.closed()
	}
	total, err := c.total(saw)
	if err != nil {
		return out, err
	}
	p, err := s.propose(ctx, c, total)
	if err != nil {
		return out, err
	}
	if p.blocked {
		return out, s.refuse(ctx, p)
	}
	number, err := s.orders.Admit(ctx)
	if err != nil {
		return out, fmt.Errorf("place cart %s: %w", c.ID, err)
	}
	order := clock.NewID()
	out, err = httpx.Command(ctx, s.db, func(tx *db.Tx) (placedResponse, error) {
		// First, as whoever forgets the buyer does: they lock the cart after it.
		if err := allowed(ctx, tx, c); err != nil {
			return out, err
		}
		a, err := s.agree(ctx, tx, p)
		if err != nil {
			return out, err
		}
		if a.blocked() {
			return out, errBlocked
		}
		ok, err := s.store.place(ctx, tx, a.cart, order)
		if err != nil {
			return out, err
		}
		if !ok {
			return out, errMoved
		}
		view, err := s.orders.Place(ctx, tx, a.placement(order, number), who.owns(c))
		if err != nil {
			return out, err
		}
		// Last, so that others who want of the same budget wait for as little as can be.
		err = s.prices.Redeem(ctx, tx, order, a.Quote, pricingapi.Buyer{CustomerID: a.CustomerID, Email: a.Email})
		if errors.Is(err, errUsedUp) {
			err = fmt.Errorf("%w: %w", errMoved, err) // the next look at it shows that it costs more
		}
		return placedResponse{view}, err
	})
	if errors.Is(err, errBlocked) {
		return out, s.refuse(ctx, p)
	}
	return out, err
}

// placedBefore answers with the order that the cart has become already.
func (s *service) placedBefore(ctx context.Context, c cart, who caller) (placedResponse, error) {
	view, err := s.orders.Order(ctx, *c.OrderID, who.owns(c))
	if err != nil {
		return placedResponse{}, fmt.Errorf("read the order of cart %s: %w", c.ID, err)
	}
	return httpx.Command(ctx, s.db, func(*db.Tx) (placedResponse, error) { return placedResponse{view}, nil })
}

// errBlocked undoes the transaction of an order that its cart is not ready for.
var errBlocked = errors.New("something stands in the way")

// proposal is a cart that is to be placed: all that can be known of it before its stock is held.
type proposal struct {
	cart  cart          // as it is stored
	saw   *money.Amount // nil: the buyer names no total
	asked assessment
	// checked is priced for whom the address says; nil when that makes no difference.
	checked *assessment
	// blocked says that something stands in the way, whatever there is in stock.
	blocked bool
}

// propose asks all that can be asked before the transaction.
func (s *service) propose(ctx context.Context, c cart, saw *money.Amount) (p proposal, err error) {
	offers, err := s.priced(ctx, c.skus())
	if err != nil {
		return p, err
	}
	p = proposal{cart: c, saw: saw}
	if p.asked, err = s.assess(ctx, c, offers); err != nil {
		return p, err
	}
	a := p.asked.copied()
	for i := range a.Lines {
		a.Lines[i].Available = nil
	}
	a.expects(saw)
	if p.blocked = a.blocked(); p.blocked {
		return p, nil
	}
	if p.checked, err = s.check(ctx, p.asked.copied(), offers); err != nil || p.checked == nil {
		return p, err
	}
	b := p.checked.copied()
	b.Lines = a.Lines
	b.expects(saw)
	p.blocked = b.blocked()
	return p, nil
}

// blocked tells whether anything keeps a cart from being placed.
func (a *assessment) blocked() bool { return len(a.Changes) > 0 || len(a.requirements()) > 0 }

// agree holds the stock of a cart that is to be placed, and finds out whether it is what the
// buyer saw, and nothing is missing. It asks for the stock whatever the cart says: an order
// must not rest on a hold that is over.
func (s *service) agree(ctx context.Context, tx *db.Tx, p proposal) (assessment, error) {
	a := p.asked.copied()
	if err := s.secure(ctx, tx, &a, max(a.lasts(s.holdFor, s.now()), holdToPlace)); err != nil {
		return a, err
	}
	a.expects(p.saw)
	if p.checked == nil || a.blocked() {
		return a, nil
	}
	// It comes last: who asks about an address, orders.
	a.Quote, a.Shown, a.Changes = p.checked.Quote, p.checked.Shown, slices.Clone(p.checked.Changes)
	a.expects(p.saw)
	return a, nil
}

// refuse says what has moved or is missing, and remembers it as shown.
func (s *service) refuse(ctx context.Context, p proposal) error {
	var a assessment
	if err := s.db.InTx(ctx, func(tx *db.Tx) (err error) {
		if a, err = s.agree(ctx, tx, p); err != nil {
			return err
		}
		if !a.blocked() {
			return errMoved // there is enough of everything again
		}
		return s.write(ctx, tx, p.cart, &a)
	}); err != nil {
		return fmt.Errorf("note what was shown: %w", err)
	}
	if len(a.Changes) > 0 {
		return errCartChanged.With("changes", a.Changes).With("total", a.Quote.Total.Decimal())
	}
	return errNotReady.With("requirements", a.requirements())
}

// check prices for whom the address says a cart that nothing else stands in the way of.
func (s *service) check(ctx context.Context, a assessment, offers map[string]catalogapi.Offer) (*assessment, error) {
	if a.Shown.Checked || len(a.Quote.Applied) == 0 { // the more is known of a buyer, the less applies
		return nil, nil //nolint:nilnil // nothing differs, and nothing is wrong with that
	}
	a.Shown, a.Changes = a.acknowledged().Shown, nil
	a.Shown.Checked = true
	return &a, s.quote(ctx, &a, offers)
}

// total is what the buyer says that the cart costs; nil when they say nothing.
func (c cart) total(saw *httpx.Decimal) (*money.Amount, error) {
	if saw == nil {
		return nil, nil //nolint:nilnil // nothing is said, and nothing is wrong with that
	}
	total, fields := saw.Amount(string(c.Currency), "/total", "/total")
	if len(fields) > 0 {
		return nil, httpx.ErrValidation(fields...)
	}
	return &total, nil
}

// expects compares with what the buyer saw: the total that they name, or else what they were
// shown last. Who names the total that it has accepts what has moved on the way to it.
func (a *assessment) expects(saw *money.Amount) {
	switch {
	case saw == nil:
		a.compareTotal()
	case *saw == a.Quote.Total:
		a.Changes = slices.DeleteFunc(a.Changes, func(ch change) bool { return ch.Type != "gone" && (ch.Type != "stock" || ch.After == "") })
	default:
		a.sawTotal(*saw)
	}
}

// placement is the order that the cart becomes.
func (a *assessment) placement(order uuid.UUID, number int64) ordersapi.Placement {
	q := a.Quote
	p := ordersapi.Placement{
		OrderID: order.String(), Number: number, CartID: a.ID.String(), CustomerID: a.buyer(), Email: a.Email, HoldID: a.HoldID, Ticket: a.Ticket,
		ShippingAddress: a.ShippingAddress, BillingAddress: a.BillingAddress, Metadata: a.Metadata,
		Currency: a.Currency, TaxIncluded: q.TaxIncluded, Subtotal: q.Subtotal, DiscountTotal: q.DiscountTotal, ShippingTotal: q.ShippingTotal, TaxTotal: q.TaxTotal, Total: q.Total,
	}
	byID := make(map[string]pricingapi.Priced, len(q.Lines))
	for _, l := range q.Lines {
		byID[l.ID] = l
	}
	for _, l := range a.Lines {
		p.Lines = append(p.Lines, ordersapi.PlacedLine{
			ProductID: l.ProductID.String(), SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, Price: byID[l.ID.String()].Price, Shares: sharesOf(byID[l.ID.String()]),
		})
	}
	if q.Shipping != nil && a.Option != nil {
		p.Shipping = &ordersapi.PlacedShipping{MethodID: a.Option.MethodID, Name: a.Option.Name, Shares: sharesOf(*q.Shipping)}
	}
	for _, d := range q.Applied {
		p.Discounts = append(p.Discounts, ordersapi.PlacedDiscount{ID: d.DiscountID, Code: d.Code, Name: d.Name, Amount: d.Amount})
	}
	return p
}

func sharesOf(l pricingapi.Priced) ordersapi.Shares {
	s := ordersapi.Shares{Discount: l.Discount, Net: l.Net, Tax: l.Tax, Total: l.Total}
	for _, t := range l.Taxes {
		s.Taxes = append(s.Taxes, ordersapi.TaxShare{RateID: t.RateID, Name: t.Name, Rate: t.Rate, Reason: t.Reason, Amount: t.Amount})
	}
	for _, d := range l.Discounts {
		s.Discounts = append(s.Discounts, ordersapi.DiscountShare{DiscountID: d.DiscountID, Amount: d.Amount})
	}
	for _, u := range l.Units {
		s.Units = append(s.Units, ordersapi.UnitShare{Count: u.Count, Discount: u.Discount, Net: u.Net, Tax: u.Tax})
	}
	return s
}
