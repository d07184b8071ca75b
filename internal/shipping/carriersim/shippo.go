package carriersim

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

const shippoName = "shippo"

func shippo() api {
	return api{
		name: shippoName,
		credential: func(r *http.Request) (string, bool) {
			return testKey(strings.TrimPrefix(r.Header.Get("Authorization"), "ShippoToken "), "shippo_test_")
		},
		problem: func(p *problem) any { return words{"detail": p.message} },
		routes: []route{
			{"POST /shipments", http.StatusCreated, nil, (*call).quoteShippo},
			{"POST /transactions", http.StatusCreated, nil, (*call).createTransaction},
			{"GET /transactions", http.StatusOK, nil, (*call).listTransactions},
			{"GET /transactions/{id}", http.StatusOK, nil, (*call).retrieveTransaction},
			{"POST /refunds", http.StatusCreated, nil, (*call).createRefund},
			{"GET /tracks/{carrier}/{number}", http.StatusOK, nil, (*call).track},
		},
	}
}

func invalid(message string) *problem {
	return &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: message}
}

func (c *call) quoteShippo() (any, error) {
	var in struct {
		AddressFrom address `json:"address_from"`
		AddressTo   address `json:"address_to"`
		Parcels     []struct {
			Length, Width, Height, Weight string
			DistanceUnit                  string `json:"distance_unit"`
			MassUnit                      string `json:"mass_unit"`
		}
		CustomsDeclaration any `json:"customs_declaration"`
		Metadata           string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if len(in.Parcels) != 1 || in.Parcels[0].MassUnit != "g" || in.Parcels[0].DistanceUnit != "mm" {
		return nil, invalid("The simulator takes one parcel, in grams and millimetres.")
	}
	for _, side := range []string{in.Parcels[0].Length, in.Parcels[0].Width, in.Parcels[0].Height} {
		if n, err := strconv.ParseInt(side, 10, 64); err != nil || n <= 0 {
			return nil, invalid("A parcel has a length, a width and a height.")
		}
	}
	grams, err := strconv.ParseInt(in.Parcels[0].Weight, 10, 64)
	if err != nil || grams <= 0 {
		return nil, invalid("A parcel has a weight.")
	}
	p := &shipment{id: c.sim.dice.id("shipment"), acct: c.acct, reference: in.Metadata, grams: grams, madeAt: c.sim.now()}
	if p.from, err = in.AddressFrom.place(); err != nil {
		return nil, err
	}
	if p.to, err = in.AddressTo.place(); err != nil {
		return nil, err
	}
	if p.from.Country != p.to.Country && in.CustomsDeclaration == nil {
		return nil, invalid("A parcel that crosses a border has a customs_declaration.")
	}
	c.sim.quote(p)
	rates := []words{}
	for _, r := range p.rates {
		rates = append(rates, words{
			"object_id": r.id, "shipment": p.id, "amount": dollars(r.cents), "currency": "USD", "amount_local": dollars(r.cents), "currency_local": "USD",
			"provider": r.service.carrier, "servicelevel": r.serviceLevel(), "estimated_days": r.service.days, "test": true,
		})
	}
	return words{"object_id": p.id, "status": "SUCCESS", "object_created": p.madeAt, "metadata": p.reference, "rates": rates, "messages": []any{}, "test": true}, nil
}

func (r *rate) serviceLevel() words {
	return words{"token": strings.ToLower(r.service.carrier + "_" + r.service.name), "name": r.service.title}
}

// createTransaction buys, as often as it is asked to: Shippo knows no key that makes it once.
func (c *call) createTransaction() (any, error) {
	var in struct {
		Rate          string
		Metadata      string
		LabelFileType string `json:"label_file_type"`
		Async         *bool
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	r, ok := c.acct.rates[in.Rate]
	switch {
	case !ok:
		return nil, invalid("Rate not found")
	case len(in.Metadata) > 100:
		return nil, invalid("Ensure that metadata has no more than 100 characters.")
	case in.Async == nil || *in.Async:
		return nil, invalid("The simulator buys at once: async is false.")
	}
	format := carrier.PDF
	if in.LabelFileType == "ZPLII" {
		format = carrier.ZPL
	}
	l, ok := c.sim.sell(r, in.Metadata, format, c.base)
	if !ok {
		return words{
			"object_id": c.sim.dice.id("label"), "status": "ERROR", "rate": r.id, "metadata": in.Metadata, "tracking_number": "", "label_url": "", "test": true,
			"messages": []words{{"source": r.service.carrier, "code": "not_deliverable", "text": "The carrier does not take this parcel."}},
		}, nil
	}
	return l.transaction(), nil
}

func (c *call) listTransactions() (any, error) {
	query := c.r.URL.Query()
	found := []words{}
	for _, l := range c.sim.labels {
		if l.rate.shipment.acct == c.acct && (query.Get("rate") == "" || query.Get("rate") == l.rate.id) {
			found = append([]words{l.transaction()}, found...)
		}
	}
	return words{"next": nil, "previous": nil, "results": found}, nil
}

func (c *call) labelOf(is func(*label) bool) (*label, error) {
	for _, l := range c.sim.labels {
		if l.rate.shipment.acct == c.acct && is(l) {
			return l, nil
		}
	}
	return nil, &problem{status: http.StatusNotFound, code: "NOT_FOUND", message: "Not found."}
}

func (c *call) retrieveTransaction() (any, error) {
	l, err := c.labelOf(func(l *label) bool { return l.id == c.r.PathValue("id") })
	if err != nil {
		return nil, err
	}
	return l.transaction(), nil
}

func (c *call) createRefund() (any, error) {
	var in struct{ Transaction string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	l, err := c.labelOf(func(l *label) bool { return l.id == in.Transaction })
	switch {
	case err != nil:
		return nil, invalid("Transaction not found")
	case !c.sim.giveBack(l):
		return nil, invalid("Refund for this transaction already exists")
	}
	return words{"object_id": l.voidID, "status": "QUEUED", "transaction": l.id, "object_created": c.sim.now(), "test": true}, nil
}

func (c *call) track() (any, error) {
	l, err := c.labelOf(func(l *label) bool {
		return l.number == c.r.PathValue("number") && strings.ToLower(l.rate.service.carrier) == c.r.PathValue("carrier")
	})
	if err != nil {
		return nil, err
	}
	return l.shippoTrack(), nil
}

// transaction as Shippo sends it, for the most part.
func (l *label) transaction() words {
	status := "SUCCESS"
	switch l.void {
	case carrier.Submitted:
		status = "REFUNDPENDING"
	case carrier.Voided:
		status = "REFUNDED"
	case carrier.Rejected:
		status = "REFUNDREJECTED"
	}
	fileType := "PDF_4x6"
	if l.format == carrier.ZPL {
		fileType = "ZPLII"
	}
	return words{
		"object_id": l.id, "object_state": "VALID", "status": status, "object_created": l.boughtAt, "object_updated": l.updatedAt, "rate": l.rate.id, "metadata": l.key,
		"label_file_type": fileType, "tracking_number": l.number, "tracking_status": shippoWords[l.status].status, "tracking_url_provider": l.base + "/_sim/labels?trackingNumber=" + l.number,
		"eta": l.estimate(), "label_url": l.paperIn(l.format), "messages": []any{}, "test": true,
	}
}

// shippoWords are Shippo's for where a parcel is: a status, and what it is in particular.
var shippoWords = map[carrier.Status]struct {
	status, substatus string
	action            bool
}{
	carrier.Unknown:            {"UNKNOWN", "", false},
	carrier.PreTransit:         {"PRE_TRANSIT", "information_received", false},
	carrier.InTransit:          {"TRANSIT", "package_departed", false},
	carrier.OutForDelivery:     {"TRANSIT", "out_for_delivery", false},
	carrier.Delivered:          {"DELIVERED", "delivered", false},
	carrier.AvailableForPickup: {"TRANSIT", "pickup_available", true},
	carrier.Exception:          {"TRANSIT", "delivery_attempted", true},
	carrier.Lost:               {"FAILURE", "package_lost", false},
	carrier.ReturnToSender:     {"RETURNED", "return_to_sender", false},
	carrier.Returned:           {"RETURNED", "package_unclaimed", false},
	carrier.Annulled:           {"UNKNOWN", "", false},
}

func (l *label) shippoTrack() words {
	history := []words{}
	for _, e := range l.events {
		said := shippoWords[e.Status]
		one := words{
			"object_id": l.trackerID, "status": said.status, "status_details": e.Description, "status_date": e.At.Format(time.RFC3339), "substatus": nil,
			"location": words{"city": e.Place, "state": "", "zip": "", "country": ""},
		}
		if said.substatus != "" {
			one["substatus"] = words{"code": said.substatus, "text": e.Description, "action_required": said.action}
		}
		history = append(history, one)
	}
	return words{
		"carrier": strings.ToLower(l.rate.service.carrier), "tracking_number": l.number, "transaction": l.id, "eta": l.estimate(), "servicelevel": l.rate.serviceLevel(),
		"tracking_status": history[len(history)-1], "tracking_history": history, "metadata": l.key, "messages": []any{},
	}
}

// shippoEvent is a webhook's body.
func (l *label) shippoEvent(of happening) words {
	switch of {
	case created:
		return words{"event": "transaction_created", "test": true, "data": l.transaction()}
	case refunded:
		return words{"event": "transaction_updated", "test": true, "data": l.transaction()}
	default:
		return words{"event": "track_updated", "test": true, "data": l.shippoTrack()}
	}
}
