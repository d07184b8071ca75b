package payments

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

type amountBody struct {
	Amount httpx.Decimal `json:"amount,omitempty" doc:"All that there is when it is absent"`
}

type amountInput struct {
	ID   string `path:"id"`
	Body *amountBody
}

func (in *amountInput) amount() httpx.Decimal {
	if in.Body == nil {
		return ""
	}
	return in.Body.Amount
}

// amountOr is a sent amount, or all that there is.
func amountOr(sent httpx.Decimal, all money.Amount) (money.Amount, error) {
	if sent == "" {
		return all, nil
	}
	m, fields := sent.Amount(string(all.Currency), "/amount", "/amount")
	if len(fields) == 0 && m.IsZero() {
		fields = []fault.Field{{Pointer: "/amount", Code: "minimum", Detail: "must be more than nothing"}}
	}
	if len(fields) > 0 {
		return m, httpx.ErrValidation(fields...)
	}
	return m, nil
}

func (s *service) handleCapture(ctx context.Context, in *amountInput) (paymentResponse, error) {
	return s.handleOperation(ctx, in.ID, opCapture, in.amount())
}

func (s *service) handleCancel(ctx context.Context, in *byID) (paymentResponse, error) {
	return s.handleOperation(ctx, in.ID, opCancel, "")
}

// handleOperation has a payment captured or cancelled.
func (s *service) handleOperation(ctx context.Context, path, kind string, sent httpx.Decimal) (paymentResponse, error) {
	id, err := httpx.ID(path)
	if err != nil {
		return paymentResponse{}, err
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	var before charge
	op, o, err := s.operate(ctx, func(tx *db.Tx) (op operation, c charge, a account, err error) {
		if c, err = s.store.lockPayment(ctx, tx, id); err != nil {
			return op, c, a, err
		}
		before = c
		if a, err = s.store.account(ctx, tx, c.attempt.AccountID); err != nil {
			return op, c, a, err
		}
		op, err = s.decide(ctx, tx, &c, once, kind, sent)
		return op, c, a, err
	})
	if err != nil {
		return paymentResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (paymentResponse, error) {
		audit.Before(ctx, present(before))
		if op.ID == uuid.Nil {
			c, err := s.store.findPayment(ctx, tx, id, "")
			return shownTo(ctx, present(c)), err
		}
		c, err := s.concludeOperation(ctx, tx, op, o, nil)
		return shownTo(ctx, present(c)), err
	})
}

// decide what is to be asked of the provider; nothing when that has been done.
func (s *service) decide(ctx context.Context, tx *db.Tx, c *charge, once uuid.UUID, kind string, sent httpx.Decimal) (operation, error) {
	if done, err := s.store.operationDone(ctx, tx, once); err != nil || done {
		return operation{}, err
	}
	amount := money.Amount{Currency: c.payment.Amount.Currency}
	if kind == opCancel {
		switch {
		case c.payment.Captured.Minor > 0 && c.attempt.State.over() && c.attempt.State != state(provider.Cancelled):
			return operation{}, errNotCancellable
		case c.attempt.State.over():
			return operation{}, nil
		case c.attempt.Reference == "":
			return operation{}, errInProgress
		}
	} else {
		wanted, err := amountOr(sent, c.attempt.Capturable)
		if err != nil {
			return operation{}, err
		}
		if amount, err = c.capture(wanted); err != nil {
			return operation{}, err
		}
	}
	return s.want(ctx, tx, c, once, kind, amount, tx.Now.Add(firstLook))
}
