package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// store is the SQL of the inventory's schema.
type store struct{}

const levelColumns = `location, sku, on_hand, reserved, low_threshold, version, updated_at`

func (store) find(ctx context.Context, tx *db.Tx, sku string) (level, error) {
	return one(ctx, tx, `select `+levelColumns+` from inventory.stock where location = $1 and sku = $2`, sku)
}

// lock reads a level that this transaction is about to change.
func (store) lock(ctx context.Context, tx *db.Tx, sku string) (level, error) {
	return one(ctx, tx, `select `+levelColumns+` from inventory.stock where location = $1 and sku = $2 for update`, sku)
}

func one(ctx context.Context, tx *db.Tx, query, sku string) (level, error) {
	var l level
	err := tx.Get(ctx, &l, query, defaultLocation, sku)
	if db.IsNoRows(err) {
		return level{}, httpx.ErrNotFound
	}
	if err != nil {
		return level{}, fmt.Errorf("read stock: %w", err)
	}
	return l, nil
}

// lockAll locks levels in the order of their SKUs. A SKU without stock is absent.
func (store) lockAll(ctx context.Context, tx *db.Tx, skus []string) (map[string]*level, error) {
	var rows []level
	if err := tx.Select(ctx, &rows, db.Keep+`select `+levelColumns+` from inventory.stock where location = $1 and sku = any((select $2)::text[]) order by sku for update`,
		defaultLocation, db.Array(skus)); err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	levels := make(map[string]*level, len(rows))
	for i := range rows {
		levels[rows[i].SKU] = &rows[i]
	}
	return levels, nil
}

// movement is a row of the ledger.
type movement struct {
	ID            uuid.UUID  `db:"id"`
	Kind          string     `db:"kind"`
	OnHandDelta   int64      `db:"on_hand_delta"`
	ReservedDelta int64      `db:"reserved_delta"`
	Reason        string     `db:"reason"`
	OrderID       *uuid.UUID `db:"order_id"`
	HoldID        *uuid.UUID `db:"hold_id"`
	ReturnID      *uuid.UUID `db:"return_id"`
	Actor         string     `db:"actor"`
	CreatedAt     time.Time  `db:"created_at"`
}

// save writes a changed level with its movement. A change of the threshold alone moves nothing.
func (store) save(ctx context.Context, tx *db.Tx, l level, m movement) error {
	_, err := tx.Exec(ctx, `
		with l as (
			update inventory.stock set on_hand = $3, low_threshold = $4, version = $5, updated_at = $6 where location = $1 and sku = $2
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, actor, created_at)
		select $7, $1, $2, $8, $9::bigint, 0, $10, $11, $6 where $9::bigint <> 0`,
		l.Location, l.SKU, l.OnHand, l.LowThreshold, l.Version, l.UpdatedAt, clock.NewID(), m.Kind, m.OnHandDelta, m.Reason, m.Actor)
	if err != nil {
		return fmt.Errorf("save stock: %w", err)
	}
	return nil
}

// start makes the stock of SKUs that have none.
func (store) start(ctx context.Context, tx *db.Tx, items []item) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `insert into inventory.location (code, name) values ($1, 'Main store') on conflict do nothing`, defaultLocation); err != nil {
		return fmt.Errorf("make location: %w", err)
	}
	slices.SortStableFunc(items, func(a, b item) int { return strings.Compare(a.SKU, b.SKU) })
	items = slices.CompactFunc(items, func(a, b item) bool { return a.SKU == b.SKU }) // the first one counts
	skus, quantities, ids := make([]string, len(items)), make([]int64, len(items)), make([]string, len(items))
	for i, it := range items {
		skus[i], quantities[i], ids[i] = it.SKU, it.Quantity, clock.NewID().String()
	}
	_, err = tx.Exec(ctx, `
		with new as (
			insert into inventory.stock (location, sku, on_hand, low_threshold, updated_at)
			select $1, n.sku, n.quantity, $6, $5 from unnest($2::text[], $3::bigint[]) n(sku, quantity)
			on conflict do nothing
			returning sku, on_hand
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, actor, created_at)
		select n.id, $1, new.sku, 'initial', new.on_hand, 0, 'product created', $7, $5
		from new join unnest($2::text[], $4::uuid[]) n(sku, id) on n.sku = new.sku`,
		defaultLocation, db.Array(skus), db.Array(quantities), db.Array(ids), tx.Now, defaultThreshold, id.Actor)
	if err != nil {
		return fmt.Errorf("start stock: %w", err)
	}
	return nil
}

