package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

const (
	// freshness is how long a session is taken for what it was without asking again.
	freshness = 2 * time.Second
	// remembered bounds each memory; beyond it all are asked for anew.
	remembered = 10_000
)

// authenticator lets in who shows an access token. Its signature and the session behind it
// are checked every freshness: keys that are dropped and sessions that end act within it.
type authenticator struct {
	db      *db.DB
	tokens  Tokens
	now     clock.Clock
	tenants *tenant.Service
	store   store

	mu       sync.Mutex
	verified map[[32]byte]signed
	sessions map[uuid.UUID]seen
}

type signed struct {
	claims token.Claims
	at     time.Time
}

type seen struct {
	id identity.Identity
	at time.Time
}

func newAuthenticator(d *db.DB, tokens Tokens, now clock.Clock, tenants *tenant.Service) *authenticator {
	return &authenticator{db: d, tokens: tokens, now: now, tenants: tenants, verified: map[[32]byte]signed{}, sessions: map[uuid.UUID]seen{}}
}

// Recognises tells an access token by its look.
func (a *authenticator) Recognises(credential string) bool {
	_, ok := token.Looks(credential)
	return ok
}

// Authenticate finds out who has signed in. Of a session that is over it tells the tenant
// and the session only.
func (a *authenticator) Authenticate(ctx context.Context, credential string) (identity.Identity, bool, error) {
	c, err := a.claims(ctx, credential)
	if errors.Is(err, token.ErrInvalid) {
		return identity.Identity{}, false, nil
	}
	if err != nil {
		return identity.Identity{}, false, fmt.Errorf("check access token: %w", err)
	}
	now := a.now()
	a.mu.Lock()
	s, ok := a.sessions[c.Session]
	a.mu.Unlock()
	// A clock that was set back must not lengthen the life of a session.
	if age := now.Sub(s.at); ok && age >= 0 && age < freshness && s.id.Tenant == c.Tenant {
		return s.id, true, nil
	}
	id, ok, err := a.read(ctx, c)
	if err != nil {
		return identity.Identity{}, false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !ok {
		delete(a.sessions, c.Session)
		return identity.Identity{Tenant: c.Tenant, Session: c.Session}, false, nil
	}
	if len(a.sessions) >= remembered {
		clear(a.sessions)
	}
	a.sessions[c.Session] = seen{id, now}
	return id, true, nil
}

// forget has a session read again at its next use in this process.
func (a *authenticator) forget(session uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, session)
}

// claims of a token, unless they were read a moment ago.
func (a *authenticator) claims(ctx context.Context, raw string) (token.Claims, error) {
	hash := sha256.Sum256([]byte(raw))
	a.mu.Lock()
	v, ok := a.verified[hash]
	a.mu.Unlock()
	now := a.now()
	if age := now.Sub(v.at); ok && age >= 0 && age < freshness && now.Before(v.claims.Expires) {
		return v.claims, nil
	}
	c, err := a.tokens.Verify(ctx, raw)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		delete(a.verified, hash)
		return token.Claims{}, err
	}
	if len(a.verified) >= remembered {
		clear(a.verified)
	}
	a.verified[hash] = signed{c, now}
	return c, nil
}

// read asks what a session is worth now.
func (a *authenticator) read(ctx context.Context, c token.Claims) (id identity.Identity, ok bool, err error) {
	ctx = as(ctx, c.Tenant)
	var st standing
	err = a.db.Read(ctx, func(tx *db.Tx) error {
		st, ok, err = a.store.standing(ctx, tx, c.Session)
		return err
	})
	if err != nil || !ok || st.Account != c.Account {
		return identity.Identity{}, false, err
	}
	id = identity.Identity{Tenant: c.Tenant, Actor: actorOf(c.Account), Account: c.Account, Session: c.Session}
	return id, true, a.permit(ctx, st, &id)
}

// permit gives who acts what their account may do now.
func (a *authenticator) permit(ctx context.Context, st standing, id *identity.Identity) error {
	if kind(st.Kind) == customer {
		id.Customer, id.Permissions = st.Customer.String(), identity.Storefront()
		return nil
	}
	lacking, err := a.lacksSecondFactor(ctx, kind(st.Kind), listed(st.Methods))
	id.MustEnrol = lacking
	if id.Permissions = []string{}; err == nil && !lacking {
		id.Permissions = inOrder(append(permissionsOf(listed(st.Roles), nil), listed(st.Granted)...))
	}
	return err
}

// lacksSecondFactor tells of staff whose session was opened without one although the shop
// asks for it: they can do nothing but set one.
func (a *authenticator) lacksSecondFactor(ctx context.Context, k kind, methods []string) (bool, error) {
	if k != staff || slices.Contains(methods, byCode) {
		return false, nil
	}
	shop, err := a.tenants.Own(ctx)
	return shop.Settings.SecondFactorForStaff, err
}
