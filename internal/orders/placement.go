package orders

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Admit tells whether the shop may have another order, and what its number is. It comes
// before the transaction that places the order.
func (m *Module) Admit(ctx context.Context) (number int64, err error) {
	if err := m.svc.daily.allow(ctx); err != nil {
		return 0, err
	}
	return m.svc.numbers.take(ctx)
}

// Place writes an order that a checkout has agreed, in the checkout's transaction. Whether it
// is the caller's own, checkout says, as for Order.
func (m *Module) Place(ctx context.Context, tx *db.Tx, p ordersapi.Placement, own bool) (ordersapi.OrderView, error) {
	o, err := agreed(p)
	if err != nil {
		return ordersapi.OrderView{}, err
	}
	if err := allowed(ctx, tx, o.CustomerID); err != nil {
		return ordersapi.OrderView{}, err
	}
	o.CreatedAt, o.UpdatedAt = tx.Now, tx.Now
	o.owe()
	if err := m.svc.store.insertPlacement(ctx, tx, o, p); err != nil {
		return ordersapi.OrderView{}, err
	}
	if err := m.svc.paying.see(ctx, tx); err != nil {
		return ordersapi.OrderView{}, err
	}
	tx.AfterCommit(func() { m.svc.daily.accepted(ctx) })
	return seen(ctx, o, own), m.svc.events.Publish(ctx, tx, ordersapi.OrderCreated{Order: fact(o), HoldID: p.HoldID})
}

// Order is an order that a cart became, for whom checkout has let see the cart. Who may not
// see people does not see them here either, unless it is their own.
func (m *Module) Order(ctx context.Context, id uuid.UUID, own bool) (ordersapi.OrderView, error) {
	o, err := m.svc.get(ctx, id)
	if err != nil {
		return ordersapi.OrderView{}, err
	}
	return seen(ctx, o, own), nil
}

func seen(ctx context.Context, o order, own bool) ordersapi.OrderView {
	if own {
		return present(o)
	}
	return shownTo(ctx, present(o))
}

// HasOrdered tells whether a buyer has an order already that did not come to nothing: under
// an id, or, of a guest, under an address.
func (m *Module) HasOrdered(ctx context.Context, customer, email string) (has bool, err error) {
	err = m.svc.db.Read(ctx, func(tx *db.Tx) error {
		has, err = m.svc.store.hasOrdered(ctx, tx, customer, email)
		return err
	})
	return has, err
}

// agreed is the order that a placement asks for.
func agreed(p ordersapi.Placement) (order, error) {
	o := order{
		Number: p.Number, CustomerID: p.CustomerID, Status: created, Currency: p.Currency, Total: p.Total,
		Email: p.Email, Address: p.ShippingAddress, Billing: p.BillingAddress, Metadata: p.Metadata, Ticket: p.Ticket, Version: 1,
		totals: totals{TaxIncluded: p.TaxIncluded, Subtotal: p.Subtotal, Discount: p.DiscountTotal, ShippingTotal: p.ShippingTotal, Tax: p.TaxTotal, Discounts: p.Discounts},
	}
	if o.Metadata == nil {
		o.Metadata = map[string]string{}
	}
	var err error
	if o.ID, err = uuid.Parse(p.OrderID); err != nil {
		return order{}, fmt.Errorf("id of an order: %w", err)
	}
	cart, err := uuid.Parse(p.CartID)
	if err != nil {
		return order{}, fmt.Errorf("cart of an order: %w", err)
	}
	o.CartID = &cart
	for _, l := range p.Lines {
		product, err := uuid.Parse(l.ProductID)
		if err != nil {
			return order{}, fmt.Errorf("product of %s: %w", l.SKU, err)
		}
		o.Lines = append(o.Lines, line{ProductID: product, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, Price: l.Price, Discount: l.Discount, Tax: l.Tax, Total: l.Total})
		if err := o.tax(l.Taxes); err != nil {
			return order{}, err
		}
	}
	if s := p.Shipping; s != nil {
		o.Shipping = &shipment{s.MethodID, s.Name, s.Discount, s.Tax, s.Total}
		if err := o.tax(s.Taxes); err != nil {
			return order{}, err
		}
	}
	return o, nil
}

// tax adds a line's taxes to those of the order, one a rate.
func (t *totals) tax(shares []ordersapi.TaxShare) error {
next:
	for _, s := range shares {
		for i, known := range t.Taxes {
			if known.RateID == s.RateID && known.Name == s.Name && known.Rate == s.Rate && known.Reason == s.Reason {
				sum, err := known.Amount.Add(s.Amount)
				if err != nil {
					return fmt.Errorf("add up taxes: %w", err)
				}
				t.Taxes[i].Amount = sum
				continue next
			}
		}
		t.Taxes = append(t.Taxes, s)
	}
	return nil
}

// reach is which order somebody may read: any, or one that is theirs.
type reach struct {
	all      bool
	customer string // whose, when not all; empty: nobody's
	ticket   []byte // of a guest
}

// shown is an order for who asks: staff, its customer, or who has its ticket.
func (s *service) shown(ctx context.Context, id uuid.UUID, ticket string) (o order, err error) {
	who, err := identity.From(ctx)
	if err != nil {
		return order{}, err
	}
	within := reach{all: who.Can(permissionRead), customer: who.Customer}
	if ticket != "" {
		within.ticket = hashOf(ticket)
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, err = s.store.findWithin(ctx, tx, id, within)
		return err
	})
	return o, err
}

func minorOf(amounts ...money.Amount) []any {
	minor := make([]any, len(amounts))
	for i, a := range amounts {
		minor[i] = a.Minor
	}
	return minor
}
