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
	"github.com/fusioncommerce/fusion/internal/platform/vault"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
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
	// ConsignReturn notes which shipment brings a return, and says who sends it.
	ConsignReturn(ctx context.Context, tx *db.Tx, returnID, shipmentID uuid.UUID) (ordersapi.Consignee, error)
	// Consignable is what Consign would put into a shipment now. It notes nothing.
	Consignable(ctx context.Context, tx *db.Tx, orderID uuid.UUID, items []ordersapi.ConsignedItem) (ordersapi.Consignee, error)
}

// Module is the shipping.
type Module struct{ svc *service }

// New makes the shipping. The shop itself as a carrier is always there.
func New(k app.Kit, offers Offers, orders Orders, carriers ...carrier.Carrier) *Module {
	s := &service{
		db: k.DB, events: k.Events, timers: k.Timers, log: k.Log, vault: k.Vault, offers: offers, orders: orders, known: newKnown(k.Clock), now: k.Clock,
		carriers: map[string]carrier.Carrier{}, patience: callTimeout, settling: carrier.Settling,
	}
	for _, c := range carriers {
		s.carriers[c.Name()] = c
	}
	return &Module{s}
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
	m.mountZones(api)
	m.mountShipments(api)
	m.mountReturns(api)
	m.mountCarriers(api)

	event.OnBatch(on.Bus, "shipping.send-paid-order", m.svc.onOrderPaid)
	event.OnBatch(on.Bus, "shipping.send-released-order", m.svc.onOrderReleased)
	event.OnBatch(on.Bus, "shipping.void-cancelled-order", m.svc.onOrderCancelled)
	event.OnBatch(on.Bus, "shipping.void-cancelled-return", m.svc.onReturnCancelled)
	event.OnBatch(on.Bus, "shipping.claim-order", m.svc.onOrderClaimed)
	event.OnBatch(on.Bus, "shipping.forget-customer", m.svc.onErased)
	m.svc.timers.OnErrand(sendOrder, m.svc.send)
	m.svc.timers.OnPatientErrand(buyLabel, m.svc.buy)
	m.svc.timers.OnPatientErrand(voidLabel, m.svc.giveBack)
	m.svc.timers.OnPatientErrand(trackParcel, m.svc.track)
	m.svc.timers.OnErrand(heedNotice, m.svc.heed)

	on.Jobs.Add(m.svc.sweeping())

	m.svc.vault.Keep(
		vault.Sealed{Table: "shipping.carrier_account", Column: "secret_key", Purpose: sealedKey},
		vault.Sealed{Table: "shipping.carrier_account", Column: "webhook_secrets", Purpose: sealedWebhook},
	)
}

func (m *Module) mountMethods(api *httpx.API) {
	const read, write = permissionRead, permissionWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/methods", ID: "createShippingMethod", Summary: "Offer a way to send", Permission: write, Status: http.StatusCreated,
		Description: "With prices in each currency that it is offered in, and where it goes: nowhere named is everywhere. Of the prices of the address's zone, or else of those of none, the first whose bands the goods are in is the one.", Refusals: []*fault.Error{errManyMethods, errUnknownZone},
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
		Description: "Changes what is sent and leaves the rest; lists are replaced as a whole. What was ordered stays as it was agreed.", Refusals: []*fault.Error{errUnknownZone},
	}, m.svc.handleUpdate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/shipping/methods/{id}", ID: "deleteShippingMethod", Summary: "Remove a way to send", Permission: write, Status: http.StatusNoContent,
	}, m.svc.handleDelete)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/rates", ID: "findShippingRates", Summary: "Ask how something can be sent, and for how much", Permission: httpx.Public, Unrecorded: true,
		Description: "Of goods, or of anything that is worth a subtotal: with how it would be packed, and why any other way is not offered. Changes nothing.", Refusals: []*fault.Error{errUnknownSKU, errCurrencyMismatch, errAmountRange},
	}, m.svc.handleRates)
}

