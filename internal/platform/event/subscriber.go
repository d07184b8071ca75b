package event

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

const (
	batchSize = 200
	// breath is how long a consumer waits at most after a batch of several: as long as that took.
	// Facts come faster than it handles them one by one then, and more of them together cost
	// less. Whoever is alone is handled at once.
	breath       = 50 * time.Millisecond
	batchTimeout = 10 * time.Second
	// maxTries failures park a delivery: it waits for a person, and what was behind it goes on.
	maxTries = 8
	// backoff after the first failure, tripled by each further one: 0.1 s … 73 s, two minutes in all.
	backoffBase = 100 * time.Millisecond
)

// subscriber is Watermill's Subscriber on PostgreSQL. It claims what waits for one
// consumer, sends it through the router and commits when the router acknowledges.
type subscriber struct {
	bus      *Bus
	consumer *consumer
	stop     context.CancelFunc
	workers  sync.WaitGroup
}

// Subscribe starts a worker for each partition. The channel closes when ctx ends
// and the batches in hand are done.
func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	ctx, s.stop = context.WithCancel(ctx)
	out := make(chan *message.Message)
	for part := range parts {
		s.workers.Go(func() { s.work(ctx, part, out) })
	}
	go func() {
		s.workers.Wait()
		close(out)
	}()
	return out, nil
}

// Close ends the workers and waits for them.
func (s *subscriber) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.workers.Wait()
	return nil
}

func (s *subscriber) work(ctx context.Context, part int, out chan<- *message.Message) {
	s.consumer.alert() // something may wait since before the start
	size := batchSize
	for ctx.Err() == nil {
		started := time.Now() //nolint:forbidigo // measures, decides nothing about events
		n, err := s.batch(ctx, part, size, out)
		full := n == size
		took := time.Since(started)
		size = resize(size, took, s.bus.BatchTimeout)
		switch {
		case errors.Is(err, errSlow):
			s.bus.log.WarnContext(ctx, "events are handled too slowly", "consumer", s.consumer.name, "events", n, "err", err)
			continue
		case err != nil && ctx.Err() == nil:
			s.bus.log.WarnContext(ctx, "events wait", "consumer", s.consumer.name, "err", err)
			pause(ctx, s.bus.Poll)
			s.consumer.alert()
		case full:
			continue // there is more
		case n > 0 && s.consumer.rests:
			pause(ctx, rest)
		case n > 1:
			pause(ctx, min(took, breath))
		}
		select {
		case <-ctx.Done():
		case <-s.consumer.wake:
		}
	}
}

// resize makes batches of slow handlers so small that they end in time, and lets them
// grow again.
func resize(size int, took, limit time.Duration) int {
	switch {
	case took > limit/2:
		return max(1, size/4)
	case took < limit/8:
		return min(batchSize, size*2)
	}
	return size
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// One worker at a time holds the subscription's row: it is the consumer of the
// partition until its transaction ends. Materialized, so that the lock is asked for once:
// a join may ask again for each delivery and claim the later ones only. What follows a
// failing event of the same subject waits with it: that is looked up in an index for each
// delivery, whatever the statistics say (offset 0 keeps it from becoming a join, which
// compares all that wait with all that fail).
const claimSQL = db.Keep + `
with mine as materialized (select from platform.subscription where consumer = $1 and part = $2 for update skip locked)
select d.seq, d.recorded_at, d.attempts, e.id, e.tenant_id, e.type, e.version, e.subject, e.sequence, e.occurred_at,
       e.correlation_id, e.causation_id, e.traceparent, e.actor, e.data
from mine, lateral (
    select d.tenant_id, d.seq, d.recorded_at, d.attempts from platform.delivery d
    where d.consumer = $1 and d.part = $2 and d.parked_at is null and (d.attempts = 0 or d.available_at <= now())
      and not exists (select from platform.delivery before
                      where before.consumer = d.consumer and before.subject = d.subject and before.tenant_id = d.tenant_id
                        and before.seq < d.seq and before.attempts > 0 and before.parked_at is null offset 0)
    order by d.seq limit $3
) d
join platform.event e on e.tenant_id = d.tenant_id and e.seq = d.seq and e.recorded_at = d.recorded_at
order by d.seq`

// errSlow: the events of a batch, fewer from one time to the next, were not handled in time.
var errSlow = errors.New("not done")

// batch handles what waits, at most size of it, and reports how much it was.
func (s *subscriber) batch(ctx context.Context, part, size int, out chan<- *message.Message) (n int, err error) {
	started := time.Now() //nolint:forbidigo // measures, decides nothing about events
	// A stop lets the batch finish: an effect that is nearly committed is not thrown away.
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.bus.BatchTimeout)
	defer cancel()
	var (
		b       *batchRun
		claimed []received
	)
	err = s.bus.db.Across(inner, func(tx *db.Tx) error {
		b, claimed = &batchRun{subscriber: s, tx: tx, part: part, out: out, stopping: ctx.Done(), late: started.Add(s.bus.BatchTimeout / 2)}, nil
		if err := tx.Select(inner, &claimed, claimSQL, s.consumer.name, part, size); err != nil {
			return fmt.Errorf("claim deliveries: %w", err)
		}
		for _, events := range byTenant(claimed) {
			if err := b.apply(inner, events); err != nil {
				return err
			}
		}
		if b.again {
			tx.AfterCommit(s.consumer.alert)
		}
		return nil
	})
	n = len(claimed)
	switch {
	case err != nil && n > 0 && inner.Err() != nil:
		err = fmt.Errorf("%w within %s: %w", errSlow, s.bus.BatchTimeout, err)
		if n == 1 { // it had all the time there is
			err = s.blame(context.WithoutCancel(ctx), part, claimed[0], err)
		}
	case err == nil && n > 0:
		s.bus.reactions.handled(b.handled)
		s.bus.observe(s.consumer.name, len(b.handled), b.failed, b.parked, time.Since(started))
	}
	return n, err
}

