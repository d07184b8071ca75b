package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// keep writes a new hold with its lines and movements, and what stock promises now. The
// rows of stock are locked. The hold's time runs from here on by the database's clock: not
// from the beginning of the transaction, which may have waited for the stock.
func (store) keep(ctx context.Context, tx *db.Tx, h hold, lasts time.Duration) (hold, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return hold{}, err
	}
	var lines holdLedger
	lines.add(h)
	var times struct {
		CreatedAt time.Time `db:"created_at"`
		ExpiresAt time.Time `db:"expires_at"`
	}
	err = tx.Get(ctx, &times, db.Keep+`
		with lines as (
			select * from unnest((select $5::uuid[]), (select $6::text[]), (select $7::bigint[])) with ordinality l(id, sku, quantity, position)
		), s as (
			update inventory.stock s set reserved = s.reserved + l.quantity, version = s.version + 1, updated_at = $4
			from lines l where s.location = $1 and s.sku = l.sku
		), l as (
			insert into inventory.hold_line (hold_id, position, location, sku, quantity) select $2, position, $1, sku, quantity from lines
		), m as (
			insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, hold_id, actor, created_at)
			select id, $1, sku, 'held', 0, quantity, 'held for a shopper', $2, $8, $4 from lines
		)
		insert into inventory.hold (id, customer_id, status, expires_at, created_at, updated_at)
		values ($2, $9, 'held', statement_timestamp() + $3 * interval '1 millisecond', statement_timestamp(), statement_timestamp())
		returning created_at, expires_at`,
		defaultLocation, h.ID, lasts.Milliseconds(), tx.Now, db.Array(lines.ids), db.Array(lines.skus), db.Array(lines.quantities), id.Actor, h.Customer)
	if err != nil {
		return hold{}, fmt.Errorf("keep hold: %w", err)
	}
	h.CreatedAt, h.ExpiresAt = times.CreatedAt.UTC(), times.ExpiresAt.UTC()
	return h, nil
}

// holdRow is a line of a hold, beside what there is to say of the whole.
type holdRow struct {
	ID        uuid.UUID  `db:"id"`
	Status    holdStatus `db:"status"`
	Customer  string     `db:"customer_id"`
	OrderID   *uuid.UUID `db:"order_id"`
	ExpiresAt time.Time  `db:"expires_at"`
	CreatedAt time.Time  `db:"created_at"`
	SKU       string     `db:"sku"`
	Quantity  int64      `db:"quantity"`
}

// holds reads those that a query of inventory.hold finds, each with its lines.
func (store) holds(ctx context.Context, tx *db.Tx, query string, args ...any) ([]hold, error) {
	var rows []holdRow
	if err := tx.Select(ctx, &rows, db.Keep+`
		with h as materialized (select id, customer_id, status, order_id, expires_at, created_at from inventory.hold `+query+`)
		select h.*, l.sku, l.quantity from h join inventory.hold_line l on l.hold_id = h.id order by h.id, l.position`, args...); err != nil {
		return nil, err
	}
	return holdsOf(rows), nil
}

// holdsOf are the holds of lines that stand in the order of the holds.
func holdsOf(rows []holdRow) (list []hold) {
	for _, r := range rows {
		if len(list) == 0 || list[len(list)-1].ID != r.ID {
			list = append(list, hold{ID: r.ID, Customer: r.Customer, Status: r.Status, OrderID: r.OrderID, ExpiresAt: r.ExpiresAt.UTC(), CreatedAt: r.CreatedAt.UTC()})
		}
		h := &list[len(list)-1]
		h.Items = append(h.Items, item{r.SKU, r.Quantity})
	}
	return list
}

func (s store) findHold(ctx context.Context, tx *db.Tx, id uuid.UUID, within reach) (hold, error) {
	return s.oneHold(ctx, tx, `where id = $1 and ($2 or customer_id = $3)`, id, within.all, within.customer)
}

