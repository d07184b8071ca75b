// Package checkout has carts, and makes orders of them.
//
// Only Module, New and the interfaces that it needs are exported. Other modules see
// checkoutapi.
package checkout

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// Offers is what checkout needs from the catalog: what SKUs cost now. A SKU that is not for
// sale is absent from the answer.
type Offers interface {
	Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error)
}

// Prices is what checkout needs from the pricing.
type Prices interface {
	// Quote is what a basket costs now.
	Quote(ctx context.Context, b pricingapi.Basket) (pricingapi.Quote, error)
	// Redeem takes what the discounts of a quote need from their budgets, or refuses.
	Redeem(ctx context.Context, tx *db.Tx, orderID uuid.UUID, q pricingapi.Quote, buyer pricingapi.Buyer) error
}

// Shipping is what checkout needs from the shipping.
type Shipping interface {
	Rates(ctx context.Context, p shippingapi.Parcel) (shippingapi.Rates, error)
}

// Stock is what checkout needs from the inventory, in its own transactions: a cart and what
// it holds change together.
type Stock interface {
	// Hold keeps stock for a while, in place of what is held already.
	Hold(ctx context.Context, tx *db.Tx, w inventoryapi.Wish) (inventoryapi.Held, error)
	Release(ctx context.Context, tx *db.Tx, holdID string) error
	// Available is how much of SKUs can be sold; one without stock is absent.
	Available(ctx context.Context, tx *db.Tx, skus []string) (map[string]int64, error)
}

// Orders is what checkout needs from the orders.
type Orders interface {
	// Admit tells whether the shop may have another order, and its number.
	Admit(ctx context.Context) (number int64, err error)
	// HasOrdered tells whether somebody has bought before, under an id or an address.
	HasOrdered(ctx context.Context, customer, email string) (bool, error)
	// Place makes an order, and shows it as Order does.
	Place(ctx context.Context, tx *db.Tx, p ordersapi.Placement, own bool) (ordersapi.OrderView, error)
	// Order is one that was placed, for its buyer or for somebody else who may see it.
	Order(ctx context.Context, id uuid.UUID, own bool) (ordersapi.OrderView, error)
}

// Customers is what checkout needs to know of who has an account.
type Customers interface {
	// Groups are those that a customer belongs to.
	Groups(ctx context.Context, customer string) ([]string, error)
}

// Module is the checkout.
type Module struct{ svc *service }

const defaultHold = 10 * time.Minute

// New makes the checkout. holdFor is how long the stock of a cart is held from its last change
// on; ten minutes when it is zero.
func New(k app.Kit, offers Offers, prices Prices, shipping Shipping, stock Stock, orders Orders, holdFor time.Duration) *Module {
	return &Module{&service{
		db: k.DB, events: k.Events, timers: k.Timers, now: k.Clock, offers: offers, prices: prices, shipping: shipping, stock: stock, orders: orders,
		turns: newTurns(), sweeps: newSweeps(), holdFor: cmp.Or(holdFor, defaultHold),
	}}
}

// Knows lets discounts look at which groups a customer belongs to. Without it, because the
// customers are elsewhere, they belong to none.
func (m *Module) Knows(customers Customers) { m.svc.customers = customers }

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "checkout" }

const (
	permissionUse   = "carts:use"
	permissionRead  = "carts:read"
	permissionWrite = "carts:write"
)

// Mount declares routes, reactions and timers.
func (m *Module) Mount(on app.Mount) {
	api := on.API.Group("Checkout")
	api.Permit(permissionRead)
	api.Permit(permissionWrite)
	ofGoods := []*fault.Error{errUnknownSKU, errCurrencyMismatch, errCartFull, errAmountRange}
	ofChange := append([]*fault.Error{errNotOpen, errBusy}, ofGoods...)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/carts", ID: "createCart", Summary: "Begin a cart", Permission: permissionUse, Limit: httpx.LimitCheckout, Status: http.StatusCreated, Unrecorded: true, Once: true,
		Description: "Everything that is known can be sent at once. A customer's cart is their own. Anybody else gets a `token`, once: it opens the cart, and later the order, to who sends it as the header `Cart-Token`.",
		Refusals:    append([]*fault.Error{httpx.ErrNotFound, erasure.ErrErased}, ofGoods...),
	}, m.svc.handleCreate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/carts/{id}", ID: "getCart", Summary: "Read a cart", Permission: httpx.Known, Personal: true,
		Description: "As it would be bought now: `changes` says what has moved since its buyer was shown it last. A cart is seen by who has its token, its customer, and staff with `carts:read`; to others it does not exist.",
		Refusals:    []*fault.Error{errAmountRange},
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/carts/{id}", ID: "updateCart", Summary: "Change a cart", Permission: permissionUse, Limit: httpx.LimitCheckout, Unrecorded: true,
		Description: "All operations, in their order, or none. From the moment that an e-mail address, an address or a shipping method is set, the stock is held for a while, ten minutes unless the installation says otherwise; each change extends it, up to six times as long.",
		Refusals:    append([]*fault.Error{errUnknownLine}, ofChange...),
	}, m.svc.handleUpdate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/carts/{id}/items", ID: "addCartItem", Summary: "Put something into a cart", Permission: permissionUse, Unrecorded: true,
		Description: "More of what is in it already adds up.", Refusals: ofChange,
	}, m.svc.handleAdd)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/carts/{id}/items/{itemId}", ID: "removeCartItem", Summary: "Take something out of a cart", Permission: permissionUse, Unrecorded: true,
		Refusals: []*fault.Error{errNotOpen, errBusy, errAmountRange},
	}, m.svc.handleRemove)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/carts/{id}/checkout", ID: "getCheckout", Summary: "Ask what is missing before a cart can be placed", Permission: httpx.Known,
		Refusals: []*fault.Error{errAmountRange},
	}, m.svc.handleCheckout)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/carts/{id}/place", ID: "placeCart", Summary: "Make an order of a cart", Permission: permissionUse, Limit: httpx.LimitCheckout, Status: http.StatusCreated,
		Description: "Once: whoever asks again, also at the same moment, is answered with the same order. Send the `total` that the buyer saw; if it costs something else by now, or anything else has moved, it is refused with `changes`.",
		Refusals:    []*fault.Error{errNotReady, errCartChanged, errUsedUp, errNotOpen, errBusy, errAmountRange, tenant.ErrQuota, erasure.ErrErased},
	}, m.svc.handlePlace)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/carts/{id}/associate", ID: "associateCart", Summary: "Make a guest's cart one's own", Permission: permissionUse, Own: true, Unrecorded: true,
		Description: "For who has signed in, with the cart's token. What their latest other cart has is poured into this one: quantities add up, and that cart is over; without room for all of it, it stays as it is. The token is good for nothing afterwards.",
		Refusals:    []*fault.Error{errNotOpen, errBusy, errAmountRange, erasure.ErrErased},
	}, m.svc.handleAssociate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/me/cart", ID: "getMyCart", Summary: "Read one's own cart", Permission: permissionUse, Own: true,
		Description: "The open one that was changed last.", Refusals: []*fault.Error{errAmountRange},
	}, m.svc.handleMine)

	event.OnBatch(on.Bus, "checkout.forget-customer", m.svc.onErased)
	m.svc.timers.On(sweepCarts, m.svc.onSweep)
}
