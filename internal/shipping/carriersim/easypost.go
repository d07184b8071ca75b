package carriersim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// words are an object as it is sent.
type words map[string]any

const easyPostName = "easypost"

func easyPost() api {
	return api{
		name: easyPostName,
		credential: func(r *http.Request) (string, bool) {
			key, _, _ := r.BasicAuth()
			if key == "" {
				key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			}
			return testKey(key, "EZTK")
		},
		problem: func(p *problem) any {
			return words{"error": words{"code": p.code, "message": p.message, "errors": []any{}}}
		},
		routes: []route{
			{"POST /v2/shipments", http.StatusCreated, nil, (*call).createShipment},
			{"GET /v2/shipments/{id}", http.StatusOK, nil, (*call).retrieveShipment},
			{"POST /v2/shipments/{id}/buy", http.StatusOK, (*call).beginPurchase, (*call).buyShipment},
			{"GET /v2/shipments/{id}/label", http.StatusOK, nil, (*call).convertLabel},
			{"POST /v2/shipments/{id}/refund", http.StatusOK, nil, (*call).refundShipment},
			{"GET /v2/trackers", http.StatusOK, nil, (*call).listTrackers},
		},
	}
}

// address is written alike by both.
type address struct {
	Name, Company, Street1, City, State, Zip, Country string
}

func (a address) place() (place, error) {
	if a.Street1 == "" || a.City == "" || a.Country == "" || a.Name == "" && a.Company == "" {
		return place{}, unprocessable("ADDRESS.PARAMETERS.INVALID", "An address has a name, a street, a city and a country.")
	}
	return place{cmp.Or(a.Name, a.Company), a.Street1, a.City, a.State, a.Zip, a.Country}, nil
}

func unprocessable(code, message string) *problem {
	return &problem{status: http.StatusUnprocessableEntity, code: code, message: message}
}