// lockHold reads a hold that this transaction is about to end. Holds are locked before
// stock.
func (s store) lockHold(ctx context.Context, tx *db.Tx, id uuid.UUID, within reach) (hold, error) {
	return s.oneHold(ctx, tx, `where id = $1 and ($2 or customer_id = $3) for update`, id, within.all, within.customer)
}

func (s store) oneHold(ctx context.Context, tx *db.Tx, query string, args ...any) (hold, error) {
	list, err := s.holds(ctx, tx, query, args...)
	if err != nil {
		return hold{}, fmt.Errorf("read hold: %w", err)
	}
	if len(list) == 0 {
		return hold{}, httpx.ErrNotFound
	}
	return list[0], nil
}

// lockHolds locks those of some holds that are still held, in order. The others are absent.
func (s store) lockHolds(ctx context.Context, tx *db.Tx, ids []string) ([]hold, error) {
	list, err := s.holds(ctx, tx, `where id = any((select $1)::uuid[]) and status = 'held' order by id for update`, db.Array(ids))
	if err != nil {
		return nil, fmt.Errorf("lock holds: %w", err)
	}
	return list, nil
}

// lockDueHolds locks holds whose time is up, the longest overdue first, and waits for none.
func (s store) lockDueHolds(ctx context.Context, tx *db.Tx, limit int) ([]hold, error) {
	// In a subquery the clock is read once, and the index used.
	list, err := s.holds(ctx, tx, `
		where status = 'held' and expires_at <= (select clock_timestamp()) order by expires_at limit $1 for update skip locked`, limit)
	if err != nil {
		return nil, fmt.Errorf("lock due holds: %w", err)
	}
	return list, nil
}

// overdue tells whether the time of a hold is up that is still held, and if so when to look at
// it again.
func (store) overdue(ctx context.Context, tx *db.Tx) (again time.Time, left bool, err error) {
	err = tx.Get(ctx, &again, db.Keep+`
		select clock_timestamp() + interval '100 milliseconds'
		where exists (select from inventory.hold where status = 'held' and expires_at <= (select clock_timestamp()))`)
	if db.IsNoRows(err) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for overdue holds: %w", err)
	}
	return again, true, nil
}

// end marks holds as released or expired and gives their stock back, with the movements,
// in one statement. Holds and stock are locked.
func (store) end(ctx context.Context, tx *db.Tx, holds []hold, how holdStatus) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	ids := make([]string, len(holds))
	var lines holdLedger
	for n, h := range holds {
		ids[n] = h.ID.String()
		lines.add(h)
	}
	_, err = tx.Exec(ctx, `
		with ended as (
			update inventory.hold set status = $3, updated_at = $4 where id = any($2::uuid[]) and status = 'held' returning id
		), lines as (
			select l.* from unnest($5::uuid[], $6::uuid[], $7::text[], $8::bigint[]) l(id, hold_id, sku, quantity) join ended on ended.id = l.hold_id
		), s as (
			update inventory.stock s set reserved = s.reserved - d.quantity, version = s.version + 1, updated_at = $4
			from (select sku, sum(quantity)::bigint quantity from lines group by sku) d where s.location = $1 and s.sku = d.sku
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, hold_id, actor, created_at)
		select id, $1, sku, $3, 0, -quantity, 'hold ' || $3, hold_id, $9, $4 from lines`,
		defaultLocation, db.Array(ids), string(how), tx.Now,
		db.Array(lines.ids), db.Array(lines.holds), db.Array(lines.skus), db.Array(lines.quantities), id.Actor)
	if err != nil {
		return fmt.Errorf("end holds: %w", err)
	}
	return nil
}

// holdLedger is lines of holds as columns, the way unnest takes them.
type holdLedger struct {
	ids, holds, skus []string
	quantities       []int64
}

func (l *holdLedger) add(h hold) {
	for _, i := range h.Items {
		l.ids = append(l.ids, clock.NewID().String())
		l.holds = append(l.holds, h.ID.String())
		l.skus = append(l.skus, i.SKU)
		l.quantities = append(l.quantities, i.Quantity)
	}
}
