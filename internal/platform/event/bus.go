package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
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

// carry hands facts to the carrier and takes in what it brings, until ctx ends. While the
// carrier is away, facts wait.
func (b *Bus) carry(ctx context.Context) error {
	if !b.prepare(ctx) {
		return nil // told to stop before it began
	}
	router, err := b.router()
	if err != nil {
		return err
	}
	unreadable, err := middleware.PoisonQueueWithFilter(b.carrier, Unreadable, func(err error) bool { return errors.Is(err, errUnreadable) })
	if err != nil {
		return fmt.Errorf("event router: %w", err)
	}
	lineage, ok := b.lineage(ctx)
	if !ok {
		return nil // told to stop before it began
	}
	for _, r := range b.relays {
		r.deployment = lineage[0]
	}
	in := &arrivals{bus: b, in: make(chan arrival), lineage: lineage}
	for _, c := range b.consumers {
		sub, err := b.carrier.Subscriber(c.name, lineage[0])
		if err != nil {
			return fmt.Errorf("hear %s for %s: %w", c.topic, c.name, err)
		}
		router.AddConsumerHandler(c.name, c.topic, sub, in.handler(c)).AddMiddleware(unreadable)
	}
	ctx, end := context.WithCancel(ctx) // of the router is the end of the relays
	defer end()
	var hands sync.WaitGroup
	hands.Go(func() { b.attend(ctx) })
	for _, r := range b.relays {
		hands.Go(func() { r.run(ctx) })
	}
	// What was brought is still taken in while the router stops.
	taking, stop := context.WithCancel(context.WithoutCancel(ctx))
	var taken sync.WaitGroup
	taken.Go(func() { in.run(taking) })
	if len(b.consumers) > 0 {
		err = router.Run(ctx)
		end()
	}
	<-ctx.Done()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.BatchTimeout)
	defer cancel()
	idle := make(chan struct{})
	go func() { hands.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-release.Done(): // the carrier does not answer; what it has not taken waits in the database
	}
	stop()
	taken.Wait()
	for _, r := range b.relays {
		if lost := r.release(release); lost != nil {
			b.log.WarnContext(release, "relay not released: another process waits until it lapses", "topic", r.consumer.topic, "err", lost)
			break // the others would say the same
		}
	}
	return err
}

// lineage are the deployments that this database has been, the present one first: a
// restored one is another than the one that its backup was made of. False when a stop came
// before the database answered.
func (b *Bus) lineage(ctx context.Context) (ids []string, ok bool) {
	for ctx.Err() == nil {
		ids, err := db.Query[string](ctx, b.db, `select id from platform.deployment order by n desc`)
		if err == nil && len(ids) > 0 {
			return ids, true
		}
		b.log.WarnContext(ctx, "cannot tell which deployment this is", "err", err)
		pause(ctx, b.Poll)
	}
	return nil, false
}

// attendEvery is how late the state of an idle carrier is known.
const attendEvery = 10 * time.Second

// attend asks the carrier how it is, from time to time.
func (b *Bus) attend(ctx context.Context) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, attendEvery)
		err := b.carrier.Check(asking)
		cancel()
		b.carrying.Store(&err)
		pause(ctx, attendEvery)
	}
}

var errNotCarried = errors.New("not reached yet")

// Carried tells what state the carrier was in when it was last asked; ok is false when
// there is none.
func (b *Bus) Carried() (ok bool, err error) {
	if b.carrier == nil {
		return false, nil
	}
	if state := b.carrying.Load(); state != nil {
		return true, *state
	}
	return true, errNotCarried
}

// prepare waits for a carrier that is not there yet; false when a stop came first.
func (b *Bus) prepare(ctx context.Context) bool {
	for down := false; ; {
		err := b.carrier.Prepare(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		if !down {
			b.log.WarnContext(ctx, "facts wait for their carrier", "err", err)
		}
		down = true
		pause(ctx, relayPause)
	}
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
	for _, c := range b.all() {
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
//
// From then on the publishers address the consumer, or the carrier does. That may be
// changed: what one of them has begun to bring, the other does not bring again.
func (b *Bus) register(ctx context.Context, c *consumer) error {
	// What no relay hands over, no carrier brings.
	carried := b.carrier != nil && !c.relays && slices.Contains(b.carrier.Topics(), c.topic)
	return register(ctx, b.db, c, carried)
}

// Restored makes a database that was restored a deployment of its own. Its consumers hear
// the carrier from the beginning, because the one that the backup was made of may live and
// because it heard more than the backup knows; and they are addressed again with what was on
// its way to them. What that one said since the backup is of a history that was given up.
func Restored(ctx context.Context, d *db.DB) error {
	if err := d.Across(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `insert into platform.deployment (id) values (gen_random_uuid())`)
		return err
	}); err != nil {
		return fmt.Errorf("become another deployment: %w", err)
	}
	var carried []struct {
		Consumer string `db:"consumer"`
		Topic    string `db:"topic"`
	}
	if err := d.Across(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &carried, `select consumer, topic from platform.subscription where carried_after is not null and part = 0`)
	}); err != nil {
		return fmt.Errorf("look for carried consumers: %w", err)
	}
	for _, c := range carried {
		if err := register(ctx, d, &consumer{name: c.Consumer, topic: c.Topic}, false); err != nil {
			return fmt.Errorf("readdress %s: %w", c.Consumer, err)
		}
	}
	return nil
}

