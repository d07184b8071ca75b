package checkout

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// badge lets in customers who say who they are: "badge:<tenant>:<customer>".
type badge struct{}

func (badge) Name() string                   { return "badge" }
func (b badge) Mount(on app.Mount)           { on.Accept(b) }
func (badge) Recognises(token string) bool   { return strings.HasPrefix(token, "badge:") }
func badgeOf(t uuid.UUID, who string) string { return "badge:" + t.String() + ":" + who }
func (badge) Authenticate(_ context.Context, token string) (identity.Identity, bool, error) {
	parts := strings.Split(token, ":")
	return identity.Identity{Tenant: uuid.MustParse(parts[1]), Actor: "user:" + parts[2], Customer: parts[2], Permissions: identity.Storefront()}, true, nil
}

func sku(n int) string { return fmt.Sprintf("SKU-%d", n) }

func bodyOf[T any](v T) httpx.JSON[T] { return httpx.JSON[T]{Body: v} }

func testAmount(minor int64, c money.Currency) money.Amount {
	return money.Amount{Minor: minor, Currency: c}
}

func erased(customer string) []event.Received[identityapi.CustomerErased] {
	return []event.Received[identityapi.CustomerErased]{{Fact: identityapi.CustomerErased{CustomerID: customer}}}
}
