// Package password hashes passwords with Argon2id (RFC 9106), a few at a time: each hash
// takes tens of milliseconds and megabytes, and everybody may ask for one.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// Settings are what a hash costs. They are written into each, so that they can be raised.
type Settings struct {
	Passes    uint32
	MemoryKiB uint32
	Threads   uint8
}

// Default is the least that OWASP and ASVS 5 (appendix C) accept.
var Default = Settings{Passes: 2, MemoryKiB: 19456, Threads: 1}

const (
	saltSize = 16
	hashSize = 32
	// atOnce and waiting bound what hashes can take of the machine.
	atOnce  = 2
	waiting = 16
)

// ErrOverloaded means that as many wait as can.
var ErrOverloaded = fault.New(fault.Unavailable, "overloaded", "Too many sign in at this moment. Try again shortly.").After(2)

// Hasher makes and checks hashes.
type Hasher struct {
	settings Settings
	slots    chan struct{}
	asking   atomic.Int64
	// nobodys is checked where there is no hash, so that it takes as long.
	nobodys string
}

// New makes a hasher.
func New(s Settings) *Hasher {
	h := &Hasher{settings: s, slots: make(chan struct{}, atOnce)}
	h.nobodys = phc(s, make([]byte, saltSize), make([]byte, hashSize))
	return h
}

// Hash makes the PHC string of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return phc(h.settings, salt, key(h.settings, password, salt, hashSize)), nil
}

// Verify compares a password with a hash. An empty hash is nobody's: it takes as long and
// is never right. outdated says that the hash was made with other settings than today's.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	missing := hash == ""
	if missing {
		hash = h.nobodys
	}
	made, salt, sum, err := parse(hash)
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(key(made, password, salt, uint32(len(sum))), sum) == 1 //nolint:gosec // 32 bytes
	return same && !missing, made != h.settings, nil
}

// enter waits for a turn.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	if h.asking.Add(1) > atOnce+waiting {
		h.asking.Add(-1)
		return nil, ErrOverloaded
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; h.asking.Add(-1) }, nil
	case <-ctx.Done():
		h.asking.Add(-1)
		return nil, ctx.Err()
	}
}

func key(s Settings, password string, salt []byte, size uint32) []byte {
	return argon2.IDKey([]byte(password), salt, s.Passes, s.MemoryKiB, s.Threads, size)
}

func phc(s Settings, salt, sum []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, s.MemoryKiB, s.Passes, s.Threads, b64(salt), b64(sum))
}

var errHash = errors.New("a stored password hash cannot be read")

func parse(hash string) (s Settings, salt, sum []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return s, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &s.MemoryKiB, &s.Passes, &s.Threads); err != nil || n != 3 || s.Passes == 0 || s.Threads == 0 {
		return s, nil, nil, errHash
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return s, nil, nil, errHash
	}
	sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(sum) == 0 {
		return s, nil, nil, errHash
	}
	return s, salt, sum, nil
}
