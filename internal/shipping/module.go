// Package shipping knows how a shop sends what it sells, and what that costs.
//
// Only Module, New and the interfaces that it needs are exported. Other modules see
// shippingapi.
package shipping

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// Offers is what shipping needs from the catalog: what SKUs cost now. A SKU that is not
// for sale is absent from the answer.
type Offers interface {
	Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error)
}

// Orders is what shipping needs from the orders.
type Orders interface {
	// Consign notes what of an order goes into a shipment, and says whom it goes to. No items are
	// all that is left.
	Consign(ctx context.Context, tx *db.Tx, orderID, shipmentID uuid.UUID, items []ordersapi.ConsignedItem) (ordersapi.Consignee, error)
}

// Module is the shipping.
type Module struct{ svc *service }

// New makes the shipping.
func New(k app.Kit, offers Offers, orders Orders) *Module {
	return &Module{&service{db: k.DB, events: k.Events, timers: k.Timers, log: k.Log, offers: offers, orders: orders, known: newKnown(k.Clock), now: k.Clock}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "shipping" }

const (
	permissionRead  = "shipping:read"
	permissionWrite = "shipping:write"
)

// Mount declares routes and reactions.
func (m *Module) Mount(on app.Mount) {
	api := on.API.Group("Shipping")
	m.mountMethods(api)
	m.mountShipments(api)

	event.OnBatch(on.Bus, "shipping.send-paid-order", m.svc.onOrderPaid)
	event.OnBatch(on.Bus, "shipping.send-released-order", m.svc.onOrderReleased)
	event.OnBatch(on.Bus, "shipping.void-cancelled-order", m.svc.onOrderCancelled)
	event.OnBatch(on.Bus, "shipping.claim-order", m.svc.onOrderClaimed)
	event.OnBatch(on.Bus, "shipping.forget-customer", m.svc.onErased)
	m.svc.timers.OnErrand(sendOrder, m.svc.send)
}

func (m *Module) mountMethods(api *httpx.API) {
	const read, write = permissionRead, permissionWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/methods", ID: "createShippingMethod", Summary: "Offer a way to send", Permission: write, Status: http.StatusCreated,
		Description: "With a price in each currency that it is offered in, and where it goes: nowhere named is everywhere.", Refusals: []*fault.Error{errManyMethods},
	}, m.svc.handleCreate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/methods", ID: "listShippingMethods", Summary: "List the ways to send", Permission: read,
		Description: "In the order in which buyers are shown them.",
	}, m.svc.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/methods/{id}", ID: "getShippingMethod", Summary: "Read a way to send", Permission: read,
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/shipping/methods/{id}", ID: "updateShippingMethod", Summary: "Change a way to send", Permission: write,
		Description: "Changes what is sent and leaves the rest; prices and destinations are replaced as a whole. What was ordered stays as it was agreed.",
	}, m.svc.handleUpdate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/shipping/methods/{id}", ID: "deleteShippingMethod", Summary: "Remove a way to send", Permission: write, Status: http.StatusNoContent,
	}, m.svc.handleDelete)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/rates", ID: "findShippingRates", Summary: "Ask how something can be sent, and for how much", Permission: httpx.Public, Unrecorded: true,
		Description: "Of goods, or of anything that is worth a subtotal. Changes nothing.", Refusals: []*fault.Error{errUnknownSKU, errCurrencyMismatch, errAmountRange},
	}, m.svc.handleRates)
}

func (m *Module) mountShipments(api *httpx.API) {
	const read, write = permissionRead, permissionWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/settings", ID: "getShippingSettings", Summary: "Read how the shop sends", Permission: read,
	}, m.svc.handleSettings)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPut, Path: "/v1/shipping/settings", ID: "putShippingSettings", Summary: "Say how the shop sends", Permission: write,
		Description: "Where parcels come from, what labels are printed on, and whether orders that are paid get theirs by themselves. In place of what there was.",
	}, m.svc.handlePutSettings)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments", ID: "createShipment", Summary: "Make a parcel of an order", Permission: write, Status: http.StatusCreated,
		Description: "Of all that is left to ship, or of some of it, with a label. Nothing is in two parcels, however many ask at the same moment.",
		Refusals:    []*fault.Error{errNoSender, errNoAddress, errNothingToShip, errOrderNotShippable, errOrderHeld, erasure.ErrErased, httpx.ErrNotFound},
	}, m.svc.handleDispatch)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments", ID: "listShipments", Summary: "List shipments", Permission: read, Personal: true,
		Description: "Newest first.",
	}, m.svc.handleShipments)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}", ID: "getShipment", Summary: "Read a shipment", Permission: read, Personal: true,
	}, m.svc.handleShipment)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}/label.pdf", ID: "getShipmentLabel", Summary: "Print the label of a shipment", Permission: read, Personal: true,
		Description: "On a page of the shop's paper.", Refusals: []*fault.Error{errNoLabel},
	}, []string{mediaPDF}, m.svc.handleLabelPDF)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}/label.zpl", ID: "getShipmentLabelZPL", Summary: "Send the label of a shipment to a label printer", Permission: read, Personal: true,
		Description: "ZPL II, of 203 dots per inch or of 300.", Refusals: []*fault.Error{errNoLabel},
	}, []string{mediaZPL}, m.svc.handleLabelZPL)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/void", ID: "voidShipment", Summary: "Give a shipment up", Permission: write,
		Description: "Before it has left: what is in it can go into another one. Giving up what was given up changes nothing.", Refusals: []*fault.Error{errNotVoidable},
	}, m.svc.handleVoid)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/ship", ID: "shipShipment", Summary: "Note that a parcel has left", Permission: write,
		Description: "Of parcels that the shop brings itself. A parcel never moves back: what was seen of it later counts more.", Refusals: []*fault.Error{errNotShippable},
	}, m.svc.handleShip)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/deliver", ID: "deliverShipment", Summary: "Note that a parcel has arrived", Permission: write,
		Description: "Of parcels that the shop brings itself.", Refusals: []*fault.Error{errNotShippable},
	}, m.svc.handleDeliver)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/track/{token}", ID: "trackShipment", Summary: "Ask where a parcel is", Permission: httpx.Public,
		Description: "For who has the link. It names nobody.",
	}, m.svc.handleTrack)
}

// Rates tells other modules how a parcel can be sent, as it was two seconds ago at most.
func (m *Module) Rates(ctx context.Context, p shippingapi.Parcel) (shippingapi.Rates, error) {
	return m.svc.rates(ctx, p)
}

// AddsToPrices tells whether the shop sends what it sells: buyers choose a way then, and pay
// for it.
func (m *Module) AddsToPrices(ctx context.Context) (bool, error) { return m.svc.sends(ctx) }
