package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/google/uuid"
)

// Opaque tokens begin so that people and secret scanners recognise them.
const (
	refreshPrefix = "fc_rt_"
	oneTimePrefix = "fc_ot_"
)

const randomBytes = 32

// newOpaque makes a token that names its tenant, and the hash that is kept of it.
func newOpaque(prefix string, tenant uuid.UUID) (raw string, hash []byte) {
	var body [len(tenant) + randomBytes]byte
	copy(body[:], tenant[:])
	_, _ = rand.Read(body[len(tenant):]) // never fails
	raw = prefix + base64.RawURLEncoding.EncodeToString(body[:])
	return raw, hashOf(raw)
}

// readOpaque tells whose token it is; ok is false for what is none.
func readOpaque(prefix, raw string) (tenant uuid.UUID, hash []byte, ok bool) {
	text, ok := strings.CutPrefix(raw, prefix)
	if !ok {
		return uuid.Nil, nil, false
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(body) != len(tenant)+randomBytes {
		return uuid.Nil, nil, false
	}
	copy(tenant[:], body)
	return tenant, hashOf(raw), tenant != uuid.Nil
}

func hashOf(parts ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return sum[:]
}
