package invariant

// money is what the ledger and the payments must say alike.
func money() []Invariant {
	return []Invariant{
		{Name: "the ledger adds up to nothing", Schema: "payments", SQL: `
			select format('transaction %s: %s %s', transaction_id, sum(amount_minor), currency)
			from payments.ledger_entry group by tenant_id, transaction_id, currency having sum(amount_minor) <> 0`},
		{Name: "a payment is what its ledger says", Schema: "payments", SQL: `
			with booked as (
				select t.tenant_id, t.payment_id id, coalesce(sum(-e.amount_minor) filter (where t.kind = 'capture' and e.account = 'sales'), 0) captured,
				       coalesce(sum(-e.amount_minor) filter (where t.kind in ('refund.paid', 'refund.returned') and e.account = 'clearing'), 0) refunded,
				       coalesce(sum(-e.amount_minor) filter (where e.account = 'refunds'), 0) refunding
				from payments.ledger_transaction t join payments.ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id group by t.tenant_id, t.payment_id
			)
			select format('payment %s: captured %s, refunded %s, refunding %s; the ledger says %s, %s, %s', id, p.captured_minor, p.refunded_minor, p.refunding_minor, b.captured, b.refunded, b.refunding)
			from payments.payment p full join booked b using (tenant_id, id)
			where (coalesce(p.captured_minor, 0), coalesce(p.refunded_minor, 0), coalesce(p.refunding_minor, 0)) <> (coalesce(b.captured, 0), coalesce(b.refunded, 0), coalesce(b.refunding, 0))`},
		{Name: "nobody is paid back more than they paid", Schema: "payments", SQL: `
			select format('payment %s: captured %s, refunded %s, refunding %s', id, captured_minor, refunded_minor, refunding_minor)
			from payments.payment where refunded_minor + refunding_minor > captured_minor`},
	}
}
