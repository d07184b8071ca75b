package easypost

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// Notice reads an event that is signed with one of the account's secrets. EasyPost signs the
// body alone, without a time: an old event may come again, and what it tells is merged.
func (e *EasyPost) Notice(a carrier.Account, header http.Header, body []byte, _ time.Time) (carrier.Notice, error) {
	text, ok := strings.CutPrefix(header.Get("X-Hmac-Signature"), "hmac-sha256-hex=")
	given, err := hex.DecodeString(text)
	if !ok || err != nil {
		return carrier.Notice{}, carrier.ErrSignature
	}
	for _, secret := range a.WebhookSecrets {
		if secret == "" {
			continue // anybody could sign with nothing
		}
		mac := hmac.New(sha256.New, []byte(norm.NFKD.String(secret)))
		_, _ = mac.Write(body)
		if hmac.Equal(mac.Sum(nil), given) {
			return notice(body)
		}
	}
	return carrier.Notice{}, carrier.ErrSignature
}

// notice is what an event tells: of a tracker, or of a refund.
func notice(body []byte) (n carrier.Notice, err error) {
	var event struct {
		ID          string          `json:"id"`
		Description string          `json:"description"`
		Result      json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.ID == "" {
		return n, errors.Join(errors.New("webhook: there is no event in it"), err)
	}
	n = carrier.Notice{ID: event.ID, Type: event.Description}
	switch kind, _, _ := strings.Cut(event.Description, "."); kind {
	case "tracker":
		var t tracker
		if err := json.Unmarshal(event.Result, &t); err != nil {
			return n, fmt.Errorf("webhook %s: %w", n.ID, err)
		}
		tracking := t.tracking()
		n.Reference, n.Carrier, n.TrackingNumber, n.Tracking = t.ShipmentID, t.Carrier, t.TrackingCode, &tracking
	case "refund":
		var r struct {
			ShipmentID   string `json:"shipment_id"`
			Carrier      string `json:"carrier"`
			TrackingCode string `json:"tracking_code"`
			Status       string `json:"status"`
		}
		if err := json.Unmarshal(event.Result, &r); err != nil {
			return n, fmt.Errorf("webhook %s: %w", n.ID, err)
		}
		n.Reference, n.Carrier, n.TrackingNumber, n.Void = r.ShipmentID, r.Carrier, r.TrackingCode, voidOf(r.Status)
	}
	return n, nil
}
