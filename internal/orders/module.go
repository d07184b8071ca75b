// Package orders accepts orders and tracks each one to its end.
//
// Only Module, New and the interfaces that it needs are exported. Other modules see
// ordersapi.
package orders

import (
	"context"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

// Offers is what orders needs from the catalog: what SKUs cost now. A SKU that is not
// for sale is absent from the answer.
type Offers interface {
	Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error)
}

// Module is the orders.
type Module struct{ svc *service }

// New makes the orders.
func New(k app.Kit, offers Offers, r ordersapi.Rules) *Module {
	return &Module{&service{
		db: k.DB, events: k.Events, mail: k.Mail, offers: offers, numbers: newNumbers(k.DB, k.Clock), daily: newDaily(k.DB, k.Clock),
		paying: newDeadline(k.Timers, sweepUnpaid, r.UnpaidFor), packing: newDeadline(k.Timers, sweepOverdue, r.OverdueAfter),
		refundUnshippable: r.RefundUnshippable, holdAbove: r.HoldAbove,
	}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "orders" }

const (
	permissionRead          = "orders:read"
	permissionWrite         = "orders:write"
	permissionOverridePrice = "orders:override_price"
)

// Mount declares routes and reactions.
func (m *Module) Mount(on app.Mount) {
	const place = "orders:place"
	api := on.API.Group("Orders")
	api.Permit(permissionOverridePrice)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders", ID: "createOrder", Summary: "Place an order", Permission: place, Limit: httpx.LimitCheckout, Status: http.StatusCreated,
		Description: "A customer's order is their own; who may place orders and nothing more, as a storefront's page, places them for guests. Prices are the catalog's. A price that is sent is the one the buyer saw: if it is another, the order is refused, unless the caller holds `orders:override_price`. " +
			"Prices are what is paid: while the shop adds tax or shipping to them, only who holds `orders:write` orders like this, and everybody else begins a cart. " +
			"The order is `created`; it becomes `confirmed` when its stock is held, or `failed` with a reason, within moments.",
		Refusals: []*fault.Error{errCheckoutRequired, errUnknownSKU, errCurrencyMismatch, errAmountRange, errPriceChanged, httpx.ErrNotFound, tenant.ErrQuota, erasure.ErrErased},
	}, m.svc.handlePlace)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/orders", ID: "listOrders", Summary: "List orders", Permission: permissionRead, Own: true, Personal: true,
	}, m.svc.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/me/orders", ID: "listMyOrders", Summary: "List one's own orders", Permission: permissionRead, Own: true,
		Description: "Of who has signed in as a customer; nobody else has any.",
	}, m.svc.handleListMine)
	if m.svc.customers != nil {
		httpx.Handle(api, httpx.Route{
			Method: http.MethodPost, Path: "/v1/me/orders/claim", ID: "claimMyOrders", Summary: "Ask for what you ordered without an account", Permission: permissionWrite, Own: true, Status: http.StatusAccepted,
			Description: "If guests have ordered with your e-mail address, which has to be proven, a mail to it says how many orders there are and brings the token to have them: whoever has signed in need not be who reads the mail. The answer is the same when there are none.",
			Refusals:    []*fault.Error{errUnproven},
		}, m.svc.handleClaim)
		httpx.Handle(api, httpx.Route{
			Method: http.MethodPost, Path: "/v1/me/orders/claim/confirm", ID: "confirmClaim", Limit: httpx.LimitLogin, Summary: "Claim them with the token of that mail", Permission: permissionWrite, Own: true,
			Description: "Orders of guests with your e-mail address become yours. The token is good once and for half an hour, for the account that asked, until its address or its password is another one.",
			Refusals:    []*fault.Error{errClaimToken},
		}, m.svc.handleConfirmClaim)
	}
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/orders/{id}", ID: "getOrder", Summary: "Read an order", Permission: permissionRead, Own: true, Personal: true, Ticket: ticketHeader,
		Description: "A guest sends the token of the cart that it was as `Cart-Token`.",
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/timeline", ID: "getOrderTimeline", Summary: "Read what happened to an order", Permission: permissionRead, Own: true,
	}, m.svc.handleTimeline)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/cancel", ID: "cancelOrder", Summary: "Cancel an order", Permission: permissionWrite, Own: true,
		Description: "The whole of it, or some `items`. Frees its stock, and what was paid for it goes back; of a part, with its exact shares of discounts and tax. Parcels that have not left are given up with the whole order; what has left is not cancelled. Cancelling a cancelled order changes nothing.", Refusals: []*fault.Error{errNotCancellable, erasure.ErrErased},
	}, m.svc.handleCancel)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/edits", ID: "editOrder", Summary: "Change where an order goes", Permission: permissionWrite, Personal: true,
		Description: "As long as nothing of it is in a shipment. An order that is taxed keeps its country, region and postal code, one that is sent by a method its country and region: what it costs was agreed for that place. What is so already is no change.",
		Refusals:    []*fault.Error{errNotEditable, errOtherPrice, erasure.ErrErased},
	}, m.svc.handleEdit)

	m.mountReturns(on.API.Group("Returns"))
	m.mountHolds(api)
	m.mountParcels(api)
	m.listenToPayments(on.Bus)
	m.listenToShipping(on.Bus)
	m.svc.paying.timers.On(sweepUnpaid, m.svc.onUnpaid)
	m.svc.packing.timers.On(sweepOverdue, m.svc.onOverdue)
	event.OnBatch(on.Bus, "orders.confirm-reserved", m.svc.onReserved)
	event.OnBatch(on.Bus, "orders.fail-insufficient", m.svc.onInsufficient)
	event.OnBatch(on.Bus, "orders.forget-customer", m.svc.onErased)
	event.OnBatch(on.Bus, "orders.order-campaign-participation", m.svc.onOrderDue)
}
