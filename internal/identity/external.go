package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/identity/oidc"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

// externalPatience is how long a request waits to learn who sends it: it is not counted with
// those that are worked on yet. What the provider says later, the next one finds.
const externalPatience = time.Second

var errVoucherAway = fault.New(fault.Unavailable, "dependency_unavailable", "The identity provider that signed the credential does not answer right now. Try again shortly.").After(2)

// external lets in who shows a token of an identity provider whose tokens the shop accepts.
// They act as the account that they are linked to.
type external struct {
	db        *db.DB
	providers providers
	tokens    Tokens
	accounts  *authenticator
	store     store
	seen      *memory.Memory[[32]byte, vouched]
}

// vouched is a token that is good.
type vouched struct {
	worth
	expires time.Time
}

func newExternal(d *db.DB, p providers, tokens Tokens, accounts *authenticator, now clock.Clock) *external {
	return &external{db: d, providers: p, tokens: tokens, accounts: accounts, seen: vouchedBy(now)}
}

func vouchedBy(now clock.Clock) *memory.Memory[[32]byte, vouched] {
	return memory.New[[32]byte](now, memory.Options[vouched]{Ends: func(v vouched) time.Time { return v.expires }})
}

// Recognises tells a token of somebody else's by its issuer.
func (e *external) Recognises(credential string) bool {
	issuer, ok := token.Looks(credential)
	return ok && issuer != "" && issuer != e.tokens.Issuer()
}

// Authenticate finds out whom the provider vouches for. The same issuer may serve many
// shops: the token counts for the one that the request is for.
func (e *external) Authenticate(ctx context.Context, credential string) (identity.Identity, bool, error) {
	shop, err := httpx.ShopAt(ctx)
	if err != nil {
		return identity.Identity{}, false, err
	}
	v, ok, err := e.seen.Get(ctx, sha256.Sum256([]byte(shop.String()+credential)), func(ctx context.Context) (vouched, bool, error) {
		return e.ask(as(ctx, shop), credential)
	})
	if err != nil || !ok {
		return identity.Identity{}, false, err
	}
	id, err := e.accounts.admit(ctx, v.worth)
	return id, err == nil, err
}

// ask looks for a provider that made the token, for us.
func (e *external) ask(ctx context.Context, credential string) (v vouched, ok bool, err error) {
	issuer, _ := token.Looks(credential)
	var accepted []provider
	if err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		accepted, err = e.store.acceptedProviders(ctx, tx, issuer)
		return err
	}); err != nil {
		return vouched{}, false, fmt.Errorf("check token of a provider: %w", err)
	}
	for _, p := range accepted {
		who, err := e.check(ctx, p, credential)
		if errors.Is(err, oidc.ErrRefused) {
			continue
		}
		if errors.Is(err, oidc.ErrUnavailable) {
			return vouched{}, false, fmt.Errorf("%w: %w", errVoucherAway, err)
		}
		if err != nil {
			return vouched{}, false, fmt.Errorf("check token of a provider: %w", err)
		}
		// The same issuer may vouch for staff by one provider and for customers by another.
		if v, ok, err := e.stand(ctx, p, who); ok || err != nil {
			return v, ok, err
		}
	}
	return vouched{}, false, nil
}

func (e *external) check(ctx context.Context, p provider, credential string) (oidc.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, externalPatience)
	defer cancel()
	return e.providers.Check(ctx, p.Issuer, p.Audience, credential)
}

// stand asks what the account of a person is worth now.
func (e *external) stand(ctx context.Context, p provider, who oidc.Person) (v vouched, ok bool, err error) {
	shop, err := identity.From(ctx)
	if err != nil {
		return vouched{}, false, err
	}
	if who.Email != "" && !p.admits(who.Email) {
		return vouched{}, false, nil
	}
	var st standing
	if err := e.db.Read(ctx, func(tx *db.Tx) error {
		st, ok, err = e.store.standingOf(ctx, tx, who.Issuer, who.Subject)
		return err
	}); err != nil || !ok || kind(st.Kind) != p.Kind {
		return vouched{}, false, err
	}
	if who.Strong {
		st.Methods = byCode
	}
	return vouched{worthOf(shop.Tenant, st), who.Expires}, true, nil
}
