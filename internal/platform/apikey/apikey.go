// Package apikey makes, checks and revokes API keys. A key is 256 random bits; the
// database holds its SHA-256, and nobody can read a key back.
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Prefixes let people and secret scanners recognise a key of ours, and tell one that may be
// seen from one that may not.
const (
	Prefix            = "fc_sk_"
	PublishablePrefix = "fc_pk_"
)

// Kind of a key.
type Kind string

const (
	// Secret keys may do what they were made for.
	Secret Kind = "secret"
	// Publishable keys stand in pages that anybody can read. They may shop and check out.
	Publishable Kind = "publishable"
)

func (k Kind) prefix() string {
	if k == Publishable {
		return PublishablePrefix
	}
	return Prefix
}

// Key is what is known of a key. The key itself is shown once, when it is made.
type Key struct {
	ID                uuid.UUID      `db:"id" json:"id"`
	Name              string         `db:"name" json:"name"`
	Kind              Kind           `db:"kind" json:"kind"`
	Prefix            string         `db:"prefix" json:"prefix"`
	Permissions       pq.StringArray `db:"permissions" json:"permissions"`
	Origins           pq.StringArray `db:"origins" json:"origins"`
	AllowedIPs        pq.StringArray `db:"allowed_ips" json:"allowedIps"` // from anywhere when it is empty
	RequestsPerMinute *int           `db:"requests_per_minute" json:"requestsPerMinute,omitempty"`
	ExpiresAt         *time.Time     `db:"expires_at" json:"expiresAt,omitempty"`
	// PreviousUntil is until when the secret before the last rotation is good.
	PreviousUntil *time.Time `db:"previous_until" json:"previousUntil,omitempty"`
	LastUsedAt    *time.Time `db:"last_used_at" json:"lastUsedAt,omitempty"` // a minute late at most
	CreatedAt     time.Time  `db:"created_at" json:"createdAt"`
	RevokedAt     *time.Time `db:"revoked_at" json:"revokedAt,omitempty"`
}

const columns = `id, name, kind, prefix, permissions, origins, allowed_ips, requests_per_minute, expires_at, previous_until, last_used_at, created_at, revoked_at`

// HasEnded reports whether the key is good for nothing at a time.
func (k Key) HasEnded(at time.Time) bool {
	return k.RevokedAt != nil || k.ExpiresAt != nil && !at.Before(*k.ExpiresAt)
}

// complete adds what the program says of publishable keys.
func (k Key) complete() Key {
	if k.Kind == Publishable {
		k.Permissions = identity.Storefront()
	}
	return k
}

// Terms of a new key.
type Terms struct {
	Name              string
	Kind              Kind
	Permissions       []string       // of a secret key; those of a publishable one are fixed
	Origins           []string       // of the pages that use a publishable key
	AllowedIPs        []netip.Prefix // from anywhere when there are none
	RequestsPerMinute *int           // as many as the shop allows when it is nil
	ExpiresAt         *time.Time
}

var (
	// ErrUnknown means that there is no such key, or that it was revoked before.
	ErrUnknown = fault.New(fault.NotFound, "key_not_found", "There is no such key, or it was revoked before.")
	// ErrEnded refuses a new secret for a key that was revoked or has expired.
	ErrEnded = fault.New(fault.Conflict, "key_ended", "The key was revoked or has expired. Make a new one.")
)

// Create makes a secret key for the merchant that ctx acts for.
func Create(ctx context.Context, d *db.DB, name string, permissions []string) (k Key, secret string, err error) {
	err = d.InTx(ctx, func(tx *db.Tx) error {
		k, secret, err = Add(ctx, tx, Terms{Name: name, Kind: Secret, Permissions: permissions})
		return err
	})
	return k, secret, err
}