// blame notes a failure whose transaction is gone.
func (s *subscriber) blame(ctx context.Context, part int, e received, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, s.bus.BatchTimeout)
	defer cancel()
	b := &batchRun{subscriber: s, part: part}
	if err := s.bus.db.Across(ctx, func(tx *db.Tx) error {
		b.tx, b.failed, b.parked = tx, 0, 0
		return b.fail(ctx, e, cause)
	}); err != nil {
		return errors.Join(cause, err)
	}
	s.bus.observe(s.consumer.name, 0, b.failed, b.parked, s.bus.BatchTimeout)
	return nil
}

// byTenant cuts a batch into one piece a merchant; the order within each stays. The pieces
// come in the order of the merchants' ids: two consumers whose transactions span the same
// merchants lock their rows in the same order.
func byTenant(events []received) [][]received {
	var pieces [][]received
	at := map[string]int{}
	for _, e := range events {
		t := e.TenantID.String()
		i, ok := at[t]
		if !ok {
			i, at[t] = len(pieces), len(pieces)
			pieces = append(pieces, nil)
		}
		pieces[i] = append(pieces[i], e)
	}
	slices.SortFunc(pieces, func(a, b []received) int { return bytes.Compare(a[0].TenantID[:], b[0].TenantID[:]) })
	return pieces
}

// batchRun is one batch in work.
type batchRun struct {
	*subscriber
	tx       *db.Tx
	part     int
	out      chan<- *message.Message
	stopping <-chan struct{}
	late     time.Time // from here on nothing new is begun: what was done is kept

	handled        []received
	failed, parked int
	again          bool // something is left that needs no waiting for
}

