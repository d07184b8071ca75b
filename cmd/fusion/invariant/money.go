package invariant

// shares selects what the shares of lines add up to, beside what the lines have; position 0
// is shipping. Orders that were no cart have no shares.
const shares = `
	with owned as (
		select l.tenant_id, l.order_id, l.position, l.quantity units, l.discount_minor discount, l.tax_minor tax, l.total_minor total
		from orders.line l
		union all
		select tenant_id, id, 0, 1, shipping_discount_minor, shipping_tax_minor, shipping_total_minor from orders.orders where shipping_method_id is not null
	), owed as (
		select w.* from owned w join orders.orders o on o.tenant_id = w.tenant_id and o.id = w.order_id and o.cart_id is not null
	), runs as (
		select *, coalesce(sum(units) over (partition by tenant_id, order_id, position order by first_unit rows between unbounded preceding and 1 preceding), 0) + 1 expected
		from orders.allocation
	), given as (
		select tenant_id, order_id, position, sum(units) units, sum(units * discount_minor) discount, sum(units * net_minor) net, sum(units * tax_minor) tax,
		       bool_and(first_unit = expected) gapless
		from runs group by tenant_id, order_id, position
	), taxed as (
		select tenant_id, order_id, position, sum(amount_minor) tax from orders.tax_line group by tenant_id, order_id, position
	), reduced as (
		select tenant_id, order_id, position, sum(amount_minor) discount from orders.discount_line group by tenant_id, order_id, position
	)`

// ordered are those of Always that are about what orders cost and what was paid for them.
func ordered() []Invariant {
	return []Invariant{
		{Name: "an order costs what its lines cost", Schemas: []string{"orders"}, SQL: `
			with lines as (
				select l.tenant_id, l.order_id id, sum(l.quantity * l.price_minor) subtotal, sum(l.discount_minor) discount, sum(l.tax_minor) tax, sum(l.total_minor) total,
				       bool_and(l.total_minor = l.quantity * l.price_minor - l.discount_minor + case when o.tax_included then 0 else l.tax_minor end) sound
				from orders.line l left join orders.orders o on o.tenant_id = l.tenant_id and o.id = l.order_id group by l.tenant_id, l.order_id
			)
			select format('order %s: %s less %s, shipping %s, tax %s, total %s; its lines %s less %s, tax %s, total %s; its shipping less %s, tax %s, total %s',
			              id, o.subtotal_minor, o.discount_minor, o.shipping_minor, o.tax_minor, o.total_minor, l.subtotal, l.discount, l.tax, l.total,
			              o.shipping_discount_minor, o.shipping_tax_minor, o.shipping_total_minor)
			from orders.orders o full join lines l using (tenant_id, id)
			where not coalesce(l.sound, false)
			   or coalesce(o.subtotal_minor, o.total_minor) is distinct from l.subtotal
			   or o.discount_minor is distinct from l.discount + o.shipping_discount_minor
			   or o.tax_minor is distinct from l.tax + o.shipping_tax_minor
			   or o.shipping_total_minor is distinct from o.shipping_minor - o.shipping_discount_minor + case when o.tax_included then 0 else o.shipping_tax_minor end
			   or o.total_minor is distinct from l.total + o.shipping_total_minor`},
		{Name: "the shares of a line are what it has", Schemas: []string{"orders"}, SQL: shares + `
			select format('order %s, line %s: %s units, discount %s, tax %s of %s; its shares %s units, discount %s, tax %s and %s net, without a gap: %s; its taxes %s, its discounts %s',
			              order_id, position, w.units, w.discount, w.tax, w.total, g.units, g.discount, g.tax, g.net, g.gapless, t.tax, r.discount)
			from owed w full join given g using (tenant_id, order_id, position)
			full join taxed t using (tenant_id, order_id, position) full join reduced r using (tenant_id, order_id, position)
			where (w.units, w.discount, w.tax, w.total - w.tax) is distinct from (g.units, g.discount, g.tax, g.net) or not g.gapless
			   or w.tax is distinct from coalesce(t.tax, 0) or w.discount is distinct from coalesce(r.discount, 0)`},
		// A cart may be gone, with who wanted it.
		{Name: "a cart is placed as one order", Schemas: []string{"checkout", "orders"}, SQL: `
			select format('cart %s is %s as order %s; order %s is of cart %s', c.id, c.status, c.order_id, o.id, o.cart_id)
			from checkout.cart c full join orders.orders o on o.tenant_id = c.tenant_id and o.cart_id = c.id
			where c.status = 'placed' and o.id is null or c.id is not null and o.id is distinct from c.order_id`},
		{Name: "an order stands as its payments told", Schemas: []string{"orders"}, SQL: `
			with told as (
				select tenant_id, order_id id, sum(captured_minor) captured, sum(refunded_minor) refunded, sum(disputed_minor) disputed,
				       coalesce(sum(authorized_minor - captured_minor) filter (where status = 'authorized'), 0) held
				from orders.payment group by tenant_id, order_id
			), stands as (
				select o.tenant_id, id, o.captured_minor, o.refunded_minor, o.payment_status, t.captured, t.refunded, case
					when t.id is null then 'unpaid'
					when t.disputed > 0 then 'disputed'
					when t.captured = 0 and t.held > 0 then 'authorized'
					when t.captured = 0 and o.total_minor - o.cancelled_minor - o.returned_minor > 0 then 'unpaid'
					when t.refunded > 0 and t.refunded >= t.captured then 'refunded'
					when t.refunded > 0 and t.captured - t.refunded < o.total_minor - o.cancelled_minor - o.returned_minor then 'partially_refunded'
					when t.captured < o.total_minor - o.cancelled_minor - o.returned_minor then 'partially_paid'
					when t.captured - t.refunded > o.total_minor - o.cancelled_minor - o.returned_minor then 'overpaid'
					else 'paid' end standing
				from orders.orders o full join told t using (tenant_id, id)
			)
			select format('order %s: captured %s, refunded %s, %s; its payments told %s and %s, which is %s', id, captured_minor, refunded_minor, payment_status, captured, refunded, standing)
			from stands
			where (captured_minor, refunded_minor, payment_status) is distinct from (coalesce(captured, 0), coalesce(refunded, 0), standing)`},
	}
}

