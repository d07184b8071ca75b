package app

import (
	"context"
	"net/http"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

const (
	permissionTenantsRead   = "tenants:read"
	permissionTenantsWrite  = "tenants:write"
	permissionSettingsRead  = "settings:read"
	permissionSettingsWrite = "settings:write"
)

// tenants are the routes with which the operator looks after the tenants, and each of them
// after its own settings.
type tenants struct {
	db  *db.DB
	svc *tenant.Service
}

func tenantRoutes(api *httpx.API, d *db.DB, svc *tenant.Service) {
	t := &tenants{d, svc}
	group := api.Group("Tenants")
	httpx.Handle(group, httpx.Route{
		Method: http.MethodPost, Path: "/v1/tenants", ID: "createTenant", Summary: "Create a tenant", Permission: permissionTenantsWrite, Operator: true, Once: true, Status: http.StatusCreated,
		Description: "Makes a shop of its own, and the key of its first owner, which is shown this once. The shop can be used at once.",
		Refusals:    []*fault.Error{tenant.ErrSlugTaken, tenant.ErrHostTaken, apikey.ErrWider},
	}, t.create)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodGet, Path: "/v1/tenants", ID: "listTenants", Summary: "List tenants", Permission: permissionTenantsRead, Operator: true,
		Description: "By slug.",
	}, t.list)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodGet, Path: "/v1/tenants/{id}", ID: "getTenant", Summary: "Read a tenant", Permission: permissionTenantsRead, Operator: true,
	}, t.get)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/tenants/{id}", ID: "updateTenant", Summary: "Change a tenant", Permission: permissionTenantsWrite, Operator: true,
		Description: "Changes what is sent and leaves the rest. Quotas and hosts are replaced as a whole. It acts everywhere within two seconds. The slug never changes.",
		Refusals:    []*fault.Error{tenant.ErrHostTaken, errOwnersOnly},
	}, t.update)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodPost, Path: "/v1/tenants/{id}/suspend", ID: "suspendTenant", Summary: "Close a tenant's shop", Permission: permissionTenantsWrite, Operator: true,
		Description: "Whoever shows a credential of the tenant or asks for one of its hosts is refused with `tenant_suspended`, everywhere within two seconds. Events in hand are still handled and nothing is lost.",
		Refusals:    []*fault.Error{tenant.ErrTransition, tenant.ErrOperator},
	}, t.suspend)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodPost, Path: "/v1/tenants/{id}/resume", ID: "resumeTenant", Summary: "Open a tenant's shop again", Permission: permissionTenantsWrite, Operator: true,
		Description: "Also takes a deletion back, as long as its grace period lasts.",
		Refusals:    []*fault.Error{tenant.ErrTransition, tenant.ErrOperator},
	}, t.resume)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/tenants/{id}", ID: "deleteTenant", Summary: "Delete a tenant", Permission: permissionTenantsWrite, Operator: true,
		Description: "Closes the shop at once. Everything that is kept of it is removed after the grace period (`tenants.delete_grace`): `purgeAfter` says when.",
		Refusals:    []*fault.Error{tenant.ErrTransition, tenant.ErrOperator},
	}, t.delete)
	httpx.File(group, httpx.Route{
		Method: http.MethodGet, Path: "/v1/tenants/{id}/export", ID: "exportTenant", Summary: "Export a tenant", Permission: permissionTenantsWrite, Operator: true,
		Description: "Everything that this deployment keeps of the tenant, as it is at one moment: a tar.gz with a line of JSON for each row of each table. Hashes and sealed secrets are left out. `manifest.json`, the last file, names the modules that it covers: where others are on databases of their own, ask there as well.",
	}, []string{archive}, t.export)
	settingsRoutes(api, t)
}

type quotasBody struct {
	Products          *int64 `json:"products,omitempty" minimum:"0" maximum:"1000000000" doc:"Products that are not archived"`
	OrdersPerDay      *int64 `json:"ordersPerDay,omitempty" minimum:"0" maximum:"1000000000" doc:"Of a day, UTC"`
	RequestsPerMinute *int64 `json:"requestsPerMinute,omitempty" minimum:"1" maximum:"1000000000"`
}

func (b *quotasBody) quotas() tenant.Quotas {
	if b == nil {
		return tenant.Quotas{}
	}
	return tenant.Quotas(*b)
}

type createTenantBody struct {
	Slug     string        `json:"slug" minLength:"1" maxLength:"63" doc:"Names the tenant in commands; never changes" example:"harbour"`
	Name     string        `json:"name" minLength:"1" maxLength:"200" example:"Harbour & Pine"`
	Hosts    []string      `json:"hosts,omitempty" doc:"Names under which the shop answers" example:"[\"shop.example.com\"]"`
	Settings *SettingsBody `json:"settings,omitempty"`
	Quotas   *quotasBody   `json:"quotas,omitempty"`
}

// Check finds what the schema cannot say.
func (b *createTenantBody) Check() []fault.Field {
	_, fields := tenant.ReadHosts("/hosts", b.Hosts)
	fields = append(fields, tenant.CheckSlug("/slug", b.Slug)...)
	fields = append(fields, tenant.CheckName("/name", b.Name)...)
	if b.Settings != nil {
		fields = append(fields, tenant.CheckSettings("/settings", b.Settings.onto(tenant.Settings{}))...)
	}
	return fields
}

type createTenantInput struct{ httpx.JSON[createTenantBody] }

