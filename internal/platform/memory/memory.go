// Package memory keeps answers for a moment, so that a busy caller costs a question every two
// seconds and not one a request. What changes acts everywhere within that time.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

const (
	// Freshness is how long an answer is taken for good without asking again.
	Freshness = 2 * time.Second
	// Most bounds how many answers are kept; beyond it all are asked for anew.
	Most = 10_000
	// early is when one caller asks again while the others go on with what is known.
	early = Freshness / 2
)

// Options of a memory. The zero value asks whenever nothing fresh is known.
type Options[V any] struct {
	// Ends says when an answer ends by itself, within its freshness; never when it is zero.
	Ends func(V) time.Time
	// Absent has it remember as well what there is not. It is kept apart: anybody can invent
	// names, which must not push out those that are somebody's.
	Absent bool
	// Early has one caller ask again before the others have to wait for it.
	Early bool
	// Outage tells the errors in which what was known last goes on to count.
	Outage func(error) bool
}

// Memory of answers. Callers who miss the same one at the same time ask once.
type Memory[K comparable, V any] struct {
	now clock.Clock
	opt Options[V]

	mu     sync.Mutex
	known  map[K]*answer[V]
	absent map[K]*answer[V]
	asking map[K]*question[V]
}

type answer[V any] struct {
	value  V
	found  bool
	at     time.Time // when it was asked for
	failed time.Time // when it could last not be asked for again
}

// question is one that somebody asks and others wait for.
type question[V any] struct {
	at    time.Time
	done  chan struct{}
	value V
	found bool
	err   error
	// left says that who asked went away: the others have to ask for themselves.
	left bool
}

// New makes an empty memory.
func New[K comparable, V any](now clock.Clock, o Options[V]) *Memory[K, V] {
	return &Memory[K, V]{now: now, opt: o, known: map[K]*answer[V]{}, absent: map[K]*answer[V]{}, asking: map[K]*question[V]{}}
}

// Get is what is known of a key, or what ask finds. Errors are not remembered.
func (m *Memory[K, V]) Get(ctx context.Context, key K, ask func(context.Context) (V, bool, error)) (V, bool, error) {
	for {
		a, q, first := m.look(key)
		if a != nil {
			return a.value, a.found, nil
		}
		if first {
			m.ask(ctx, key, q, ask)
			return q.value, q.found, q.err
		}
		select {
		case <-q.done:
		case <-ctx.Done():
			var none V
			return none, false, ctx.Err()
		}
		if !q.left {
			return q.value, q.found, q.err
		}
	}
}

// look finds an answer, else the question that is asked already, else makes one, which the
// caller has to ask.
func (m *Memory[K, V]) look(key K) (a *answer[V], q *question[V], first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	q = m.asking[key]
	if a := m.absent[key]; a != nil && within(now, a.at, Freshness) {
		return a, nil, false
	}
	if a := m.known[key]; a != nil && m.counts(a, now, q != nil) {
		return a, nil, false
	}
	// An answer that is long on its way may be of before what a new caller has to know.
	if q != nil && within(now, q.at, Freshness) {
		return nil, q, false
	}
	q = &question[V]{at: now, done: make(chan struct{})}
	m.asking[key] = q
	return nil, q, true
}

func (m *Memory[K, V]) counts(a *answer[V], now time.Time, asked bool) bool {
	if m.over(a, now) {
		return false
	}
	if m.opt.Early && !asked {
		return within(now, a.at, early) || within(now, a.failed, early)
	}
	return within(now, a.at, Freshness) || within(now, a.failed, early)
}

func (m *Memory[K, V]) over(a *answer[V], now time.Time) bool {
	if m.opt.Ends == nil {
		return false
	}
	end := m.opt.Ends(a.value)
	return !end.IsZero() && !now.Before(end)
}

// within: a clock that was set back must not lengthen the life of anything.
func within(now, since time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return age >= 0 && age < d
}

func (m *Memory[K, V]) ask(ctx context.Context, key K, q *question[V], ask func(context.Context) (V, bool, error)) {
	q.left = true // unless ask returns
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.asking[key] == q { // not forgotten since
			delete(m.asking, key)
			m.keep(key, q)
		}
		close(q.done)
	}()
	q.value, q.found, q.err = ask(ctx)
	q.left = q.err != nil && ctx.Err() != nil
}

// keep remembers what the question has brought.
func (m *Memory[K, V]) keep(key K, q *question[V]) {
	switch {
	case q.left:
	case q.err != nil:
		m.fallBack(m.known[key], q)
	case q.found:
		delete(m.absent, key)
		put(m.known, key, &answer[V]{value: q.value, found: true, at: q.at})
	default:
		delete(m.known, key)
		if m.opt.Absent {
			put(m.absent, key, &answer[V]{value: q.value, at: q.at})
		}
	}
}

// fallBack answers a question that failed with what was known last, where that counts still.
func (m *Memory[K, V]) fallBack(last *answer[V], q *question[V]) {
	now := m.now()
	if last == nil || m.over(last, now) {
		return
	}
	outage := m.opt.Outage != nil && m.opt.Outage(q.err)
	if outage {
		last.failed = now
	}
	if outage || m.opt.Early && within(now, last.at, Freshness) {
		q.value, q.found, q.err = last.value, true, nil
	}
}

func put[K comparable, V any](in map[K]*answer[V], key K, a *answer[V]) {
	if _, there := in[key]; !there && len(in) >= Most {
		clear(in)
	}
	in[key] = a
}

// Forget has a key asked for at its next use, also when the answer is on its way.
func (m *Memory[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, key)
	delete(m.absent, key)
	delete(m.asking, key)
}

// Len is how many things are known to be there.
func (m *Memory[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.known)
}
