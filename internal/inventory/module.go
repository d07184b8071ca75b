// Package inventory owns stock: what is on hand, what is promised to orders, and
// every change of either.
//
// Only Module and New are exported. Other modules see inventoryapi.
package inventory

import (
	"net/http"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// Module is the inventory.
type Module struct{ svc *service }

// New makes the inventory.
func New(k app.Kit) *Module { return &Module{&service{db: k.DB, events: k.Events}} }

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "inventory" }

// Mount declares routes and reactions.
func (m *Module) Mount(on app.Mount) {
	const read, write = "inventory:read", "inventory:write"
	api := on.API.Group("Inventory")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/inventory", ID: "listStock", Summary: "List stock", Permission: read,
	}, m.svc.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/inventory/{sku}", ID: "getStock", Summary: "Read the stock of a SKU", Permission: read,
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPut, Path: "/v1/inventory/{sku}", ID: "setStock", Summary: "Set what is on hand", Permission: write,
		Description: "After a count. What orders have reserved stays reserved.", Refusals: []*fault.Error{errBelowReserved},
	}, m.svc.handleSet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/inventory/{sku}/adjustments", ID: "adjustStock", Summary: "Add to or take from what is on hand", Permission: write,
		Description: "For goods received, broken or lost.", Refusals: []*fault.Error{errBelowReserved},
	}, m.svc.handleAdjust)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/inventory/{sku}/movements", ID: "listMovements", Summary: "List every change of a SKU's stock", Permission: read,
		Description: "Newest first. The sums of the deltas are onHand and reserved.",
	}, m.svc.handleMovements)

	event.OnBatch(on.Bus, "inventory.stock-new-product", m.svc.onProductCreated)
	event.OnBatch(on.Bus, "inventory.reserve-for-order", m.svc.onOrderCreated)
	event.OnBatch(on.Bus, "inventory.release-cancelled-order", m.svc.onOrderCancelled)
	event.OnBatch(on.Bus, "inventory.release-failed-order", m.svc.onOrderFailed)
}