// money is what the ledger and the payments must say alike.
func money() []Invariant {
	return []Invariant{
		{Name: "the ledger adds up to nothing", Schemas: []string{"payments"}, SQL: `
			select format('transaction %s: %s entries, together %s %s', coalesce(t.id, e.transaction_id), count(e), sum(e.amount_minor), e.currency)
			from payments.ledger_transaction t full join payments.ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
			group by coalesce(t.tenant_id, e.tenant_id), coalesce(t.id, e.transaction_id), e.currency having sum(e.amount_minor) <> 0 or count(e) < 2 or count(t) = 0`},
		{Name: "a payment is what its ledger says", Schemas: []string{"payments"}, SQL: `
			with booked as (
				select t.tenant_id, t.payment_id id, coalesce(sum(-e.amount_minor) filter (where t.kind = 'capture' and e.account = 'sales'), 0) captured,
				       coalesce(sum(-e.amount_minor) filter (where t.kind in ('refund.paid', 'refund.returned') and e.account = 'clearing'), 0) refunded,
				       coalesce(sum(-e.amount_minor) filter (where e.account = 'refunds'), 0) refunding,
				       min(e.currency) currency, count(distinct e.currency) currencies, min(t.order_id::text) order_id, count(distinct t.order_id) orders
				from payments.ledger_transaction t join payments.ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id group by t.tenant_id, t.payment_id
			)
			select format('payment %s of order %s: captured %s, refunded %s, refunding %s %s; the ledger says %s, %s, %s %s for order %s',
			              id, p.order_id, p.captured_minor, p.refunded_minor, p.refunding_minor, p.currency, b.captured, b.refunded, b.refunding, b.currency, b.order_id)
			from payments.payment p full join booked b using (tenant_id, id)
			where (coalesce(p.captured_minor, 0), coalesce(p.refunded_minor, 0), coalesce(p.refunding_minor, 0)) <> (coalesce(b.captured, 0), coalesce(b.refunded, 0), coalesce(b.refunding, 0))
			   or b.id is not null and (b.currency, b.currencies, b.order_id, b.orders) is distinct from (p.currency, 1::bigint, p.order_id::text, 1::bigint)`},
		{Name: "a payment is what its charges and refunds are", Schemas: []string{"payments"}, SQL: `
			with charged as (
				select tenant_id, payment_id id, sum(captured_minor) captured from payments.attempt group by tenant_id, payment_id
			), returned as (
				select tenant_id, payment_id id, coalesce(sum(amount_minor) filter (where status = 'succeeded'), 0) refunded,
				       coalesce(sum(amount_minor) filter (where status in ('requested', 'processing', 'requires_action')), 0) refunding
				from payments.refund group by tenant_id, payment_id
			)
			select format('payment %s: captured %s, refunded %s, refunding %s; its charges took %s, its refunds returned %s and return %s',
			              id, p.captured_minor, p.refunded_minor, p.refunding_minor, c.captured, r.refunded, r.refunding)
			from payments.payment p left join charged c using (tenant_id, id) left join returned r using (tenant_id, id)
			where (p.captured_minor, p.refunded_minor, p.refunding_minor) is distinct from (coalesce(c.captured, 0), coalesce(r.refunded, 0), coalesce(r.refunding, 0))`},
		{Name: "nobody is paid back more than they paid", Schemas: []string{"payments"}, SQL: `
			select format('payment %s: captured %s, refunded %s, refunding %s', id, captured_minor, refunded_minor, refunding_minor)
			from payments.payment where refunded_minor + refunding_minor > captured_minor`},
		// What is not told yet has a later version.
		{Name: "an order knows what the ledger says of its payments", Schemas: []string{"orders", "payments"}, SQL: `
			select format('payment %s, version %s, of order %s: captured %s, refunded %s; version %s, of order %s, told %s, %s', k.payment_id, p.version, p.order_id, p.captured_minor, p.refunded_minor,
			              k.version, k.order_id, k.captured_minor, k.refunded_minor)
			from orders.payment k left join payments.payment p on p.tenant_id = k.tenant_id and p.id = k.payment_id
			where p.id is null or k.order_id <> p.order_id or k.version > p.version
			   or k.version = p.version and (k.captured_minor, k.refunded_minor, k.disputed_minor) <> (p.captured_minor, p.refunded_minor, p.disputed_minor)`},
	}
}