// claim makes the reservations of orders that have none, as held, and tells which those
// are. One that another transaction is making is waited for.
func (store) claim(ctx context.Context, tx *db.Tx, orders []string) (map[string]bool, error) {
	return enter(ctx, tx, orders, "held")
}

func enter(ctx context.Context, tx *db.Tx, orders []string, status string) (map[string]bool, error) {
	var ids []string
	if err := tx.Select(ctx, &ids, db.Keep+`
		insert into inventory.reservation (order_id, status, created_at, updated_at)
		select distinct o, $2, $3::timestamptz, $3::timestamptz from unnest($1::uuid[]) o order by o
		on conflict do nothing returning order_id::text`, db.Array(orders), status, tx.Now); err != nil {
		return nil, fmt.Errorf("note reservations as %s: %w", status, err)
	}
	made := make(map[string]bool, len(ids))
	for _, id := range ids {
		made[id] = true
	}
	return made, nil
}

// outcome of a demand: reserved, perhaps by claiming a hold, or refused.
type outcome struct {
	demand
	reserved bool
	claims   *hold
}

// conclude writes the outcomes of many claimed demands in one statement: what stock
// promises now, the lines of the reservations, those that are refused, the holds that are
// claimed, and the movements. Reservations, holds and stock are locked.
func (store) conclude(ctx context.Context, tx *db.Tx, outcomes []outcome) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	var refused, holds, claimants []string
	var lines ledger
	var given holdLedger
	for _, o := range outcomes {
		if !o.reserved {
			refused = append(refused, o.OrderID)
			continue
		}
		if o.claims != nil {
			holds, claimants = append(holds, o.claims.ID.String()), append(claimants, o.OrderID)
			given.add(*o.claims)
		}
		lines.add(o.demand)
	}
	_, err = tx.Exec(ctx, db.Keep+`
		with r as (
			update inventory.reservation set status = 'refused' where order_id = any($2::uuid[])
		), claimed as (
			update inventory.hold h set status = 'claimed', order_id = c.order_id, updated_at = $3
			from unnest($9::uuid[], $10::uuid[]) c(id, order_id) where h.id = c.id and h.status = 'held'
		), lines as (
			select * from unnest($4::uuid[], $5::uuid[], $6::text[], $7::bigint[]) l(id, order_id, sku, quantity)
		), given as (
			select * from unnest($11::uuid[], $12::uuid[], $13::text[], $14::bigint[]) g(id, hold_id, sku, quantity)
		), s as (
			update inventory.stock s set reserved = s.reserved + d.quantity, version = s.version + 1, updated_at = $3
			from (
				select sku, sum(quantity)::bigint quantity from (select sku, quantity from lines union all select sku, -quantity from given) d
				group by sku having sum(quantity) <> 0
			) d where s.location = $1 and s.sku = d.sku
		), l as (
			insert into inventory.reservation_line (order_id, location, sku, quantity) select order_id, $1, sku, quantity from lines
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, hold_id, actor, created_at)
		select id, $1, sku, 'reserved', 0, quantity, 'order created', order_id, null, $8, $3 from lines
		union all
		select id, $1, sku, 'claimed', 0, -quantity, 'hold claimed', null, hold_id, $8, $3 from given`,
		defaultLocation, db.Array(refused), tx.Now,
		db.Array(lines.ids), db.Array(lines.orders), db.Array(lines.skus), db.Array(lines.quantities), id.Actor,
		db.Array(holds), db.Array(claimants), db.Array(given.ids), db.Array(given.holds), db.Array(given.skus), db.Array(given.quantities))
	if err != nil {
		return fmt.Errorf("reserve stock: %w", err)
	}
	return nil
}

// ledger is lines as columns, the way unnest takes them.
type ledger struct {
	ids, orders, skus []string
	quantities        []int64
}

func (l *ledger) add(d demand) {
	for _, i := range d.Items {
		l.ids = append(l.ids, clock.NewID().String())
		l.orders = append(l.orders, d.OrderID)
		l.skus = append(l.skus, i.SKU)
		l.quantities = append(l.quantities, i.Quantity)
	}
}

