package testkit

import (
	"context"
	"sync/atomic"
	"time"
)

// Watch is a clock that stands still until somebody turns it.
type Watch struct{ at atomic.Int64 }

// NewWatch shows a time.
func NewWatch(at time.Time) *Watch {
	w := &Watch{}
	w.at.Store(at.UnixNano())
	return w
}

// Now is a clock.Clock.
func (w *Watch) Now() time.Time { return time.Unix(0, w.at.Load()).UTC() }

// Turn sets it forth, or back.
func (w *Watch) Turn(d time.Duration) { w.at.Add(int64(d)) }

// Noticed is a context that tells when somebody waits for its end.
type Noticed struct {
	context.Context
	At chan struct{} // has room for one
}

// Done is the context's.
func (n *Noticed) Done() <-chan struct{} {
	select {
	case n.At <- struct{}{}:
	default:
	}
	return n.Context.Done()
}
