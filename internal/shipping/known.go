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

// mostKnown bounds the shops whose methods are remembered.
const mostKnown = 10_000

// known remembers the methods of shops, which every look at a checkout asks for. What this
// process changes it sees at once.
type known struct {
	now clock.Clock

	mu    sync.Mutex
	shops map[uuid.UUID]*shop
}

type shop struct {
	generation uint64
	changing   int // transactions that are about to change something
	methods    []method
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

// methods are those of a shop, read when they are not known.
func (k *known) methods(ctx context.Context, tenant uuid.UUID, read func(context.Context) ([]method, error)) ([]method, error) {
	k.mu.Lock()
	s, now := k.shop(tenant), k.now()
	if age := now.Sub(s.readAt); age >= 0 && age < lasts {
		defer k.mu.Unlock()
		return s.methods, nil
	}
	generation := s.generation
	k.mu.Unlock()
	methods, err := read(ctx)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.changing == 0 && s.generation == generation {
		s.methods, s.readAt = methods, now
	}
	return methods, nil
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
	s.methods, s.readAt = nil, time.Time{}
}
