package app

import (
	"context"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

// keySetRoute publishes the keys with which others check the tokens that this program signs.
func keySetRoute(api *httpx.API, tokens *token.Tokens) {
	httpx.Handle(api.Group("Platform"), httpx.Route{
		Method: http.MethodGet, Path: "/.well-known/jwks.json", ID: "getKeySet", Summary: "Read the keys that access tokens are signed with", Permission: httpx.Public,
		Description: "A JSON Web Key Set (RFC 7517). A key is in it before it signs, and until what it has signed is over.",
	}, func(ctx context.Context, _ *struct{}) (token.JWKS, error) { return tokens.Published(ctx) })
}
