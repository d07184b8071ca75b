package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/identity/oidc"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var (
	errFlow            = fault.New(fault.Malformed, "sign_in_expired", "This sign-in was not begun in this browser, or too long ago. Begin again.")
	errNotVouched      = fault.New(fault.Unauthenticated, "provider_refused", "The identity provider does not say who you are.")
	errNotInvited      = fault.New(fault.Forbidden, "not_invited", "The identity provider says who you are, and nobody here has invited you.")
	errSignInOtherwise = fault.New(fault.Conflict, "account_exists", "There is an account with this e-mail address. Sign in to it as you always did.")
	errProviderAway    = fault.New(fault.Unavailable, "provider_unavailable", "The identity provider does not answer right now. Try again shortly.").After(10)
)

// providers asks identity providers who somebody is.
type providers interface {
	Begin(ctx context.Context, r oidc.Registration, f oidc.Flow) (address string, err error)
	Finish(ctx context.Context, r oidc.Registration, f oidc.Flow, code string) (oidc.Person, error)
	Check(ctx context.Context, issuer, audience, raw string) (oidc.Person, error)
}

// destinations says what is wrong with an address that the program would have to ask.
type destinations interface{ Flaw(address string) string }

const (
	// flowCookie keeps a sign-in while somebody is at the provider, sealed: its verifier is
	// worth as much as the code that comes back.
	flowCookie  = "fusion_sign_in"
	flowLife    = 10 * time.Minute
	flowPurpose = "oidc-flow"
	// byProvider is how somebody proved who it is: to somebody else.
	byProvider = "sso"
)

// begun is a sign-in that goes on at a provider.
type begun struct {
	oidc.Flow
	Provider uuid.UUID `json:"p"`
	Until    time.Time `json:"t"`
	Return   string    `json:"r,omitempty"` // the page that it ends at; empty: at our answer
}

// explained makes of what a provider did what callers can act on.
func explained(err error) error {
	switch {
	case errors.Is(err, oidc.ErrRefused):
		return fmt.Errorf("%w: %w", errNotVouched, err)
	case errors.Is(err, oidc.ErrUnavailable):
		return fmt.Errorf("%w: %w", errProviderAway, err)
	}
	return err
}

// registration is what a provider knows of us. It sends people back to where browsers find
// the shop.
func (s *service) registration(ctx context.Context, p provider) (oidc.Registration, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return oidc.Registration{}, err
	}
	r := oidc.Registration{Issuer: p.Issuer, ClientID: p.ClientID}
	if len(p.ClientSecret) > 0 {
		secret, err := s.vault.Open(id.Tenant, sealedFor, p.ClientSecret)
		if err != nil {
			return oidc.Registration{}, err
		}
		r.Secret = string(secret)
	}
	at, err := httpx.ShopURL(ctx)
	r.Redirect = at + "/v1/auth/oidc/" + p.Slug + "/callback"
	return r, err
}

func (s *service) openProvider(ctx context.Context, slug string) (p provider, r oidc.Registration, err error) {
	if err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err = s.store.openProvider(ctx, tx, slug)
		return err
	}); err != nil {
		return provider{}, oidc.Registration{}, err
	}
	r, err = s.registration(ctx, p)
	return p, r, err
}

// beginAt starts a sign-in at a provider: where to go, and what the browser keeps meanwhile.
// With a page to return to, it ends there.
func (s *service) beginAt(ctx context.Context, slug, returnTo string) (address, cookie string, err error) {
	if returnTo, err = pageOf(ctx, returnTo); err != nil {
		return "", "", err
	}
	p, r, err := s.openProvider(ctx, slug)
	if err != nil {
		return "", "", err
	}
	f := oidc.NewFlow()
	if address, err = s.providers.Begin(ctx, r, f); err != nil {
		return "", "", explained(err)
	}
	cookie, err = s.sealFor(ctx, flowPurpose, begun{Flow: f, Provider: p.ID, Until: s.now().Add(flowLife), Return: returnTo})
	return address, cookie, err
}

