package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// arrival is a fact that the carrier brought for a consumer.
type arrival struct {
	consumer *consumer
	fact     Envelope
	ours     bool // this database says so, and must know it
	done     chan error
}

// arrivals writes what the carrier brings to the log and addresses it to the consumer it
// came for. A message is acknowledged when that is durable. The carrier brings one fact of
// a partition at a time; those of all partitions and consumers share a transaction.
type arrivals struct {
	bus     *Bus
	in      chan arrival
	lineage []string
	down    bool
}

// errUnreadable is a message that is no fact. It would not become one by trying again.
var errUnreadable = errors.New("no fact")

func (a *arrivals) handler(c *consumer) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		fact, err := read(c.topic, m.Payload)
		if err != nil {
			a.bus.log.ErrorContext(m.Context(), "unreadable message", "consumer", c.name, "topic", c.topic, "message", m.UUID, "err", err)
			return err
		}
		arrived := arrival{c, fact, slices.Contains(a.lineage, m.Metadata.Get(MetadataDeployment)), make(chan error, 1)}
		select {
		case a.in <- arrived:
		case <-m.Context().Done():
			return m.Context().Err()
		}
		select {
		case err := <-arrived.done:
			return err
		case <-m.Context().Done():
			return m.Context().Err()
		}
	}
}

// read checks only what every fact has: other programs write to the topics, and newer ones
// may say more than we know.
func read(topic string, payload []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(payload, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	switch {
	case e.Type != topic:
		return Envelope{}, fmt.Errorf("%w of this topic: its type is %q", errUnreadable, e.Type)
	case e.ID == uuid.Nil || e.TenantID == uuid.Nil || e.Subject == "" || e.OccurredAt.IsZero() || len(e.Data) == 0:
		return Envelope{}, fmt.Errorf("%w: id, tenantId, subject, occurredAt and data are needed", errUnreadable)
	}
	return e, nil
}

func (a *arrivals) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-a.in:
			a.takeIn(ctx, a.more([]arrival{first}))
		}
	}
}

// takeIn tells each message what became of it. When a batch fails, its facts are tried one
// by one, so that a bad one cannot hold up the good ones.
func (a *arrivals) takeIn(ctx context.Context, batch []arrival) {
	err := a.take(ctx, batch)
	if db.IsRejected(err) && len(batch) > 1 {
		for i := range batch {
			a.takeIn(ctx, batch[i:i+1])
		}
		return
	}
	err = blamed(err)
	a.report(ctx, err)
	for _, one := range batch {
		one.done <- err
	}
}

// blamed: the database does not accept what the fact says. Whatever else it complains of,
// a missing right, a table that is not there yet, a standby that only reads, is no reason to
// give a good fact up.
func blamed(err error) error {
	if !db.IsRejected(err) {
		return err
	}
	return fmt.Errorf("%w that can be stored: %w", errUnreadable, err)
}

