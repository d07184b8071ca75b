package inventory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// hold keeps stock for a shopper: all of it or nothing.
func (s *service) hold(ctx context.Context, tx *db.Tx, lines []item, lasts time.Duration) (hold, error) {
	within, err := reachOf(ctx)
	if err != nil {
		return hold{}, err
	}
	h := hold{ID: clock.NewID(), Customer: within.customer, Status: holdHeld, Items: merge(lines)}
	levels, err := s.store.lockAll(ctx, tx, skusOf(h))
	if err != nil {
		return hold{}, err
	}
	if err := unknownSKUs(lines, levels); err != nil {
		return hold{}, err
	}
	before := snapshot(levels)
	if short := reserve(levels, demand{Items: h.Items}); len(short) > 0 {
		return hold{}, outOfStock(lines, short)
	}
	if h, err = s.store.keep(ctx, tx, h, lasts); err != nil {
		return hold{}, err
	}
	if err := s.expireAt(ctx, tx, h.ExpiresAt, lasts); err != nil {
		return hold{}, err
	}
	var facts []event.Event
	for _, sku := range slices.Sorted(maps.Keys(levels)) {
		l := levels[sku]
		l.Version++
		if ranLow(before[sku], *l) {
			facts = append(facts, inventoryapi.LowStock{Level: fact(*l), Threshold: l.LowThreshold})
		}
	}
	return h, s.events.Publish(ctx, tx, facts...)
}

func (s *service) findHold(ctx context.Context, id uuid.UUID) (h hold, err error) {
	within, err := reachOf(ctx)
	if err != nil {
		return hold{}, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		h, err = s.store.findHold(ctx, tx, id, within)
		return err
	})
	return h, err
}

// releaseHold gives a hold up before its time. One that is over already stays as it is.
func (s *service) releaseHold(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	within, err := reachOf(ctx)
	if err != nil {
		return err
	}
	h, err := s.store.lockHold(ctx, tx, id, within)
	if err != nil {
		return err
	}
	audit.Before(ctx, presentHold(h))
	if changes, err := h.release(); err != nil || !changes {
		return err
	}
	return s.end(ctx, tx, []hold{h}, holdReleased)
}

// reach is which holds somebody can see and release.
type reach struct {
	all      bool
	customer string // whose, when not all; empty: those of guests
}

// reachOf confines customers to what they hold, and everybody else who does not look after
// the stock to what nobody in particular holds: a guest's hold is known by its id only.
func reachOf(ctx context.Context) (reach, error) {
	id, err := identity.From(ctx)
	if err != nil || id.Can(permissionWrite) {
		return reach{all: true}, err
	}
	return reach{customer: id.Customer}, nil
}

// sweep is how many holds one transaction expires, as long as they have no more lines than
// it can write well in time.
const (
	sweep      = 500
	sweepLines = 5000
)

// onHoldDue expires the holds whose time is up, in pieces.
//
// Nobody waits for a hold that is locked: others want its stock, which is locked in order,
// and only once. One that is held after all that is looked at again later.
func (s *service) onHoldDue(ctx context.Context, tx *db.Tx, subject string) error {
	due, err := s.store.lockDueHolds(ctx, tx, sweep)
	if err != nil {
		return err
	}
	if err := s.end(ctx, tx, atMost(due, sweepLines), holdExpired); err != nil {
		return err
	}
	again, left, err := s.store.overdue(ctx, tx)
	if err == nil && left {
		s.timers.Set(tx, expireHold, subject, again)
	}
	return err
}

// end gives back the stock of holds that are locked.
func (s *service) end(ctx context.Context, tx *db.Tx, holds []hold, how holdStatus) error {
	if len(holds) == 0 {
		return nil
	}
	if _, err := s.store.lockAll(ctx, tx, skusOf(holds...)); err != nil {
		return err
	}
	return s.store.end(ctx, tx, holds, how)
}

// atMost keeps as many holds as have a number of lines together, and always the first.
func atMost(holds []hold, lines int) []hold {
	for n, h := range holds {
		if lines -= len(h.Items); lines < 0 && n > 0 {
			return holds[:n]
		}
	}
	return holds
}

// skusOf holds, in order and each once.
func skusOf(holds ...hold) []string {
	var skus []string
	for _, h := range holds {
		for _, i := range h.Items {
			skus = append(skus, i.SKU)
		}
	}
	slices.Sort(skus)
	return slices.Compact(skus)
}

func snapshot(levels map[string]*level) map[string]level {
	copies := make(map[string]level, len(levels))
	for sku, l := range levels {
		copies[sku] = *l
	}
	return copies
}
