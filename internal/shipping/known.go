package shipping

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

// lasts is how long another process may not have heard of a change.
const lasts = 2 * time.Second

// mostKnown bounds the shops that are remembered.
const mostKnown = 10_000

// known remembers how shops send, which every look at a checkout asks for. What this
// process changes it sees at once.
type known struct {
	now clock.Clock

	mu    sync.Mutex
	shops map[uuid.UUID]*shop
}

type shop struct {
	generation uint64
	changing   int // transactions that are about to change something
	ways       ways
	readAt     time.Time
}

func newKnown(now clock.Clock) *known { return &known{now: now, shops: map[uuid.UUID]*shop{}} }

func (k *known) shop(tenant uuid.UUID) *shop {
	s, ok := k.shops[tenant]
	if !ok {
		if len(k.shops) >= mostKnown {
			clear(k.shops)
		}
		s = &shop{}
		k.shops[tenant] = s
	}
	return s
}

// ways are those of a shop, read when they are not known.
func (k *known) ways(ctx context.Context, tenant uuid.UUID, read func(context.Context) (ways, error)) (ways, error) {
	k.mu.Lock()
	s, now := k.shop(tenant), k.now()
	if age := now.Sub(s.readAt); age >= 0 && age < lasts {
		defer k.mu.Unlock()
		return s.ways, nil
	}
	generation := s.generation
	k.mu.Unlock()
	found, err := read(ctx)
	if err != nil {
		return ways{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.changing == 0 && s.generation == generation {
		s.ways, s.readAt = found, now
	}
	return found, nil
}

// change keeps nothing of a shop until done is called: readers may see either.
func (k *known) change(tenant uuid.UUID) (done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.shop(tenant)
	s.changing++
	s.forget()
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		s.changing--
		s.forget()
	}
}

func (s *shop) forget() {
	s.generation++
	s.ways, s.readAt = ways{}, time.Time{}
}
