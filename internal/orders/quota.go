package orders

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

// recount is how long what another process accepted may go unnoticed. A shop may exceed
// its quota by what the other processes accept in that time, and by the requests that
// are under way at the same moment.
const recount = 5 * time.Second

// daily knows how many orders of the day a merchant with a quota has. Counting for each
// order would make the last order of the day the dearest.
type daily struct {
	db    *db.DB
	store store
	now   clock.Clock

	mu   sync.Mutex
	days map[uuid.UUID]day
}

type day struct {
	began   time.Time
	counted time.Time
	orders  int64
}

func newDaily(d *db.DB, now clock.Clock) *daily {
	return &daily{db: d, now: now, days: map[uuid.UUID]day{}}
}

// allow refuses an order beyond the quota. Orders that campaigns lead to count and are
// never refused: their participants have been promised them.
func (d *daily) allow(ctx context.Context) error {
	quota := tenant.Of(ctx).Quotas.OrdersPerDay
	if quota == nil {
		return nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := d.now().UTC()
	today := now.Truncate(24 * time.Hour)
	d.mu.Lock()
	known, ok := d.days[id.Tenant]
	d.mu.Unlock()
	if age := now.Sub(known.counted); !ok || !known.began.Equal(today) || age < 0 || age >= recount {
		known = day{began: today, counted: now}
		if err := d.db.Read(ctx, func(tx *db.Tx) error {
			known.orders, err = d.store.since(ctx, tx, today, *quota)
			return err
		}); err != nil {
			return fmt.Errorf("count the orders of the day: %w", err)
		}
		d.mu.Lock()
		d.days[id.Tenant] = known
		d.mu.Unlock()
	}
	if known.orders >= *quota {
		return tenant.ErrQuota.Saying("The shop has had the %d orders that it may have in a day.", *quota).With("quota", "ordersPerDay")
	}
	return nil
}

// accepted counts an order of the tenant that ctx acts for.
func (d *daily) accepted(ctx context.Context) {
	id, err := identity.From(ctx)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.days[id.Tenant]; ok {
		known.orders++
		d.days[id.Tenant] = known
	}
}
