package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	upstream "github.com/stripe/stripe-go/v85"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
)

// errObject means that Stripe answers, and that one object cannot be told of all the same.
var errObject = errors.New("stripe: this object cannot be read")

// trouble sorts the errors of calls: a no, and no answer. When in doubt nobody knows.
func trouble(doing string, err error) error {
	said, ok := errors.AsType[*upstream.Error](err)
	switch {
	case !ok:
		return unanswered(doing, err)
	case said.Type == upstream.ErrorTypeCard:
		return declined(said)
	case said.HTTPStatusCode == http.StatusUnauthorized, said.HTTPStatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: %w (%s)", doing, provider.ErrKeyRefused, said.RequestID)
	// A key that was used with other parameters, or is in use, says that something has been done, or is.
	case said.Type == upstream.ErrorTypeIdempotency, said.HTTPStatusCode == http.StatusConflict, said.HTTPStatusCode == http.StatusTooManyRequests,
		said.HTTPStatusCode >= http.StatusInternalServerError, said.HTTPStatusCode < http.StatusBadRequest:
		return fmt.Errorf("%s: %w: Stripe answered %d %s (%s)", doing, provider.ErrUnknownOutcome, said.HTTPStatusCode, said.Code, said.RequestID)
	}
	return refused(doing, said)
}

// unread is the trouble of a question: that Stripe refuses to answer decides nothing of what
// was asked about.
func unread(doing string, err error) error {
	err = trouble(doing, err)
	if no, ok := errors.AsType[*provider.Declined](err); ok {
		return fmt.Errorf("%s: %w: %w: %s", doing, provider.ErrUnknownOutcome, errObject, no.Code)
	}
	return err
}

// unanswered leaves out what was answered instead, when something was: it may be about a person.
func unanswered(doing string, err error) error {
	if on, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: %w: %w", doing, provider.ErrUnknownOutcome, on.Err)
	}
	return fmt.Errorf("%s: %w: the answer cannot be read", doing, provider.ErrUnknownOutcome)
}

// declined is the no of the buyer's bank, which has a sentence for the buyer.
func declined(said *upstream.Error) *provider.Declined {
	code := string(said.DeclineCode)
	if code == "" {
		code = string(said.Code)
	}
	return &provider.Declined{Code: code, Message: said.Msg}
}

// refused is the no of Stripe itself. Of a charge its sentence is for programmers, and no
// buyer's business.
func refused(doing string, said *upstream.Error) *provider.Declined {
	no := &provider.Declined{Code: string(said.Code)}
	if no.Code == "" {
		no.Code = string(said.Type)
	}
	if doing != "charge" {
		no.Message = said.Msg
	}
	return no
}

// absent tells whether Stripe knows of no such object.
func absent(err error) bool {
	said, ok := errors.AsType[*upstream.Error](err)
	return ok && said.HTTPStatusCode == http.StatusNotFound && said.Code == upstream.ErrorCodeResourceMissing
}

// refusedObject is the payment that a refusal is about; empty when it tells of none.
func refusedObject(err error) provider.Object {
	said, ok := errors.AsType[*upstream.Error](err)
	if !ok || said.PaymentIntent == nil {
		return provider.Object{}
	}
	o, err := object(said.PaymentIntent)
	if err != nil {
		return provider.Object{}
	}
	return o
}
