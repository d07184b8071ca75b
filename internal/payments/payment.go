package payments

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errNotPayable     = fault.New(fault.Conflict, "order_not_payable", "The order failed or was cancelled: there is nothing to pay.")
	errPaid           = fault.New(fault.Conflict, "order_paid", "The order is paid.")
	errInProgress     = fault.New(fault.Conflict, "payment_in_progress", "What was asked of the provider before is not known to be done yet. Ask again shortly.").After(5)
	errNotCapturable  = fault.New(fault.Conflict, "payment_not_capturable", "Only what is authorized can be captured, once.")
	errNotCancellable = fault.New(fault.Conflict, "payment_not_cancellable", "What was captured cannot be cancelled. Refund it.")
	errAmountTooLarge = fault.New(fault.Invalid, "amount_too_large", "There is not that much left.")
)

// payable is what there is to pay for an order.
type payable struct {
	OrderID    uuid.UUID
	CustomerID string
	Total      money.Amount
	Closed     string // reasonFailed or reasonCancelled; empty: it is to be paid
	ClosedAt   time.Time
}

// state of an attempt: the provider's phase, once it has said one.
type state string

const (
	requested state = "requested" // we want it; the provider may not have heard yet
	unknown   state = "unknown"   // asked, and no answer
)

// over says that an attempt has come to its end.
func (s state) over() bool {
	return s == state(provider.Succeeded) || s == state(provider.Refused) || s == state(provider.Cancelled)
}

// rank orders states: news of a lower one is old.
func (s state) rank() int {
	switch {
	case s == requested || s == unknown:
		return 0
	case s.over():
		return 3
	case s == state(provider.Authorized):
		return 2
	}
	return 1
}

// attempt is one try to charge.
type attempt struct {
	ID         uuid.UUID
	PaymentID  uuid.UUID
	AccountID  uuid.UUID
	State      state
	Reference  string // empty: the provider has not told it yet
	Method     string
	ReturnURL  string
	Amount     money.Amount
	Capturable money.Amount
	Captured   money.Amount
	Fee        money.Amount
	Secret     []byte // sealed
	NextAction string
	CreatedAt  time.Time
}