func register(ctx context.Context, d *db.DB, c *consumer, carried bool) error {
	var (
		s          subscription
		upTo, last int64
		since      = sinceEver
	)
	if err := d.Across(ctx, func(tx *db.Tx) (err error) {
		if s, err = subscribed(ctx, tx, c); err != nil || s.known && (carried || !s.carried()) {
			return err // nothing is to be collected
		}
		if s.known {
			upTo, since = *s.CarriedAfter, sinceInbox
		}
		if err := tx.Get(ctx, &last, `select last_value from platform.event_seq`); err != nil {
			return err
		}
		last, err = settled(ctx, tx, last)
		return err
	}); err != nil || s.known && s.carried() == carried {
		return err
	}
	for ; upTo < last; upTo += catchUp {
		if err := d.Across(ctx, func(tx *db.Tx) error { return backlog(ctx, tx, c, upTo, min(upTo+catchUp, last), since) }); err != nil {
			return err
		}
	}
	return d.Across(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `lock table platform.subscription in access exclusive mode`); err != nil {
			return fmt.Errorf("wait for publishers: %w", err)
		}
		s, err := subscribed(ctx, tx, c)
		if err != nil || s.known && s.carried() == carried {
			return err // another replica was faster
		}
		if !s.known || !carried {
			if err := backlog(ctx, tx, c, last, math.MaxInt64, since); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			insert into platform.subscription (consumer, part, parts, topic, carried_after)
			select $1, p, $2, $3, case when $4 then e.last_value end from platform.event_seq e, generate_series(0, $2::int - 1) p
			on conflict (consumer, part) do update set carried_after = excluded.carried_after`, c.name, parts, c.topic, carried)
		return err
	})
}

// subscription is how a consumer hears of its topic now.
type subscription struct {
	Topic        string `db:"topic"`
	CarriedAfter *int64 `db:"carried_after"`
	known        bool
}

func (s subscription) carried() bool { return s.CarriedAfter != nil }

func subscribed(ctx context.Context, tx *db.Tx, c *consumer) (subscription, error) {
	s := subscription{known: true}
	err := tx.Get(ctx, &s, `select topic, carried_after from platform.subscription where consumer = $1 and part = 0`, c.name)
	switch {
	case db.IsNoRows(err):
		return subscription{}, nil
	case err != nil:
		return subscription{}, err
	case s.Topic != c.topic:
		return subscription{}, fmt.Errorf("it already hears of %s: a consumer never changes its topic, give the new one a new name", s.Topic)
	}
	return s, nil
}

// How far back a backlog goes: a newcomer has handled nothing; what a consumer has handled
// is known as long as its inbox remembers.
const (
	sinceEver  = `'-infinity'`
	sinceInbox = `platform.inbox_since()`
)

// backlog addresses the facts of a stretch of the log to a consumer, but for those that it
// has handled. Merchant by merchant, because the log's index is. What a try before this one
// did stays. What a carrier brought here is not handed to it again.
func backlog(ctx context.Context, tx *db.Tx, c *consumer, after, upTo int64, since string) error {
	_, err := tx.Exec(ctx, `
		insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
		select e.tenant_id, $1, (hashtext(e.subject) & 2147483647) % $2::int, e.seq, e.recorded_at, e.subject
		from platform.tenant t, lateral (
			select * from platform.event e where e.tenant_id = t.tenant_id and e.type = $3 and e.seq > $4 and e.seq <= $5) e
		where not ($6 and e.carried) and e.recorded_at >= `+since+` and not exists (
			select from platform.inbox i where i.tenant_id = e.tenant_id and i.consumer = $1 and i.event_id = e.id and i.recorded_at = e.recorded_at)
		on conflict do nothing`, c.name, parts, c.topic, after, upTo, c.relays)
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
