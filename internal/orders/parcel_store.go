package orders

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// report keeps what shipments told last and returns what of it is news. The orders are locked,
// in the order of their ids.
func (store) report(ctx context.Context, tx *db.Tx, latest map[uuid.UUID]report) ([]report, error) {
	n := len(latest)
	orders, shipments, directions, states := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	carriers, trackings, versions := make([]string, 0, n), make([]string, 0, n), make([]int64, 0, n)
	for _, id := range slices.SortedFunc(maps.Keys(latest), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
		r := latest[id]
		direction := "outbound"
		if r.inbound {
			direction = "return"
		}
		orders, shipments, directions, states = append(orders, r.order.String()), append(shipments, id.String()), append(directions, direction), append(states, string(r.status))
		carriers, trackings, versions = append(carriers, r.carrier), append(trackings, r.tracking), append(versions, r.version)
	}
	var told []uuid.UUID
	if err := tx.Select(ctx, &told, db.Keep+`
		with ours as materialized (
			select id from orders.orders where id = any((select $1)::uuid[]) order by id for update
		), told as (
			insert into orders.shipment as old (order_id, shipment_id, direction, status, carrier, tracking_number, version, updated_at)
			select n.order_id, n.shipment_id, n.direction, n.status, n.carrier, n.tracking, n.version, $8
			from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
			     n(order_id, shipment_id, direction, status, carrier, tracking, version) join ours on ours.id = n.order_id
			on conflict (tenant_id, order_id, shipment_id) do update
			set status = case when old.retaken and excluded.status = 'failed' then old.status else excluded.status end, retaken = false,
			    carrier = excluded.carrier, tracking_number = excluded.tracking_number, version = excluded.version, updated_at = excluded.updated_at
			where old.version < excluded.version
			returning shipment_id
		)
		select shipment_id from told order by shipment_id`,
		db.Array(orders), db.Array(shipments), db.Array(directions), db.Array(states), db.Array(carriers), db.Array(trackings), db.Array(versions), tx.Now); err != nil {
		return nil, fmt.Errorf("keep what shipments told: %w", err)
	}
	news := make([]report, len(told))
	for i, id := range told {
		news[i] = latest[id]
	}
	return news, nil
}

// count derives anew from the shipments of orders how far their lines are.
func (store) count(ctx context.Context, tx *db.Tx, orders []string) error {
	if _, err := tx.Exec(ctx, db.Keep+`
		with told as (
			-- a parcel that was given up and is used all the same may have more than is left of the order
			select l.order_id, l.position, least(l.quantity - l.cancelled, coalesce(sum(p.quantity) filter (where s.back_at is null and s.status not in ('failed', 'voided')), 0)) consigned,
			       least(l.quantity - l.cancelled, coalesce(sum(p.quantity) filter (where s.back_at is null and s.status in ('shipped', 'exception', 'delivered', 'returned')), 0)) shipped,
			       least(l.quantity - l.cancelled, coalesce(sum(p.quantity) filter (where s.back_at is null and s.status = 'delivered'), 0)) delivered,
			       least(l.quantity - l.cancelled, coalesce(sum(p.quantity) filter (where s.back_at is null and s.status = 'returned'), 0)) returned
			from orders.line l left join orders.shipment_line p on p.order_id = l.order_id and p.position = l.position
			     left join orders.shipment s on s.order_id = p.order_id and s.shipment_id = p.shipment_id
			where l.order_id = any((select $1)::uuid[]) group by l.order_id, l.position, l.quantity, l.cancelled
		)
		update orders.line l set consigned = t.consigned, shipped = t.shipped, delivered = t.delivered, returned = t.returned
		from told t where l.order_id = t.order_id and l.position = t.position
		and (l.consigned, l.shipped, l.delivered, l.returned) is distinct from (t.consigned, t.shipped, t.delivered, t.returned)`, db.Array(orders)); err != nil {
		return fmt.Errorf("count what was shipped: %w", err)
	}
	return nil
}

// these are orders that this transaction has locked.
func (s store) these(ctx context.Context, tx *db.Tx, ids []string) ([]order, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, db.Keep+`select `+orderColumns+` from orders.orders where id = any((select $1)::uuid[]) order by id`, db.Array(ids)); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return s.withLines(ctx, tx, rows)
}

