package httpx

import (
	"context"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

const (
	// queuePatience is how long a request waits for its turn when requests wait now and then.
	queuePatience = 500 * time.Millisecond
	// rushPatience is the same once some have waited for all of queueMemory: who comes to a
	// queue that does not end is told so at once, and those who are in it get their turn
	// while they still want it (CoDel, as Maurer puts it in "Fail at Scale", ACM Queue 13(8)).
	rushPatience = 20 * time.Millisecond
	queueMemory  = 500 * time.Millisecond
)

var errOverloaded = fault.New(fault.Unavailable, "overloaded", "The server has more to do than it can. Try again shortly.").After(1)

// gate bounds how many requests are worked on at once, and how many wait for that.
type gate struct {
	slots   chan struct{}
	longest int
	now     clock.Clock

	patience, rush, memory time.Duration

	mu      sync.Mutex
	waiting int
	since   time.Time // when somebody began to wait and nobody else did
}

// newGate lets in so many at once; as many again may wait.
func newGate(concurrency int, now clock.Clock) *gate {
	return &gate{
		slots: make(chan struct{}, concurrency), longest: concurrency, now: now,
		patience: queuePatience, rush: rushPatience, memory: queueMemory,
	}
}

// enter waits for a turn. leave ends it.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	patience, ok := g.join()
	if !ok {
		return errOverloaded
	}
	defer g.quit()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-enough.C:
		return errOverloaded
	case <-ctx.Done():
		return errOverloaded
	}
}

func (g *gate) leave() { <-g.slots }

// join is refused when the queue is full.
func (g *gate) join() (patience time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == g.longest {
		return 0, false
	}
	if g.waiting == 0 {
		g.since = g.now()
	}
	g.waiting++
	if g.now().Sub(g.since) > g.memory {
		return g.rush, true
	}
	return g.patience, true
}

func (g *gate) quit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting--
}

// inTurn lets a request in when it is its turn. Probes do not wait: who asks how a busy
// program is must not take it for a dead one.
func (s *Server) inTurn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if s.gate == nil || s.api.state.limits[r.Method+" "+c.Path()] == Unlimited {
			return next(c)
		}
		if err := s.gate.enter(r.Context()); err != nil {
			return err
		}
		cl := callOf(r.Context())
		cl.leave = sync.OnceFunc(s.gate.leave)
		defer cl.leave()
		return next(c)
	}
}
