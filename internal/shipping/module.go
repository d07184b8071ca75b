// Package shipping knows how a shop sends what it sells, and what that costs.
//
// Only Module, New and the interfaces that it needs are exported. Other modules see
// shippingapi.
package shipping

import (
	"context"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// Offers is what shipping needs from the catalog: what SKUs cost now. A SKU that is not
// for sale is absent from the answer.
type Offers interface {
	Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error)
}

// Module is the shipping.
type Module struct{ svc *service }

// New makes the shipping.
func New(k app.Kit, offers Offers) *Module {
	return &Module{&service{db: k.DB, offers: offers, known: newKnown(k.Clock)}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "shipping" }

// Mount declares routes.
func (m *Module) Mount(on app.Mount) {
	const read, write = "shipping:read", "shipping:write"
	api := on.API.Group("Shipping")
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

// Rates tells other modules how a parcel can be sent, as it was two seconds ago at most.
func (m *Module) Rates(ctx context.Context, p shippingapi.Parcel) (shippingapi.Rates, error) {
	return m.svc.rates(ctx, p)
}

// AddsToPrices tells whether the shop sends what it sells: buyers choose a way then, and pay
// for it.
func (m *Module) AddsToPrices(ctx context.Context) (bool, error) { return m.svc.sends(ctx) }
