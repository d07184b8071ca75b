package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	upstream "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

const (
	// freshness is how long we believe what a provider said of itself.
	freshness = time.Hour
	// pace is the least time between two questions to a provider for keys that it may have
	// made since, or while it does not answer: anybody can make names of keys up.
	pace = 10 * time.Second
	// longest a token may be.
	longest = 16 << 10
)

// provider is what we know of one.
type provider struct {
	issuer string
	http   *http.Client
	now    clock.Clock

	turn  chan struct{} // held by who reads or changes what follows
	found *upstream.Provider
	keys  []jose.JSONWebKey
	at    time.Time // when it answered last
	asked time.Time
	err   error // of the last question
}

func newProvider(issuer string, client *http.Client, now clock.Clock) *provider {
	return &provider{issuer: issuer, http: client, now: now, turn: make(chan struct{}, 1)}
}

// discovered is how the provider is reached.
func (p *provider) discovered(ctx context.Context) (*upstream.Provider, error) {
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer p.give()
	if err := p.known(ctx); err != nil {
		return nil, err
	}
	return p.found, nil
}

func (p *provider) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *provider) give() { <-p.turn }

// known asks the provider unless it has answered lately. One that does not answer is left
// alone for a while, and what it said before goes on to count.
func (p *provider) known(ctx context.Context) error {
	now := p.now()
	if p.found != nil && within(now, p.at, freshness) {
		return nil
	}
	if p.asked.IsZero() || !within(now, p.asked, pace) {
		p.ask(ctx)
	}
	if p.found == nil {
		return p.err
	}
	return nil
}

// within tells whether something was lately. A clock that was set back does not make it so.
func within(now, then time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= 0 && age < d
}

// ask reads what the provider says of itself, and its keys.
func (p *provider) ask(ctx context.Context) {
	p.asked = p.now()
	found, keys, err := p.read(ctx)
	if err != nil {
		p.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		if ctx.Err() != nil {
			p.asked = time.Time{} // whoever asked has gone: that says nothing of the provider
		}
		return
	}
	p.found, p.keys, p.at, p.err = found, keys, p.asked, nil
}

func (p *provider) read(ctx context.Context) (*upstream.Provider, []jose.JSONWebKey, error) {
	found, err := upstream.NewProvider(upstream.ClientContext(ctx, p.http), p.issuer)
	if err != nil {
		return nil, nil, err
	}
	var said struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&said); err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, said.Keys, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("GET %s: %s", said.Keys, answer.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		return nil, nil, fmt.Errorf("GET %s: %w", said.Keys, err)
	}
	return found, signing(set.Keys), nil
}

// signing are the keys of a set that sign, and that are public: a secret in it would be one
// that everybody knows.
func signing(all []jose.JSONWebKey) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, k := range all {
		if k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	return keys
}

// verify checks a token of the provider's that is meant for an audience.
func (p *provider) verify(ctx context.Context, raw, audience string) (*upstream.IDToken, claims, error) {
	keys, err := p.named(ctx, raw)
	if err != nil {
		return nil, claims{}, err
	}
	verifier := upstream.NewVerifier(p.issuer, keys, &upstream.Config{ClientID: audience, SupportedSigningAlgs: algorithms, Now: p.now})
	t, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, claims{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if t.Subject == "" {
		return nil, claims{}, fmt.Errorf("%w: it names nobody", ErrRefused)
	}
	var said claims
	if err := t.Claims(&said); err != nil {
		return nil, claims{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return t, said, nil
}

// named are the keys that a token can be signed with.
func (p *provider) named(ctx context.Context, raw string) (*upstream.StaticKeySet, error) {
	kid, err := kidOf(raw)
	if err != nil {
		return nil, err
	}
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer p.give()
	if err := p.known(ctx); err != nil {
		return nil, err
	}
	if p.matching(kid) == nil && !within(p.now(), p.asked, pace) {
		p.ask(ctx)
	}
	set := p.matching(kid)
	if set == nil {
		return nil, fmt.Errorf("%w: there is no key %q", ErrRefused, kid)
	}
	return set, nil
}

func (p *provider) matching(kid string) *upstream.StaticKeySet {
	var set upstream.StaticKeySet
	for _, k := range p.keys {
		if kid == "" || k.KeyID == kid {
			set.PublicKeys = append(set.PublicKeys, k.Key)
		}
	}
	if len(set.PublicKeys) == 0 {
		return nil
	}
	return &set
}

// kidOf reads which key a token says that it is signed with; a provider with one key may
// leave it out.
func kidOf(raw string) (string, error) {
	first, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || len(raw) > longest {
		return "", fmt.Errorf("%w: that is no token", ErrRefused)
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return "", fmt.Errorf("%w: that is no token", ErrRefused)
	}
	return header.KeyID, nil
}
