package orders

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

type service struct {
	db         *db.DB
	events     *event.Log
	mail       postbox
	customers  Customers // nil: they are elsewhere
	offers     Offers
	surcharges []Surcharges
	numbers    *numbers
	daily      *daily
	paying     *deadline
	packing    *deadline
	// refundUnshippable calls off what cannot be sent, instead of leaving it to somebody.
	refundUnshippable bool
	// holdAbove are the totals above which somebody looks at an order before it is sent.
	holdAbove []money.Amount
	store     store
}

// draft prices an order and gives it a number. It asks the catalog and therefore comes
// before the transaction: no other module is called while rows are locked.
func (s *service) draft(ctx context.Context, wants []want, t terms) (order, error) {
	skus := make([]string, len(wants))
	for i, w := range wants {
		skus[i] = w.SKU
	}
	offers, err := s.offers.Offers(ctx, skus)
	if err != nil {
		return order{}, fmt.Errorf("price order: %w", err)
	}
	o := order{ID: clock.NewID(), Status: created, Version: 1}
	if o.Lines, err = price(wants, offers, t); err != nil {
		return order{}, err
	}
	if o.Total, err = total(o.Lines); err != nil {
		return order{}, err
	}
	o.Currency, o.totals = o.Total.Currency, plain(o.Total)
	// The products may have kept prices in a currency that the shop has given up.
	if fields := tenant.CheckCurrency(ctx, wants[0].Pointer+"/sku", o.Currency); len(fields) > 0 {
		return order{}, httpx.ErrValidation(fields...)
	}
	o.Number, err = s.numbers.take(ctx)
	return o, err
}

// place accepts a priced order.
func (s *service) place(ctx context.Context, tx *db.Tx, o order) (order, error) {
	if err := allowed(ctx, tx, o.CustomerID); err != nil {
		return order{}, err
	}
	o.CreatedAt, o.UpdatedAt = tx.Now, tx.Now
	o.owe()
	if err := s.store.insert(ctx, tx, o); err != nil {
		return order{}, err
	}
	placed := ordersapi.OrderCreated{Order: fact(o)}
	if o.HoldID != nil {
		placed.HoldID = o.HoldID.String()
	}
	return o, s.events.Publish(ctx, tx, placed)
}

// allowed refuses an order of a customer who was erased. Guests have no account to erase, and
// other ids.
func allowed(ctx context.Context, tx *db.Tx, buyer string) error {
	if uuid.Validate(buyer) == nil {
		return erasure.Allow(ctx, tx, buyer)
	}
	return nil
}

func (s *service) cancel(ctx context.Context, tx *db.Tx, id uuid.UUID, only, reason string) (order, error) {
	o, err := s.cancelling(ctx, tx, id, only, reason)
	if err != nil {
		return order{}, err
	}
	return s.callOff(ctx, tx, o, reason)
}

// cancelling locks an order of which somebody calls off the whole or a part.
func (s *service) cancelling(ctx context.Context, tx *db.Tx, id uuid.UUID, only, reason string) (order, error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return order{}, err
	}
	if actor.Customer != "" { // who may write about themselves
		if err := erasure.Allow(ctx, tx, actor.Customer); err != nil {
			return order{}, err
		}
	}
	o, err := s.store.lock(ctx, tx, id, only)
	if err != nil {
		return order{}, err
	}
	audit.Before(ctx, present(o))
	if actor.Customer == "" { // what customers write may be about themselves
		audit.Because(ctx, reason)
	}
	return o, nil
}

func (s *service) callOff(ctx context.Context, tx *db.Tx, o order, reason string) (order, error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return order{}, err
	}
	changed, err := o.cancel(reason, tx.Now)
	if err != nil || !changed {
		return o, err
	}
	if err := s.store.save(ctx, tx, o, actor.Actor); err != nil {
		return order{}, err
	}
	off := ordersapi.OrderCancelled{Order: fact(o)}
	if actor.Customer == "" { // facts are for ever: see above
		off.Reason = reason
	}
	return o, s.events.Publish(ctx, tx, off)
}

func (s *service) get(ctx context.Context, id uuid.UUID) (o order, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, err = s.store.find(ctx, tx, id, "")
		return err
	})
	return o, err
}

func (s *service) list(ctx context.Context, f filter) (list []order, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		list, err = s.store.list(ctx, tx, f)
		return err
	})
	return list, err
}

func (s *service) timeline(ctx context.Context, id uuid.UUID, only string) (steps []step, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := s.store.find(ctx, tx, id, only); err != nil {
			return err
		}
		steps, err = s.store.timeline(ctx, tx, id)
		return err
	})
	return steps, err
}

func fact(o order) ordersapi.Order {
	f := ordersapi.Order{
		OrderID: o.ID.String(), Number: o.Number, CustomerID: o.CustomerID, Status: string(o.Status),
		Total: o.Total.Decimal(), Currency: string(o.Currency), Version: o.Version, CreatedAt: o.CreatedAt,
	}
	if o.CartID != nil {
		f.CartID, f.Subtotal, f.DiscountTotal = o.CartID.String(), o.Subtotal.Decimal(), o.Discount.Decimal()
		f.ShippingTotal, f.TaxTotal = o.ShippingTotal.Decimal(), o.Tax.Decimal()
	}
	for _, l := range o.Lines {
		f.Items = append(f.Items, ordersapi.Item{SKU: l.SKU, Quantity: l.Quantity, Price: l.Price.Decimal()})
	}
	return f
}
