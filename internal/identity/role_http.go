package identity

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// roleDesk makes roles.
type roleDesk struct {
	db    *db.DB
	api   *httpx.API
	store roleStore
}

// mountRoles declares the routes of the roles.
func mountRoles(api *httpx.API, d *db.DB) {
	const read, write = "roles:read", "roles:write"
	desk := roleDesk{db: d, api: api}
	api = api.Group("Roles")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/roles", ID: "listRoles", Summary: "List roles", Permission: read, Description: "By name: those that every shop has, and the shop's own.",
	}, desk.list)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/roles", ID: "createRole", Summary: "Make a role", Permission: write, Status: http.StatusCreated,
		Description: "Nobody makes a role that may do what they may not.",
		Refusals:    []*fault.Error{errRoleTaken, errManyRoles, httpx.ErrUnknownPermission, identity.ErrBeyond},
	}, desk.create)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/roles/{role}", ID: "getRole", Summary: "Read a role", Permission: read,
	}, desk.get)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/roles/{role}", ID: "updateRole", Summary: "Change a role of the shop's own", Permission: write,
		Description: "Who has it can do what it says within two seconds. Nobody changes a role that may do what they may not.",
		Refusals:    []*fault.Error{errRoleBuiltIn, httpx.ErrUnknownPermission, identity.ErrBeyond},
	}, desk.update)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/roles/{role}", ID: "deleteRole", Summary: "Delete a role of the shop's own", Permission: write, Status: http.StatusNoContent,
		Description: "One that nobody has.", Refusals: []*fault.Error{errRoleBuiltIn, errRoleInUse, identity.ErrBeyond},
	}, desk.remove)
}

type createRoleBody struct {
	Name        string   `json:"name" pattern:"^[a-z][a-z0-9-]{1,39}$" doc:"2 to 40 small letters, digits and dashes. It stays" example:"night-shift"`
	Description string   `json:"description,omitempty" maxLength:"200" example:"Packs at night"`
	Permissions []string `json:"permissions" minItems:"1" maxItems:"100" doc:"None that you do not hold" example:"[\"orders:read\"]"`
}

type createRoleInput struct{ httpx.JSON[createRoleBody] }

type roleResponse struct {
	Name        string     `json:"name" example:"night-shift"`
	Description string     `json:"description"`
	Permissions []string   `json:"permissions"`
	BuiltIn     bool       `json:"builtIn" doc:"Every shop has it, and it cannot be changed"`
	CreatedAt   *time.Time `json:"createdAt,omitempty"`
	UpdatedAt   *time.Time `json:"updatedAt,omitempty"`

	version int64
}

// ETag is the version of the role.
func (r roleResponse) ETag() string { return httpx.VersionTag(r.version) }

// madeRole also says where the role is.
type madeRole struct{ roleResponse }

// Location of the role.
func (r madeRole) Location() string { return "/v1/roles/" + r.Name }

func presentRole(r role) roleResponse {
	return roleResponse{r.Name, r.Description, r.Permissions, r.BuiltIn, r.CreatedAt, r.UpdatedAt, r.Version}
}

func (d roleDesk) create(ctx context.Context, in *createRoleInput) (madeRole, error) {
	r := role{Name: in.Body.Name, Description: in.Body.Description, Permissions: inOrder(in.Body.Permissions), Version: 1}
	if err := d.mayGive(ctx, in.Body.Permissions); err != nil {
		return madeRole{}, err
	}
	if _, taken := builtInRole(r.Name); taken {
		return madeRole{}, errRoleTaken.At("/name", errRoleTaken.Code, "is the name of a role that every shop has")
	}
	return httpx.Command(ctx, d.db, func(tx *db.Tx) (madeRole, error) {
		r.CreatedAt, r.UpdatedAt = &tx.Now, &tx.Now
		return madeRole{presentRole(r)}, d.store.insert(ctx, tx, r)
	})
}

