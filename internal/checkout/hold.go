package checkout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
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
func (s *service) hold(ctx context.Context, tx *db.Tx, before cart, a *assessment, poured ...string) error {
	now := s.now()
	lasts := a.lasts(s.holdFor, now)
	same := before.holds(now) && slices.Equal(a.wish(0).Items, (&assessment{cart: before}).wish(0).Items)
	if same && before.buyer() == a.buyer() && len(poured) == 0 && a.HoldExpiresAt.Sub(now) > lasts-extendFrom {
		return nil
	}
	return s.secure(ctx, tx, a, lasts, poured...)
}

// secure holds the stock of a cart, and gives up what one that is empty holds. A hold that has
// what is wanted already is the same afterwards, and lasts longer.
func (s *service) secure(ctx context.Context, tx *db.Tx, a *assessment, lasts time.Duration, poured ...string) error {
	w := a.wish(lasts)
	switch {
	case len(w.Items) == 0 && a.HoldID != "":
		if err := s.stock.Release(ctx, tx, a.HoldID); err != nil {
			return fmt.Errorf("release the stock of a cart: %w", err)
		}
		a.HoldID, a.HoldExpiresAt, a.HeldSince = "", nil, nil
		return nil
	case len(w.Items) == 0:
		return nil
	case !a.hasBegun() || lasts <= 0:
		return s.look(ctx, tx, a)
	}
	w.HoldIDs = append(w.HoldIDs, poured...)
	held, err := s.stock.Hold(ctx, tx, w)
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
