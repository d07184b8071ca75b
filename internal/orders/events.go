package orders

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

const outOfStock = "insufficient_stock"

// onReserved confirms the orders whose stock is held. An order that was cancelled
// meanwhile stays cancelled; inventory hears of that by itself.
func (s *service) onReserved(ctx context.Context, tx *db.Tx, batch []event.Received[inventoryapi.Reserved]) error {
	return advance(ctx, tx, s, batch, created, confirmed, "",
		func(e inventoryapi.Reserved) string { return e.OrderID },
		func(o order) event.Event { return ordersapi.OrderConfirmed{Order: fact(o)} })
}

// onInsufficient fails the orders that cannot be held.
func (s *service) onInsufficient(ctx context.Context, tx *db.Tx, batch []event.Received[inventoryapi.Insufficient]) error {
	return advance(ctx, tx, s, batch, created, failed, outOfStock,
		func(e inventoryapi.Insufficient) string { return e.OrderID },
		func(o order) event.Event { return ordersapi.OrderFailed{Order: fact(o), Reason: outOfStock} })
}

// advance moves orders to their next status, in three statements however many there
// are. Orders that are not in from any more are left alone: the event is late.
func advance[T any](ctx context.Context, tx *db.Tx, s *service, batch []event.Received[T], from, to status, reason string, orderOf func(T) string, announce func(order) event.Event) error {
	ids := make([]string, len(batch))
	causes := map[string]event.Received[T]{}
	for i, r := range batch {
		ids[i] = orderOf(r.Fact)
		if _, err := uuid.Parse(ids[i]); err != nil {
			return err
		}
		causes[ids[i]] = r
	}
	moved, err := s.store.advance(ctx, tx, ids, from, to, reason)
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(moved))
	for i, o := range moved {
		facts[i] = event.Because(causes[o.ID.String()], announce(o))
	}
	return s.events.Publish(ctx, tx, facts...)
}
