package stripe

import (
	"context"
	"fmt"
	"regexp"
	"slices"
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
		return provider.Object{}, trouble("fetch", err)
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
				return provider.Object{}, trouble("list refunds", err)
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
			return provider.Object{}, trouble("list disputes", err)
		}
		o.Disputes = append(o.Disputes, amounts.dispute(d))
	}
	if amounts.err != nil {
		return provider.Object{}, fmt.Errorf("payment %s: %w", i.ID, amounts.err)
	}
	return o, nil
}

// plain is text that needs no quoting in Stripe's query language.
var plain = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// Find looks for the payment of an attempt: by search, and among those of the last hour, which
// search may not know yet. That there is none it says only when it has seen them all.
func (s *Stripe) Find(ctx context.Context, a provider.Account, attempt string) (provider.Object, error) {
	if !plain.MatchString(attempt) {
		return provider.Object{}, provider.ErrNoCharge
	}
	query := &upstream.PaymentIntentSearchParams{}
	query.Query = fmt.Sprintf("metadata['%s']:'%s'", attemptKey, attempt)
	for i, err := range s.at(a).V1PaymentIntents.Search(ctx, query).All(ctx) {
		if err != nil {
			return provider.Object{}, trouble("search", err)
		}
		return s.Fetch(ctx, a, i.ID) // what is found may be old
	}
	recent := &upstream.PaymentIntentListParams{CreatedRange: &upstream.RangeQueryParams{GreaterThanOrEqual: s.now().Add(-searchLag - skew).Unix()}}
	recent.Limit = new(int64(pageSize))
	seen := 0
	for i, err := range s.at(a).V1PaymentIntents.List(ctx, recent).All(ctx) {
		if err != nil {
			return provider.Object{}, trouble("list payments", err)
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

// about are the events of older payments that change what we know of them.
var about = []string{
	"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled", "payment_intent.processing",
	"payment_intent.requires_action", "payment_intent.amount_capturable_updated",
	"charge.refunded", "charge.expired", "charge.captured",
	"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
	"refund.created", "refund.updated", "refund.failed",
}

// Changed goes through the payments made since a time, which come by the hundred, and then
// through older ones that Stripe has an event of since.
func (s *Stripe) Changed(ctx context.Context, a provider.Account, since time.Time, each func(provider.Object) error) error {
	fresh := &upstream.PaymentIntentListParams{CreatedRange: &upstream.RangeQueryParams{GreaterThanOrEqual: since.Unix()}, Expand: wholeCharge("data.")}
	fresh.Limit = new(int64(pageSize))
	var newest []*upstream.PaymentIntent
	known := map[string]bool{}
	for i, err := range s.at(a).V1PaymentIntents.List(ctx, fresh).All(ctx) {
		if err != nil {
			return trouble("list payments", err)
		}
		newest, known[i.ID] = append(newest, i), true
	}
	older, err := s.changedBefore(ctx, a, since, known)
	if err != nil {
		return err
	}
	for _, reference := range slices.Backward(older) {
		o, err := s.Fetch(ctx, a, reference)
		if err != nil {
			return err
		}
		if err := each(o); err != nil {
			return err
		}
	}
	for _, i := range slices.Backward(newest) {
		o, err := s.complete(ctx, a, i)
		if err != nil {
			return err
		}
		if err := each(o); err != nil {
			return err
		}
	}
	return nil
}

// changedBefore are the payments that events since a time are about, without the known ones;
// the one that changed last is the first.
func (s *Stripe) changedBefore(ctx context.Context, a provider.Account, since time.Time, known map[string]bool) (references []string, err error) {
	p := &upstream.EventListParams{CreatedRange: &upstream.RangeQueryParams{GreaterThanOrEqual: since.Unix()}, Types: upstream.StringSlice(about)}
	p.Limit = new(int64(pageSize))
	for e, err := range s.at(a).V1Events.List(ctx, p).All(ctx) {
		if err != nil {
			return nil, trouble("list events", err)
		}
		n, err := notice(e)
		if err != nil {
			return nil, err
		}
		if n.Reference != "" && !known[n.Reference] {
			references, known[n.Reference] = append(references, n.Reference), true
		}
	}
	return references, nil
}
