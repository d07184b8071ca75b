package payments

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// fact makes an event of a payment.
type fact func(payment) event.Event

func paymentCreated(p payment) event.Event { return paymentsapi.PaymentCreated{Payment: shown(p)} }
func paymentAuthorized(p payment) event.Event {
	return paymentsapi.PaymentAuthorized{Payment: shown(p)}
}

func paymentReceived(p payment) event.Event { return paymentsapi.PaymentReceived{Payment: shown(p)} }

func paymentSucceeded(p payment) event.Event { return paymentsapi.PaymentSucceeded{Payment: shown(p)} }

func paymentCancelled(p payment) event.Event { return paymentsapi.PaymentCancelled{Payment: shown(p)} }

func paymentRefunded(p payment) event.Event { return paymentsapi.PaymentRefunded{Payment: shown(p)} }

func paymentDisputed(p payment) event.Event { return paymentsapi.PaymentDisputed{Payment: shown(p)} }

func paymentFailed(p payment) event.Event {
	e := paymentsapi.PaymentFailed{Payment: shown(p)}
	if p.Failure != nil {
		e.Reason = p.Failure.Code
	}
	return e
}

func shown(p payment) paymentsapi.Payment {
	return paymentsapi.Payment{
		PaymentID: p.ID.String(), OrderID: p.OrderID.String(), Provider: p.Provider, Amount: p.Amount.Decimal(), Currency: string(p.Amount.Currency), Status: p.Status,
		Authorized: p.Authorized.Decimal(), Captured: p.Captured.Decimal(), Refunded: p.Refunded.Decimal(), Disputed: p.Disputed.Decimal(), Version: p.Version,
	}
}

// publish records facts of a payment. Each is a version of its own, so that readers can tell
// the last one; all of them tell the same amounts.
func (s *service) publish(ctx context.Context, tx *db.Tx, p *payment, facts []fact) error {
	events := make([]event.Event, len(facts))
	for i, f := range facts {
		p.Version++
		events[i] = f(*p)
	}
	if len(events) == 0 {
		return nil
	}
	return s.events.Publish(ctx, tx, events...)
}

func (s *service) onOrderFailed(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderFailed]) error {
	orders := make([]ordersapi.Order, len(batch))
	for i, r := range batch {
		orders[i] = r.Fact.Order
	}
	return s.close(ctx, tx, orders, reasonFailed)
}

func (s *service) onOrderCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderCancelled]) error {
	orders := make([]ordersapi.Order, len(batch))
	for i, r := range batch {
		orders[i] = r.Fact.Order
	}
	return s.close(ctx, tx, orders, reasonCancelled)
}

// close ends what there is to pay for orders. What is known to be paid goes back next; what
// becomes known later goes back then.
func (s *service) close(ctx context.Context, tx *db.Tx, orders []ordersapi.Order, reason string) error {
	list := make([]payable, len(orders))
	for i, o := range orders {
		id, err := uuid.Parse(o.OrderID)
		if err != nil {
			return fmt.Errorf("order to close: %w", err)
		}
		total, err := money.Parse(o.Total, money.Currency(o.Currency))
		if err != nil {
			return fmt.Errorf("total of order %s: %w", o.OrderID, err)
		}
		list[i] = payable{OrderID: id, CustomerID: o.CustomerID, Total: total, Closed: reason}
	}
	begun, err := s.store.closePayables(ctx, tx, list)
	if err != nil {
		return err
	}
	// Of each of them there is much to write: not while this batch holds the locks of all.
	s.timers.SetAll(tx, timerClose, begun, tx.Now)
	return nil
}

// onItemsCancelled lowers what there is to pay for orders of which a part was called off. What
// was paid for that is more than they cost now, and goes back next.
func (s *service) onItemsCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ItemsCancelled]) error {
	list := make([]lowered, len(batch))
	for i, r := range batch {
		list[i] = lowered{r.Fact.OrderID, r.Fact.CustomerID, r.Fact.Due, r.Fact.Currency}
	}
	return s.lower(ctx, tx, list)
}

// onReturnReceived is the same for orders of which a part came back.
func (s *service) onReturnReceived(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ReturnReceived]) error {
	list := make([]lowered, len(batch))
	for i, r := range batch {
		list[i] = lowered{r.Fact.OrderID, r.Fact.CustomerID, r.Fact.Due, r.Fact.Currency}
	}
	return s.lower(ctx, tx, list)
}

// lowered is an order that costs less than it did, as a fact says so.
type lowered struct{ order, customer, due, currency string }

func (s *service) lower(ctx context.Context, tx *db.Tx, news []lowered) error {
	least := map[uuid.UUID]payable{}
	for _, l := range news {
		id, err := uuid.Parse(l.order)
		if err != nil {
			return fmt.Errorf("order that costs less: %w", err)
		}
		due, err := money.Parse(l.due, money.Currency(l.currency))
		if err != nil {
			return fmt.Errorf("rest of order %s: %w", l.order, err)
		}
		if known, ok := least[id]; !ok || due.Minor < known.Total.Minor {
			least[id] = payable{OrderID: id, CustomerID: l.customer, Total: due}
		}
	}
	begun, err := s.store.lowerPayables(ctx, tx, slices.Collect(maps.Values(least)))
	if err != nil {
		return err
	}
	s.timers.SetAll(tx, timerClose, begun, tx.Now)
	return nil
}

// letGo gives up all payments of an order that is not to be paid any more, and gives back what
// is more than the order costs now.
func (s *service) letGo(ctx context.Context, tx *db.Tx, subject string) error {
	order, err := uuid.Parse(subject)
	if err != nil {
		return fmt.Errorf("order to let go: %w", err)
	}
	list, err := s.store.lockOrder(ctx, tx, order)
	if err != nil {
		return err
	}
	latest := map[uuid.UUID]payment{}
	for _, c := range list {
		if p, ok := latest[c.payment.ID]; ok {
			c.payment = p
		}
		if err := s.keep(ctx, tx, &c, news{changed: c.payable.Closed == ""}); err != nil {
			return err
		}
		latest[c.payment.ID] = c.payment
	}
	return nil
}

// onOrderClaimed tells whose a guest's payments are now.
func (s *service) onOrderClaimed(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderClaimed]) error {
	orders, customers := make([]string, 0, len(batch)), make([]string, 0, len(batch))
	last := map[string]int{}
	for _, r := range batch {
		if i, ok := last[r.Fact.OrderID]; ok {
			customers[i] = r.Fact.CustomerID
			continue
		}
		last[r.Fact.OrderID] = len(orders)
		orders, customers = append(orders, r.Fact.OrderID), append(customers, r.Fact.CustomerID)
	}
	return s.store.claim(ctx, tx, orders, customers)
}
