// Package shippo is the carrier of that name, which buys of many others: what shipping asks
// for, said in Shippo's words, and what Shippo answers, said in ours.
//
// Shippo knows no key that makes a purchase happen once, and may sell a rate as often as it
// is asked. Each purchase carries ours, and is looked for before another is made.
package shippo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/rest"
)

// Name of the carrier, for ever: it is stored with accounts and shipments.
const Name = "shippo"

const (
	upstream = "https://api.goshippo.com"
	version  = "2018-02-08"
	// mostResults of a list: a rate is bought once, or a few times when it was given back.
	mostResults = 100
)

// Shippo makes calls for the accounts of all shops.
type Shippo struct{ api *rest.Client }

// New makes a carrier that calls the API at a URL; empty is Shippo itself.
func New(address string, guard *outbound.Guard) *Shippo {
	sign := func(r *http.Request, key string) {
		r.Header.Set("Authorization", "ShippoToken "+key)
		r.Header.Set("Shippo-Api-Version", version)
	}
	return &Shippo{rest.New(guard, cmp.Or(address, upstream), sign, refused)}
}

// Name implements carrier.Carrier, as all exported methods here.
func (*Shippo) Name() string { return Name }

// refused reads Shippo's no, which has no codes: a sentence, or sentences by field.
func refused(body []byte) carrier.Declined {
	var no struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &no) == nil && no.Detail != "" {
		return carrier.Declined{Message: no.Detail}
	}
	return carrier.Declined{Message: string(body)}
}

// Rates creates a shipment, which costs nothing until a rate of it is bought.
func (s *Shippo) Rates(ctx context.Context, a carrier.Account, p carrier.Consignment) ([]carrier.Rate, error) {
	in, err := asked(p)
	if err != nil {
		return nil, err
	}
	var out shipment
	if err := s.api.Call(ctx, "ask for rates", a.Key, http.MethodPost, "/shipments", in, &out); err != nil {
		return nil, err
	}
	rates, err := out.offers()
	if err != nil {
		return nil, fmt.Errorf("ask for rates: %w: %w", carrier.ErrUnknownOutcome, err)
	}
	return rates, nil
}

// Buy buys a rate, unless it was bought with this key already.
func (s *Shippo) Buy(ctx context.Context, a carrier.Account, key string, r carrier.Rate, format carrier.Format) (carrier.Label, error) {
	const doing = "buy a label"
	if l, err := s.Find(ctx, a, key, r); !errors.Is(err, carrier.ErrNoLabel) {
		return l, err
	}
	in := map[string]any{"rate": r.Reference, "metadata": key, "label_file_type": fileType(format), "async": false}
	var t transaction
	if err := s.api.Call(ctx, doing, a.Key, http.MethodPost, "/transactions", in, &t); err != nil {
		return carrier.Label{}, err
	}
	if t.Status == "ERROR" {
		return carrier.Label{}, fmt.Errorf("%s: %w", doing, t.declined())
	}
	return s.label(ctx, t, r)
}

// Find looks for the purchase of a rate that carries our key. One that failed is none.
func (s *Shippo) Find(ctx context.Context, a carrier.Account, key string, r carrier.Rate) (carrier.Label, error) {
	query := url.Values{"rate": {r.Reference}, "results": {strconv.Itoa(mostResults)}}
	var list struct {
		Results []transaction `json:"results"`
	}
	if err := s.api.Call(ctx, "look for the label", a.Key, http.MethodGet, "/transactions?"+query.Encode(), nil, &list); err != nil {
		return carrier.Label{}, rest.Unread(err)
	}
	if list.Results == nil {
		return carrier.Label{}, fmt.Errorf("look for the label: %w: there is no list", carrier.ErrUnknownOutcome)
	}
	for _, t := range list.Results {
		if t.Metadata == key && t.Status != "ERROR" {
			return s.label(ctx, t, r)
		}
	}
	return carrier.Label{}, carrier.ErrNoLabel
}

// label of a purchase, with its document as it was bought. One that is still being made has
// none of what a label has.
func (s *Shippo) label(ctx context.Context, t transaction, r carrier.Rate) (carrier.Label, error) {
	if t.ObjectID == "" || t.TrackingNumber == "" || t.LabelURL == "" {
		return carrier.Label{}, fmt.Errorf("%w: the purchase is %q", carrier.ErrUnknownOutcome, t.Status)
	}
	l := carrier.Label{
		Reference: t.ObjectID, Carrier: r.Carrier, Service: r.Service, TrackingNumber: t.TrackingNumber, TrackingURL: t.TrackingURLProvider, Cost: r.Price, Voided: t.void(),
	}
	document, err := s.api.Document(ctx, t.LabelURL)
	if err != nil {
		return l, rest.Undocumented(err)
	}
	l.Document, l.Format = document, t.format()
	return l, nil
}

// Void asks for the money of a label back. Of a second request the label says how the first
// stands.
func (s *Shippo) Void(ctx context.Context, a carrier.Account, reference string) (carrier.VoidState, error) {
	const doing = "give the label back"
	var refund struct {
		Status string `json:"status"`
	}
	in := map[string]any{"transaction": reference, "async": false}
	err := s.api.Call(ctx, doing, a.Key, http.MethodPost, "/refunds", in, &refund)
	if _, declined := errors.AsType[*carrier.Declined](err); declined {
		var t transaction
		if err := s.api.Call(ctx, doing, a.Key, http.MethodGet, "/transactions/"+url.PathEscape(reference), nil, &t); err != nil {
			return "", rest.Unread(err)
		}
		if t.void() != "" {
			return t.void(), nil
		}
		return "", err
	}
	if err != nil {
		return "", err
	}
	switch refund.Status {
	case "QUEUED", "PENDING":
		return carrier.Submitted, nil
	case "SUCCESS":
		return carrier.Voided, nil
	case "ERROR":
		return carrier.Rejected, nil
	}
	return "", fmt.Errorf("%s: %w: it is %q", doing, carrier.ErrUnknownOutcome, refund.Status)
}

// Track asks where a parcel is.
func (s *Shippo) Track(ctx context.Context, a carrier.Account, carrierName, trackingNumber string) (carrier.Tracking, error) {
	path := "/tracks/" + url.PathEscape(token(carrierName)) + "/" + url.PathEscape(trackingNumber)
	var t track
	err := s.api.Call(ctx, "track the parcel", a.Key, http.MethodGet, path, nil, &t)
	if no, declined := errors.AsType[*carrier.Declined](err); declined && no.Code == "NOT_FOUND" {
		return carrier.Tracking{}, carrier.ErrNoTracking
	}
	if err != nil {
		return carrier.Tracking{}, rest.Unread(err)
	}
	return t.tracking(), nil
}

// token is Shippo's other name of a carrier: "DHL Express" is dhl_express.
func token(carrierName string) string {
	return strings.ReplaceAll(strings.ToLower(carrierName), " ", "_")
}
