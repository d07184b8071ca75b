package apikey

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
)

// actorPrefix begins the names under which keys act.
const actorPrefix = "key:"

// Verifier checks credentials at the edge. It remembers good keys for a moment, so
// that a busy client costs no query a request; bad ones are always looked up.
type Verifier struct {
	db        *db.DB
	now       clock.Clock
	bootstrap [32]byte
	hasBoot   bool
	service   [32]byte
	hasPeers  bool

	known *memory.Memory[[32]byte, checked]

	mu   sync.Mutex
	used map[uuid.UUID]use
}

// checked is what is known of a key.
type checked struct {
	id   identity.Identity
	key  uuid.UUID
	from []netip.Prefix // from anywhere when there are none
	ends time.Time      // zero: not by itself
}

// NewVerifier checks against the database and, when it is not empty, against the
// bootstrap key of the configuration: an owner of the default tenant; and the service key,
// with which other deployments of the shop ask.
func NewVerifier(d *db.DB, now clock.Clock, bootstrap, service string) *Verifier {
	return &Verifier{
		db: d, now: now, bootstrap: sha256.Sum256([]byte(bootstrap)), hasBoot: bootstrap != "",
		service: sha256.Sum256([]byte(service)), hasPeers: service != "",
		known: memory.New[[32]byte](now, memory.Options[checked]{Ends: func(c checked) time.Time { return c.ends }}), used: map[uuid.UUID]use{},
	}
}

// Recognises tells a key, the bootstrap key and a service credential from what is none.
func (v *Verifier) Recognises(token string) bool {
	return strings.HasPrefix(token, Prefix) || strings.HasPrefix(token, PublishablePrefix) || v.isBootstrap(sha256.Sum256([]byte(token))) || strings.Contains(token, "@")
}

func (v *Verifier) isBootstrap(hash [32]byte) bool {
	return v.hasBoot && subtle.ConstantTimeCompare(hash[:], v.bootstrap[:]) == 1
}

func (v *Verifier) isService(key string) bool {
	shown := sha256.Sum256([]byte(key))
	return v.hasPeers && subtle.ConstantTimeCompare(shown[:], v.service[:]) == 1
}

// Knows tells the bootstrap key and the service key, of which nobody has to be asked.
func (v *Verifier) Knows(token string) bool {
	key, _, ok := identity.CutServiceCredential(token)
	return ok && v.isService(key) || v.isBootstrap(sha256.Sum256([]byte(token)))
}

// Authenticate finds out whose key it is.
func (v *Verifier) Authenticate(ctx context.Context, token string) (identity.Identity, bool, error) {
	hash := sha256.Sum256([]byte(token))
	if v.isBootstrap(hash) {
		return identity.Identity{Tenant: identity.DefaultTenant, Actor: identity.ActorBootstrap, Permissions: []string{identity.Everything}}, true, nil
	}
	if key, tenant, ok := identity.CutServiceCredential(token); ok && v.isService(key) {
		return identity.Service(tenant), true, nil
	}
	c, ok, err := v.known.Get(ctx, hash, func(ctx context.Context) (checked, bool, error) { return v.check(ctx, hash) })
	if err != nil || !ok {
		return identity.Identity{}, false, err
	}
	if ip := httpx.Caller(ctx).IP; len(c.from) > 0 && !slices.ContainsFunc(c.from, func(n netip.Prefix) bool { return n.Contains(ip) }) {
		return identity.Identity{}, false, httpx.ErrAddress
	}
	v.note(c)
	return c.id, true, nil
}

// check looks a key up.
func (v *Verifier) check(ctx context.Context, hash [32]byte) (checked, bool, error) {
	now := v.now()
	rows, err := db.Query[found](ctx, v.db, `
		select tenant_id, id, kind, permissions, origins, allowed_ips, requests_per_minute, good_for from platform.find_api_key($1)`, hash[:])
	if err != nil {
		return checked{}, false, fmt.Errorf("check key: %w", err)
	}
	if len(rows) == 0 {
		return checked{}, false, nil
	}
	c, err := rows[0].checked(now)
	return c, err == nil, err
}

// found is a key that is good now.
type found struct {
	Tenant            uuid.UUID      `db:"tenant_id"`
	ID                uuid.UUID      `db:"id"`
	Kind              Kind           `db:"kind"`
	Permissions       pq.StringArray `db:"permissions"`
	Origins           pq.StringArray `db:"origins"`
	AllowedIPs        pq.StringArray `db:"allowed_ips"`
	RequestsPerMinute *int           `db:"requests_per_minute"`
	GoodFor           *float64       `db:"good_for"` // seconds
}

func (f found) checked(now time.Time) (checked, error) {
	c := checked{
		id: identity.Identity{
			Tenant: f.Tenant, Actor: actorPrefix + f.ID.String(), Permissions: Key{Kind: f.Kind, Permissions: f.Permissions}.complete().Permissions,
			Publishable: f.Kind == Publishable,
		},
		key: f.ID,
	}
	if len(f.Origins) > 0 {
		c.id.Origins = f.Origins
	}
	if f.RequestsPerMinute != nil {
		c.id.Limit = *f.RequestsPerMinute
	}
	if f.GoodFor != nil {
		c.ends = now.Add(time.Duration(min(*f.GoodFor, memory.Freshness.Seconds()) * float64(time.Second)))
	}
	var err error
	c.from, err = networks(f.ID, f.AllowedIPs)
	return c, err
}
