package identity

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/password"
)

// acceptedResponse says the same to everybody: what became of the request, mail tells.
type acceptedResponse struct {
	Status string `json:"status" enum:"accepted"`
}

var accepted = acceptedResponse{"accepted"}

type registerBody struct {
	Email    string `json:"email" minLength:"1" maxLength:"254" example:"ana@example.com"`
	Password string `json:"password" minLength:"1" maxLength:"1024" doc:"8 to 128 characters"`
	Name     string `json:"name,omitempty" maxLength:"200" example:"Ana Lindqvist"`
}

// Check finds what the schema cannot say.
func (b *registerBody) Check() []fault.Field {
	fields := httpx.Line("/name", b.Name)
	if b.Email != "" {
		fields = append(fields, flawsOfEmail(b.Email)...)
	}
	if b.Password != "" {
		fields = append(fields, password.Flaws("/password", b.Password)...)
	}
	return fields
}

type registerInput struct{ httpx.JSON[registerBody] }

func (s *service) handleRegister(ctx context.Context, in *registerInput) (acceptedResponse, error) {
	return accepted, s.register(ctx, in.Body.Email, in.Body.Password, in.Body.Name)
}

type loginBody struct {
	Email        string `json:"email" minLength:"1" maxLength:"254"`
	Password     string `json:"password" minLength:"1" maxLength:"1024"`
	Code         string `json:"code,omitempty" maxLength:"16" doc:"Of the authenticator app, when the account has one" example:"287082"`
	RecoveryCode string `json:"recoveryCode,omitempty" maxLength:"64" doc:"In place of code, once each"`
}

type loginInput struct{ httpx.JSON[loginBody] }

