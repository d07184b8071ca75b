// Package identity says who acts and for which merchant. It is set in two
// places, the HTTP edge and the event consumer, and read everywhere else.
package identity

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// DefaultTenant is the one merchant of a single-shop installation.
var DefaultTenant = uuid.MustParse("00000000-0000-7000-8000-000000000001")

// Everything is the permission that implies all others: an owner's.
const Everything = "*"

// Anonymous is the actor of a request without a credential.
const Anonymous = "anonymous"

// Identity is who acts, for whom, and what they may do.
type Identity struct {
	Tenant      uuid.UUID
	Actor       string   // "user:<account>", "key:<id>", "service", "system:<consumer>", "system:cli:<user of the machine>" or Anonymous
	Permissions []string // "orders:write"; Everything for owners
	// Customer is whose own things the identity may see and change, in calls that are for
	// customers too. Empty for staff and machines.
	Customer string
	// Account and Session are of who has signed in; zero for everybody else.
	Account uuid.UUID
	Session uuid.UUID
	// MustEnrol says of staff that their shop asks for a second factor and that they have shown
	// none: they can set one, and nothing else.
	MustEnrol bool
	// Limit is how many requests a minute the credential is good for; 0: as many as the shop
	// allows.
	Limit int
	// Publishable is a key that stands in pages which anybody can read: whoever shows it is one
	// of many.
	Publishable bool
	// Origins are those of the pages that may show a publishable key.
	Origins []string
}

// implied are permissions that come with a wider one.
var implied = map[string]string{
	"orders:place":   "orders:write",
	"campaigns:join": "campaigns:write",
	"carts:use":      "carts:write",
	"inventory:hold": "inventory:write",
	"payments:pay":   "payments:write",
}

// Can reports whether the identity holds a permission.
func (i Identity) Can(permission string) bool {
	if slices.Contains(i.Permissions, Everything) || slices.Contains(i.Permissions, permission) {
		return true
	}
	wider, ok := implied[permission]
	return ok && slices.Contains(i.Permissions, wider)
}

// Lacks are those of some permissions that the identity does not hold. Nobody grants what
// they lack.
func (i Identity) Lacks(permissions []string) (lacking []string) {
	for _, p := range permissions {
		if !i.Can(p) {
			lacking = append(lacking, p)
		}
	}
	return lacking
}

// ErrBeyond refuses to grant, or to change, what is beyond the caller.
var ErrBeyond = fault.New(fault.Forbidden, "beyond_own_permissions", "Nobody grants permissions that they do not hold.")

// MayGrant refuses permissions that whoever acts in ctx does not hold, and names them.
func MayGrant(ctx context.Context, permissions []string) error {
	id, err := From(ctx)
	if err != nil {
		return err
	}
	if lacking := id.Lacks(permissions); len(lacking) > 0 {
		return ErrBeyond.Saying("Nobody grants permissions that they do not hold: %s.", strings.Join(lacking, ", ")).With("lacking", lacking)
	}
	return nil
}

// IsOperator reports whether the identity belongs to the default tenant, whose people look
// after the installation and all its tenants.
func (i Identity) IsOperator() bool { return i.Tenant == DefaultTenant }

// IsAnonymous reports whether no credential came with the request.
func (i Identity) IsAnonymous() bool { return i.Actor == Anonymous }

// ErrNone means that code which needs a merchant ran without one: a bug.
var ErrNone = errors.New("no identity in context")

type key struct{}

// With returns a context in which id acts.
func With(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// From returns who acts in ctx.
func From(ctx context.Context) (Identity, error) {
	id, ok := ctx.Value(key{}).(Identity)
	if !ok || id.Tenant == uuid.Nil {
		return Identity{}, ErrNone
	}
	return id, nil
}

// Can reports whether whoever acts in ctx holds a permission.
func Can(ctx context.Context, permission string) bool {
	id, err := From(ctx)
	return err == nil && id.Can(permission)
}

// OnlyOf says to whose things a call is confined: to nobody's ("") for who holds the
// permission, else to the customer's own.
func OnlyOf(ctx context.Context, permission string) (customer string) {
	id, err := From(ctx)
	if err != nil || id.Can(permission) {
		return ""
	}
	return id.Customer
}
