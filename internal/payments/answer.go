package payments

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// conclude takes in the answer to an attempt, or that there was none.
func (s *service) conclude(ctx context.Context, tx *db.Tx, id uuid.UUID, o provider.Object, failure error) (charge, error) {
	c, err := s.store.lockCharge(ctx, tx, id)
	if err != nil {
		return c, err
	}
	var n news
	switch no := declined(failure); {
	case failure == nil:
		if n, err = s.takeIn(ctx, tx, &c, o); err != nil {
			return c, err
		}
	case no != nil:
		n = c.refuse(no, o.Reference)
	case c.attempt.State == requested:
		c.attempt.State, n.changed = unknown, true
	}
	return c, s.keep(ctx, tx, &c, n)
}

// refuse ends an attempt that the provider does not take. One that it has taken before is
// not ended by that. The reference is that of what was refused, if there is anything.
func (c *charge) refuse(no *provider.Declined, reference string) (n news) {
	if c.attempt.State.rank() > 0 {
		return n
	}
	before := c.payment
	c.attempt.State, n.changed = state(provider.Refused), true
	if c.attempt.Reference == "" {
		c.attempt.Reference = reference
	}
	if c.attempt.ID == c.payment.AttemptID {
		c.payment.Failure = no
	}
	c.payment.Status = c.payment.statusBy(c.attempt)
	n.facts = changes(before, c.payment)
	return n
}

// takeIn is the one way in which a provider's object changes anything here, whether it answers
// a call, a webhook named it or the reconciler came upon it.
func (s *service) takeIn(ctx context.Context, tx *db.Tx, c *charge, o provider.Object) (news, error) {
	n, err := c.absorb(o)
	if err != nil {
		return n, err
	}
	if err := s.keepSecret(ctx, c, o.ClientSecret, &n); err != nil {
		return n, err
	}
	if c.revived(o) {
		if err := s.callOff(ctx, tx, c); err != nil {
			return n, err
		}
	}
	if len(o.Refunds) > 0 {
		if err := s.takeInRefunds(ctx, tx, c, o.Refunds, &n); err != nil {
			return n, err
		}
	}
	if len(o.Disputes) == 0 {
		return n, nil
	}
	known, err := s.store.disputesOf(ctx, tx, c.payment.ID)
	if err != nil {
		return n, err
	}
	for _, said := range o.Disputes {
		var was dispute
		if at := slices.IndexFunc(known, func(d dispute) bool { return d.Reference == said.Reference && d.AccountID == c.attempt.AccountID }); at >= 0 {
			was = known[at]
		}
		d, more, err := c.absorbDispute(was, said)
		if err != nil {
			return n, err
		}
		if more.changed {
			if err := s.store.saveDispute(ctx, tx, d); err != nil {
				return n, err
			}
		}
		n.add(more)
	}
	return n, nil
}

// revived says that an attempt which was given up here goes on at the provider, and may hold
// money there.
func (c *charge) revived(o provider.Object) bool {
	goesOn := o.Phase == provider.NeedsAction || o.Phase == provider.Processing || o.Phase == provider.Authorized
	return c.attempt.State == state(provider.Refused) && goesOn
}

// callOff has an attempt cancelled at the provider, once nothing else is wanted of it.
func (s *service) callOff(ctx context.Context, tx *db.Tx, c *charge) error {
	_, err := s.want(ctx, tx, c, clock.NewID(), opCancel, money.Amount{Currency: c.payment.Amount.Currency}, tx.Now)
	if errors.Is(err, errInProgress) {
		return nil
	}
	return err
}

func (n *news) add(more news) {
	n.postings, n.facts, n.changed = append(n.postings, more.postings...), append(n.facts, more.facts...), n.changed || more.changed
}

