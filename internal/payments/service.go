package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

type service struct {
	db        *db.DB
	events    *event.Log
	timers    *timer.Timers
	vault     *vault.Vault
	now       clock.Clock
	log       *slog.Logger
	orders    Orders
	providers map[string]provider.Provider
	patience  time.Duration // with a provider
	store     store
}

// inhouse says that a provider is the shop itself: nobody else has to be asked.
func (s *service) inhouse(name string) bool {
	_, ok := s.providers[name].(interface{ Inhouse() })
	return ok
}

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

// callTimeout is what a provider has while somebody waits for the answer to a request.
const callTimeout = 8 * time.Second

// pay begins the payment of an order, or goes on with the one that there is: it never asks
// for the same money twice. The provider is asked outside of any transaction, with the id of an
// attempt that is written down before.
func (s *service) pay(ctx context.Context, w wish) (attempt uuid.UUID, o provider.Object, failure error, err error) {
	for range 2 {
		c, a, fresh, err := s.begin(ctx, w)
		if err != nil {
			return uuid.Nil, o, nil, err
		}
		if !fresh && c.replaces(w) {
			// What the buyer chose before could still be paid, by another window: it has to be
			// over before something else is asked for.
			if c, err = s.withdraw(ctx, c, a); err != nil {
				return uuid.Nil, o, nil, err
			}
			if c.attempt.State.over() && c.payment.Captured.IsZero() {
				continue
			}
		}
		o, failure = s.ask(ctx, c, a, fresh)
		return c.attempt.ID, o, failure, nil
	}
	return uuid.Nil, o, nil, errInProgress
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

// begin writes down what is wanted, unless it is wanted already.
func (s *service) begin(ctx context.Context, w wish) (c charge, a account, fresh bool, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		owed, err := s.payableBy(ctx, tx, w.Order, w.Ticket)
		if err != nil {
			return err
		}
		if owed.Closed {
			return errNotPayable
		}
		b, first, err := s.store.lockPayable(ctx, tx, payable{OrderID: w.Order, CustomerID: owed.CustomerID, Total: owed.Total})
		if err != nil {
			return err
		}
		if b.Closed != "" {
			return errNotPayable
		}
		var before []charge
		if !first {
			if before, err = s.store.ofOrder(ctx, tx, w.Order); err != nil {
				return err
			}
		}
		if at := slices.IndexFunc(before, func(c charge) bool { return c.live() }); at >= 0 {
			c, fresh = before[at], false
			if w.Provider != "" && w.Provider != c.payment.Provider && !c.leaves(w) {
				return errInProgress.Saying("A payment by %s is going on. Cancel it first.", c.payment.Provider).With("paymentId", c.payment.ID.String())
			}
			a, err = s.store.account(ctx, tx, c.attempt.AccountID)
			return err
		}
		due, err := dueOf(b.Total, before)
		if err != nil {
			return err
		}
		if len(before) > 0 {
			if err := s.store.mayTry(ctx, tx, w.Order); err != nil {
				return err
			}
		}
		if a, err = s.store.accountFor(ctx, tx, w.Provider); err != nil {
			return err
		}
		if s.providers[a.Provider] == nil {
			return errNoProvider.Saying("This program does not have the provider %s.", a.Provider)
		}
		c, fresh = drafted(b, a, due, w, tx.Now), true
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
		if err == nil {
			err = s.events.Publish(ctx, tx, paymentCreated(c.payment))
		}
		if err != nil {
			return err
		}
		return s.timers.Set(ctx, tx, timerAttempt, c.attempt.ID.String(), tx.Now.Add(firstLook))
	})
	return c, a, fresh, err
}

