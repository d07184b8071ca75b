package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// Hold keeps stock for a cart, in the cart's transaction: all of it or nothing. A cart that
// changes holds what it has now instead, and its own hold never stands in its way; one that
// has not changed holds it for longer.
func (m *Module) Hold(ctx context.Context, tx *db.Tx, w inventoryapi.Wish) (inventoryapi.Held, error) {
	lines := make([]item, len(w.Items))
	for i, it := range w.Items {
		lines[i] = item(it)
	}
	return m.svc.holdInstead(ctx, tx, w, merge(lines))
}

// Release gives up what a cart holds. A hold that is over stays as it is.
func (m *Module) Release(ctx context.Context, tx *db.Tx, holdID string) error {
	id, err := uuid.Parse(holdID)
	if err != nil {
		return fmt.Errorf("id of a hold: %w", err)
	}
	held, err := m.svc.store.lockHolds(ctx, tx, []string{id.String()})
	if err != nil {
		return err
	}
	return m.svc.end(ctx, tx, held, holdReleased)
}

// Available is how much of SKUs can be sold. One without stock is absent.
func (m *Module) Available(ctx context.Context, tx *db.Tx, skus []string) (map[string]int64, error) {
	return m.svc.store.available(ctx, tx, skus)
}

func (s *service) holdInstead(ctx context.Context, tx *db.Tx, w inventoryapi.Wish, items []item) (inventoryapi.Held, error) {
	former, extended, err := s.store.lockOrExtend(ctx, tx, w, items)
	if err != nil {
		return inventoryapi.Held{}, err
	}
	if extended.HoldID != "" {
		return extended, s.expireAt(ctx, tx, extended.ExpiresAt, w.Lasts)
	}
	h := hold{ID: clock.NewID(), Customer: w.Customer, Status: holdHeld, Items: items}
	levels, err := s.store.lockAll(ctx, tx, skusOf(append(former, h)...))
	if err != nil {
		return inventoryapi.Held{}, err
	}
	before := snapshot(levels)
	var had []item
	for _, f := range former {
		had = append(had, f.Items...)
	}
	if short := claim(levels, demand{Items: items}, had); len(short) > 0 {
		out := inventoryapi.Held{}
		for _, sh := range short {
			out.Short = append(out.Short, inventoryapi.Short{SKU: sh.SKU, Quantity: sh.Quantity, Available: sh.Available})
		}
		return out, nil
	}
	if len(former) > 0 {
		if err := s.store.end(ctx, tx, former, holdReleased); err != nil {
			return inventoryapi.Held{}, err
		}
	}
	if h, err = s.store.keep(ctx, tx, h, w.Lasts); err != nil {
		return inventoryapi.Held{}, err
	}
	if err := s.expireAt(ctx, tx, h.ExpiresAt, w.Lasts); err != nil {
		return inventoryapi.Held{}, err
	}
	var facts []event.Event
	for _, sku := range slices.Sorted(maps.Keys(levels)) {
		l := levels[sku]
		l.Version = before[sku].Version + versionsOf(sku, had, items)
		if ranLow(before[sku], *l) {
			facts = append(facts, inventoryapi.LowStock{Level: fact(*l), Threshold: l.LowThreshold})
		}
	}
	return inventoryapi.Held{HoldID: h.ID.String(), ExpiresAt: h.ExpiresAt}, s.events.Publish(ctx, tx, facts...)
}

// versionsOf is how often a SKU's stock is written: what was held is given back before it is
// held anew.
func versionsOf(sku string, lists ...[]item) (n int64) {
	for _, list := range lists {
		if slices.ContainsFunc(list, func(i item) bool { return i.SKU == sku }) {
			n++
		}
	}
	return n
}

// lockOrExtend locks those of the former holds that are still held, in order. A single one
// that has what is wished for already lasts longer instead, never shorter: most that are asked
// about have not changed, and cost this statement only.
func (store) lockOrExtend(ctx context.Context, tx *db.Tx, w inventoryapi.Wish, items []item) (former []hold, extended inventoryapi.Held, err error) {
	if len(w.HoldIDs) == 0 {
		return nil, extended, nil
	}
	skus, quantities := make([]string, len(items)), make([]int64, len(items))
	for i, it := range items {
		skus[i], quantities[i] = it.SKU, it.Quantity
	}
	var rows []struct {
		holdRow

		Until *time.Time `db:"until"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`
		with h as materialized (
			select id, customer_id, status, order_id, expires_at, created_at from inventory.hold where id = any((select $1)::uuid[]) and status = 'held' order by id for update
		), l as materialized (
			select h.*, l.sku, l.quantity, l.position from h join inventory.hold_line l on l.hold_id = h.id
		), same as (
			select id from l where cardinality($1::uuid[]) = 1 and customer_id = $2 group by id
			having array_agg(sku order by position) = $3::text[] and array_agg(quantity order by position) = $4::bigint[]
		), extended as (
			update inventory.hold u set expires_at = greatest(u.expires_at, statement_timestamp() + $5 * interval '1 millisecond'), updated_at = statement_timestamp()
			from same where u.id = same.id returning u.id, u.expires_at
		)
		select l.id, l.customer_id, l.status, l.order_id, l.expires_at, l.created_at, l.sku, l.quantity, e.expires_at until
		from l left join extended e on e.id = l.id order by l.id, l.position`,
		db.Array(w.HoldIDs), w.Customer, db.Array(skus), db.Array(quantities), w.Lasts.Milliseconds()); err != nil {
		return nil, extended, fmt.Errorf("lock holds: %w", err)
	}
	lines := make([]holdRow, len(rows))
	for i, r := range rows {
		if r.Until != nil {
			return nil, inventoryapi.Held{HoldID: r.ID.String(), ExpiresAt: r.Until.UTC()}, nil
		}
		lines[i] = r.holdRow
	}
	return holdsOf(lines), extended, nil
}

func (store) available(ctx context.Context, tx *db.Tx, skus []string) (map[string]int64, error) {
	var rows []struct {
		SKU       string `db:"sku"`
		Available int64  `db:"available"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`select sku, on_hand - reserved available from inventory.stock where location = $1 and sku = any((select $2)::text[])`, defaultLocation, db.Array(skus)); err != nil {
		return nil, fmt.Errorf("read what is available: %w", err)
	}
	available := make(map[string]int64, len(rows))
	for _, r := range rows {
		available[r.SKU] = r.Available
	}
	return available, nil
}
