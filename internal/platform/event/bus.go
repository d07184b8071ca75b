package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Received is a fact as a consumer gets it.
type Received[T any] struct {
	Fact          T
	ID            uuid.UUID
	Subject       string
	Sequence      int64
	OccurredAt    time.Time
	CorrelationID string
	Traceparent   string
	// Attempt is 1 at first and grows with every failure, up to maxTries.
	Attempt int
}

// received is an event before its payload is decoded.
type received struct {
	Envelope
	Seq        int64     `db:"seq"`
	RecordedAt time.Time `db:"recorded_at"`
	Attempts   int       `db:"attempts"` // that failed
}

// consumer is one reaction to one topic.
type consumer struct {
	name   string
	topic  string
	handle func(ctx context.Context, tx *db.Tx, events []received) error
	wake   chan struct{}
}

// Bus brings facts to the consumers of this process. Watermill's router carries
// the handlers; the subscriber below it is ours.
type Bus struct {
	// Backoff is the pause after the failures that an event had so far.
	Backoff func(failures int) time.Duration
	// BatchTimeout bounds one batch, and with it how long a stop takes.
	BatchTimeout time.Duration
	// Poll is how soon deliveries are found that no commit of this process announced:
	// another replica's, and those whose back-off is over.
	Poll time.Duration

	db        *db.DB
	log       *slog.Logger
	consumers []*consumer
	watchers  []*watcher
	observe   Observer
	reactions *reactions
}

// Observer hears how deliveries went, for metrics.
type Observer func(consumer string, handled, failed, parked int, took time.Duration)

// NewBus makes a bus on a pool of its own, so that neither the requests nor the
// consumers can take all connections from each other.
func NewBus(d *db.DB, l *Log, log *slog.Logger, observe Observer) *Bus {
	b := &Bus{Backoff: backoff, BatchTimeout: batchTimeout, Poll: pollInterval, db: d, log: log, observe: observe}
	if observe == nil {
		b.observe = func(string, int, int, int, time.Duration) {}
	}
	l.published, l.hears, b.reactions = b.notify, b.hears, l.reactions
	return b
}

// hears tells whether a consumer of this process is told of a topic.
func (b *Bus) hears(topic string) bool {
	return slices.ContainsFunc(b.consumers, func(c *consumer) bool { return c.topic == topic })
}

// Consumers are the names of those that this process can run.
func (b *Bus) Consumers() []string {
	names := make([]string, len(b.consumers))
	for i, c := range b.consumers {
		names[i] = c.name
	}
	return names
}

// notify wakes the consumers that a commit of this process gave something to do.
func (b *Bus) notify(topics []string) {
	for _, c := range b.consumers {
		if slices.Contains(topics, c.topic) {
			c.alert()
		}
	}
}