// dueOf is what is still to pay for an order.
func dueOf(total money.Amount, payments []charge) (money.Amount, error) {
	due := total
	for _, c := range payments {
		var err error
		if due, err = due.Sub(c.payment.Captured); err != nil {
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

// ask finds out how an attempt stands. As long as it may be, the provider is asked to charge, with
// the same key however often; it is looked for when that has no answer, or may not be any more.
func (s *service) ask(ctx context.Context, c charge, a account, fresh bool) (o provider.Object, err error) {
	t := c.attempt
	if t.Reference != "" {
		return s.fetch(ctx, c, a)
	}
	if c.payable.Closed == "" && s.now().Sub(t.CreatedAt) <= keyLasts {
		o, err = s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
			return p.Charge(ctx, opened, t.ID.String(), provider.Charge{
				Amount: t.Amount, Manual: c.payment.Manual, Method: t.Method, Confirm: t.Method != "", ReturnURL: t.ReturnURL, OrderID: c.payment.OrderID.String(), Attempt: t.ID.String(),
			})
		})
		switch {
		case fresh && errors.Is(err, provider.ErrKeyRefused):
			s.log.ErrorContext(ctx, "the provider refuses the key of a payment account", "account", a.ID, "attempt", t.ID, "err", err)
			return o, &provider.Declined{Code: codeKeyRefused, Message: "The shop cannot take this payment right now."}
		case fresh || !errors.Is(err, provider.ErrUnknownOutcome):
			return o, err
		}
	}
	last := c.lastAsked().Add(longestCall)
	found, missing := s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
		now := s.now()
		return p.Find(ctx, opened, t.ID.String(), provider.Span{From: t.CreatedAt, Until: earlier(last, now)})
	})
	switch {
	case !errors.Is(missing, provider.ErrNoCharge):
		return found, missing
	case err != nil:
		return o, err
	case s.now().Before(last):
		return o, fmt.Errorf("%w: a call may still be under way", provider.ErrUnknownOutcome)
	}
	return o, &provider.Declined{Code: codeAbandoned}
}

// fetch asks how a charge stands.
func (s *service) fetch(ctx context.Context, c charge, a account) (provider.Object, error) {
	return s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
		return p.Fetch(ctx, opened, c.attempt.Reference)
	})
}

// call asks an account's provider, for as long as there is patience with it.
func (s *service) call(ctx context.Context, a account, ask func(context.Context, provider.Provider, provider.Account) (provider.Object, error)) (provider.Object, error) {
	p, opened, err := s.opened(ctx, a)
	if err != nil {
		return provider.Object{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return ask(ctx, p, opened)
}

const (
	// keyLasts is how long something may be asked for again: providers remember keys for a day,
	// and after that would do it once more.
	keyLasts = 20 * time.Hour
	// longestCall is more than a call lasts, at the provider too, when nobody waits for it any
	// more. What is not there so long after the last one never will be.
	longestCall = 5 * time.Minute
)

// lastAsked is when an attempt can have been asked for at the latest.
func (c *charge) lastAsked() time.Time {
	last := c.attempt.CreatedAt.Add(keyLasts)
	if c.payable.Closed != "" {
		return earlier(last, c.payable.ClosedAt)
	}
	return last
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Why something is over that the provider has said no word of.
const (
	codeAbandoned  = "abandoned"   // it has never heard of it
	codeKeyRefused = "key_refused" // it does not listen to the shop
)

// declined is the provider's no; nil when an error is none.
func declined(err error) *provider.Declined {
	no, _ := errors.AsType[*provider.Declined](err)
	return no
}

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
			if err := s.timers.Clear(ctx, tx, timerRefund, r.ID.String()); err != nil {
				return err
			}
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

// keep writes what became of a charge. Money for an order that is not to be paid goes back.
func (s *service) keep(ctx context.Context, tx *db.Tx, c *charge, n news) error {
	if err := s.sendBack(ctx, tx, c, &n); err != nil {
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
	if err := s.store.book(ctx, tx, n.postings); err != nil {
		return err
	}
	if c.rests() {
		return s.timers.Clear(ctx, tx, timerAttempt, c.attempt.ID.String())
	}
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