func (m *Module) mountZones(api *httpx.API) {
	const read, write = permissionRead, permissionWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/zones", ID: "createShippingZone", Summary: "Name a set of places that cost the same to send to", Permission: write, Status: http.StatusCreated,
		Description: "An address is in one zone: the one that describes it most closely, by its postal code before its region and its country, and of those the one that there was first.", Refusals: []*fault.Error{errManyZones},
	}, m.svc.handleCreateZone)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/zones", ID: "listShippingZones", Summary: "List shipping zones", Permission: read, Description: "Oldest first.",
	}, m.svc.handleZones)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/zones/{id}", ID: "getShippingZone", Summary: "Read a shipping zone", Permission: read,
	}, m.svc.handleZone)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/shipping/zones/{id}", ID: "updateShippingZone", Summary: "Change a shipping zone", Permission: write, Description: "Places are replaced as a whole.",
	}, m.svc.handleUpdateZone)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/shipping/zones/{id}", ID: "deleteShippingZone", Summary: "Remove a shipping zone", Permission: write, Status: http.StatusNoContent, Refusals: []*fault.Error{errZoneInUse},
	}, m.svc.handleDeleteZone)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/boxes", ID: "listShippingBoxes", Summary: "List the boxes that the shop sends in", Permission: read,
	}, m.svc.handleBoxes)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPut, Path: "/v1/shipping/boxes", ID: "putShippingBoxes", Summary: "Say which boxes the shop sends in", Permission: write, Description: "In place of those that there were.",
	}, m.svc.handlePutBoxes)
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
		Description: "Of all that is left to ship, or of some of it, with a label. Nothing is in two parcels, however many ask at the same moment. " +
			"A label that is bought from a carrier is there a moment later: the shipment is `created` until then. It is bought once, whatever becomes of the carrier's answers.",
		Refusals: []*fault.Error{errNoSender, errNoAddress, errNothingToShip, errOrderNotShippable, errOrderHeld, errTooHeavy, errNoAccount, errNoOffer, errOfferOver, errOfferTaken, erasure.ErrErased, httpx.ErrNotFound},
	}, m.svc.handleDispatch)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/rates", ID: "findCarrierRates", Summary: "Ask the carriers what a parcel would cost", Permission: write, Unrecorded: true,
		Description: "All accounts of the shop at once, each with bounded time. Nothing is bought.",
		Refusals:    []*fault.Error{errNoSender, errNoAddress, errNothingToShip, errOrderNotShippable, errOrderHeld, errTooHeavy, httpx.ErrNotFound},
	}, m.svc.handleOffers)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/labels", ID: "createShippingLabel", Summary: "Make the shipment of an order, and wait for its label", Permission: write, Status: http.StatusCreated,
		Description: "Of all that is left to ship. A carrier that takes long is not waited for: `status` is `created` then, and the shipment says how it goes on.",
		Refusals:    []*fault.Error{errNoSender, errNoAddress, errNothingToShip, errOrderNotShippable, errOrderHeld, errTooHeavy, errNoAccount, erasure.ErrErased, httpx.ErrNotFound},
	}, m.svc.handleLabel)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/retry", ID: "retryShipment", Summary: "Try once more to get a label", Permission: write,
		Description: "For a shipment that has failed: what was in it is taken anew, and it goes where the order goes now.",
		Refusals:    []*fault.Error{errNotFailed, errNoAddress, errNothingToShip, errOrderNotShippable, errOrderHeld, errTooHeavy, errNoAccount},
	}, m.svc.handleRetry)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments", ID: "listShipments", Summary: "List shipments", Permission: read, Personal: true,
		Description: "Newest first.",
	}, m.svc.handleShipments)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}", ID: "getShipment", Summary: "Read a shipment", Permission: read, Personal: true,
	}, m.svc.handleShipment)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}/label.pdf", ID: "getShipmentLabel", Summary: "Print the label of a shipment", Permission: read, Personal: true,
		Description: "As the carrier has made it, or drawn on a page of the shop's paper.", Refusals: []*fault.Error{errNoLabel, errNoDocument, errOtherFormat},
	}, []string{mediaPDF}, m.svc.handleLabelPDF)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}/label.zpl", ID: "getShipmentLabelZPL", Summary: "Send the label of a shipment to a label printer", Permission: read, Personal: true,
		Description: "ZPL II, as the carrier has made it, or drawn for 203 dots per inch or 300.", Refusals: []*fault.Error{errNoLabel, errNoDocument, errOtherFormat},
	}, []string{mediaZPL}, m.svc.handleLabelZPL)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}/customs.pdf", ID: "getShipmentCustoms", Summary: "Print the customs form of a shipment", Permission: read, Personal: true,
		Description: "CN 22, of a parcel that leaves its customs territory. Codes and origins are those of the products, weights too; what has none weighs its share of the parcel. What is worth more than 300 SDR wants a CN 23.",
		Refusals:    []*fault.Error{errNoLabel, errNoCustoms, errNoContents},
	}, []string{mediaPDF}, m.svc.handleCustomsPDF)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipments/{id}/customs.zpl", ID: "getShipmentCustomsZPL", Summary: "Send the customs form of a shipment to a label printer", Permission: read, Personal: true,
		Description: "ZPL II, for 203 dots per inch or 300.", Refusals: []*fault.Error{errNoLabel, errNoCustoms, errNoContents},
	}, []string{mediaZPL}, m.svc.handleCustomsZPL)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/void", ID: "voidShipment", Summary: "Give a shipment up", Permission: write,
		Description: "Before it has left: what is in it can go into another one. A carrier that has sold the label has to agree, which may take days; one that does not leaves the shipment `labelled`, with the `failureCode` `void_rejected`. Giving up what was given up changes nothing.", Refusals: []*fault.Error{errNotVoidable},
	}, m.svc.handleVoid)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/ship", ID: "shipShipment", Summary: "Note that a parcel has left", Permission: write,
		Description: "Of parcels that the shop brings itself: of those of carriers these say it, for 60 days. A parcel never moves back: what was seen of it later counts more.", Refusals: []*fault.Error{errNotShippable, errCarrierTells},
	}, m.svc.handleShip)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipments/{id}/deliver", ID: "deliverShipment", Summary: "Note that a parcel has arrived", Permission: write,
		Description: "Of parcels that the shop brings itself: of those of carriers these say it, for 60 days.", Refusals: []*fault.Error{errNotShippable, errCarrierTells},
	}, m.svc.handleDeliver)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/track/{token}", ID: "trackShipment", Summary: "Ask where a parcel is", Permission: httpx.Public,
		Description: "For who has the link. It names nobody.",
	}, m.svc.handleTrack)
}

