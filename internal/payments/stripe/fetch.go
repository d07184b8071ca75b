package stripe

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	upstream "github.com/stripe/stripe-go/v85"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
)

const (
	pageSize = 100
	// searchLag is how long a new payment may be missing from Stripe's search: usually less
	// than a minute, and up to an hour while they have trouble. Their lists are never behind.
	searchLag = time.Hour
	// mostPages of a list are looked through for one payment.
	mostPages = 50
	// skew is what two clocks differ by.
	skew = time.Minute
)

// Fetch asks for a payment with its refunds and disputes.
func (s *Stripe) Fetch(ctx context.Context, a provider.Account, reference string) (provider.Object, error) {
	i, err := s.at(a).V1PaymentIntents.Retrieve(ctx, reference, &upstream.PaymentIntentRetrieveParams{Expand: wholeCharge("")})
	switch {
	case absent(err):
		return provider.Object{}, provider.ErrNoCharge
	case err != nil:
		return provider.Object{}, unread("fetch", err)
	}
	return s.complete(ctx, a, i)
}

// complete adds what Stripe does not send with the payment itself.
func (s *Stripe) complete(ctx context.Context, a provider.Account, i *upstream.PaymentIntent) (provider.Object, error) {
	if ch := i.LatestCharge; ch != nil && ch.Refunds != nil && ch.Refunds.HasMore {
		p := &upstream.RefundListParams{PaymentIntent: &i.ID}
		p.Limit = new(int64(pageSize))
		ch.Refunds.Data = nil
		for r, err := range s.at(a).V1Refunds.List(ctx, p).All(ctx) {
			if err != nil {
				return provider.Object{}, unread("list refunds", err)
			}
			ch.Refunds.Data = append(ch.Refunds.Data, r)
		}
	}
	o, err := object(i)
	if err != nil || i.LatestCharge == nil || !i.LatestCharge.Disputed {
		return o, err
	}
	p := &upstream.DisputeListParams{PaymentIntent: &i.ID}
	p.Limit = new(int64(pageSize))
	amounts := amounts{currency: i.Currency}
	for d, err := range s.at(a).V1Disputes.List(ctx, p).All(ctx) {
		if err != nil {
			return provider.Object{}, unread("list disputes", err)
		}
		o.Disputes = append(o.Disputes, amounts.dispute(d))
	}
	if amounts.err != nil {
		return provider.Object{}, fmt.Errorf("%w: payment %s: %w", errObject, i.ID, amounts.err)
	}
	return o, nil
}

// plain is text that needs no quoting in Stripe's query language.
var plain = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// Find looks for the payment of an attempt: by search, and in the list of the time in which it
// can have been made. Not every account has the search, and it is late; the list is neither,
// and long. That there is none it says only when one of them is sure.
func (s *Stripe) Find(ctx context.Context, a provider.Account, attempt string, made provider.Span) (provider.Object, error) {
	if !plain.MatchString(attempt) {
		return provider.Object{}, provider.ErrNoCharge
	}
	query := &upstream.PaymentIntentSearchParams{}
	query.Query = fmt.Sprintf("metadata['%s']:'%s'", attemptKey, attempt)
	searched := true
	for i, err := range s.at(a).V1PaymentIntents.Search(ctx, query).All(ctx) {
		if err == nil {
			return s.Fetch(ctx, a, i.ID) // what is found may be old
		}
		if err = unread("search", err); !errors.Is(err, errObject) {
			return provider.Object{}, err
		}
		searched = false
	}
	if searched && s.now().Sub(made.Until) > searchLag+skew {
		return provider.Object{}, provider.ErrNoCharge
	}
	list := &upstream.PaymentIntentListParams{CreatedRange: within(provider.Span{From: made.From.Add(-skew), Until: made.Until.Add(skew)})}
	list.Limit = new(int64(pageSize))
	seen := 0
	for i, err := range s.at(a).V1PaymentIntents.List(ctx, list).All(ctx) {
		if err != nil {
			return provider.Object{}, unread("list payments", err)
		}
		if i.Metadata[attemptKey] == attempt {
			return s.Fetch(ctx, a, i.ID)
		}
		if seen++; seen == mostPages*pageSize {
			return provider.Object{}, fmt.Errorf("find: %w: there are too many payments to look through", provider.ErrUnknownOutcome)
		}
	}
	return provider.Object{}, provider.ErrNoCharge
}

// within is a span in Stripe's whole seconds.
func within(s provider.Span) *upstream.RangeQueryParams {
	return &upstream.RangeQueryParams{GreaterThanOrEqual: s.From.Unix(), LesserThan: s.Until.Unix()}
}

// about are the events of older payments that change what we know of them.
var about = []string{
	"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled", "payment_intent.processing",
	"payment_intent.requires_action", "payment_intent.amount_capturable_updated",
	"charge.refunded", "charge.expired", "charge.captured",
	"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
	"refund.created", "refund.updated", "refund.failed",
}

// Changed goes through the payments made in a time, which come by the hundred, and then through
// older ones that Stripe has an event of. One that cannot be read is told of with its error; no
// answer ends it.
func (s *Stripe) Changed(ctx context.Context, a provider.Account, in provider.Span, each func(reference string, o provider.Object, err error) error) error {
	fresh := &upstream.PaymentIntentListParams{CreatedRange: within(in), Expand: wholeCharge("data.")}
	fresh.Limit = new(int64(pageSize))
	known := map[string]bool{}
	tell := func(reference string, o provider.Object, err error) error {
		if err != nil && !errors.Is(err, errObject) {
			return err
		}
		return each(reference, o, err)
	}
	for i, err := range s.at(a).V1PaymentIntents.List(ctx, fresh).All(ctx) {
		if err != nil {
			return unread("list payments", err)
		}
		known[i.ID] = true
		o, err := s.complete(ctx, a, i)
		if err := tell(i.ID, o, err); err != nil {
			return err
		}
	}
	older, err := s.changedBefore(ctx, a, in, known)
	if err != nil {
		return err
	}
	for _, reference := range older {
		o, err := s.Fetch(ctx, a, reference)
		if errors.Is(err, provider.ErrNoCharge) {
			continue // an event may be of a payment that Stripe has removed
		}
		if err := tell(reference, o, err); err != nil {
			return err
		}
	}
	return nil
}

// changedBefore are the payments that events of a time are about, without the known ones.
func (s *Stripe) changedBefore(ctx context.Context, a provider.Account, in provider.Span, known map[string]bool) (references []string, err error) {
	p := &upstream.EventListParams{CreatedRange: within(in), Types: upstream.StringSlice(about)}
	p.Limit = new(int64(pageSize))
	for e, err := range s.at(a).V1Events.List(ctx, p).All(ctx) {
		if err != nil {
			return nil, unread("list events", err)
		}
		n, err := notice(e)
		if err != nil {
			continue // it names no payment; the webhook with it was refused for the same reason
		}
		if n.Reference != "" && !known[n.Reference] {
			references, known[n.Reference] = append(references, n.Reference), true
		}
	}
	return references, nil
}
