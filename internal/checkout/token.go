package checkout

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// ticketPrefix begins the tokens of guests, so that people and secret scanners recognise
// them.
const ticketPrefix = "fc_ct_"

// newTicket makes what opens a cart, and later the order that it becomes, to who has no
// account. Only its hash is kept.
func newTicket() (token string, hash []byte) {
	var body [32]byte
	_, _ = rand.Read(body[:]) // never fails
	token = ticketPrefix + base64.RawURLEncoding.EncodeToString(body[:])
	return token, hashOf(token)
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
