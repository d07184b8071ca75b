package event

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

const (
	batchSize    = 200
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
	limit := batchSize
	for ctx.Err() == nil {
		n, err := s.batch(ctx, part, limit, out)
		switch {
		case err != nil && ctx.Err() == nil:
			s.bus.log.WarnContext(ctx, "events wait", "consumer", s.consumer.name, "err", err)
			limit = max(limit/4, 1) // perhaps it was more than fits into the time of a batch
			pause(ctx, time.Second/2)
			s.consumer.alert()
		case n == limit:
			limit = min(limit*2, batchSize)
			continue // there is more
		}
		select {
		case <-ctx.Done():
		case <-s.consumer.wake:
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// One worker at a time holds the subscription's row: it is the consumer of the
// partition until its transaction ends. What follows a failing event of the same
// subject waits with it.
const claimSQL = `
select d.seq, d.recorded_at, d.attempts, e.id, e.tenant_id, e.type, e.version, e.subject, e.sequence, e.occurred_at,
       e.correlation_id, e.causation_id, e.traceparent, e.actor, e.data
from (select from platform.subscription where consumer = $1 and part = $2 for update skip locked) mine,
lateral (
    select d.tenant_id, d.seq, d.recorded_at, d.attempts from platform.delivery d
    where d.consumer = $1 and d.part = $2 and d.parked_at is null and d.available_at <= now()
      and not exists (select from platform.delivery before
                      where before.consumer = d.consumer and before.subject = d.subject and before.tenant_id = d.tenant_id
                        and before.seq < d.seq and before.attempts > 0 and before.parked_at is null)
    order by d.seq limit $3
) d
join platform.event e on e.tenant_id = d.tenant_id and e.seq = d.seq and e.recorded_at = d.recorded_at
order by d.seq`

// batch handles what waits and reports how much it was.
func (s *subscriber) batch(ctx context.Context, part, limit int, out chan<- *message.Message) (n int, err error) {
	started := time.Now() //nolint:forbidigo // measures, decides nothing
	// A stop lets the batch finish: an effect that is nearly committed is not thrown away.
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.bus.BatchTimeout)
	defer cancel()
	var b *batchRun
	var claimed []received
	err = s.bus.db.Across(inner, func(tx *db.Tx) error {
		b = &batchRun{subscriber: s, tx: tx, part: part, out: out, stopping: ctx.Done()}
		claimed = nil
		if err := tx.Select(inner, &claimed, claimSQL, s.consumer.name, part, limit); err != nil {
			return fmt.Errorf("claim deliveries: %w", err)
		}
		n = len(claimed)
		for _, events := range byTenant(claimed) {
			if err := b.apply(inner, events); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && n > 0 {
		s.bus.reactions.handled(claimed)
		s.bus.observe(s.consumer.name, n-b.failed-b.parked, b.failed, b.parked, time.Since(started))
	}
	return n, err
}

// byTenant cuts a batch into one piece a merchant; the order within each stays.
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
	return pieces
}

// batchRun is one batch in work.
type batchRun struct {
	*subscriber
	tx             *db.Tx
	part           int
	out            chan<- *message.Message
	stopping       <-chan struct{}
	failed, parked int
}

// apply handles one merchant's events together; when that fails, one by one, so that
// a bad one cannot take the good ones with it.
func (b *batchRun) apply(ctx context.Context, events []received) error {
	err := b.try(ctx, events)
	if err == nil || !blames(err) {
		return err
	}
	if len(events) == 1 {
		return b.fail(ctx, events[0], err)
	}
	blocked := map[string]bool{}
	for i, e := range events {
		if blocked[e.Subject] {
			continue // it stays where it is, behind the one that failed
		}
		if err := b.try(ctx, events[i:i+1]); err != nil {
			if !blames(err) {
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

// errStopping rolls a batch back that was about to start when the program stopped.
var errStopping = errors.New("stopping")

// blames tells a failure of the event from one of the surroundings: an outage, a
// deadlock or a stop says nothing about the event and costs it no attempt.
func blames(err error) bool {
	return !db.IsOutage(err) && !db.IsContention(err) && !errors.Is(err, errStopping) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// try handles events up to a savepoint; on failure nothing of it remains.
func (b *batchRun) try(ctx context.Context, events []received) error {
	hooks := b.tx.Hooks()
	if err := b.tx.As(ctx, events[0].TenantID); err != nil {
		return fmt.Errorf("act as tenant: %w", err)
	}
	err := b.deliver(ctx, events)
	if err == nil {
		return b.tx.EndAs(ctx)
	}
	if undo := b.tx.UndoAs(ctx, hooks); undo != nil {
		return fmt.Errorf("%w (then: %w)", undo, err) // the connection is gone: the whole batch starts again
	}
	return err
}

// Taking the deliveries and noting the events is one statement. What the inbox knew
// already was delivered twice and is dropped here.
const takeSQL = `
with taken as (delete from platform.delivery where consumer = $1 and part = $2 and seq = any($3))
insert into platform.inbox (consumer, event_id, recorded_at)
select $1, f.id, f.at from unnest($4::uuid[], $5::timestamptz[]) f(id, at)
on conflict do nothing
returning event_id::text`

func (b *batchRun) deliver(ctx context.Context, events []received) error {
	seqs, ids, times := make([]int64, len(events)), make([]string, len(events)), make([]time.Time, len(events))
	for i, e := range events {
		seqs[i], ids[i], times[i] = e.Seq, e.ID.String(), e.RecordedAt
	}
	var fresh []string
	if err := b.tx.Select(ctx, &fresh, takeSQL, b.consumer.name, b.part, pq.Array(seqs), pq.Array(ids), pq.Array(times)); err != nil {
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
		return w.err
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
	park := tries >= maxTries
	if _, err := b.tx.Exec(ctx, `
		update platform.delivery set attempts = $4, last_error = left($5, 2000),
		       available_at = now() + $6 * interval '1 millisecond', parked_at = case when $7 then now() end
		where consumer = $1 and part = $2 and seq = $3`,
		b.consumer.name, b.part, e.Seq, tries, cause.Error(), b.bus.Backoff(tries).Milliseconds(), park); err != nil {
		return fmt.Errorf("put delivery back: %w", err)
	}
	if park {
		b.parked++
		b.bus.log.ErrorContext(ctx, "event parked", "consumer", b.consumer.name, "event", e.ID, "type", e.Type, "tenant", e.TenantID, "err", cause)
		return nil
	}
	b.failed++
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
