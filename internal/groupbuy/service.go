package groupbuy

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

type service struct {
	db     *db.DB
	events *event.Log
	timers *timer.Timers
	offers Offers
	feeds  *feeds
	store  store
}

// offerOf asks the catalog what a product is and costs. It comes before any transaction:
// no other module is called while rows are locked.
func (s *service) offerOf(ctx context.Context, product string) (catalogapi.Offer, error) {
	offers, err := s.offers.OffersByProduct(ctx, []string{product})
	if err != nil {
		return catalogapi.Offer{}, fmt.Errorf("offer of product: %w", err)
	}
	offer, ok := offers[product]
	if !ok {
		return catalogapi.Offer{}, errUnknownProduct.At("/productId", "unknown_product", "is not for sale")
	}
	return offer, nil
}

// shareCodeLength gives a code 60 random bits: it can be read out and not be guessed.
const shareCodeLength = 12

// create starts a campaign if its terms are sound now.
func (s *service) create(ctx context.Context, tx *db.Tx, c campaign) (campaign, error) {
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return campaign{}, err
	}
	if fields := c.flaws(now); len(fields) > 0 {
		return campaign{}, httpx.ErrValidation(fields...)
	}
	c.ID, c.Status, c.Version, c.CreatedAt, c.UpdatedAt = clock.NewID(), active, 1, now, now
	c.ShareCode = rand.Text()[:shareCodeLength]
	if now.Before(c.Start) {
		c.Status = scheduled
		s.timers.Set(tx, timerStart, c.ID.String(), c.Start)
	}
	s.timers.Set(tx, timerEnd, c.ID.String(), c.End)
	if err := s.store.insert(ctx, tx, c); err != nil {
		return campaign{}, err
	}
	return c, s.publish(ctx, tx, groupbuyapi.CampaignCreated{Campaign: fact(c)})
}

// update gives a campaign other terms, which may depend on those that it has. Its timers
// come first: whoever runs one has locked it before the campaign.
func (s *service) update(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, moments moments, want func(terms) (terms, error)) (campaign, error) {
	moments.set(tx, s.timers, id.String())
	if err := tx.Finish(ctx); err != nil {
		return campaign{}, err
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return campaign{}, err
	}
	c, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return campaign{}, err
	}
	audit.Before(ctx, present(c))
	if err := match.Allows(c.Version); err != nil {
		return campaign{}, err
	}
	if err := c.revisable(); err != nil {
		return campaign{}, err
	}
	t, err := want(c.terms)
	if err != nil {
		return campaign{}, err
	}
	changed, err := c.revise(t, now)
	if err != nil || !changed {
		return c, err
	}
	return c, s.save(ctx, tx, c, groupbuyapi.CampaignUpdated{Campaign: fact(c)})
}

func (s *service) cancel(ctx context.Context, tx *db.Tx, id uuid.UUID, reason string) (campaign, error) {
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return campaign{}, err
	}
	c, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return campaign{}, err
	}
	audit.Before(ctx, present(c))
	audit.Because(ctx, reason)
	changed, err := c.cancel(reason, now)
	if err != nil || !changed {
		return c, err
	}
	return c, s.save(ctx, tx, c, groupbuyapi.CampaignCancelled{Campaign: fact(c), Reason: reason})
}

func (s *service) save(ctx context.Context, tx *db.Tx, c campaign, e event.Event) error {
	if err := s.store.save(ctx, tx, c); err != nil {
		return err
	}
	return s.publish(ctx, tx, e)
}

// publish records facts of a merchant's campaigns. Those who follow them hear of it when
// they have come true.
func (s *service) publish(ctx context.Context, tx *db.Tx, facts ...event.Event) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() { s.feeds.changed(id.Tenant) })
	return s.events.Publish(ctx, tx, facts...)
}

// join lets somebody join. The campaign's row is locked from its one statement until the
// commit, so only what has to be together comes in between.
func (s *service) join(ctx context.Context, tx *db.Tx, id uuid.UUID, who participant) (campaign, error) {
	who.ID = clock.NewID()
	c, joined, err := s.store.join(ctx, tx, id, who)
	if err != nil {
		return campaign{}, err
	}
	if !joined {
		return campaign{}, s.store.refusal(ctx, tx, id, who.UserID)
	}
	if c.tipped() {
		s.timers.Set(tx, timerOrder, id.String(), c.UpdatedAt)
	}
	return c, s.publish(ctx, tx, factsOfJoin(c, who)...)
}

func (s *service) get(ctx context.Context, id uuid.UUID) (c campaign, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		c, err = s.store.find(ctx, tx, id)
		return err
	})
	return c, err
}

func (s *service) list(ctx context.Context, f filter) (list []campaign, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		list, err = s.store.list(ctx, tx, f)
		return err
	})
	return list, err
}

// participants of a campaign; only one when one is named.
func (s *service) participants(ctx context.Context, id uuid.UUID, only string, after int64, limit int) (list []participant, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := s.store.find(ctx, tx, id); err != nil {
			return err
		}
		list, err = s.store.participants(ctx, tx, id, only, after, limit)
		return err
	})
	return list, err
}
