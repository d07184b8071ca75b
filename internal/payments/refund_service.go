package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
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
func (s *service) refund(ctx context.Context, id uuid.UUID, w refundWish) (r refund, o provider.Object, failure error, err error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return r, o, nil, err
	}
	var c charge
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
			r = begun[at]
			if again, err := amountOr(w.Amount, r.Amount); err != nil || again.Minor != r.Amount.Minor {
				return cmp.Or(err, error(errOtherRefund))
			}
			c, err = s.store.findAttempt(ctx, tx, r.AttemptID)
			return err
		}
		all, err := s.store.chargesOf(ctx, tx, id)
		if err != nil {
			return err
		}
		var left money.Amount
		if c, left, err = fullest(all, begun); err != nil {
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
		if r, p, err = c.giveBack(begun, amount, w.Reason, w.Note, actor.Actor, tx.Now); err != nil {
			return err
		}
		r.Once = w.Once
		if err := s.store.saveRefund(ctx, tx, r); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, &c, news{postings: []posting{p}, changed: true}); err != nil {
			return err
		}
		s.timers.Set(tx, timerRefund, r.ID.String(), tx.Now.Add(firstLook))
		return nil
	}); err != nil || r.Status != refundRequested {
		return r, o, nil, err
	}
	o, failure = s.repay(ctx, r, c, a)
	return r, o, failure, nil
}

// repay asks the provider for a refund. Why it refuses one may be news to us, such as what
// somebody has refunded there: with the refusal comes how the charge stands.
func (s *service) repay(ctx context.Context, r refund, c charge, a account) (provider.Object, error) {
	o, err := s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
		return p.Refund(ctx, opened, r.ID.String(), c.attempt.Reference, r.Amount, r.Reason)
	})
	if declined(err) == nil {
		return o, err
	}
	o, unseen := s.fetch(ctx, c, a)
	if unseen != nil && !errors.Is(unseen, provider.ErrNoCharge) {
		return provider.Object{}, fmt.Errorf("look why a refund was refused: %w", unseen)
	}
	return o, err
}

// repayAgain asks for a refund once more, unless the charge shows it. When the key may be
// forgotten it is not asked for: what the charge does not show by then was never made.
func (s *service) repayAgain(ctx context.Context, r refund, c charge, a account) (provider.Object, error) {
	o, err := s.fetch(ctx, c, a)
	switch age := s.now().Sub(r.CreatedAt); {
	case err != nil || r.shownBy(o):
		return o, err
	case age <= keyLasts:
		return s.repay(ctx, r, c, a)
	case age <= keyLasts+longestCall:
		return o, fmt.Errorf("%w: a call may still be under way", provider.ErrUnknownOutcome)
	}
	return o, &provider.Declined{Code: codeAbandoned}
}

// shownBy tells whether a charge has a refund of ours.
func (r *refund) shownBy(o provider.Object) bool {
	return slices.ContainsFunc(o.Refunds, func(said provider.RefundObject) bool { return said.Key == r.ID.String() })
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
		n, err := s.concludeRefusal(ctx, tx, &c, r, no, o)
		if err != nil {
			return r, err
		}
		if err := s.keep(ctx, tx, &c, n); err != nil {
			return r, err
		}
		s.timers.Clear(tx, timerRefund, id.String())
	}
	return s.store.findRefund(ctx, tx, id)
}

// concludeRefusal notes that a refund was refused, unless the charge shows that it was made
// after all, and takes in the rest of what the charge shows. The refund is undone first: what
// it was to give back may be what somebody else has given back.
func (s *service) concludeRefusal(ctx context.Context, tx *db.Tx, c *charge, r refund, no *provider.Declined, o provider.Object) (n news, err error) {
	if !r.shownBy(o) {
		if n, err = c.refuseRefund(&r, no, tx.Now); err != nil {
			return n, err
		}
		if err := s.store.saveRefund(ctx, tx, r); err != nil {
			return n, err
		}
	}
	if o.Reference == "" {
		return n, nil
	}
	more, err := s.takeIn(ctx, tx, c, o)
	n.add(more)
	return n, err
}

// mostRefusals of the same amount are enough: the provider goes on refusing, and a person has
// to look at it.
const mostRefusals = 2

// giveBackExcess refunds what an attempt captured for nothing: for an order that is not to be
// paid, or more than an order costs.
func (s *service) giveBackExcess(ctx context.Context, tx *db.Tx, c *charge, n *news) error {
	reason := c.payable.Closed
	if c.attempt.Captured.IsZero() || reason == "" && !n.changed {
		return nil
	}
	excess, err := c.payment.kept()
	if err != nil {
		return err
	}
	if reason == "" {
		reason = reasonOverpaid
		if excess, err = s.overpaid(ctx, tx, c, excess); err != nil {
			return err
		}
	}
	if excess.Minor <= 0 {
		return nil
	}
	begun, err := s.store.refundsOf(ctx, tx, c.payment.ID)
	if err != nil {
		return err
	}
	left, err := c.attempt.left(begun)
	if err != nil {
		return err
	}
	if left.Minor = min(left.Minor, excess.Minor); left.Minor <= 0 {
		return nil
	}
	refused := 0
	for _, r := range begun {
		if r.AttemptID == c.attempt.ID && r.Reason == reason && r.Amount == left && refundUndone(r.Status) {
			refused++
		}
	}
	if refused >= mostRefusals {
		return nil
	}
	r, p, err := c.giveBack(begun, left, reason, "", "system:payments", tx.Now)
	if err != nil {
		return err
	}
	n.add(news{postings: []posting{p}, changed: true})
	if err := s.store.saveRefund(ctx, tx, r); err != nil {
		return err
	}
	s.timers.Set(tx, timerRefund, r.ID.String(), tx.Now)
	return nil
}

// overpaid is what all payments of an order have kept, less what it costs. kept is that of the
// payment at hand, which is not written yet.
func (s *service) overpaid(ctx context.Context, tx *db.Tx, c *charge, kept money.Amount) (money.Amount, error) {
	others, err := s.store.keptByOthers(ctx, tx, c.payment)
	if err != nil {
		return kept, err
	}
	if kept, err = kept.Add(others); err != nil {
		return kept, err
	}
	return kept.Sub(c.payable.Total)
}
