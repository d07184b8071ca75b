package audit

import "github.com/fusioncommerce/fusion/cmd/fusion/invariant"

// Stock are the invariants of what can be sold. They hold at every moment, like Always,
// and are cheap enough to be looked at all the time.
func Stock() []Invariant { return known(invariant.Stock()) }

func known(list []invariant.Invariant) []Invariant {
	invariants := make([]Invariant, len(list))
	for n, i := range list {
		invariants[n] = Invariant{Name: i.Name, sql: i.SQL}
	}
	return invariants
}

// reached tells of each fact and consumer how often the one waits for the other and was
// handled by it. What a carrier brings may be under way and in neither.
const reached = `
	with due as (
		select e.tenant_id, e.seq, e.id, e.type, s.consumer, s.carried_after is not null carried
		from platform.event e join platform.subscription s on s.topic = e.type and s.part = 0
		where s.consumer not like 'relay.%'
	), waiting as (
		select consumer, seq, count(*) n from platform.delivery where consumer not like 'relay.%' group by consumer, seq
	), handled as (
		select tenant_id, consumer, event_id id, count(*) n from platform.inbox group by tenant_id, consumer, event_id
	), reached as (
		select consumer, d.type, id, d.carried, coalesce(w.n, 0) waits, coalesce(h.n, 0) handled
		from (due d left join waiting w using (consumer, seq)) full join handled h using (tenant_id, consumer, id)
	)`

// OnTheWay selects the facts that a carrier has still to bring to one of the consumers.
const OnTheWay = reached + ` select from reached where waits + handled = 0 and carried`

// Always are the invariants that hold at every moment, whoever has been killed and
// whatever waits: those of every shop, and those of a young one whose customers name their
// keys.
func Always() []Invariant {
	return append(append(known(invariant.Always()), holds()...), []Invariant{
		{Name: "one key is one order", sql: `
			select format('key %s: %s orders', metadata->>'key', count(*)) from orders.orders
			where metadata ? 'key' group by tenant_id, metadata->>'key' having count(*) > 1`},
		{Name: "an order and its kept answer are one", sql: `
			with answers as (
				select tenant_id, key, status, convert_from(body, 'UTF8')::jsonb->>'id' id
				from platform.idempotency where scope like '% POST /v1/orders'
			)
			select format('key %s: order %s, kept answer %s with %s', coalesce(a.key, o.metadata->>'key'), o.id, a.status, a.id)
			from (select * from orders.orders where metadata ? 'key') o
			full join answers a on a.tenant_id = o.tenant_id and a.key = o.metadata->>'key'
			where o.id::text is distinct from a.id or a.status <> 201`},
		{Name: "a fact reaches each consumer once", sql: reached + `
			select format('%s: %s %s waits %s times and was handled %s times', consumer, type, id, waits, handled) from reached
			where waits + handled > 1 or type is null or waits + handled = 0 and not carried
			union all
			select format('%s: delivery %s of no fact', w.consumer, w.seq) from waiting w
			where not exists (select from due d where d.consumer = w.consumer and d.seq = w.seq)`},
	}...)
}

