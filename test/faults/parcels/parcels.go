// Package parcels is a made-up module with nothing but facts and reactions, for faults to
// strike: what modules rely on, without what modules do.
package parcels

import (
	"context"
	"errors"
	"hash/fnv"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// Moved is one step of a parcel. The steps of a parcel must arrive in order.
type Moved struct {
	Parcel string `json:"parcel"`
	Step   int64  `json:"step"`
}

// EventType is the topic.
func (Moved) EventType() string { return "parcel.moved" }

// EventKey is the parcel.
func (m Moved) EventKey() string { return m.Parcel }

// EventSequence is the step.
func (m Moved) EventSequence() int64 { return m.Step }

// Poison is a step that nobody can handle.
const Poison = 0

// Consumers that hear of every step.
func Consumers() []string {
	return []string{"shelf.moved", "label.moved", "scale.moved", "claims.moved", "camera.moved"}
}

var (
	errPoison = errors.New("the parcel is damaged")
	errShaky  = errors.New("the parcel was dropped")
)

// React notes what the consumers hear. A fifth of it is handled at the third try only.
func React(bus *event.Bus) {
	for _, c := range Consumers() {
		event.OnBatch(bus, c, func(ctx context.Context, tx *db.Tx, batch []event.Received[Moved]) error {
			if err := note(ctx, tx, c, batch); err != nil {
				return err
			}
			// After the effect: nothing of a failed try may remain.
			for _, e := range batch {
				switch {
				case e.Fact.Step == Poison:
					return errPoison
				case e.Attempt <= 2 && shaky(c, e.ID):
					return errShaky
				}
			}
			return nil
		})
	}
}

// Schema makes the book of effects, which has no key: an effect that happens twice shows.
const Schema = `
create schema book;
create table book.effect (
	n bigserial, tenant_id uuid not null default platform.current_tenant(), consumer text not null, event_id uuid not null,
	subject text not null, sequence bigint not null);
create table book.parcel (id int primary key, version bigint not null default 0);
grant usage on schema book to fusion_app;
grant all on all tables in schema book to fusion_app;
grant all on all sequences in schema book to fusion_app`

func note(ctx context.Context, tx *db.Tx, consumer string, batch []event.Received[Moved]) error {
	ids, subjects, sequences := make([]string, len(batch)), make([]string, len(batch)), make([]int64, len(batch))
	for i, e := range batch {
		ids[i], subjects[i], sequences[i] = e.ID.String(), e.Subject, e.Sequence
	}
	_, err := tx.Exec(ctx, `insert into book.effect (consumer, event_id, subject, sequence)
		select $1, * from unnest($2::uuid[], $3::text[], $4::bigint[])`, consumer, db.Array(ids), db.Array(subjects), db.Array(sequences))
	return err
}

// shaky picks a fifth of what a consumer gets.
func shaky(consumer string, fact uuid.UUID) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(consumer))
	_, _ = h.Write(fact[:])
	return h.Sum32()%5 == 0
}