func (m *Module) mountCarriers(api *httpx.API) {
	const read, write = permissionRead, permissionWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/carriers", ID: "createCarrierAccount", Summary: "Add an account at a carrier", Permission: write, Status: http.StatusCreated,
		Description: "Its secrets are sealed, and nobody can read them back. Have the carrier send its webhooks to `webhookPath`.", Refusals: []*fault.Error{errNoCarrier},
	}, m.svc.handleCreateAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/carriers", ID: "listCarrierAccounts", Summary: "List the accounts at carriers", Permission: read,
	}, m.svc.handleAccounts)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/shipping/carriers/{id}", ID: "getCarrierAccount", Summary: "Read an account at a carrier", Permission: read,
	}, m.svc.handleAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/shipping/carriers/{id}", ID: "updateCarrierAccount", Summary: "Change an account at a carrier", Permission: write,
		Description: "Send the new webhook secret before the old one while they change: both count.",
	}, m.svc.handleUpdateAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/shipping/carriers/{id}", ID: "deleteCarrierAccount", Summary: "Remove an account at a carrier", Permission: write, Status: http.StatusNoContent,
		Refusals: []*fault.Error{errAccountInUse},
	}, m.svc.handleDeleteAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/shipping/webhooks/{id}", ID: "receiveCarrierWebhook", Summary: "Hear from a carrier", Permission: httpx.Public, Limit: httpx.LimitSigned, Unrecorded: true,
		Description: "`id` is the account's. A message is kept before it is answered, and counts once. A parcel never moves back, whatever comes late.", Refusals: []*fault.Error{errSignature},
	}, m.svc.handleWebhook)
}

// Rates tells other modules how a parcel can be sent, as it was two seconds ago at most.
func (m *Module) Rates(ctx context.Context, p shippingapi.Parcel) (shippingapi.Rates, error) {
	return m.svc.rates(ctx, p)
}

// AddsToPrices tells whether the shop sends what it sells: buyers choose a way then, and pay
// for it.
func (m *Module) AddsToPrices(ctx context.Context) (bool, error) { return m.svc.sends(ctx) }
