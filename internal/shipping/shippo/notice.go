package shippo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// tolerance is how far from our time a webhook may say that it was sent.
const tolerance = 5 * time.Minute

// Notice reads a webhook that is signed with one of the account's secrets. Shippo signs for
// accounts that have asked for it.
func (s *Shippo) Notice(a carrier.Account, header http.Header, body []byte, now time.Time) (carrier.Notice, error) {
	sent, signatures := signed(header.Get("Shippo-Auth-Signature"))
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return carrier.Notice{}, carrier.ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return carrier.Notice{}, fmt.Errorf("%w: it was sent at %s", carrier.ErrSignature, time.Unix(seconds, 0).UTC().Format(time.RFC3339))
	}
	for _, secret := range a.WebhookSecrets {
		if secret == "" {
			continue // anybody could sign with nothing
		}
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write([]byte(sent + "."))
		_, _ = mac.Write(body)
		wanted := mac.Sum(nil)
		for _, given := range signatures {
			if hmac.Equal(wanted, given) {
				return notice(body)
			}
		}
	}
	return carrier.Notice{}, carrier.ErrSignature
}

// signed takes t=…,v1=… apart. The last time counts.
func signed(header string) (sent string, signatures [][]byte) {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			sent = value
		case "v1":
			if raw, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, raw)
			}
		}
	}
	return sent, signatures
}

// notice is what an event tells. Shippo gives its events no names of their own: the same
// words are the same event.
func notice(body []byte) (n carrier.Notice, err error) {
	var event struct {
		Event string          `json:"event"`
		Data  json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Event == "" {
		return n, errors.Join(errors.New("webhook: there is no event in it"), err)
	}
	sum := sha256.Sum256(body)
	n = carrier.Notice{ID: hex.EncodeToString(sum[:16]), Type: event.Event}
	switch kind, _, _ := strings.Cut(event.Event, "_"); kind {
	case "track":
		var t track
		if err := json.Unmarshal(event.Data, &t); err != nil {
			return n, fmt.Errorf("webhook %s: %w", n.Type, err)
		}
		tracking := t.tracking()
		n.Reference, n.Carrier, n.TrackingNumber, n.Tracking = t.Transaction, t.Carrier, t.TrackingNumber, &tracking
	case "transaction":
		var t transaction
		if err := json.Unmarshal(event.Data, &t); err != nil {
			return n, fmt.Errorf("webhook %s: %w", n.Type, err)
		}
		n.Reference, n.TrackingNumber, n.Void = t.ObjectID, t.TrackingNumber, t.void()
	}
	return n, nil
}
