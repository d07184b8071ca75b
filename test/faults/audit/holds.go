package audit

// holds are the invariants of what shoppers hold while they check out. They are among
// Always.
func holds() []Invariant {
	return []Invariant{
		{Name: "a hold takes its stock once and ends at most once", sql: `
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
		{Name: "who claims a hold is an order that named it", sql: `
			select format('hold %s is %s by order %s, whose reservation is %s and whose fact names hold %s', h.id, h.status, h.order_id, r.status, e.data->>'holdId')
			from inventory.hold h
			left join inventory.reservation r on r.tenant_id = h.tenant_id and r.order_id = h.order_id
			left join platform.event e on e.tenant_id = h.tenant_id and e.type = 'order.created' and e.subject = h.order_id::text
			where (h.status = 'claimed') <> (h.order_id is not null)
			   or h.status = 'claimed' and (coalesce(r.status, 'refused') = 'refused' or e.data->>'holdId' is distinct from h.id::text)`},
		{Name: "no hold outlives its time by a minute", sql: `
			select format('hold %s of %s is held, and was to end %s', id, created_at, expires_at)
			from inventory.hold where status = 'held' and expires_at < clock_timestamp() - interval '1 minute'`},
	}
}
