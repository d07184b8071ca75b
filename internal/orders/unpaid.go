package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// leftUnpaid is why an order is cancelled that nobody paid.
const leftUnpaid = "unpaid"

// sweepUnpaid is the timer after which orders of a quarter of an hour have been unpaid for long
// enough. There is one for all of a shop.
const sweepUnpaid = "orders.sweep-unpaid"

// onUnpaid cancels the orders that nobody has paid in time. When there are many it comes again.
func (s *service) onUnpaid(ctx context.Context, tx *db.Tx, subject string) error {
	if s.paying.after == 0 { // somebody has done away with it since
		return nil
	}
	found, off, err := s.store.cancelUnpaid(ctx, tx, tx.Now.Add(-s.paying.after))
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(off))
	for i, o := range off {
		facts[i] = ordersapi.OrderCancelled{Order: fact(o), Reason: leftUnpaid}
	}
	s.paying.again(tx, subject, found)
	return s.events.Publish(ctx, tx, facts...)
}

// waiting says of an order o that a payment of it is going on, or came to nothing after $1 only:
// then the buyer may be looking for another card.
const waiting = `exists (select from orders.payment p where p.order_id = o.id and (p.status not in ('failed', 'cancelled') or p.updated_at >= $1))`

// cancelUnpaid cancels orders that were placed before then, the oldest first, and returns them.
// found is how many there were: what payments told of one since it was found, it tells under the
// lock of the order, and the second statement sees it.
func (s store) cancelUnpaid(ctx context.Context, tx *db.Tx, placed time.Time) (found int, off []order, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return 0, nil, err
	}
	const open = `o.cart_id is not null and o.payment_status = 'unpaid' and o.status in ('created', 'confirmed') and o.total_minor > 0`
	var ids []string
	if err := tx.Select(ctx, &ids, `
		select o.id::text from orders.orders o
		where o.id in (select o.id from orders.orders o where `+open+` and o.created_at < $1 and not `+waiting+` order by o.created_at limit $2) and `+open+`
		order by o.id for update of o`, placed, sweepSize); err != nil {
		return 0, nil, fmt.Errorf("find unpaid orders: %w", err)
	}
	if len(ids) == 0 {
		return 0, nil, nil
	}
	var rows []row
	if err := tx.Select(ctx, &rows, `
		with off as (
			update orders.orders o set status = $3, reason = $4, version = o.version + 1, updated_at = $5
			where o.id = any($2::uuid[]) and not `+waiting+` returning o.*
		), steps as (
			insert into orders.timeline (order_id, version, status, reason, actor, at) select id, version, status, reason, $6, updated_at from off
		)
		select `+orderColumns+` from off order by id`, placed, db.Array(ids), string(cancelled), leftUnpaid, tx.Now, id.Actor); err != nil {
		return 0, nil, fmt.Errorf("cancel unpaid orders: %w", err)
	}
	off, err = s.withLines(ctx, tx, rows)
	return len(ids), off, err
}
