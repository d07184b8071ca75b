package event

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Recorded is a fact with its position in the log.
type Recorded struct {
	Envelope
	Seq int64 `db:"seq" json:"-"`
}

const envelopeColumns = `seq, id, tenant_id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data`

// Since reads the log of the merchant after a position, oldest first. A reader that
// keeps the position of the last fact it got and asks again misses none, however
// commits interleave.
func (*Log) Since(ctx context.Context, tx *db.Tx, topic string, after int64, limit int) ([]Recorded, error) {
	var last int64
	if err := tx.Get(ctx, &last, `select last_value from platform.event_seq`); err != nil {
		return nil, fmt.Errorf("end of the log: %w", err)
	}
	to, err := settled(ctx, tx, last)
	if err != nil {
		return nil, err
	}
	facts := []Recorded{}
	query := `select ` + envelopeColumns + ` from platform.event
		where tenant_id = platform.current_tenant() and seq > $1 and seq <= $2 order by seq limit $3`
	args := []any{after, to, limit}
	if topic != "" {
		query = `select ` + envelopeColumns + ` from platform.event
			where tenant_id = platform.current_tenant() and seq > $1 and seq <= $2 and type = $4 order by seq limit $3`
		args = append(args, topic)
	}
	if err := tx.Select(ctx, &facts, query, args...); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return facts, nil
}

// Position of a fact of the merchant; found is false when there is none with that id.
func (*Log) Position(ctx context.Context, tx *db.Tx, id uuid.UUID) (seq int64, found bool, err error) {
	err = tx.Get(ctx, &seq, `select seq from platform.event where tenant_id = platform.current_tenant() and id = $1`, id)
	if db.IsNoRows(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("find event: %w", err)
	}
	return seq, true, nil
}

// Parked is a delivery that failed too often and waits for a person.
type Parked struct {
	Tenant   uuid.UUID `db:"tenant_id" json:"tenantId"`
	Consumer string    `db:"consumer" json:"consumer"`
	Event    uuid.UUID `db:"id" json:"event"`
	Type     string    `db:"type" json:"type"`
	Subject  string    `db:"subject" json:"subject"`
	Attempts int       `db:"attempts" json:"attempts"`
	Error    string    `db:"last_error" json:"error"`
	ParkedAt time.Time `db:"parked_at" json:"parkedAt"`
}

// ListParked lists the parked deliveries of every merchant, oldest first.
func ListParked(ctx context.Context, d *db.DB) ([]Parked, error) {
	list := []Parked{}
	err := d.Across(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &list, `
			select d.tenant_id, d.consumer, e.id, e.type, e.subject, d.attempts, coalesce(d.last_error, '') last_error, d.parked_at
			from platform.delivery d join platform.event e on e.tenant_id = d.tenant_id and e.seq = d.seq and e.recorded_at = d.recorded_at
			where d.parked_at is not null order by d.consumer, d.seq`)
	})
	if err != nil {
		return nil, fmt.Errorf("list parked deliveries: %w", err)
	}
	return list, nil
}

// RetryParked gives parked deliveries a new start. An empty consumer or a nil event
// means all of them.
func RetryParked(ctx context.Context, d *db.DB, consumer string, event uuid.UUID) (int64, error) {
	return changeParked(ctx, d, `update platform.delivery d set parked_at = null, attempts = 0, available_at = now()`, consumer, event, "")
}

// DropParked gives parked deliveries up: the consumer will never handle them, whoever
// brings them again. The facts stay in the log.
func DropParked(ctx context.Context, d *db.DB, consumer string, event uuid.UUID) (int64, error) {
	return changeParked(ctx, d, `
		with dropped as (delete from platform.delivery d`, consumer, event, ` returning d.tenant_id, d.consumer, d.seq, d.recorded_at)
		insert into platform.inbox (tenant_id, consumer, event_id, recorded_at)
		select d.tenant_id, d.consumer, e.id, e.recorded_at
		from dropped d join platform.event e on e.tenant_id = d.tenant_id and e.seq = d.seq and e.recorded_at = d.recorded_at
		on conflict do nothing`)
}

func changeParked(ctx context.Context, d *db.DB, change, consumer string, event uuid.UUID, then string) (n int64, err error) {
	err = d.Across(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec(ctx, change+` where d.parked_at is not null and ($1 = '' or d.consumer = $1)
			and ($2::uuid = '00000000-0000-0000-0000-000000000000' or exists (
				select from platform.event e where e.tenant_id = d.tenant_id and e.seq = d.seq and e.recorded_at = d.recorded_at and e.id = $2::uuid))`+then,
			consumer, event)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("change parked deliveries: %w", err)
	}
	return n, nil
}

// Backlog is what waits for one consumer.
type Backlog struct {
	Consumer string     `db:"consumer" json:"consumer"`
	Topic    string     `db:"topic" json:"topic"`
	Waiting  int64      `db:"waiting" json:"waiting"`
	Failing  int64      `db:"failing" json:"failing"`
	Parked   int64      `db:"parked" json:"parked"`
	Oldest   *time.Time `db:"oldest" json:"oldest,omitempty"`
}

// Relays tells that it is what waits to be handed to a carrier.
func (b Backlog) Relays() bool { return strings.HasPrefix(b.Consumer, relayOf("")) }

// Backlogs tells for every consumer how far it is behind.
func Backlogs(ctx context.Context, d *db.DB) ([]Backlog, error) {
	list := []Backlog{}
	err := d.Across(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &list, `
			select s.consumer, s.topic, count(d.seq) filter (where d.parked_at is null) waiting,
			       count(d.seq) filter (where d.parked_at is null and d.attempts > 0) failing,
			       count(d.seq) filter (where d.parked_at is not null) parked,
			       min(d.recorded_at) filter (where d.parked_at is null) oldest
			from platform.subscription s left join platform.delivery d on d.consumer = s.consumer
			where s.part = 0 group by s.consumer, s.topic order by s.consumer`)
	})
	if err != nil {
		return nil, fmt.Errorf("read backlogs: %w", err)
	}
	return list, nil
}
