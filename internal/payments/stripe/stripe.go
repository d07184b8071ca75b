// Package stripe is the provider of that name: what payments asks for, said in Stripe's
// words, and what Stripe answers, said in ours.
package stripe

import (
	"context"
	"net/http"
	"time"

	upstream "github.com/stripe/stripe-go/v85"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Name of the provider, for ever: it is stored with accounts and payments.
const Name = "stripe"

// What we write beside a charge or a refund at Stripe, so that either is found again.
const (
	attemptKey = "attempt"
	orderKey   = "order"
	tenantKey  = "tenant"
	refundKey  = "refund"
	reasonKey  = "reason"
)

// timeout is for one call, with its answer. Who waits for a call has less patience by its
// context; the reconciler has all of this.
const timeout = 30 * time.Second

// Stripe makes calls for the accounts of all shops.
type Stripe struct {
	backends *upstream.Backends
	now      clock.Clock
}

// New makes a provider that calls the API at a URL; empty is Stripe itself.
func New(url string, now clock.Clock) *Stripe {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: timeout, ForceAttemptHTTP2: true,
		MaxIdleConns: 64, MaxIdleConnsPerHost: 64, MaxConnsPerHost: 128, IdleConnTimeout: time.Minute,
	}
	config := &upstream.BackendConfig{
		HTTPClient: &http.Client{Timeout: timeout, Transport: transport},
		// What was not answered is asked about, with an eye to what it was: never just sent again.
		MaxNetworkRetries: new(int64(0)),
		EnableTelemetry:   new(false),
		// Its errors come back to us; they are logged where they are handled.
		LeveledLogger: &upstream.LeveledLogger{Level: upstream.LevelNull},
	}
	if url != "" {
		config.URL = &url
	}
	return &Stripe{backends: upstream.NewBackendsWithConfig(config), now: now}
}

// Name implements provider.Provider, as all exported methods here.
func (*Stripe) Name() string { return Name }

func (s *Stripe) at(a provider.Account) *upstream.Client {
	return upstream.NewClient(a.SecretKey, upstream.WithBackends(s.backends))
}

// wholeCharge has Stripe send a payment with what belongs to it.
func wholeCharge(prefix string) []*string {
	return upstream.StringSlice([]string{prefix + "latest_charge.balance_transaction", prefix + "latest_charge.refunds"})
}

// Charge creates a PaymentIntent. One that the buyer's bank refuses is there all the same,
// so that it comes with the refusal.
func (s *Stripe) Charge(ctx context.Context, a provider.Account, key string, c provider.Charge) (provider.Object, error) {
	amount, err := toStripe(c.Amount)
	if err != nil {
		return provider.Object{}, err
	}
	p := &upstream.PaymentIntentCreateParams{
		Amount: &amount, Currency: new(lower(c.Amount.Currency)), CaptureMethod: new("automatic"), Confirm: &c.Confirm,
		Metadata:                map[string]string{attemptKey: c.Attempt, orderKey: c.OrderID},
		AutomaticPaymentMethods: &upstream.PaymentIntentCreateAutomaticPaymentMethodsParams{Enabled: new(true)},
		PaymentMethod:           given(c.Method), Expand: wholeCharge(""),
	}
	if id, err := identity.From(ctx); err == nil {
		p.Metadata[tenantKey] = id.Tenant.String()
	}
	if c.Manual {
		p.CaptureMethod = new("manual")
	}
	switch {
	case c.Confirm && c.ReturnURL == "":
		p.AutomaticPaymentMethods.AllowRedirects = new("never") // there is nowhere to come back to
	case c.Confirm:
		p.ReturnURL = &c.ReturnURL
	}
	p.SetIdempotencyKey(key)
	i, err := s.at(a).V1PaymentIntents.Create(ctx, p)
	if err != nil {
		return refusedObject(err), trouble("charge", err)
	}
	return object(i)
}

// Capture takes what is held, or a part of it: Stripe lets the rest go.
func (s *Stripe) Capture(ctx context.Context, a provider.Account, key, reference string, amount money.Amount) (provider.Object, error) {
	n, err := toStripe(amount)
	if err != nil {
		return provider.Object{}, err
	}
	p := &upstream.PaymentIntentCaptureParams{AmountToCapture: &n, Expand: wholeCharge("")}
	p.SetIdempotencyKey(key)
	i, err := s.at(a).V1PaymentIntents.Capture(ctx, reference, p)
	if err != nil {
		return provider.Object{}, trouble("capture", err)
	}
	return object(i)
}

// Cancel lets go what is held, or takes back the wish.
func (s *Stripe) Cancel(ctx context.Context, a provider.Account, key, reference string) (provider.Object, error) {
	p := &upstream.PaymentIntentCancelParams{Expand: wholeCharge("")}
	p.SetIdempotencyKey(key)
	i, err := s.at(a).V1PaymentIntents.Cancel(ctx, reference, p)
	if err != nil {
		return provider.Object{}, trouble("cancel", err)
	}
	return object(i)
}

// Refund gives back some of what was captured.
func (s *Stripe) Refund(ctx context.Context, a provider.Account, key, reference string, amount money.Amount, reason string) (provider.Object, error) {
	n, err := toStripe(amount)
	if err != nil {
		return provider.Object{}, err
	}
	p := &upstream.RefundCreateParams{
		PaymentIntent: &reference, Amount: &n, Metadata: map[string]string{refundKey: key, reasonKey: reason}, Expand: wholeCharge("payment_intent."),
	}
	switch reason {
	case "duplicate", "fraudulent", "requested_by_customer": // Stripe's; it learns from the second
		p.Reason = &reason
	}
	p.SetIdempotencyKey(key)
	r, err := s.at(a).V1Refunds.Create(ctx, p)
	if err != nil {
		return provider.Object{}, trouble("refund", err)
	}
	return object(r.PaymentIntent)
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
