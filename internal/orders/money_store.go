package orders

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// heed keeps what payments told last and returns the orders that may stand otherwise for it:
// that a payment begins changes nothing of them. The orders are locked, in the order of their ids.
func (store) heed(ctx context.Context, tx *db.Tx, latest map[uuid.UUID]heard) ([]string, error) {
	n := len(latest)
	orders, payments, states := make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
	held, captured, refunded, doubted, versions := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for _, id := range slices.SortedFunc(maps.Keys(latest), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) {
		h := latest[id]
		orders, payments, states = append(orders, h.order.String()), append(payments, h.payment.String()), append(states, h.status)
		held, captured, refunded, doubted = append(held, h.authorized), append(captured, h.captured), append(refunded, h.refunded), append(doubted, h.disputed)
		versions = append(versions, h.version)
	}
	var news []string
	if err := tx.Select(ctx, &news, db.Keep+`
		with ours as materialized (
			select id from orders.orders where id = any((select $1)::uuid[]) order by id for update
		), told as (
			insert into orders.payment as old (order_id, payment_id, status, authorized_minor, captured_minor, refunded_minor, disputed_minor, version, updated_at)
			select n.order_id, n.payment_id, n.status, n.authorized, n.captured, n.refunded, n.disputed, n.version, $9
			from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
			     n(order_id, payment_id, status, authorized, captured, refunded, disputed, version) join ours on ours.id = n.order_id
			on conflict (tenant_id, order_id, payment_id) do update
			set status = excluded.status, authorized_minor = excluded.authorized_minor, captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor,
			    disputed_minor = excluded.disputed_minor, version = excluded.version, updated_at = excluded.updated_at
			where old.version < excluded.version
			returning order_id, xmax = 0 fresh, authorized_minor + captured_minor + refunded_minor + disputed_minor funds
		)
		select order_id::text from told where not (fresh and funds = 0)`,
		db.Array(orders), db.Array(payments), db.Array(states), db.Array(held), db.Array(captured), db.Array(refunded), db.Array(doubted), db.Array(versions), tx.Now); err != nil {
		return nil, fmt.Errorf("keep what payments told: %w", err)
	}
	slices.Sort(news)
	return slices.Compact(news), nil
}

// settle derives anew how orders stand with their money, and returns those that are confirmed
// and have nothing left to pay.
func (store) settle(ctx context.Context, tx *db.Tx, orders []string) ([]string, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID       string `db:"id"`
		Status   string `db:"status"`
		Payment  string `db:"payment_status"`
		Due      int64  `db:"due_minor"`
		Was      int64  `db:"was_captured"`
		WasBack  int64  `db:"was_refunded"`
		Held     int64  `db:"held"`
		Captured int64  `db:"captured"`
		Refunded int64  `db:"refunded"`
		Disputed int64  `db:"disputed"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`
		select o.id::text id, o.status, o.payment_status, o.total_minor - o.cancelled_minor - o.returned_minor due_minor, o.captured_minor was_captured, o.refunded_minor was_refunded,
		       coalesce(sum(p.authorized_minor - p.captured_minor) filter (where p.status = 'authorized'), 0)::bigint held,
		       coalesce(sum(p.captured_minor), 0)::bigint captured, coalesce(sum(p.refunded_minor), 0)::bigint refunded, coalesce(sum(p.disputed_minor), 0)::bigint disputed
		from orders.orders o join orders.payment p on p.order_id = o.id where o.id = any((select $1)::uuid[])
		group by o.id, o.status, o.payment_status, o.total_minor, o.cancelled_minor, o.returned_minor, o.captured_minor, o.refunded_minor`, db.Array(orders)); err != nil {
		return nil, fmt.Errorf("add up what was paid: %w", err)
	}
	var ids, standings, due []string
	var captured, refunded []int64
	for _, r := range rows {
		now := funds{r.Held, r.Captured, r.Refunded, r.Disputed}.standing(r.Due)
		if now == fullyPaid || now == overpaid {
			if status(r.Status) == confirmed {
				due = append(due, r.ID)
			}
		}
		if string(now) != r.Payment || r.Was != r.Captured || r.WasBack != r.Refunded {
			ids, standings, captured, refunded = append(ids, r.ID), append(standings, string(now)), append(captured, r.Captured), append(refunded, r.Refunded)
		}
	}
	if len(ids) == 0 {
		return due, nil
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with changed as (
			update orders.orders o set payment_status = n.standing, captured_minor = n.captured, refunded_minor = n.refunded, version = o.version + 1, updated_at = $5
			from unnest((select $1::uuid[]), (select $2::text[]), (select $3::bigint[]), (select $4::bigint[])) n(id, standing, captured, refunded) where o.id = n.id
			returning o.id, o.version, o.status, o.payment_status
		)
		insert into orders.timeline (order_id, version, status, payment_status, actor, at) select id, version, status, payment_status, $6, $5 from changed`,
		db.Array(ids), db.Array(standings), db.Array(captured), db.Array(refunded), tx.Now, id.Actor); err != nil {
		return nil, fmt.Errorf("save what was paid: %w", err)
	}
	return due, nil
}
