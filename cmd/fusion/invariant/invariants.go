package invariant

import "slices"

// Stock are the invariants of what can be sold. They are cheap enough to be looked at all
// the time.
func Stock() []Invariant {
	return []Invariant{
		{Name: "stock is never promised twice", Schemas: []string{"inventory"}, SQL: `
			select format('%s at %s: %s on hand, %s reserved', sku, location, on_hand, reserved)
			from inventory.stock where reserved < 0 or reserved > on_hand`},
		{Name: "what is reserved is what orders and shoppers hold", Schemas: []string{"inventory"}, SQL: `
			with lines as (
				select l.tenant_id, l.location, l.sku, l.quantity - l.released - l.shipped quantity
				from inventory.reservation r join inventory.reservation_line l using (tenant_id, order_id) where r.status = 'held'
				union all
				select l.tenant_id, l.location, l.sku, l.quantity
				from inventory.hold h join inventory.hold_line l on l.tenant_id = h.tenant_id and l.hold_id = h.id where h.status = 'held'
			), held as (
				select tenant_id, location, sku, sum(quantity) quantity from lines group by tenant_id, location, sku
			)
			select format('%s at %s: %s reserved, orders and shoppers hold %s', sku, location, s.reserved, h.quantity)
			from inventory.stock s full join held h using (tenant_id, location, sku)
			where coalesce(s.reserved, 0) <> coalesce(h.quantity, 0)`},
		{Name: "stock is the sum of its movements", Schemas: []string{"inventory"}, SQL: `
			with moved as (
				select tenant_id, location, sku, sum(on_hand_delta) on_hand, sum(reserved_delta) reserved
				from inventory.movement group by tenant_id, location, sku
			)
			select format('%s at %s: %s on hand and %s reserved, movements make it %s and %s', sku, location, s.on_hand, s.reserved, m.on_hand, m.reserved)
			from inventory.stock s full join moved m using (tenant_id, location, sku)
			where (coalesce(s.on_hand, 0), coalesce(s.reserved, 0)) <> (coalesce(m.on_hand, 0), coalesce(m.reserved, 0))`},
	}
}