// mayGive refuses permissions that there are not, or that the caller lacks.
func (d roleDesk) mayGive(ctx context.Context, permissions []string) error {
	if err := d.api.KnowPermissions("/permissions", permissions); err != nil {
		return err
	}
	return identity.MayGrant(ctx, permissions)
}

type rolePosition struct {
	Name string `json:"name"`
}

func (d roleDesk) list(ctx context.Context, in *httpx.Page) (httpx.List[roleResponse], error) {
	out := httpx.List[roleResponse]{Data: []roleResponse{}}
	var after rolePosition
	if in.Cursor != "" {
		if err := httpx.ReadCursor(in.Cursor, &after); err != nil {
			return out, err
		}
	}
	var roles []role
	err := d.db.Read(ctx, func(tx *db.Tx) (err error) {
		roles, err = d.store.all(ctx, tx)
		return err
	})
	if err != nil {
		return out, err
	}
	roles = append(roles, builtIn()...)
	slices.SortFunc(roles, func(a, b role) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range roles {
		if r.Name <= after.Name {
			continue
		}
		if len(out.Data) == in.Limit {
			out.NextCursor, err = httpx.Cursor(rolePosition{out.Data[in.Limit-1].Name})
			return out, err
		}
		out.Data = append(out.Data, presentRole(r))
	}
	return out, nil
}

type roleByName struct {
	Role string `path:"role"`
}

func (d roleDesk) get(ctx context.Context, in *roleByName) (out roleResponse, err error) {
	if r, ok := builtInRole(in.Role); ok {
		return presentRole(r), nil
	}
	err = d.db.Read(ctx, func(tx *db.Tx) error {
		r, err := d.store.find(ctx, tx, in.Role)
		out = presentRole(r)
		return err
	})
	return out, err
}

type updateRoleBody struct {
	Description *string  `json:"description,omitempty" maxLength:"200"`
	Permissions []string `json:"permissions,omitempty" minItems:"1" maxItems:"100" doc:"All that it is to have, none that you do not hold"`
}

type updateRoleInput struct {
	httpx.IfMatch
	httpx.JSON[updateRoleBody]
	Role string `path:"role"`
}

func (d roleDesk) update(ctx context.Context, in *updateRoleInput) (roleResponse, error) {
	if _, ok := builtInRole(in.Role); ok {
		return roleResponse{}, errRoleBuiltIn
	}
	if err := d.api.KnowPermissions("/permissions", in.Body.Permissions); err != nil {
		return roleResponse{}, err
	}
	return httpx.Command(ctx, d.db, func(tx *db.Tx) (roleResponse, error) {
		r, err := d.store.lock(ctx, tx, in.Role)
		if err != nil {
			return roleResponse{}, err
		}
		if err := in.Allows(r.Version); err != nil {
			return roleResponse{}, err
		}
		if err := identity.MayGrant(ctx, slices.Concat(r.Permissions, in.Body.Permissions)); err != nil {
			return roleResponse{}, err
		}
		audit.Before(ctx, presentRole(r))
		if !r.revise(roleChange{in.Body.Description, in.Body.Permissions}, tx.Now) {
			return presentRole(r), nil
		}
		return presentRole(r), d.store.save(ctx, tx, r)
	})
}

func (d roleDesk) remove(ctx context.Context, in *roleByName) (httpx.None, error) {
	if _, ok := builtInRole(in.Role); ok {
		return httpx.None{}, errRoleBuiltIn
	}
	return httpx.Command(ctx, d.db, func(tx *db.Tx) (httpx.None, error) {
		r, err := d.store.lock(ctx, tx, in.Role)
		if err != nil {
			return httpx.None{}, err
		}
		if err := identity.MayGrant(ctx, r.Permissions); err != nil {
			return httpx.None{}, err
		}
		audit.Before(ctx, presentRole(r))
		return httpx.None{}, d.store.remove(ctx, tx, r.Name)
	})
}
