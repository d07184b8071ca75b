package payments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var errRefused = fault.New(fault.Conflict, "provider_refused", "The provider does not do this.")

const (
	opCapture = "capture"
	opCancel  = "cancel"
)

const (
	opRequested = "requested"
	opDone      = "done"
	opFailed    = "failed"
)

// operation is a capture or a cancellation that somebody wants. Its id is the key that the
// provider is asked with.
type operation struct {
	ID        uuid.UUID
	PaymentID uuid.UUID
	AttemptID uuid.UUID
	Kind      string
	Amount    money.Amount
	State     string
	CreatedAt time.Time
}

// codeOvertaken is why nobody was asked for an operation: the charge had come to another end.
const codeOvertaken = "overtaken"

// want writes down what is wanted of an attempt, unless it is wanted already. due is when the
// errand takes it up, if nobody does before.
func (s *service) want(ctx context.Context, tx *db.Tx, c *charge, id uuid.UUID, kind string, amount money.Amount, due time.Time) (operation, error) {
	open, err := s.store.openOperation(ctx, tx, c)
	switch {
	case err != nil:
		return operation{}, err
	case open != nil && (open.Kind != kind || open.Amount != amount):
		return operation{}, errInProgress
	case open != nil:
		return *open, nil
	}
	op := operation{id, c.payment.ID, c.attempt.ID, kind, amount, opRequested, tx.Now}
	if err := s.store.insertOperation(ctx, tx, op); err != nil {
		return operation{}, err
	}
	s.timers.Set(tx, timerOperation, op.ID.String(), due)
	return op, nil
}

// capture decides what is to be captured of what is held.
func (c *charge) capture(amount money.Amount) (money.Amount, error) {
	held := c.attempt.Capturable
	switch {
	case c.payable.Closed != "":
		return held, errNotPayable
	case held.IsZero():
		return held, errNotCapturable
	case amount.Minor > held.Minor:
		return held, errAmountTooLarge.Saying("Of this payment %s can be captured.", held).With("capturable", held.Decimal()).At("/amount", errAmountTooLarge.Code, "is more than "+held.Decimal())
	}
	return amount, nil
}

// outcome is what a charge says became of an operation: requested is nothing yet.
func (op operation) outcome(o provider.Object) string {
	if !state(o.Phase).over() {
		return opRequested
	}
	if (o.Phase == provider.Succeeded) == (op.Kind == opCapture) {
		return opDone
	}
	return opFailed
}

// perform asks the provider for an operation.
func (s *service) perform(ctx context.Context, op operation, c charge, a account) (provider.Object, error) {
	return s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
		if op.Kind == opCancel {
			return p.Cancel(ctx, opened, op.ID.String(), c.attempt.Reference)
		}
		return p.Capture(ctx, opened, op.ID.String(), c.attempt.Reference, op.Amount)
	})
}

// performAgain asks for an operation once more, unless it shows that it was done. A capture is
// not asked for when the key may be forgotten; to cancel twice is as good as once.
func (s *service) performAgain(ctx context.Context, op operation, c charge, a account) (provider.Object, error) {
	o, err := s.fetch(ctx, c, a)
	if err != nil {
		return o, err
	}
	switch age, outcome := s.now().Sub(op.CreatedAt), op.outcome(o); {
	case outcome == opDone:
		return o, nil
	case outcome == opFailed:
		return o, &provider.Declined{Code: codeOvertaken}
	case op.Kind == opCancel || age <= keyLasts:
		return s.perform(ctx, op, c, a)
	case age <= keyLasts+longestCall:
		return o, fmt.Errorf("%w: a call may still be under way", provider.ErrUnknownOutcome)
	}
	return o, &provider.Declined{Code: codeAbandoned}
}

// concludeOperation takes in the answer to an operation.
func (s *service) concludeOperation(ctx context.Context, tx *db.Tx, op operation, o provider.Object, failure error) (charge, error) {
	c, err := s.store.lockCharge(ctx, tx, op.AttemptID)
	if err != nil {
		return c, err
	}
	no := declined(failure)
	if failure != nil && no == nil {
		return c, nil // the errand asks again
	}
	if failure == nil || o.Reference != "" {
		n, err := s.takeIn(ctx, tx, &c, o)
		if err != nil {
			return c, err
		}
		if err := s.store.endOperation(ctx, tx, op.ID, no); err != nil {
			return c, err
		}
		if err := s.keep(ctx, tx, &c, n); err != nil {
			return c, err
		}
	} else if err := s.store.endOperation(ctx, tx, op.ID, no); err != nil {
		return c, err
	}
	s.timers.Clear(tx, timerOperation, op.ID.String())
	return c, nil
}

// operate has an operation done and says how the payment stands then.
func (s *service) operate(ctx context.Context, decide func(tx *db.Tx) (operation, charge, account, error)) (op operation, o provider.Object, err error) {
	var c charge
	var a account
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		op, c, a, err = decide(tx)
		return err
	}); err != nil || op.ID == uuid.Nil {
		return op, o, err
	}
	o, failure := s.perform(ctx, op, c, a)
	if no := declined(failure); no != nil {
		if err := s.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := s.concludeOperation(ctx, tx, op, o, failure)
			return err
		}); err != nil {
			return op, o, err
		}
		return op, o, refusedWith(no)
	}
	if failure != nil {
		s.log.WarnContext(ctx, "the provider did not say what became of an operation", "operation", op.ID, "payment", op.PaymentID, "err", failure)
		return op, o, errInProgress
	}
	return op, o, nil
}