// payment of an order.
type payment struct {
	ID         uuid.UUID
	OrderID    uuid.UUID
	AccountID  uuid.UUID
	Provider   string
	CustomerID string
	Amount     money.Amount
	Manual     bool // captured by somebody, later
	Status     string
	AttemptID  uuid.UUID // the latest
	Authorized money.Amount
	Captured   money.Amount
	Refunding  money.Amount
	Refunded   money.Amount
	Disputed   money.Amount
	Failure    *provider.Declined
	Warning    string
	Version    int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Status of a payment beside the phases of its provider: what is not known is processing.
const (
	processing = string(provider.Processing)
	authorized = string(provider.Authorized)
	succeeded  = string(provider.Succeeded)
	failed     = string(provider.Refused)
	cancelled  = string(provider.Cancelled)
)

// charge is an attempt with all that it has to do with. Who changes it holds the lock of its payable.
type charge struct {
	payable payable
	payment payment
	attempt attempt
}

// errForeign is an answer that is not about what it should be: nothing of it is believed.
var errForeign = errors.New("the provider's answer is about something else")

// news is what became true when the provider's object was taken in.
type news struct {
	postings []posting
	facts    []fact
	changed  bool
}

// absorb moves a charge forward to what its provider says, and never back: money that was
// captured stays so, an attempt that is over stays so, and news of one attempt decides
// nothing of a later one.
func (c *charge) absorb(o provider.Object) (n news, err error) {
	a, p := &c.attempt, &c.payment
	if err := c.concerns(o); err != nil {
		return n, err
	}
	before := *p
	captured, fee := in(p, o.Captured), in(p, o.Fee)
	old := captured.Minor < a.Captured.Minor
	if captured.Minor > a.Captured.Minor {
		delta, err := captured.Sub(a.Captured)
		if err != nil {
			return n, err
		}
		if p.Captured, err = p.Captured.Add(delta); err != nil {
			return n, err
		}
		a.Captured, n.changed = captured, true
		n.postings = append(n.postings, c.posts("capture", fmt.Sprintf("%s@%d", o.Reference, captured.Minor), delta, clearing, sales))
	} else if !old {
		next := state(o.Phase)
		old = a.State.over() && next != a.State || next.rank() < a.State.rank()
	}
	if fee.Minor > a.Fee.Minor {
		delta, err := fee.Sub(a.Fee)
		if err != nil {
			return n, err
		}
		a.Fee, n.changed = fee, true
		n.postings = append(n.postings, c.posts("fee", fmt.Sprintf("%s@%d", o.Reference, fee.Minor), delta, fees, clearing))
	}
	if a.Reference == "" {
		a.Reference, n.changed = o.Reference, true
	}
	if old {
		return n, nil
	}
	capturable := in(p, o.Authorized)
	if a.State != state(o.Phase) || a.Capturable != capturable || a.NextAction != o.NextAction {
		a.State, a.Capturable, a.NextAction, n.changed = state(o.Phase), capturable, o.NextAction, true
	}
	if a.ID == p.AttemptID && !alike(o.Declined, p.Failure) {
		p.Failure, n.changed = o.Declined, true
	}
	held, err := capturable.Add(a.Captured)
	if err != nil {
		return n, err
	}
	if held.Minor > p.Authorized.Minor {
		p.Authorized, n.changed = held, true
	}
	p.Status = p.statusBy(*a)
	n.facts = append(n.facts, changes(before, *p)...)
	return n, nil
}

// concerns refuses an object of another charge, or in another currency.
func (c *charge) concerns(o provider.Object) error {
	a, currency := c.attempt, c.payment.Amount.Currency
	if o.Reference == "" || a.Reference != "" && o.Reference != a.Reference || o.Attempt != "" && o.Attempt != a.ID.String() {
		return fmt.Errorf("%w: charge %q for attempt %s, which is %q", errForeign, o.Reference, a.ID, a.Reference)
	}
	for _, m := range []money.Amount{o.Amount, o.Authorized, o.Captured, o.Fee} {
		if m.Minor < 0 || m.Minor != 0 && m.Currency != currency {
			return fmt.Errorf("%w: %s for a payment in %s", errForeign, m, currency)
		}
	}
	return nil
}

// in gives an amount that the provider left out the currency of the payment.
func in(p *payment, m money.Amount) money.Amount {
	return money.Amount{Minor: m.Minor, Currency: p.Amount.Currency}
}

// statusBy derives the status: what is captured counts, whatever else there is; then the
// latest attempt.
func (p *payment) statusBy(a attempt) string {
	switch {
	case p.Captured.Minor > 0:
		return succeeded
	case a.ID != p.AttemptID:
		return p.Status
	case a.State == requested || a.State == unknown:
		return processing
	case a.State == state(provider.NeedsMethod) && p.Failure != nil:
		return failed
	}
	return string(a.State)
}

func alike(a, b *provider.Declined) bool { return a == b || a != nil && b != nil && *a == *b }

// changes are the facts that tell one state of a payment from the one before.
func changes(before, after payment) (facts []fact) {
	if after.Status == authorized && before.Status != authorized {
		facts = append(facts, paymentAuthorized)
	}
	if after.Captured.Minor > before.Captured.Minor {
		facts = append(facts, paymentSucceeded)
	}
	if after.Status == failed && (before.Status != failed || !alike(before.Failure, after.Failure)) {
		facts = append(facts, paymentFailed)
	}
	if after.Status == cancelled && before.Status != cancelled {
		facts = append(facts, paymentCancelled)
	}
	return facts
}

// refundable is what was captured and is neither refunded nor about to be.
func (p *payment) refundable() (money.Amount, error) {
	left, err := p.Captured.Sub(p.Refunded)
	if err != nil {
		return left, err
	}
	return left.Sub(p.Refunding)
}

// kept is what was captured and stays: what is disputed the buyer's bank has, or may take yet.
func (p *payment) kept() (money.Amount, error) {
	left, err := p.refundable()
	if err != nil {
		return left, err
	}
	return left.Sub(p.Disputed)
}

// rests says that nobody has to ask how an attempt stands: it is over, or people say when its
// money has come.
func (c *charge) rests() bool {
	return c.attempt.State.over() || c.payment.Provider == manualName && c.attempt.State == state(provider.Processing)
}

// live says that money may still come of the latest attempt.
func (c *charge) live() bool { return c.attempt.ID != uuid.Nil && !c.attempt.State.over() }
