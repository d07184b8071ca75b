package payments

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var (
	errNothingToRefund = fault.New(fault.Conflict, "nothing_to_refund", "Nothing of this payment is left to be refunded.")
	errOtherRefund     = fault.New(fault.Invalid, "idempotency_key_reused", "This Idempotency-Key was used for another refund. Use a new one for each.")
)

// refundWish is what somebody wants to give back; all that is left when no amount is sent.
type refundWish struct {
	Once         uuid.UUID // the same for a repeated request
	Amount       httpx.Decimal
	Reason, Note string
}

// refund writes a refund down and then asks for it. What is left is decided under the lock of
// the payment, however many ask at once.
func (s *service) refund(ctx context.Context, id uuid.UUID, w refundWish) (r refund, c charge, o provider.Object, failure error, err error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return r, c, o, nil, err
	}
	var a account
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		if c, err = s.store.lockPayment(ctx, tx, id); err != nil {
			return err
		}
		if a, err = s.store.account(ctx, tx, c.attempt.AccountID); err != nil {
			return err
		}
		begun, err := s.store.refundsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(begun, func(r refund) bool { return r.Once == w.Once }); at >= 0 {
			if r = begun[at]; w.Amount != "" && r.Amount.Decimal() != string(w.Amount) {
				return errOtherRefund
			}
			return nil
		}
		left, err := c.payment.refundable()
		if err != nil {
			return err
		}
		if left.Minor <= 0 {
			return errNothingToRefund
		}
		amount, err := amountOr(w.Amount, left)
		if err != nil {
			return err
		}
		var p posting
		if r, p, err = c.giveBack(amount, w.Reason, w.Note, actor.Actor, tx.Now); err != nil {
			return err
		}
		r.Once = w.Once
		if err := s.store.saveRefund(ctx, tx, r); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, &c, news{postings: []posting{p}, changed: true}); err != nil {
			return err
		}
		return s.timers.Set(ctx, tx, timerRefund, r.ID.String(), tx.Now.Add(firstLook))
	}); err != nil || r.Status != refundRequested {
		return r, c, o, nil, err
	}
	o, failure = s.repay(ctx, r, c, a)
	return r, c, o, failure, nil
}

// repay asks the provider for a refund.
func (s *service) repay(ctx context.Context, r refund, c charge, a account) (provider.Object, error) {
	return s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
		return p.Refund(ctx, opened, r.ID.String(), c.attempt.Reference, r.Amount, r.Reason)
	})
}

// repayAgain asks for a refund once more, unless the charge shows it. When the key may be
// forgotten it is not asked for: what the charge does not show by then was never made.
func (s *service) repayAgain(ctx context.Context, r refund, c charge, a account) (provider.Object, error) {
	o, err := s.fetch(ctx, c, a)
	shown := slices.ContainsFunc(o.Refunds, func(said provider.RefundObject) bool { return said.Key == r.ID.String() })
	switch age := s.now().Sub(r.CreatedAt); {
	case err != nil || shown:
		return o, err
	case age <= keyLasts:
		return s.repay(ctx, r, c, a)
	case age <= keyLasts+longestCall:
		return o, fmt.Errorf("%w: a call may still be under way", provider.ErrUnknownOutcome)
	}
	return o, &provider.Declined{Code: codeAbandoned}
}

// concludeRefund takes in the answer to a refund, or leaves it to the errand when there is none.
func (s *service) concludeRefund(ctx context.Context, tx *db.Tx, id, attempt uuid.UUID, o provider.Object, failure error) (r refund, err error) {
	c, err := s.store.lockCharge(ctx, tx, attempt)
	if err != nil {
		return r, err
	}
	switch no := declined(failure); {
	case failure == nil:
		n, err := s.takeIn(ctx, tx, &c, o)
		if err != nil {
			return r, err
		}
		if err := s.keep(ctx, tx, &c, n); err != nil {
			return r, err
		}
	case no != nil:
		if r, err = s.store.findRefund(ctx, tx, id); err != nil {
			return r, err
		}
		n, err := c.refuseRefund(&r, no, tx.Now)
		if err != nil {
			return r, err
		}
		if err := s.store.saveRefund(ctx, tx, r); err != nil {
			return r, err
		}
		if err := s.keep(ctx, tx, &c, n); err != nil {
			return r, err
		}
		if err := s.timers.Clear(ctx, tx, timerRefund, id.String()); err != nil {
			return r, err
		}
	}
	return s.store.findRefund(ctx, tx, id)
}
