package checkout

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// errBusy is for those who meet so many others at one cart that waiting makes no sense.
var errBusy = fault.New(fault.Conflict, "cart_busy", "Others change the cart at this moment. Try again.").After(1)

// errMoved begins a change anew: another process was quicker.
var errMoved = errors.New("the cart has changed meanwhile")

// attempts of a change while other processes change the cart as well.
const attempts = 12

// again makes a change of a cart in one's turn, and begins it anew as long as the cart has
// moved meanwhile. Who gives up says what was in the way last, if that has a name.
func again[T any](ctx context.Context, t *turns, id uuid.UUID, once func() (T, error)) (out T, err error) {
	release, err := t.take(ctx, id)
	if err != nil {
		return out, err
	}
	defer release()
	for n := range attempts {
		if out, err = once(); !errors.Is(err, errMoved) {
			return out, err
		}
		if err := pause(ctx, n); err != nil {
			return out, err
		}
	}
	if known := new(fault.Error); errors.As(err, &known) {
		return out, known
	}
	return out, errBusy
}

// pause lets others finish, each as long as chance has it.
func pause(ctx context.Context, n int) error {
	wait := time.Duration(n+1) * time.Duration(1+clock.NewID()[15]%8) * time.Millisecond
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

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
