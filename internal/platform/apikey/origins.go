package apikey

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
)

// Origins knows the pages of all publishable keys of all merchants. A browser asks for them
// before it shows a key.
type Origins struct {
	db  *db.DB
	now clock.Clock
	log *slog.Logger

	mu    sync.Mutex
	known map[string]bool
	at    time.Time
}

// NewOrigins asks the database when it is asked.
func NewOrigins(d *db.DB, now clock.Clock, log *slog.Logger) *Origins {
	return &Origins{db: d, now: now, log: log}
}

// Allow tells whether a page of an origin may show some key. While the database is away it
// goes by what it knew last.
func (o *Origins) Allow(ctx context.Context, origin string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := o.now(); o.known == nil || now.Sub(o.at).Abs() >= memory.Freshness {
		o.at = now
		if err := o.read(ctx); err != nil {
			o.log.WarnContext(ctx, "origins of keys not read", "err", err)
		}
	}
	return o.known[origin]
}

func (o *Origins) read(ctx context.Context) error {
	var all []string
	err := o.db.Across(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &all, `
			select distinct unnest(origins) from platform.api_key
			where kind = 'publishable' and revoked_at is null and (expires_at is null or expires_at > now())`)
	})
	if err != nil {
		return err
	}
	o.known = make(map[string]bool, len(all))
	for _, origin := range all {
		o.known[origin] = true
	}
	return nil
}
