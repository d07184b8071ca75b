package identity

import (
	"maps"
	"slices"
)

// Roles that every shop has. A shop's own are data beside them.
const (
	Owner      = "owner"
	Manager    = "manager"
	Fulfilment = "fulfilment"
	Support    = "support"
	Analyst    = "analyst"
	Vendor     = "vendor"
	Customer   = "customer"
)

var roles = map[string][]string{
	Owner: {Everything},
	Manager: {
		"products:read", "products:write", "inventory:read", "inventory:write", "campaigns:read", "campaigns:write",
		"orders:read", "orders:write", "orders:refund", "orders:override_price", "payments:read", "payments:write", "payments:configure",
		"customers:read", "customers:write", "customers:pii",
		"taxes:read", "taxes:write", "discounts:read", "discounts:write", "carts:use", "carts:read", "carts:write", "shipping:read", "shipping:write",
		"events:read", "staff:read", "roles:read", "keys:read", "audit:read", "settings:read", "settings:write",
	},
	Fulfilment: {"products:read", "inventory:read", "inventory:write", "orders:read", "shipping:read", "customers:pii"},
	Support: {
		"products:read", "inventory:read", "campaigns:read", "orders:read", "orders:write", "orders:refund", "payments:read",
		"carts:use", "carts:read", "carts:write", "shipping:read",
		"customers:read", "customers:write", "customers:pii", "discounts:read",
	},
	Analyst:  {"products:read", "inventory:read", "campaigns:read", "orders:read", "payments:read", "shipping:read", "customers:read", "events:read", "taxes:read", "discounts:read"},
	Vendor:   {"products:read", "inventory:read"},
	Customer: Storefront(),
}

// Storefront are the permissions of who shops: a customer, or a page that anybody opens.
func Storefront() []string {
	return []string{"carts:use", "orders:place", "campaigns:join", "inventory:hold", "payments:pay"}
}

// Roles lists the names of the roles that every shop has.
func Roles() []string { return slices.Sorted(maps.Keys(roles)) }

// RolePermissions are those of a role that every shop has; ok is false for another name.
func RolePermissions(role string) (permissions []string, ok bool) {
	permissions, ok = roles[role]
	return slices.Clone(permissions), ok
}

// IsOfRole reports whether a role that every shop has comes with a permission.
func IsOfRole(permission string) bool {
	for _, permissions := range roles {
		if slices.Contains(permissions, permission) {
			return true
		}
	}
	return false
}
