// Package oidc asks identity providers who somebody is (OpenID Connect Core 1.0), and
// checks the tokens that they sign. It knows no account.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	upstream "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

var (
	// ErrUnavailable means that a provider does not answer, or not as one does.
	ErrUnavailable = errors.New("the identity provider does not answer")
	// ErrRefused means that the provider, or what it signed, does not say who somebody is.
	ErrRefused = errors.New("the identity provider does not vouch for this")
)

// algorithms are those with a public key. A provider cannot make us accept others.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Registration is what a provider knows of us.
type Registration struct {
	Issuer   string
	ClientID string
	Secret   string // empty for a public client
	Redirect string // our address that it sends people back to
}

// Person is whom a provider vouches for.
type Person struct {
	Issuer   string
	Subject  string
	Email    string
	Verified bool // the provider has seen that the person reads what is sent there
	Name     string
	Strong   bool // the person has shown more than one proof (RFC 8176)
	Expires  time.Time
}

// Client asks providers. It remembers how they are reached and what they sign with.
type Client struct {
	out Outbound
	now clock.Clock

	mu    sync.Mutex
	known map[string]*provider
}

// remembered bounds how many providers are known at a time.
const remembered = 1000

// Outbound is the way to addresses that others have chosen.
type Outbound interface {
	Client() *http.Client
	Flaw(address string) string
}

// New makes a client.
func New(out Outbound, now clock.Clock) *Client {
	return &Client{out: out, now: now, known: map[string]*provider{}}
}

func (c *Client) provider(issuer string) *provider {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.known[issuer]
	if !ok {
		if len(c.known) >= remembered {
			clear(c.known)
		}
		p = newProvider(issuer, c.out.Client(), c.now)
		c.known[issuer] = p
	}
	return p
}

// Flow is what we have to remember of a sign-in while somebody is at the provider.
type Flow struct {
	State    string `json:"s"` // comes back with the person: what began here ends here
	Nonce    string `json:"n"` // comes back in the token: it was made for this sign-in
	Verifier string `json:"v"` // proves that who exchanges the code asked for it (RFC 7636)
}

// NewFlow draws what nobody can guess.
func NewFlow() Flow {
	return Flow{State: secret(), Nonce: secret(), Verifier: oauth2.GenerateVerifier()}
}

func secret() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// Continues reports whether a state that came back is the flow's.
func (f Flow) Continues(state string) bool {
	return f.State != "" && subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) == 1
}

// Begin says where to send somebody who wants to sign in.
func (c *Client) Begin(ctx context.Context, r Registration, f Flow) (address string, err error) {
	found, err := c.provider(r.Issuer).discovered(ctx)
	if err != nil {
		return "", err
	}
	if c.out.Flaw(found.Endpoint().AuthURL) != "" {
		return "", fmt.Errorf("%w: it signs people in at %q", ErrUnavailable, found.Endpoint().AuthURL)
	}
	return config(r, found).AuthCodeURL(f.State, upstream.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), nil
}

func config(r Registration, found *upstream.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: r.ClientID, ClientSecret: r.Secret, RedirectURL: r.Redirect, Endpoint: found.Endpoint(),
		Scopes: []string{upstream.ScopeOpenID, "email", "profile"},
	}
}

// Finish exchanges the code that came back for who somebody is.
func (c *Client) Finish(ctx context.Context, r Registration, f Flow, code string) (who Person, err error) {
	p := c.provider(r.Issuer)
	found, err := p.discovered(ctx)
	if err != nil {
		return Person{}, err
	}
	err = p.inQueue(ctx, func(ctx context.Context) error {
		who, err = c.exchange(ctx, p, found, r, f, code)
		return err
	})
	return who, err
}

func (c *Client) exchange(ctx context.Context, p *provider, found *upstream.Provider, r Registration, f Flow, code string) (Person, error) {
	ctx = upstream.ClientContext(ctx, c.out.Client())
	granted, err := config(r, found).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return Person{}, explain(err)
	}
	raw, _ := granted.Extra("id_token").(string)
	t, said, err := p.verify(ctx, raw, r.ClientID)
	if err != nil {
		return Person{}, err
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(f.Nonce)) != 1:
		return Person{}, fmt.Errorf("%w: the token was made for another sign-in", ErrRefused)
	case said.Party != "" && said.Party != r.ClientID, len(t.Audience) > 1 && said.Party == "":
		return Person{}, fmt.Errorf("%w: the token was made for another client", ErrRefused)
	}
	if said.Email == "" && found.UserInfoEndpoint() != "" {
		if err := moreOf(ctx, found, granted, t.Subject, &said); err != nil {
			return Person{}, err
		}
	}
	return person(t, said), nil
}

// moreOf asks for what a provider does not put into the token itself.
func moreOf(ctx context.Context, found *upstream.Provider, granted *oauth2.Token, subject string, said *claims) error {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(granted))
	if err != nil {
		return explain(err)
	}
	if info.Subject != subject {
		return fmt.Errorf("%w: it tells of somebody else", ErrRefused) // OpenID Connect Core, 5.3.2
	}
	proofs := said.Methods
	if err := info.Claims(said); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	said.Methods = proofs
	return nil
}

// Check reads a token that somebody shows us as a credential: the provider must have made
// it for the audience.
func (c *Client) Check(ctx context.Context, issuer, audience, raw string) (Person, error) {
	t, said, err := c.provider(issuer).verify(ctx, raw, audience)
	if err != nil {
		return Person{}, err
	}
	return person(t, said), nil
}

// claims beside those that every token has.
type claims struct {
	Party    string   `json:"azp"`
	Email    string   `json:"email"`
	Verified flag     `json:"email_verified"`
	Name     string   `json:"name"`
	Methods  []string `json:"amr"`
}

// flag is true or "true": some providers write it as text.
type flag bool

// UnmarshalJSON reads either form; everything else is false.
func (f *flag) UnmarshalJSON(text []byte) error {
	*f = string(text) == "true" || string(text) == `"true"`
	return nil
}

func person(t *upstream.IDToken, said claims) Person {
	strong := slices.ContainsFunc(said.Methods, func(m string) bool { return slices.Contains([]string{"mfa", "otp", "hwk", "swk"}, m) })
	return Person{
		Issuer: t.Issuer, Subject: t.Subject, Email: said.Email, Verified: bool(said.Verified), Name: said.Name, Strong: strong, Expires: t.Expiry,
	}
}

// explain tells a provider that refuses from one that cannot be asked.
func explain(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < http.StatusInternalServerError {
		return fmt.Errorf("%w: %s", ErrRefused, refused.ErrorCode)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
