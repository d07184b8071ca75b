// Package apikey makes, checks and revokes API keys. A key is 256 random bits; the
// database holds its SHA-256, and nobody can read a key back.
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Prefix lets people and secret scanners recognise a key of ours.
const Prefix = "fc_sk_"

// Key is what is known of a key. The key itself is shown once, when it is made.
type Key struct {
	ID          uuid.UUID      `db:"id" json:"id"`
	Name        string         `db:"name" json:"name"`
	Prefix      string         `db:"prefix" json:"prefix"`
	Permissions pq.StringArray `db:"permissions" json:"permissions"`
	CreatedAt   time.Time      `db:"created_at" json:"createdAt"`
	RevokedAt   *time.Time     `db:"revoked_at" json:"revokedAt,omitempty"`
}

// ErrUnknown means that there is no such key, or that it was revoked before.
var ErrUnknown = fault.New(fault.NotFound, "key_not_found", "There is no such key, or it was revoked before.")

// Create makes a key for the merchant that ctx acts for.
func Create(ctx context.Context, d *db.DB, name string, permissions []string) (Key, string, error) {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Key{}, "", fmt.Errorf("make key: %w", err)
	}
	secret := Prefix + base64.RawURLEncoding.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(secret))
	k := Key{ID: clock.NewID(), Name: name, Prefix: secret[:len(Prefix)+4], Permissions: permissions}
	err := d.InTx(ctx, func(tx *db.Tx) error {
		k.CreatedAt = tx.Now
		_, err := tx.Exec(ctx, `insert into platform.api_key (id, name, prefix, hash, permissions, created_at) values ($1, $2, $3, $4, $5, $6)`,
			k.ID, k.Name, k.Prefix, hash[:], k.Permissions, k.CreatedAt)
		return err
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("store key: %w", err)
	}
	return k, secret, nil
}

// List shows the merchant's keys, oldest first.
func List(ctx context.Context, d *db.DB) ([]Key, error) {
	keys := []Key{}
	err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &keys, `select id, name, prefix, permissions, created_at, revoked_at from platform.api_key order by created_at, id`)
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Revoke ends a key. Programs that have checked it lately stop accepting it within
// freshness.
func Revoke(ctx context.Context, d *db.DB, id uuid.UUID) error {
	return d.InTx(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `update platform.api_key set revoked_at = now() where id = $1 and revoked_at is null`, id)
		if err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		if n == 0 {
			return ErrUnknown
		}
		return nil
	})
}

const (
	// freshness is how long a checked key is taken for good without asking again.
	freshness = 2 * time.Second
	// remembered bounds the memory of checked keys; beyond it all are asked for anew.
	remembered = 10_000
)

// Verifier checks credentials at the edge. It remembers good keys for a moment, so
// that a busy client costs no query a request; bad ones are always looked up.
type Verifier struct {
	db        *db.DB
	now       clock.Clock
	bootstrap [32]byte
	hasBoot   bool
	service   [32]byte
	hasPeers  bool

	mu    sync.Mutex
	known map[[32]byte]checked
}

type checked struct {
	id identity.Identity
	at time.Time
}

// NewVerifier checks against the database and, when it is not empty, against the
// bootstrap key of the configuration: an owner of the default tenant; and the service key,
// with which other deployments of the shop ask.
func NewVerifier(d *db.DB, now clock.Clock, bootstrap, service string) *Verifier {
	return &Verifier{
		db: d, now: now, bootstrap: sha256.Sum256([]byte(bootstrap)), hasBoot: bootstrap != "",
		service: sha256.Sum256([]byte(service)), hasPeers: service != "", known: map[[32]byte]checked{},
	}
}

// Recognises tells a key, the bootstrap key and a service credential from what is none.
func (v *Verifier) Recognises(token string) bool {
	return strings.HasPrefix(token, Prefix) || v.isBootstrap(sha256.Sum256([]byte(token))) || strings.Contains(token, "@")
}

func (v *Verifier) isBootstrap(hash [32]byte) bool {
	return v.hasBoot && subtle.ConstantTimeCompare(hash[:], v.bootstrap[:]) == 1
}

// Authenticate finds out whose key it is.
func (v *Verifier) Authenticate(ctx context.Context, token string) (identity.Identity, bool, error) {
	hash := sha256.Sum256([]byte(token))
	if v.isBootstrap(hash) {
		return identity.Identity{Tenant: identity.DefaultTenant, Actor: identity.ActorBootstrap, Permissions: []string{identity.Everything}}, true, nil
	}
	if key, tenant, ok := identity.CutServiceCredential(token); ok && v.hasPeers {
		shown := sha256.Sum256([]byte(key))
		if subtle.ConstantTimeCompare(shown[:], v.service[:]) == 1 {
			return identity.Service(tenant), true, nil
		}
	}
	now := v.now()
	v.mu.Lock()
	c, ok := v.known[hash]
	v.mu.Unlock()
	// A clock that was set back must not lengthen the life of a key.
	if age := now.Sub(c.at); ok && age >= 0 && age < freshness {
		return c.id, true, nil
	}
	rows, err := db.Query[struct {
		Tenant      uuid.UUID      `db:"tenant_id"`
		ID          uuid.UUID      `db:"id"`
		Permissions pq.StringArray `db:"permissions"`
	}](ctx, v.db, `select tenant_id, id, permissions from platform.find_api_key($1)`, hash[:])
	if err != nil {
		return identity.Identity{}, false, fmt.Errorf("check key: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(rows) == 0 {
		delete(v.known, hash)
		return identity.Identity{}, false, nil
	}
	id := identity.Identity{Tenant: rows[0].Tenant, Actor: "key:" + rows[0].ID.String(), Permissions: rows[0].Permissions}
	if len(v.known) >= remembered {
		clear(v.known)
	}
	v.known[hash] = checked{id, now}
	return id, true, nil
}