type tenantResponse struct {
	ID         string           `json:"id" format:"uuid"`
	Slug       string           `json:"slug" example:"harbour"`
	Name       string           `json:"name" example:"Harbour & Pine"`
	Status     string           `json:"status" enum:"active,suspended,deleting,deleted" doc:"deleted: it cannot be taken back, and what is kept of it is being removed"`
	Reason     string           `json:"reason,omitempty" doc:"Why it is suspended"`
	Hosts      []string         `json:"hosts"`
	Settings   settingsResponse `json:"settings"`
	Quotas     quotasResponse   `json:"quotas"`
	PurgeAfter *time.Time       `json:"purgeAfter,omitempty" doc:"When everything that is kept of it is removed"`
	CreatedAt  time.Time        `json:"createdAt"`
	UpdatedAt  time.Time        `json:"updatedAt"`
	OwnerKey   string           `json:"ownerKey,omitempty" doc:"API key of the owner; only in the answer that creates the tenant" secret:"true"`

	version int64
}

// ETag is the tenant's version.
func (r tenantResponse) ETag() string { return httpx.VersionTag(r.version) }

// createdTenant also says where the tenant is.
type createdTenant struct{ tenantResponse }

// Location of the tenant.
func (r createdTenant) Location() string { return "/v1/tenants/" + r.ID }

type quotasResponse struct {
	Products          *int64 `json:"products,omitempty" doc:"Absent: without a bound"`
	OrdersPerDay      *int64 `json:"ordersPerDay,omitempty"`
	RequestsPerMinute *int64 `json:"requestsPerMinute,omitempty"`
}

func presentTenant(t tenant.Tenant) tenantResponse {
	r := tenantResponse{
		ID: t.ID.String(), Slug: t.Slug, Name: t.Name, Status: string(t.Status), Reason: t.Reason, Hosts: []string{},
		Settings: presentSettings(t.Settings), Quotas: quotasResponse(t.Quotas), PurgeAfter: t.PurgeAfter,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, version: t.Version,
	}
	r.Hosts = append(r.Hosts, t.Hosts...)
	return r
}

func (t *tenants) create(ctx context.Context, in *createTenantInput) (createdTenant, error) {
	b := in.Body
	hosts, _ := tenant.ReadHosts("", b.Hosts) // Check has accepted them
	wanted := tenant.Tenant{Slug: b.Slug, Name: b.Name, Hosts: hosts, Quotas: b.Quotas.quotas()}
	if err := b.Settings.apply(ctx, &wanted, "/settings"); err != nil {
		return createdTenant{}, err
	}
	return httpx.Command(ctx, t.db, func(tx *db.Tx) (createdTenant, error) {
		made, key, err := t.svc.Create(ctx, tx, wanted)
		out := createdTenant{presentTenant(made)}
		out.OwnerKey = key
		return out, err
	})
}

type listTenants struct{ httpx.Page }

type slugPosition struct {
	Slug string `json:"slug"`
}

func (t *tenants) list(ctx context.Context, in *listTenants) (httpx.List[tenantResponse], error) {
	var after slugPosition
	if err := in.After(&after); err != nil {
		return httpx.List[tenantResponse]{}, err
	}
	found, err := t.svc.List(ctx, after.Slug, in.Limit+1)
	if err != nil {
		return httpx.List[tenantResponse]{}, err
	}
	return httpx.ListOf(in.Page, found, func(t tenant.Tenant) slugPosition { return slugPosition{t.Slug} }, presentTenant)
}

type tenantByID struct {
	ID string `path:"id"`
}

func (t *tenants) get(ctx context.Context, in *tenantByID) (tenantResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return tenantResponse{}, err
	}
	found, err := t.svc.Get(ctx, id)
	return presentTenant(found), err
}

type updateTenantBody struct {
	Name     *string       `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Hosts    *[]string     `json:"hosts,omitempty" doc:"All names under which the shop answers"`
	Settings *SettingsBody `json:"settings,omitempty"`
	Quotas   *quotasBody   `json:"quotas,omitempty" doc:"All quotas; what is absent is without a bound"`
}

// Check finds what the schema cannot say.
func (b *updateTenantBody) Check() (fields []fault.Field) {
	if b.Hosts != nil {
		_, fields = tenant.ReadHosts("/hosts", *b.Hosts)
	}
	if b.Name != nil {
		fields = append(fields, tenant.CheckName("/name", *b.Name)...)
	}
	if b.Settings != nil {
		fields = append(fields, tenant.CheckSettings("/settings", b.Settings.onto(tenant.Settings{}))...)
	}
	return fields
}

type updateTenantInput struct {
	httpx.IfMatch
	httpx.JSON[updateTenantBody]
	ID string `path:"id"`
}

func (t *tenants) update(ctx context.Context, in *updateTenantInput) (tenantResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return tenantResponse{}, err
	}
	b := in.Body
	return httpx.Command(ctx, t.db, func(tx *db.Tx) (tenantResponse, error) {
		changed, err := t.svc.Change(ctx, tx, id, func(old *tenant.Tenant) error {
			audit.Before(ctx, presentTenant(*old))
			if err := in.Allows(old.Version); err != nil {
				return err
			}
			set(&old.Name, b.Name)
			if b.Hosts != nil {
				old.Hosts, _ = tenant.ReadHosts("", *b.Hosts) // Check has accepted them
			}
			if b.Quotas != nil {
				old.Quotas = b.Quotas.quotas()
			}
			return b.Settings.apply(ctx, old, "/settings")
		})
		return presentTenant(changed), err
	})
}
