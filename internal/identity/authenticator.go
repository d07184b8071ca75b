package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

// authenticator lets in who shows an access token. Its signature and the session behind it
// are checked every memory.Freshness: keys that are dropped and sessions that end act within it.
type authenticator struct {
	db      *db.DB
	tokens  Tokens
	tenants *tenant.Directory
	store   store

	verified *memory.Memory[[32]byte, token.Claims]
	sessions *memory.Memory[uuid.UUID, worth]
}

// worth is what a session or a linked account is good for, whatever its shop asks of staff.
type worth struct {
	id identity.Identity
	// unproved says of staff that they have shown no second factor.
	unproved bool
}

func newAuthenticator(d *db.DB, tokens Tokens, now clock.Clock, tenants *tenant.Directory) *authenticator {
	return &authenticator{
		db: d, tokens: tokens, tenants: tenants,
		verified: memory.New[[32]byte](now, memory.Options[token.Claims]{Ends: func(c token.Claims) time.Time { return c.Expires }}),
		sessions: memory.New[uuid.UUID](now, memory.Options[worth]{}),
	}
}

// Recognises tells an access token by its look.
func (a *authenticator) Recognises(credential string) bool {
	_, ok := token.Looks(credential)
	return ok
}

// Authenticate finds out who has signed in. Of a session that is over it tells the tenant
// and the session only.
func (a *authenticator) Authenticate(ctx context.Context, credential string) (identity.Identity, bool, error) {
	c, _, err := a.verified.Get(ctx, sha256.Sum256([]byte(credential)), func(ctx context.Context) (token.Claims, bool, error) {
		c, err := a.tokens.Verify(ctx, credential)
		return c, err == nil, err
	})
	if errors.Is(err, token.ErrInvalid) {
		return identity.Identity{}, false, nil
	}
	if err != nil {
		return identity.Identity{}, false, fmt.Errorf("check access token: %w", err)
	}
	w, ok, err := a.sessions.Get(ctx, c.Session, func(ctx context.Context) (worth, bool, error) { return a.read(ctx, c) })
	return a.letIn(ctx, c, w, ok, err)
}

// Introspect finds out who has signed in for a deployment that remembers the answer as long
// as this one would: what is remembered here does not count.
func (a *authenticator) Introspect(ctx context.Context, credential string) (identity.Identity, time.Time, bool, error) {
	c, err := a.tokens.Verify(ctx, credential)
	if errors.Is(err, token.ErrInvalid) {
		return identity.Identity{}, time.Time{}, false, nil
	}
	if err != nil {
		return identity.Identity{}, time.Time{}, false, fmt.Errorf("check access token: %w", err)
	}
	w, ok, err := a.read(ctx, c)
	id, ok, err := a.letIn(ctx, c, w, ok, err)
	return id, c.Expires, ok, err
}

func (a *authenticator) letIn(ctx context.Context, c token.Claims, w worth, ok bool, err error) (identity.Identity, bool, error) {
	if err != nil {
		return identity.Identity{}, false, err
	}
	// Tokens that name one session are of one tenant: nobody else signs them.
	if !ok || w.id.Tenant != c.Tenant {
		return identity.Identity{Tenant: c.Tenant, Session: c.Session}, false, nil
	}
	id, err := a.admit(ctx, w)
	return id, err == nil, err
}

// forget has a session read again at its next use in this process.
func (a *authenticator) forget(session uuid.UUID) { a.sessions.Forget(session) }

// read asks what a session is worth now.
func (a *authenticator) read(ctx context.Context, c token.Claims) (w worth, ok bool, err error) {
	ctx = as(ctx, c.Tenant)
	var st standing
	err = a.db.Read(ctx, func(tx *db.Tx) error {
		st, ok, err = a.store.standing(ctx, tx, c.Session)
		return err
	})
	if err != nil || !ok || st.Account != c.Account {
		return worth{}, false, err
	}
	w = worthOf(c.Tenant, st)
	w.id.Session = c.Session
	return w, true, nil
}

// worthOf an account that acts: what it may do now.
func worthOf(shop uuid.UUID, st standing) worth {
	w := worth{id: identity.Identity{Tenant: shop, Actor: actorOf(st.Account), Account: st.Account}}
	if kind(st.Kind) == customer {
		w.id.Customer, w.id.Permissions = st.Customer.String(), identity.Storefront()
		return w
	}
	w.id.Permissions = inOrder(append(permissionsOf(listed(st.Roles), nil), listed(st.Granted)...))
	w.unproved = unproved(kind(st.Kind), listed(st.Methods))
	return w
}

// admit lets somebody act. Staff who have shown no second factor although the shop asks for
// it can do nothing but set one.
func (a *authenticator) admit(ctx context.Context, w worth) (identity.Identity, error) {
	if !w.unproved {
		return w.id, nil
	}
	shop, err := a.tenants.Terms(ctx, w.id.Tenant)
	if w.id.MustEnrol = shop.Settings.SecondFactorForStaff; w.id.MustEnrol {
		w.id.Permissions = []string{}
	}
	return w.id, err
}

// lacksSecondFactor tells of a session that is being opened whether it can do nothing but set one.
func (a *authenticator) lacksSecondFactor(ctx context.Context, k kind, methods []string) (bool, error) {
	shop, err := identity.From(ctx)
	if err != nil {
		return false, err
	}
	id, err := a.admit(ctx, worth{id: shop, unproved: unproved(k, methods)})
	return id.MustEnrol, err
}

func unproved(k kind, methods []string) bool { return k == staff && !slices.Contains(methods, byCode) }
