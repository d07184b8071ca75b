package inventory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// onProductCreated starts the stock of new SKUs. A SKU that has stock already keeps it.
func (s *service) onProductCreated(ctx context.Context, tx *db.Tx, batch []event.Received[catalogapi.ProductCreated]) error {
	items := make([]item, len(batch))
	for i, r := range batch {
		items[i] = item{r.Fact.SKU, r.Fact.Inventory}
	}
	return s.store.start(ctx, tx, items)
}

// errStockUnknown is cured by waiting: the order overtook the news of its product.
var errStockUnknown = errors.New("no stock of a SKU yet")

// patience is how often an order waits for the news of its products before the SKUs
// that are unknown count as out of stock.
const patience = 6

// onOrderCreated reserves stock for orders, in the order in which they were accepted:
// each wholly or not at all. However many orders there are, it is four statements, and one
// more when some claim a hold. All rows are locked before the first decision, reservations
// before holds before stock and each in order, so that two batches never wait for each
// other in a circle.
func (s *service) onOrderCreated(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderCreated]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.OrderID
	}
	claimed, err := s.store.claim(ctx, tx, ids)
	if err != nil {
		return err
	}
	skus := map[string]bool{}
	var fresh []event.Received[ordersapi.OrderCreated]
	for _, r := range batch {
		if !claimed[r.Fact.OrderID] {
			continue // heard before, or cancelled before we heard of it
		}
		delete(claimed, r.Fact.OrderID)
		fresh = append(fresh, r)
		for _, it := range r.Fact.Items {
			skus[it.SKU] = true
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	holds, err := s.holdsOf(ctx, tx, fresh)
	if err != nil {
		return err
	}
	for _, h := range holds {
		for _, i := range h.Items {
			skus[i.SKU] = true
		}
	}
	levels, err := s.store.lockAll(ctx, tx, slices.Sorted(maps.Keys(skus)))
	if err != nil {
		return err
	}
	before := snapshot(levels)
	outcomes := make([]outcome, 0, len(fresh))
	lowBy := map[string]event.Received[ordersapi.OrderCreated]{} // the order that made a SKU run low
	var facts []event.Event
	for _, r := range fresh {
		o := outcome{demand: demandOf(r.Fact)}
		if sku, ok := unknown(levels, o.demand); ok && r.Attempt <= patience {
			return fmt.Errorf("order %s, SKU %s: %w", o.OrderID, sku, errStockUnknown)
		}
		var short []shortage
		if h, held := holds[r.Fact.HoldID]; held && h.isFor(r.Fact.CustomerID) {
			if short = claim(levels, o.demand, h.Items); len(short) == 0 {
				o.claims = &h
				delete(holds, r.Fact.HoldID)
			}
		} else {
			short = reserve(levels, o.demand)
		}
		o.reserved = len(short) == 0
		outcomes = append(outcomes, o)
		if o.reserved {
			facts = append(facts, event.Because(r, reserved(o.demand)))
			for _, i := range o.Items {
				if _, known := lowBy[i.SKU]; !known && ranLow(before[i.SKU], *levels[i.SKU]) {
					lowBy[i.SKU] = r
				}
			}
		} else {
			facts = append(facts, event.Because(r, insufficient(o.demand, short)))
		}
	}
	for _, sku := range slices.Sorted(maps.Keys(levels)) {
		l := levels[sku]
		if l.Reserved == before[sku].Reserved {
			continue
		}
		l.Version++
		if ranLow(before[sku], *l) {
			facts = append(facts, event.Because(lowBy[sku], inventoryapi.LowStock{Level: fact(*l), Threshold: l.LowThreshold}))
		}
	}
	if err := s.store.conclude(ctx, tx, outcomes); err != nil {
		return err
	}
	return s.events.Publish(ctx, tx, facts...)
}

// holdsOf finds and locks the holds that orders want to claim and that are still held. An
// order whose hold is over, is not known, another merchant's or another customer's takes what
// is available.
func (s *service) holdsOf(ctx context.Context, tx *db.Tx, orders []event.Received[ordersapi.OrderCreated]) (map[string]hold, error) {
	var ids []string
	for _, r := range orders {
		if r.Fact.HoldID != "" {
			ids = append(ids, r.Fact.HoldID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := s.store.lockHolds(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	holds := make(map[string]hold, len(list))
	for _, h := range list {
		holds[h.ID.String()] = h
	}
	return holds, nil
}

func (s *service) onOrderCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderCancelled]) error {
	return release(ctx, tx, s, batch, func(e ordersapi.OrderCancelled) string { return e.OrderID })
}

func (s *service) onOrderFailed(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderFailed]) error {
	return release(ctx, tx, s, batch, func(e ordersapi.OrderFailed) string { return e.OrderID })
}

// release frees what orders hold. An order that holds nothing yet is noted: its
// creation may still be on its way, and must find nothing to do.
func release[T any](ctx context.Context, tx *db.Tx, s *service, batch []event.Received[T], orderOf func(T) string) error {
	ids := make([]string, len(batch))
	causes := map[string]event.Received[T]{}
	for i, r := range batch {
		ids[i] = orderOf(r.Fact)
		causes[ids[i]] = r
	}
	freed, err := s.store.release(ctx, tx, ids)
	if err != nil {
		return err
	}
	facts := make([]event.Event, 0, len(freed))
	for _, d := range freed {
		facts = append(facts, event.Because(causes[d.OrderID], inventoryapi.Released{OrderID: d.OrderID, Status: "released", Items: published(d.Items)}))
	}
	return s.events.Publish(ctx, tx, facts...)
}

func demandOf(o ordersapi.OrderCreated) demand {
	items := make([]item, len(o.Items))
	for i, it := range o.Items {
		items[i] = item{it.SKU, it.Quantity}
	}
	return demand{o.OrderID, merge(items)}
}

func unknown(levels map[string]*level, d demand) (string, bool) {
	for _, i := range d.Items {
		if levels[i.SKU] == nil {
			return i.SKU, true
		}
	}
	return "", false
}

func reserved(d demand) inventoryapi.Reserved {
	items := published(d.Items)
	return inventoryapi.Reserved{OrderID: d.OrderID, Status: "reserved", SKU: items[0].SKU, Quantity: items[0].Quantity, Items: items}
}

func published(items []item) []inventoryapi.Item {
	list := make([]inventoryapi.Item, len(items))
	for i, it := range items {
		list[i] = inventoryapi.Item(it)
	}
	return list
}

func insufficient(d demand, short []shortage) inventoryapi.Insufficient {
	items := make([]inventoryapi.Short, len(short))
	for i, sh := range short {
		items[i] = inventoryapi.Short{SKU: sh.SKU, Quantity: sh.Quantity, Available: sh.Available}
	}
	return inventoryapi.Insufficient{OrderID: d.OrderID, Status: "insufficient", SKU: items[0].SKU, Quantity: items[0].Quantity, Items: items}
}
