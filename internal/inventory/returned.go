package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// cameBack is why there is more on hand.
const cameBack = "came back"

// onReturnReceived puts back on the shelf what came back and can be sold again: once for a
// return, however often it is told.
func (s *service) onReturnReceived(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.ReturnReceived]) error {
	causes := map[string]event.Received[ordersapi.ReturnReceived]{}
	goods := map[string][]item{}
	skus := map[string]bool{}
	for _, r := range batch {
		var items []item
		for _, it := range r.Fact.Items {
			if it.Restocked > 0 {
				items = append(items, item{it.SKU, it.Restocked})
				skus[it.SKU] = true
			}
		}
		causes[r.Fact.ReturnID], goods[r.Fact.ReturnID] = r, merge(items)
	}
	if len(skus) == 0 {
		return nil
	}
	levels, err := s.store.lockAll(ctx, tx, slices.Sorted(maps.Keys(skus)))
	if err != nil {
		return err
	}
	for sku := range skus {
		if levels[sku] == nil {
			return fmt.Errorf("return of SKU %s: %w", sku, errStockUnknown)
		}
	}
	fresh, err := s.store.restock(ctx, tx, goods, causes)
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(fresh))
	for i, f := range fresh {
		l := levels[f.SKU]
		l.OnHand += f.Quantity
		l.Version++
		facts[i] = event.Because(causes[f.ReturnID], inventoryapi.Adjusted{Level: fact(*l), Delta: f.Quantity, Reason: cameBack})
	}
	if err := s.store.raise(ctx, tx, levels); err != nil {
		return err
	}
	return s.events.Publish(ctx, tx, facts...)
}

// restocked is a quantity of a return that is on hand again.
type restocked struct {
	ReturnID string `db:"return_id"`
	SKU      string `db:"sku"`
	Quantity int64  `db:"quantity"`
}

// restock writes the movements of returns that have none yet, and returns those. The stock is
// locked.
func (store) restock(ctx context.Context, tx *db.Tx, goods map[string][]item, causes map[string]event.Received[ordersapi.ReturnReceived]) ([]restocked, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	var ids, returns, orders, skus []string
	var quantities []int64
	for _, back := range slices.Sorted(maps.Keys(goods)) {
		for _, i := range goods[back] {
			ids, returns, orders = append(ids, clock.NewID().String()), append(returns, back), append(orders, causes[back].Fact.OrderID)
			skus, quantities = append(skus, i.SKU), append(quantities, i.Quantity)
		}
	}
	var fresh []restocked
	if err := tx.Select(ctx, &fresh, `
		with moved as (
			insert into inventory.movement (id, location, sku, kind, on_hand_delta, reserved_delta, reason, order_id, return_id, actor, created_at)
			select l.id, $1, l.sku, 'returned', l.quantity, 0, $7, l.order_id, l.return_id, $8, $9 from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[]) l(id, return_id, order_id, sku, quantity)
			on conflict (tenant_id, return_id, location, sku) where return_id is not null do nothing
			returning return_id::text, sku, on_hand_delta quantity
		)
		select return_id, sku, quantity from moved order by sku, return_id`,
		defaultLocation, db.Array(ids), db.Array(returns), db.Array(orders), db.Array(skus), db.Array(quantities), cameBack, id.Actor, tx.Now); err != nil {
		return nil, fmt.Errorf("put goods back on the shelf: %w", err)
	}
	return fresh, nil
}

// raise writes what is on hand of levels that are locked.
func (store) raise(ctx context.Context, tx *db.Tx, levels map[string]*level) error {
	var skus []string
	var onHand, versions []int64
	for _, sku := range slices.Sorted(maps.Keys(levels)) {
		skus, onHand, versions = append(skus, sku), append(onHand, levels[sku].OnHand), append(versions, levels[sku].Version)
	}
	if _, err := tx.Exec(ctx, `
		update inventory.stock s set on_hand = n.on_hand, version = n.version, updated_at = $2
		from unnest($3::text[], $4::bigint[], $5::bigint[]) n(sku, on_hand, version) where s.location = $1 and s.sku = n.sku and s.version < n.version`,
		defaultLocation, tx.Now, db.Array(skus), db.Array(onHand), db.Array(versions)); err != nil {
		return fmt.Errorf("raise what is on hand: %w", err)
	}
	return nil
}
