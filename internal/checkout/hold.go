package checkout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

const (
	// extendFrom is how much of its time a hold must have lost before it is extended: each
	// change does so, but not a hundred within a second.
	extendFrom = 30 * time.Second
	// mostHolds is how many times the time of a hold a cart may hold stock without a rest,
	// however often it is changed.
	mostHolds = 6
	// holdToPlace is how long the stock is held at least of a cart that is placed: until the
	// order has it.
	holdToPlace = time.Minute
)

// lasts is how much longer a cart may hold its stock. Who has held it for very long leaves it
// to others for as long as a hold lasts.
func (c *cart) lasts(most time.Duration, now time.Time) time.Duration {
	if c.hasRested(most, now) {
		return most
	}
	return min(most, c.HeldSince.Add(mostHolds*most).Sub(now))
}

func (c *cart) hasRested(most time.Duration, now time.Time) bool {
	return c.HeldSince == nil || c.HoldExpiresAt == nil || now.Sub(*c.HoldExpiresAt) > most
}

// hold has a cart whose buyer is checking out hold its stock. before is the cart as it is
// stored, and poured are the holds of others that it takes over.
func (s *service) hold(ctx context.Context, before cart, a *assessment, poured ...string) error {
	now := s.now()
	lasts := a.lasts(s.holdFor, now)
	same := before.holds(now) && slices.Equal(a.wish(0).Items, (&assessment{cart: before}).wish(0).Items)
	if same && before.buyer() == a.buyer() && len(poured) == 0 && a.HoldExpiresAt.Sub(now) > lasts-extendFrom {
		return nil
	}
	return s.secure(ctx, a, lasts, poured...)
}

// secure holds the stock of a cart, and gives up what one that is empty holds. A hold that has
// what is wanted already is the same afterwards, and lasts longer.
func (s *service) secure(ctx context.Context, a *assessment, lasts time.Duration, poured ...string) error {
	w := a.wish(lasts)
	switch {
	case len(w.Items) == 0 && a.HoldID != "":
		if err := s.stock.Release(ctx, a.HoldID); err != nil {
			return fmt.Errorf("release the stock of a cart: %w", err)
		}
		a.HoldID, a.HoldExpiresAt, a.HeldSince = "", nil, nil
		return nil
	case len(w.Items) == 0:
		return nil
	case !a.hasBegun() || lasts <= 0:
		return s.look(ctx, a)
	}
	w.HoldIDs = append(w.HoldIDs, poured...)
	held, err := s.stock.Hold(ctx, w)
	if err != nil {
		return fmt.Errorf("hold the stock of a cart: %w", err)
	}
	a.short(held.Short)
	if held.HoldID != "" {
		a.held(held, s.holdFor, s.now())
	}
	return nil
}

// held notes what a cart holds from now on.
func (c *cart) held(h inventoryapi.Held, most time.Duration, now time.Time) {
	if c.hasRested(most, now) {
		c.HeldSince = &now
	}
	c.HoldID, c.HoldExpiresAt = h.HoldID, &h.ExpiresAt
}

// unlessDone puts right what was held for a change that has not come true. The carts are
// those that it would have changed, as they are stored.
func (s *service) unlessDone(ctx context.Context, a *assessment, err *error, stored ...cart) {
	if *err == nil || slices.ContainsFunc(stored, func(c cart) bool { return c.HoldID == a.HoldID }) {
		return
	}
	if failed := s.restore(context.WithoutCancel(ctx), a, stored); failed != nil {
		*err = errors.Join(*err, fmt.Errorf("put back the stock of a cart: %w", failed))
	}
}

// restore gives up a hold that no cart knows of. Carts which name one that it took the place
// of hold their stock again, or know that they do not.
func (s *service) restore(ctx context.Context, a *assessment, stored []cart) error {
	anybody, taken := caller{reach: reach{all: true}}, a.HoldID
	switch now, err := s.find(ctx, a.ID, anybody); {
	case errors.Is(err, httpx.ErrNotFound): // it was to begin
	case err != nil:
		return err
	case now.HoldID == a.HoldID:
		return nil // the change has come true, and only its answer is lost
	}
	for _, was := range stored {
		if was.HoldID == "" {
			continue
		}
		c, err := s.find(ctx, was.ID, anybody)
		if err != nil {
			return err
		}
		if c.Status != open || c.HoldID != was.HoldID {
			continue // somebody else has seen to it
		}
		w := (&assessment{cart: c}).wish(max(c.lasts(s.holdFor, s.now()), holdToPlace))
		if taken != "" {
			w.HoldIDs = append(w.HoldIDs, taken)
		}
		held, err := s.stock.Hold(ctx, w)
		if err != nil {
			return err
		}
		after := c
		after.HoldID, after.HoldExpiresAt = held.HoldID, nil
		if held.HoldID != "" {
			taken, after.HoldExpiresAt = "", &held.ExpiresAt
		}
		ok, err := s.reheld(ctx, c, after)
		if err != nil {
			return err
		}
		if !ok && held.HoldID != c.HoldID {
			taken = held.HoldID
		}
	}
	if taken == "" {
		return nil
	}
	return s.stock.Release(ctx, taken)
}

// reheld writes which stock a cart holds instead, if nobody else has done so meanwhile.
func (s *service) reheld(ctx context.Context, before, after cart) (ok bool, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		ok, err = s.store.rehold(ctx, tx, before, after)
		return err
	})
	return ok, err
}
