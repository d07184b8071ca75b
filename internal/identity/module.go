// Package identity knows who can sign in: customers and staff, their passwords and second
// factors, and the sessions in which they act.
//
// Only Module, New and the interface that it needs are exported. Other modules see
// identityapi, and whoever signed in as an identity of the platform.
package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/fusioncommerce/fusion/internal/identity/oidc"
	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/password"
	"github.com/fusioncommerce/fusion/internal/platform/token"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// Tokens signs access tokens and checks them.
type Tokens interface {
	Issue(ctx context.Context, c token.Claims) (raw string, expires time.Time, err error)
	Verify(ctx context.Context, raw string) (token.Claims, error)
	Issuer() string
}

// Module is the accounts and their sessions.
type Module struct {
	svc       *service
	customers *customers
}

// New makes the accounts.
func New(k app.Kit) *Module {
	auth, providers := newAuthenticator(k.DB, k.Tokens, k.Clock, k.Tenants), oidc.New(k.Outbound, k.Clock)
	people := &customers{db: k.DB, events: k.Events, mail: k.Mail, erasures: k.Erasures}
	return &Module{customers: people, svc: &service{
		db: k.DB, events: k.Events, mail: k.Mail, tokens: k.Tokens, vault: k.Vault, passwords: k.Passwords, now: k.Clock, customers: people,
		auth: auth, providers: providers, outbound: k.Outbound, external: newExternal(k.DB, providers, k.Tokens, auth, k.Clock),
	}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "identity" }

// Mount declares routes and lets in who has signed in.
func (m *Module) Mount(on app.Mount) {
	mountRoles(on.API, m.svc.db)
	m.mountSigningIn(on.API.Group("Signing in"))
	m.mountMe(on.API.Group("Me"))
	m.customers.mountAddresses(on.API.Group("Me"))
	m.customers.mountCustomers(on.API.Group("Customers"))
	m.customers.mountPrivacy(on.API.Group("Customers"))
	m.mountStaff(on.API.Group("Staff"))
	m.mountProviders(on.API.Group("Signing in"))
	m.svc.vault.Keep(vault.Sealed{Table: "identity.oidc_provider", Column: "client_secret", Purpose: sealedFor})
	on.Accept(m.svc.external) // who knows its tokens by their issuer
	on.Accept(m.svc.auth)
	m.svc.vault.Keep(vault.Sealed{Table: "identity.totp", Column: "secret", Purpose: totpPurpose})
	on.Jobs.Add(sweeping(m.svc.db))
}

func (m *Module) mountSigningIn(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/register", ID: "register", Limit: httpx.LimitLogin, Summary: "Make a customer's account", Permission: httpx.Public, Status: http.StatusAccepted,
		Description: "The answer is the same whether the address has an account already or not: what became of it, a mail to the address tells. A new account can sign in at once, unless the shop's setting `requireVerifiedEmail` has its address proven first.",
		Refusals:    []*fault.Error{password.ErrOverloaded},
	}, m.svc.handleRegister)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/login", ID: "login", Limit: httpx.LimitLogin, Summary: "Sign in", Permission: httpx.Public, Unrecorded: true,
		Description: "For customers and staff. After five failures there are no more attempts for 15 minutes, except from a browser in which the account has signed in before, " +
			"which a cookie recognises. With the shop's setting `requireVerifiedEmail`, a customer whose address is not proven is answered as a wrong password is.",
		Refusals: []*fault.Error{errCredentials, errSecondFactor, errWrongFactor, errTooMany, password.ErrOverloaded},
	}, m.svc.handleLogin)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/refresh", ID: "refresh", Limit: httpx.LimitLogin, Summary: "Get the next access token", Permission: httpx.Public, Unrecorded: true,
		Description: "Each refreshToken is good for one exchange. Used again within ten seconds it is refused, as one that two tabs share; used again later it ends the session.",
		Refusals:    []*fault.Error{errRefreshToken, errRefreshing},
	}, m.svc.handleRefresh)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/logout", ID: "logout", Enrolment: true, Summary: "Sign out", Permission: httpx.Public, Ended: true, Status: http.StatusNoContent,
		Description: "Ends the session of the access token or of the refreshToken. Signing out twice changes nothing.",
	}, m.svc.handleLogout)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/logout-all", ID: "logoutEverywhere", Enrolment: true, Summary: "Sign out everywhere", Permission: httpx.Known, Status: http.StatusNoContent,
		Refusals: []*fault.Error{errNoAccount},
	}, m.svc.handleLogoutAll)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/password/forgot", ID: "forgotPassword", Limit: httpx.LimitLogin, Summary: "Ask for a mail to choose another password", Permission: httpx.Public, Status: http.StatusAccepted,
		Description: "The answer is the same whether the address has an account or not.",
	}, m.svc.handleForgot)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/password/reset", ID: "resetPassword", Limit: httpx.LimitLogin, Summary: "Choose another password with the token of a mail", Permission: httpx.Public, Status: http.StatusNoContent,
		Description: "Ends all sessions of the account.", Refusals: []*fault.Error{errInvalidToken, password.ErrOverloaded},
	}, m.svc.handleReset)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/password/change", ID: "changePassword", Limit: httpx.LimitLogin, Summary: "Choose another password", Permission: httpx.Known, Status: http.StatusNoContent,
		Description: "Ends all other sessions of the account.", Refusals: []*fault.Error{errNoAccount, errNoPassword, errCredentials, errTooMany, password.ErrOverloaded},
	}, m.svc.handleChangePassword)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/email/verify", ID: "verifyEmail", Limit: httpx.LimitLogin, Summary: "Prove an e-mail address with the token of a mail", Permission: httpx.Public, Status: http.StatusNoContent,
		Description: "The first proof of an account ends its sessions and drops its second factor: what was set up before may be a stranger's. Sign in again.",
		Refusals:    []*fault.Error{errInvalidToken, errEmailTaken},
	}, m.svc.handleVerify)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/email/resend", ID: "resendVerification", Limit: httpx.LimitLogin, Summary: "Ask for that mail once more", Permission: httpx.Known, Status: http.StatusAccepted,
		Refusals: []*fault.Error{errNoAccount},
	}, m.svc.handleResend)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/email/request", ID: "requestVerification", Limit: httpx.LimitLogin, Summary: "Ask for that mail without signing in", Permission: httpx.Public, Status: http.StatusAccepted,
		Description: "The answer is the same whatever is true. A mail goes to an address whose account has not proven it.",
	}, m.svc.handleRequestVerification)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/auth/introspect", ID: "introspectToken", Summary: "Ask what an access token is worth", Permission: identity.IntrospectTokens, Unrecorded: true,
		Description: "For the shop's other deployments.",
	}, m.svc.handleIntrospect)
}

