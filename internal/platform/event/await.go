package event

import (
	"context"
	"sync"
	"time"
)

// reactions lets a caller see the first effects of its own fact. Consumers are quick but
// not instant; somebody who creates a product and asks for its stock in the next breath
// should not be told that there is none.
type reactions struct {
	mu      sync.Mutex
	waiting map[about]chan struct{}
}

// about names what is waited for.
type about struct{ topic, subject string }

// courtesy bounds the wait: beyond it the caller sees what everybody sees.
const courtesy = 250 * time.Millisecond

// Await announces that a fact of a topic about subject may be published. The function it
// returns must be called: when it was, it waits until a consumer of this process has
// handled it, and not for long. Nothing depends on it.
func (l *Log) Await(topic, subject string) func(ctx context.Context, published bool) {
	if !l.hears(topic) {
		return func(context.Context, bool) {}
	}
	handled := make(chan struct{})
	l.reactions.mu.Lock()
	l.reactions.waiting[about{topic, subject}] = handled
	l.reactions.mu.Unlock()
	return func(ctx context.Context, published bool) {
		if published {
			timeout := time.NewTimer(courtesy)
			defer timeout.Stop()
			select {
			case <-handled:
			case <-timeout.C:
			case <-ctx.Done():
			}
		}
		l.reactions.mu.Lock()
		delete(l.reactions.waiting, about{topic, subject})
		l.reactions.mu.Unlock()
	}
}

// handled tells those who wait that the effects are there to be seen.
func (r *reactions) handled(events []received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return
	}
	for _, e := range events {
		at := about{e.Type, e.Subject}
		if c, ok := r.waiting[at]; ok {
			delete(r.waiting, at)
			close(c)
		}
	}
}
