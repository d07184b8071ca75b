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

// asked is what somebody else was asked for a payment, and the answer.
type asked struct {
	attempt uuid.UUID
	object  provider.Object
	failure error
}

// pay begins the payment of an order, or goes on with the one that there is: it never asks
// for the same money twice. A provider is asked outside of any transaction, with the id of an
// attempt that is written down before. Where nobody has to be asked it is all done in the
// transaction that begins it; told is called in that, and nothing was asked.
func (s *service) pay(ctx context.Context, w wish, told func(tx *db.Tx, c charge) error) (*asked, error) {
	for range 2 {
		b, err := s.begin(ctx, w, told)
		if err != nil || b.done {
			return nil, err
		}
		if !b.fresh && b.replaces(w) {
			// What the buyer chose before could still be paid, by another window: it has to be
			// over before something else is asked for.
			if b.charge, err = s.withdraw(ctx, b.charge, b.with); err != nil {
				return nil, err
			}
			if b.attempt.State.over() && b.payment.Captured.IsZero() {
				continue
			}
		}
		o, failure := s.ask(ctx, b.charge, b.with, b.fresh)
		return &asked{b.attempt.ID, o, failure}, nil
	}
	return nil, errInProgress
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

// begun is an attempt that is wanted.
type begun struct {
	charge

	with  account
	fresh bool // nobody has been asked for it
	done  bool // nobody has to be
}

// begin writes down what is wanted, unless it is wanted already.
func (s *service) begin(ctx context.Context, w wish, told func(tx *db.Tx, c charge) error) (b begun, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		if b, err = s.beginIn(ctx, tx, w); err != nil || !b.fresh {
			return err
		}
		house := s.houseOf(b.with.Provider)
		if house == nil {
			s.timers.Set(tx, timerAttempt, b.attempt.ID.String(), tx.Now.Add(firstLook))
			return nil
		}
		if err := s.chargeIn(ctx, tx, house, &b.charge); err != nil {
			return err
		}
		b.done = true
		return told(tx, b.charge)
	})
	return b, err
}

// chargeIn charges where nobody else has to be asked.
func (s *service) chargeIn(ctx context.Context, tx *db.Tx, by house, c *charge) error {
	o, err := by.ChargeIn(ctx, tx, c.attempt.AccountID.String(), c.wanted())
	if err != nil {
		return err
	}
	n, err := s.takeIn(ctx, tx, c, o)
	if err != nil {
		return err
	}
	if err := s.write(ctx, tx, c, &n); err != nil || c.rests() {
		return err
	}
	s.timers.Set(tx, timerAttempt, c.attempt.ID.String(), tx.Now.Add(firstLook))
	return nil
}

func (s *service) beginIn(ctx context.Context, tx *db.Tx, w wish) (begun, error) {
	owed, err := s.payableBy(ctx, tx, w.Order, w.Ticket)
	if err != nil {
		return begun{}, err
	}
	if owed.Closed {
		return begun{}, errNotPayable
	}
	b, first, err := s.store.lockPayable(ctx, tx, payable{OrderID: w.Order, CustomerID: owed.CustomerID, Total: owed.Total})
	if err != nil {
		return begun{}, err
	}
	if b.Closed != "" {
		return begun{}, errNotPayable
	}
	var before []charge
	if !first {
		if before, err = s.store.ofOrder(ctx, tx, w.Order); err != nil {
			return begun{}, err
		}
	}
	if at := slices.IndexFunc(before, func(c charge) bool { return c.live() }); at >= 0 {
		c := before[at]
		if w.Provider != "" && w.Provider != c.payment.Provider && !c.leaves(w) {
			return begun{}, errInProgress.Saying("A payment by %s is going on. Cancel it first.", c.payment.Provider).With("paymentId", c.payment.ID.String())
		}
		a, err := s.store.account(ctx, tx, c.attempt.AccountID)
		return begun{charge: c, with: a}, err
	}
	due, err := dueOf(b.Total, before, owed.Settled)
	if err != nil {
		return begun{}, err
	}
	if len(before) > 0 {
		if err := s.store.mayTry(ctx, tx, w.Order); err != nil {
			return begun{}, err
		}
	}
	a, err := s.store.accountFor(ctx, tx, w.Provider)
	if err != nil {
		return begun{}, err
	}
	if s.providers[a.Provider] == nil {
		return begun{}, errNoProvider.Saying("This program does not have the provider %s.", a.Provider)
	}
	c := drafted(b, a, due, w, tx.Now)
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
	if err != nil {
		return begun{}, err
	}
	return begun{charge: c, with: a, fresh: true}, s.events.Publish(ctx, tx, paymentCreated(c.payment))
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
