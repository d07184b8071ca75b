// Package vault seals secrets that must be read back: signing keys, second factors,
// providers' credentials, mail that carries tokens. What is only compared is hashed
// instead, and needs no vault.
//
// Each secret has a data key of its own, which a master key wraps (AES-256-GCM, both). The
// master keys never are in the database: who has only that, or a copy of it, has nothing.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"
)

var (
	// ErrNoKey says that the program was started without master keys.
	ErrNoKey = errors.New("there is no master key")
	// ErrUnknownKey says that something was sealed by a key that this program does not have.
	ErrUnknownKey = errors.New("sealed by a master key that this program does not have")
	// ErrDamaged says that something is not what was sealed, or not for this tenant and purpose.
	ErrDamaged = errors.New("sealed secret is damaged, or another one's")
)

// The sealed form: a byte for the format, the id of the master key, the data key as
// nonce and ciphertext, the secret as nonce and ciphertext.
const (
	format      = 1
	idAt        = 1
	wrappedAt   = idAt + idSize
	wrappedSize = nonceSize + keySize + tagSize
	secretAt    = wrappedAt + wrappedSize
	nonceSize   = 12
	tagSize     = 16
)

// Vault seals with its first key and opens with any. The zero value has none.
type Vault struct {
	keys []Key

	mu     sync.Mutex
	sealed []Sealed
}

// New makes a vault that seals with one key, and opens what others sealed before.
func New(key Key, previous ...Key) *Vault {
	return &Vault{keys: append([]Key{key}, previous...)}
}

// Seal hides a secret of a tenant, or of the installation when the tenant is uuid.Nil. It is
// opened for the same tenant and purpose only, so that no secret can stand in for another.
//
// Errors: ErrNoKey.
func (v *Vault) Seal(tenant uuid.UUID, purpose string, plain []byte) ([]byte, error) {
	if len(v.keys) == 0 {
		return nil, fmt.Errorf("seal %s: %w", purpose, ErrNoKey)
	}
	master, about := v.keys[0], binding(tenant, purpose)
	dataKey := make([]byte, keySize)
	_, _ = rand.Read(dataKey) // never fails
	out := append([]byte{format}, master.id[:]...)
	out, err := encrypt(out, []byte(*master.secret), dataKey, about)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	if out, err = encrypt(out, dataKey, plain, about); err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	return out, nil
}

// Open gives back what Seal hid.
//
// Errors: ErrUnknownKey, ErrDamaged.
func (v *Vault) Open(tenant uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < secretAt+nonceSize+tagSize || sealed[0] != format {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrDamaged)
	}
	id := sealed[idAt:wrappedAt]
	at := slices.IndexFunc(v.keys, func(k Key) bool { return slices.Equal(k.id[:], id) })
	if at < 0 {
		return nil, fmt.Errorf("open %s: %w: %s", purpose, ErrUnknownKey, hex.EncodeToString(id))
	}
	about := binding(tenant, purpose)
	dataKey, err := decrypt([]byte(*v.keys[at].secret), sealed[wrappedAt:secretAt], about)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	plain, err := decrypt(dataKey, sealed[secretAt:], about)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	return plain, nil
}

// binding is what a secret is bound to. A tenant's id has a fixed length: nothing else can
// be read out of the same bytes.
func binding(tenant uuid.UUID, purpose string) []byte { return []byte(tenant.String() + "|" + purpose) }

func encrypt(to, key, plain, about []byte) ([]byte, error) {
	gcm, err := aead(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	return gcm.Seal(append(to, nonce...), nonce, plain, about), nil
}

func decrypt(key, sealed, about []byte) ([]byte, error) {
	gcm, err := aead(key)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, sealed[:nonceSize], sealed[nonceSize:], about)
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
