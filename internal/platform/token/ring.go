package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

const (
	// freshness is how long the keys are taken for the current ones without asking again.
	freshness = 5 * time.Second
	// pace is the least time between two looks for names that nobody knows.
	pace = 100 * time.Millisecond
	// CacheFor is how long others may keep the key set.
	CacheFor = 5 * time.Minute
	// overlap is for clocks that differ and replicas that have not looked yet.
	overlap = time.Minute
)

// ring is what a process knows of the keys.
type ring struct {
	turn chan struct{} // held by who loads: one at a time, however many wait

	mu     sync.Mutex
	keys   map[string]key
	at     time.Time // of the last load
	begun  int       // loads so far
	loaded int       // the number of the last that succeeded
}

func (r *ring) fresh(now time.Time) (map[string]key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A clock that was set back must not lengthen the life of what is known.
	age := now.Sub(r.at)
	return r.keys, r.keys != nil && age >= 0 && age < freshness
}

// keys are those that sign or have signed what may still be shown.
func (t *Tokens) keys(ctx context.Context) (map[string]key, error) {
	if keys, ok := t.ring.fresh(t.opt.Clock()); ok {
		return keys, nil
	}
	return t.load(ctx, 0)
}

// find looks for a key by its name. A name that nobody knows may be that of a new key: then
// the database is asked, though not as often as somebody can make names up.
func (t *Tokens) find(ctx context.Context, kid string) (key, bool, error) {
	keys, err := t.keys(ctx)
	if err != nil {
		return key{}, false, err
	}
	k, ok := keys[kid]
	if !ok {
		if keys, err = t.load(ctx, pace); err != nil {
			return key{}, false, err
		}
		k, ok = keys[kid]
	}
	return k, ok, nil
}

// load reads the keys, at least spacing after the last time. Those who come while it does
// wait, and one of them reads again for all: what they look for may have come meanwhile.
func (t *Tokens) load(ctx context.Context, spacing time.Duration) (map[string]key, error) {
	r := &t.ring
	r.mu.Lock()
	before := r.begun
	r.mu.Unlock()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	known, at := r.keys, r.at
	done := r.loaded > before
	r.mu.Unlock()
	if done {
		return known, nil
	}
	if wait := spacing - max(0, t.opt.Clock().Sub(at)); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.mu.Lock()
	r.begun++
	r.mu.Unlock()
	now := t.opt.Clock()
	keys, err := t.read(ctx, known)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.at, r.loaded = keys, now, r.begun
	return keys, nil
}

const columns = `kid, algorithm, public_key, private_key, created_at, active_from, retired_at`

// read opens what is stored. What is open already is not opened again: its name is never
// given twice.
func (t *Tokens) read(ctx context.Context, open map[string]key) (map[string]key, error) {
	rows, err := db.Query[row](ctx, t.opt.DB, `select `+columns+` from platform.signing_key`)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	keys := make(map[string]key, len(rows))
	for _, stored := range rows {
		k, ok := open[stored.ID]
		if !ok {
			if k, err = t.open(stored); err != nil {
				return nil, err
			}
		}
		k.ActiveFrom, k.RetiredAt = stored.ActiveFrom, stored.RetiredAt
		if !t.over(k.row, t.opt.Clock()) {
			keys[k.ID] = k
		}
	}
	return keys, nil
}

// over tells whether all that a key has signed is over.
func (t *Tokens) over(r row, now time.Time) bool {
	return r.RetiredAt != nil && now.After(r.RetiredAt.Add(t.opt.TTL+overlap))
}

// signer is the key that signs now: of those whose time has come, the one whose time came
// last. At the very first need there is none, and one is made.
func (t *Tokens) signer(ctx context.Context) (key, error) {
	keys, err := t.keys(ctx)
	if err != nil {
		return key{}, err
	}
	if k, ok := current(keys, t.opt.Clock()); ok {
		return k, nil
	}
	if err := t.begin(ctx); err != nil {
		return key{}, err
	}
	if keys, err = t.load(ctx, 0); err != nil {
		return key{}, err
	}
	if k, ok := current(keys, t.opt.Clock()); ok {
		return k, nil
	}
	return key{}, errNoKey
}

var errNoKey = errors.New("there is no signing key whose time has come")

func current(keys map[string]key, now time.Time) (found key, ok bool) {
	for _, k := range keys {
		if !k.ActiveFrom.After(now) && (!ok || k.ActiveFrom.After(found.ActiveFrom)) {
			found, ok = k, true
		}
	}
	return found, ok
}

// Published are the public halves of the keys, in the order in which they sign.
func (t *Tokens) Published(ctx context.Context) (JWKS, error) {
	if _, err := t.signer(ctx); err != nil {
		return JWKS{}, fmt.Errorf("publish signing keys: %w", err)
	}
	keys, err := t.keys(ctx)
	if err != nil {
		return JWKS{}, fmt.Errorf("publish signing keys: %w", err)
	}
	return published(keys), nil
}
