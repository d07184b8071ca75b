package inventory

import (
	"context"
	"fmt"
	"slices"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// onItemsCancelled frees what was held for the parts of orders that were called off. An order
// that holds nothing any more has freed all of it already.
func (s *service) onItemsCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ItemsCancelled]) error {
	off := map[string][]item{}
	causes := map[string]event.Received[ordersapi.ItemsCancelled]{}
	for _, r := range batch {
		for _, c := range r.Fact.Cancelled {
			off[r.Fact.OrderID] = append(off[r.Fact.OrderID], item{c.SKU, c.Quantity})
		}
		causes[r.Fact.OrderID] = r
	}
	list := make([]demand, 0, len(off))
	for id, items := range off {
		list = append(list, demand{id, merge(items)})
	}
	slices.SortFunc(list, func(a, b demand) int { return slices.Compare([]byte(a.OrderID), []byte(b.OrderID)) })
	freed, err := s.store.reduce(ctx, tx, list)
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(freed))
	for i, d := range freed {
		facts[i] = event.Because(causes[d.OrderID], inventoryapi.Reduced{OrderID: d.OrderID, Status: "reduced", Items: published(d.Items)})
	}
	return s.events.Publish(ctx, tx, facts...)
}

// reduce frees a part of what orders hold and tells of which orders that was. Reservations are
// locked before stock, both in order.
func (s store) reduce(ctx context.Context, tx *db.Tx, list []demand) (freed []demand, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.OrderID
	}
	rest, err := s.lockRest(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var lines ledger
	for _, d := range list {
		// A parcel that was given up and used all the same has taken what is called off.
		for i := range d.Items {
			d.Items[i].Quantity = min(d.Items[i].Quantity, rest[promise{d.OrderID, d.Items[i].SKU}])
		}
		if d.Items = slices.DeleteFunc(d.Items, func(i item) bool { return i.Quantity == 0 }); len(d.Items) > 0 {
			lines.add(d)
			freed = append(freed, d)
		}
	}
	if len(freed) == 0 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, `select from inventory.stock where location = $1 and sku = any($2) order by sku for update`, defaultLocation, db.Array(lines.skus)); err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		with lines as (
			select * from unnest($3::uuid[], $4::uuid[], $5::text[], $6::bigint[]) l(id, order_id, sku, quantity)
		), r as (
			update inventory.reservation_line l set released = l.released + n.quantity from lines n where l.order_id = n.order_id and l.location = $1 and l.sku = n.sku
		), s as (
			update inventory.stock s set reserved = s.reserved - d.quantity, version = s.version + 1, updated_at = $2
			from (select sku, sum(quantity)::bigint quantity from lines group by sku) d where s.location = $1 and s.sku = d.sku
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, actor, created_at)
		select id, $1, sku, 'reduced', 0, -quantity, 'part of the order called off', order_id, $7, $2 from lines`,
		defaultLocation, tx.Now, db.Array(lines.ids), db.Array(lines.orders), db.Array(lines.skus), db.Array(lines.quantities), id.Actor); err != nil {
		return nil, fmt.Errorf("free a part of what is held: %w", err)
	}
	return freed, nil
}
