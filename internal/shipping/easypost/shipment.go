package easypost

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/rest"
)

// asked is a consignment in EasyPost's words. A parcel that comes back is one like others,
// from the buyer: EasyPost's own returns turn the addresses round, and few carriers have them.
func asked(p carrier.Consignment) map[string]any {
	parcel := map[string]any{"weight": rest.Ounces(p.Parcel.Grams)}
	for side, mm := range map[string]int64{"length": p.Parcel.Length, "width": p.Parcel.Width, "height": p.Parcel.Height} {
		if mm > 0 {
			parcel[side] = rest.Inches(mm)
		}
	}
	s := map[string]any{
		"reference": p.Reference, "from_address": address(p.From), "to_address": address(p.To), "parcel": parcel,
		"options": map[string]any{"label_format": strings.ToUpper(string(cmp.Or(p.Format, carrier.PDF))), "label_size": "4x6"},
	}
	if p.Abroad() {
		s["customs_info"] = customs(p)
	}
	return map[string]any{"shipment": s}
}

func address(a carrier.Address) map[string]string {
	return map[string]string{
		"name": a.Name, "company": a.Company, "street1": a.Line1, "street2": a.Line2, "city": a.City, "state": a.Region, "zip": a.PostalCode, "country": a.Country,
		"phone": a.Phone, "email": a.Email,
	}
}

func customs(p carrier.Consignment) map[string]any {
	items := make([]map[string]any, len(p.Items))
	for i, it := range p.Items {
		items[i] = map[string]any{
			"description": it.Description, "quantity": it.Quantity, "weight": rest.Ounces(it.Grams), "value": json.Number(it.Value.Decimal()), "currency": it.Value.Currency,
			"hs_tariff_number": it.HSCode, "origin_country": it.Origin, "code": it.SKU,
		}
	}
	return map[string]any{
		"contents_type": cmp.Or(p.Contents, carrier.Merchandise), "customs_certify": true, "customs_signer": cmp.Or(p.From.Name, p.From.Company),
		"non_delivery_option": "return", "restriction_type": "none",
		"eel_pfc":       "NOEEI 30.37(a)", // of the United States: worth less than 2,500 dollars
		"customs_items": items,
	}
}

// shipment is the part of EasyPost's that we read.
type shipment struct {
	ID           string        `json:"id"`
	Rates        []rate        `json:"rates"`
	SelectedRate *rate         `json:"selected_rate"`
	TrackingCode string        `json:"tracking_code"`
	PostageLabel *postageLabel `json:"postage_label"`
	Tracker      *tracker      `json:"tracker"`
	RefundStatus string        `json:"refund_status"`
}

type rate struct {
	ID           string     `json:"id"`
	Carrier      string     `json:"carrier"`
	Service      string     `json:"service"`
	Rate         string     `json:"rate"`
	Currency     string     `json:"currency"`
	DeliveryDays int        `json:"delivery_days"`
	DeliveryDate *time.Time `json:"delivery_date"`
}

// postageLabel has addresses by format; the first is that of the format it was bought in.
type postageLabel struct {
	LabelURL      string `json:"label_url"`
	LabelFileType string `json:"label_file_type"`
	LabelPDFURL   string `json:"label_pdf_url"`
	LabelZPLURL   string `json:"label_zpl_url"`
}

var errShipment = errors.New("easypost: this shipment cannot be read")

// offers leaves out a rate that cannot be read: the others can be bought.
func (s shipment) offers() (rates []carrier.Rate, err error) {
	if s.ID == "" {
		return nil, errShipment
	}
	for _, r := range s.Rates {
		price, bad := rest.Amount(r.Rate, r.Currency)
		if bad != nil || r.ID == "" {
			err = fmt.Errorf("%w: rate %s: %w", errShipment, r.ID, bad)
			continue
		}
		rates = append(rates, carrier.Rate{
			Reference: s.ID + "/" + r.ID, Carrier: r.Carrier, Service: r.Service, Price: price, Days: r.DeliveryDays, EstimatedDelivery: r.DeliveryDate,
		})
	}
	if len(rates) > 0 {
		err = nil
	}
	return rates, err
}

// parts of a rate's reference: a shipment and a rate of it.
func parts(reference string) (shipment, rate string, err error) {
	shipment, rate, ok := strings.Cut(reference, "/")
	if !ok || shipment == "" || rate == "" {
		return "", "", &carrier.Declined{Code: "RATE.UNKNOWN", Message: "The rate is none of EasyPost's."}
	}
	return shipment, rate, nil
}

func (s shipment) label() (carrier.Label, error) {
	if s.ID == "" || s.PostageLabel == nil || s.SelectedRate == nil || s.TrackingCode == "" {
		return carrier.Label{}, fmt.Errorf("%w: %w: %s", carrier.ErrUnknownOutcome, errShipment, s.ID)
	}
	cost, err := rest.Amount(s.SelectedRate.Rate, s.SelectedRate.Currency)
	if err != nil {
		return carrier.Label{}, fmt.Errorf("%w: %w: %s: %w", carrier.ErrUnknownOutcome, errShipment, s.ID, err)
	}
	l := carrier.Label{
		Reference: s.ID, Carrier: s.SelectedRate.Carrier, Service: s.SelectedRate.Service, TrackingNumber: s.TrackingCode, Cost: cost, Voided: s.void(),
	}
	if s.Tracker != nil {
		l.TrackingURL = s.Tracker.PublicURL
	}
	return l, nil
}

// format in which the label is there.
func (s shipment) format() carrier.Format {
	if strings.Contains(strings.ToLower(s.PostageLabel.LabelFileType), "zpl") {
		return carrier.ZPL
	}
	return carrier.PDF
}

// document is the address of the label in a format; empty when it is not there in it.
func (s shipment) document(format carrier.Format) string {
	switch l := s.PostageLabel; {
	case l == nil:
	case format == carrier.ZPL && l.LabelZPLURL != "":
		return l.LabelZPLURL
	case format == carrier.PDF && l.LabelPDFURL != "":
		return l.LabelPDFURL
	case strings.Contains(strings.ToLower(l.LabelFileType), string(format)):
		return l.LabelURL
	}
	return ""
}

func (s shipment) void() carrier.VoidState { return voidOf(s.RefundStatus) }

func voidOf(status string) carrier.VoidState {
	switch status {
	case "submitted":
		return carrier.Submitted
	case "refunded":
		return carrier.Voided
	case "rejected", "not_applicable":
		return carrier.Rejected
	}
	return ""
}
