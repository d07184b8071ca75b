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
	a, err := s.agree(ctx, c, total)
	if err != nil {
		return out, err
	}
	defer s.unlessDone(ctx, &a, &err, c)
	number, err := s.orders.Admit(ctx)
	if err != nil {
		return out, fmt.Errorf("place cart %s: %w", c.ID, err)
	}
	order := clock.NewID()
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (placedResponse, error) {
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
}

// placedBefore answers with the order that the cart has become already.
func (s *service) placedBefore(ctx context.Context, c cart, who caller) (placedResponse, error) {
	view, err := s.orders.Order(ctx, *c.OrderID, who.owns(c))
	if err != nil {
		return placedResponse{}, fmt.Errorf("read the order of cart %s: %w", c.ID, err)
	}
	return httpx.Command(ctx, s.db, func(*db.Tx) (placedResponse, error) { return placedResponse{view}, nil })
}

// agree checks all that can be asked before the transaction: that nothing is missing, that
// it is what the buyer saw, and that the stock is held, which is asked for whatever the cart
// says: an order must not rest on a hold that is over. A refusal shows what has moved, and is
// remembered as shown.
func (s *service) agree(ctx context.Context, c cart, saw *money.Amount) (a assessment, err error) {
	offers, err := s.priced(ctx, c.skus())
	if err != nil {
		return a, err
	}
	if a, err = s.assess(ctx, c, offers); err != nil {
		return a, err
	}
	if err := s.secure(ctx, &a, max(a.lasts(s.holdFor, s.now()), holdToPlace)); err != nil {
		return a, err
	}
	a.expects(saw)
	missing := a.requirements()
	if len(a.Changes) == 0 && len(missing) == 0 {
		if err := s.check(ctx, &a, offers, saw); err != nil || len(a.Changes) == 0 {
			s.unlessDone(ctx, &a, &err, c)
			return a, err
		}
	}
	if err := s.db.InTx(ctx, func(tx *db.Tx) error { return s.write(ctx, tx, c, &a) }); err != nil {
		err = fmt.Errorf("note what was shown: %w", err)
		s.unlessDone(ctx, &a, &err, c)
		return a, err
	}
	if len(a.Changes) > 0 {
		return a, errCartChanged.With("changes", a.Changes).With("total", a.Quote.Total.Decimal())
	}
	return a, errNotReady.With("requirements", missing)
}

// check prices for whom the address says a cart that nothing else stands in the way of, and
// notes what that changes. It comes last: who asks about an address, orders.
func (s *service) check(ctx context.Context, a *assessment, offers map[string]catalogapi.Offer, saw *money.Amount) error {
	if a.Shown.Checked || len(a.Quote.Applied) == 0 { // the more is known of a buyer, the less applies
		return nil
	}
	a.Shown = a.acknowledged().Shown
	a.Shown.Checked = true
	if err := s.quote(ctx, a, offers); err != nil {
		return err
	}
	a.expects(saw)
	return nil
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
