package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// What stored timers go by: the names never change. Their subjects are ids, of an order to be
// closed; a notice's is that of its account and its own.
const (
	timerAttempt   = "payments.attempt"
	timerOperation = "payments.operation"
	timerRefund    = "payments.refund"
	timerNotice    = "payments.notice"
	timerReconcile = "payments.reconcile"
	timerClose     = "payments.close"
)

const (
	// firstLook is when an attempt is looked after for the first time. The request that began
	// it has been answered by then, or is gone.
	firstLook = 30 * time.Second
	// lastLook is for attempts that wait for the buyer or a bank: webhooks tell of those.
	lastLook = time.Hour
	// lastAsk is for what nobody has answered yet.
	lastAsk = 5 * time.Minute
	// soon is the pause of what goes on at once, but that others have errands too.
	soon = time.Second
	// forsakenAfter is how long an attempt may wait for its buyer.
	forsakenAfter = 24 * time.Hour
)

// pause before an errand is run again.
func pause(attempt int, longest time.Duration) time.Duration {
	return min(longest, firstLook<<min(attempt-1, 10))
}

// withAccount reads an attempt with the account that it is made with.
func (s *service) withAccount(ctx context.Context, tx *db.Tx, attempt uuid.UUID) (c charge, a account, err error) {
	if c, err = s.store.findAttempt(ctx, tx, attempt); err != nil {
		return c, a, err
	}
	a, err = s.store.account(ctx, tx, c.attempt.AccountID)
	return c, a, err
}

// lookAfterAttempt asks how an attempt stands until that is certain.
func (s *service) lookAfterAttempt(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("attempt to look after: %w", err)
	}
	var c charge
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		c, a, err = s.withAccount(ctx, tx, id)
		return err
	}); err != nil || c.rests() {
		return 0, err
	}
	o, failure := s.ask(ctx, c, a, false)
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		now, err := s.store.lockCharge(ctx, tx, id)
		if err != nil {
			return err
		}
		if failure == nil {
			if outrun, err := s.outrun(ctx, tx, &now, o, c.payment.Version); err != nil || outrun {
				return cmp.Or(err, errOutrun)
			}
		}
		if c, err = s.conclude(ctx, tx, id, o, failure); err != nil || !c.forsaken(tx.Now) {
			return err
		}
		return s.callOff(ctx, tx, &c)
	}); errors.Is(err, errOutrun) {
		return soon, nil
	} else if err != nil || c.rests() {
		return 0, err
	}
	if failure != nil {
		s.log.WarnContext(ctx, "the provider does not say how a payment stands", "payment", c.payment.ID, "attempt", id, "err", failure)
	}
	if c.attempt.State.rank() == 0 {
		return pause(n, lastAsk), nil
	}
	return pause(n, lastLook), nil
}

// forsaken says that the buyer has gone without paying.
func (c *charge) forsaken(now time.Time) bool {
	waits := c.attempt.State == state(provider.NeedsMethod) || c.attempt.State == state(provider.NeedsAction)
	return waits && now.Sub(c.attempt.CreatedAt) > forsakenAfter
}

// lookAfterOperation asks for a capture or a cancellation until there is an answer.
func (s *service) lookAfterOperation(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("operation to look after: %w", err)
	}
	var op operation
	var c charge
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if op, c, err = s.store.findOperation(ctx, tx, id); err != nil {
			return err
		}
		a, err = s.store.account(ctx, tx, c.attempt.AccountID)
		return err
	}); err != nil || op.State != opRequested {
		return 0, err
	}
	o, failure := s.performAgain(ctx, op, c, a)
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		_, err := s.concludeOperation(ctx, tx, op, o, failure)
		return err
	}); err != nil || failure == nil || declined(failure) != nil {
		return 0, err
	}
	return s.unanswered(ctx, n, failure, "operation", subject), nil
}

