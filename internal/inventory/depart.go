package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// listenToShipping takes what has left out of the stock. Whatever tells first that a parcel is
// on its way does: the others come later, or never.
func (m *Module) listenToShipping(bus *event.Bus) {
	event.OnBatch(bus, "inventory.take-shipped", depart(m.svc, func(e shippingapi.ShipmentShipped) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "inventory.take-excepted", depart(m.svc, func(e shippingapi.ShipmentException) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "inventory.take-delivered", depart(m.svc, func(e shippingapi.ShipmentDelivered) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "inventory.take-returned", depart(m.svc, func(e shippingapi.ShipmentReturned) shippingapi.Shipment { return e.Shipment }))
}

// parcel is what has left of an order.
type parcel struct {
	demand

	ID string
}

func depart[T any](s *service, of func(T) shippingapi.Shipment) func(context.Context, *db.Tx, []event.Received[T]) error {
	return func(ctx context.Context, tx *db.Tx, batch []event.Received[T]) error {
		gone := map[string]parcel{}
		for _, r := range batch {
			f := of(r.Fact)
			if f.Direction == shippingapi.Return {
				continue
			}
			if err := uuid.Validate(f.OrderID); err != nil {
				return fmt.Errorf("order of a shipment: %w", err)
			}
			items := make([]item, len(f.Items))
			for i, it := range f.Items {
				items[i] = item{it.SKU, it.Quantity}
			}
			gone[f.ShipmentID] = parcel{demand{f.OrderID, merge(items)}, f.ShipmentID}
		}
		return s.depart(ctx, tx, inOrder(gone), nil)
	}
}

func inOrder(parcels map[string]parcel) []parcel {
	return slices.SortedFunc(maps.Values(parcels), func(a, b parcel) int { return strings.Compare(a.ID, b.ID) })
}

// taken is what leaves the stock with a line of a parcel.
type taken struct {
	order, sku string
	units      int64 // of what is on hand
	reserved   int64 // of them, of what the order held
	missing    int64 // what left and is not there to be taken
	beyond     int64 // what left and the order did not hold
}

// depart takes parcels out of the stock, each once. A parcel has what its order holds; one that
// was given up and is used all the same has left too, and what is in it that the order does not
// hold any more is taken from what nobody was promised. Of those of them that are back, what can be
// sold again is on hand afterwards, once. Parcels are locked before reservations before stock, each
// in order.
func (s *service) depart(ctx context.Context, tx *db.Tx, parcels []parcel, back map[string]unpacked) error {
	fresh, err := s.store.departed(ctx, tx, parcels)
	if err != nil {
		return err
	}
	home, err := s.store.cameHome(ctx, tx, back)
	if err != nil || len(fresh)+len(home) == 0 {
		return err
	}
	var orders []string
	skus := map[string]bool{}
	for _, p := range fresh {
		orders = append(orders, p.OrderID)
		for _, i := range p.Items {
			skus[i.SKU] = true
		}
	}
	for _, u := range home {
		orders = append(orders, u.OrderID)
		for _, i := range u.Items {
			skus[i.SKU] = true
		}
	}
	rest, err := s.store.lockRest(ctx, tx, orders)
	if err != nil {
		return err
	}
	levels, err := s.store.lockAll(ctx, tx, slices.Sorted(maps.Keys(skus)))
	if err != nil {
		return err
	}
	var list []taken
	for _, p := range fresh {
		for _, i := range p.Items {
			l, known := levels[i.SKU]
			if !known {
				continue
			}
			list = append(list, l.take(rest, p.OrderID, i))
		}
	}
	seen := map[string]bool{}
	for _, t := range list {
		if t.units > 0 && !seen[t.sku] {
			seen[t.sku] = true
			levels[t.sku].Version++ // as it is written below
		}
		if t.missing > 0 {
			s.log.WarnContext(ctx, "more has left than was there: count the stock", "order", t.order, "sku", t.sku, "missing", t.missing)
		}
	}
	if err := s.store.take(ctx, tx, list); err != nil {
		return err
	}
	return s.putBack(ctx, tx, home, levels)
}

// promise is what an order holds of a SKU.
type promise struct{ order, sku string }

// take moves what has left out of the level and out of what the order holds.
func (l *level) take(rest map[promise]int64, order string, i item) taken {
	t := taken{order: order, sku: i.SKU}
	of := promise{order, i.SKU}
	t.reserved = min(i.Quantity, rest[of])
	rest[of] -= t.reserved
	l.OnHand, l.Reserved = l.OnHand-t.reserved, l.Reserved-t.reserved
	extra := min(i.Quantity-t.reserved, l.available())
	l.OnHand -= extra
	t.units, t.missing, t.beyond = t.reserved+extra, i.Quantity-t.reserved-extra, i.Quantity-t.reserved
	return t
}

// departed notes parcels that have left and returns those that were not known to have.
func (store) departed(ctx context.Context, tx *db.Tx, parcels []parcel) (fresh []parcel, err error) {
	ids, orders := make([]string, len(parcels)), make([]string, len(parcels))
	for i, p := range parcels {
		ids[i], orders[i] = p.ID, p.OrderID
	}
	var noted []string
	if err := tx.Select(ctx, &noted, db.Keep+`
		insert into inventory.departure (shipment_id, order_id, created_at)
		select n.id, n.order_id, $3 from unnest($1::uuid[], $2::uuid[]) n(id, order_id) order by n.id
		on conflict do nothing returning shipment_id::text`, db.Array(ids), db.Array(orders), tx.Now); err != nil {
		return nil, fmt.Errorf("note what has left: %w", err)
	}
	return slices.DeleteFunc(parcels, func(p parcel) bool { return !slices.Contains(noted, p.ID) }), nil
}

// lockRest locks the reservations of orders and returns what is left of each line.
func (store) lockRest(ctx context.Context, tx *db.Tx, orders []string) (map[promise]int64, error) {
	var rows []struct {
		OrderID string `db:"order_id"`
		SKU     string `db:"sku"`
		Rest    int64  `db:"rest"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`
		with held as materialized (
			select order_id from inventory.reservation where order_id = any((select $1)::uuid[]) and status = 'held' order by order_id for update
		)
		select l.order_id::text, l.sku, l.quantity - l.released - l.shipped rest
		from held join inventory.reservation_line l using (order_id) where l.location = $2`, db.Array(orders), defaultLocation); err != nil {
		return nil, fmt.Errorf("read what orders hold: %w", err)
	}
	rest := make(map[promise]int64, len(rows))
	for _, r := range rows {
		rest[promise{r.OrderID, r.SKU}] = r.Rest
	}
	return rest, nil
}

// take writes what has left.
func (store) take(ctx context.Context, tx *db.Tx, list []taken) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	var ids, orders, skus []string
	var units, reserved, beyond []int64
	for _, t := range list {
		ids, orders, skus = append(ids, clock.NewID().String()), append(orders, t.order), append(skus, t.sku)
		units, reserved, beyond = append(units, t.units), append(reserved, t.reserved), append(beyond, t.beyond)
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with gone as materialized (
			select * from unnest($3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $9::bigint[]) g(id, order_id, sku, units, reserved, beyond)
		), r as (
			update inventory.reservation_line l set shipped = l.shipped + n.reserved, beyond = l.beyond + n.beyond
			from (select order_id, sku, sum(reserved)::bigint reserved, sum(beyond)::bigint beyond from gone group by order_id, sku) n
			where l.order_id = n.order_id and l.location = $1 and l.sku = n.sku
		), s as (
			update inventory.stock s set on_hand = s.on_hand - d.units, reserved = s.reserved - d.reserved, version = s.version + 1, updated_at = $2
			from (select sku, sum(units)::bigint units, sum(reserved)::bigint reserved from gone group by sku having sum(units) > 0) d where s.location = $1 and s.sku = d.sku
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, actor, created_at)
		select id, $1, sku, 'shipped', -units, -reserved, 'left in a parcel', order_id, $8, $2 from gone where units > 0`,
		defaultLocation, tx.Now, db.Array(ids), db.Array(orders), db.Array(skus), db.Array(units), db.Array(reserved), id.Actor, db.Array(beyond)); err != nil {
		return fmt.Errorf("take what has left out of the stock: %w", err)
	}
	return nil
}
