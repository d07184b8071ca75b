package inventory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// expireHold is the timer that expires holds. Its subject is the second that it is set for: one
// ends all holds that run out in it, and whatever an earlier one has left. It is never cleared:
// who runs it has it locked, and would wait for the hold that who clears it has locked. When
// there is nothing to expire any more it finds nothing.
const expireHold = "inventory.expire-hold"

// alarms are the seconds whose timers are known to be set: nearly all holds find theirs set by
// another one, and write none.
type alarms struct {
	mu    sync.Mutex
	set   map[alarm]struct{}
	prune int // how many there are when those that have gone off are forgotten
}

type alarm struct {
	tenant uuid.UUID
	at     int64
}

// certain is how long a hold has to last to do with a timer that another one has set: longer
// than a transaction, or its own could commit when that timer has gone off already.
const certain = time.Minute

// alarmAt is the end of the second in which a hold runs out.
func alarmAt(expires time.Time) time.Time { return expires.Truncate(time.Second).Add(time.Second) }

// alarmName is the subject of its timer.
func alarmName(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// expireAt sees to it that a timer goes off when a hold that lasts so long has run out.
func (s *service) expireAt(ctx context.Context, tx *db.Tx, expires time.Time, lasts time.Duration) error {
	id, err := identity.From(ctx)
	if err != nil {
		return fmt.Errorf("set the timer of a hold: %w", err)
	}
	at := alarmAt(expires)
	a := alarm{id.Tenant, at.Unix()}
	if lasts >= certain && s.alarms.has(a) {
		return nil
	}
	s.timers.Set(tx, expireHold, alarmName(at), at)
	now := tx.Now.Unix()
	tx.AfterCommit(func() { s.alarms.note(a, now) })
	return nil
}

func (l *alarms) has(a alarm) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, set := l.set[a]
	return set
}

// leastPruned is how many alarms are kept without a look at which have gone off.
const leastPruned = 4096

func (l *alarms) note(a alarm, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set == nil {
		l.set, l.prune = map[alarm]struct{}{}, leastPruned
	}
	l.set[a] = struct{}{}
	if len(l.set) < l.prune {
		return
	}
	for a := range l.set {
		if a.at < now {
			delete(l.set, a)
		}
	}
	l.prune = max(leastPruned, 2*len(l.set))
}
