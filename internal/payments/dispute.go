package payments

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// dispute is a buyer's objection at their bank.
type dispute struct {
	provider.DisputeObject

	PaymentID uuid.UUID
	AccountID uuid.UUID
}

// disputeEnds are the states in which nothing happens any more. Money may still come back.
var disputeEnds = []string{"won", "lost", "warning_closed", "prevented"}

// doubted says that a dispute keeps the payment from counting: while it goes on, and when it
// is lost. Warnings are none.
func (d dispute) doubted() bool {
	return slices.Contains([]string{"needs_response", "under_review", "lost"}, d.Status)
}

// absorbDispute takes in what the provider says of a dispute: known is what was known of it,
// its zero value nothing.
func (c *charge) absorbDispute(known dispute, o provider.DisputeObject) (d dispute, n news, err error) {
	d = dispute{DisputeObject: o, PaymentID: c.payment.ID, AccountID: c.attempt.AccountID}
	d.Amount, d.Withdrawn, d.Fee = in(&c.payment, o.Amount), in(&c.payment, o.Withdrawn), in(&c.payment, o.Fee)
	if slices.Contains(disputeEnds, known.Status) && !slices.Contains(disputeEnds, o.Status) {
		return known, n, nil
	}
	if known.PaymentID != uuid.Nil && same(known, d) {
		return known, n, nil
	}
	n.changed = true
	n.facts = append(n.facts, paymentDisputed)
	for _, moved := range []struct {
		kind, account string
		was, is       money.Amount
	}{{"dispute", disputes, in(&c.payment, known.Withdrawn), d.Withdrawn}, {"dispute.fee", fees, in(&c.payment, known.Fee), d.Fee}} {
		delta, err := moved.is.Sub(moved.was)
		if err != nil {
			return d, n, err
		}
		if delta.IsZero() {
			continue
		}
		debit, credit := moved.account, clearing
		if delta.IsNegative() {
			debit, credit = credit, debit
			if delta, err = delta.Neg(); err != nil {
				return d, n, err
			}
		}
		// The same money can go and come back more than once: the version tells which time it is.
		n.postings = append(n.postings, c.posts(moved.kind, fmt.Sprintf("%s#%d", o.Reference, c.payment.Version+1), delta, debit, credit))
	}
	before := money.Amount{Currency: c.payment.Amount.Currency}
	if known.doubted() {
		before = in(&c.payment, known.Amount)
	}
	after := money.Amount{Currency: c.payment.Amount.Currency}
	if d.doubted() {
		after = d.Amount
	}
	if c.payment.Disputed, err = c.payment.Disputed.Sub(before); err != nil {
		return d, n, err
	}
	c.payment.Disputed, err = c.payment.Disputed.Add(after)
	return d, n, err
}

func same(a, b dispute) bool {
	due := a.DueBy == nil && b.DueBy == nil || a.DueBy != nil && b.DueBy != nil && a.DueBy.Equal(*b.DueBy)
	return a.Status == b.Status && a.Amount == b.Amount && a.Withdrawn == b.Withdrawn && a.Fee == b.Fee && a.Reason == b.Reason && due
}
