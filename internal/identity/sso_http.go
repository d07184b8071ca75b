package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

func (m *Module) mountProviders(api *httpx.API) {
	const read, write = "settings:read", "settings:write"
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/auth/oidc/{provider}/start", ID: "startSignIn", Summary: "Sign in at an identity provider", Permission: httpx.Public, Limit: httpx.LimitLogin, Status: http.StatusFound,
		Description: "For browsers: sends them to the provider, which sends them back. With `returnTo` they end at that page of the shop, with `#code=…` for /v1/auth/oidc/exchange, or `#error=…`.",
		Refusals:    []*fault.Error{errProviderAway, errReturn},
	}, m.svc.handleStart)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/auth/oidc/{provider}/callback", ID: "finishSignIn", Summary: "Come back from an identity provider", Permission: httpx.Public, Limit: httpx.LimitLogin, Redirects: true,
		Description: "Answers as login does, in the browser that the sign-in was begun in, within ten minutes; or sends it to the page that the sign-in was begun for.",
		Refusals:    []*fault.Error{errFlow, errNotVouched, errNotInvited, errSignInOtherwise, errProviderAway},
	}, m.svc.handleCallback)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/oidc/exchange", ID: "exchangeSignIn", Summary: "Exchange the code of a sign-in that ended at a page", Permission: httpx.Public, Limit: httpx.LimitLogin,
		Unrecorded: true, Cookies: true,
		Description: "Answers as login does, once, within a minute, and in the browser that came back from the provider: a page of another origin asks with `credentials: \"include\"`.",
		Refusals:    []*fault.Error{errFlow},
	}, m.svc.handleExchange)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/providers", ID: "createProvider", Summary: "Add an identity provider (OpenID Connect)", Permission: write, Status: http.StatusCreated,
		Description: "Register `/v1/auth/oidc/{slug}/callback` as the redirect address there. A provider for staff takes an owner to add or to change.",
		Refusals:    []*fault.Error{errSlugTaken, errBeyondOneself},
	}, m.svc.handleCreateProvider)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/auth/providers", ID: "listProviders", Summary: "List identity providers", Permission: read,
	}, m.svc.handleProviders)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/auth/providers/{id}", ID: "getProvider", Summary: "Read about an identity provider", Permission: read,
	}, m.svc.handleProvider)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/auth/providers/{id}", ID: "updateProvider", Summary: "Change an identity provider", Permission: write,
		Refusals: []*fault.Error{errBeyondOneself},
	}, m.svc.handleUpdateProvider)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/auth/providers/{id}", ID: "deleteProvider", Summary: "Remove an identity provider", Permission: write, Status: http.StatusNoContent,
		Description: "Nobody signs in there any more. Sessions that were opened go on.", Refusals: []*fault.Error{errBeyondOneself},
	}, m.svc.handleDeleteProvider)
}

type startInput struct {
	Provider string `path:"provider" maxLength:"100"`
	ReturnTo string `query:"returnTo" maxLength:"2048" doc:"A page at the shop's storefrontUrl, or at https:// and one of its hosts" example:"https://shop.example.com/welcome"`
}

// elsewhere sends a browser to another address.
type elsewhere struct {
	Address string `json:"address" doc:"Where to sign in"`
}

// Location is where it goes.
func (e elsewhere) Location() string { return e.Address }

func (s *service) handleStart(ctx context.Context, in *startInput) (elsewhere, error) {
	address, cookie, err := s.beginAt(ctx, in.Provider, in.ReturnTo)
	if err != nil {
		return elsewhere{}, err
	}
	httpx.SetCookie(ctx, flowCookie, cookie, flowLife)
	return elsewhere{address}, nil
}

// callbackInput has all that providers are known to send, of which little matters.
type callbackInput struct {
	Provider     string `path:"provider" maxLength:"100"`
	Code         string `query:"code" maxLength:"4096"`
	State        string `query:"state" maxLength:"200"`
	Issuer       string `query:"iss" maxLength:"500" doc:"RFC 9207"`
	Error        string `query:"error" maxLength:"200"`
	Description  string `query:"error_description" maxLength:"2000"`
	URI          string `query:"error_uri" maxLength:"2000"`
	Scope        string `query:"scope" maxLength:"2000"`
	SessionState string `query:"session_state" maxLength:"500"`
	AuthUser     string `query:"authuser" maxLength:"200"`
	HostedDomain string `query:"hd" maxLength:"200"`
	Prompt       string `query:"prompt" maxLength:"200"`
}

func (s *service) handleCallback(ctx context.Context, in *callbackInput) (grantResponse, error) {
	arrived, err := s.finishAt(ctx, comeback{
		Slug: in.Provider, Cookie: httpx.Cookie(ctx, flowCookie), Code: in.Code, State: in.State, Error: in.Error, Issuer: in.Issuer, From: httpx.Caller(ctx),
	})
	if err != nil {
		return grantResponse{}, err
	}
	httpx.SetCookie(ctx, flowCookie, "", -time.Second) // it is not to be used again
	if arrived.Page == "" {
		return s.granted(arrived.Grant), nil
	}
	if arrived.Cookie != "" {
		httpx.SetCookieForPages(ctx, pageCookie, arrived.Cookie, pageLife)
	}
	httpx.SendTo(ctx, arrived.Page)
	return grantResponse{}, nil
}

type exchangeBody struct {
	Code string `json:"code" minLength:"1" maxLength:"200" doc:"From the address of the page"`
}

type exchangeInput struct{ httpx.JSON[exchangeBody] }

func (s *service) handleExchange(ctx context.Context, in *exchangeInput) (grantResponse, error) {
	g, err := s.exchange(ctx, httpx.Cookie(ctx, pageCookie), in.Body.Code)
	if err != nil {
		return grantResponse{}, err
	}
	httpx.SetCookieForPages(ctx, pageCookie, "", -time.Second)
	return s.granted(g), nil
}
