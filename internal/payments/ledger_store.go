package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// bookings are transactions of the ledger, which are written last. What is booked already is
// refused then.
type bookings struct {
	list []posting
	at   time.Time
}

// book writes transactions of the ledger.
func (store) book(tx *db.Tx, list []posting) {
	if len(list) == 0 {
		return
	}
	b := db.Last[bookings](tx)
	b.list, b.at = append(b.list, list...), tx.Now
}

// Expressions write the transactions with their entries.
func (b *bookings) Expressions() (list string, args []any) {
	n := len(b.list)
	ids, kinds, sources, payments, orders, accounts := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	debits, credits, currencies, amounts := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, p := range b.list {
		ids[i], kinds[i], sources[i], payments[i], orders[i], accounts[i] = p.ID.String(), p.Kind, p.Source, p.Payment.String(), p.Order.String(), p.Account.String()
		debits[i], credits[i], currencies[i], amounts[i] = p.Debit, p.Credit, string(p.Amount.Currency), p.Amount.Minor
	}
	return bookSQL, []any{
		db.Array(ids), db.Array(kinds), db.Array(sources), db.Array(payments), db.Array(orders), db.Array(accounts),
		db.Array(debits), db.Array(credits), db.Array(currencies), db.Array(amounts), b.at,
	}
}

const bookSQL = `booked as materialized (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bigint[])
                  n(id, kind, source, payment, order_id, account, debit, credit, currency, amount)
), transactions as (
    insert into payments.ledger_transaction (id, kind, source, payment_id, order_id, account_id, booked_at)
    select id, kind, source, payment, order_id, account, $11 from booked
), entries as (
    insert into payments.ledger_entry (transaction_id, position, account, currency, amount_minor)
    select n.id, e.position, e.account, n.currency, e.amount from booked n, lateral (values (1, n.debit, n.amount), (2, n.credit, -n.amount)) e(position, account, amount)
)`

// balance is what one account of the ledger adds up to: a debit is positive.
type balance struct {
	Account string
	Amount  money.Amount
}

// theMark is up to which transaction the ledger is added up.
const theMark = `coalesce((select until from payments.tallied), '00000000-0000-0000-0000-000000000000')`

func (store) balances(ctx context.Context, tx *db.Tx) ([]balance, error) {
	var rows []struct {
		Account  string `db:"account"`
		Currency string `db:"currency"`
		Sum      int64  `db:"sum"`
	}
	if err := tx.Select(ctx, &rows, `
		select account, currency, sum(minor)::bigint sum from (
			select account, currency, sum_minor minor from payments.tally
			union all select account, currency, amount_minor from payments.ledger_entry where transaction_id > `+theMark+`
		) u group by account, currency order by currency, account`); err != nil {
		return nil, fmt.Errorf("add up the ledger: %w", err)
	}
	list := make([]balance, len(rows))
	for i, r := range rows {
		list[i] = balance{r.Account, money.Amount{Minor: r.Sum, Currency: money.Currency(r.Currency)}}
	}
	return list, nil
}