func refusedWith(no *provider.Declined) error {
	f := errRefused.With("providerCode", no.Code)
	if no.Message != "" {
		f = f.Saying("The provider does not do this: %s", no.Message)
	}
	return f
}

// withdraw cancels an attempt so that another one can take its place. Whoever paid it in the
// meantime has paid.
func (s *service) withdraw(ctx context.Context, c charge, a account) (charge, error) {
	op, o, err := s.operate(ctx, func(tx *db.Tx) (operation, charge, account, error) {
		c, err := s.store.lockPayment(ctx, tx, c.payment.ID)
		if err != nil {
			return operation{}, c, a, err
		}
		if c.attempt.Reference == "" || c.attempt.State.over() {
			return operation{}, c, a, nil
		}
		op, err := s.want(ctx, tx, &c, clock.NewID(), opCancel, money.Amount{Currency: c.payment.Amount.Currency}, tx.Now.Add(firstLook))
		return op, c, a, err
	})
	refused := errors.Is(err, errRefused)
	if err != nil && !refused {
		return c, err
	}
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		if op.ID == uuid.Nil || refused {
			c, err = s.store.findPayment(ctx, tx, c.payment.ID, "")
			return err
		}
		c, err = s.concludeOperation(ctx, tx, op, o, nil)
		return err
	})
	return c, err
}

type operationRow struct {
	ID        uuid.UUID `db:"id"`
	PaymentID uuid.UUID `db:"payment_id"`
	AttemptID uuid.UUID `db:"attempt_id"`
	Kind      string    `db:"kind"`
	Amount    int64     `db:"amount_minor"`
	State     string    `db:"state"`
	CreatedAt time.Time `db:"created_at"`
}

const operationColumns = `id, payment_id, attempt_id, kind, amount_minor, state, created_at`

func (r operationRow) domain(c money.Currency) operation {
	return operation{r.ID, r.PaymentID, r.AttemptID, r.Kind, money.Amount{Minor: r.Amount, Currency: c}, r.State, r.CreatedAt.UTC()}
}

// openOperation is what is wanted of an attempt now; nil when nothing is.
func (store) openOperation(ctx context.Context, tx *db.Tx, c *charge) (*operation, error) {
	var rows []operationRow
	if err := tx.Select(ctx, &rows, `select `+operationColumns+` from payments.operation where attempt_id = $1 and state = 'requested'`, c.attempt.ID); err != nil {
		return nil, fmt.Errorf("read operations: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	op := rows[0].domain(c.payment.Amount.Currency)
	return &op, nil
}

// findOperation reads one with the charge that it is of.
func (s store) findOperation(ctx context.Context, tx *db.Tx, id uuid.UUID) (operation, charge, error) {
	var rows []operationRow
	if err := tx.Select(ctx, &rows, `select `+operationColumns+` from payments.operation where id = $1`, id); err != nil {
		return operation{}, charge{}, fmt.Errorf("read operation: %w", err)
	}
	if len(rows) == 0 {
		return operation{}, charge{}, httpx.ErrNotFound
	}
	c, err := s.findAttempt(ctx, tx, rows[0].AttemptID)
	return rows[0].domain(c.payment.Amount.Currency), c, err
}

func (store) insertOperation(ctx context.Context, tx *db.Tx, op operation) error {
	if _, err := tx.Exec(ctx, `
		insert into payments.operation (id, payment_id, attempt_id, kind, amount_minor, state, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $7)`,
		op.ID, op.PaymentID, op.AttemptID, op.Kind, op.Amount.Minor, op.State, op.CreatedAt); err != nil {
		return fmt.Errorf("insert operation: %w", err)
	}
	return nil
}

// endOperation notes the answer to an operation; nil is that it is done.
func (store) endOperation(ctx context.Context, tx *db.Tx, id uuid.UUID, no *provider.Declined) error {
	state, code := opDone, (*string)(nil)
	if no != nil {
		state, code = opFailed, &no.Code
	}
	if _, err := tx.Exec(ctx, `update payments.operation set state = $2, failure = $3, updated_at = $4 where id = $1 and state = 'requested'`, id, state, code, tx.Now); err != nil {
		return fmt.Errorf("end operation: %w", err)
	}
	return nil
}

// operationDone says that an operation has had its answer; a refusal is its error.
func (store) operationDone(ctx context.Context, tx *db.Tx, id uuid.UUID) (done bool, err error) {
	var answered []struct {
		Failure *string `db:"failure"`
	}
	if err := tx.Select(ctx, &answered, `select failure from payments.operation where id = $1 and state <> 'requested'`, id); err != nil {
		return false, fmt.Errorf("look for an operation: %w", err)
	}
	if len(answered) > 0 && answered[0].Failure != nil {
		return true, refusedWith(&provider.Declined{Code: *answered[0].Failure})
	}
	return len(answered) > 0, nil
}
