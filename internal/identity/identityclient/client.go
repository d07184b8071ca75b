// Package identityclient lets in who has signed in at another deployment of the shop. It
// asks that one what an access token is worth, and remembers the answer for a moment.
package identityclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

const (
	// patience with the other deployment: somebody waits for the answer.
	patience = 2 * time.Second
	attempts = 2
	// maxAnswer is far above what can be said of one person.
	maxAnswer   = 1 << 20
	connections = 64
)

// ErrUnavailable means that the deployment with the accounts does not answer in time, or not
// as it should.
var ErrUnavailable = fault.New(fault.Unavailable, "dependency_unavailable", "Who has signed in cannot be asked for right now.").After(2)

// Client of the deployment that has the accounts. It is an httpx.Authenticator.
type Client struct {
	url  string
	key  string
	http *http.Client

	known *memory.Memory[[32]byte, known]
}

// known is who has signed in, until the token ends.
type known struct {
	id   identity.Identity
	ends time.Time
}

// New makes a client. key is the one that the deployments of a shop share; trust says which
// certificates are believed and shown, nil as the system does.
func New(base, key string, trust *tls.Config, now clock.Clock) *Client {
	// A clone: HTTP/2 writes its protocols into it, and others have the same.
	transport := &http.Transport{TLSClientConfig: trust.Clone(), MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	return &Client{url: strings.TrimSuffix(base, "/"), key: key, http: &http.Client{Transport: transport}, known: memory.New[[32]byte](now, memory.Options[known]{Ends: func(k known) time.Time { return k.ends }})}
}

// Recognises tells an access token by its look.
func (c *Client) Recognises(credential string) bool {
	_, ok := token.Looks(credential)
	return ok
}

// Authenticate asks who has signed in. Tokens that are worth nothing are not remembered.
func (c *Client) Authenticate(ctx context.Context, credential string) (identity.Identity, bool, error) {
	k, ok, err := c.known.Get(ctx, sha256.Sum256([]byte(credential)), func(ctx context.Context) (known, bool, error) {
		k, ok, err := c.ask(ctx, credential)
		if err != nil {
			return known{}, false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return k, ok, nil
	})
	return k.id, ok, err
}

// answer is what the other deployment says of a token.
type answer struct {
	Active      *bool     `json:"active"`
	Tenant      uuid.UUID `json:"tenantId"`
	Actor       string    `json:"actor"`
	Permissions []string  `json:"permissions"`
	Customer    string    `json:"customerId"`
	Account     uuid.UUID `json:"accountId"`
	Session     uuid.UUID `json:"sessionId"`
	MustEnrol   bool      `json:"secondFactorEnrolmentRequired"`
	Ends        time.Time `json:"expiresAt"`
}

// ask asks once more for an answer that did not come, as happens when the other deployment
// is replaced by a new version: asking changes nothing there.
func (c *Client) ask(ctx context.Context, credential string) (k known, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var a answer
	for range attempts {
		if a, err = c.once(ctx, credential); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return known{}, false, err
	}
	if !*a.Active {
		return known{id: identity.Identity{Tenant: a.Tenant, Session: a.Session}}, false, nil
	}
	return known{identity.Identity{
		Tenant: a.Tenant, Actor: a.Actor, Permissions: a.Permissions, Customer: a.Customer, Account: a.Account, Session: a.Session, MustEnrol: a.MustEnrol,
	}, a.Ends}, true, nil
}

func (c *Client) once(ctx context.Context, credential string) (answer, error) {
	body, err := json.Marshal(map[string]string{"token": credential})
	if err != nil {
		return answer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/auth/introspect", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+identity.ServiceCredential(c.key, identity.DefaultTenant))
	if origin := event.OriginFrom(ctx); origin.CorrelationID != "" {
		r.Header.Set("X-Request-Id", origin.CorrelationID)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("%s answered %s: %.200s", c.url, resp.Status, text)
	}
	return read(text)
}

func read(text []byte) (a answer, err error) {
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("read what a token is worth: %w", err)
	}
	if a.Active == nil || *a.Active && (a.Tenant == uuid.Nil || a.Actor == "") {
		return a, errors.New("read what a token is worth: the answer does not say")
	}
	return a, nil
}
