package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// relay hands the facts of one topic to the carrier. It is addressed like any consumer,
// in the transaction that records the fact, and forgets a fact when the carrier has it.
//
// Nothing is locked meanwhile. Two relays of a topic, if it comes to that, both say the
// facts in order: whoever hears one for the first time has heard those before it.
type relay struct {
	bus      *Bus
	consumer *consumer
	holder   string
	// deployment that this database is.
	deployment string
	down       bool
}

// relayOf names a topic's relay among the consumers.
func relayOf(topic string) string { return "relay." + topic }

const (
	relayBatch = 500
	// lanes are how many messages are on their way at once; a subject keeps to one of them.
	lanes = 32
	// claimFor is how long a relay that has died keeps others from its topic.
	claimFor = 3 * time.Second
	// relayPause is how soon a carrier that failed is tried again.
	relayPause = time.Second
)

func newRelay(b *Bus, topic string) *relay {
	return &relay{
		bus: b, holder: clock.NewID().String(),
		consumer: &consumer{name: relayOf(topic), topic: topic, wake: make(chan struct{}, 1), relays: true},
	}
}

func (r *relay) run(ctx context.Context) {
	r.consumer.alert() // something may wait since before the start
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.consumer.wake:
		}
		n, err := r.batch(ctx)
		r.report(ctx, err)
		switch {
		case err != nil:
			pause(ctx, relayPause)
			r.consumer.alert()
		case n == relayBatch:
			r.consumer.alert()
		}
	}
}

// report says once that the carrier is away, and once that it is back.
func (r *relay) report(ctx context.Context, err error) {
	switch {
	case err != nil && !r.down && ctx.Err() == nil:
		r.bus.log.WarnContext(ctx, "facts wait for their carrier", "topic", r.consumer.topic, "err", err)
	case err == nil && r.down:
		r.bus.log.InfoContext(ctx, "the carrier takes facts again", "topic", r.consumer.topic)
	}
	r.down = err != nil
}

// A claim that another process holds yields no rows.
const relaySQL = `
with mine as (
    insert into platform.relay as r (topic, holder, until) values ($1, $2, now() + $3 * interval '1 millisecond')
    on conflict (topic) do update set holder = excluded.holder, until = excluded.until
    where r.holder = excluded.holder or r.until < now()
    returning true)
select d.seq, e.id, e.tenant_id, e.type, e.version, e.subject, e.sequence, e.occurred_at, e.correlation_id, e.causation_id, e.traceparent, e.actor, e.data
from mine, lateral (
    select d.tenant_id, d.seq, d.recorded_at from platform.delivery d
    where d.consumer = $4 and d.part = 0 and d.parked_at is null order by d.seq limit $5
) d
join platform.event e on e.tenant_id = d.tenant_id and e.seq = d.seq and e.recorded_at = d.recorded_at
order by d.seq`

func (r *relay) batch(ctx context.Context) (n int, err error) {
	started := time.Now()            //nolint:forbidigo // measures, decides nothing about events
	ctx = context.WithoutCancel(ctx) // a stop lets what was handed over be forgotten
	var claimed []Recorded
	if err := r.across(ctx, func(ctx context.Context, tx *db.Tx) error {
		claimed = nil
		return tx.Select(ctx, &claimed, relaySQL, r.consumer.topic, r.holder, claimFor.Milliseconds(), r.consumer.name, relayBatch)
	}); err != nil {
		return 0, fmt.Errorf("claim facts: %w", err)
	}
	if len(claimed) == 0 {
		return 0, nil
	}
	taken, refused, cause := r.hand(claimed)
	if len(taken)+len(refused) > 0 {
		if err := r.across(ctx, func(ctx context.Context, tx *db.Tx) error { return r.forget(ctx, tx, taken, refused) }); err != nil {
			return 0, errors.Join(cause, err)
		}
	}
	r.bus.observe(r.consumer.name, len(taken), len(claimed)-len(taken)-len(refused), len(refused), time.Since(started))
	return len(claimed), cause
}

// across gives each transaction a time of its own. The carrier between them may have taken
// longer than that over one fact, and what it took of the others is to be forgotten.
func (r *relay) across(ctx context.Context, fn func(context.Context, *db.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.bus.BatchTimeout)
	defer cancel()
	return r.bus.db.Across(ctx, func(tx *db.Tx) error { return fn(ctx, tx) })
}

// hand gives the facts to the carrier. What follows a failing one in its lane waits with it.
func (r *relay) hand(facts []Recorded) (taken []int64, refused map[int64]error, cause error) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	refused = map[int64]error{}
	for _, lane := range bySubject(facts) {
		wg.Go(func() {
			for _, f := range lane {
				err := r.say(f.Envelope)
				mu.Lock()
				switch {
				case err == nil:
					taken = append(taken, f.Seq)
				case errors.Is(err, ErrRefused):
					refused[f.Seq] = err
				default:
					cause = err
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, ErrRefused) {
					return
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(taken)
	return taken, refused, cause
}

func bySubject(facts []Recorded) map[uint32][]Recorded {
	pieces := map[uint32][]Recorded{}
	for _, f := range facts {
		h := fnv.New32a()
		_, _ = h.Write([]byte(f.Subject)) // never fails
		pieces[h.Sum32()%lanes] = append(pieces[h.Sum32()%lanes], f)
	}
	return pieces
}

func (r *relay) say(e Envelope) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: encode %s: %w", ErrRefused, e.ID, err)
	}
	m := message.NewMessage(e.ID.String(), body)
	m.Metadata.Set(MetadataSubject, e.Subject)
	m.Metadata.Set(MetadataType, e.Type)
	m.Metadata.Set(MetadataTenant, e.TenantID.String())
	m.Metadata.Set(MetadataDeployment, r.deployment)
	if err := r.bus.carrier.Publish(r.consumer.topic, m); err != nil {
		return fmt.Errorf("hand over %s: %w", e.ID, err)
	}
	return nil
}

func (r *relay) forget(ctx context.Context, tx *db.Tx, taken []int64, refused map[int64]error) error {
	if len(taken) > 0 {
		if _, err := tx.Exec(ctx, `delete from platform.delivery where consumer = $1 and part = 0 and seq between $2 and $3 and seq = any($4)`,
			r.consumer.name, taken[0], taken[len(taken)-1], pq.Array(taken)); err != nil {
			return fmt.Errorf("forget what was handed over: %w", err)
		}
	}
	for seq, cause := range refused {
		r.bus.log.ErrorContext(ctx, "fact parked", "consumer", r.consumer.name, "seq", seq, "err", cause)
		if _, err := tx.Exec(ctx, `
			update platform.delivery set attempts = 1, last_error = left($3, 2000), parked_at = now()
			where consumer = $1 and part = 0 and seq = $2`, r.consumer.name, seq, db.Text(cause.Error())); err != nil {
			return fmt.Errorf("park what was refused: %w", err)
		}
	}
	return nil
}

// release lets another process go on at once.
func (r *relay) release(ctx context.Context) error {
	return r.bus.db.Across(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `delete from platform.relay where topic = $1 and holder = $2`, r.consumer.topic, r.holder)
		return err
	})
}