// release frees what the orders hold and tells what that was. Orders that are not known
// are noted as released, first of all: who is just reserving for one of them is waited
// for, and what that reserves is freed here. Reservations are locked before stock, both in
// order.
func (store) release(ctx context.Context, tx *db.Tx, orders []string) ([]demand, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := enter(ctx, tx, orders, "released"); err != nil {
		return nil, err
	}
	var rows []struct {
		OrderID  string `db:"order_id"`
		SKU      string `db:"sku"`
		Quantity int64  `db:"quantity"`
	}
	if err := tx.Select(ctx, &rows, `
		with held as materialized (
			select order_id from inventory.reservation where order_id = any($1::uuid[]) and status = 'held' order by order_id for update
		)
		select l.order_id::text, l.sku, l.quantity - l.released - l.shipped quantity from held join inventory.reservation_line l using (order_id) where l.quantity > l.released + l.shipped order by l.order_id, l.sku`,
		db.Array(orders)); err != nil {
		return nil, fmt.Errorf("read what is held: %w", err)
	}
	if len(rows) == 0 { // all of it has left, or nothing was held
		if _, err := tx.Exec(ctx, `update inventory.reservation set status = 'released', updated_at = $2 where order_id = any($1::uuid[]) and status = 'held'`, db.Array(orders), tx.Now); err != nil {
			return nil, fmt.Errorf("end reservations: %w", err)
		}
		return nil, nil
	}
	var freed []demand
	var lines ledger
	for _, r := range rows {
		if len(freed) == 0 || freed[len(freed)-1].OrderID != r.OrderID {
			freed = append(freed, demand{OrderID: r.OrderID})
		}
		d := &freed[len(freed)-1]
		d.Items = append(d.Items, item{r.SKU, r.Quantity})
	}
	for _, d := range freed {
		lines.add(d)
	}
	if _, err := tx.Exec(ctx, `select from inventory.stock where location = $1 and sku = any($2) order by sku for update`, defaultLocation, db.Array(lines.skus)); err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	_, err = tx.Exec(ctx, `
		with lines as (
			select * from unnest($4::uuid[], $5::uuid[], $6::text[], $7::bigint[]) l(id, order_id, sku, quantity)
		), r as (
			update inventory.reservation set status = 'released', updated_at = $3 where order_id = any($2::uuid[]) and status = 'held'
		), s as (
			update inventory.stock s set reserved = s.reserved - d.quantity, version = s.version + 1, updated_at = $3
			from (select sku, sum(quantity)::bigint quantity from lines group by sku) d where s.location = $1 and s.sku = d.sku
		)
		insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, actor, created_at)
		select id, $1, sku, 'released', 0, -quantity, 'order called off', order_id, $8, $3 from lines`,
		defaultLocation, db.Array(orders), tx.Now,
		db.Array(lines.ids), db.Array(lines.orders), db.Array(lines.skus), db.Array(lines.quantities), id.Actor)
	if err != nil {
		return nil, fmt.Errorf("release stock: %w", err)
	}
	return freed, nil
}

// filter of the list of stock.
type filter struct {
	After string // SKU; the page begins behind it
	Down  bool   // from the last SKU to the first
	Low   bool   // only what is at its threshold or below
	Limit int
}

func (store) list(ctx context.Context, tx *db.Tx, f filter) ([]level, error) {
	query, args := `select `+levelColumns+` from inventory.stock where location = $1`, []any{defaultLocation, f.Limit}
	if f.Low {
		query += ` and on_hand - reserved <= low_threshold`
	}
	beyond, direction := `>`, ``
	if f.Down {
		beyond, direction = `<`, ` desc`
	}
	if f.After != "" {
		query += ` and sku ` + beyond + ` $3`
		args = append(args, f.After)
	}
	levels := []level{}
	if err := tx.Select(ctx, &levels, query+` order by sku`+direction+` limit $2`, args...); err != nil {
		return nil, fmt.Errorf("list stock: %w", err)
	}
	return levels, nil
}

// movements of a SKU, newest first, before one of them unless it is nil.
func (store) movements(ctx context.Context, tx *db.Tx, sku string, before uuid.UUID, limit int) ([]movement, error) {
	list := []movement{}
	err := tx.Select(ctx, &list, `
		select id, kind, on_hand_delta, reserved_delta, reason, order_id, hold_id, return_id, actor, created_at
		from inventory.movement
		where location = $1 and sku = $2 and ($3 = '00000000-0000-0000-0000-000000000000'::uuid or id < $3::uuid)
		order by id desc limit $4`, defaultLocation, sku, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list movements: %w", err)
	}
	return list, nil
}
