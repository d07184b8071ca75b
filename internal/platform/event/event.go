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
// the transaction did. They are written right before the commit, whatever else the
// transaction does meanwhile, and in the order in which they were published.
func (l *Log) Publish(ctx context.Context, tx *db.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	list := db.Last[facts](tx)
	list.at = tx.Now
	types := make([]string, len(events))
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
		types[i] = e.EventType()
		list.add(e, version, origin, id.Actor, string(body))
	}
	tx.AfterCommit(func() { l.published(types) })
	return nil
}

func versionOf(e Event) int {
	if v, ok := e.(Versioned); ok {
		return v.EventVersion()
	}
	return 1
}
