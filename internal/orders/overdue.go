package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// overdue is why an order waits for somebody that is paid, and that nobody has packed in time.
const overdue = "overdue"

// sweepOverdue is the timer after which orders that were paid in a quarter of an hour have waited
// for long enough.
const sweepOverdue = "orders.sweep-overdue"

// onOverdue says of orders that nobody packs that somebody should. Whatever happens to one next
// ends that. When there are many it comes again.
func (s *service) onOverdue(ctx context.Context, tx *db.Tx, subject string) error {
	if s.packing.after == 0 { // somebody has done away with it since
		return nil
	}
	found, err := s.store.markOverdue(ctx, tx, tx.Now.Add(-s.packing.after))
	if err == nil {
		s.packing.again(tx, subject, found)
	}
	return err
}

// markOverdue marks orders to which nothing has happened since then, the longest first, and returns
// how many there were. Whoever has one locked does something to it.
func (store) markOverdue(ctx context.Context, tx *db.Tx, since time.Time) (found int, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return 0, err
	}
	if err := tx.Get(ctx, &found, `
		with late as materialized (
			select o.id from orders.orders o
			where o.status = 'paid' and o.held_for is null and o.hold is null and o.updated_at < $1
			and exists (select from orders.line l where l.order_id = o.id and l.quantity - l.cancelled > l.consigned)
			order by o.updated_at limit $2 for update of o skip locked
		), marked as (
			update orders.orders o set held_for = $3, version = o.version + 1, updated_at = $4 from late where o.id = late.id returning o.id, o.version, o.status
		), steps as (
			insert into orders.timeline (order_id, version, status, reason, actor, at) select id, version, status, $3, $5, $4 from marked
		)
		select count(*) from marked`, since, sweepSize, overdue, tx.Now, id.Actor); err != nil {
		return 0, fmt.Errorf("mark overdue orders: %w", err)
	}
	return found, nil
}
