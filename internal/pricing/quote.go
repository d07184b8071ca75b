package pricing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

func (s *service) load(ctx context.Context, tx *db.Tx) (*rules, error) {
	settings, err := s.store.settings(ctx, tx)
	if err != nil {
		return nil, err
	}
	taxes, err := s.store.rates(ctx, tx)
	if err != nil {
		return nil, err
	}
	discounts, err := s.store.active(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &rules{settings: settings, discounts: make(map[uuid.UUID]rule, len(discounts))}
	rates := make([]calc.Rate, len(taxes))
	for i, t := range taxes {
		rates[i] = t.calc()
	}
	r.rates = calc.NewRates(rates)
	for _, d := range discounts {
		c := d.calc()
		r.discounts[d.ID] = rule{c, d.perBuyer(), d.limited(), d.Couponed}
		if d.Automatic {
			r.automatic = append(r.automatic, c)
			if d.counted() {
				r.counted = append(r.counted, c)
			}
		}
	}
	return r, nil
}

// quote says what a basket costs. It takes no statement when the rules are in memory and no
// code, nor a limited discount, is about; else one.
func (s *service) quote(ctx context.Context, b pricingapi.Basket, at time.Time) (pricingapi.Quote, []calc.Candidate, error) {
	r, err := s.rules(ctx)
	if err != nil {
		return pricingapi.Quote{}, nil, err
	}
	about := calc.Rules{Rates: r.rates, Automatic: r.automatic}
	if counted := r.countedFor(b); len(b.Codes) > 0 || len(counted) > 0 {
		if about.Codes, about.Standing, err = s.standing(ctx, b, r, counted); err != nil {
			return pricingapi.Quote{}, nil, err
		}
	}
	q, candidates, err := calc.Evaluate(b, about, r.settings.calc(), at)
	if err != nil {
		return pricingapi.Quote{}, nil, fmt.Errorf("price a basket: %w", err)
	}
	return q, candidates, nil
}

// standing is what the database knows of the basket's codes, and of what was used before.
func (s *service) standing(ctx context.Context, b pricingapi.Basket, r *rules, counted []string) (map[string]calc.Coupon, map[string]calc.Standing, error) {
	codes := make([]string, len(b.Codes))
	for i, typed := range b.Codes {
		codes[i] = db.Text(calc.Code(typed))
	}
	var list []use
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.uses(ctx, tx, codes, counted, append([]string{}, keysOf(pricingapi.Buyer{CustomerID: b.CustomerID, Email: b.Email})...))
		return err
	}); err != nil {
		return nil, nil, err
	}
	coupons, standing := map[string]calc.Coupon{}, map[string]calc.Standing{}
	for _, u := range list {
		d := r.discounts[u.Discount]
		if u.Code != nil {
			coupons[*u.Code] = calc.Coupon{Discount: d.Discount, UsedUp: is(u.CodeUsed)}
		}
		standing[u.Discount.String()] = calc.Standing{
			UsedUp: is(u.UsedUp), Left: u.Left, UsedByBuyer: u.ByBuyer != nil && d.perBuyer != nil && *u.ByBuyer >= *d.perBuyer,
		}
	}
	return coupons, standing, nil
}

func is(b *bool) bool { return b != nil && *b }
