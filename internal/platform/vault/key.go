package vault

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	keySize = 32
	idSize  = 8
)

// Key is a master key. It does not print itself.
type Key struct {
	id     [idSize]byte
	secret *string // behind a pointer, as in config.Secret: printing what holds a Key shows an address
}

// ErrKey says that a text is not a master key.
var ErrKey = errors.New("a master key is 32 bytes in base64, such as from: openssl rand -base64 32")

// ParseKey reads 32 bytes in base64.
func ParseKey(text string) (Key, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != keySize {
		return Key{}, ErrKey
	}
	return newKey(raw), nil
}

func newKey(raw []byte) Key {
	secret := string(raw)
	k := Key{secret: &secret}
	h := hmac.New(sha256.New, raw)
	_, _ = h.Write([]byte("fusion master key"))
	copy(k.id[:], h.Sum(nil))
	return k
}

// GenerateKey makes one that nobody knows.
func GenerateKey() Key {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails
	return newKey(raw)
}

// ID is a fingerprint, which gives nothing of the key away.
func (k Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Format prints the fingerprint, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "master key "+k.ID()) }

// Reveal is the form that ParseKey reads. Call it where the key is kept.
func (k Key) Reveal() string { return base64.StdEncoding.EncodeToString([]byte(*k.secret)) }

// ReadKey reads the key of a file; ok is false when there is no file.
func ReadKey(path string) (k Key, ok bool, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, false, nil
	}
	if err != nil {
		return Key{}, false, fmt.Errorf("read the master key: %w", err)
	}
	if k, err = ParseKey(string(content)); err != nil {
		return Key{}, false, fmt.Errorf("%s: %w", path, err)
	}
	return k, true, nil
}

// WriteKey keeps a key in a file that only its owner reads. It is there as a whole or not
// at all, and never takes the place of another.
func WriteKey(path string, k Key) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep the master key: %w", err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as pgcluster makes it; what is secret in it is a file of mode 600
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // mode 600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.WriteString(k.Reveal() + "\n")
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), path) // unlike a rename, it fails when somebody was faster
}
