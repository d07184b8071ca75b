package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
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
	rests  bool
	relays bool // it hands facts to the carrier, and hears of them from the publishers
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
	carrier   Carrier // nil: the database carries the facts
	carrying  atomic.Pointer[error]
	consumers []*consumer
	relays    []*relay
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

// CarriedBy has the consumers hear of their facts from a carrier, and hands it what this
// database records. Called before anything is published.
func (b *Bus) CarriedBy(c Carrier) {
	b.carrier = c
	for _, topic := range c.Topics() {
		b.relays = append(b.relays, newRelay(b, topic))
	}
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

// all are the relays and the consumers, in the order in which they subscribe: what a
// consumer leaves to the carrier, a relay has begun to hand over.
func (b *Bus) all() []*consumer {
	return append(b.relaying(), b.consumers...)
}

func (b *Bus) relaying() []*consumer {
	relays := make([]*consumer, len(b.relays))
	for i, r := range b.relays {
		relays[i] = r.consumer
	}
	return relays
}

// notify wakes those that a commit of this process gave something to do.
func (b *Bus) notify(topics []string) {
	addressed := b.consumers
	if b.carrier != nil {
		addressed = b.relaying()
	}
	for _, c := range addressed {
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
func OnBatch[T Event](b *Bus, name string, h func(ctx context.Context, tx *db.Tx, batch []Received[T]) error, options ...Option) {
	var zero T
	topic := zero.EventType()
	c := &consumer{
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
	}
	for _, set := range options {
		set(c)
	}
	b.consumers = append(b.consumers, c)
}

// Option of a consumer.
type Option func(*consumer)

// Unhurried is for what nobody waits for: after a batch it rests, so that the next one is
// larger and costs less for each event.
func Unhurried(c *consumer) { c.rests = true }

// rest of who is not in a hurry.
const rest = 500 * time.Millisecond

// Run registers the consumers and delivers to them until ctx ends, then finishes
// the batches in hand.
func (b *Bus) Run(ctx context.Context) error {
	if err := b.subscribe(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop before it began
		}
		return err
	}
	router, err := b.router()
	if err != nil {
		return err
	}
	for _, c := range b.consumers {
		router.AddConsumerHandler(c.name, c.topic, &subscriber{bus: b, consumer: c}, handler(c))
	}
	g, ctx := errgroup.WithContext(ctx)
	if len(b.consumers) > 0 {
		g.Go(func() error { return router.Run(ctx) })
	}
	if b.carrier != nil {
		g.Go(func() error { return b.carry(ctx) })
	}
	g.Go(func() error { b.poll(ctx); return nil })
	return g.Wait()
}

func (b *Bus) router() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: b.BatchTimeout + time.Second}, watermill.NewSlogLoggerWithLevelMapping(
		b.log, map[slog.Level]slog.Level{slog.LevelDebug: watermill.LevelTrace, slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug}))
	if err != nil {
		return nil, fmt.Errorf("event router: %w", err)
	}
	// The outcome is read where the message came from; a nack carries no reason.
	router.AddMiddleware(outcome, middleware.Recoverer)
	return router, nil
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
		for _, c := range b.all() {
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
