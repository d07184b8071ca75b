// Package easypost is the carrier of that name, which buys of many others: what shipping
// asks for, said in EasyPost's words, and what EasyPost answers, said in ours.
//
// A rate of EasyPost belongs to a shipment, of which one label can be bought and no second:
// that makes buying safe to repeat.
package easypost

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/rest"
)

// Name of the carrier, for ever: it is stored with accounts and shipments.
const Name = "easypost"

const upstream = "https://api.easypost.com"

// EasyPost makes calls for the accounts of all shops.
type EasyPost struct{ api *rest.Client }

// New makes a carrier that calls the API at a URL; empty is EasyPost itself.
func New(address string, guard *outbound.Guard) *EasyPost {
	sign := func(r *http.Request, key string) { r.SetBasicAuth(key, "") }
	return &EasyPost{rest.New(guard, cmp.Or(address, upstream), sign, refused)}
}

// Name implements carrier.Carrier, as all exported methods here.
func (*EasyPost) Name() string { return Name }

// refused reads EasyPost's no. What a message is differs: a sentence, or a list of them.
func refused(body []byte) carrier.Declined {
	var no struct {
		Error struct {
			Code    string          `json:"code"`
			Message json.RawMessage `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &no) != nil {
		return carrier.Declined{}
	}
	var sentence string
	if json.Unmarshal(no.Error.Message, &sentence) != nil {
		sentence = string(no.Error.Message)
	}
	return carrier.Declined{Code: no.Error.Code, Message: sentence}
}

// Rates creates a shipment, which costs nothing until a label of it is bought.
func (e *EasyPost) Rates(ctx context.Context, a carrier.Account, p carrier.Consignment) ([]carrier.Rate, error) {
	var s shipment
	if err := e.api.Call(ctx, "ask for rates", a.Key, http.MethodPost, "/v2/shipments", asked(p), &s); err != nil {
		return nil, err
	}
	rates, err := s.offers()
	if err != nil {
		return nil, fmt.Errorf("ask for rates: %w: %w", carrier.ErrUnknownOutcome, err)
	}
	return rates, nil
}

// Buy buys the label of a shipment. That there is one already is no trouble: it is that.
func (e *EasyPost) Buy(ctx context.Context, a carrier.Account, _ string, r carrier.Rate, format carrier.Format) (carrier.Label, error) {
	const doing = "buy a label"
	id, rate, err := parts(r.Reference)
	if err != nil {
		return carrier.Label{}, err
	}
	var s shipment
	in := map[string]any{"rate": map[string]string{"id": rate}}
	err = e.api.Call(ctx, doing, a.Key, http.MethodPost, "/v2/shipments/"+url.PathEscape(id)+"/buy", in, &s)
	no, declined := errors.AsType[*carrier.Declined](err)
	switch {
	case err == nil:
		return e.label(ctx, a, s, format)
	case declined && no.Code == "SHIPMENT.POSTAGE.EXISTS":
		l, err := e.bought(ctx, a, id, format)
		if err != nil && !errors.Is(err, carrier.ErrNoDocument) { // it is sold, whatever they say when they are asked for it
			err = fmt.Errorf("%s: %w: %s", doing, carrier.ErrUnknownOutcome, err.Error())
		}
		return l, err
	case declined && unfinished(no.Code):
		return carrier.Label{}, fmt.Errorf("%s: %w: %s", doing, carrier.ErrUnknownOutcome, no.Code)
	}
	return carrier.Label{}, err
}

// unfinished are refusals that say nothing of what became of the purchase.
func unfinished(code string) bool {
	switch code {
	case "SHIPMENT.PURCHASE.IN_PROGRESS", "SHIPMENT.POSTAGE.TIMED_OUT", "SHIPMENT.POSTAGE.NO_RESPONSE":
		return true
	}
	return false
}

// Find asks what became of a shipment.
func (e *EasyPost) Find(ctx context.Context, a carrier.Account, _ string, r carrier.Rate) (carrier.Label, error) {
	id, _, err := parts(r.Reference)
	if err != nil {
		return carrier.Label{}, err
	}
	return e.bought(ctx, a, id, "")
}

func (e *EasyPost) bought(ctx context.Context, a carrier.Account, id string, format carrier.Format) (carrier.Label, error) {
	s, err := e.fetch(ctx, a, id)
	if err != nil {
		return carrier.Label{}, err
	}
	if s.PostageLabel == nil {
		return carrier.Label{}, carrier.ErrNoLabel
	}
	return e.label(ctx, a, s, format)
}

func (e *EasyPost) fetch(ctx context.Context, a carrier.Account, id string) (s shipment, err error) {
	err = e.api.Call(ctx, "fetch the shipment", a.Key, http.MethodGet, "/v2/shipments/"+url.PathEscape(id), nil, &s)
	return s, rest.Unread(err)
}

// label of a shipment, with its document as it is asked for; an empty format is as it is.
func (e *EasyPost) label(ctx context.Context, a carrier.Account, s shipment, format carrier.Format) (carrier.Label, error) {
	l, err := s.label()
	if err != nil {
		return carrier.Label{}, err
	}
	if format != "" && s.document(format) == "" {
		path := "/v2/shipments/" + url.PathEscape(s.ID) + "/label?file_format=" + strings.ToUpper(string(format))
		if err := e.api.Call(ctx, "convert the label", a.Key, http.MethodGet, path, nil, &s); err != nil {
			return l, rest.Undocumented(err)
		}
	}
	if format == "" {
		format = s.format()
	}
	document, err := e.api.Document(ctx, s.document(format))
	if err != nil {
		return l, rest.Undocumented(err)
	}
	l.Document, l.Format = document, format
	return l, nil
}

// Void asks for the money of a label back. EasyPost takes one request a label: of another the
// shipment says how the first stands.
func (e *EasyPost) Void(ctx context.Context, a carrier.Account, reference string) (carrier.VoidState, error) {
	var s shipment
	err := e.api.Call(ctx, "give the label back", a.Key, http.MethodPost, "/v2/shipments/"+url.PathEscape(reference)+"/refund", nil, &s)
	if _, declined := errors.AsType[*carrier.Declined](err); declined {
		known, looked := e.fetch(ctx, a, reference)
		if looked != nil {
			return "", looked
		}
		if state := known.void(); state != "" {
			return state, nil
		}
		return "", err
	}
	if err != nil {
		return "", err
	}
	if s.void() == "" {
		return "", fmt.Errorf("give the label back: %w: it is %q", carrier.ErrUnknownOutcome, s.RefundStatus)
	}
	return s.void(), nil
}

// Track asks for the tracker that EasyPost makes with each label.
func (e *EasyPost) Track(ctx context.Context, a carrier.Account, carrierName, trackingNumber string) (carrier.Tracking, error) {
	query := url.Values{"tracking_code": {trackingNumber}, "carrier": {carrierName}}
	var list struct {
		Trackers []tracker `json:"trackers"`
	}
	if err := e.api.Call(ctx, "track the parcel", a.Key, http.MethodGet, "/v2/trackers?"+query.Encode(), nil, &list); err != nil {
		return carrier.Tracking{}, rest.Unread(err)
	}
	if len(list.Trackers) == 0 {
		return carrier.Tracking{}, carrier.ErrNoTracking
	}
	return list.Trackers[0].tracking(), nil
}
