package shippo

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/rest"
)

// asked is a consignment in Shippo's words. A parcel that comes back is one like others, from
// the buyer: Shippo's own returns turn the addresses round, and few carriers have them.
func asked(p carrier.Consignment) (map[string]any, error) {
	box := p.Parcel
	if box.Grams <= 0 || box.Length <= 0 || box.Width <= 0 || box.Height <= 0 {
		return nil, &carrier.Declined{Code: "PARCEL_SIZE_REQUIRED", Message: "Shippo wants to know a parcel's weight, length, width and height."}
	}
	s := map[string]any{
		"address_from": address(p.From), "address_to": address(p.To), "metadata": p.Reference, "async": false,
		"parcels": []map[string]any{{
			"length": whole(box.Length), "width": whole(box.Width), "height": whole(box.Height), "distance_unit": "mm", "weight": whole(box.Grams), "mass_unit": "g",
		}},
	}
	if p.Abroad() {
		s["customs_declaration"] = customs(p)
	}
	return s, nil
}

func whole(n int64) string { return strconv.FormatInt(n, 10) }

func address(a carrier.Address) map[string]string {
	return map[string]string{
		"name": a.Name, "company": a.Company, "street1": a.Line1, "street2": a.Line2, "city": a.City, "state": a.Region, "zip": a.PostalCode, "country": a.Country,
		"phone": a.Phone, "email": a.Email,
	}
}

func customs(p carrier.Consignment) map[string]any {
	contents := strings.ToUpper(string(cmp.Or(p.Contents, carrier.Merchandise)))
	if p.Contents == carrier.ReturnedGoods {
		contents = "RETURN_MERCHANDISE"
	}
	items := make([]map[string]any, len(p.Items))
	for i, it := range p.Items {
		items[i] = map[string]any{
			"description": it.Description, "quantity": it.Quantity, "net_weight": whole(it.Grams), "mass_unit": "g", "value_amount": it.Value.Decimal(), "value_currency": it.Value.Currency,
			"origin_country": it.Origin, "tariff_number": it.HSCode, "sku_code": it.SKU,
		}
	}
	return map[string]any{
		"certify": true, "certify_signer": cmp.Or(p.From.Name, p.From.Company), "contents_type": contents, "non_delivery_option": "RETURN",
		"eel_pfc": "NOEEI_30_37_a", // of the United States: worth less than 2,500 dollars
		"items":   items,
	}
}

// shipment is the part of Shippo's that we read.
type shipment struct {
	ObjectID string `json:"object_id"`
	Rates    []rate `json:"rates"`
}

type rate struct {
	ObjectID     string `json:"object_id"`
	Amount       string `json:"amount"`
	Currency     string `json:"currency"`
	Provider     string `json:"provider"`
	ServiceLevel struct {
		Token string `json:"token"`
		Name  string `json:"name"`
	} `json:"servicelevel"`
	EstimatedDays int `json:"estimated_days"`
}

var errShipment = errors.New("shippo: this shipment cannot be read")

// offers leaves out a rate that cannot be read: the others can be bought.
func (s shipment) offers() (rates []carrier.Rate, err error) {
	if s.ObjectID == "" {
		return nil, errShipment
	}
	for _, r := range s.Rates {
		price, bad := rest.Amount(r.Amount, r.Currency)
		if bad != nil || r.ObjectID == "" {
			err = fmt.Errorf("%w: rate %s: %w", errShipment, r.ObjectID, bad)
			continue
		}
		rates = append(rates, carrier.Rate{
			Reference: r.ObjectID, Carrier: r.Provider, Service: cmp.Or(r.ServiceLevel.Name, r.ServiceLevel.Token), Price: price, Days: r.EstimatedDays,
		})
	}
	if len(rates) > 0 {
		err = nil
	}
	return rates, err
}

// transaction is the part of Shippo's that we read: a purchase, and its label.
type transaction struct {
	ObjectID            string    `json:"object_id"`
	Status              string    `json:"status"`
	Metadata            string    `json:"metadata"`
	TrackingNumber      string    `json:"tracking_number"`
	TrackingURLProvider string    `json:"tracking_url_provider"`
	LabelURL            string    `json:"label_url"`
	LabelFileType       string    `json:"label_file_type"`
	Messages            []message `json:"messages"`
}

type message struct {
	Source string `json:"source"`
	Code   string `json:"code"`
	Text   string `json:"text"`
}

// declined is why a purchase came to nothing.
func (t transaction) declined() *carrier.Declined {
	no := &carrier.Declined{Code: "TRANSACTION_ERROR"}
	var texts []string
	for _, m := range t.Messages {
		if m.Code != "" {
			no.Code = m.Code
		}
		texts = append(texts, m.Text)
	}
	no.Message = strings.Join(texts, " ")
	return no
}

func (t transaction) format() carrier.Format {
	if strings.HasPrefix(t.LabelFileType, "ZPL") {
		return carrier.ZPL
	}
	return carrier.PDF
}

func fileType(f carrier.Format) string {
	if f == carrier.ZPL {
		return "ZPLII"
	}
	return "PDF_4x6"
}

func (t transaction) void() carrier.VoidState {
	switch t.Status {
	case "REFUNDPENDING":
		return carrier.Submitted
	case "REFUNDED":
		return carrier.Voided
	case "REFUNDREJECTED":
		return carrier.Rejected
	}
	return ""
}
