package orders

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
)

// postbox is what orders needs to write to buyers.
type postbox interface {
	Send(ctx context.Context, tx *db.Tx, m mail.Message) error
	Forget(ctx context.Context, tx *db.Tx, address string) error
}

// notErased are the customers among the buyers of orders to whom may be written. It comes before
// the orders are locked: who forgets a customer locks them the other way round.
func (s *service) notErased(ctx context.Context, tx *db.Tx, orders []string) (map[string]bool, error) {
	buyers, err := s.store.buyersOf(ctx, tx, orders)
	if err != nil {
		return nil, err
	}
	erased, err := erasure.Among(ctx, tx, buyers)
	if err != nil {
		return nil, err
	}
	may := map[string]bool{}
	for _, b := range buyers {
		may[b] = !erased[b]
	}
	return may, nil
}

// tellShort writes to the buyers of orders that failed for lack of stock, with what goes back to
// them. It is in the transaction in which they fail, which they do once.
func (s *service) tellShort(ctx context.Context, tx *db.Tx, failed []order, may map[string]bool) error {
	for _, o := range failed {
		to, err := s.addressOf(ctx, tx, o, may)
		if err != nil {
			return err
		}
		if !mail.Deliverable(to) { // what an order says need be none that mail can be sent to
			continue
		}
		data := map[string]string{"order": strconv.FormatInt(o.Number, 10)}
		back, err := o.Captured.Sub(o.Refunded)
		if err != nil {
			return fmt.Errorf("what goes back of order %s: %w", o.ID, err)
		}
		if back.Minor > 0 {
			data["refund"] = back.String()
		}
		if err := s.mail.Send(ctx, tx, mail.Message{To: to, Template: "order-short", Data: data}); err != nil {
			return fmt.Errorf("tell the buyer of order %s: %w", o.ID, err)
		}
	}
	return nil
}

// registered tells customers who have a record from guests, who have any other name.
func registered(buyer string) bool { return uuid.Validate(buyer) == nil }

// addressOf is where to write to a buyer: what the order says, or else what a customer has shown
// to be theirs; empty when there is nothing.
func (s *service) addressOf(ctx context.Context, tx *db.Tx, o order, may map[string]bool) (string, error) {
	if !registered(o.CustomerID) {
		return o.Email, nil
	}
	// Whose the order became in this moment was not looked up: they may be about to be erased.
	if !may[o.CustomerID] {
		return "", nil
	}
	if o.Email != "" || s.customers == nil {
		return o.Email, nil
	}
	email, _, err := s.customers.ProvenEmail(ctx, tx, o.CustomerID)
	return email, err
}

// takeBack drops what was written to customers under the addresses of their orders and has not
// left. What was written to the address of an account, goes with the account.
func (s *service) takeBack(ctx context.Context, tx *db.Tx, customers []string) error {
	addresses, err := s.store.addressesOf(ctx, tx, customers)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if err := s.mail.Forget(ctx, tx, a); err != nil {
			return err
		}
	}
	return nil
}

func (store) addressesOf(ctx context.Context, tx *db.Tx, customers []string) (list []string, err error) {
	if err := tx.Select(ctx, &list, `
		select distinct email from orders.orders where customer_id = any($1) and status = 'failed' and email is not null`, db.Array(customers)); err != nil {
		return nil, fmt.Errorf("look for where letters went: %w", err)
	}
	return list, nil
}

// buyersOf are the customers who placed orders, those of them who have a record.
func (store) buyersOf(ctx context.Context, tx *db.Tx, orders []string) (buyers []string, err error) {
	var list []string
	if err := tx.Select(ctx, &list, `select distinct customer_id from orders.orders where id = any((select $1)::uuid[]) and customer_id is not null`, db.Array(orders)); err != nil {
		return nil, fmt.Errorf("look for who bought: %w", err)
	}
	for _, c := range list {
		if registered(c) {
			buyers = append(buyers, c)
		}
	}
	return buyers, nil
}