// waiting says which of the orders wait for somebody, and why: a parcel has left of what was called
// off, or came back, or could not be sent. The first news of a parcel that has left says that it
// was called off; later news of it leave that to who has looked at it.
func (store) waiting(ctx context.Context, tx *db.Tx, orders []string) (map[uuid.UUID]string, error) {
	var rows []struct {
		ID  uuid.UUID `db:"id"`
		Why string    `db:"why"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`
		with sent as (
			select s.order_id, s.shipment_id from orders.shipment s
			where s.order_id = any((select $1)::uuid[]) and s.direction = 'outbound' and s.back_at is null and s.status in ('shipped', 'exception', 'delivered', 'returned')
		), strayed as (
			select o.id from orders.orders o join sent s on s.order_id = o.id
			where not exists (select from orders.timeline t where t.order_id = o.id and t.shipment_id = s.shipment_id and t.shipment_status in ('shipped', 'exception', 'delivered', 'returned'))
			and (o.status = 'cancelled' or exists (
				select from orders.shipment_line mine join orders.line l on l.order_id = o.id and l.position = mine.position
				where mine.order_id = o.id and mine.shipment_id = s.shipment_id and l.cancelled > 0 and l.quantity - l.cancelled <
					(select sum(p.quantity) from orders.shipment_line p join sent on sent.order_id = p.order_id and sent.shipment_id = p.shipment_id where p.order_id = o.id and p.position = l.position)))
		)
		select o.id, case
			when o.id in (select id from strayed) or o.held_for = $2 and exists (select from sent where sent.order_id = o.id) then $2
			when exists (select from orders.shipment s where s.order_id = o.id and s.back_at is not null) then $3
			else $4 end why
		from orders.orders o where o.id = any((select $1)::uuid[]) and (
			o.id in (select id from strayed) or o.held_for = $2 and exists (select from sent where sent.order_id = o.id)
			or o.status = 'paid'
			and exists (select from orders.shipment s where s.order_id = o.id and s.direction = 'outbound' and (s.status = 'failed' or s.back_at is not null))
			and exists (select from orders.line l where l.order_id = o.id and l.quantity - l.cancelled > l.consigned))`, db.Array(orders), leftAfterCancel, parcelBack, labelFailed); err != nil {
		return nil, fmt.Errorf("find what waits for somebody: %w", err)
	}
	held := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		held[r.ID] = r.Why
	}
	return held, nil
}

// journeyStep is a step of an order that one of its shipments made.
type journeyStep struct {
	order       uuid.UUID
	version     int64
	status      status
	fulfillment fulfillmentStatus
	changed     bool // what the order's fulfillment is
	heldFor     string
	shipment    uuid.UUID
	told        parcelStatus
}

// saveJourney writes how far orders are, with the steps that brought them there. Of each order
// the last step is how it is.
func (store) saveJourney(ctx context.Context, tx *db.Tx, steps []journeyStep, actor string) error {
	n := len(steps)
	orders, states, progress, shipments, told, held := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	versions, changed := make([]int64, n), make([]bool, n)
	for i, st := range steps {
		orders[i], versions[i], states[i], progress[i], changed[i] = st.order.String(), st.version, string(st.status), string(st.fulfillment), st.changed
		shipments[i], told[i], held[i] = st.shipment.String(), string(st.told), st.heldFor
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with steps as materialized (
			select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::uuid[], $7::text[], $10::text[]) n(id, version, status, fulfillment, changed, shipment, told, held)
		), o as (
			update orders.orders o set status = n.status, fulfillment_status = n.fulfillment, held_for = nullif(n.held, ''), version = n.version, updated_at = $8
			from (select distinct on (id) * from steps order by id, version desc) n where o.id = n.id
		)
		insert into orders.timeline (order_id, version, status, fulfillment_status, shipment_id, shipment_status, reason, actor, at)
		select id, version, status, case when changed then fulfillment end, shipment, told, case when held = $11 then held end, $9, $8 from steps`,
		db.Array(orders), db.Array(versions), db.Array(states), db.Array(progress), db.Array(changed), db.Array(shipments), db.Array(told), tx.Now, actor, db.Array(held), leftAfterCancel); err != nil {
		return fmt.Errorf("save how far orders are: %w", err)
	}
	return nil
}