func (c *call) createShipment() (any, error) {
	var in struct {
		Shipment struct {
			Reference   string
			FromAddress address `json:"from_address"`
			ToAddress   address `json:"to_address"`
			Parcel      struct{ Weight json.Number }
			CustomsInfo *struct {
				CustomsItems []words `json:"customs_items"`
			} `json:"customs_info"`
			Options struct {
				LabelFormat string `json:"label_format"`
			}
		}
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	asked := in.Shipment
	tenths, err := inTenths(asked.Parcel.Weight)
	if err != nil || tenths <= 0 {
		return nil, unprocessable("PARCEL.INVALID_PARAMS", "The weight is a number of ounces.")
	}
	p := &shipment{id: "shp_" + c.sim.dice.id("shipment"), acct: c.acct, reference: asked.Reference, grams: tenths * 28349523125 / 10_000_000_000, format: carrier.PDF, madeAt: c.sim.now()}
	if strings.EqualFold(asked.Options.LabelFormat, "zpl") {
		p.format = carrier.ZPL
	}
	if p.from, err = asked.FromAddress.place(); err != nil {
		return nil, err
	}
	if p.to, err = asked.ToAddress.place(); err != nil {
		return nil, err
	}
	if p.from.Country != p.to.Country && (asked.CustomsInfo == nil || len(asked.CustomsInfo.CustomsItems) == 0) {
		return nil, unprocessable("SHIPMENT.CUSTOMS_INFO.REQUIRED", "A parcel that crosses a border has customs_info.")
	}
	c.sim.quote(p)
	return c.shipment(p), nil
}

// inTenths reads a number with one digit after the point at most.
func inTenths(n json.Number) (int64, error) {
	whole, tenth, _ := strings.Cut(n.String(), ".")
	return json.Number(whole + cmp.Or(tenth, "0")[:1]).Int64()
}

func (c *call) find() (*shipment, error) {
	p, ok := c.acct.shipments[c.r.PathValue("id")]
	if !ok {
		return nil, &problem{status: http.StatusNotFound, code: "NOT_FOUND", message: "The requested resource could not be found."}
	}
	return p, nil
}

func (c *call) retrieveShipment() (any, error) {
	p, err := c.find()
	if err != nil {
		return nil, err
	}
	return c.shipment(p), nil
}

// beginPurchase refuses a second one, also while the first is going on.
func (c *call) beginPurchase() error {
	p, err := c.find()
	switch {
	case err != nil:
		return err
	case p.label != nil:
		return unprocessable("SHIPMENT.POSTAGE.EXISTS", "Postage already exists for this shipment")
	case p.buying:
		return unprocessable("SHIPMENT.PURCHASE.IN_PROGRESS", "A purchase of this shipment is in progress.")
	}
	p.buying = true
	return nil
}

func (c *call) buyShipment() (any, error) {
	p, err := c.find()
	if err != nil {
		return nil, err
	}
	var in struct{ Rate struct{ ID string } }
	if err := c.read(&in); err != nil {
		p.buying = false
		return nil, err
	}
	r, ok := c.acct.rates[strings.TrimPrefix(in.Rate.ID, "rate_")]
	if !ok || r.shipment != p {
		p.buying = false
		return nil, unprocessable("SHIPMENT.MISSING_RATE", "The rate is none of this shipment.")
	}
	if _, ok := c.sim.sell(r, "", p.format, c.base); !ok {
		return nil, unprocessable("SHIPMENT.POSTAGE.FAILURE", "The carrier does not take this parcel.")
	}
	return c.shipment(p), nil
}

func (c *call) convertLabel() (any, error) {
	p, err := c.find()
	if err != nil {
		return nil, err
	}
	format := strings.ToLower(c.r.URL.Query().Get("file_format"))
	switch {
	case p.label == nil:
		return nil, unprocessable("SHIPMENT.POSTAGE.REQUIRED", "There is no label yet.")
	case format != string(carrier.PDF) && format != string(carrier.ZPL):
		return nil, unprocessable("SHIPMENT.POSTAGE.INVALID_FORMAT", "The simulator writes PDF and ZPL.")
	}
	out := c.shipment(p)
	out["postage_label"].(words)["label_"+format+"_url"] = p.label.paperIn(carrier.Format(format))
	return out, nil
}

func (c *call) refundShipment() (any, error) {
	p, err := c.find()
	switch {
	case err != nil:
		return nil, err
	case p.label == nil:
		return nil, unprocessable("SHIPMENT.POSTAGE.REQUIRED", "There is no label to be refunded.")
	case !c.sim.giveBack(p.label):
		return nil, unprocessable("SHIPMENT.REFUND.UNAVAILABLE", "Refund request already made, or not available.")
	}
	return c.shipment(p), nil
}

func (c *call) listTrackers() (any, error) {
	query := c.r.URL.Query()
	found := []words{}
	for _, l := range c.sim.labels {
		if l.rate.shipment.acct == c.acct && l.number == query.Get("tracking_code") && (query.Get("carrier") == "" || query.Get("carrier") == l.rate.service.carrier) {
			found = append(found, l.easyPostTracker())
		}
	}
	return words{"trackers": found, "has_more": false}, nil
}

// shipment as EasyPost sends it, for the most part.
func (c *call) shipment(p *shipment) words {
	rates := []words{}
	for _, r := range p.rates {
		rates = append(rates, r.easyPost())
	}
	out := words{
		"id": p.id, "object": "Shipment", "mode": "test", "reference": p.reference, "created_at": p.madeAt, "updated_at": p.madeAt, "is_return": false,
		"rates": rates, "messages": []any{}, "selected_rate": nil, "postage_label": nil, "tracker": nil, "tracking_code": nil, "refund_status": nil, "status": "unknown",
	}
	if l := p.label; l != nil {
		paper := words{
			"id": "pl_" + l.id, "object": "PostageLabel", "label_url": l.paperIn(l.format), "label_size": "4x6", "label_resolution": 300,
			"label_file_type": mediaTypes[l.format], "label_pdf_url": nil, "label_zpl_url": nil, "label_epl2_url": nil,
		}
		out["selected_rate"], out["postage_label"], out["tracker"], out["tracking_code"] = l.rate.easyPost(), paper, l.easyPostTracker(), l.number
		out["status"], out["updated_at"] = easyPostStatus(l.status), l.updatedAt
		if l.void != "" {
			out["refund_status"] = easyPostVoids[l.void]
		}
	}
	return out
}

var easyPostVoids = map[carrier.VoidState]string{carrier.Submitted: "submitted", carrier.Voided: "refunded", carrier.Rejected: "rejected"}

func (r *rate) easyPost() words {
	return words{
		"id": "rate_" + r.id, "object": "Rate", "mode": "test", "service": r.service.name, "carrier": r.service.carrier, "rate": dollars(r.cents), "currency": "USD",
		"list_rate": dollars(r.cents), "list_currency": "USD", "delivery_days": r.service.days, "delivery_date": nil, "delivery_date_guaranteed": false,
		"shipment_id": r.shipment.id, "carrier_account_id": "ca_simulator",
	}
}

func (l *label) easyPostTracker() words {
	details := []words{}
	for _, e := range l.events {
		details = append(details, words{
			"object": "TrackingDetail", "message": e.Description, "status": easyPostStatus(e.Status), "status_detail": easyPostDetail(e.Status), "datetime": e.At.Format(time.RFC3339),
			"source": l.rate.service.carrier, "tracking_location": words{"object": "TrackingLocation", "city": e.Place, "state": nil, "country": nil, "zip": nil},
		})
	}
	return words{
		"id": "trk_" + l.trackerID, "object": "Tracker", "mode": "test", "tracking_code": l.number, "status": easyPostStatus(l.status), "status_detail": easyPostDetail(l.status),
		"signed_by": nil, "weight": nil, "est_delivery_date": l.estimate(), "shipment_id": l.rate.shipment.id, "carrier": l.rate.service.carrier,
		"tracking_details": details, "public_url": l.base + "/_sim/labels?trackingNumber=" + l.number, "created_at": l.boughtAt, "updated_at": l.updatedAt,
	}
}

func easyPostStatus(s carrier.Status) string {
	switch s {
	case carrier.Exception, carrier.Lost:
		return "failure"
	case carrier.Returned:
		return "return_to_sender"
	case carrier.Annulled:
		return "cancelled"
	case carrier.Unknown:
		return "unknown"
	default:
		return string(s)
	}
}

func easyPostDetail(s carrier.Status) string {
	if s == carrier.Lost {
		return "lost"
	}
	return "status_update"
}

// easyPostEvent is a webhook's body.
func (s *Simulator) easyPostEvent(l *label, of happening) words {
	kind, result := "tracker.updated", l.easyPostTracker()
	switch of {
	case moved:
	case created:
		kind = "tracker.created"
	case refunded:
		kind, result = "refund.successful", words{
			"id": "rfnd_" + l.voidID, "object": "Refund", "tracking_code": l.number, "confirmation_number": nil, "status": easyPostVoids[l.void], "carrier": l.rate.service.carrier,
			"shipment_id": l.rate.shipment.id,
		}
	}
	return words{
		"id": "evt_" + s.dice.id("event"), "object": "Event", "mode": "test", "description": kind, "previous_attributes": words{}, "result": result,
		"status": "pending", "created_at": s.now(), "updated_at": s.now(),
	}
}
