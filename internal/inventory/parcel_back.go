package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// notHandedOver is why there is more on hand.
const notHandedOver = "came back in a parcel that could not be handed over"

// unpacked is what of a parcel that came back can be sold again.
type unpacked struct {
	demand

	cause event.Received[ordersapi.ParcelBack]
}

// onParcelBack puts back on the shelf what came back in parcels that could not be handed over,
// once for a parcel. An order that still wants it holds it again. That a parcel has left may be
// heard later than that it is back: it leaves first.
func (s *service) onParcelBack(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ParcelBack]) error {
	gone, back := map[string]parcel{}, map[string]unpacked{}
	for _, r := range batch {
		var all, good []item
		for _, c := range r.Fact.Contents {
			all = append(all, item{c.SKU, c.Quantity})
			if c.Restocked > 0 {
				good = append(good, item{c.SKU, c.Restocked})
			}
		}
		gone[r.Fact.ShipmentID] = parcel{demand{r.Fact.OrderID, merge(all)}, r.Fact.ShipmentID}
		back[r.Fact.ShipmentID] = unpacked{demand{r.Fact.OrderID, merge(good)}, r}
	}
	return s.depart(ctx, tx, inOrder(gone), back)
}

// cameHome notes parcels that are back, and returns those that were not known to be.
func (store) cameHome(ctx context.Context, tx *db.Tx, back map[string]unpacked) (home []unpacked, err error) {
	if len(back) == 0 {
		return nil, nil
	}
	var noted []string
	if err := tx.Select(ctx, &noted, `
		with mine as materialized (
			select shipment_id from inventory.departure where shipment_id = any((select $1)::uuid[]) order by shipment_id for update
		)
		update inventory.departure d set back_at = $2 from mine where d.shipment_id = mine.shipment_id and d.back_at is null returning d.shipment_id::text`,
		db.Array(slices.Sorted(maps.Keys(back))), tx.Now); err != nil {
		return nil, fmt.Errorf("note what came back: %w", err)
	}
	for _, id := range slices.Sorted(slices.Values(noted)) {
		home = append(home, back[id])
	}
	return home, nil
}

// again is a quantity of a SKU that is on hand again for an order.
type again struct {
	ID       string `db:"id"`
	SKU      string `db:"sku"`
	Units    int64  `db:"units"`
	Reserved int64  `db:"reserved"`
}

// putBack writes what is on hand again. Of it an order holds what it still wants and holds nothing
// of: what was neither called off nor is on its way. Reservations and stock are locked.
func (s *service) putBack(ctx context.Context, tx *db.Tx, home []unpacked, levels map[string]*level) error {
	causes := map[string]event.Received[ordersapi.ParcelBack]{}
	var facts []event.Event
	for _, u := range home { // one by one: it is rare, and an order may have two of them
		var lines ledger
		for _, i := range u.Items {
			if levels[i.SKU] != nil {
				lines.add(demand{u.OrderID, []item{i}})
				causes[lines.ids[len(lines.ids)-1]] = u.cause
			}
		}
		if len(lines.ids) == 0 {
			continue
		}
		list, err := s.store.putBack(ctx, tx, lines)
		if err != nil {
			return err
		}
		for _, a := range list {
			l := levels[a.SKU]
			l.OnHand, l.Reserved = l.OnHand+a.Units, l.Reserved+a.Reserved
			l.Version++
			facts = append(facts, event.Because(causes[a.ID], inventoryapi.Adjusted{Level: fact(*l), Delta: a.Units, Reason: notHandedOver}))
		}
	}
	return s.events.Publish(ctx, tx, facts...)
}

func (store) putBack(ctx context.Context, tx *db.Tx, lines ledger) (list []again, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	if err := tx.Select(ctx, &list, `
		with now as materialized (
			select n.id, n.order_id, n.sku, n.units, coalesce(l.again, 0) again
			from unnest($3::uuid[], $4::uuid[], $5::text[], $6::bigint[]) n(id, order_id, sku, units) left join lateral (
				select greatest(0, greatest(0, l.quantity - greatest(l.called_off, l.released) - (l.shipped + l.beyond - n.units)) - (l.quantity - l.released - l.shipped)) again
				from inventory.reservation r join inventory.reservation_line l using (order_id)
				where r.order_id = n.order_id and r.status = 'held' and l.location = $1 and l.sku = n.sku
			) l on true
		), r as (
			update inventory.reservation_line l set shipped = l.shipped - n.again, beyond = l.beyond + n.again - n.units
			from now n where l.order_id = n.order_id and l.location = $1 and l.sku = n.sku
		), s as (
			update inventory.stock s set on_hand = s.on_hand + n.units, reserved = s.reserved + n.again, version = s.version + 1, updated_at = $2
			from now n where s.location = $1 and s.sku = n.sku
		), m as (
			insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, actor, created_at)
			select id, $1, sku, 'came_back', units, again, $7, order_id, $8, $2 from now
		)
		select id::text, sku, units, again reserved from now order by sku`,
		defaultLocation, tx.Now, db.Array(lines.ids), db.Array(lines.orders), db.Array(lines.skus), db.Array(lines.quantities), notHandedOver, id.Actor); err != nil {
		return nil, fmt.Errorf("put back what came back in a parcel: %w", err)
	}
	return list, nil
}