// takeInRefunds matches what the provider has with what was asked for. Others were made by
// somebody at the provider: they are as true.
func (s *service) takeInRefunds(ctx context.Context, tx *db.Tx, c *charge, list []provider.RefundObject, n *news) error {
	known, err := s.store.refundsOf(ctx, tx, c.payment.ID)
	if err != nil {
		return err
	}
	for _, said := range list {
		at := slices.IndexFunc(known, func(r refund) bool {
			return said.Key == r.ID.String() || r.Reference != "" && r.Reference == said.Reference
		})
		var r refund
		if at >= 0 {
			r = known[at]
		} else {
			if refundUndone(said.Status) { // it came to nothing before we could book it
				if err := s.store.forgetStray(ctx, tx, c.attempt.AccountID, said.Reference); err != nil {
					return err
				}
				continue
			}
			var p posting
			r, p, err = c.giveBack(known, in(&c.payment, said.Amount), reasonElsewhere, "", "provider", tx.Now)
			if errors.Is(err, errAmountTooLarge) {
				// The rest of what the charge shows is as true.
				if err := s.store.noteStray(ctx, tx, c.attempt.AccountID, said.Reference, said.Amount, "a refund of more than is left of "+c.attempt.Reference); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return fmt.Errorf("refund %s of charge %s: %w", said.Reference, c.attempt.Reference, err)
			}
			n.add(news{postings: []posting{p}, changed: true})
			known, at = append(known, r), len(known)
			if err := s.store.forgetStray(ctx, tx, c.attempt.AccountID, said.Reference); err != nil {
				return err
			}
		}
		more, err := c.absorbRefund(&r, said, tx.Now)
		if err != nil {
			return err
		}
		if more.changed {
			if err := s.store.saveRefund(ctx, tx, r); err != nil {
				return err
			}
		}
		if r.Status != refundRequested && r.Reason != reasonElsewhere && known[at].Status == refundRequested {
			s.timers.Clear(tx, timerRefund, r.ID.String())
		}
		known[at] = r
		n.add(more)
	}
	return nil
}

// keepSecret keeps what the buyer's page needs, for as long as it does.
func (s *service) keepSecret(ctx context.Context, c *charge, secret string, n *news) error {
	a := &c.attempt
	switch {
	case a.State.over() && (a.Secret != nil || a.ReturnURL != ""):
		a.Secret, a.ReturnURL, n.changed = nil, "", true
	case !a.State.over() && a.Secret == nil && secret != "":
		id, err := identity.From(ctx)
		if err != nil {
			return err
		}
		if a.Secret, err = s.vault.Seal(id.Tenant, sealedClient, []byte(secret)); err != nil {
			return err
		}
		n.changed = true
	}
	return nil
}

// keep writes what became of a charge that is looked after until it rests.
func (s *service) keep(ctx context.Context, tx *db.Tx, c *charge, n news) error {
	err := s.write(ctx, tx, c, &n)
	if err == nil && n.changed && c.rests() {
		s.timers.Clear(tx, timerAttempt, c.attempt.ID.String())
	}
	return err
}

// write writes what became of a charge. Money for an order that is not to be paid goes back.
func (s *service) write(ctx context.Context, tx *db.Tx, c *charge, n *news) error {
	if err := s.sendBack(ctx, tx, c, n); err != nil {
		return err
	}
	if !n.changed {
		return nil
	}
	if len(n.facts) == 0 {
		c.payment.Version++
	}
	c.payment.UpdatedAt = tx.Now
	if err := s.publish(ctx, tx, &c.payment, n.facts); err != nil {
		return err
	}
	if err := s.store.save(ctx, tx, *c); err != nil {
		return err
	}
	s.store.book(tx, n.postings)
	return nil
}

// sendBack sees to it that nobody pays for an order that failed or was cancelled, nor more than
// an order costs: what can still be paid for nothing is cancelled, what was paid is refunded. It
// is decided under the lock of the order, so that it happens once, whoever hears first.
func (s *service) sendBack(ctx context.Context, tx *db.Tx, c *charge, n *news) error {
	if c.payable.Closed != "" && c.attempt.Reference != "" && !c.attempt.State.over() {
		if err := s.callOff(ctx, tx, c); err != nil {
			return err
		}
	}
	return s.giveBackExcess(ctx, tx, c, n)
}