func (m *Module) mountMe(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/me", ID: "getMe", Enrolment: true, Summary: "Read who you are and what you may do", Permission: httpx.Known, Description: "For people and for API keys.",
	}, m.svc.handleMe)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/me", ID: "updateMe", Limit: httpx.LimitLogin, Summary: "Change your name or your e-mail address", Permission: httpx.Known,
		Description: "Another address takes effect when it is proven: a mail to it brings the token for /v1/auth/email/verify. It takes the currentPassword, and the address of before hears of it.",
		Refusals:    []*fault.Error{errNoAccount, errNoPassword, errCredentials, errTooMany, password.ErrOverloaded},
	}, m.svc.handleUpdateMe)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/me/sessions", ID: "listMySessions", Summary: "List where you have signed in", Permission: httpx.Known,
	}, m.svc.handleSessions)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/me/sessions/{id}", ID: "endMySession", Summary: "Sign out somewhere", Permission: httpx.Known, Status: http.StatusNoContent,
	}, m.svc.handleEndSession)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/me/totp", ID: "enrolSecondFactor", Enrolment: true, Limit: httpx.LimitLogin, Summary: "Begin to set a second factor", Permission: httpx.Known, Once: true,
		Description: "For authenticator apps (RFC 6238). It takes a proven e-mail address, and counts once it is confirmed.",
		Refusals:    []*fault.Error{errNoAccount, errNoPassword, errNotProven, errAlreadyHasTOTP, errCredentials, errTooMany, password.ErrOverloaded},
	}, m.svc.handleEnrol)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/me/totp/confirm", ID: "confirmSecondFactor", Enrolment: true, Summary: "Confirm the second factor with a code of it", Permission: httpx.Known, Once: true,
		Refusals: []*fault.Error{errNoAccount, errAlreadyHasTOTP, errNoTOTP, errWrongCode, errTooMany},
	}, m.svc.handleConfirm)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/me/totp", ID: "removeSecondFactor", Summary: "Remove the second factor, with a code of it", Permission: httpx.Known, Status: http.StatusNoContent,
		Refusals: []*fault.Error{errNoAccount, errNoTOTP, errWrongCode, errTooMany},
	}, m.svc.handleDisarm)
}

func (m *Module) mountStaff(api *httpx.API) {
	const read, write = "staff:read", "staff:write"
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/staff", ID: "listStaff", Summary: "List who works for the shop", Permission: read,
	}, m.svc.handleStaff)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/staff/invitations", ID: "inviteStaff", Summary: "Invite somebody to work for the shop", Permission: write, Status: http.StatusCreated,
		Description: "A mail brings the token with which they choose a password. Who has not answered yet can be invited again.",
		Refusals:    []*fault.Error{errEmailTaken, errBeyondOneself, apikey.ErrWider},
	}, m.svc.handleInvite)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/staff/invitations/accept", ID: "acceptInvitation", Limit: httpx.LimitLogin, Summary: "Accept an invitation", Permission: httpx.Public, Status: http.StatusNoContent,
		Refusals: []*fault.Error{errInvalidToken, password.ErrOverloaded},
	}, m.svc.handleAcceptInvitation)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/staff/{id}", ID: "getStaff", Summary: "Read who somebody of the staff is", Permission: read,
	}, m.svc.handleGetStaff)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/staff/{id}", ID: "updateStaff", Summary: "Change what somebody may do", Permission: write,
		Description: "It acts within two seconds, everywhere. Nobody gives or takes a role whose permissions they do not hold, and one owner stays.",
		Refusals:    []*fault.Error{errBeyondOneself, apikey.ErrWider, errLastOwner},
	}, m.svc.handleUpdateStaff)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/staff/{id}/second-factor", ID: "removeStaffSecondFactor", Summary: "Remove somebody's second factor", Permission: write, Status: http.StatusNoContent,
		Description: "For who has lost it: they sign in with the password alone and set another one. It ends their sessions, and a mail tells them. Nobody does it for people whose permissions they do not hold.",
		Refusals:    []*fault.Error{errBeyondOneself, errNoTOTP, errOwnFactor},
	}, m.svc.handleRemoveFactor)
}
