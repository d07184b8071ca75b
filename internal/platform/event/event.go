// Package event records facts in the transaction that makes them true and brings
// each of them to every consumer, in order per subject, with effect exactly once.
//
// Publishing writes the log and one delivery a consumer; consuming deletes the
// delivery in the transaction that holds the effect. Nothing in between can be
// lost, and there is no second copy of the truth to keep in step.
package event

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Event is a fact of a module's published language.
type Event interface {
	EventType() string    // "order.created": the topic; stable, part of the contract
	EventKey() string     // id of the aggregate; facts with one key are handled in order
	EventSequence() int64 // the aggregate's version after the fact: a reader can tell old from new
}

// Versioned facts say which version of their schema they follow; others follow 1.
type Versioned interface{ EventVersion() int }

// Envelope is a fact as the log, integrations and Kafka carry it.
type Envelope struct {
	ID            uuid.UUID       `json:"id" db:"id"`
	Type          string          `json:"type" db:"type" example:"order.created"`
	Version       int             `json:"version" db:"version" doc:"Version of the type's schema"`
	TenantID      uuid.UUID       `json:"tenantId" db:"tenant_id"`
	Subject       string          `json:"subject" db:"subject" doc:"Id of the aggregate that the fact is about"`
	Sequence      int64           `json:"sequence" db:"sequence" doc:"The aggregate's version after the fact"`
	OccurredAt    time.Time       `json:"occurredAt" db:"occurred_at"`
	CorrelationID string          `json:"correlationId" db:"correlation_id" doc:"Id of the request that everything began with"`
	CausationID   *uuid.UUID      `json:"causationId,omitempty" db:"causation_id" doc:"The event that this one is a reaction to"`
	Traceparent   string          `json:"traceparent,omitempty" db:"traceparent" doc:"W3C trace context"`
	Actor         string          `json:"actor" db:"actor" example:"key:0199c1de-0000-7000-8000-000000000000"`
	Data          json.RawMessage `json:"data" db:"data" doc:"The fact; its shape is the type's JSON Schema"`
}

// Origin ties facts to the request and the event that led to them.
type Origin struct {
	CorrelationID string
	CausationID   *uuid.UUID
	Traceparent   string
}

type originKey struct{}

// WithOrigin returns a context in which published facts carry o.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginFrom is the origin that facts published in ctx carry.
func OriginFrom(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// caused is a fact with an origin of its own: a batch handler reacts to many
// events, each of which leads to its own.
type caused struct {
	Event
	origin Origin
}

// Because ties e to the event that it is a reaction to.
func Because[T any](r Received[T], e Event) Event {
	return caused{e, Origin{r.CorrelationID, &r.ID, r.Traceparent}}
}

// Log publishes facts and reads them back.
type Log struct {
	// Check, when set, refuses a fact that does not follow its schema. Specs set it.
	Check func(eventType string, version int, data []byte) error

	published func(topics []string) // wakes the consumers of this process
	hears     func(topic string) bool
	reactions *reactions
}

// NewLog returns a log; NewBus ties the consumers of the process to it.
func NewLog() *Log {
	return &Log{
		published: func([]string) {}, hears: func(string) bool { return false },
		reactions: &reactions{waiting: map[about]chan struct{}{}},
	}
}

// Publish records facts in the caller's transaction: all of them, or none of what
// the transaction did. One round trip, however many facts.
func (l *Log) Publish(ctx context.Context, tx *db.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	n := len(events)
	var (
		ids, types, subjects         = make([]string, n), make([]string, n), make([]string, n)
		versions, sequences          = make([]int64, n), make([]int64, n)
		correlations, causes, traces = make([]string, n), make([]string, n), make([]string, n)
		data                         = make([]string, n)
	)
	for i, e := range events {
		origin := OriginFrom(ctx)
		if c, ok := e.(caused); ok {
			origin, e = c.origin, c.Event
		}
		version := versionOf(e)
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode %s: %w", e.EventType(), err)
		}
		if l.Check != nil {
			if err := l.Check(e.EventType(), version, body); err != nil {
				return fmt.Errorf("publish %s: %w", e.EventType(), err)
			}
		}
		ids[i], types[i], subjects[i] = clock.NewID().String(), e.EventType(), e.EventKey()
		versions[i], sequences[i] = int64(version), e.EventSequence()
		correlations[i], traces[i], data[i] = origin.CorrelationID, origin.Traceparent, string(body)
		if origin.CausationID != nil {
			causes[i] = origin.CausationID.String()
		}
	}
	args := []any{
		db.Array(ids), db.Array(types), db.Array(versions), db.Array(subjects), db.Array(sequences), db.Array(correlations), db.Array(causes), db.Array(traces), db.Array(data),
		tx.Now, id.Actor,
	}
	query := publishMany
	if n == 1 {
		args = []any{ids[0], types[0], versions[0], subjects[0], sequences[0], correlations[0], causes[0], traces[0], data[0], tx.Now, id.Actor}
		query = publishOne
	}
	if _, err := tx.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("publish %s: %w", types[0], err)
	}
	tx.AfterCommit(func() { l.published(types) })
	return nil
}

// One fact and many differ in where the rows come from: most publish one, and that is cheaper
// without lists.
const (
	publishOne  = publish + `(values ($1::uuid, $2::text, $3::smallint, $4::text, $5::bigint, $6::text, $7::text, $8::text, $9::json, 1))` + deliver
	publishMany = publish + `unnest((select $1::uuid[]), (select $2::text[]), (select $3::smallint[]), (select $4::text[]), (select $5::bigint[]), (select $6::text[]), (select $7::text[]), (select $8::text[]), (select $9::json[])) with ordinality` + deliver

	// The fence is taken before the first seq is drawn: see platform.fence().
	publish = db.Keep + `
with fence as materialized (select platform.fence()),
facts as (
    insert into platform.event (id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data)
    select f.id, f.type, f.version, f.subject, f.sequence, $10, f.correlation_id, nullif(f.causation_id, '')::uuid, f.traceparent, $11, f.data
    from fence, `

	deliver = ` f(id, type, version, subject, sequence, correlation_id, causation_id, traceparent, data, position)
    order by f.position
    returning seq, recorded_at, type, subject
)
insert into platform.delivery (consumer, part, seq, recorded_at, subject)
select s.consumer, s.part, f.seq, f.recorded_at, f.subject
from facts f join platform.subscription s on s.topic = f.type and s.part = (hashtext(f.subject) & 2147483647) % s.parts and s.carried_after is null`
)

func versionOf(e Event) int {
	if v, ok := e.(Versioned); ok {
		return v.EventVersion()
	}
	return 1
}
