package checkout

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/checkout/checkoutapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

const (
	// abandonedAfter is how long a cart is left alone before that is said.
	abandonedAfter = 24 * time.Hour
	// expiresAfter is how long it is kept.
	expiresAfter = 30 * 24 * time.Hour
	// forgottenAfter is how long one is known that is over and was never an order.
	forgottenAfter = 60 * 24 * time.Hour
	// sweepSize is how many carts one transaction deals with.
	sweepSize = 500
)

// sweepCarts is the timer of an hour in which carts of a shop may have been left alone for
// long enough. There is one for all of them.
const sweepCarts = "checkout.sweep-carts"

// sweeps sets the timers of a shop for what its carts of this hour may need, once an hour:
// a timer a cart would be a statement more for each.
type sweeps struct {
	mu   sync.Mutex
	seen map[uuid.UUID]time.Time // the last hour that was seen to
}

func newSweeps() *sweeps { return &sweeps{seen: map[uuid.UUID]time.Time{}} }

// see makes sure that somebody looks after a cart that is written now.
func (s *sweeps) see(ctx context.Context, tx *db.Tx, timers *timer.Timers) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	hour := tx.Now.Truncate(time.Hour)
	s.mu.Lock()
	known := s.seen[id.Tenant].Equal(hour)
	s.mu.Unlock()
	if known {
		return nil
	}
	// What expires is stamped a moment after its timer: another hour, and it is old enough.
	for _, after := range []time.Duration{abandonedAfter, expiresAfter, expiresAfter + forgottenAfter + time.Hour} {
		due := hour.Add(after + time.Hour)
		timers.Set(tx, sweepCarts, due.Format(time.RFC3339), due)
	}
	tx.AfterCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[id.Tenant] = hour
	})
	return nil
}

// onSweep says which carts are left alone, and ends those that have been for very long. When
// there are many it comes again.
func (s *service) onSweep(ctx context.Context, tx *db.Tx, subject string) error {
	left, marked, err := s.store.abandon(ctx, tx, tx.Now.Add(-abandonedAfter), sweepSize)
	if err != nil {
		return err
	}
	var facts []event.Event
	for _, c := range left {
		facts = append(facts, abandoned(c))
	}
	if err := s.events.Publish(ctx, tx, facts...); err != nil {
		return err
	}
	ended, err := s.store.expire(ctx, tx, tx.Now.Add(-expiresAfter), sweepSize)
	if err != nil {
		return err
	}
	forgotten, err := s.store.remove(ctx, tx, tx.Now.Add(-forgottenAfter), sweepSize)
	if err != nil {
		return err
	}
	if marked == sweepSize || ended == sweepSize || forgotten == sweepSize {
		s.timers.Set(tx, sweepCarts, subject, tx.Now)
	}
	return nil
}

func abandoned(c cart) checkoutapi.CartAbandoned {
	f := checkoutapi.CartAbandoned{CartID: c.ID.String(), Currency: string(c.Currency), Reachable: c.Email != "" || c.isRegistered(), Version: c.Version}
	if c.isRegistered() {
		f.CustomerID = c.CustomerID
	}
	for _, l := range c.Lines {
		f.Items = append(f.Items, checkoutapi.Item{SKU: l.SKU, Quantity: l.Quantity, Price: l.Price.Decimal()})
	}
	return f
}

// abandon marks carts that nobody has touched since then, so that they are looked at once, and
// returns those with something in them. One that is being changed is left for the next time.
func (s store) abandon(ctx context.Context, tx *db.Tx, since time.Time, limit int) (left []cart, marked int, err error) {
	var ids []string
	if err := tx.Select(ctx, &ids, `
		with left_alone as (
			select id from checkout.cart where status = 'open' and updated_at < $1 and abandoned_at is null order by updated_at limit $2 for update skip locked
		)
		update checkout.cart c set abandoned_at = $3 from left_alone where c.id = left_alone.id returning c.id::text`, since, limit, tx.Now); err != nil {
		return nil, 0, fmt.Errorf("find carts that are left alone: %w", err)
	}
	if len(ids) == 0 {
		return nil, 0, nil
	}
	left, err = s.carts(ctx, tx, `where c.id = any($1::uuid[]) and exists (select from checkout.line l where l.cart_id = c.id) order by c.id`, db.Array(ids))
	return left, len(ids), err
}

// expire ends carts that are left alone and that nobody has touched since then, and forgets
// whose they were.
func (store) expire(ctx context.Context, tx *db.Tx, since time.Time, limit int) (int64, error) {
	n, err := tx.Exec(ctx, `
		with old as (
			select id from checkout.cart where status = 'open' and abandoned_at is not null and updated_at < $1 order by updated_at limit $2 for update skip locked
		)
		update checkout.cart c
		set status = 'expired', ticket = null, customer_id = '', email = null, shipping_address = null, billing_address = null, metadata = '{}', version = version + 1, updated_at = $3
		from old where c.id = old.id`, since, limit, tx.Now)
	if err != nil {
		return 0, fmt.Errorf("expire carts: %w", err)
	}
	return n, nil
}

// remove forgets carts that ended before then and were never orders.
func (store) remove(ctx context.Context, tx *db.Tx, since time.Time, limit int) (int64, error) {
	n, err := tx.Exec(ctx, `
		delete from checkout.cart where id in (
			select id from checkout.cart where status in ('merged', 'expired') and updated_at < $1 limit $2 for update skip locked)`, since, limit)
	if err != nil {
		return 0, fmt.Errorf("forget carts: %w", err)
	}
	return n, nil
}
