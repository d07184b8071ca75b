package pricing

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

type service struct {
	db     *db.DB
	events *event.Log
	now    clock.Clock
	offers Offers
	store  store
	cache  *cache
}

// changing announces that a rule changes: from here until the transaction is over, nothing
// is cached that the change may contradict, and no other change is decided on.
func (s *service) changing(ctx context.Context, tx *db.Tx) (settings, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return settings{}, err
	}
	tx.AtEnd(s.cache.change(id.Tenant))
	return s.store.change(ctx, tx)
}

func (s *service) getSettings(ctx context.Context) (out settings, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		out, err = s.store.settings(ctx, tx)
		return err
	})
	return out, err
}

func (s *service) updateSettings(ctx context.Context, tx *db.Tx, match httpx.IfMatch, change func(*settings)) (settings, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return settings{}, err
	}
	now, err := s.changing(ctx, tx)
	if err != nil {
		return settings{}, err
	}
	audit.Before(ctx, presentSettings(now))
	if err := match.Allows(now.Version); err != nil {
		return settings{}, err
	}
	next := now
	if change(&next); next == now {
		return now, nil
	}
	next.Version, next.UpdatedAt = now.Version+1, tx.Now
	if err := s.store.saveSettings(ctx, tx, next); err != nil {
		return settings{}, err
	}
	return next, s.events.Publish(ctx, tx, pricingapi.RulesUpdated{RuleID: id.Tenant.String(), Kind: pricingapi.RuleSettings, Version: next.Version})
}

func (s *service) getRate(ctx context.Context, id uuid.UUID) (r rate, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = s.store.rate(ctx, tx, id)
		return err
	})
	return r, err
}

func (s *service) createRate(ctx context.Context, tx *db.Tx, r rate) (rate, error) {
	if _, err := s.changing(ctx, tx); err != nil {
		return rate{}, err
	}
	r.ID, r.Version, r.CreatedAt, r.UpdatedAt = clock.NewID(), 1, tx.Now, tx.Now
	if err := s.standsAlone(ctx, tx, r); err != nil {
		return rate{}, err
	}
	if err := s.store.insertRate(ctx, tx, r); err != nil {
		return rate{}, err
	}
	return r, s.ratePublished(ctx, tx, r, false)
}

// standsAlone refuses a rate beside which another would be as good.
func (s *service) standsAlone(ctx context.Context, tx *db.Tx, r rate) error {
	overlaps, err := s.store.rateOverlaps(ctx, tx, r)
	if err == nil && overlaps {
		err = errRateOverlaps
	}
	return err
}

func (s *service) replaceRate(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, next rate) (rate, error) {
	now, err := s.rateToChange(ctx, tx, id, match)
	if err != nil {
		return rate{}, err
	}
	next.ID, next.Version, next.CreatedAt, next.UpdatedAt = now.ID, now.Version+1, now.CreatedAt, tx.Now
	if err := s.standsAlone(ctx, tx, next); err != nil {
		return rate{}, err
	}
	if err := s.store.saveRate(ctx, tx, next); err != nil {
		return rate{}, err
	}
	return next, s.ratePublished(ctx, tx, next, false)
}

func (s *service) rateToChange(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) (rate, error) {
	if _, err := s.changing(ctx, tx); err != nil {
		return rate{}, err
	}
	r, err := s.store.rate(ctx, tx, id)
	if err != nil {
		return rate{}, err
	}
	audit.Before(ctx, presentRate(r))
	return r, match.Allows(r.Version)
}

func (s *service) deleteRate(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) error {
	r, err := s.rateToChange(ctx, tx, id, match)
	if err != nil {
		return err
	}
	if err := s.store.deleteRate(ctx, tx, id); err != nil {
		return err
	}
	r.Version++
	return s.ratePublished(ctx, tx, r, true)
}

func (s *service) ratePublished(ctx context.Context, tx *db.Tx, r rate, gone bool) error {
	return s.events.Publish(ctx, tx, pricingapi.RulesUpdated{RuleID: r.ID.String(), Kind: pricingapi.RuleTaxRate, Version: r.Version, Gone: gone})
}

func (s *service) getDiscount(ctx context.Context, id uuid.UUID) (d discount, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		d, err = s.store.discount(ctx, tx, id)
		return err
	})
	return d, err
}

