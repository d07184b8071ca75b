package orders

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var errRegistered = fault.Field{Pointer: "/customerId", Code: "registered_customer", Detail: "is the id of a customer, who signs in to order"}

// buyerOf decides whose an order is. Customers order for themselves: of others they know
// nothing. Staff and the programs of the shop order for whom they say. Who may place orders
// and nothing more is a page that anybody can open: it orders for guests. A guest can have
// any name but that of a customer; since customers have UUIDs and guests have none, nobody
// learns who is one by trying.
func buyerOf(ctx context.Context, named string) (string, error) {
	id, err := identity.From(ctx)
	switch {
	case err != nil:
		return "", err
	case id.Can(permissionWrite):
	case id.Customer != "" && (named == "" || named == id.Customer):
		return id.Customer, nil
	case id.Customer != "":
		return "", httpx.ErrNotFound
	case uuid.Validate(named) == nil:
		return "", httpx.ErrValidation(errRegistered)
	}
	if named == "" {
		return "", httpx.ErrValidation(fault.Field{Pointer: "/customerId", Code: "required", Detail: "is required"})
	}
	return named, nil
}

// seenBy hides from a customer who works in the shop and what it is made of.
func seenBy(ctx context.Context, actor string) string {
	if id, err := identity.From(ctx); err == nil && id.Actor == actor {
		return actor
	}
	return "shop"
}