// apply handles one merchant's events together; when that fails, one by one, so that
// a bad one cannot take the good ones with it.
func (b *batchRun) apply(ctx context.Context, events []received) error {
	if b.isLate() {
		return nil
	}
	err := b.try(ctx, events)
	if err == nil || !blames(ctx, err) {
		return err
	}
	if len(events) == 1 {
		return b.fail(ctx, events[0], err)
	}
	blocked := map[string]bool{}
	for i, e := range events {
		if b.isLate() {
			return nil
		}
		if blocked[e.Subject] {
			continue // it stays where it is, behind the one that failed
		}
		if err := b.try(ctx, events[i:i+1]); err != nil {
			if !blames(ctx, err) {
				return err
			}
			blocked[e.Subject] = true
			if err := b.fail(ctx, e, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// isLate ends a batch early; what is left comes with the next one.
func (b *batchRun) isLate() bool {
	if time.Now().Before(b.late) { //nolint:forbidigo // bounds the batch, decides nothing about events
		return false
	}
	b.again = true
	return true
}

var (
	// errStopping rolls a batch back that was about to start when the program stopped.
	errStopping = errors.New("stopping")
	// errNacked: refused without a reason, which must not pass for a success.
	errNacked = errors.New("refused")
	// errBroken: the transaction cannot even go back to its savepoint.
	errBroken = errors.New("the transaction is gone")
)

// blames tells a failure of the event from one of the surroundings: an outage, a
// deadlock or a stop says nothing about the event and costs it no attempt. The
// connection is known to work when it comes to this; what else a handler complains of,
// be it a network or a deadline, is its own.
func blames(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.Is(err, errBroken) && !errors.Is(err, errStopping) &&
		!errors.Is(err, db.ErrUnavailable) && !db.IsContention(err) && !db.IsShortage(err)
}

// try handles events up to a savepoint; on failure nothing of it remains.
func (b *batchRun) try(ctx context.Context, events []received) error {
	hooks := b.tx.Hooks()
	if err := b.tx.As(ctx, events[0].TenantID); err != nil {
		return fmt.Errorf("act as tenant: %w: %w", errBroken, err)
	}
	err := b.deliver(ctx, events)
	if err == nil {
		// A failed statement that the handler did not mind shows here.
		err = b.tx.EndAs(ctx)
	}
	if err == nil {
		b.handled = append(b.handled, events...)
		b.again = b.again || slices.ContainsFunc(events, func(e received) bool { return e.Attempts > 0 }) // its followers are free
		return nil
	}
	if undo := b.tx.UndoAs(ctx, hooks); undo != nil {
		return fmt.Errorf("%w: %w (after: %w)", errBroken, undo, err)
	}
	return err
}

// Taking the deliveries and noting the events is one statement. What the inbox knew
// already was delivered twice and is dropped here. The range looks redundant: without
// it the whole backlog is read to find a few deliveries.
const takeSQL = db.Keep + `
with taken as (delete from platform.delivery where consumer = $1 and part = $2 and seq between $3 and $4 and seq = any($5))
insert into platform.inbox (consumer, event_id, recorded_at)
select $1, f.id, f.at from unnest($6::uuid[], $7::timestamptz[]) f(id, at)
on conflict do nothing
returning event_id::text`

func (b *batchRun) deliver(ctx context.Context, events []received) error {
	seqs, ids, times := make([]int64, len(events)), make([]string, len(events)), make([]time.Time, len(events))
	for i, e := range events {
		seqs[i], ids[i], times[i] = e.Seq, e.ID.String(), e.RecordedAt
	}
	var fresh []string
	if err := b.tx.Select(ctx, &fresh, takeSQL, b.consumer.name, b.part, seqs[0], seqs[len(seqs)-1], pq.Array(seqs), pq.Array(ids), pq.Array(times)); err != nil {
		return fmt.Errorf("take deliveries: %w", err)
	}
	if len(fresh) < len(events) {
		events = only(events, fresh)
	}
	if len(events) == 0 {
		return nil
	}
	w := &work{tx: b.tx, events: events}
	m := message.NewMessage(events[0].ID.String(), message.Payload(events[0].Data))
	m.Metadata.Set("tenant", events[0].TenantID.String())
	m.Metadata.Set("type", events[0].Type)
	m.SetContext(context.WithValue(ctx, workKey{}, w))
	select {
	case b.out <- m:
	case <-b.stopping:
		return errStopping
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return cmp.Or(w.err, errNacked)
	}
}

func only(events []received, ids []string) []received {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	kept := make([]received, 0, len(ids))
	for _, e := range events {
		if wanted[e.ID.String()] {
			kept = append(kept, e)
		}
	}
	return kept
}

// fail puts an event back behind a growing delay, or parks it.
func (b *batchRun) fail(ctx context.Context, e received, cause error) error {
	tries := e.Attempts + 1
	park, delay := tries >= maxTries, b.bus.Backoff(tries)
	if _, err := b.tx.Exec(ctx, `
		update platform.delivery set attempts = $4, last_error = left($5, 2000),
		       available_at = now() + $6 * interval '1 millisecond', parked_at = case when $7 then now() end
		where consumer = $1 and part = $2 and seq = $3`,
		b.consumer.name, b.part, e.Seq, tries, db.Text(cause.Error()), delay.Milliseconds(), park); err != nil {
		return fmt.Errorf("put delivery back: %w", err)
	}
	if park {
		b.parked++
		b.again = true // its followers are free
		b.bus.log.ErrorContext(ctx, "event parked", "consumer", b.consumer.name, "event", e.ID, "type", e.Type, "tenant", e.TenantID, "err", cause)
		return nil
	}
	b.failed++
	if delay < b.bus.Poll {
		b.tx.AfterCommit(func() { time.AfterFunc(delay, b.consumer.alert) })
	}
	b.bus.log.WarnContext(ctx, "event failed", "consumer", b.consumer.name, "event", e.ID, "type", e.Type, "tenant", e.TenantID, "attempt", tries, "err", cause)
	return nil
}

// backoff grows threefold with a fifth of jitter, so that what failed together does
// not come back together.
func backoff(tries int) time.Duration {
	d := backoffBase
	for range tries - 1 {
		d *= 3
	}
	return d + time.Duration(rand.Int64N(int64(d/5))) //nolint:gosec // jitter, not a secret
}
