package ratelimit

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

const (
	// patience with the store: a limit is not worth a slow answer.
	patience = 100 * time.Millisecond
	// pause is how long the store is left alone after it failed.
	pause = time.Second
	// prefix keeps clear of what else the store holds.
	prefix = "fusion:limit:"
)

// gcra is decide, by the clock of the store, which all programs share. In microseconds:
// beyond 2^53 Lua's numbers are not exact.
var gcra = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now), now + full)
local over = paid + cost - now - full
if over > 0 then
  return {0, 0, paid - now, over}
end
paid = paid + cost
redis.call('SET', KEYS[1], string.format('%.0f', paid), 'PX', math.ceil((paid - now) / 1000))
return {1, math.floor((full - (paid - now)) / cost), paid - now, 0}
`)

// Shared counts in a store that several programs have in common, which talks as Redis does.
// While it is away each program counts for itself.
type Shared struct {
	store *redis.Client
	local *Local
	now   clock.Clock
	log   *slog.Logger

	patience time.Duration

	mu   sync.Mutex
	lost error // nil while the store answers
	ask  time.Time
}

// NewShared counts at redis://host:port/db. It does not reach for the store yet.
func NewShared(url string, local *Local, now clock.Clock, log *slog.Logger) (*Shared, error) {
	return newShared(url, local, now, log, patience)
}

func newShared(url string, local *Local, now clock.Clock, log *slog.Logger, patience time.Duration) (*Shared, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read limits.store_url: %w", err)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	return &Shared{store: redis.NewClient(o), local: local, now: now, log: log, patience: patience}, nil
}

// Take counts a request.
func (s *Shared) Take(ctx context.Context, key string, q Quota) Decision {
	if !s.worthAsking() {
		return s.local.Take(ctx, key, q)
	}
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	d, err := s.take(asking, key, q)
	if err != nil {
		if ctx.Err() == nil {
			s.answered(ctx, err)
		}
		return s.local.Take(ctx, key, q)
	}
	s.answered(ctx, nil)
	return d
}

func (s *Shared) take(ctx context.Context, key string, q Quota) (Decision, error) {
	cost := max(q.interval().Microseconds(), 1)
	said, err := gcra.Run(ctx, s.store, []string{prefix + key}, cost, cost*int64(q.Requests)).Int64Slice()
	if err != nil {
		return Decision{}, err
	}
	if len(said) != 4 {
		return Decision{}, fmt.Errorf("the store answers with %d numbers", len(said))
	}
	return Decision{
		Allowed: said[0] == 1, Remaining: int(said[1]),
		Reset: time.Duration(said[2]) * time.Microsecond, Wait: time.Duration(said[3]) * time.Microsecond,
	}, nil
}

// worthAsking is false while the store is left alone. Of those who come after that, one
// tries it.
func (s *Shared) worthAsking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		return true
	}
	now := s.now()
	if now.Before(s.ask) {
		return false
	}
	s.ask = now.Add(pause)
	return true
}

// answered notes how the store is. Only a change is worth a line.
func (s *Shared) answered(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && s.lost == nil:
		s.log.WarnContext(ctx, "limits are counted by each program for itself: the store of limits.store_url does not answer", "err", err)
	case err == nil && s.lost != nil:
		s.log.InfoContext(ctx, "limits are shared again")
	}
	if s.lost = err; err != nil {
		s.ask = s.now().Add(pause)
	}
}

// Check tells whether the store answers.
func (s *Shared) Check(ctx context.Context) error {
	if err := s.store.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ask the store of limits: %w", err)
	}
	return nil
}

// Close gives the connections back.
func (s *Shared) Close() error { return s.store.Close() }
