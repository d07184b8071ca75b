package identity

import (
	"context"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var (
	errRoleTaken   = fault.New(fault.Conflict, "role_taken", "There is a role of this name.")
	errRoleBuiltIn = fault.New(fault.Conflict, "role_built_in", "This role is the same in every shop. Make one of your own.")
	errRoleInUse   = fault.New(fault.Conflict, "role_in_use", "Somebody has this role. Give them another one first.")
	errManyRoles   = fault.New(fault.Conflict, "too_many_roles", "A shop can have 100 roles of its own.")
)

// role is a name for permissions that some of the staff hold together.
type role struct {
	Name        string
	Description string
	Permissions []string
	BuiltIn     bool  // every shop has it, and it cannot be changed
	Version     int64 // 0 of a built-in one
	CreatedAt   *time.Time
	UpdatedAt   *time.Time
}

// builtIn are the roles that every shop has.
func builtIn() (roles []role) {
	for _, name := range identity.Roles() {
		permissions, _ := identity.RolePermissions(name)
		roles = append(roles, role{Name: name, Permissions: slices.Sorted(slices.Values(permissions)), BuiltIn: true})
	}
	return roles
}

func builtInRole(name string) (role, bool) {
	roles := builtIn()
	at := slices.IndexFunc(roles, func(r role) bool { return r.Name == name })
	if at < 0 {
		return role{}, false
	}
	return roles[at], true
}

// roleChange is what is to become of a role; nil leaves it.
type roleChange struct {
	Description *string
	Permissions []string
}

// revise gives a role other terms. It reports whether that changes anything.
func (r *role) revise(c roleChange, at time.Time) bool {
	before := *r
	if c.Description != nil {
		r.Description = *c.Description
	}
	if c.Permissions != nil {
		r.Permissions = inOrder(c.Permissions)
	}
	if r.Description == before.Description && slices.Equal(r.Permissions, before.Permissions) {
		return false
	}
	r.Version++
	r.UpdatedAt = &at
	return true
}

// inOrder are permissions, each once.
func inOrder(permissions []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(permissions)))
}

// permissionsOf are those of somebody's roles together. A role that there is not, or not
// any more, gives none.
func permissionsOf(roles []string, own map[string][]string) []string {
	all := []string{}
	for _, r := range roles {
		permissions, ok := identity.RolePermissions(r)
		if !ok {
			permissions = own[r]
		}
		all = append(all, permissions...)
	}
	return inOrder(all)
}

// mayHandle refuses to give or take roles whose permissions the caller lacks, and to give
// some that there are not.
func (s *service) mayHandle(ctx context.Context, tx *db.Tx, given, taken []string) error {
	who, err := identity.From(ctx)
	if err != nil {
		return err
	}
	handled := slices.Concat(given, taken)
	own, err := roleStore{}.permissions(ctx, tx, handled)
	if err != nil {
		return err
	}
	var fields []fault.Field
	for i, r := range given {
		if _, ok := identity.RolePermissions(r); !ok && own[r] == nil {
			fields = append(fields, unknownRole(i))
		}
	}
	if len(fields) > 0 {
		return httpx.ErrValidation(fields...)
	}
	if lacking := who.Lacks(permissionsOf(handled, own)); len(lacking) > 0 {
		return errBeyondOneself.With("lacking", lacking)
	}
	if len(given) == 0 {
		return nil
	}
	return apikey.MayOutlive(ctx, tx)
}
