package payments

import (
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
	lastLook  = time.Hour
)

// pause before an errand is run again.
func pause(attempt int) time.Duration { return min(lastLook, firstLook<<min(attempt-1, 10)) }

// lookAfterAttempt asks how an attempt stands until that is certain.
func (s *service) lookAfterAttempt(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("attempt to look after: %w", err)
	}
	var c charge
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if c, err = s.store.findAttempt(ctx, tx, id); err != nil {
			return err
		}
		a, err = s.store.account(ctx, tx, c.attempt.AccountID)
		return err
	}); err != nil {
		return 0, err
	}
	if c.rests() {
		return 0, nil
	}
	o, failure := s.ask(ctx, c, a, false)
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		c, err = s.conclude(ctx, tx, id, o, failure)
		return err
	}); err != nil {
		return 0, err
	}
	if c.rests() {
		return 0, nil
	}
	if failure != nil {
		s.log.WarnContext(ctx, "the provider does not say how a payment stands", "payment", c.payment.ID, "attempt", id, "err", failure)
	}
	return pause(n), nil
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
	o, failure := s.perform(ctx, op, c, a)
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		_, err := s.concludeOperation(ctx, tx, op, o, failure)
		return err
	}); err != nil {
		return 0, err
	}
	return s.unlessAnswered(ctx, n, failure, "operation", subject)
}

// unlessAnswered has an errand run again when its call was not answered.
func (s *service) unlessAnswered(ctx context.Context, n int, failure error, what, id string) (time.Duration, error) {
	var no *provider.Declined
	if failure == nil || errors.As(failure, &no) {
		return 0, nil
	}
	s.log.WarnContext(ctx, "the provider does not answer", what, id, "err", failure)
	return pause(n), nil
}

// lookAfterRefund asks for a refund until there is an answer.
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
		if c, err = s.store.findAttempt(ctx, tx, r.AttemptID); err != nil {
			return err
		}
		a, err = s.store.account(ctx, tx, c.attempt.AccountID)
		return err
	}); err != nil || r.Status != refundRequested {
		return 0, err
	}
	o, failure := s.repay(ctx, r, c, a)
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		_, err := s.concludeRefund(ctx, tx, r.ID, r.AttemptID, o, failure)
		return err
	}); err != nil {
		return 0, err
	}
	return s.unlessAnswered(ctx, n, failure, "refund", subject)
}

const (
	reconcileEvery = time.Hour
	// overlap is how much of what was compared is compared again: clocks differ.
	overlap = 2 * time.Hour
)

// reconcile compares what an account has charged with what is known here, and takes in what
// is not.
func (s *service) reconcile(ctx context.Context, subject string, _ int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("account to reconcile: %w", err)
	}
	var a account
	var began time.Time
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		began = tx.Now
		a, err = s.store.account(ctx, tx, id)
		return err
	}); err != nil {
		return 0, err
	}
	if !a.Enabled {
		return reconcileEvery, nil
	}
	p, opened, err := s.opened(ctx, a)
	if err != nil {
		return 0, err
	}
	since := a.CreatedAt
	if a.ReconciledAt != nil {
		since = a.ReconciledAt.Add(-overlap)
	}
	if err := p.Changed(ctx, opened, since, func(o provider.Object) error { return s.hear(ctx, a, o, "", nil) }); err != nil {
		return 0, fmt.Errorf("list what changed: %w", err)
	}
	return reconcileEvery, s.db.InTx(ctx, func(tx *db.Tx) error { return s.store.reconciled(ctx, tx, id, began) })
}