// Always are all of them: each compares what one transaction must have written together.
func Always() []Invariant {
	return slices.Concat(Stock(), campaigns(), discounts(), ordered(), money(), []Invariant{
		{Name: "a hold takes its stock once and ends at most once", Schemas: []string{"inventory"}, SQL: `
			with moved as (
				select tenant_id, hold_id, location, sku, sum(reserved_delta) quantity, count(*) filter (where kind = 'held') takes,
				       string_agg(kind, ' ' order by kind) filter (where kind <> 'held') ends
				from inventory.movement where hold_id is not null group by tenant_id, hold_id, location, sku
			), lines as (
				select l.*, h.status from inventory.hold_line l join inventory.hold h on h.tenant_id = l.tenant_id and h.id = l.hold_id
			)
			select format('hold %s, %s: %s of it are %s; movements take it %s times, end it as %s and leave %s', hold_id, sku, l.quantity, l.status, m.takes, m.ends, m.quantity)
			from lines l full join moved m using (tenant_id, hold_id, location, sku)
			where m.quantity is distinct from case l.status when 'held' then l.quantity else 0 end
			   or m.takes <> 1 or m.ends is distinct from nullif(l.status, 'held')`},
		{Name: "a line is held once and freed at most once", Schemas: []string{"inventory"}, SQL: `
			with moved as (
				select tenant_id, order_id, location, sku, sum(reserved_delta) quantity,
				       count(*) filter (where kind = 'reserved') holds, count(*) filter (where kind = 'released') releases
				from inventory.movement where order_id is not null group by tenant_id, order_id, location, sku
			), lines as (
				select l.*, r.status from inventory.reservation_line l join inventory.reservation r using (tenant_id, order_id)
			)
			select format('order %s, %s: line of %s is %s, movements hold %s in %s and free it %s times', order_id, sku, l.quantity, l.status, m.quantity, m.holds, m.releases)
			from lines l full join moved m using (tenant_id, order_id, location, sku)
			where m.quantity is distinct from case l.status when 'held' then l.quantity - l.released - l.shipped when 'released' then 0 end
			   or m.holds <> 1 or m.releases <> (l.status = 'released' and l.released + l.shipped < l.quantity)::int`},
		{Name: "a parcel leaves the stock once", Schemas: []string{"inventory"}, SQL: `
			with left_stock as (
				select tenant_id, order_id, location, sku, sum(-reserved_delta) reserved, sum(-on_hand_delta) units from inventory.movement where kind in ('shipped', 'came_back') group by tenant_id, order_id, location, sku
			)
			select format('order %s, %s: %s of the line have left, movements say %s of %s units', order_id, sku, l.shipped, m.reserved, m.units)
			from inventory.reservation_line l full join left_stock m using (tenant_id, order_id, location, sku)
			where coalesce(l.shipped, 0) <> coalesce(m.reserved, 0)`},
		{Name: "a stock decision and its facts are one", Schemas: []string{"inventory"}, SQL: `
			with decided as (
				select r.tenant_id, r.order_id, r.status, count(l.sku) lines, count(l.sku) filter (where l.released + l.shipped < l.quantity) rest
				from inventory.reservation r left join inventory.reservation_line l using (tenant_id, order_id)
				group by r.tenant_id, r.order_id, r.status
			), said as (
				select tenant_id, subject::uuid order_id,
				       count(*) filter (where type = 'inventory.reserved') reserved,
				       count(*) filter (where type = 'inventory.insufficient') insufficient,
				       count(*) filter (where type = 'inventory.released') released
				from platform.event where type in ('inventory.reserved', 'inventory.insufficient', 'inventory.released')
				group by tenant_id, subject
			)
			select format('order %s: %s with %s lines, facts say reserved %s, insufficient %s, released %s times', order_id, status, lines, reserved, insufficient, released)
			from decided d full join said f using (tenant_id, order_id)
			where status is null
			   or (coalesce(reserved, 0), coalesce(insufficient, 0), coalesce(released, 0)) <> case
				when status = 'held' and lines > 0 then (1::bigint, 0::bigint, 0::bigint)
				when status = 'refused' and lines = 0 then (0::bigint, 1::bigint, 0::bigint)
				when status = 'released' and lines > 0 then (1::bigint, 0::bigint, (rest > 0)::int::bigint)
				when status = 'released' then (0::bigint, 0::bigint, 0::bigint)
				else (-1::bigint, -1::bigint, -1::bigint) end`},
		{Name: "an order and its facts are one", Schemas: []string{"orders"}, SQL: `
			with said as (
				select tenant_id, subject::uuid id, count(*) facts, count(distinct sequence) versions, min(sequence) first,
				       count(*) filter (where type = 'order.created') created,
				       count(*) filter (where type in ('order.confirmed', 'order.failed')) decided,
				       (array_agg(type order by sequence desc, seq desc) filter (where type not in ('order.claimed', 'order.held', 'order.released', 'order.items_cancelled', 'order.edited')))[1] newest
				from platform.event where type like 'order.%' group by tenant_id, subject
			), silent as ( -- what payments, returns and shipments told is their fact, unless the order has moved
				select tenant_id, id, count(*) steps from (
					select tenant_id, order_id id, payment_status is not null or return_id is not null or shipment_id is not null and shipment_status is distinct from 'arrived_back' and status = lag(status) over (partition by tenant_id, order_id order by version) told
					from orders.timeline
				) t where told group by tenant_id, id
			)
			select format('order %s: version %s, %s; %s facts of %s versions, %s of them order.created, %s of its outcome, the newest %s',
			              id, o.version, o.status, f.facts, f.versions, f.created, f.decided, f.newest)
			from orders.orders o full join said f using (tenant_id, id) left join silent using (tenant_id, id)
			where o.version is distinct from f.facts + coalesce(silent.steps, 0) or f.versions <> f.facts or f.first <> 1
			   or f.created <> 1 or f.decided > 1 or f.newest is distinct from 'order.' || o.status
			   and (f.newest is distinct from 'order.parcel_back' or o.status not in ('paid', 'shipped', 'delivered', 'cancelled'))`},
		{Name: "an order and its returns are one", Schemas: []string{"orders"}, SQL: `
			with came as (
				select r.tenant_id, r.order_id, l.position, sum(l.quantity) filter (where r.status in ('requested', 'approved')) coming, sum(l.received) received
				from orders.return r join orders.return_line l on l.tenant_id = r.tenant_id and l.return_id = r.id group by r.tenant_id, r.order_id, l.position
			)
			select format('line %s of order %s: %s taken back, %s received, %s on their way, of %s that were shipped', position, order_id, l.taken_back, c.received, c.coming, l.shipped)
			from orders.line l left join came c using (tenant_id, order_id, position)
			where l.taken_back <> coalesce(c.received, 0) or coalesce(c.received, 0) + coalesce(c.coming, 0) > l.shipped
			union all
			select format('order %s: %s of it came back, and its returns say %s', o.id, o.returned_minor, r.refund)
			from orders.orders o left join (select tenant_id, order_id id, sum(refund_minor) refund from orders.return group by tenant_id, order_id) r using (tenant_id, id)
			where o.returned_minor <> coalesce(r.refund, 0)`},
		{Name: "a timeline tells every step of its order", Schemas: []string{"orders"}, SQL: `
			with told as (
				select tenant_id, order_id id, count(*) steps, max(version) last, (array_agg(status order by version desc))[1] status
				from orders.timeline group by tenant_id, order_id
			)
			select format('order %s: version %s, %s; %s steps up to %s, %s', id, o.version, o.status, t.steps, t.last, t.status)
			from orders.orders o full join told t using (tenant_id, id)
			where (o.version, o.version, o.status) is distinct from (t.steps, t.last, t.status)`},
		{Name: "no two orders have one number", Schemas: []string{"orders"}, SQL: `
			select format('number %s: %s orders', number, count(*)) from orders.orders group by tenant_id, number having count(*) > 1`},
		{Name: "the log is behind its sequence", SQL: `
			select format('event %s is there and the next one gets number %s', e.last, s.last_value + s.is_called::int)
			from platform.event_seq s, (select max(seq) last from platform.event) e where e.last >= s.last_value + s.is_called::int`},
		{Name: "an order's number is used up", Schemas: []string{"orders"}, SQL: `
			select format('number %s is taken and the next order gets %s', max(o.number), c.next)
			from orders.orders o left join orders.counter c using (tenant_id) group by tenant_id, c.next having max(o.number) >= coalesce(c.next, 0)`},
		{Name: "a merchant's rows are shown to nobody else", SQL: `
			select format('%s: row-level security is not forced', c.oid::regclass)
			from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and not (c.relrowsecurity and c.relforcerowsecurity)
			  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)`},
	})
}
