package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
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
	// patience is how long a provider may take to say what it is and what it signs with.
	patience = 3 * time.Second
	// exchangePatience is how long it may take to say who somebody is.
	exchangePatience = 5 * time.Second
	// queue is how many may wait for a provider at a time.
	queue = 8
	// longest a token may be.
	longest = 16 << 10
)

// provider is what we know of one. Nobody who asks for what is known waits for who asks the
// provider itself.
type provider struct {
	issuer string
	http   *http.Client
	now    clock.Clock

	mu      sync.Mutex
	known   knowledge
	asked   time.Time
	err     error         // of the last question
	asking  chan struct{} // closed when the question in hand is answered; nil: there is none
	waiting int           // for that, or for an exchange
}

// knowledge is what a provider said when it answered last.
type knowledge struct {
	found *upstream.Provider
	keys  []jose.JSONWebKey
	at    time.Time
}

func newProvider(issuer string, client *http.Client, now clock.Clock) *provider {
	return &provider{issuer: issuer, http: client, now: now}
}

// discovered is how the provider is reached.
func (p *provider) discovered(ctx context.Context) (*upstream.Provider, error) {
	k, err := p.lately(ctx)
	return k.found, err
}

// lately is what the provider has said in the last while. Of one that does not answer, what
// it said before goes on to count.
func (p *provider) lately(ctx context.Context) (knowledge, error) {
	k, err := p.when(ctx, func(k knowledge) bool { return k.found != nil && within(p.now(), k.at, freshness) })
	if k.found != nil {
		return k, nil
	}
	return k, err
}

// when asks the provider unless what is known is enough, and answers what is known then and
// why it is not more. A provider that was asked a moment ago is left alone for a while.
func (p *provider) when(ctx context.Context, enough func(knowledge) bool) (knowledge, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if enough(p.known) {
		return p.known, nil
	}
	if p.asking == nil && (p.asked.IsZero() || !within(p.now(), p.asked, pace)) {
		p.asked, p.asking = p.now(), make(chan struct{})
		go p.ask(context.WithoutCancel(ctx), p.asking)
	}
	if p.asking == nil {
		return p.known, p.err
	}
	if err := p.enter(); err != nil {
		return p.known, err
	}
	defer p.leave()
	asking := p.asking
	p.mu.Unlock()
	var gone error
	select {
	case <-asking:
	case <-ctx.Done():
		gone = fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	p.mu.Lock()
	if gone != nil {
		return p.known, gone
	}
	return p.known, p.err
}

// enter counts who waits for the provider: of those who come to a slow one, a few only are
// kept, since each of them keeps others of the program from being served.
func (p *provider) enter() error {
	if p.waiting >= queue {
		return fmt.Errorf("%w: others wait for it already", ErrUnavailable)
	}
	p.waiting++
	return nil
}

func (p *provider) leave() { p.waiting-- }

// inQueue does what asks the provider for one person only.
func (p *provider) inQueue(ctx context.Context, do func(context.Context) error) error {
	p.mu.Lock()
	err := p.enter()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leave()
	}()
	ctx, cancel := context.WithTimeout(ctx, exchangePatience)
	defer cancel()
	return do(ctx)
}

// within tells whether something was lately. A clock that was set back does not make it so.
func within(now, then time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= 0 && age < d
}

// ask reads what the provider says of itself, and its keys. It goes on when who asked has
// gone: the answer is everybody's.
func (p *provider) ask(ctx context.Context, answered chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, keys, err := p.read(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	} else {
		p.known, p.err = knowledge{found, keys, p.asked}, nil
	}
	p.asking = nil
	close(answered)
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
	k, err := p.lately(ctx)
	if err != nil {
		return nil, err
	}
	if set := k.matching(kid); set != nil {
		return set, nil
	}
	k, err = p.when(ctx, func(k knowledge) bool { return k.matching(kid) != nil })
	set := k.matching(kid)
	switch {
	case set == nil && err != nil:
		return nil, err
	case set == nil:
		return nil, fmt.Errorf("%w: there is no key %q", ErrRefused, kid)
	}
	return set, nil
}

func (k knowledge) matching(kid string) *upstream.StaticKeySet {
	var set upstream.StaticKeySet
	for _, key := range k.keys {
		if kid == "" || key.KeyID == kid {
			set.PublicKeys = append(set.PublicKeys, key.Key)
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
