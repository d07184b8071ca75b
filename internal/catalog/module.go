// Package catalog owns products, their variants and their prices.
//
// Only Module and New are exported. Other modules see catalogapi.
package catalog

import (
	"context"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

// Module is the catalog.
type Module struct{ svc *service }

// New makes the catalog.
func New(k app.Kit) *Module {
	return &Module{&service{db: k.DB, events: k.Events, cache: newCache()}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "catalog" }

const (
	permissionRead  = "products:read"
	permissionWrite = "products:write"
)

// Mount declares the routes. The cache is emptied by the module's own facts, also
// when another replica recorded them.
func (m *Module) Mount(on app.Mount) {
	api := on.API.Group("Products")
	api.Permit(permissionRead)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/products", ID: "createProduct", Summary: "Create a product", Permission: permissionWrite, Status: http.StatusCreated,
		Description: "Makes a product with one variant, its price and its first stock.", Refusals: []*fault.Error{errSKUTaken, tenant.ErrQuota},
	}, m.svc.handleCreate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/products", ID: "listProducts", Summary: "List products", Permission: httpx.Public,
		Description: "Active products, unless status asks for others. Drafts need the permission `products:read`.", Refusals: []*fault.Error{errDraftsHidden},
	}, m.svc.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/products/{id}", ID: "getProduct", Summary: "Read a product", Permission: httpx.Public,
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/products/{id}", ID: "updateProduct", Summary: "Change a product", Permission: permissionWrite,
		Description: "Changes what is sent and leaves the rest. The SKU never changes: stock and past orders go by it.", Refusals: []*fault.Error{errTransition, tenant.ErrQuota},
	}, m.svc.handleUpdate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/products/{id}", ID: "archiveProduct", Summary: "Archive a product", Permission: permissionWrite, Status: http.StatusNoContent,
		Description: "The product is not for sale any more. Orders that name it keep it; its SKU stays taken.",
	}, m.svc.handleArchive)

	api.Permit(identity.ReadOffers)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/offers", ID: "findOffers", Summary: "Ask what SKUs cost now", Permission: identity.ReadOffers,
		Description: "What a deployment that runs the orders asks the one that runs the catalog.",
	}, m.svc.handleOffers)

	m.svc.cache.hears = true
	on.Bus.Watch([]string{
		catalogapi.ProductCreated{}.EventType(), catalogapi.ProductUpdated{}.EventType(), catalogapi.ProductArchived{}.EventType(),
	}, m.svc.cache.tenants, m.svc.cache.drop)
}

// Offers tells other modules what SKUs cost now. Those that are not for sale are absent.
func (m *Module) Offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error) {
	return m.svc.offers(ctx, skus)
}

// OffersByProduct is Offers for those who know products. They are few and not cached.
func (m *Module) OffersByProduct(ctx context.Context, ids []string) (map[string]catalogapi.Offer, error) {
	return m.svc.offersByProduct(ctx, ids)
}
