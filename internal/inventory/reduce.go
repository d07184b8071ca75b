package inventory

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// lessened is what of a SKU was called off of an order: in all, or, where a fact does not say
// that, so much more.
type lessened struct{ inAll, more int64 }

// onItemsCancelled frees what was held for the parts of orders that were called off. What was
// called off in all counts, so that it is freed once however often it is told. An order that holds
// nothing any more has freed all of it already.
func (s *service) onItemsCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ItemsCancelled]) error {
	off := map[promise]lessened{}
	causes := map[string]event.Received[ordersapi.ItemsCancelled]{}
	for _, r := range batch {
		for _, c := range r.Fact.CalledOff {
			of := promise{r.Fact.OrderID, c.SKU}
			off[of] = lessened{max(off[of].inAll, c.Quantity), off[of].more}
		}
		if len(r.Fact.CalledOff) == 0 {
			for _, c := range r.Fact.Cancelled {
				of := promise{r.Fact.OrderID, c.SKU}
				off[of] = lessened{off[of].inAll, off[of].more + c.Quantity}
			}
		}
		causes[r.Fact.OrderID] = r
	}
	freed, err := s.store.reduce(ctx, tx, off)
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(freed))
	for i, d := range freed {
		facts[i] = event.Because(causes[d.OrderID], inventoryapi.Reduced{OrderID: d.OrderID, Status: "reduced", Items: published(d.Items)})
	}
	return s.events.Publish(ctx, tx, facts...)
}

// reduce frees a part of what orders hold and tells of which orders that was. A parcel that was
// given up and used all the same has taken what is called off: that is freed when it comes back.
// Reservations are locked before stock, both in order.
func (s store) reduce(ctx context.Context, tx *db.Tx, off map[promise]lessened) (freed []demand, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	var orders, skus []string
	var inAll, more []int64
	for of, c := range off {
		orders, skus, inAll, more = append(orders, of.order), append(skus, of.sku), append(inAll, c.inAll), append(more, c.more)
	}
	if _, err := s.lockRest(ctx, tx, orders); err != nil {
		return nil, err
	}
	var rows []struct {
		OrderID  string `db:"order_id"`
		SKU      string `db:"sku"`
		Quantity int64  `db:"quantity"`
	}
	if err := tx.Select(ctx, &rows, `
		with off as materialized (
			select l.order_id, l.location, l.sku, l.quantity - l.released - l.shipped held, l.quantity - l.shipped - l.beyond unsent, greatest(l.called_off, l.released, n.in_all) + n.more in_all
			from unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[]) n(order_id, sku, in_all, more)
			join inventory.reservation r on r.order_id = n.order_id and r.status = 'held'
			join inventory.reservation_line l on l.order_id = n.order_id and l.sku = n.sku and l.location = $1
		), freed as (
			select *, greatest(0, held - greatest(0, unsent - in_all)) quantity from off
		), kept as (
			update inventory.reservation_line l set called_off = f.in_all, released = l.released + f.quantity from freed f where l.order_id = f.order_id and l.location = f.location and l.sku = f.sku
		)
		select order_id::text, sku, quantity from freed where quantity > 0 order by order_id, sku`,
		defaultLocation, db.Array(orders), db.Array(skus), db.Array(inAll), db.Array(more)); err != nil {
		return nil, fmt.Errorf("read what is called off: %w", err)
	}
	var lines ledger
	for _, r := range rows {
		if len(freed) == 0 || freed[len(freed)-1].OrderID != r.OrderID {
			freed = append(freed, demand{OrderID: r.OrderID})
		}
		d := &freed[len(freed)-1]
		d.Items = append(d.Items, item{r.SKU, r.Quantity})
	}
	for _, d := range freed {
		lines.add(d)
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
