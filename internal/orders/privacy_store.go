package orders

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// ofGuests are the orders of guests with an address, the statement's $1. Guests have any id but
// a UUID: those are customers'.
const ofGuests = `lower(email) = $1 and customer_id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'`

// adoptable is how many orders adopt would find.
func (store) adoptable(ctx context.Context, tx *db.Tx, email string) (n int, err error) {
	if err := tx.Get(ctx, &n, `select count(*) from orders.orders where `+ofGuests, email); err != nil {
		return 0, fmt.Errorf("count orders of guests: %w", err)
	}
	return n, nil
}

// mostAdopted is how many orders a statement may take its time with.
const mostAdopted = 500

// adopt makes a customer's the orders of guests with an address, up to mostAdopted of them.
// Rows are locked in the order of their ids.
func (s store) adopt(ctx context.Context, tx *db.Tx, customer, email string) ([]order, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, `
		update orders.orders set customer_id = $2, version = version + 1, updated_at = $3
		where id = any(array(select id from orders.orders where `+ofGuests+` order by id limit $4 for update)) returning `+orderColumns,
		email, customer, tx.Now, mostAdopted); err != nil {
		return nil, fmt.Errorf("claim orders: %w", err)
	}
	return s.withLines(ctx, tx, rows)
}

// forget takes out of customers' orders what says who they are. That something fails for
// want of stock says nothing of anybody.
func (store) forget(ctx context.Context, tx *db.Tx, customers []string) error {
	if _, err := tx.Exec(ctx, `
		update orders.timeline t set reason = null from orders.orders o
		where o.customer_id = any($1) and t.order_id = o.id and t.reason <> $2`, db.Array(customers), outOfStock); err != nil {
		return fmt.Errorf("forget reasons: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		with b as (
			select r.id from orders.return r join orders.orders o on o.id = r.order_id where o.customer_id = any($1)
		), l as (
			update orders.return_line l set note = null from b where l.return_id = b.id and l.note is not null
		)
		update orders.return r set answer = null, version = r.version + 1, updated_at = $2 from b where r.id = b.id`, db.Array(customers), tx.Now); err != nil {
		return fmt.Errorf("forget what was written about returns: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		update orders.orders
		set email = null, shipping_address = null, billing_address = null, ticket = null, metadata = '{}', reason = case when reason = $2 then reason end, version = version + 1, updated_at = $3
		where customer_id = any($1) and (email is not null or shipping_address is not null or billing_address is not null or ticket is not null or metadata <> '{}' or reason <> $2)`,
		db.Array(customers), outOfStock, tx.Now); err != nil {
		return fmt.Errorf("forget who bought: %w", err)
	}
	return nil
}
