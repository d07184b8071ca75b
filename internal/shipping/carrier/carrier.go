// Package carrier is what shipping asks of those who take parcels: EasyPost, Shippo, the
// shop's own van. It is a package of its own, so that they need not know shipping, nor
// shipping them.
package carrier

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Carrier is who takes parcels, or who buys of those who do. Its methods never retry: an
// error that is ErrUnknownOutcome says nothing of what happened.
type Carrier interface {
	Name() string // "easypost"
	// Rates are what it would take to send a parcel. It only asks: nothing is bought. A rate's
	// Reference is what Buy takes.
	Rates(ctx context.Context, a Account, p Consignment) ([]Rate, error)
	// Buy buys what a rate offered. Bought again with the same key and reference it is the same
	// label, never a second; Settling says how long not to ask again.
	Buy(ctx context.Context, a Account, key string, r Rate, format Format) (Label, error)
	// Find looks up what was bought of a rate, with its document as it was bought; ErrNoLabel when
	// nothing was. Whatever else it fails with decides nothing.
	Find(ctx context.Context, a Account, key string, r Rate) (Label, error)
	// Void gives a label back. Asked again it says how that stands.
	Void(ctx context.Context, a Account, reference string) (VoidState, error)
	// Track is where a parcel is. carrierName is the Carrier of its label.
	Track(ctx context.Context, a Account, carrierName, trackingNumber string) (Tracking, error)
	// Notice reads a webhook whose signature is right.
	Notice(a Account, header http.Header, body []byte, now time.Time) (Notice, error)
}

// Settling is how long a purchase that was not answered may still come to something. That
// there is no label is sure only when it was asked for longer ago: whoever buys again
// before may have two.
const Settling = 2 * time.Minute

var (
	// ErrNoLabel says that nothing was bought of a rate.
	ErrNoLabel = errors.New("carrier: no label was bought")
	// ErrNoTracking says that nobody knows of such a parcel, or not yet.
	ErrNoTracking = errors.New("carrier: nothing is known of the parcel")
	// ErrNoDocument says that a label is bought and that its paper could not be had: the Label
	// that comes with it is right but for that. It comes with ErrUnknownOutcome, since Find is
	// what helps.
	ErrNoDocument = errors.New("carrier: the label is bought, but its document did not come")
	// ErrUnknownOutcome says that the call may or may not have happened: no answer, a broken
	// one, or one that the carrier says not to trust.
	ErrUnknownOutcome = errors.New("carrier: the carrier did not say what happened")
	// ErrKeyRefused says that the account's key is wrong, or may not do this: nothing has happened.
	ErrKeyRefused = errors.New("carrier: the account's key is refused")
	// ErrSignature refuses a webhook.
	ErrSignature = errors.New("carrier: the signature is wrong")
)

// Declined is the carrier's no: the call did nothing, and does nothing when it is repeated.
type Declined struct {
	Code    string // the carrier's, "ADDRESS.VERIFY.FAILURE"
	Message string // for the shop's staff: it may quote an address
}

func (d *Declined) Error() string { return "carrier: declined: " + d.Code }

// Account is a shop's at a carrier, with its credentials opened.
type Account struct {
	ID             string
	Key            string
	WebhookSecrets []string // the newest first; more than one while they change
}

// Format is what a label is written in.
type Format string

// Formats.
const (
	PDF Format = "pdf"
	ZPL Format = "zpl"
)

// Rate is an offer to take a parcel.
type Rate struct {
	Reference string // the carrier's
	Carrier   string // who takes the parcel in the end, "USPS"
	Service   string // "GroundAdvantage"
	Price     money.Amount
	Days      int // on the way; 0: not said
	// EstimatedDelivery is when it would arrive, when that is said.
	EstimatedDelivery *time.Time
}

// Label is bought.
type Label struct {
	Reference      string // what Void takes
	Carrier        string // who takes the parcel, "USPS"
	Service        string
	TrackingNumber string
	TrackingURL    string
	Cost           money.Amount
	Document       []byte
	Format         Format // of the document; empty: there is none, we draw it ourselves
	Voided         VoidState
}

// VoidState is how giving a label back stands.
type VoidState string

// States of a void. Its zero value means that nobody has asked for one.
const (
	Submitted VoidState = "submitted" // the money comes back when the carrier agrees
	Voided    VoidState = "voided"
	Rejected  VoidState = "rejected" // it was used, or it is too late
)

// Notice is a webhook. What it says may be old when it arrives, and come more than once.
type Notice struct {
	ID   string // of the message: it counts once
	Type string
	// Reference is of the label; empty where the message tells only of the parcel.
	Reference      string
	Carrier        string // who takes the parcel
	TrackingNumber string
	Tracking       *Tracking // nil: it tells of something else
	Void           VoidState // empty: it tells of something else
}