// sealFor makes of v what a browser keeps and cannot read.
func (s *service) sealFor(ctx context.Context, purpose string, v any) (string, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("keep sign-in: %w", err)
	}
	sealed, err := s.vault.Seal(id.Tenant, purpose, text)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// unseal opens what a browser kept. Whatever is wrong with it, the sign-in begins again.
func (s *service) unseal(ctx context.Context, purpose, cookie string, v any) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		return errFlow
	}
	text, err := s.vault.Open(id.Tenant, purpose, sealed)
	if err != nil || json.Unmarshal(text, v) != nil {
		return errFlow
	}
	return nil
}

// flowOf is the sign-in that the browser kept.
func (s *service) flowOf(ctx context.Context, cookie string, p provider, state string) (b begun, err error) {
	if err := s.unseal(ctx, flowPurpose, cookie, &b); err != nil {
		return begun{}, err
	}
	if b.Provider != p.ID || !s.now().Before(b.Until) || !b.Continues(state) {
		return begun{}, errFlow
	}
	return b, nil
}

// comeback is somebody who comes back from a provider.
type comeback struct {
	Slug, Cookie       string
	Code, State, Error string
	Issuer             string // RFC 9207: who sends them, if the provider says so
	From               httpx.Remote
}

// arrival is how a sign-in at a provider ended: with a grant, or at a page of the shop.
type arrival struct {
	Grant  grant
	Page   string // empty: there is none
	Cookie string // what the browser keeps for the page
}

// finishAt signs in who comes back from a provider.
func (s *service) finishAt(ctx context.Context, c comeback) (arrival, error) {
	p, r, err := s.openProvider(ctx, c.Slug)
	if err != nil {
		return arrival{}, err
	}
	b, err := s.flowOf(ctx, c.Cookie, p, c.State)
	if err != nil {
		return arrival{}, err
	}
	who, err := s.vouchedFor(ctx, p, r, b, c)
	if b.Return != "" {
		return s.endAtPage(ctx, p, who, c.From, b.Return, err)
	}
	if err != nil {
		return arrival{}, err
	}
	g, err := s.admitFrom(ctx, p, who, c.From, refreshLife)
	if err != nil {
		return arrival{}, err
	}
	g, err = s.issue(ctx, g)
	return arrival{Grant: g}, err
}

// vouchedFor asks the provider who has come back.
func (s *service) vouchedFor(ctx context.Context, p provider, r oidc.Registration, b begun, c comeback) (oidc.Person, error) {
	if c.Error != "" || c.Code == "" || c.Issuer != "" && c.Issuer != p.Issuer {
		return oidc.Person{}, errNotVouched
	}
	who, err := s.providers.Finish(ctx, r, b.Flow, c.Code)
	return who, explained(err)
}

// admitFrom opens a session for whom a provider vouches for, which lasts so long unless
// somebody goes on with it.
func (s *service) admitFrom(ctx context.Context, p provider, who oidc.Person, from httpx.Remote, life time.Duration) (g grant, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return grant{}, err
	}
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		a, err := s.accountOf(ctx, tx, p, who)
		if err != nil {
			return err
		}
		g = grant{Account: a, Session: session{
			ID: clock.NewID(), Account: a.ID, Epoch: a.Epoch, IP: from.IP.String(), UserAgent: shown(from.UserAgent), Methods: []string{byProvider},
		}}
		if who.Strong {
			g.Session.Methods = append(g.Session.Methods, byCode)
		}
		var hash []byte
		g.Refresh, hash = newOpaque(refreshPrefix, id.Tenant)
		if err := s.store.insertSession(ctx, tx, g.Session, life); err != nil {
			return err
		}
		if err := s.store.insertRefresh(ctx, tx, hash, g.Session.ID, life); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "login", Entity: "account", EntityID: a.ID.String(), Status: http.StatusOK, Actor: actorOf(a.ID)})
	})
	return g, err
}

