package event_test

import (
	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// postgres carries facts in the database itself.
var postgres = transport{
	name: "PostgreSQL",
	bus: func(pool *db.DB, log *event.Log) *event.Bus {
		return event.NewBus(pool, log, testkit.Log(), nil)
	},
	redeliver: func(d *depot, fact uuid.UUID) {
		d.sql(`insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
			select e.tenant_id, s.consumer, s.part, e.seq, e.recorded_at, e.subject
			from platform.event e join platform.subscription s on s.topic = e.type
			where e.id = $1 on conflict do nothing`, fact)
	},
}

var _ = conformance(postgres)
