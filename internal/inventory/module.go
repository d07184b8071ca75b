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
func New(k app.Kit) *Module {
	return &Module{&service{db: k.DB, events: k.Events, timers: k.Timers, log: k.Log}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "inventory" }

const permissionWrite = "inventory:write"

// Mount declares routes and reactions.
func (m *Module) Mount(on app.Mount) {
	const read, write, hold = "inventory:read", permissionWrite, "inventory:hold"
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

	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/inventory/holds", ID: "createHold", Summary: "Hold stock for a while", Permission: hold, Status: http.StatusCreated,
		Description: "For a shopper who is checking out: all of it is held or nothing. What is held counts as `reserved`. " +
			"An order that names the hold claims it, if it is not another customer's; otherwise its stock can be sold again when its time is up, or it is released.",
		Refusals: []*fault.Error{errOutOfStock, errUnknownSKU},
	}, m.svc.handleHold)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/inventory/holds/{id}", ID: "getHold", Summary: "Read a hold", Permission: hold,
	}, m.svc.handleGetHold)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/inventory/holds/{id}", ID: "releaseHold", Summary: "Release a hold", Permission: hold, Status: http.StatusNoContent,
		Description: "Its stock can be sold again. Releasing a hold that is released or expired changes nothing.", Refusals: []*fault.Error{errHoldClaimed},
	}, m.svc.handleReleaseHold)

	event.OnBatch(on.Bus, "inventory.stock-new-product", m.svc.onProductCreated)
	event.OnBatch(on.Bus, "inventory.reserve-for-order", m.svc.onOrderCreated)
	event.OnBatch(on.Bus, "inventory.release-cancelled-order", m.svc.onOrderCancelled)
	event.OnBatch(on.Bus, "inventory.release-cancelled-items", m.svc.onItemsCancelled)
	event.OnBatch(on.Bus, "inventory.restock-returned-goods", m.svc.onReturnReceived)
	event.OnBatch(on.Bus, "inventory.restock-parcel-back", m.svc.onParcelBack)
	event.OnBatch(on.Bus, "inventory.release-failed-order", m.svc.onOrderFailed)
	m.listenToShipping(on.Bus)
	m.svc.timers.On(expireHold, m.svc.onHoldDue)
}