// Add makes a key.
func Add(ctx context.Context, tx *db.Tx, t Terms) (Key, string, error) {
	secret, hash, err := newSecret(t.Kind)
	if err != nil {
		return Key{}, "", err
	}
	k := Key{
		ID: clock.NewID(), Name: t.Name, Kind: t.Kind, Prefix: shown(secret), Permissions: pq.StringArray{}, Origins: pq.StringArray{}, AllowedIPs: pq.StringArray{},
		RequestsPerMinute: t.RequestsPerMinute, ExpiresAt: t.ExpiresAt, CreatedAt: tx.Now,
	}
	k.Origins = append(k.Origins, t.Origins...)
	for _, network := range t.AllowedIPs {
		k.AllowedIPs = append(k.AllowedIPs, network.String())
	}
	if t.Kind == Secret {
		k.Permissions = append(k.Permissions, t.Permissions...)
	}
	_, err = tx.Exec(ctx, `
		insert into platform.api_key (id, name, kind, prefix, hash, permissions, origins, allowed_ips, requests_per_minute, expires_at, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		k.ID, k.Name, string(k.Kind), k.Prefix, hash, k.Permissions, k.Origins, k.AllowedIPs, k.RequestsPerMinute, k.ExpiresAt, k.CreatedAt)
	if err != nil {
		return Key{}, "", fmt.Errorf("store key: %w", err)
	}
	return k.complete(), secret, nil
}

func newSecret(kind Kind) (secret string, hash []byte, err error) {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", nil, fmt.Errorf("make key: %w", err)
	}
	secret = kind.prefix() + base64.RawURLEncoding.EncodeToString(random[:])
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:], nil
}

// shown is what of a key may be shown again.
func shown(secret string) string { return secret[:len(Prefix)+4] }

// IsOrigin tells whether a browser would write it so (RFC 6454, 6.2).
func IsOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return false
	}
	usual := u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80"
	return !usual && text == strings.ToLower(u.Scheme+"://"+u.Host) && !strings.HasSuffix(u.Host, ":") && !strings.ContainsFunc(text, func(r rune) bool { return r > '~' || r == '*' })
}

// Position of a key in the list.
type Position struct {
	CreatedAt time.Time `json:"at"`
	ID        uuid.UUID `json:"id"`
}

// List shows the merchant's keys, oldest first.
func List(ctx context.Context, d *db.DB) (keys []Key, err error) {
	err = d.Read(ctx, func(tx *db.Tx) error {
		keys, err = Page(ctx, tx, nil, nil)
		return err
	})
	return keys, err
}

// Page is a part of the list: what comes after a position, and no more than limit when
// there is one.
func Page(ctx context.Context, tx *db.Tx, after *Position, limit *int) ([]Key, error) {
	if after == nil {
		after = &Position{}
	}
	keys := []Key{}
	if err := tx.Select(ctx, &keys, `
		select `+columns+` from platform.api_key
		where (created_at, id) > ($1::timestamptz, $2::uuid) order by created_at, id limit $3`, after.CreatedAt, after.ID, limit); err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	for i := range keys {
		keys[i] = keys[i].complete()
	}
	return keys, nil
}

// Find reads a key.
func Find(ctx context.Context, tx *db.Tx, id uuid.UUID) (Key, error) {
	return one(ctx, tx, `select `+columns+` from platform.api_key where id = $1`, id)
}

func one(ctx context.Context, tx *db.Tx, query string, args ...any) (Key, error) {
	var k Key
	err := tx.Get(ctx, &k, query, args...)
	if db.IsNoRows(err) {
		return Key{}, ErrUnknown
	}
	if err != nil {
		return Key{}, fmt.Errorf("find key: %w", err)
	}
	return k.complete(), nil
}

// Rotate gives a key a new secret. The one that it had is good for the overlap; one that
// was left of a rotation before is not any more.
func Rotate(ctx context.Context, tx *db.Tx, id uuid.UUID, overlap time.Duration) (Key, string, error) {
	k, err := one(ctx, tx, `select `+columns+` from platform.api_key where id = $1 for update`, id)
	if err != nil {
		return Key{}, "", err
	}
	if k.HasEnded(tx.Now) {
		return Key{}, "", ErrEnded
	}
	secret, hash, err := newSecret(k.Kind)
	if err != nil {
		return Key{}, "", err
	}
	k, err = one(ctx, tx, `
		update platform.api_key set hash = $2, prefix = $3,
			previous_hash = case when $4::bigint > 0 then hash end,
			previous_until = case when $4::bigint > 0 then statement_timestamp() + $4 * interval '1 millisecond' end
		where id = $1 returning `+columns, id, hash, shown(secret), overlap.Milliseconds())
	return k, secret, err
}

// End revokes a key. Programs that have checked it lately stop accepting it within
// memory.Freshness.
func End(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	n, err := tx.Exec(ctx, `update platform.api_key set revoked_at = now() where id = $1 and revoked_at is null`, id)
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	if n == 0 {
		return ErrUnknown
	}
	return nil
}

// ParseNetwork reads a network, or one address, as a key can be confined to.
func ParseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("network: %w", err)
	}
	// Callers with an IPv4 address have it in no other form.
	if network.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("an IPv4 network inside of IPv6")
	}
	return network.Masked(), nil
}
