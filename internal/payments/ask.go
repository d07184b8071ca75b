package payments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
)

// callTimeout is what a provider has while somebody waits for the answer to a request.
const callTimeout = 8 * time.Second

// ask finds out how an attempt stands. As long as it may be, the provider is asked to charge, with
// the same key however often; it is looked for when that has no answer, or may not be any more.
func (s *service) ask(ctx context.Context, c charge, a account, fresh bool) (o provider.Object, err error) {
	t := c.attempt
	if t.Reference != "" {
		return s.fetch(ctx, c, a)
	}
	if c.payable.Closed == "" && s.now().Sub(t.CreatedAt) <= keyLasts {
		o, err = s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
			return p.Charge(ctx, opened, t.ID.String(), c.wanted())
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

// wanted is what a provider is asked to charge.
func (c *charge) wanted() provider.Charge {
	t := c.attempt
	return provider.Charge{
		Amount: t.Amount, Manual: c.payment.Manual, Method: t.Method, Confirm: t.Method != "", ReturnURL: t.ReturnURL, OrderID: c.payment.OrderID.String(), Attempt: t.ID.String(),
	}
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