func (c *consumer) alert() {
	select {
	case c.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// On makes a module react to a fact, one at a time. The name, "<module>.<reaction>",
// is unique and never changes: it is what the deliveries are addressed to. h runs
// in the transaction that takes the delivery: a redelivery finds nothing to do, a
// failure leaves no trace and is tried again.
func On[T Event](b *Bus, name string, h func(ctx context.Context, tx *db.Tx, r Received[T]) error) {
	OnBatch(b, name, func(ctx context.Context, tx *db.Tx, batch []Received[T]) error {
		for _, r := range batch {
			if err := h(WithOrigin(ctx, Origin{r.CorrelationID, &r.ID, r.Traceparent}), tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// OnBatch is On for consumers that must keep up with a flood: h gets what waits, in
// order, and applies it with a number of statements that does not depend on how many
// there are. When a batch fails, its events are tried one by one.
func OnBatch[T Event](b *Bus, name string, h func(ctx context.Context, tx *db.Tx, batch []Received[T]) error) {
	var zero T
	topic := zero.EventType()
	b.consumers = append(b.consumers, &consumer{
		name: name, topic: topic, wake: make(chan struct{}, 1),
		handle: func(ctx context.Context, tx *db.Tx, events []received) error {
			batch := make([]Received[T], len(events))
			for i, e := range events {
				batch[i] = Received[T]{
					ID: e.ID, Subject: e.Subject, Sequence: e.Sequence, OccurredAt: e.OccurredAt,
					CorrelationID: e.CorrelationID, Traceparent: e.Traceparent, Attempt: e.Attempts + 1,
				}
				if err := json.Unmarshal(e.Data, &batch[i].Fact); err != nil {
					return fmt.Errorf("decode %s %s: %w", topic, e.ID, err)
				}
			}
			return h(ctx, tx, batch)
		},
	})
}

// Run registers the consumers and delivers to them until ctx ends, then finishes
// the batches in hand.
func (b *Bus) Run(ctx context.Context) error {
	if err := b.subscribe(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop before it began
		}
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: b.BatchTimeout + time.Second}, watermill.NewSlogLoggerWithLevelMapping(
		b.log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug}))
	if err != nil {
		return fmt.Errorf("event router: %w", err)
	}
	// The outcome is read where the message came from; a nack carries no reason.
	router.AddMiddleware(outcome, middleware.Recoverer)
	for _, c := range b.consumers {
		router.AddConsumerHandler(c.name, c.topic, &subscriber{bus: b, consumer: c}, handler(c))
	}
	g, ctx := errgroup.WithContext(ctx)
	if len(b.consumers) > 0 {
		g.Go(func() error { return router.Run(ctx) })
	}
	g.Go(func() error { b.poll(ctx); return nil })
	return g.Wait()
}

// work is a batch on its way through the router: one merchant's events and the
// transaction that takes them.
type work struct {
	tx     *db.Tx
	events []received
	err    error
}

type workKey struct{}

// handler is what every transport ends in: the events of a message, applied as the
// merchant that they belong to, in the transaction that acknowledges them.
func handler(c *consumer) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		w, ok := m.Context().Value(workKey{}).(*work)
		if !ok || len(w.events) == 0 {
			return errors.New("message without work")
		}
		first := w.events[0]
		ctx := identity.With(m.Context(), identity.Identity{Tenant: first.TenantID, Actor: "system:" + c.name})
		if len(w.events) == 1 { // a batch of more says so itself: Because
			ctx = WithOrigin(ctx, Origin{first.CorrelationID, &first.ID, first.Traceparent})
		}
		return c.handle(ctx, w.tx, w.events)
	}
}

func outcome(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := next(m)
		if w, ok := m.Context().Value(workKey{}).(*work); ok {
			w.err = err
		}
		return out, err
	}
}

// parts of a consumer: how many batches of it may be in work at once. The tables allow
// more; but what waits would have to be drained before it is cut anew, or subjects lose
// their order.
const parts = 1

// subscribe makes sure that the log feeds every consumer. It waits for a database that
// does not answer, as everything after it does.
func (b *Bus) subscribe(ctx context.Context) error {
	seen := map[string]bool{}
	for _, c := range b.consumers {
		if seen[c.name] {
			return fmt.Errorf("two consumers are called %s", c.name)
		}
		seen[c.name] = true
		for {
			err := b.register(ctx, c)
			if err == nil {
				break
			}
			if !db.IsOutage(err) || ctx.Err() != nil {
				return fmt.Errorf("subscribe %s: %w", c.name, err)
			}
			b.log.WarnContext(ctx, "consumer cannot subscribe yet", "consumer", c.name, "err", err)
			pause(ctx, b.Poll)
		}
	}
	return nil
}

// catchUp is how much of the log a new consumer is given in one transaction.
const catchUp = 20_000

// register gives a new consumer all facts of its topic since the beginning: most of
// them in pieces, which disturb nobody and are not claimed while the consumer is no
// subscriber; what is left and the subscription under a lock that waits for publishers
// that read the old list and keeps new ones out, so no fact falls in between.
func (b *Bus) register(ctx context.Context, c *consumer) error {
	var (
		known bool
		last  int64
		upTo  int64
	)
	if err := b.db.Across(ctx, func(tx *db.Tx) (err error) {
		if known, err = subscribed(ctx, tx, c); err != nil || known {
			return err
		}
		if err := tx.Get(ctx, &last, `select last_value from platform.event_seq`); err != nil {
			return err
		}
		last, err = settled(ctx, tx, last)
		return err
	}); err != nil || known {
		return err
	}
	for ; upTo < last; upTo += catchUp {
		if err := b.db.Across(ctx, func(tx *db.Tx) error { return backlog(ctx, tx, c, upTo, min(upTo+catchUp, last)) }); err != nil {
			return err
		}
	}
	return b.db.Across(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `lock table platform.subscription in access exclusive mode`); err != nil {
			return fmt.Errorf("wait for publishers: %w", err)
		}
		if known, err := subscribed(ctx, tx, c); err != nil || known {
			return err // another replica was faster
		}
		if err := backlog(ctx, tx, c, last, math.MaxInt64); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `insert into platform.subscription (consumer, part, parts, topic) select $1, p, $2, $3 from generate_series(0, $2::int - 1) p`,
			c.name, parts, c.topic)
		return err
	})
}

func subscribed(ctx context.Context, tx *db.Tx, c *consumer) (bool, error) {
	var topic string
	err := tx.Get(ctx, &topic, `select topic from platform.subscription where consumer = $1 and part = 0`, c.name)
	switch {
	case db.IsNoRows(err):
		return false, nil
	case err != nil:
		return false, err
	case topic != c.topic:
		return false, fmt.Errorf("it already hears of %s: a consumer never changes its topic, give the new one a new name", topic)
	}
	return true, nil
}

// backlog addresses the facts of a stretch of the log to a consumer. Merchant by
// merchant, because the log's index is. What a try before this one did stays.
func backlog(ctx context.Context, tx *db.Tx, c *consumer, after, upTo int64) error {
	_, err := tx.Exec(ctx, `
		insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
		select e.tenant_id, $1, (hashtext(e.subject) & 2147483647) % $2::int, e.seq, e.recorded_at, e.subject
		from platform.tenant t, lateral (
			select * from platform.event e where e.tenant_id = t.tenant_id and e.type = $3 and e.seq > $4 and e.seq <= $5) e
		on conflict do nothing`, c.name, parts, c.topic, after, upTo)
	if err != nil {
		return fmt.Errorf("collect backlog: %w", err)
	}
	return nil
}

// pollInterval: twice a second costs an idle shop next to nothing.
const pollInterval = 500 * time.Millisecond

func (b *Bus) poll(ctx context.Context) {
	tick := time.NewTicker(b.Poll)
	defer tick.Stop()
	for down := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := b.look(ctx)
		if err != nil && !down && ctx.Err() == nil {
			b.log.WarnContext(ctx, "event log out of reach", "err", err)
		}
		down = err != nil
	}
}

// look asks in one statement what waits, and for whom.
func (b *Bus) look(ctx context.Context) error {
	rows, err := db.Query[struct {
		Last     int64   `db:"last_value"`
		Consumer *string `db:"consumer"`
	}](ctx, b.db, `select e.last_value, p.consumer from platform.event_seq e left join platform.pending() p on true`)
	if err != nil {
		return fmt.Errorf("look for deliveries: %w", err)
	}
	for _, r := range rows {
		for _, c := range b.consumers {
			if r.Consumer != nil && *r.Consumer == c.name {
				c.alert()
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return b.watch(ctx, rows[0].Last)
}
