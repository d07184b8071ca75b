package event

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// watcher drops what a process has cached when the log says that it changed.
type watcher struct {
	topics  []string
	tenants func() []uuid.UUID
	changed func(tenant uuid.UUID)
	seen    int64 // the log was read up to here; 0: not yet
}

// Watch calls changed for every merchant, among those that tenants names, of whom a
// fact of one of the topics was recorded, by whichever replica, within Poll.
// Unlike On it is heard by every process, not by one of them, and it tells that
// something changed, not what: enough to empty a cache.
func (b *Bus) Watch(topics []string, tenants func() []uuid.UUID, changed func(tenant uuid.UUID)) {
	b.watchers = append(b.watchers, &watcher{topics: topics, tenants: tenants, changed: changed})
}

// watch reads what the log gained since the last look. It asks only when the log
// has grown, and never passes a fact that is not committed yet.
func (b *Bus) watch(ctx context.Context, last int64) error {
	for _, w := range b.watchers {
		if w.seen == last {
			continue
		}
		if err := b.db.Across(ctx, func(tx *db.Tx) error {
			settled, err := settled(ctx, tx, last)
			if err != nil {
				return err
			}
			// Asked for now: whoever begins to cache from here on reads what is settled. What is
			// not settled but visible counts as well: a slow publisher elsewhere delays nothing,
			// it is only looked at again.
			tenants := w.tenants()
			changed := tenants // at the first look: nothing is known of what was before
			if w.seen > 0 && len(tenants) > 0 {
				changed = nil
				ids := make([]string, len(tenants))
				for i, t := range tenants {
					ids[i] = t.String()
				}
				if err := tx.Select(ctx, &changed, `
					select distinct tenant_id from platform.event
					where tenant_id = any($1::uuid[]) and type = any($2) and seq > $3`,
					pq.Array(ids), pq.Array(w.topics), w.seen); err != nil {
					return fmt.Errorf("watch the log: %w", err)
				}
			}
			for _, t := range changed {
				w.changed(t)
			}
			w.seen = settled
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// settled is how far the log can be read without passing a fact that is still being
// committed. last must have been read by an earlier statement: see platform.fence().
func settled(ctx context.Context, tx *db.Tx, last int64) (int64, error) {
	var to int64
	if err := tx.Get(ctx, &to, `select platform.log_settled($1)`, last); err != nil {
		return 0, fmt.Errorf("how far the log is settled: %w", err)
	}
	return to, nil
}
