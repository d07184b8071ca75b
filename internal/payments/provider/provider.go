// Package provider is what payments asks of those who move money: Stripe, a test, a bank.
// It is a package of its own, so that they need not know payments, nor payments them.
package provider

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Provider is who moves the money. Its methods make one call each and never retry: an error
// that Unknown reports says nothing of what happened.
type Provider interface {
	Name() string // "stripe"
	// Charge begins to take money. key makes it once, however often it is asked for.
	Charge(ctx context.Context, a Account, key string, c Charge) (Object, error)
	Capture(ctx context.Context, a Account, key, reference string, amount money.Amount) (Object, error)
	Cancel(ctx context.Context, a Account, key, reference string) (Object, error)
	Refund(ctx context.Context, a Account, key, reference string, amount money.Amount, reason string) (Object, error)
	// Fetch is how a charge stands, with its refunds and disputes. It and the two below only ask:
	// whatever they fail with, nothing is declined.
	Fetch(ctx context.Context, a Account, reference string) (Object, error)
	// Find looks a charge up by the attempt that asked for it, and by the time in which it can
	// have been made; ErrNoCharge when there is none.
	Find(ctx context.Context, a Account, attempt string, made Span) (Object, error)
	// Changed are the charges that changed in a time, each as it stands now. One of which the
	// provider cannot say that comes with an error, and is no reason to keep back the others.
	Changed(ctx context.Context, a Account, in Span, each func(reference string, o Object, err error) error) error
	// Notice reads a webhook whose signature is right.
	Notice(a Account, header http.Header, body []byte, now time.Time) (Notice, error)
}

var (
	// ErrNoCharge says that the provider knows of no such charge.
	ErrNoCharge = errors.New("provider: the provider knows of no such charge")
	// ErrUnknownOutcome says that the call may or may not have happened: no answer, a broken
	// one, or one that the provider says not to trust.
	ErrUnknownOutcome = errors.New("provider: the provider did not say what happened")
	// ErrKeyRefused says that the account's key is wrong, or may not do this: nothing has happened.
	ErrKeyRefused = errors.New("provider: the account's key is refused")
	// ErrSignature refuses a webhook.
	ErrSignature = errors.New("provider: the signature is wrong")
)

// Declined is the provider's no to a charge, a capture, a cancellation or a refund: that call
// did nothing, and does nothing when it is repeated. Of calls with another key it says nothing.
type Declined struct {
	Code    string // the provider's, "insufficient_funds"
	Message string // for the buyer
}

func (d *Declined) Error() string { return "provider: declined: " + d.Code }

// Span is a time from a moment up to another, which is no part of it.
type Span struct{ From, Until time.Time }

// Account is a shop's at a provider, with its credentials opened.
type Account struct {
	ID             string
	SecretKey      string
	WebhookSecrets []string // the newest first; more than one while they change
}

// Charge is what is asked for.
type Charge struct {
	Amount    money.Amount
	Manual    bool   // only hold the money: it is captured later
	Method    string // the provider's name of a means of payment that the buyer gave; empty: the buyer's page gives it
	Confirm   bool   // take it now; otherwise the buyer's page confirms
	ReturnURL string // where a bank sends the buyer back to
	OrderID   string
	Attempt   string // ours: what Find looks for
}

// Phase is how far a charge has come.
type Phase string

// Phases. The last three are ends.
const (
	NeedsMethod Phase = "requires_payment_method"
	NeedsAction Phase = "requires_action" // of the buyer: 3-D Secure, a redirection
	Processing  Phase = "processing"
	Authorized  Phase = "authorized"
	Succeeded   Phase = "succeeded"
	Refused     Phase = "failed"
	Cancelled   Phase = "cancelled"
)

// Object is the provider's own account of a charge, whole: it replaces what was known, it is
// no difference to it.
type Object struct {
	Reference    string // the provider's id
	Attempt      string // ours, as it was sent
	Phase        Phase
	ClientSecret string // for the buyer's page
	NextAction   string // a URL, when the buyer has to go somewhere
	Amount       money.Amount
	Authorized   money.Amount // can still be captured
	Captured     money.Amount
	Fee          money.Amount // of the provider; zero when it does not say
	Declined     *Declined
	Refunds      []RefundObject
	Disputes     []DisputeObject
}

// RefundObject is a refund as the provider has it.
type RefundObject struct {
	Reference string
	Key       string // ours, as it was sent; empty when it was made elsewhere
	Amount    money.Amount
	Status    string // "pending", "succeeded", "failed", "requires_action", "cancelled"
	Reason    string
}

// DisputeObject is a buyer's objection at their bank.
type DisputeObject struct {
	Reference string
	Amount    money.Amount
	Status    string // Stripe's eight: needs_response, under_review, won, lost, warning_…, prevented
	Reason    string
	DueBy     *time.Time // of the evidence
	// Withdrawn is what the provider has taken back for it, and not given again.
	Withdrawn money.Amount
	Fee       money.Amount
}

// Notice is a webhook. It says which charge to look at; what it says of the charge itself
// is old when it arrives, so that the charge is fetched.
type Notice struct {
	ID        string // of the message: it counts once
	Type      string
	Reference string // of the charge; empty: it is about none
	Warning   string // an early fraud warning's kind; empty: it is none
}
