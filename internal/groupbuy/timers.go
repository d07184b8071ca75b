package groupbuy

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

// What stored timers go by: the names never change. The subject is the campaign.
const (
	timerStart = "groupbuy.start"
	timerEnd   = "groupbuy.end"
	timerOrder = "groupbuy.order"
)

// moments at which something else happens from now on; nil leaves one as it is.
type moments struct{ Start, End *time.Time }

func (m moments) set(tx *db.Tx, t *timer.Timers, campaign string) {
	if m.Start != nil {
		t.Set(tx, timerStart, campaign, moment(*m.Start))
	}
	if m.End != nil {
		t.Set(tx, timerEnd, campaign, moment(*m.End))
	}
}

// onStart makes a scheduled campaign active. Those who join do not wait for it: the window
// decides whether they may.
func (s *service) onStart(ctx context.Context, tx *db.Tx, subject string) error {
	return s.turn(ctx, tx, subject, (*campaign).start, func(c campaign) event.Event { return groupbuyapi.CampaignUpdated{Campaign: fact(c)} })
}

// onEnd closes a campaign that was not successful in time.
func (s *service) onEnd(ctx context.Context, tx *db.Tx, subject string) error {
	return s.turn(ctx, tx, subject, (*campaign).end, func(c campaign) event.Event { return groupbuyapi.CampaignExpired{Campaign: fact(c)} })
}

func (s *service) turn(ctx context.Context, tx *db.Tx, subject string, rule func(*campaign, time.Time) bool, announce func(campaign) event.Event) error {
	id, err := uuid.Parse(subject)
	if err != nil {
		return fmt.Errorf("campaign of a timer: %w", err)
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return err
	}
	c, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if !rule(&c, now) {
		return nil
	}
	return s.save(ctx, tx, c, announce(c))
}

// ordersAtOnce bounds a transaction: a campaign can have a million participants.
const ordersAtOnce = 500

// onOrder says of those who joined before the campaign was successful that their orders
// are due, some at a time.
func (s *service) onOrder(ctx context.Context, tx *db.Tx, subject string) error {
	id, err := uuid.Parse(subject)
	if err != nil {
		return fmt.Errorf("campaign of a timer: %w", err)
	}
	c, err := s.store.find(ctx, tx, id)
	if err != nil {
		return err
	}
	due, at, err := s.store.order(ctx, tx, id, ordersAtOnce)
	if err != nil {
		return err
	}
	if len(due) == ordersAtOnce { // there may be more
		s.timers.Set(tx, timerOrder, subject, at)
	}
	facts := make([]event.Event, len(due))
	for i, p := range due {
		facts[i] = orderDue(c, p)
	}
	return s.events.Publish(ctx, tx, facts...)
}
