package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

type reconciliationInput struct {
	Minutes int `query:"minutes" minimum:"1" maximum:"10080" default:"10" doc:"How long something may go unanswered before it is listed"`
}

type strayResponse struct {
	AccountID string    `json:"accountId" format:"uuid"`
	Reference string    `json:"reference" doc:"The provider's name of the charge, or of the refund"`
	Captured  string    `json:"captured" example:"25.00"`
	Currency  string    `json:"currency" example:"EUR"`
	Why       string    `json:"why"`
	SeenAt    time.Time `json:"seenAt"`
}

type differenceResponse struct {
	PaymentID string `json:"paymentId" format:"uuid"`
	What      string `json:"what" enum:"captured,refunded"`
	Payment   string `json:"payment" doc:"What the payment says" example:"25.00"`
	Ledger    string `json:"ledger" doc:"What the ledger says" example:"25.00"`
	Currency  string `json:"currency" example:"EUR"`
}

type undecidedResponse struct {
	Kind      string    `json:"kind" enum:"attempt,operation,refund,webhook,failed_refund"`
	ID        string    `json:"id"`
	PaymentID string    `json:"paymentId,omitempty"`
	Status    string    `json:"status"`
	Since     time.Time `json:"since"`
}

type balanceResponse struct {
	Account  string `json:"account" enum:"clearing,fees,sales,refunds,disputes"`
	Balance  string `json:"balance" doc:"Debits less credits" example:"-25.00"`
	Currency string `json:"currency" example:"EUR"`
}

type reconciliationResponse struct {
	Strays      []strayResponse      `json:"strays" doc:"Charges and refunds at a provider that are nobody's here"`
	Differences []differenceResponse `json:"differences" doc:"Payments of which the ledger says something else"`
	Undecided   []undecidedResponse  `json:"undecided" doc:"What nobody has answered yet, and refunds of orders that came to nothing which the provider refused"`
	Ledger      []balanceResponse    `json:"ledger"`
	Balanced    bool                 `json:"balanced" doc:"The ledger adds up to nothing in every currency"`
}

// mostListed bounds each list: whoever has more to look at begins with these.
const mostListed = 100

func (s *service) handleReconciliation(ctx context.Context, in *reconciliationInput) (r reconciliationResponse, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = s.store.reconciliation(ctx, tx, in.Minutes)
		return err
	})
	return r, err
}

func (s store) reconciliation(ctx context.Context, tx *db.Tx, minutes int) (r reconciliationResponse, err error) {
	r = reconciliationResponse{Strays: []strayResponse{}, Differences: []differenceResponse{}, Undecided: []undecidedResponse{}, Ledger: []balanceResponse{}, Balanced: true}
	decimal := func(minor int64, currency string) string {
		return money.Amount{Minor: minor, Currency: money.Currency(currency)}.Decimal()
	}
	var strays []struct {
		AccountID string    `db:"account_id"`
		Reference string    `db:"reference"`
		Captured  int64     `db:"captured_minor"`
		Currency  string    `db:"currency"`
		Why       string    `db:"why"`
		SeenAt    time.Time `db:"seen_at"`
	}
	if err := tx.Select(ctx, &strays, `select account_id, reference, captured_minor, currency, why, seen_at from payments.stray order by seen_at desc limit $1`, mostListed); err != nil {
		return r, fmt.Errorf("list strays: %w", err)
	}
	for _, x := range strays {
		r.Strays = append(r.Strays, strayResponse{x.AccountID, x.Reference, decimal(x.Captured, x.Currency), x.Currency, x.Why, x.SeenAt.UTC()})
	}
	var differences []struct {
		ID       string `db:"id"`
		What     string `db:"what"`
		Payment  int64  `db:"payment"`
		Ledger   int64  `db:"ledger"`
		Currency string `db:"currency"`
	}
	if err := tx.Select(ctx, &differences, differing(`
			select t.payment_id id from payments.ledger_transaction t where t.id > `+theMark+`
			union select p.id from payments.payment p where p.id > `+theMark+`
			union select n.payment_id from payments.difference n`)+` order by p.id limit $1`, mostListed); err != nil {
		return r, fmt.Errorf("compare payments with the ledger: %w", err)
	}
	for _, x := range differences {
		r.Differences = append(r.Differences, differenceResponse{x.ID, x.What, decimal(x.Payment, x.Currency), decimal(x.Ledger, x.Currency), x.Currency})
	}
	var undecided []struct {
		Kind    string    `db:"kind"`
		ID      string    `db:"id"`
		Payment string    `db:"payment"`
		Status  string    `db:"status"`
		Since   time.Time `db:"since"`
	}
	if err := tx.Select(ctx, &undecided, `
		select * from (
			select 'attempt' kind, a.id::text id, a.payment_id::text payment, a.state status, a.created_at since from payments.attempt a where a.state in ('requested', 'unknown')
			union all select 'operation', o.id::text, o.payment_id::text, o.state, o.created_at from payments.operation o where o.state = 'requested'
			union all select 'refund', f.id::text, f.payment_id::text, f.status, f.created_at from payments.refund f where f.status in ('requested', 'processing', 'requires_action')
			union all select 'webhook', n.id, '', n.type, n.received_at from payments.notice n where n.handled_at is null
			union all select 'failed_refund', f.id::text, f.payment_id::text, f.status, f.created_at
			from payments.refund f join payments.payment p on p.id = f.payment_id join payments.payable b on b.order_id = p.order_id
			where f.status in ('failed', 'cancelled') and f.reason in ('order_failed', 'order_cancelled', 'overpaid')
			      and (select sum(o.captured_minor - o.refunded_minor - o.refunding_minor) from payments.payment o where o.order_id = p.order_id and o.currency = b.currency)
			          > case when b.reason is null then b.total_minor else 0 end
		) u where since < statement_timestamp() - $1 * interval '1 minute' order by since limit $2`, minutes, mostListed); err != nil {
		return r, fmt.Errorf("list what is undecided: %w", err)
	}
	for _, x := range undecided {
		r.Undecided = append(r.Undecided, undecidedResponse{x.Kind, x.ID, x.Payment, x.Status, x.Since.UTC()})
	}
	balances, err := s.balances(ctx, tx)
	if err != nil {
		return r, err
	}
	sums := map[money.Currency]money.Amount{}
	for _, b := range balances {
		r.Ledger = append(r.Ledger, balanceResponse{b.Account, b.Amount.Decimal(), string(b.Amount.Currency)})
		if sums[b.Amount.Currency], err = money.Sum(b.Amount.Currency, money.Amount{Minor: sums[b.Amount.Currency].Minor, Currency: b.Amount.Currency}, b.Amount); err != nil {
			return r, fmt.Errorf("add up the ledger: %w", err)
		}
	}
	for _, sum := range sums {
		r.Balanced = r.Balanced && sum.IsZero()
	}
	return r, nil
}