func (s *service) createDiscount(ctx context.Context, tx *db.Tx, d discount, code string) (discount, error) {
	if _, err := s.changing(ctx, tx); err != nil {
		return discount{}, err
	}
	d.ID, d.Version, d.CreatedAt, d.UpdatedAt = clock.NewID(), 1, tx.Now, tx.Now
	if err := s.store.insertDiscount(ctx, tx, d); err != nil {
		return discount{}, err
	}
	return d, s.settle(ctx, tx, d, code)
}

// settle gives a discount its budget and its code, waiting for them in the order of
// redemptions, and tells of it.
func (s *service) settle(ctx context.Context, tx *db.Tx, d discount, code string) error {
	if err := s.store.allot(ctx, tx, d); err != nil {
		return err
	}
	if code != "" {
		if err := s.store.addCode(ctx, tx, d.ID, code); err != nil {
			return err
		}
	}
	return s.discountPublished(ctx, tx, d)
}

// discountToChange is one as the caller means it.
func (s *service) discountToChange(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) (discount, error) {
	if _, err := s.changing(ctx, tx); err != nil {
		return discount{}, err
	}
	d, err := s.store.discount(ctx, tx, id)
	if err != nil {
		return discount{}, err
	}
	audit.Before(ctx, presentDiscount(d))
	return d, match.Allows(d.Version)
}

func (s *service) replaceDiscount(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, next discount, code string) (discount, error) {
	now, err := s.discountToChange(ctx, tx, id, match)
	if err != nil {
		return discount{}, err
	}
	if now.Status == archived {
		return discount{}, errArchived
	}
	if next.Currency != now.Currency {
		used, err := s.store.redeemed(ctx, tx, id)
		if err != nil {
			return discount{}, err
		}
		if used {
			return discount{}, errCurrencyFixed
		}
	}
	next.ID, next.Version, next.CreatedAt, next.UpdatedAt = now.ID, now.Version+1, now.CreatedAt, tx.Now
	if err := s.store.saveDiscount(ctx, tx, next); err != nil {
		return discount{}, err
	}
	if err := s.settle(ctx, tx, next, code); err != nil {
		return discount{}, err
	}
	if limited := next.perBuyer() != nil; limited != (now.perBuyer() != nil) {
		if err := s.store.recount(ctx, tx, next, limited); err != nil {
			return discount{}, err
		}
	}
	return s.store.discount(ctx, tx, id)
}

func (s *service) archiveDiscount(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) error {
	d, err := s.discountToChange(ctx, tx, id, match)
	if err != nil || d.Status == archived {
		return err
	}
	d.Status, d.Version, d.UpdatedAt = archived, d.Version+1, tx.Now
	if err := s.store.saveDiscount(ctx, tx, d); err != nil {
		return err
	}
	return s.discountPublished(ctx, tx, d)
}

func (s *service) discountPublished(ctx context.Context, tx *db.Tx, d discount) error {
	return s.events.Publish(ctx, tx, pricingapi.RulesUpdated{RuleID: d.ID.String(), Kind: pricingapi.RuleDiscount, Version: d.Version, Gone: d.Status == archived})
}

const (
	// codeLength gives a code 50 random bits: nobody finds one by trying.
	codeLength = 10
	// codesAtOnce are written by one statement.
	codesAtOnce = 10_000
)

// generate makes codes that nobody has.
func (s *service) generate(ctx context.Context, tx *db.Tx, id uuid.UUID, count int64, prefix string, maxUses *int64) error {
	if _, err := s.changing(ctx, tx); err != nil {
		return err
	}
	d, err := s.store.discount(ctx, tx, id)
	switch {
	case err != nil:
		return err
	case d.Status == archived:
		return errArchived
	case d.Automatic:
		return errAutomatic
	}
	for count > 0 {
		codes := make([]string, min(count, codesAtOnce))
		for i := range codes {
			codes[i] = prefix + rand.Text()[:codeLength]
		}
		n, err := s.store.addCodes(ctx, tx, id, codes, maxUses)
		if err != nil {
			return err
		}
		count -= n
	}
	if d.Couponed {
		return nil
	}
	d.Version, d.UpdatedAt = d.Version+1, tx.Now // from now on codes are counted
	if err := s.store.saveDiscount(ctx, tx, d); err != nil {
		return err
	}
	return s.discountPublished(ctx, tx, d)
}

// rules of the shop: from memory, if none has changed.
func (s *service) rules(ctx context.Context) (*rules, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	r, generation := s.cache.get(id.Tenant)
	if r != nil {
		return r, nil
	}
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = s.load(ctx, tx)
		return err
	}); err != nil {
		return nil, fmt.Errorf("rules of pricing: %w", err)
	}
	s.cache.keep(id.Tenant, generation, r)
	return r, nil
}
