package invariant

// live selects the uses of discounts that count, by the keys that buyers are counted by.
const live = `
	with live as (
		select * from pricing.redemption where returned_at is null
	), each as (
		select tenant_id, discount_id, k buyer, count(*) uses
		from live, unnest(array['customer:' || customer_id, email_key]) k where k is not null group by tenant_id, discount_id, k
	)`

// discounts are those of Always that are about what was used of discounts.
func discounts() []Invariant {
	return []Invariant{
		{Name: "a budget is what orders have used of it", Schemas: []string{"pricing"}, SQL: live + `, used as (
				select tenant_id, discount_id id, count(*) uses, sum(amount_minor) spent from live group by tenant_id, discount_id
			), allotted as (
				select tenant_id, discount_id id, max_uses, max_spend_minor, uses, spent_minor from pricing.budget
			), wanted as (
				select tenant_id, id, max_uses, max_spend_minor from pricing.discount where coalesce(max_uses, max_spend_minor) is not null
			)
			select format('discount %s, for %s orders and %s: its budget is for %s and %s, of which %s and %s were used; orders have used %s and %s',
			              id, w.max_uses, w.max_spend_minor, a.max_uses, a.max_spend_minor, a.uses, a.spent_minor, u.uses, u.spent)
			from wanted w full join allotted a using (tenant_id, id) left join used u using (tenant_id, id)
			where w.id is null or a.id is null or (w.max_uses, w.max_spend_minor) is distinct from (a.max_uses, a.max_spend_minor)
			   or (a.uses, a.spent_minor) is distinct from (coalesce(u.uses, 0), coalesce(u.spent, 0)) or a.uses > a.max_uses or a.spent_minor > a.max_spend_minor`},
		{Name: "a code is used by as many orders as it says", Schemas: []string{"pricing"}, SQL: live + `, used as (
				select tenant_id, code, count(*) uses from live where code <> '' group by tenant_id, code
			)
			select format('a code of discount %s, for %s orders: used by %s, and %s have used it', c.discount_id, c.max_uses, c.uses, u.uses)
			from pricing.code c left join used u using (tenant_id, code)
			where c.max_uses is not null and (c.uses <> coalesce(u.uses, 0) or c.uses > c.max_uses)`},
		{Name: "a buyer has used a discount as often as is counted", Schemas: []string{"pricing"}, SQL: live + `, counted as (
				select u.* from pricing.buyer_use u join pricing.discount d on d.tenant_id = u.tenant_id and d.id = u.discount_id where d.first_order or d.max_uses_per_buyer is not null
			), used as (
				select e.* from each e join pricing.discount d on d.tenant_id = e.tenant_id and d.id = e.discount_id where d.first_order or d.max_uses_per_buyer is not null
			)
			select format('discount %s, a %s: %s uses are counted, there are %s', discount_id, split_part(buyer, ':', 1), c.uses, u.uses)
			from counted c full join used u using (tenant_id, discount_id, buyer) where coalesce(c.uses, 0) <> coalesce(u.uses, 0)`},
		{Name: "an order uses the discounts that it shows", Schemas: []string{"pricing", "orders"}, SQL: `
			with shown as (
				select tenant_id, order_id, discount_id, sum(amount_minor) amount from orders.discount_line group by tenant_id, order_id, discount_id
			), used as (
				select tenant_id, order_id, discount_id::text, amount_minor, currency, returned_at from pricing.redemption
			)
			select format('order %s, %s, discount %s: %s %s off; it used %s %s of it and returned it at %s', order_id, o.status, discount_id, s.amount, o.currency, u.amount_minor, u.currency, u.returned_at)
			from shown s full join used u using (tenant_id, order_id, discount_id) left join orders.orders o on o.tenant_id = coalesce(s.tenant_id, u.tenant_id) and o.id = order_id
			where o.id is null or coalesce(s.amount, 0) <> coalesce(u.amount_minor, 0) or u.currency <> o.currency
			   or u.returned_at is not null and o.status not in ('failed', 'cancelled')`},
	}
}
