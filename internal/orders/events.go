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
// meanwhile stays cancelled; inventory hears of that by itself. One whose money came first is
// paid at once.
func (s *service) onReserved(ctx context.Context, tx *db.Tx, batch []event.Received[inventoryapi.Reserved]) error {
	moved, err := advance(ctx, tx, s, batch, created, confirmed, "",
		func(e inventoryapi.Reserved) string { return e.OrderID },
		func(o order) event.Event { return ordersapi.OrderConfirmed{Order: fact(o)} })
	if err != nil {
		return err
	}
	causes := map[string]event.Received[inventoryapi.Reserved]{}
	for _, r := range batch {
		causes[r.Fact.OrderID] = r
	}
	if err := s.holdDoubtful(ctx, tx, moved, func(o order, e event.Event) event.Event { return event.Because(causes[o.ID.String()], e) }); err != nil {
		return err
	}
	var due []string
	for _, o := range moved {
		if o.covered() {
			due = append(due, o.ID.String())
		}
	}
	if len(due) == 0 {
		return nil
	}
	settled, err := s.becomePaid(ctx, tx, due)
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(settled))
	for i, o := range settled {
		facts[i] = event.Because(causes[o.ID.String()], ordersapi.OrderPaid{Order: fact(o)})
	}
	return s.events.Publish(ctx, tx, facts...)
}

// becomePaid moves those of the orders on that are confirmed, and sees to it that somebody packs
// them.
func (s *service) becomePaid(ctx context.Context, tx *db.Tx, orders []string) ([]order, error) {
	settled, err := s.store.advance(ctx, tx, orders, confirmed, paid, "")
	if err != nil || len(settled) == 0 {
		return nil, err
	}
	return settled, s.packing.see(ctx, tx)
}

// onInsufficient fails the orders that cannot be held, and tells who bought.
func (s *service) onInsufficient(ctx context.Context, tx *db.Tx, batch []event.Received[inventoryapi.Insufficient]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.OrderID
	}
	may, err := s.notErased(ctx, tx, ids)
	if err != nil {
		return err
	}
	moved, err := advance(ctx, tx, s, batch, created, failed, outOfStock,
		func(e inventoryapi.Insufficient) string { return e.OrderID },
		func(o order) event.Event { return ordersapi.OrderFailed{Order: fact(o), Reason: outOfStock} })
	if err != nil {
		return err
	}
	return s.tellShort(ctx, tx, moved, may)
}

// advance moves orders to their next status, in three statements however many there
// are. Orders that are not in from any more are left alone: the event is late.
func advance[T any](ctx context.Context, tx *db.Tx, s *service, batch []event.Received[T], from, to status, reason string, orderOf func(T) string, announce func(order) event.Event) ([]order, error) {
	ids := make([]string, len(batch))
	causes := map[string]event.Received[T]{}
	for i, r := range batch {
		ids[i] = orderOf(r.Fact)
		if _, err := uuid.Parse(ids[i]); err != nil {
			return nil, err
		}
		causes[ids[i]] = r
	}
	moved, err := s.store.advance(ctx, tx, ids, from, to, reason)
	if err != nil {
		return nil, err
	}
	facts := make([]event.Event, len(moved))
	for i, o := range moved {
		facts[i] = event.Because(causes[o.ID.String()], announce(o))
	}
	return moved, s.events.Publish(ctx, tx, facts...)
}
