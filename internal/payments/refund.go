package payments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// refund is money on its way back to the buyer.
type refund struct {
	ID        uuid.UUID
	PaymentID uuid.UUID
	AttemptID uuid.UUID // the charge that it comes from
	Amount    money.Amount
	Reason    string
	Note      string
	Status    string
	Reference string
	Failure   *provider.Declined
	Actor     string
	Once      uuid.UUID // names the request that asked for it; zero: none did
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Reasons that the program gives by itself: money for nothing goes back. The first two are
// also why an order is not to be paid any more.
const (
	reasonFailed    = "order_failed"
	reasonCancelled = "order_cancelled"
	reasonOverpaid  = "overpaid"       // more came than the order costs
	reasonElsewhere = "made_elsewhere" // by somebody at the provider
)

const (
	refundRequested  = "requested"
	refundProcessing = "processing"
	refundAction     = "requires_action"
	refundSucceeded  = "succeeded"
	refundFailed     = "failed"
	refundCancelled  = "cancelled"
)

// refundRank orders the states of a refund: news of a lower one is old. Banks send back
// refunds that have succeeded, so that failure comes last.
func refundRank(status string) int {
	return slices.Index([]string{refundRequested, refundProcessing, refundAction, refundSucceeded, refundFailed, refundCancelled}, status)
}

func refundUndone(status string) bool { return status == refundFailed || status == refundCancelled }

// left is what was captured by an attempt and is neither refunded nor about to be: of
// what another one captured its charge at the provider gives nothing back.
func (a attempt) left(begun []refund) (left money.Amount, err error) {
	left = a.Captured
	for _, r := range begun {
		if r.AttemptID != a.ID || refundUndone(r.Status) {
			continue
		}
		if left, err = left.Sub(r.Amount); err != nil {
			return left, err
		}
	}
	return left, nil
}

// fullest is the charge of a payment of which most is left.
func fullest(all []charge, begun []refund) (c charge, most money.Amount, err error) {
	for i, candidate := range all {
		left, err := candidate.attempt.left(begun)
		if err != nil {
			return c, most, err
		}
		if i == 0 || left.Minor > most.Minor {
			c, most = candidate, left
		}
	}
	return c, most, nil
}

// giveBack begins a refund, if there is that much left. begun are those of the payment.
func (c *charge) giveBack(begun []refund, amount money.Amount, reason, note, actor string, now time.Time) (refund, posting, error) {
	left, err := c.attempt.left(begun)
	if err != nil {
		return refund{}, posting{}, err
	}
	if amount.Minor > left.Minor {
		return refund{}, posting{}, errAmountTooLarge.Saying("Of this payment %s can be refunded.", left).With("refundable", left.Decimal()).
			At("/amount", errAmountTooLarge.Code, "is more than "+left.Decimal())
	}
	r := refund{
		ID: clock.NewID(), PaymentID: c.payment.ID, AttemptID: c.attempt.ID, Amount: amount, Reason: reason, Note: note, Status: refundRequested, Actor: actor,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if c.payment.Refunding, err = c.payment.Refunding.Add(amount); err != nil {
		return refund{}, posting{}, err
	}
	return r, c.posts("refund", r.ID.String(), amount, sales, refunds), nil
}

// absorbRefund moves a refund forward to what its provider says of it.
func (c *charge) absorbRefund(r *refund, o provider.RefundObject, now time.Time) (n news, err error) {
	next := refundStatus(o.Status)
	// It was given up before the provider had a name for it, and has gone out all the same.
	if refundUndone(r.Status) && r.Reference == "" && next == refundSucceeded {
		return c.reviveRefund(r, o, now)
	}
	if r.Reference == "" && o.Reference != "" {
		r.Reference, n.changed = o.Reference, true
	}
	if refundRank(next) <= refundRank(r.Status) || refundUndone(r.Status) {
		return n, nil
	}
	p, was := &c.payment, r.Status
	switch {
	case next == refundSucceeded:
		if p.Refunding, err = p.Refunding.Sub(r.Amount); err != nil {
			return n, err
		}
		if p.Refunded, err = p.Refunded.Add(r.Amount); err != nil {
			return n, err
		}
		n.postings = append(n.postings, c.posts("refund.paid", r.ID.String(), r.Amount, refunds, clearing))
		n.facts = append(n.facts, paymentRefunded)
	case refundUndone(next) && was == refundSucceeded:
		if p.Refunded, err = p.Refunded.Sub(r.Amount); err != nil {
			return n, err
		}
		n.postings = append(n.postings, c.posts("refund.returned", r.ID.String(), r.Amount, clearing, sales))
		n.facts = append(n.facts, paymentRefunded)
	case refundUndone(next):
		if p.Refunding, err = p.Refunding.Sub(r.Amount); err != nil {
			return n, err
		}
		n.postings = append(n.postings, c.posts("refund.undone", r.ID.String(), r.Amount, refunds, sales))
	}
	if next == refundFailed && r.Failure == nil && o.Reason != "" {
		r.Failure = &provider.Declined{Code: o.Reason}
	}
	r.Status, r.UpdatedAt, n.changed = next, now, true
	r.Version++
	return n, nil
}

// reviveRefund counts a refund that was thought to have come to nothing. The ledger has undone
// the promise, so that the money leaves by sales.
func (c *charge) reviveRefund(r *refund, o provider.RefundObject, now time.Time) (n news, err error) {
	if c.payment.Refunded, err = c.payment.Refunded.Add(r.Amount); err != nil {
		return n, err
	}
	r.Reference, r.Status, r.Failure, r.UpdatedAt = o.Reference, refundSucceeded, nil, now
	r.Version++
	return news{postings: []posting{c.posts("refund.paid", r.ID.String(), r.Amount, sales, clearing)}, facts: []fact{paymentRefunded}, changed: true}, nil
}

// refuseRefund notes that the provider will not refund. What it was for can be refunded again.
// A refund that the provider has taken is not ended by that.
func (c *charge) refuseRefund(r *refund, no *provider.Declined, now time.Time) (news, error) {
	if r.Status != refundRequested {
		return news{}, nil
	}
	n, err := c.absorbRefund(r, provider.RefundObject{Status: refundFailed, Reason: no.Code}, now)
	if err == nil && n.changed {
		r.Failure = no
	}
	return n, err
}

// refundStatus reads a provider's word. What it does not know is not over.
func refundStatus(word string) string {
	switch word {
	case refundSucceeded, refundFailed, refundCancelled, refundAction:
		return word
	}
	return refundProcessing
}
