package audit

// settledCampaigns are those of Settled that are about group buying.
func settledCampaigns() []Invariant {
	return []Invariant{
		{Name: "participants of a successful campaign have what it promised, others nothing", sql: `
			with promised as (
				select p.tenant_id, p.campaign_id, p.id participant_id, p.user_id, c.sku, p.quantity, c.price_minor, c.currency
				from groupbuy.participant p join groupbuy.campaign c on c.tenant_id = p.tenant_id and c.id = p.campaign_id where c.status = 'successful'
			), ordered as (
				select p.tenant_id, p.campaign_id, p.participant_id, o.customer_id, l.sku, l.quantity, l.price_minor, o.currency
				from orders.participation p join orders.orders o on o.tenant_id = p.tenant_id and o.id = p.order_id
				join orders.line l on l.tenant_id = o.tenant_id and l.order_id = o.id
			)
			select format('campaign %s, participant %s: %s is to get %s of %s at %s %s; %s ordered %s of %s at %s %s', campaign_id, participant_id,
			              p.user_id, p.quantity, p.sku, p.price_minor, p.currency, o.customer_id, o.quantity, o.sku, o.price_minor, o.currency)
			from promised p full join ordered o using (tenant_id, campaign_id, participant_id)
			where (p.user_id, p.quantity, p.sku, p.price_minor, p.currency) is distinct from (o.customer_id, o.quantity, o.sku, o.price_minor, o.currency)`},
		{Name: "nothing waits whose time has come", sql: `
			select format('%s of %s, due at %s, %s failures: %s', kind, subject, due_at, attempts, last_error) from platform.timer
			where due_at < clock_timestamp() - interval '5 seconds'`},
	}
}