// more takes what else is waiting, without waiting for it.
func (a *arrivals) more(batch []arrival) []arrival {
	for len(batch) < batchSize {
		select {
		case next := <-a.in:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (a *arrivals) report(ctx context.Context, err error) {
	switch {
	case errors.Is(err, errUnreadable):
		a.bus.log.ErrorContext(ctx, "unreadable message", "err", err)
		return
	case err != nil && !a.down && ctx.Err() == nil:
		a.bus.log.WarnContext(ctx, "facts cannot be taken in", "err", err)
	}
	a.down = err != nil
}

// A fact that is known, because this database recorded it or because it came for another
// consumer, is only addressed; unless the publisher did that, or the consumer has handled it. One that
// is older than what the inbox remembers came before. One that this database says it has
// recorded, and has not, is of a history that was given up for a backup.
const arriveSQL = `
with arrived as materialized (
    select a.* from (select platform.fence()) fence, unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::smallint[], $6::text[], $7::bigint[],
        $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::json[], $14::boolean[]) with ordinality
        a(consumer, id, tenant_id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data, ours, position)),
known as materialized (
    select distinct on (a.tenant_id, a.id) a.tenant_id, a.id, e.seq, e.recorded_at, e.subject, e.carried
    from arrived a join platform.event e on e.tenant_id = a.tenant_id and e.id = a.id
    order by a.tenant_id, a.id),
fresh as (
    insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data, carried)
    select f.tenant_id, f.id, f.type, f.version, f.subject, f.sequence, f.occurred_at, f.correlation_id, nullif(f.causation_id, '')::uuid, f.traceparent, f.actor, f.data, true
    from (select distinct on (a.tenant_id, a.id) a.* from arrived a
          where not a.ours and not exists (select from known k where k.tenant_id = a.tenant_id and k.id = a.id)
          order by a.tenant_id, a.id, a.position) f
    order by f.position
    returning tenant_id, id, seq, recorded_at, subject, carried),
addressed as (
insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
select f.tenant_id, a.consumer, s.part, f.seq, f.recorded_at, f.subject
from arrived a
join (select *, false as fresh from known union all select *, true from fresh) f on f.tenant_id = a.tenant_id and f.id = a.id
join platform.subscription s on s.consumer = a.consumer and s.part = (hashtext(f.subject) & 2147483647) % s.parts
where f.fresh or ((f.carried or f.seq > s.carried_after) and f.recorded_at >= platform.inbox_since()
    and not exists (select from platform.inbox i
                    where i.tenant_id = f.tenant_id and i.consumer = a.consumer and i.event_id = f.id and i.recorded_at = f.recorded_at))
on conflict do nothing
returning tenant_id, consumer, seq)
select count(*) from addressed join known using (tenant_id, seq)`

// Who is handling a fact that comes again has its delivery in hand: the statement above waits
// for them, and does not see what they have noted meanwhile. This one does.
const handledSQL = `
delete from platform.delivery d using unnest($1::text[], $2::uuid[], $3::uuid[]) a(consumer, id, tenant_id)
join platform.inbox i on i.tenant_id = a.tenant_id and i.consumer = a.consumer and i.event_id = a.id
join platform.event e on e.tenant_id = i.tenant_id and e.id = i.event_id and e.recorded_at = i.recorded_at
where d.consumer = a.consumer and d.tenant_id = e.tenant_id and d.seq = e.seq`

func (a *arrivals) take(ctx context.Context, batch []arrival) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.bus.BatchTimeout)
	defer cancel()
	n := len(batch)
	var (
		consumers, ids, tenants, types, subjects = make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		versions, sequences                      = make([]int64, n), make([]int64, n)
		times                                    = make([]time.Time, n)
		correlations, causes, traces, actors     = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		data                                     = make([]string, n)
		ours                                     = make([]bool, n)
	)
	for i, arrived := range batch {
		e := arrived.fact
		consumers[i], ids[i], tenants[i], types[i], subjects[i] = arrived.consumer.name, e.ID.String(), e.TenantID.String(), e.Type, e.Subject
		versions[i], sequences[i], times[i] = int64(e.Version), e.Sequence, e.OccurredAt
		correlations[i], traces[i], actors[i], data[i] = e.CorrelationID, e.Traceparent, e.Actor, string(e.Data)
		ours[i] = arrived.ours
		if e.CausationID != nil {
			causes[i] = e.CausationID.String()
		}
	}
	err := a.bus.db.Across(ctx, func(tx *db.Tx) error {
		// Two processes that are brought the same fact for two consumers must not both record
		// it: the second looks when the first is done.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(71::bigint << 48)`); err != nil {
			return fmt.Errorf("wait for other arrivals: %w", err)
		}
		var again int
		if err := tx.Get(ctx, &again, arriveSQL, pq.Array(consumers), pq.Array(ids), pq.Array(tenants), pq.Array(types), pq.Array(versions), pq.Array(subjects), pq.Array(sequences),
			pq.Array(times), pq.Array(correlations), pq.Array(causes), pq.Array(traces), pq.Array(actors), pq.Array(data), pq.Array(ours)); err != nil || again == 0 {
			return err
		}
		_, err := tx.Exec(ctx, handledSQL, pq.Array(consumers), pq.Array(ids), pq.Array(tenants))
		return err
	})
	if err != nil {
		return fmt.Errorf("take in facts: %w", err)
	}
	for _, arrived := range batch {
		arrived.consumer.alert()
	}
	return nil
}