// unanswered has an errand run again whose call had no answer.
func (s *service) unanswered(ctx context.Context, n int, failure error, what, id string) time.Duration {
	s.log.WarnContext(ctx, "the provider does not answer", what, id, "err", failure)
	return pause(n, lastAsk)
}

// lookAfterRefund asks for a refund until the charge shows what became of it.
func (s *service) lookAfterRefund(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("refund to look after: %w", err)
	}
	var r refund
	var c charge
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if r, err = s.store.findRefund(ctx, tx, id); err != nil {
			return err
		}
		c, a, err = s.withAccount(ctx, tx, r.AttemptID)
		return err
	}); err != nil || r.Status != refundRequested {
		return 0, err
	}
	o, failure := s.repayAgain(ctx, r, c, a)
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		r, err = s.concludeRefund(ctx, tx, r.ID, r.AttemptID, o, failure)
		return err
	}); err != nil || r.Status != refundRequested {
		return 0, err
	}
	if failure == nil {
		return pause(n, lastAsk), nil
	}
	return s.unanswered(ctx, n, failure, "refund", subject), nil
}

const (
	reconcileEvery = time.Hour
	// unsettled is what is left for the next time: clocks differ, and lists may be behind.
	unsettled = 2 * time.Minute
	// A slice is compared at a time, and noted. It grows while there is little in it.
	shortestSlice = time.Minute
	longestSlice  = time.Hour
	little        = 50
	// reconcileFor is how long slices are begun: what is left of the errand's time is for the last.
	reconcileFor = 5 * time.Second
)

// reconcile compares what an account has charged with what is known here, and takes in what
// is not. Money that was begun goes on when the account is disabled.
func (s *service) reconcile(ctx context.Context, subject string, _ int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("account to reconcile: %w", err)
	}
	var a account
	var until time.Time
	used := true
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		until = tx.Now.Add(-unsettled)
		if a, err = s.store.account(ctx, tx, id); err != nil || a.Enabled {
			return err
		}
		used, err = s.store.paidWith(ctx, tx, id)
		return err
	}); err != nil {
		return 0, err
	}
	if !used {
		return reconcileEvery, nil
	}
	slice := provider.Span{From: a.CreatedAt}
	if a.ReconciledAt != nil {
		slice.From = *a.ReconciledAt
	}
	for began, length := s.now(), shortestSlice; slice.From.Before(until); slice.From = slice.Until {
		if s.now().Sub(began) > reconcileFor {
			return soon, nil
		}
		slice.Until = earlier(slice.From.Add(length), until)
		heard, err := s.compare(ctx, a, slice)
		if err != nil {
			return 0, err
		}
		if err := s.db.InTx(ctx, func(tx *db.Tx) error { return s.store.reconciled(ctx, tx, id, slice.Until) }); err != nil {
			return 0, err
		}
		if length = shortestSlice; heard < little {
			length = min(longestSlice, 2*slice.Until.Sub(slice.From))
		}
	}
	return reconcileEvery, nil
}

// compare takes in what changed at a provider in a time, and tells how much that was. What one
// charge is the matter with is no reason to leave out the others.
func (s *service) compare(ctx context.Context, a account, in provider.Span) (heard int, err error) {
	p, opened, err := s.opened(ctx, a)
	if err != nil {
		return 0, err
	}
	if err := p.Changed(ctx, opened, in, func(reference string, o provider.Object, err error) error {
		heard++
		if err == nil {
			err = s.hear(ctx, a, o, 0, "", nil)
		}
		if errors.Is(err, errOutrun) { // the list says nothing of when
			if err = s.look(ctx, a, reference, "", nil); errors.Is(err, errOutrun) || errors.Is(err, provider.ErrUnknownOutcome) {
				return err
			}
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, db.ErrUnavailable) || db.IsContention(err) || db.IsShortage(err) {
			return err
		}
		s.log.ErrorContext(ctx, "a charge cannot be taken in", "account", a.ID, "reference", reference, "err", err)
		return nil
	}); err != nil {
		return heard, fmt.Errorf("list what changed: %w", err)
	}
	return heard, nil
}
