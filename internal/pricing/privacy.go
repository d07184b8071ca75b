package pricing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// heldRedemption is what is held of a discount that a customer used.
type heldRedemption struct {
	OrderID    uuid.UUID `json:"orderId"`
	Code       string    `json:"code,omitempty"`
	Amount     string    `json:"amount"`
	Currency   string    `json:"currency"`
	RedeemedAt time.Time `json:"redeemedAt"`
}

// PersonalData is the discounts that a customer used.
func (m *Module) PersonalData(ctx context.Context, customer string) (any, error) {
	list := []heldRedemption{}
	err := m.svc.db.Read(ctx, func(tx *db.Tx) error {
		redemptions, err := m.svc.store.redemptionsOf(ctx, tx, customer)
		for _, r := range redemptions {
			amount := money.Amount{Minor: r.Amount, Currency: money.Currency(r.Currency)}
			list = append(list, heldRedemption{r.OrderID, r.Code, amount.Decimal(), r.Currency, r.RedeemedAt.UTC()})
		}
		return err
	})
	return list, err
}

// Claim makes a customer's what was used under an address of theirs, also where each buyer may
// use it so many times.
func (m *Module) Claim(ctx context.Context, customer, email string) error {
	return m.svc.db.InTx(ctx, func(tx *db.Tx) error { return m.svc.store.claim(ctx, tx, customer, emailKey(email)) })
}

// onErased forgets the addresses by which uses were counted, and how many there were under
// each. Those under the id of the customer, who is nobody any more, stay.
func (s *service) onErased(ctx context.Context, tx *db.Tx, batch []event.Received[identityapi.CustomerErased]) error {
	customers := make([]string, len(batch))
	for i, r := range batch {
		customers[i] = r.Fact.CustomerID
	}
	return s.store.forget(ctx, tx, customers)
}

type redemptionRow struct {
	OrderID    uuid.UUID `db:"order_id"`
	Code       string    `db:"code"`
	Amount     int64     `db:"amount_minor"`
	Currency   string    `db:"currency"`
	RedeemedAt time.Time `db:"redeemed_at"`
}

func (store) redemptionsOf(ctx context.Context, tx *db.Tx, customer string) (list []redemptionRow, err error) {
	if err := tx.Select(ctx, &list, `
		select order_id, code, amount_minor, currency, redeemed_at from pricing.redemption where customer_id = $1 order by redeemed_at, order_id, discount_id`, customer); err != nil {
		return nil, fmt.Errorf("list redemptions: %w", err)
	}
	return list, nil
}

func (store) claim(ctx context.Context, tx *db.Tx, customer, email string) error {
	if _, err := tx.Exec(ctx, `
		with claimed as (
			update pricing.redemption set customer_id = $1 where email_key = $2 and customer_id is null returning discount_id, returned_at
		)
		insert into pricing.buyer_use as u (discount_id, buyer, uses)
		select d.id, $3, count(*) from claimed c join pricing.discount d on d.id = c.discount_id
		where c.returned_at is null and `+perBuyer+` is not null group by d.id order by d.id
		on conflict (tenant_id, discount_id, buyer) do update set uses = u.uses + excluded.uses`, customer, email, customerKey(customer)); err != nil {
		return fmt.Errorf("claim redemptions: %w", err)
	}
	return nil
}

func (store) forget(ctx context.Context, tx *db.Tx, customers []string) error {
	if _, err := tx.Exec(ctx, `
		with known as (
			select distinct email_key from pricing.redemption where customer_id = any($1) and email_key is not null
		), counted as (
			delete from pricing.buyer_use where buyer in (select email_key from known)
		)
		update pricing.redemption set email_key = null where email_key in (select email_key from known)`, db.Array(customers)); err != nil {
		return fmt.Errorf("forget who used discounts: %w", err)
	}
	return nil
}
