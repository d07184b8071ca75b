package orders

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Payable is what there is to pay for an order, for who takes the money, in their transaction;
// ok is false when there is no such order. ticket is what a guest shows, empty for nothing.
func (m *Module) Payable(ctx context.Context, tx *db.Tx, id uuid.UUID, ticket string) (p ordersapi.Payable, ok bool, err error) {
	return m.svc.store.payable(ctx, tx, id, ticket)
}

func (store) payable(ctx context.Context, tx *db.Tx, id uuid.UUID, ticket string) (p ordersapi.Payable, ok bool, err error) {
	var r struct {
		CustomerID string `db:"customer_id"`
		Status     string `db:"status"`
		Currency   string `db:"currency"`
		Total      int64  `db:"due_minor"`
		Ticket     []byte `db:"ticket"`
	}
	switch err := tx.Get(ctx, &r, db.Keep+`select customer_id, status, currency, total_minor - cancelled_minor - returned_minor due_minor, ticket from orders.orders where id = $1`, id); {
	case db.IsNoRows(err):
		return p, false, nil
	case err != nil:
		return p, false, fmt.Errorf("find what to pay: %w", err)
	}
	at := status(r.Status)
	closed := at == failed || at == cancelled
	return ordersapi.Payable{
		OrderID: id.String(), CustomerID: r.CustomerID, Total: money.Amount{Minor: r.Total, Currency: money.Currency(r.Currency)}, Closed: closed, Settled: !closed && at != created && at != confirmed,
		Ticketed: r.Ticket != nil, Opened: order{Ticket: r.Ticket}.opensTo(ticket),
	}, true, nil
}
