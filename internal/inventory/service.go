package inventory

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
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
	log    *slog.Logger
	store  store
	alarms alarms
}

// set notes the result of a count, and from when on the stock counts as low.
func (s *service) set(ctx context.Context, tx *db.Tx, sku string, match httpx.IfMatch, onHand int64, threshold *int64) (level, error) {
	l, err := s.store.lock(ctx, tx, sku)
	if err != nil {
		return level{}, err
	}
	if err := match.Allows(l.Version); err != nil {
		return level{}, err
	}
	return s.change(ctx, tx, l, "set", "counted", func(l *level) error {
		if threshold != nil {
			l.LowThreshold = *threshold
		}
		return l.count(onHand)
	})
}

// adjust adds to what is on hand, or takes from it.
func (s *service) adjust(ctx context.Context, tx *db.Tx, sku string, delta int64, reason string) (level, error) {
	l, err := s.store.lock(ctx, tx, sku)
	if err != nil {
		return level{}, err
	}
	audit.Because(ctx, reason)
	if l.OnHand+delta > maxOnHand {
		return level{}, httpx.ErrValidation(tooMuch("/delta"))
	}
	return s.change(ctx, tx, l, "adjustment", reason, func(l *level) error { return l.count(l.OnHand + delta) })
}

// change stores a changed level with its movement and its facts.
func (s *service) change(ctx context.Context, tx *db.Tx, before level, kind, reason string, rule func(*level) error) (level, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return level{}, err
	}
	audit.Before(ctx, present(before))
	after := before
	if err := rule(&after); err != nil || after == before {
		return before, err
	}
	after.Version++
	after.UpdatedAt = tx.Now
	if err := s.store.save(ctx, tx, after, movement{
		Kind: kind, OnHandDelta: after.OnHand - before.OnHand, Reason: reason, Actor: id.Actor,
	}); err != nil {
		return level{}, err
	}
	facts := []event.Event{}
	if after.OnHand != before.OnHand {
		facts = append(facts, inventoryapi.Adjusted{Level: fact(after), Delta: after.OnHand - before.OnHand, Reason: reason})
	}
	if ranLow(before, after) {
		facts = append(facts, inventoryapi.LowStock{Level: fact(after), Threshold: after.LowThreshold})
	}
	return after, s.events.Publish(ctx, tx, facts...)
}

func (s *service) get(ctx context.Context, sku string) (l level, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		l, err = s.store.find(ctx, tx, sku)
		return err
	})
	return l, err
}

func (s *service) list(ctx context.Context, f filter) (levels []level, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		levels, err = s.store.list(ctx, tx, f)
		return err
	})
	return levels, err
}

func (s *service) movements(ctx context.Context, sku string, before uuid.UUID, limit int) (list []movement, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := s.store.find(ctx, tx, sku); err != nil {
			return err
		}
		list, err = s.store.movements(ctx, tx, sku, before, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("movements of %s: %w", sku, err)
	}
	return list, nil
}

func fact(l level) inventoryapi.Level {
	return inventoryapi.Level{SKU: l.SKU, Location: l.Location, OnHand: l.OnHand, Reserved: l.Reserved, Available: l.available(), Version: l.Version}
}