type accountResponse struct {
	ID            string    `json:"id" format:"uuid"`
	Kind          string    `json:"kind" enum:"staff,customer"`
	Email         string    `json:"email" personal:"true"`
	EmailVerified bool      `json:"emailVerified" doc:"Somebody has proven to read what is sent there"`
	Name          string    `json:"name" personal:"true"`
	CustomerID    string    `json:"customerId,omitempty" format:"uuid" doc:"Of a customer"`
	Roles         []string  `json:"roles"`
	Status        string    `json:"status" enum:"invited,active,disabled"`
	SecondFactor  bool      `json:"secondFactor" doc:"Login asks for a code"`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`

	version int64
}

// ETag is the account's version.
func (r accountResponse) ETag() string { return httpx.VersionTag(r.version) }

func present(a account) accountResponse {
	r := accountResponse{
		ID: a.ID.String(), Kind: string(a.Kind), Email: a.Email, EmailVerified: a.VerifiedAt != nil, Name: a.Name, Roles: a.Roles,
		Status: string(a.Status), SecondFactor: a.HasTOTP, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, version: a.Version,
	}
	if a.Kind == customer {
		r.CustomerID = a.Customer.String()
	}
	return r
}

type grantResponse struct {
	AccessToken      string          `json:"accessToken" doc:"Send it as Authorization: Bearer"`
	TokenType        string          `json:"tokenType" enum:"Bearer"`
	ExpiresIn        int64           `json:"expiresIn" doc:"Seconds that accessToken is good for" example:"900"`
	RefreshToken     string          `json:"refreshToken" doc:"For one exchange against the next accessToken"`
	RefreshExpiresIn int64           `json:"refreshExpiresIn" doc:"Seconds that refreshToken is good for" example:"604800"`
	Account          accountResponse `json:"account"`

	SecondFactorEnrolmentRequired bool `json:"secondFactorEnrolmentRequired" doc:"The shop asks its staff for a second factor: all that these tokens are good for is to set one"`
}

func (s *service) granted(g grant) grantResponse {
	return grantResponse{
		AccessToken: g.Access, TokenType: "Bearer", ExpiresIn: int64(g.Expires.Sub(s.now()).Seconds()),
		RefreshToken: g.Refresh, RefreshExpiresIn: int64(refreshLife.Seconds()), Account: present(g.Account),
		SecondFactorEnrolmentRequired: g.MustEnrol,
	}
}

func (s *service) handleLogin(ctx context.Context, in *loginInput) (grantResponse, error) {
	b := in.Body
	g, err := s.login(ctx, attempt{
		Email: b.Email, Password: b.Password, Code: b.Code, RecoveryCode: b.RecoveryCode,
		Device: httpx.Cookie(ctx, deviceCookie), From: httpx.Caller(ctx),
	})
	if err != nil {
		return grantResponse{}, err
	}
	if g.Device != "" {
		httpx.SetCookie(ctx, deviceCookie, g.Device, deviceLife)
	}
	return s.granted(g), nil
}

type refreshBody struct {
	RefreshToken string `json:"refreshToken" minLength:"1" maxLength:"200"`
}

type refreshInput struct{ httpx.JSON[refreshBody] }

func (s *service) handleRefresh(ctx context.Context, in *refreshInput) (grantResponse, error) {
	g, err := s.refresh(ctx, in.Body.RefreshToken)
	if err != nil {
		return grantResponse{}, err
	}
	return s.granted(g), nil
}

type logoutBody struct {
	RefreshToken string `json:"refreshToken,omitempty" maxLength:"200" doc:"Of the session to end, when no access token comes with the request"`
}

type logoutInput struct{ Body *logoutBody }

// handleLogout ends a session that somebody shows to be theirs. There is nothing wrong
// with one that is over.
func (s *service) handleLogout(ctx context.Context, in *logoutInput) (httpx.None, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return httpx.None{}, err
	}
	var hash []byte
	if in.Body != nil {
		if tenant, shown, ok := readOpaque(refreshPrefix, in.Body.RefreshToken); ok {
			hash = shown
			if who.IsAnonymous() {
				if ctx, err = s.enter(ctx, tenant); err != nil {
					return httpx.None{}, err
				}
			}
		}
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		if who.Session != uuid.Nil {
			if _, err := s.store.endSession(ctx, tx, who.Account, who.Session); err != nil {
				return httpx.None{}, err
			}
			tx.AfterCommit(func() { s.auth.forget(who.Session) })
			aboutAccount(ctx, who.Account)
		}
		owners, err := s.store.endByRefresh(ctx, tx, hash)
		aboutAccount(ctx, owners...)
		return httpx.None{}, err
	})
}

func (s *service) handleLogoutAll(ctx context.Context, _ *struct{}) (httpx.None, error) {
	who, err := signedIn(ctx)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		aboutAccount(ctx, who.Account)
		tx.AfterCommit(func() { s.auth.forget(who.Session) })
		// A change of the address that is begun meanwhile has the account locked.
		if _, err := s.store.lock(ctx, tx, who.Account); err != nil {
			return httpx.None{}, err
		}
		if err := s.store.dropOneTime(ctx, tx, who.Account); err != nil {
			return httpx.None{}, err
		}
		return httpx.None{}, s.store.endSessions(ctx, tx, who.Account, uuid.Nil)
	})
}

// recipientBody is whose account something is asked for. The answer does not tell whether there
// is one.
type recipientBody struct {
	Email string `json:"email" minLength:"1" maxLength:"254"`
}

// Check finds what the schema cannot say.
func (b *recipientBody) Check() []fault.Field {
	if b.Email == "" {
		return nil
	}
	return flawsOfEmail(b.Email)
}

type writeToInput struct{ httpx.JSON[recipientBody] }

func (s *service) handleForgot(ctx context.Context, in *writeToInput) (acceptedResponse, error) {
	return s.writeTo(ctx, in.Body.Email, s.forgot)
}

func (s *service) handleRequestVerification(ctx context.Context, in *writeToInput) (acceptedResponse, error) {
	return s.writeTo(ctx, in.Body.Email, s.remind)
}

// writeTo has a letter written to who has an account with an address. Nobody else hears of it.
func (s *service) writeTo(ctx context.Context, email string, write func(context.Context, *db.Tx, account) error) (acceptedResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (acceptedResponse, error) {
		a, known, err := s.store.byEmail(ctx, tx, keyOf(email))
		if err != nil || !known {
			return accepted, err
		}
		aboutAccount(ctx, a.ID)
		return accepted, write(ctx, tx, a)
	})
}

// redemptionBody is a token from a mail with the password that it lets somebody choose.
type redemptionBody struct {
	Token    string `json:"token" minLength:"1" maxLength:"200" doc:"From the mail"`
	Password string `json:"password" minLength:"1" maxLength:"1024" doc:"8 to 128 characters"`
}

// Check finds what the schema cannot say.
func (b *redemptionBody) Check() []fault.Field {
	if b.Password == "" {
		return nil
	}
	return password.Flaws("/password", b.Password)
}

type redemptionInput struct{ httpx.JSON[redemptionBody] }

func (s *service) handleReset(ctx context.Context, in *redemptionInput) (httpx.None, error) {
	return s.choosePassword(ctx, in.Body, toReset, s.reset)
}

func (s *service) handleAcceptInvitation(ctx context.Context, in *redemptionInput) (httpx.None, error) {
	return s.choosePassword(ctx, in.Body, toInvite, s.join)
}

// choosePassword hashes only for a token that we made: strangers have nothing hashed.
func (s *service) choosePassword(ctx context.Context, b redemptionBody, purpose string, use func(context.Context, *db.Tx, []byte, string) error) (httpx.None, error) {
	tenant, token, ok := readOpaque(oneTimePrefix, b.Token)
	if !ok {
		return httpx.None{}, errInvalidToken
	}
	ctx, err := s.enter(ctx, tenant)
	if err != nil {
		return httpx.None{}, err
	}
	known := false
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		known, err = s.store.knowsOneTime(ctx, tx, token, purpose)
		return err
	})
	if err == nil && !known {
		err = errInvalidToken
	}
	if err != nil {
		return httpx.None{}, err
	}
	hash, err := s.passwords.Hash(ctx, b.Password)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		if err := s.aboutHolder(ctx, tx, token); err != nil {
			return httpx.None{}, err
		}
		return httpx.None{}, use(ctx, tx, token, hash)
	})
}

// aboutAccount has the audit log name whose account a call is about, although whoever sent
// it has shown no credential.
func aboutAccount(ctx context.Context, accounts ...uuid.UUID) {
	for _, id := range accounts {
		audit.About(ctx, "account", id.String())
	}
}

func (s *service) aboutHolder(ctx context.Context, tx *db.Tx, token []byte) error {
	holder, err := s.store.holderOf(ctx, tx, token)
	aboutAccount(ctx, holder...)
	return err
}

type changePasswordBody struct {
	CurrentPassword string `json:"currentPassword" minLength:"1" maxLength:"1024"`
	Password        string `json:"password" minLength:"1" maxLength:"1024" doc:"8 to 128 characters"`
}

// Check finds what the schema cannot say.
func (b *changePasswordBody) Check() []fault.Field {
	if b.Password == "" {
		return nil
	}
	return password.Flaws("/password", b.Password)
}

type changePasswordInput struct {
	httpx.JSON[changePasswordBody]
}

func (s *service) handleChangePassword(ctx context.Context, in *changePasswordInput) (httpx.None, error) {
	who, err := signedIn(ctx)
	if err != nil {
		return httpx.None{}, err
	}
	shown, err := s.prove(ctx, who, in.Body.CurrentPassword)
	if err != nil {
		return httpx.None{}, err
	}
	hash, err := s.passwords.Hash(ctx, in.Body.Password)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		aboutAccount(ctx, who.Account)
		a, err := s.stillProven(ctx, tx, shown)
		if err != nil {
			return httpx.None{}, err
		}
		return httpx.None{}, s.replacePassword(ctx, tx, a, hash, who)
	})
}

type verifyBody struct {
	Token string `json:"token" minLength:"1" maxLength:"200" doc:"From the mail"`
}

type verifyInput struct{ httpx.JSON[verifyBody] }

func (s *service) handleVerify(ctx context.Context, in *verifyInput) (httpx.None, error) {
	tenant, token, ok := readOpaque(oneTimePrefix, in.Body.Token)
	if !ok {
		return httpx.None{}, errInvalidToken
	}
	ctx, err := s.enter(ctx, tenant)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		if err := s.aboutHolder(ctx, tx, token); err != nil {
			return httpx.None{}, err
		}
		return httpx.None{}, s.verifyEmail(ctx, tx, token)
	})
}

func (s *service) handleResend(ctx context.Context, _ *struct{}) (acceptedResponse, error) {
	who, err := signedIn(ctx)
	if err != nil {
		return acceptedResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (acceptedResponse, error) {
		aboutAccount(ctx, who.Account)
		return accepted, s.resend(ctx, tx, who)
	})
}

type introspectBody struct {
	Token string `json:"token" minLength:"1" maxLength:"4096"`
}

type introspectInput struct{ httpx.JSON[introspectBody] }

type introspectResponse struct {
	Active      bool     `json:"active" doc:"The token is worth what follows"`
	TenantID    string   `json:"tenantId,omitempty" format:"uuid"`
	Actor       string   `json:"actor,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	CustomerID  string   `json:"customerId,omitempty" format:"uuid"`
	AccountID   string   `json:"accountId,omitempty" format:"uuid"`
	SessionID   string   `json:"sessionId,omitempty" format:"uuid" doc:"Also of a session that is over"`

	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"When the token ends, whatever becomes of its session"`

	SecondFactorEnrolmentRequired bool `json:"secondFactorEnrolmentRequired,omitempty" doc:"It is good for setting a second factor only"`
}

func (s *service) handleIntrospect(ctx context.Context, in *introspectInput) (introspectResponse, error) {
	asks, err := identity.From(ctx)
	if err != nil {
		return introspectResponse{}, err
	}
	id, expires, ok, err := s.auth.Introspect(ctx, in.Body.Token)
	if err != nil {
		return introspectResponse{}, err
	}
	if id.Tenant != asks.Tenant && !asks.IsService() {
		return introspectResponse{}, nil // of other shops' people nobody is told
	}
	r := introspectResponse{Active: ok, Actor: id.Actor, Permissions: slices.Clone(id.Permissions), CustomerID: id.Customer, SecondFactorEnrolmentRequired: id.MustEnrol}
	if ok {
		r.ExpiresAt = &expires
	}
	for field, of := range map[*string]uuid.UUID{&r.TenantID: id.Tenant, &r.AccountID: id.Account, &r.SessionID: id.Session} {
		if of != uuid.Nil {
			*field = of.String()
		}
	}
	return r, nil
}
