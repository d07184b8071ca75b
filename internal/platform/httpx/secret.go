package httpx

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// credentialText is what keys and opaque tokens of ours look like, and JSON Web Tokens.
var credentialText = regexp.MustCompile(`fc_[a-z]{2}_[A-Za-z0-9_-]{8}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}`)

// credentialFields are those of bodies, not of what is in them, that are for credentials.
var credentialFields = map[string]bool{"password": true, "currentPassword": true, "token": true, "refreshToken": true, "clientSecret": true}

// holdsSecret tells that a text is neither to be kept nor logged, although its caller may
// choose it freely: people and programs put things into the wrong header.
func holdsSecret(s string) bool { return credentialText.MatchString(s) || holdsCardNumber(s) }

// unlessSecret is a text fit to be kept.
func unlessSecret(s string) string {
	if holdsSecret(s) {
		return "[secret]"
	}
	return s
}

// recognisable is a key fit to be kept: it only has to be the same again.
func recognisable(key string) string {
	if !holdsSecret(key) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}
