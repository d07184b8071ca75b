package event

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// facts are those that a transaction has published, a list a column.
type facts struct {
	ids, types, subjects         []string
	versions, sequences          []int64
	correlations, causes, traces []string
	actors, data                 []string
	at                           time.Time
}

func (f *facts) add(e Event, version int, origin Origin, actor, data string) {
	cause := ""
	if origin.CausationID != nil {
		cause = origin.CausationID.String()
	}
	f.ids, f.types, f.subjects = append(f.ids, clock.NewID().String()), append(f.types, e.EventType()), append(f.subjects, e.EventKey())
	f.versions, f.sequences = append(f.versions, int64(version)), append(f.sequences, e.EventSequence())
	f.correlations, f.causes, f.traces = append(f.correlations, origin.CorrelationID), append(f.causes, cause), append(f.traces, origin.Traceparent)
	f.actors, f.data = append(f.actors, actor), append(f.data, data)
}

// Expressions write the facts, and address them to every consumer.
func (f *facts) Expressions() (list string, args []any) {
	switch len(f.ids) {
	case 0:
		return "", nil
	case 1:
		return publishOne, []any{
			f.ids[0], f.types[0], f.versions[0], f.subjects[0], f.sequences[0], f.correlations[0], f.causes[0], f.traces[0], f.actors[0], f.data[0], f.at,
		}
	}
	return publishMany, []any{
		db.Array(f.ids), db.Array(f.types), db.Array(f.versions), db.Array(f.subjects), db.Array(f.sequences), db.Array(f.correlations), db.Array(f.causes), db.Array(f.traces),
		db.Array(f.actors), db.Array(f.data), f.at,
	}
}

// One fact and many differ in where the rows come from: most publish one, and that is cheaper
// without lists.
const (
	publishOne  = publish + `(values ($1::uuid, $2::text, $3::smallint, $4::text, $5::bigint, $6::text, $7::text, $8::text, $9::text, $10::json, 1))` + deliver
	publishMany = publish + `unnest((select $1::uuid[]), (select $2::text[]), (select $3::smallint[]), (select $4::text[]), (select $5::bigint[]), (select $6::text[]), (select $7::text[]), (select $8::text[]), (select $9::text[]), (select $10::json[])) with ordinality` + deliver

	// The fence is taken before the first seq is drawn: see platform.fence().
	publish = `
fence as materialized (select platform.fence() ` + db.OnceWritten + `),
facts as (
    insert into platform.event (id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data)
    select f.id, f.type, f.version, f.subject, f.sequence, $11, f.correlation_id, nullif(f.causation_id, '')::uuid, f.traceparent, f.actor, f.data
    from fence, `

	deliver = ` f(id, type, version, subject, sequence, correlation_id, causation_id, traceparent, actor, data, position)
    order by f.position
    returning seq, recorded_at, type, subject
),
addressed as (
    insert into platform.delivery (consumer, part, seq, recorded_at, subject)
    select s.consumer, s.part, f.seq, f.recorded_at, f.subject
    from facts f join platform.subscription s on s.topic = f.type and s.part = (hashtext(f.subject) & 2147483647) % s.parts and s.carried_after is null
)`
)