// accountOf is the account of whom a provider vouches for: the one that is linked to them,
// or the one that they are linked to now, for ever.
func (s *service) accountOf(ctx context.Context, tx *db.Tx, p provider, who oidc.Person) (account, error) {
	if who.Email != "" && !p.admits(who.Email) {
		return account{}, errNotInvited
	}
	linked, ok, err := s.store.linked(ctx, tx, who.Issuer, who.Subject)
	if err != nil {
		return account{}, err
	}
	if !ok {
		return s.firstTime(ctx, tx, p, who)
	}
	a, err := s.store.lock(ctx, tx, linked)
	if err != nil {
		return account{}, err
	}
	if a.Kind != p.Kind || a.Status == disabled {
		return account{}, errNotInvited
	}
	if a.Status == active {
		return a, nil
	}
	return s.open(ctx, tx, a)
}

// firstTime links whom a provider vouches for. An e-mail address alone, that of a provider's
// choice, opens no account that somebody uses already.
func (s *service) firstTime(ctx context.Context, tx *db.Tx, p provider, who oidc.Person) (account, error) {
	if !who.Verified || len(flawsOfEmail(who.Email)) > 0 {
		return account{}, errNotInvited
	}
	a, known, err := s.store.byEmail(ctx, tx, keyOf(who.Email))
	if err != nil {
		return account{}, err
	}
	switch {
	case !known:
		a, err = s.newcomer(ctx, tx, p, who)
	case p.Kind == staff && a.mayGiveWay():
		// Of one that was proven meanwhile the newcomer hears that there is an account.
		if _, err = s.giveWay(ctx, tx, a); err == nil {
			a, err = s.newcomer(ctx, tx, p, who)
		}
	case p.Kind == staff && a.Kind == staff && a.Status == invited:
		if a, err = s.store.lock(ctx, tx, a.ID); err == nil {
			a, err = s.open(ctx, tx, a)
		}
	default:
		err = errSignInOtherwise
	}
	if err != nil {
		return account{}, err
	}
	return a, s.store.link(ctx, tx, who.Issuer, who.Subject, a.ID)
}

// open lets an account of the staff be used that was waiting for its owner.
func (s *service) open(ctx context.Context, tx *db.Tx, a account) (account, error) {
	if a.Status != invited {
		return account{}, errSignInOtherwise
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return account{}, err
	}
	a.Status, a.VerifiedAt = active, &now
	a.touch(now)
	if err := s.store.save(ctx, tx, a); err != nil {
		return account{}, err
	}
	return a, s.publishUpdated(ctx, tx, a)
}

// newcomer makes an account of who comes for the first time.
func (s *service) newcomer(ctx context.Context, tx *db.Tx, p provider, who oidc.Person) (account, error) {
	if p.Kind == staff && len(p.Roles) == 0 {
		return account{}, errNotInvited
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return account{}, err
	}
	a := account{
		ID: clock.NewID(), Kind: p.Kind, Email: strings.TrimSpace(who.Email), EmailKey: keyOf(who.Email), Name: nameOf(who), Roles: p.Roles,
		Status: active, VerifiedAt: &now, Version: 1, Epoch: 1, CreatedAt: now, UpdatedAt: now,
	}
	if a.Kind == customer {
		a.Customer = clock.NewID()
	}
	made, err := s.store.insert(ctx, tx, a)
	if err != nil {
		return account{}, err
	}
	if !made {
		return account{}, errSignInOtherwise // somebody with the address was faster
	}
	if err := s.store.save(ctx, tx, a); err != nil { // that the address is verified
		return account{}, err
	}
	if a.Kind == customer {
		if err := s.customers.registered(ctx, tx, a.Customer, a.Email, a.Name); err != nil {
			return account{}, err
		}
		return a, s.events.Publish(ctx, tx, identityapi.CustomerRegistered{CustomerID: a.Customer.String(), AccountID: a.ID.String()})
	}
	return a, s.publishUpdated(ctx, tx, a)
}

// maxName is that of an account.
const maxName = 200

// nameOf is what a provider calls somebody, if that is fit to be shown.
func nameOf(who oidc.Person) string {
	name := []rune(shown(strings.TrimSpace(who.Name)))
	return string(name[:min(len(name), maxName)])
}
