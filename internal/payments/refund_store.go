package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

type refundRow struct {
	ID             uuid.UUID `db:"id"`
	PaymentID      uuid.UUID `db:"payment_id"`
	AttemptID      uuid.UUID `db:"attempt_id"`
	Currency       string    `db:"currency"`
	Amount         int64     `db:"amount_minor"`
	Reason         string    `db:"reason"`
	Note           *string   `db:"note"`
	Status         string    `db:"status"`
	Reference      *string   `db:"reference"`
	FailureCode    *string   `db:"failure_code"`
	FailureMessage *string   `db:"failure_message"`
	Actor          string    `db:"actor"`
	Once           uuid.UUID `db:"once"`
	Version        int64     `db:"version"`
	CreatedAt      time.Time `db:"created_at"`
	UpdatedAt      time.Time `db:"updated_at"`
}

const refundColumns = `id, payment_id, attempt_id, currency, amount_minor, reason, note, status, reference, failure_code, failure_message, actor, coalesce(once, '00000000-0000-0000-0000-000000000000') once, version, created_at, updated_at`

func (r refundRow) domain() refund {
	return refund{
		ID: r.ID, PaymentID: r.PaymentID, AttemptID: r.AttemptID, Amount: money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}, Reason: r.Reason,
		Note: text(r.Note), Status: r.Status, Reference: text(r.Reference), Failure: refusal(r.FailureCode, r.FailureMessage), Actor: r.Actor, Once: r.Once, Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// saveRefund writes a refund, new or changed.
func (store) saveRefund(ctx context.Context, tx *db.Tx, r refund) error {
	code, message := words(r.Failure)
	if _, err := tx.Exec(ctx, `
		insert into payments.refund
		(id, payment_id, attempt_id, currency, amount_minor, reason, note, status, reference, failure_code, failure_message, actor, version, created_at, updated_at, once)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, nullif($16::uuid, '00000000-0000-0000-0000-000000000000'))
		on conflict (tenant_id, id) do update
		set status = excluded.status, reference = excluded.reference, failure_code = excluded.failure_code, failure_message = excluded.failure_message,
		    version = excluded.version, updated_at = excluded.updated_at`,
		r.ID, r.PaymentID, r.AttemptID, string(r.Amount.Currency), r.Amount.Minor, r.Reason, orNull(r.Note), r.Status, orNull(r.Reference), code, message, r.Actor,
		r.Version, r.CreatedAt, r.UpdatedAt, r.Once); err != nil {
		return fmt.Errorf("save refund: %w", err)
	}
	return nil
}

func (store) refunds(ctx context.Context, tx *db.Tx, where string, args ...any) ([]refund, error) {
	var rows []refundRow
	if err := tx.Select(ctx, &rows, `select `+refundColumns+` from payments.refund `+where, args...); err != nil {
		return nil, fmt.Errorf("read refunds: %w", err)
	}
	list := make([]refund, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

func (s store) refundsOf(ctx context.Context, tx *db.Tx, payment uuid.UUID) ([]refund, error) {
	return s.refunds(ctx, tx, `where payment_id = $1 order by created_at, id`, payment)
}

func (s store) findRefund(ctx context.Context, tx *db.Tx, id uuid.UUID) (refund, error) {
	list, err := s.refunds(ctx, tx, `where id = $1`, id)
	if err != nil {
		return refund{}, err
	}
	if len(list) == 0 {
		return refund{}, httpx.ErrNotFound
	}
	return list[0], nil
}

// keptByOthers is what the other payments of the order have captured and keep.
func (store) keptByOthers(ctx context.Context, tx *db.Tx, p payment) (money.Amount, error) {
	kept := money.Amount{Currency: p.Amount.Currency}
	if err := tx.Get(ctx, &kept.Minor, db.Keep+`
		select coalesce(sum(captured_minor - refunded_minor - refunding_minor - disputed_minor), 0)::bigint from payments.payment
		where order_id = $1 and id <> $2 and currency = $3`, p.OrderID, p.ID, string(p.Amount.Currency)); err != nil {
		return kept, fmt.Errorf("add up what was paid for an order: %w", err)
	}
	return kept, nil
}

func (store) disputesOf(ctx context.Context, tx *db.Tx, payment uuid.UUID) ([]dispute, error) {
	var rows []struct {
		AccountID uuid.UUID  `db:"account_id"`
		Reference string     `db:"reference"`
		Currency  string     `db:"currency"`
		Amount    int64      `db:"amount_minor"`
		Status    string     `db:"status"`
		Reason    string     `db:"reason"`
		DueBy     *time.Time `db:"due_by"`
		Withdrawn int64      `db:"withdrawn_minor"`
		Fee       int64      `db:"fee_minor"`
	}
	if err := tx.Select(ctx, &rows, `
		select account_id, reference, currency, amount_minor, status, reason, due_by, withdrawn_minor, fee_minor from payments.dispute where payment_id = $1 order by created_at, reference`, payment); err != nil {
		return nil, fmt.Errorf("read disputes: %w", err)
	}
	list := make([]dispute, len(rows))
	for i, r := range rows {
		m := func(minor int64) money.Amount {
			return money.Amount{Minor: minor, Currency: money.Currency(r.Currency)}
		}
		list[i] = dispute{provider.DisputeObject{
			Reference: r.Reference, Amount: m(r.Amount), Status: r.Status, Reason: r.Reason, DueBy: r.DueBy, Withdrawn: m(r.Withdrawn), Fee: m(r.Fee),
		}, payment, r.AccountID}
	}
	return list, nil
}

func (store) saveDispute(ctx context.Context, tx *db.Tx, d dispute) error {
	if _, err := tx.Exec(ctx, `
		insert into payments.dispute (account_id, reference, payment_id, currency, amount_minor, status, reason, due_by, withdrawn_minor, fee_minor, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
		on conflict (tenant_id, account_id, reference) do update
		set amount_minor = excluded.amount_minor, status = excluded.status, reason = excluded.reason, due_by = excluded.due_by,
		    withdrawn_minor = excluded.withdrawn_minor, fee_minor = excluded.fee_minor, updated_at = excluded.updated_at`,
		d.AccountID, d.Reference, d.PaymentID, string(d.Amount.Currency), d.Amount.Minor, d.Status, d.Reason, d.DueBy, d.Withdrawn.Minor, d.Fee.Minor, tx.Now); err != nil {
		return fmt.Errorf("save dispute: %w", err)
	}
	return nil
}