// Settled are the invariants of a shop that has finished its work. They come on top of
// Always.
func Settled() []Invariant {
	return append(settledCampaigns(), []Invariant{
		{Name: "every order has ended", sql: `
			select format('order %s is %s', id, status) from orders.orders where status not in ('confirmed', 'paid', 'shipped', 'delivered', 'failed', 'cancelled')`},
		{Name: "every order has heard of its money", sql: `
			with booked as (
				select t.tenant_id, t.order_id id, coalesce(sum(-e.amount_minor) filter (where t.kind = 'capture' and e.account = 'sales'), 0) captured,
				       coalesce(sum(-e.amount_minor) filter (where t.kind in ('refund.paid', 'refund.returned') and e.account = 'clearing'), 0) refunded
				from payments.ledger_transaction t join payments.ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id group by t.tenant_id, t.order_id
			)
			select format('order %s: captured %s, refunded %s; the ledger says %s and %s', id, o.captured_minor, o.refunded_minor, b.captured, b.refunded)
			from orders.orders o full join booked b using (tenant_id, id)
			where (o.captured_minor, o.refunded_minor) is distinct from (coalesce(b.captured, 0), coalesce(b.refunded, 0))`},
		{Name: "the carrier has brought every fact", sql: reached + `
			select format('%s has not heard of %s %s', consumer, type, id) from reached where waits + handled = 0 and carried`},
		{Name: "nothing is left to deliver", sql: `
			select format('%s: event %s, %s failures, parked %s: %s', consumer, seq, attempts, parked_at, last_error) from platform.delivery`},
		{Name: "confirmed orders hold their items, others nothing", sql: `
			with held as (
				select r.tenant_id, r.order_id id, r.status, jsonb_object_agg(l.sku, l.quantity - l.released) filter (where l.sku is not null) items
				from inventory.reservation r left join inventory.reservation_line l using (tenant_id, order_id)
				group by r.tenant_id, r.order_id, r.status
			), bought as (
				select tenant_id, order_id id, jsonb_object_agg(sku, quantity) items
				from (select tenant_id, order_id, sku, sum(quantity - cancelled) quantity from orders.line group by tenant_id, order_id, sku) merged
				group by tenant_id, order_id
			)
			select format('order %s is %s and wants %s; its reservation is %s with %s', id, o.status, b.items, h.status, h.items)
			from orders.orders o left join bought b using (tenant_id, id) full join held h using (tenant_id, id)
			where case o.status
				when 'confirmed' then h.status is distinct from 'held' or h.items is distinct from b.items
				when 'paid' then h.status is distinct from 'held' or h.items is distinct from b.items
				when 'shipped' then h.status is distinct from 'held' or h.items is distinct from b.items
				when 'delivered' then h.status is distinct from 'held' or h.items is distinct from b.items
				when 'failed' then h.status is distinct from 'refused' or h.items is not null
				when 'cancelled' then h.status is distinct from 'released' and h.status is distinct from 'refused' or h.items is not null and h.items <> b.items
				else true end`},
		{Name: "what has left of an order has left the stock", sql: `
			with sent as (
				select tenant_id, order_id, sku, sum(units) units from (
					select tenant_id, order_id, sku, shipped units from orders.line
					union all -- what came back and cannot be sold again has left all the same
					select tenant_id, order_id, l.sku, p.quantity - p.restocked from orders.shipment_line p join orders.line l using (tenant_id, order_id, position) where p.restocked is not null
				) u group by tenant_id, order_id, sku having sum(units) > 0
			), gone as (
				select tenant_id, order_id, sku, sum(-on_hand_delta) units from inventory.movement where kind in ('shipped', 'came_back') group by tenant_id, order_id, sku having sum(-on_hand_delta) <> 0
			)
			select format('order %s, %s: %s units have left, %s were taken out of the stock', order_id, sku, s.units, g.units)
			from sent s full join gone g using (tenant_id, order_id, sku) where s.units is distinct from g.units`},
		{Name: "a fact of an order says what was ordered", sql: `
			select format('order %s: number %s, total %s; the fact says %s', o.id, o.number, o.total_minor, e.data)
			from orders.orders o join platform.event e on e.tenant_id = o.tenant_id and e.type = 'order.created' and e.subject = o.id::text
			where (e.data->>'number')::bigint <> o.number or e.data->>'orderId' <> o.id::text
			   or (e.data->>'total')::numeric * case o.currency when 'JPY' then 1 else 100 end <> o.total_minor
			   or (select jsonb_agg(jsonb_build_array(i->>'sku', (i->>'quantity')::bigint) order by i->>'sku') from json_array_elements(e.data->'items') i)
			      is distinct from
			      (select jsonb_agg(jsonb_build_array(l.sku, l.quantity) order by l.sku) from orders.line l where l.tenant_id = o.tenant_id and l.order_id = o.id)`},
		{Name: "what came to nothing has used no discount", sql: `
			select format('order %s is %s and uses discount %s', o.id, o.status, r.discount_id)
			from pricing.redemption r join orders.orders o on o.tenant_id = r.tenant_id and o.id = r.order_id
			where r.returned_at is null and o.status in ('failed', 'cancelled')`},
		{Name: "no order is refused what there is", sql: `
			select format('order %s wanted %s of %s and was refused with %s left', e.subject, i->>'quantity', i->>'sku', i->>'available')
			from platform.event e, json_array_elements(e.data->'items') i
			where e.type = 'inventory.insufficient' and (i->>'available')::bigint >= (i->>'quantity')::bigint`},
		{Name: "what was accepted is there", claims: true, sql: `
			select format('order %s, number %s, of key %s, total %s %s: there is %s %s, total %s', a.id, a.number, a.key, a.total, a.currency,
			              coalesce(o.status, 'nothing'), o.number, o.total_minor)
			from jsonb_to_recordset(($1::jsonb)->'accepted') a(key text, id uuid, number bigint, total text, currency text, cancelled boolean)
			left join orders.orders o on o.id = a.id and o.metadata->>'key' = a.key
			where o.id is null or o.number <> a.number or o.currency <> a.currency
			   or a.total::numeric * case a.currency when 'JPY' then 1 else 100 end <> o.total_minor
			   or a.cancelled and o.status <> 'cancelled'`},
		{Name: "nobody gets what nobody asked for", claims: true, sql: `
			select format('order %s has key %s', o.id, o.metadata->>'key') from orders.orders o
			where o.metadata ? 'key' and not ($1::jsonb)->'asked' ? (o.metadata->>'key')`},
	}...)
}

// All are Always and Settled.
func All() []Invariant { return append(Always(), Settled()...) }
