package audit

// holds are the invariants of what shoppers hold while they check out. They are among
// Always.
func holds() []Invariant {
	return []Invariant{
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
