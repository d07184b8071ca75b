// Package pricing says what a basket costs: prices, discounts and tax. It keeps how a shop
// computes, its tax rates, and its discounts with what was used of them; the computing itself
// is calc, which knows nothing but data.
//
// Only Module, New and the interfaces that it needs are exported. Other modules see
// pricingapi.
package pricing

import (
	"context"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// Offers is what pricing needs from the catalog, where a quote is asked for by SKUs. A SKU
// that is not for sale is absent from the answer.
type Offers interface {
	Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error)
}

// Module is pricing.
type Module struct{ svc *service }

// New makes pricing.
func New(k app.Kit, offers Offers) *Module {
	return &Module{&service{db: k.DB, events: k.Events, now: k.Clock, offers: offers, cache: newCache()}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "pricing" }

const (
	permissionTaxesRead      = "taxes:read"
	permissionTaxesWrite     = "taxes:write"
	permissionDiscountsRead  = "discounts:read"
	permissionDiscountsWrite = "discounts:write"
)

// Mount declares routes and reactions. The rules in memory are dropped by the module's own
// facts, also when another replica recorded them.
func (m *Module) Mount(on app.Mount) {
	const place = "orders:place"
	api := on.API.Group("Pricing")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/pricing/quote", ID: "quoteBasket", Summary: "Ask what a basket costs", Permission: place, Limit: httpx.LimitCheckout, Unrecorded: true,
		Description: "Prices are the catalog's; discounts come first, then tax, as docs/pricing.md says. Nothing is kept or used. `explain` lists every discount that was looked at, with why it does not count: " +
			"codes to everybody, the others to who holds `discounts:read`, who may also say which groups the buyer is in and whether it is a first order.",
		Refusals: []*fault.Error{errUnknownSKU, errCurrencyMismatch, errAmountRange, errHidden},
	}, m.svc.handleQuote)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/pricing/settings", ID: "getPricingSettings", Summary: "Read how prices are computed", Permission: permissionTaxesRead,
	}, m.svc.handleGetSettings)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/pricing/settings", ID: "updatePricingSettings", Summary: "Change how prices are computed", Permission: permissionTaxesWrite,
		Description: "Changes what is sent and leaves the rest. Orders that were placed keep what they cost.",
	}, m.svc.handleUpdateSettings)

	api = on.API.Group("Taxes")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/tax/rates", ID: "createTaxRate", Summary: "Add a tax rate", Permission: permissionTaxesWrite, Status: http.StatusCreated,
		Description: "Of a country, or of a region or the places of a postal code in it, on goods of one tax class. Of the rates with one priority the one for the smallest place counts; those of different priorities add up.",
		Refusals:    []*fault.Error{errRateOverlaps},
	}, m.svc.handleCreateRate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/tax/rates", ID: "listTaxRates", Summary: "List tax rates", Permission: permissionTaxesRead, Description: "By place.",
	}, m.svc.handleListRates)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/tax/rates/{id}", ID: "getTaxRate", Summary: "Read a tax rate", Permission: permissionTaxesRead,
	}, m.svc.handleGetRate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPut, Path: "/v1/tax/rates/{id}", ID: "replaceTaxRate", Summary: "Replace a tax rate", Permission: permissionTaxesWrite,
		Description: "A rate that changes on a day is better ended (`validUntil`) and followed by another (`validFrom`).", Refusals: []*fault.Error{errRateOverlaps},
	}, m.svc.handleReplaceRate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/tax/rates/{id}", ID: "deleteTaxRate", Summary: "Remove a tax rate", Permission: permissionTaxesWrite, Status: http.StatusNoContent,
		Description: "Orders that were placed keep their taxes.",
	}, m.svc.handleDeleteRate)

	api = on.API.Group("Discounts")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/discounts", ID: "createDiscount", Summary: "Add a discount", Permission: permissionDiscountsWrite, Status: http.StatusCreated,
		Description: "It applies by itself (`automatic`), or with one of its codes.", Refusals: []*fault.Error{errCodeTaken},
	}, m.svc.handleCreateDiscount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/discounts", ID: "listDiscounts", Summary: "List discounts", Permission: permissionDiscountsRead, Description: "Newest first.",
	}, m.svc.handleListDiscounts)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/discounts/{id}", ID: "getDiscount", Summary: "Read a discount", Permission: permissionDiscountsRead,
	}, m.svc.handleGetDiscount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPut, Path: "/v1/discounts/{id}", ID: "replaceDiscount", Summary: "Replace a discount", Permission: permissionDiscountsWrite,
		Description: "What was used of it stays counted. Orders that were placed keep what it took off.", Refusals: []*fault.Error{errArchived, errBelowUse, errCodeTaken, errCurrencyFixed},
	}, m.svc.handleReplaceDiscount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/discounts/{id}", ID: "archiveDiscount", Summary: "Archive a discount", Permission: permissionDiscountsWrite, Status: http.StatusNoContent,
		Description: "It counts for no basket any more, and its codes stay taken.",
	}, m.svc.handleArchiveDiscount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/discounts/{id}/codes", ID: "createDiscountCodes", Summary: "Make codes for a discount", Permission: permissionDiscountsWrite, Status: http.StatusCreated,
		Description: "Up to 100,000 at once that nobody can guess, each for one use unless `maxUses` says otherwise.", Refusals: []*fault.Error{errArchived, errAutomatic},
	}, m.svc.handleCreateCodes)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/discounts/{id}/codes", ID: "listDiscountCodes", Summary: "List the codes of a discount", Permission: permissionDiscountsRead,
	}, m.svc.handleListCodes)

	event.OnBatch(on.Bus, "pricing.return-cancelled", m.svc.onCancelled)
	event.OnBatch(on.Bus, "pricing.return-failed", m.svc.onFailed)
	event.OnBatch(on.Bus, "pricing.forget-customer", m.svc.onErased)
	m.svc.cache.hears = true
	on.Bus.Watch([]string{pricingapi.RulesUpdated{}.EventType()}, m.svc.cache.tenants, m.svc.cache.drop)
}

// Quote says what a basket costs now.
func (m *Module) Quote(ctx context.Context, b pricingapi.Basket) (pricingapi.Quote, error) {
	q, _, err := m.svc.quote(ctx, b, m.svc.now())
	return q, err
}

// Redeem takes what an order uses of the discounts of its quote, in the transaction that
// places it. The fault discount_used_up names the one of which there is not enough left: the
// transaction must not come true then. It is one statement, and none without discounts; the
// later it comes in the transaction, the shorter others wait for a budget.
func (m *Module) Redeem(ctx context.Context, tx *db.Tx, orderID uuid.UUID, q pricingapi.Quote, buyer pricingapi.Buyer) error {
	return m.svc.redeem(ctx, tx, orderID, q, buyer)
}

func itoa[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }
