package payments

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// wish is what a payment is asked for with.
type wish struct {
	Order     uuid.UUID
	Ticket    string // of a guest's order
	Provider  string // empty: the preferred account's
	Method    string
	Capture   string // empty: as the account says
	ReturnURL string
}

// holds says that the money is to be captured by somebody, later.
func (w wish) holds(a account) bool { return cmp.Or(w.Capture, a.Capture) == captureManual }

// pay begins the payment of an order, or goes on with the one that there is: it never asks
// for the same money twice. The provider is asked outside of any transaction, with the id of an
// attempt that is written down before.
func (s *service) pay(ctx context.Context, w wish) (attempt uuid.UUID, o provider.Object, failure error, err error) {
	for range 2 {
		c, a, fresh, err := s.begin(ctx, w)
		if err != nil {
			return uuid.Nil, o, nil, err
		}
		if !fresh && c.replaces(w) {
			// What the buyer chose before could still be paid, by another window: it has to be
			// over before something else is asked for.
			if c, err = s.withdraw(ctx, c, a); err != nil {
				return uuid.Nil, o, nil, err
			}
			if c.attempt.State.over() && c.payment.Captured.IsZero() {
				continue
			}
		}
		o, failure = s.ask(ctx, c, a, fresh)
		return c.attempt.ID, o, failure, nil
	}
	return uuid.Nil, o, nil, errInProgress
}

// replaces says that the buyer wants to pay with something else than what an attempt waits
// to be paid with.
func (c *charge) replaces(w wish) bool {
	return c.leaves(w) || c.waits() && w.Method != "" && (w.Method != c.attempt.Method || c.payment.Failure != nil)
}

// waits says that an attempt waits for its buyer.
func (c *charge) waits() bool {
	return c.attempt.State == state(provider.NeedsMethod) || c.attempt.State == state(provider.NeedsAction)
}

// leaves says that the buyer wants to pay by another provider, and that nothing keeps them: the
// one before waits for them, or for a bank transfer of which nothing has come.
func (c *charge) leaves(w wish) bool {
	other := w.Provider != "" && w.Provider != c.payment.Provider
	return other && c.payment.Captured.IsZero() && (c.waits() || c.payment.Provider == manualName)
}

// begin writes down what is wanted, unless it is wanted already.
func (s *service) begin(ctx context.Context, w wish) (c charge, a account, fresh bool, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		owed, err := s.payableBy(ctx, tx, w.Order, w.Ticket)
		if err != nil {
			return err
		}
		if owed.Closed {
			return errNotPayable
		}
		b, first, err := s.store.lockPayable(ctx, tx, payable{OrderID: w.Order, CustomerID: owed.CustomerID, Total: owed.Total})
		if err != nil {
			return err
		}
		if b.Closed != "" {
			return errNotPayable
		}
		var before []charge
		if !first {
			if before, err = s.store.ofOrder(ctx, tx, w.Order); err != nil {
				return err
			}
		}
		if at := slices.IndexFunc(before, func(c charge) bool { return c.live() }); at >= 0 {
			c, fresh = before[at], false
			if w.Provider != "" && w.Provider != c.payment.Provider && !c.leaves(w) {
				return errInProgress.Saying("A payment by %s is going on. Cancel it first.", c.payment.Provider).With("paymentId", c.payment.ID.String())
			}
			a, err = s.store.account(ctx, tx, c.attempt.AccountID)
			return err
		}
		due, err := dueOf(b.Total, before, owed.Settled)
		if err != nil {
			return err
		}
		if len(before) > 0 {
			if err := s.store.mayTry(ctx, tx, w.Order); err != nil {
				return err
			}
		}
		if a, err = s.store.accountFor(ctx, tx, w.Provider); err != nil {
			return err
		}
		if s.providers[a.Provider] == nil {
			return errNoProvider.Saying("This program does not have the provider %s.", a.Provider)
		}
		c, fresh = drafted(b, a, due, w, tx.Now), true
		// A payment that came to nothing is tried again.
		if at := slices.IndexFunc(before, func(old charge) bool {
			return old.payment.Captured.IsZero() && old.payment.AccountID == a.ID && old.payment.Manual == w.holds(a)
		}); at >= 0 {
			retried := before[at].payment
			retried.Amount, retried.AttemptID, retried.Status, retried.Failure, retried.UpdatedAt = due, c.attempt.ID, processing, nil, tx.Now
			retried.Version++
			c.payment, c.attempt.PaymentID = retried, retried.ID
			err = s.store.tryAgain(ctx, tx, c)
		} else {
			err = s.store.begin(ctx, tx, c)
		}
		if err == nil {
			err = s.events.Publish(ctx, tx, paymentCreated(c.payment))
		}
		if err != nil {
			return err
		}
		s.timers.Set(tx, timerAttempt, c.attempt.ID.String(), tx.Now.Add(firstLook))
		return nil
	})
	return c, a, fresh, err
}

// dueOf is what is still to pay for an order. What was given back of one that is not settled yet
// is to be paid anew; of one that was, it is the shop's to give.
func dueOf(total money.Amount, payments []charge, settled bool) (money.Amount, error) {
	due := total
	for _, c := range payments {
		paid, err := c.payment.Captured, error(nil)
		if !settled {
			paid, err = c.payment.refundable()
		}
		if err != nil {
			return due, err
		}
		if due, err = due.Sub(paid); err != nil {
			return due, err
		}
	}
	if due.Minor <= 0 {
		return due, errPaid
	}
	return due, nil
}

func drafted(b payable, a account, due money.Amount, w wish, now time.Time) charge {
	none := money.Amount{Currency: due.Currency}
	t := attempt{
		ID: clock.NewID(), AccountID: a.ID, State: requested, Method: w.Method, ReturnURL: w.ReturnURL, Amount: due, Capturable: none, Captured: none, Fee: none, CreatedAt: now,
	}
	p := payment{
		ID: clock.NewID(), OrderID: b.OrderID, AccountID: a.ID, Provider: a.Provider, CustomerID: b.CustomerID, Amount: due, Manual: w.holds(a), Status: processing, AttemptID: t.ID,
		Authorized: none, Captured: none, Refunding: none, Refunded: none, Disputed: none, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	t.PaymentID = p.ID
	return charge{b, p, t}
}
