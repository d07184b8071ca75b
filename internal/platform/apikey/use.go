package apikey

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// use is when a key was used last.
type use struct {
	tenant uuid.UUID
	at     time.Time
}

const (
	// noteEvery is how often it is written down which keys were used: no request waits for it.
	noteEvery = time.Minute
	// lastNote bounds the one at the end of the program.
	lastNote = 2 * time.Second
)

func (v *Verifier) note(c checked) {
	now := v.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used[c.key] = use{c.id.Tenant, now}
}

// Run writes down when keys were used, until ctx ends. A database that is away loses a
// minute of it, which nobody misses.
func (v *Verifier) Run(ctx context.Context, d *db.DB, log *slog.Logger) error {
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNote)
			defer cancel()
			if err := v.flush(last, d); err != nil {
				log.WarnContext(ctx, "the last uses of keys are not noted", "err", err)
			}
			return nil
		}
		if err := v.flush(ctx, d); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "uses of keys are not noted", "err", err)
		}
	}
}

func (v *Verifier) flush(ctx context.Context, d *db.DB) error {
	v.mu.Lock()
	used := v.used
	v.used = map[uuid.UUID]use{}
	v.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	var tenants, ids, times []string
	for id, u := range used {
		tenants, ids, times = append(tenants, u.tenant.String()), append(ids, id.String()), append(times, u.at.UTC().Format(time.RFC3339Nano))
	}
	return d.Across(ctx, func(tx *db.Tx) error {
		// In order: other replicas note the same keys.
		_, err := tx.Exec(ctx, `
			with used as (
				select k.tenant_id, k.id, u.at from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) u(tenant, id, at)
				join platform.api_key k on k.tenant_id = u.tenant and k.id = u.id
				order by k.tenant_id, k.id for update of k
			)
			update platform.api_key k set last_used_at = greatest(k.last_used_at, used.at)
			from used where k.tenant_id = used.tenant_id and k.id = used.id`, db.Array(tenants), db.Array(ids), db.Array(times))
		if err != nil {
			return fmt.Errorf("note uses of keys: %w", err)
		}
		return nil
	})
}
