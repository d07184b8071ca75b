package token

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

// Algorithms that keys are made for.
const (
	RS256 = "RS256"
	EdDSA = "EdDSA"
)

// rsaBits is what NIST SP 800-131A asks for until 2030; larger ones sign several times slower.
const rsaBits = 2048

// row is a key as it is stored.
type row struct {
	ID         string     `db:"kid"`
	Algorithm  string     `db:"algorithm"`
	Public     []byte     `db:"public_key"`
	Private    []byte     `db:"private_key"`
	CreatedAt  time.Time  `db:"created_at"`
	ActiveFrom time.Time  `db:"active_from"`
	RetiredAt  *time.Time `db:"retired_at"`
}

// key is one that can be used.
type key struct {
	row
	method  jwt.SigningMethod
	private crypto.Signer
	public  crypto.PublicKey
}

// Purpose keeps what is sealed for something else from being opened as a key. Keys are
// sealed for no tenant.
const Purpose = "signing-key"

// generate makes a key. It takes a while: nobody should wait for it in a transaction.
func (t *Tokens) generate() (row, error) {
	var private crypto.Signer
	var err error
	switch t.opt.Algorithm {
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("%q is not an algorithm of ours", t.opt.Algorithm)
	}
	if err != nil {
		return row{}, fmt.Errorf("make signing key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return row{}, fmt.Errorf("encode signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return row{}, fmt.Errorf("encode signing key: %w", err)
	}
	sealed, err := t.opt.Vault.Seal(uuid.Nil, Purpose, secret)
	if err != nil {
		return row{}, fmt.Errorf("seal signing key: %w", err)
	}
	return row{ID: clock.NewID().String(), Algorithm: t.opt.Algorithm, Public: public, Private: sealed}, nil
}

var errOtherKey = errors.New("what is sealed is another key")

// open makes a stored key usable. The public half is taken from what was sealed: who can
// write rows and cannot seal makes no key that we believe.
func (t *Tokens) open(r row) (key, error) {
	secret, err := t.opt.Vault.Open(uuid.Nil, Purpose, r.Private)
	if err != nil {
		return key{}, fmt.Errorf("open signing key %s: %w", r.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return key{}, fmt.Errorf("read signing key %s: %w", r.ID, err)
	}
	k := key{row: r}
	switch private := parsed.(type) {
	case *rsa.PrivateKey:
		k.method, k.private = jwt.SigningMethodRS256, private
	case ed25519.PrivateKey:
		k.method, k.private = jwt.SigningMethodEdDSA, private
	default:
		return key{}, fmt.Errorf("read signing key %s: %w", r.ID, errOtherKey)
	}
	k.public = k.private.Public()
	public, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil || k.method.Alg() != r.Algorithm || !bytes.Equal(public, r.Public) {
		return key{}, fmt.Errorf("read signing key %s: %w", r.ID, errOtherKey)
	}
	return k, nil
}

// JWKS is the set of keys with which others check our tokens (RFC 7517). In it are also
// the key that is going to sign next and those that did until lately.
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// CacheFor is how long anybody may keep the set.
func (JWKS) CacheFor() time.Duration { return CacheFor }

// JWK is the public half of a key as others read it (RFC 7517, 7518 and 8037).
type JWK struct {
	KeyID     string `json:"kid" doc:"Name of the key, which tokens bear in their header"`
	Use       string `json:"use" enum:"sig"`
	Algorithm string `json:"alg" enum:"RS256,EdDSA"`
	Type      string `json:"kty" enum:"RSA,OKP"`
	Modulus   string `json:"n,omitempty" doc:"Of an RSA key, in base64url"`
	Exponent  string `json:"e,omitempty" doc:"Of an RSA key, in base64url"`
	Curve     string `json:"crv,omitempty" doc:"Of an OKP key" example:"Ed25519"`
	X         string `json:"x,omitempty" doc:"Of an OKP key, in base64url"`
}

func (k key) jwk() JWK {
	j := JWK{KeyID: k.ID, Use: "sig", Algorithm: k.Algorithm}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		j.Type = "RSA"
		j.Modulus = base64.RawURLEncoding.EncodeToString(public.N.Bytes())
		j.Exponent = base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes())
	case ed25519.PublicKey:
		j.Type, j.Curve = "OKP", "Ed25519"
		j.X = base64.RawURLEncoding.EncodeToString(public)
	}
	return j
}

// published is a set of keys in the order in which they sign.
func published(keys map[string]key) JWKS {
	set := JWKS{Keys: []JWK{}}
	byTurn := func(a, b key) int {
		return cmp.Or(a.ActiveFrom.Compare(b.ActiveFrom), cmp.Compare(a.ID, b.ID))
	}
	for _, k := range slices.SortedFunc(maps.Values(keys), byTurn) {
		set.Keys = append(set.Keys, k.jwk())
	}
	return set
}
