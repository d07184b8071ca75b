package pricing

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// onCancelled and onFailed give back what orders have used that will not be.
func (s *service) onCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderCancelled]) error {
	return giveBack(ctx, tx, s, batch, func(e ordersapi.OrderCancelled) string { return e.OrderID })
}

func (s *service) onFailed(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderFailed]) error {
	return giveBack(ctx, tx, s, batch, func(e ordersapi.OrderFailed) string { return e.OrderID })
}

func giveBack[T any](ctx context.Context, tx *db.Tx, s *service, batch []event.Received[T], orderOf func(T) string) error {
	orders := make([]string, len(batch))
	for i, r := range batch {
		orders[i] = orderOf(r.Fact)
	}
	return s.store.giveBack(ctx, tx, orders)
}

// giveBack returns what orders have used, once, however often it is asked for. It waits for
// budgets, then for codes, then for buyers, as whoever uses them does.
func (store) giveBack(ctx context.Context, tx *db.Tx, orders []string) error {
	const live = `r.order_id = any($1::uuid[]) and r.returned_at is null`
	n, err := tx.Exec(ctx, `select from pricing.redemption r where `+live+` order by r.order_id, r.discount_id for no key update`, db.Array(orders))
	if err != nil {
		return fmt.Errorf("find what to give back: %w", err)
	}
	if n == 0 {
		return nil
	}
	for _, lock := range []string{
		`select from pricing.budget where discount_id in (select r.discount_id from pricing.redemption r where ` + live + `) order by discount_id for no key update`,
		`select from pricing.code where max_uses is not null and code in (select r.code from pricing.redemption r where ` + live + `) order by code for no key update`,
		`select from pricing.buyer_use where (discount_id, buyer) in (
			select r.discount_id, k from pricing.redemption r, unnest(array['customer:' || r.customer_id, r.email_key]) k where ` + live + `) order by discount_id, buyer for no key update`,
	} {
		if _, err := tx.Exec(ctx, lock, db.Array(orders)); err != nil {
			return fmt.Errorf("wait for what to give back: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, `
		with back as (
			update pricing.redemption set returned_at = $2 where order_id = any($1::uuid[]) and returned_at is null
			returning discount_id id, code, amount_minor, customer_id, email_key
		), budget as (
			update pricing.budget b set uses = greatest(0, b.uses - s.n), spent_minor = greatest(0, b.spent_minor - s.amount)
			from (select id, count(*) n, sum(amount_minor) amount from back group by id) s where b.discount_id = s.id
		), coupon as (
			update pricing.code c set uses = greatest(0, c.uses - s.n) from (select code, count(*) n from back where code <> '' group by code) s
			where c.code = s.code and c.max_uses is not null
		)
		update pricing.buyer_use u set uses = greatest(0, u.uses - s.n)
		from (select id, k, count(*) n from back, unnest(array['customer:' || customer_id, email_key]) k where k is not null group by id, k) s
		where u.discount_id = s.id and u.buyer = s.k`, db.Array(orders), tx.Now); err != nil {
		return fmt.Errorf("give back discounts: %w", err)
	}
	return nil
}
