package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// ErrInvalid means that a token is none of ours, or not any more. What exactly is wrong
// with it is for the log: who shows it learns nothing.
var ErrInvalid = errors.New("invalid token")

const (
	// longest a token may be; ours have less than 1 KiB.
	longest = 4 << 10
	// leeway is how far the clocks of the shop's machines may be apart: for the moment from
	// which a token is good, never for the one at which it ends.
	leeway = 30 * time.Second
)

// Looks tells a signed token from other credentials by its look, and says who it claims
// made it. Nothing of it is checked.
func Looks(raw string) (issuer string, ok bool) {
	parts := strings.Split(raw, ".")
	if len(raw) > longest || len(parts) != 3 || !strings.HasPrefix(raw, "eyJ") {
		return "", false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", true
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(body, &said) != nil {
		return "", true
	}
	return said.Issuer, true
}

// Issuer is the name that our tokens bear.
func (t *Tokens) Issuer() string { return t.opt.Issuer }

// Verify checks a token: its form, its signature by a key of ours, whom it is for and its
// time. Whether its session still is one, it cannot tell.
func (t *Tokens) Verify(ctx context.Context, raw string) (Claims, error) {
	kid, err := readHeader(raw)
	if err != nil {
		return Claims{}, err
	}
	key, known, err := t.find(ctx, kid)
	if err != nil {
		return Claims{}, fmt.Errorf("verify token: %w", err)
	}
	if !known {
		return Claims{}, fmt.Errorf("%w: there is no key %q", ErrInvalid, kid)
	}
	var c claims
	// The algorithm is the key's. What the token says of it can only be wrong.
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{key.Algorithm}), jwt.WithStrictDecoding(), jwt.WithIssuer(t.opt.Issuer), jwt.WithTimeFunc(t.opt.Clock),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
	)
	if _, err := parser.ParseWithClaims(raw, &c, func(*jwt.Token) (any, error) { return key.public, nil }); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return t.said(c)
}

// said is what signed claims mean, if they are still good and make sense.
func (t *Tokens) said(c claims) (Claims, error) {
	if !t.opt.Clock().Before(c.ExpiresAt.Time) {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, jwt.ErrTokenExpired)
	}
	if len(c.Audience) != 1 || kindOf(c.Audience[0]) == "" {
		return Claims{}, fmt.Errorf("%w: it is for %v", ErrInvalid, c.Audience)
	}
	account, err := uuid.Parse(c.Subject)
	if err != nil || account == uuid.Nil || c.Tenant == uuid.Nil || c.Session == uuid.Nil {
		return Claims{}, fmt.Errorf("%w: it names no account, session or tenant", ErrInvalid)
	}
	return Claims{
		Tenant: c.Tenant, Account: account, Session: c.Session, Kind: kindOf(c.Audience[0]), Methods: c.Methods, Expires: c.ExpiresAt.UTC(),
	}, nil
}

// readHeader reads the header that ours have, and says which key is to have signed. It is a
// list of what is allowed: whatever else a header can say (crit, jwk, jku, x5u, zip, …) is
// asking to be believed before anything is known of who wrote it (RFC 8725, 3.1 and 3.10).
func readHeader(raw string) (kid string, err error) {
	if len(raw) > longest {
		return "", fmt.Errorf("%w: it has %d characters", ErrInvalid, len(raw))
	}
	first, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	said := map[string]string{}
	if err := json.Unmarshal(text, &said); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(said) != 3 || said["alg"] == "" || said["typ"] != mediaType {
		return "", fmt.Errorf("%w: its header is not one of ours", ErrInvalid)
	}
	return said["kid"], nil
}
