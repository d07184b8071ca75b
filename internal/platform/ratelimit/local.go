package ratelimit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

const (
	shards = 64
	// remembered bounds what a shard keeps: with all of them a quarter of a million callers.
	remembered = 4096
	// sampled are looked at to find whom to forget in a full shard.
	sampled = 16
	// sweepEvery is about as long as anybody has something to pay.
	sweepEvery = time.Minute
)

// Local counts within the process.
type Local struct {
	now    clock.Clock
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex
	paid  map[string]time.Duration // since 1970
	swept time.Duration
}

// NewLocal counts by a clock.
func NewLocal(now clock.Clock) *Local {
	l := &Local{now: now, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].paid = map[string]time.Duration{}
	}
	return l
}

// Take counts a request.
func (l *Local) Take(_ context.Context, key string, q Quota) Decision {
	now, s := time.Duration(l.now().UnixNano()), l.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	paid, known := s.paid[key]
	if !known && len(s.paid) >= remembered {
		s.forget()
	}
	next, d := decide(paid, now, q)
	s.paid[key] = next
	return d
}

// Peek tells how a request would be answered, without counting it.
func (l *Local) Peek(key string, q Quota) Decision {
	now, s := time.Duration(l.now().UnixNano()), l.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, d := decide(s.paid[key], now, q)
	return d
}

func (l *Local) shardOf(key string) *shard { return &l.shards[maphash.String(l.seed, key)%shards] }

// sweep forgets those who have paid: they are as good as unknown.
func (s *shard) sweep(now time.Duration) {
	if (now - s.swept).Abs() < sweepEvery {
		return
	}
	s.swept = now
	for key, paid := range s.paid {
		if paid <= now {
			delete(s.paid, key)
		}
	}
}

// forget makes room in a full shard: of some, the one who has the least to pay goes.
func (s *shard) forget() {
	var least string
	seen := 0
	for key, paid := range s.paid {
		if seen == 0 || paid < s.paid[least] {
			least = key
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(s.paid, least)
}
