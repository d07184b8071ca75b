package orders

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

// paymentStatus says how an order stands with its money. It is derived from what payments
// told, so that it cannot be stuck.
type paymentStatus string

const (
	unpaid            paymentStatus = "unpaid"
	moneyHeld         paymentStatus = "authorized"
	partiallyPaid     paymentStatus = "partially_paid"
	fullyPaid         paymentStatus = "paid"
	overpaid          paymentStatus = "overpaid"
	partiallyRefunded paymentStatus = "partially_refunded"
	fullyRefunded     paymentStatus = "refunded"
	disputed          paymentStatus = "disputed"
)

// funds are what all payments of an order told together, in minor units of its currency.
type funds struct{ Held, Captured, Refunded, Disputed int64 }

// standing derives how an order stands with its money.
func (f funds) standing(total int64) paymentStatus {
	switch {
	case f.Disputed > 0:
		return disputed
	case f.Captured == 0 && f.Held > 0:
		return moneyHeld
	case f.Captured == 0 && total > 0:
		return unpaid
	case f.Refunded > 0 && f.Refunded >= f.Captured:
		return fullyRefunded
	case f.Refunded > 0 && f.Captured-f.Refunded < total:
		return partiallyRefunded
	case f.Captured < total:
		return partiallyPaid
	case f.Captured-f.Refunded > total:
		return overpaid
	}
	return fullyPaid
}

// owe is how an order begins.
func (o *order) owe() {
	o.Payment, o.Captured, o.Refunded, o.CalledOff, o.Returned, o.Fulfillment, o.Returning = unpaid, nothing(o.Total), nothing(o.Total), nothing(o.Total), nothing(o.Total), unfulfilled, noReturn
	o.Given = nothing(o.Total)
}

// settled says that nothing was left to pay at some time.
func (o order) settled() bool {
	return o.Status == paid || o.Status == shipped || o.Status == delivered
}

// given is what went back of a settled order beyond what it costs less: a refund by a free amount.
func (o order) given() money.Amount {
	if !o.settled() {
		return o.Given
	}
	return amountIn(o.Currency, max(o.Given.Minor, min(o.Refunded.Minor, o.due().Minor-(o.Captured.Minor-o.Refunded.Minor))))
}

// refundable is the most that can go back for units: what was paid for the order, less all that
// went back, or is about to.
func (o order) refundable() money.Amount {
	if !o.settled() {
		return nothing(o.Total)
	}
	return amountIn(o.Currency, max(0, o.due().Minor-o.given().Minor))
}

// covered says that nothing is left to pay.
func (o order) covered() bool {
	return o.Payment == fullyPaid || o.Payment == overpaid || o.due().IsZero() && o.Payment == unpaid
}

// heard is what a payment told last.
type heard struct {
	order, payment                           uuid.UUID
	status                                   string
	authorized, captured, refunded, disputed int64
	version                                  int64
}

// undone says that nothing comes of the payment, unless it is tried again.
func (h heard) undone() bool { return h.status == "failed" || h.status == "cancelled" }

func heardOf(p paymentsapi.Payment) (h heard, err error) {
	if h.order, err = uuid.Parse(p.OrderID); err != nil {
		return h, fmt.Errorf("order of a payment: %w", err)
	}
	if h.payment, err = uuid.Parse(p.PaymentID); err != nil {
		return h, fmt.Errorf("id of a payment: %w", err)
	}
	h.status, h.version = p.Status, p.Version
	for text, into := range map[*string]*int64{&p.Authorized: &h.authorized, &p.Captured: &h.captured, &p.Refunded: &h.refunded, &p.Disputed: &h.disputed} {
		m, err := money.Parse(*text, money.Currency(p.Currency))
		if err != nil {
			return h, fmt.Errorf("amount of payment %s: %w", p.PaymentID, err)
		}
		*into = m.Minor
	}
	return h, nil
}

// listenToPayments keeps what payments tell of orders.
func (m *Module) listenToPayments(bus *event.Bus) {
	event.OnBatch(bus, "orders.heed-payment-created", heed(m.svc, func(e paymentsapi.PaymentCreated) paymentsapi.Payment { return e.Payment }), event.Unhurried)
	event.OnBatch(bus, "orders.heed-payment-authorized", heed(m.svc, func(e paymentsapi.PaymentAuthorized) paymentsapi.Payment { return e.Payment }))
	event.OnBatch(bus, "orders.heed-payment-received", heed(m.svc, func(e paymentsapi.PaymentReceived) paymentsapi.Payment { return e.Payment }))
	event.OnBatch(bus, "orders.heed-payment-succeeded", heed(m.svc, func(e paymentsapi.PaymentSucceeded) paymentsapi.Payment { return e.Payment }))
	event.OnBatch(bus, "orders.heed-payment-failed", heed(m.svc, func(e paymentsapi.PaymentFailed) paymentsapi.Payment { return e.Payment }))
	event.OnBatch(bus, "orders.heed-payment-cancelled", heed(m.svc, func(e paymentsapi.PaymentCancelled) paymentsapi.Payment { return e.Payment }))
	event.OnBatch(bus, "orders.heed-payment-refunded", heed(m.svc, func(e paymentsapi.PaymentRefunded) paymentsapi.Payment { return e.Payment }))
	event.OnBatch(bus, "orders.heed-payment-disputed", heed(m.svc, func(e paymentsapi.PaymentDisputed) paymentsapi.Payment { return e.Payment }))
}

// heed keeps what payments told and derives from it how their orders stand, in seven statements
// at most however many there are; that payments begin is one. News that is older than what is
// known changes nothing, and neither does news of orders that there are not.
func heed[T any](s *service, of func(T) paymentsapi.Payment) func(context.Context, *db.Tx, []event.Received[T]) error {
	return func(ctx context.Context, tx *db.Tx, batch []event.Received[T]) error {
		causes := map[string]event.Received[T]{}
		latest := map[uuid.UUID]heard{}
		for _, r := range batch {
			h, err := heardOf(of(r.Fact))
			if err != nil {
				return err
			}
			if h.version > latest[h.payment].version {
				latest[h.payment], causes[h.order.String()] = h, r
			}
		}
		news, err := s.store.heed(ctx, tx, latest)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(slices.Collect(maps.Values(latest)), heard.undone) {
			if err := s.paying.see(ctx, tx); err != nil {
				return err
			}
		}
		if len(news) == 0 {
			return nil
		}
		due, err := s.store.settle(ctx, tx, news)
		if err == nil && slices.ContainsFunc(slices.Collect(maps.Values(latest)), func(h heard) bool { return h.refunded > 0 }) {
			err = s.store.closeReturns(ctx, tx, news)
		}
		if err != nil || len(due) == 0 {
			return err
		}
		settled, err := s.becomePaid(ctx, tx, due)
		if err != nil {
			return err
		}
		facts := make([]event.Event, len(settled))
		for i, o := range settled {
			facts[i] = event.Because(causes[o.ID.String()], ordersapi.OrderPaid{Order: fact(o)})
		}
		return s.events.Publish(ctx, tx, facts...)
	}
}
