package checkout

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// turns lets those who change one cart in this process come one after the other. Others
// would find it changed, and begin again; that is what happens between processes.
type turns struct {
	mu   sync.Mutex
	held map[uuid.UUID]*turn
}

type turn struct {
	mine    chan struct{} // of one
	waiting int
}

func newTurns() *turns { return &turns{held: map[uuid.UUID]*turn{}} }

// take waits for one's turn, as long as the caller does.
func (t *turns) take(ctx context.Context, id uuid.UUID) (release func(), err error) {
	t.mu.Lock()
	at := t.held[id]
	if at == nil {
		at = &turn{mine: make(chan struct{}, 1)}
		t.held[id] = at
	}
	at.waiting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if at.waiting--; at.waiting == 0 {
			delete(t.held, id)
		}
	}
	select {
	case at.mine <- struct{}{}:
		return func() { <-at.mine; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
