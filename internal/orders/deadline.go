package orders

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

const (
	// sweepEvery is how many orders share a timer: those of one shop and this time.
	sweepEvery = 15 * time.Minute
	// sweepSize is how many orders one transaction of such a timer changes.
	sweepSize = 500
)

// deadline is how long something of an order may take, with the timers that see to it: one a
// shop and quarter of an hour, because one an order would be a statement more for each.
type deadline struct {
	after  time.Duration // 0: there is none
	kind   string        // of the timers
	timers *timer.Timers

	mu   sync.Mutex
	seen map[uuid.UUID]time.Time // the last quarter of an hour that was seen to
}

func newDeadline(timers *timer.Timers, kind string, after time.Duration) *deadline {
	return &deadline{after: after, kind: kind, timers: timers, seen: map[uuid.UUID]time.Time{}}
}

// see makes sure that somebody looks whether what begins now is done when its time is up.
func (d *deadline) see(ctx context.Context, tx *db.Tx) error {
	if d.after == 0 {
		return nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	quarter := tx.Now.Truncate(sweepEvery)
	d.mu.Lock()
	known := d.seen[id.Tenant].Equal(quarter)
	d.mu.Unlock()
	if known {
		return nil
	}
	due := quarter.Add(sweepEvery + d.after)
	d.timers.Set(tx, d.kind, due.Format(time.RFC3339), due)
	tx.AfterCommit(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.seen[id.Tenant] = quarter
	})
	return nil
}

// again has the rest looked at, of more than one transaction changes.
func (d *deadline) again(tx *db.Tx, subject string, found int) {
	if found == sweepSize {
		d.timers.Set(tx, d.kind, subject, tx.Now)
	}
}
