package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what RFC 6238 and the authenticator apps agree on
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	totpPeriod = 30 * time.Second
	totpDigits = 1_000_000
	totpSecret = 20 // bytes: as long as the hash (RFC 4226, 4)
	// totpDrift is how many steps the clock of a phone may be off.
	totpDrift = 1
)

func newTOTPSecret() []byte {
	secret := make([]byte, totpSecret)
	_, _ = rand.Read(secret) // never fails
	return secret
}

func stepAt(t time.Time) int64 { return t.Unix() / int64(totpPeriod/time.Second) }

// totpCode is the code of a step (RFC 6238, 4; RFC 4226, 5.3).
func totpCode(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step)) //nolint:gosec // a time after 1970
	mac := hmac.New(sha1.New, secret)
	_, _ = mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%totpDigits)
}

// acceptedStep is the step that a code is of, if it is a good one now and later than the
// last that was accepted.
func acceptedStep(secret []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	for d := int64(-totpDrift); d <= totpDrift; d++ {
		s := stepAt(now) + d
		if hmac.Equal([]byte(totpCode(secret, s)), []byte(code)) && s > last {
			return s, true
		}
	}
	return 0, false
}

func base32Of(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// otpauth is what authenticator apps read from a QR code.
func otpauth(secret []byte, shop, email string) string {
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + shop + ":" + email}
	u.RawQuery = strings.ReplaceAll(url.Values{"secret": {base32Of(secret)}, "issuer": {shop}}.Encode(), "+", "%20")
	return u.String()
}

const recoveryCodes = 10

// newRecoveryCode has 80 random bits.
func newRecoveryCode() string {
	text := strings.ToLower(rand.Text()[:16])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// hashOfRecoveryCode does not mind how a code was typed.
func hashOfRecoveryCode(code string) []byte {
	return hashOf("recovery", strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code)))
}
