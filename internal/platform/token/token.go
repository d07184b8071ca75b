// Package token signs and checks the access tokens of people who have signed in. A token
// names a session; what the session is worth is for others to ask.
package token

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Kinds of people who sign in. A token of one kind says so in its audience.
const (
	Staff    = "staff"
	Customer = "customer"
)

var audiences = map[string]string{Staff: "admin", Customer: "store"}

func kindOf(audience string) string {
	for kind, a := range audiences {
		if a == audience {
			return kind
		}
	}
	return ""
}

// Claims are what a token says.
type Claims struct {
	Tenant  uuid.UUID
	Account uuid.UUID
	Session uuid.UUID
	Kind    string   // Staff or Customer
	Methods []string // how the person proved who it is (RFC 8176): pwd, otp, …
	Expires time.Time
}

// Vault seals what must be read back.
type Vault interface {
	Seal(tenant uuid.UUID, purpose string, plain []byte) ([]byte, error)
	Open(tenant uuid.UUID, purpose string, sealed []byte) ([]byte, error)
}

// Options of the tokens.
type Options struct {
	DB        *db.DB
	Vault     Vault
	Clock     clock.Clock
	Issuer    string        // "fusion" when empty
	Algorithm string        // of new keys: RS256, also when empty, or EdDSA
	TTL       time.Duration // of a token; 15 minutes when it is 0
	Rotation  time.Duration // age at which a key is followed by the next; 90 days when it is 0
}

// Tokens issues and verifies access tokens.
type Tokens struct {
	opt  Options
	ring ring
}

const day = 24 * time.Hour

// New prepares the tokens. It does not reach for the database: the first use does.
func New(o Options) *Tokens {
	o.Issuer = cmp.Or(o.Issuer, "fusion")
	o.Algorithm = cmp.Or(o.Algorithm, RS256)
	o.TTL = cmp.Or(o.TTL, 15*time.Minute)
	o.Rotation = cmp.Or(o.Rotation, 90*day)
	if o.Clock == nil {
		o.Clock = clock.System
	}
	return &Tokens{opt: o, ring: ring{turn: make(chan struct{}, 1)}}
}

// mediaType tells an access token from other tokens that the same keys may sign (RFC 9068).
const mediaType = "at+jwt"

// claims as they are written (RFC 9068; tid is ours, sid as in OpenID Connect).
type claims struct {
	jwt.RegisteredClaims
	Tenant  uuid.UUID `json:"tid"`
	Session uuid.UUID `json:"sid"`
	Methods []string  `json:"amr"`
}

// Issue makes a token for a session.
func (t *Tokens) Issue(ctx context.Context, c Claims) (raw string, expires time.Time, err error) {
	audience, ok := audiences[c.Kind]
	if !ok {
		return "", time.Time{}, fmt.Errorf("issue token: there is no kind %q", c.Kind)
	}
	key, err := t.signer(ctx)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issue token: %w", err)
	}
	now := t.opt.Clock()
	written := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.opt.Issuer, Audience: jwt.ClaimStrings{audience}, Subject: c.Account.String(), ID: clock.NewID().String(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(t.opt.TTL)),
		},
		Tenant: c.Tenant, Session: c.Session, Methods: c.Methods,
	}
	unsigned := &jwt.Token{
		Header: map[string]any{"alg": key.Algorithm, "kid": key.ID, "typ": mediaType},
		Claims: written, Method: key.method,
	}
	if raw, err = unsigned.SignedString(key.private); err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return raw, written.ExpiresAt.UTC(), nil
}
