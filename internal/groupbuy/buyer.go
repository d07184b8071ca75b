package groupbuy

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// buyerOf decides who joins. Customers join themselves. Staff and the programs of the shop
// say who does. Who may join and nothing more is a page that anybody can open: it joins for
// guests, whose names are not those of customers, which are UUIDs.
func buyerOf(ctx context.Context, named string) (string, error) {
	id, err := identity.From(ctx)
	wrong := fault.Field{Pointer: "/userId"}
	switch {
	case err != nil:
		return "", err
	case id.Customer != "" && !id.Can(permissionWrite):
		if named == "" || named == id.Customer {
			return id.Customer, nil
		}
		wrong.Code, wrong.Detail = "not_yourself", "is somebody else: leave it out"
	case named == "":
		wrong.Code, wrong.Detail = "required", "is required"
	case !id.Can(permissionWrite) && uuid.Validate(named) == nil:
		wrong.Code, wrong.Detail = "registered_customer", "is the id of a customer, who signs in to join"
	default:
		return named, nil
	}
	return "", httpx.ErrValidation(wrong)
}
