package shipping

import (
	"context"
	"fmt"
	"io"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/label"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var (
	errNoCustoms  = fault.New(fault.Conflict, "customs_not_asked", "The parcel stays in its customs territory: no form goes with it.")
	errNoContents = fault.New(fault.Conflict, "contents_unknown", "Nobody has said what is in the parcel.")
)

// abroad tells whether customs look at the parcel.
func (s *shipment) abroad() bool {
	return s.Recipient != nil && territory.Customs(s.Sender.Country) != territory.Customs(s.Recipient.Country)
}

// contents are what is in a parcel, as customs are told. What nobody has weighed weighs its
// share of the parcel.
func (s *shipment) contents() ([]carrier.Item, error) {
	units := int64(0)
	for _, i := range s.Items {
		units += i.Quantity
	}
	list := make([]carrier.Item, len(s.Items))
	for n, i := range s.Items {
		value, err := i.Price.Mul(i.Quantity)
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", i.SKU, err)
		}
		each := s.Size.Grams / units
		list[n] = carrier.Item{SKU: i.SKU, Description: i.Name, Quantity: i.Quantity, Grams: max(1, each*i.Quantity+s.Size.Grams%units*i.Quantity/units), Value: value}
	}
	return list, nil
}

// declare adds to what is in a parcel what the catalog knows of it. Of what is not for sale any
// more it knows nothing.
func (s *service) declare(ctx context.Context, items []carrier.Item) error {
	skus := make([]string, len(items))
	for n, i := range items {
		skus[n] = i.SKU
	}
	offers, err := s.offers.Offers(ctx, skus)
	if err != nil {
		return fmt.Errorf("ask what customs want to know: %w", err)
	}
	for n := range items {
		o := offers[items[n].SKU]
		items[n].HSCode, items[n].Origin = o.Customs.HSCode, o.Customs.Origin
		if o.Measures.Grams > 0 {
			items[n].Grams = o.Measures.Grams * items[n].Quantity
		}
	}
	return nil
}

// declaration is what the customs form of a shipment says.
func (s *service) declaration(ctx context.Context, in *byID) (f label.CustomsForm, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return f, err
	}
	var p shipment
	var how settings
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		if p, err = s.store.findShipment(ctx, tx, id); err != nil {
			return err
		}
		how, err = s.store.settings(ctx, tx, "")
		return err
	}); err != nil {
		return f, err
	}
	m, err := p.printed(how.Paper, p.Parcel)
	switch {
	case err != nil:
		return f, err
	case !p.abroad():
		return f, errNoCustoms
	case len(p.Items) == 0:
		return f, errNoContents
	}
	items, err := p.contents()
	if err != nil {
		return f, err
	}
	if err := s.declare(ctx, items); err != nil {
		return f, err
	}
	f = label.CustomsForm{Size: m.Size, Carrier: m.Carrier, From: m.From, To: m.To, TrackingNumber: m.TrackingNumber, Category: label.Sale, Signer: m.From.Name, Date: m.Date}
	if p.Direction == shippingapi.Return {
		f.Category = label.Returned
	}
	for _, i := range items {
		f.Items = append(f.Items, label.CustomsItem{Description: i.Description, Quantity: i.Quantity, Grams: i.Grams, Value: i.Value, HSCode: i.HSCode, Origin: i.Origin})
	}
	return f, nil
}

func (s *service) handleCustomsPDF(ctx context.Context, in *byID) (httpx.Download, error) {
	f, err := s.declaration(ctx, in)
	return httpx.Download{Media: mediaPDF, Name: "customs-" + f.TrackingNumber + ".pdf", Write: written(nil, func(w io.Writer) error { return label.CustomsPDF(w, f) })}, err
}

func (s *service) handleCustomsZPL(ctx context.Context, in *zplInput) (httpx.Download, error) {
	f, err := s.declaration(ctx, &byID{in.ID})
	return httpx.Download{Media: mediaZPL, Name: "customs-" + f.TrackingNumber + ".zpl", Write: written(nil, func(w io.Writer) error { return label.CustomsZPL(w, f, in.dpi()) })}, err
}
