package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	upstream "github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
)

// tolerance is how far from our time a webhook may say that it was sent.
const tolerance = 5 * time.Minute

// Notice reads a webhook that is signed with one of the account's secrets. It only says where
// to look, so that the version of the API that it is written in does not matter.
func (s *Stripe) Notice(a provider.Account, header http.Header, body []byte, now time.Time) (provider.Notice, error) {
	signature := header.Get("Stripe-Signature")
	sent, err := sentAt(signature)
	if err != nil {
		return provider.Notice{}, err
	}
	if age := now.Sub(sent); age > tolerance || age < -tolerance {
		return provider.Notice{}, fmt.Errorf("%w: it was sent at %s", provider.ErrSignature, sent.UTC().Format(time.RFC3339))
	}
	for _, secret := range a.WebhookSecrets {
		if secret == "" {
			continue // anybody could sign with nothing
		}
		// Its own check of the time goes by the machine's clock.
		e, err := webhook.ConstructEventWithOptions(body, signature, secret, webhook.ConstructEventOptions{IgnoreTolerance: true, IgnoreAPIVersionMismatch: true})
		switch {
		case err == nil:
			return notice(&e)
		case !errors.Is(err, webhook.ErrNoValidSignature):
			return provider.Notice{}, fmt.Errorf("webhook: %w", err)
		}
	}
	return provider.Notice{}, provider.ErrSignature
}

// sentAt is the time that a signature vouches for.
func sentAt(signature string) (sent time.Time, err error) {
	err = provider.ErrSignature
	for part := range strings.SplitSeq(signature, ",") {
		text, ok := strings.CutPrefix(part, "t=")
		if !ok {
			continue
		}
		seconds, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil {
			return time.Time{}, provider.ErrSignature
		}
		sent, err = time.Unix(seconds, 0), nil // the last counts, as for who checks the signature
	}
	return sent, err
}

// notice is what an event says of where to look.
func notice(e *upstream.Event) (n provider.Notice, err error) {
	if e.ID == "" || e.Data == nil {
		return n, errors.New("webhook: there is no event in it")
	}
	var about struct {
		ID            string                  `json:"id"`
		Object        string                  `json:"object"`
		PaymentIntent *upstream.PaymentIntent `json:"payment_intent"` // its id, or itself
		FraudType     string                  `json:"fraud_type"`
	}
	if err := json.Unmarshal(e.Data.Raw, &about); err != nil {
		return n, fmt.Errorf("webhook %s: %w", e.ID, err)
	}
	n = provider.Notice{ID: e.ID, Type: string(e.Type)}
	switch {
	case about.Object == "payment_intent":
		n.Reference = about.ID
	case about.PaymentIntent != nil:
		n.Reference = about.PaymentIntent.ID
	}
	if about.Object == "radar.early_fraud_warning" {
		n.Warning = about.FraudType
	}
	return n, nil
}
