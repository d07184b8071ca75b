package shipping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/label"
)

const (
	mediaPDF = "application/pdf"
	mediaZPL = "application/zpl"
)

type sizeBody struct {
	Grams  int64 `json:"grams,omitempty" minimum:"1" maximum:"1000000" doc:"What is in it weighs, with the box that it goes into, when it is absent" example:"1250"`
	Length int64 `json:"length,omitempty" minimum:"1" maximum:"10000" doc:"mm"`
	Width  int64 `json:"width,omitempty" minimum:"1" maximum:"10000" doc:"mm"`
	Height int64 `json:"height,omitempty" minimum:"1" maximum:"10000" doc:"mm"`
}

type consignedBody struct {
	Line     int    `json:"line,omitempty" minimum:"1" maximum:"1000" doc:"Its position in the order, from 1; or sku"`
	SKU      string `json:"sku,omitempty" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100000"`
}

type dispatchBody struct {
	OrderID uuid.UUID       `json:"orderId" format:"uuid"`
	Items   []consignedBody `json:"items,omitempty" maxItems:"500" doc:"All that is left when it is absent"`
	Parcel  sizeBody        `json:"parcel,omitzero"`
	Service string          `json:"service,omitempty" maxLength:"100" doc:"What the label says, and what a carrier has to offer; the shipping method's name when it is absent, and the cheapest when the carrier has none of that name" example:"Priority"`
	Carrier string          `json:"carrier,omitempty" maxLength:"40" doc:"easypost, shippo, inhouse or the id of an account; the preferred account's when it is absent, and inhouse when there is none" example:"easypost"`
	Rate    string          `json:"rate,omitempty" maxLength:"60000" doc:"Buy this offer, of POST /v1/shipments/rates, for what it was offered for: goes with nothing else than orderId"`
}

// Check finds what the schema cannot say.
func (b *dispatchBody) Check() (fields []fault.Field) {
	fields = checkConsigned(b.Items)
	if b.Rate != "" && (len(b.Items) > 0 || b.Parcel != sizeBody{} || b.Service != "" || b.Carrier != "") {
		fields = append(fields, fault.Field{Pointer: "/rate", Code: "excluded", Detail: "says all that is to be said"})
	}
	return append(append(fields, httpx.Line("/service", b.Service)...), httpx.Line("/carrier", b.Carrier)...)
}

type dispatchInput struct {
	httpx.JSON[dispatchBody]
}

type shippedItem struct {
	Line     int    `json:"line" doc:"Position in the order, from 1"`
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
}

type seenEvent struct {
	Status      string     `json:"status"`
	Description string     `json:"description,omitempty"`
	Place       string     `json:"place,omitempty"`
	At          *time.Time `json:"at,omitempty" doc:"Absent when nobody has said when"`
}

type shipmentResponse struct {
	ID             string             `json:"id" format:"uuid"`
	OrderID        string             `json:"orderId" format:"uuid"`
	OrderNumber    int64              `json:"orderNumber"`
	Parcel         int                `json:"parcel" doc:"Of the order's in this direction, from 1"`
	Direction      string             `json:"direction" enum:"outbound,return"`
	ReturnID       string             `json:"returnId,omitempty" format:"uuid" doc:"The return that it brings"`
	Status         string             `json:"status" enum:"created,labelled,failed,voided,shipped,exception,delivered,returned"`
	Items          []shippedItem      `json:"items"`
	Carrier        string             `json:"carrier" doc:"Who takes the parcel"`
	Service        string             `json:"service"`
	TrackingNumber string             `json:"trackingNumber,omitempty"`
	TrackingURL    string             `json:"trackingUrl,omitempty" doc:"The carrier's page"`
	TrackPath      string             `json:"trackPath" doc:"Where anybody who has it sees where the parcel is"`
	LabelURL       string             `json:"labelUrl,omitempty"`
	TrackingStatus string             `json:"trackingStatus,omitempty" doc:"What was seen of the parcel"`
	Events         []seenEvent        `json:"events"`
	Estimated      *time.Time         `json:"estimatedDelivery,omitempty"`
	Grams          int64              `json:"grams"`
	Sender         ordersapi.Address  `json:"sender" personal:"true" doc:"The shop, or, of a return, the buyer"`
	Recipient      *ordersapi.Address `json:"recipient,omitempty" personal:"true"`
	FailureCode    string             `json:"failureCode,omitempty" doc:"Why there is no label; void_rejected when the carrier does not take it back"`
	FailureMessage string             `json:"failureMessage,omitempty" personal:"true" doc:"What the carrier said: it may quote the address"`
	CreatedAt      time.Time          `json:"createdAt"`
	UpdatedAt      time.Time          `json:"updatedAt"`

	version int64
	masked  bool // what is personal is not shown whole
}

// ETag is the shipment's version, as it is shown.
func (r shipmentResponse) ETag() string {
	if r.masked {
		return fmt.Sprintf(`"%d-masked"`, r.version)
	}
	return httpx.VersionTag(r.version)
}

// dispatchedResponse also says where the shipment is.
type dispatchedResponse struct{ shipmentResponse }

// Location of the shipment.
func (r dispatchedResponse) Location() string { return "/v1/shipments/" + r.ID }

func presentShipment(s shipment) shipmentResponse {
	r := shipmentResponse{
		ID: s.ID.String(), OrderID: s.OrderID.String(), OrderNumber: s.OrderNumber, Parcel: s.Parcel, Direction: s.Direction, Status: string(s.status()), Items: []shippedItem{},
		Carrier: s.TakenBy, Service: s.Service, TrackingNumber: s.TrackingNumber, TrackingURL: s.TrackingURL, TrackPath: s.trackPath(), LabelURL: s.labelPath(),
		TrackingStatus: string(s.Tracking.Status), Events: seenEvents(s.Tracking), Estimated: s.Tracking.EstimatedDelivery, Grams: s.Size.Grams, Sender: s.Sender, Recipient: s.Recipient,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, version: s.Version,
	}
	if s.Failure != nil {
		r.FailureCode, r.FailureMessage = s.Failure.Code, s.Failure.Message
	}
	if s.ReturnID != nil {
		r.ReturnID = s.ReturnID.String()
	}
	for _, i := range s.Items {
		r.Items = append(r.Items, shippedItem{i.Line, i.SKU, i.Name, i.Quantity})
	}
	return r
}

func seenEvents(t carrier.Tracking) []seenEvent {
	list := []seenEvent{}
	for _, e := range t.Events {
		seen := seenEvent{Status: string(e.Status), Description: e.Description, Place: e.Place}
		if !e.At.IsZero() {
			seen.At = &e.At
		}
		list = append(list, seen)
	}
	return list
}

func (s *service) handleDispatch(ctx context.Context, in *dispatchInput) (dispatchedResponse, error) {
	b := in.Body
	w := wanted{ID: clock.NewID(), OrderID: b.OrderID, Items: consignedItems(b.Items), Size: carrier.Parcel(b.Parcel), Service: b.Service, Carrier: b.Carrier}
	if b.Rate != "" {
		o, err := s.openOffer(ctx, b.Rate, b.OrderID)
		if err != nil {
			return dispatchedResponse{}, err
		}
		w.Items, w.Size, w.Service, w.Offer = o.Items, o.Size, o.Rate.Service, &o
	}
	return measured(ctx, s, w, func(w wanted) (dispatchedResponse, error) {
		return httpx.Command(ctx, s.db, func(tx *db.Tx) (dispatchedResponse, error) {
			how, err := s.store.settings(ctx, tx, "")
			if err != nil {
				return dispatchedResponse{}, err
			}
			p, err := s.dispatch(ctx, tx, w, how)
			return dispatchedResponse{shownTo(ctx, presentShipment(p))}, err
		})
	})
}

func (s *service) shipment(ctx context.Context, in *byID) (p shipment, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return p, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err = s.store.findShipment(ctx, tx, id)
		return err
	})
	return p, err
}

func (s *service) handleShipment(ctx context.Context, in *byID) (shipmentResponse, error) {
	p, err := s.shipment(ctx, in)
	return shownTo(ctx, presentShipment(p)), err
}

type shipmentsInput struct {
	httpx.Page
	Status  string `query:"status" enum:"created,labelled,failed,voided,shipped,exception,delivered,returned"`
	OrderID string `query:"orderId" format:"uuid" doc:"Only of this order"`
}

func (s *service) handleShipments(ctx context.Context, in *shipmentsInput) (httpx.List[shipmentResponse], error) {
	out := httpx.List[shipmentResponse]{Data: []shipmentResponse{}}
	f := shipmentFilter{Status: in.Status, Limit: in.Limit + 1}
	if in.OrderID != "" {
		id, err := httpx.ID(in.OrderID)
		if err != nil {
			return out, err
		}
		f.OrderID = &id
	}
	if in.Cursor != "" {
		f.After = &shipmentPosition{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return out, err
		}
	}
	var list []shipment
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.listShipments(ctx, tx, f)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		last := list[in.Limit-1]
		var err error
		if out.NextCursor, err = httpx.Cursor(shipmentPosition{last.CreatedAt, last.ID}); err != nil {
			return out, err
		}
	}
	for _, p := range list {
		out.Data = append(out.Data, shownTo(ctx, presentShipment(p)))
	}
	return out, nil
}

// change has a shipment changed under its lock.
func (s *service) change(ctx context.Context, in *byID, do func(tx *db.Tx, was shipment) (shipment, error)) (shipmentResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return shipmentResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (shipmentResponse, error) {
		was, err := s.store.lockShipment(ctx, tx, id)
		if err != nil {
			return shipmentResponse{}, err
		}
		audit.Before(ctx, presentShipment(was))
		now, err := do(tx, was)
		return shownTo(ctx, presentShipment(now)), err
	})
}

func (s *service) handleVoid(ctx context.Context, in *byID) (shipmentResponse, error) {
	return s.change(ctx, in, func(tx *db.Tx, was shipment) (shipment, error) { return s.void(ctx, tx, was) })
}

func (s *service) handleRetry(ctx context.Context, in *byID) (shipmentResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return shipmentResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (shipmentResponse, error) {
		now, err := s.retry(ctx, tx, id)
		return shownTo(ctx, presentShipment(now)), err
	})
}

type labelBody struct {
	OrderID uuid.UUID `json:"orderId" format:"uuid"`
}

type labelInput struct{ httpx.JSON[labelBody] }

type labelResponse struct {
	ShipmentID     string `json:"shipmentId" format:"uuid"`
	OrderID        string `json:"orderId" format:"uuid"`
	Status         string `json:"status" enum:"created,labelled,failed,voided,shipped,exception,delivered,returned" doc:"created while the carrier has not answered: the shipment says how it goes on"`
	TrackingNumber string `json:"trackingNumber,omitempty"`
	Carrier        string `json:"carrier"`
	LabelURL       string `json:"labelUrl,omitempty"`
}

// Location of the shipment.
func (r labelResponse) Location() string { return "/v1/shipments/" + r.ShipmentID }

func presentLabel(p shipment) labelResponse {
	return labelResponse{p.ID.String(), p.OrderID.String(), string(p.status()), p.TrackingNumber, p.TakenBy, p.labelPath()}
}

const (
	// labelWait is how long who wants a label waits for its carrier.
	labelWait = 10 * time.Second
	labelLook = 100 * time.Millisecond
)

// handleLabel makes the shipment of an order, and waits a while for its label. A request that is
// repeated finds what the first one has made.
func (s *service) handleLabel(ctx context.Context, in *labelInput) (labelResponse, error) {
	id, err := httpx.Once(ctx)
	if err != nil {
		return labelResponse{}, err
	}
	if _, err := measured(ctx, s, wanted{ID: id, OrderID: in.Body.OrderID}, func(w wanted) (struct{}, error) {
		return struct{}{}, s.db.InTx(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, "label "+id.String()); err != nil {
				return fmt.Errorf("wait for the same request: %w", err)
			}
			if _, err := s.store.findShipment(ctx, tx, id); !errors.Is(err, httpx.ErrNotFound) {
				return err
			}
			how, err := s.store.settings(ctx, tx, "")
			if err != nil {
				return err
			}
			_, err = s.dispatch(ctx, tx, w, how)
			return err
		})
	}); err != nil {
		return labelResponse{}, err
	}
	if err := s.awaitLabel(ctx, id); err != nil {
		return labelResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (labelResponse, error) {
		p, err := s.store.findShipment(ctx, tx, id)
		return presentLabel(p), err
	})
}

// awaitLabel waits until it is known what becomes of a label, for as long as somebody waits.
func (s *service) awaitLabel(ctx context.Context, id uuid.UUID) error {
	look := time.NewTicker(labelLook)
	defer look.Stop()
	for waited := time.Duration(0); waited < labelWait; waited += labelLook {
		var p shipment
		if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
			p, err = s.store.findShipment(ctx, tx, id)
			return err
		}); err != nil || p.status() != created {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the label: %w", ctx.Err())
		case <-look.C:
		}
	}
	return nil
}

func (s *service) handleShip(ctx context.Context, in *byID) (shipmentResponse, error) {
	return s.moved(ctx, in, carrier.InTransit)
}

func (s *service) handleDeliver(ctx context.Context, in *byID) (shipmentResponse, error) {
	return s.moved(ctx, in, carrier.Delivered)
}

func (s *service) moved(ctx context.Context, in *byID, to carrier.Status) (shipmentResponse, error) {
	return s.change(ctx, in, func(tx *db.Tx, was shipment) (shipment, error) {
		now := was
		if err := now.moves(to, tx.Now); err != nil {
			return was, err
		}
		if now.status() == was.status() {
			return was, nil
		}
		return s.keep(ctx, tx, was, now)
	})
}

// printable is what the label of a shipment says, and its document when the carrier has given one.
func (s *service) printable(ctx context.Context, in *byID, as carrier.Format) (m label.Model, document []byte, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return m, nil, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err := s.store.findShipment(ctx, tx, id)
		if err != nil {
			return err
		}
		how, err := s.store.settings(ctx, tx, "")
		if err != nil {
			return err
		}
		parcels, err := s.store.parcels(ctx, tx, p.OrderID, p.Direction)
		if err != nil {
			return err
		}
		if m, err = p.printed(how.Paper, parcels); err != nil || p.Carrier == inhouseName {
			return err
		}
		bought, err := s.store.purchase(ctx, tx, id)
		if err != nil {
			return err
		}
		format, body, err := s.store.document(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case bought.Document == documentAwaited:
			return errNoDocument
		case format != "" && format != as:
			return errOtherFormat.Saying("The carrier's label is there as label.%s.", format)
		}
		document = body
		return nil
	})
	return m, document, err
}

// written sends the carrier's document, or draws one when there is none.
func written(document []byte, draw func(io.Writer) error) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		if document == nil {
			return draw(w)
		}
		_, err := w.Write(document)
		return err
	}
}

func (s *service) handleLabelPDF(ctx context.Context, in *byID) (httpx.Download, error) {
	m, document, err := s.printable(ctx, in, carrier.PDF)
	return httpx.Download{Media: mediaPDF, Name: "label-" + m.TrackingNumber + ".pdf", Write: written(document, func(w io.Writer) error { return label.PDF(w, m) })}, err
}

type zplInput struct {
	ID  string `path:"id"`
	DPI string `query:"dpi" enum:"203,300" doc:"Of the printer; 203 when it is absent"`
}

func (in *zplInput) dpi() int {
	if in.DPI == "300" {
		return 300
	}
	return 203
}

func (s *service) handleLabelZPL(ctx context.Context, in *zplInput) (httpx.Download, error) {
	m, document, err := s.printable(ctx, &byID{in.ID}, carrier.ZPL)
	return httpx.Download{Media: mediaZPL, Name: "label-" + m.TrackingNumber + ".zpl", Write: written(document, func(w io.Writer) error { return label.ZPL(w, m, in.dpi()) })}, err
}

type trackInput struct {
	Token string `path:"token" maxLength:"100"`
}

// trackResponse names nobody: whoever has the link sees it.
type trackResponse struct {
	Status         string      `json:"status" enum:"created,labelled,failed,voided,shipped,exception,delivered,returned"`
	Carrier        string      `json:"carrier"`
	Service        string      `json:"service"`
	TrackingNumber string      `json:"trackingNumber,omitempty"`
	TrackingURL    string      `json:"trackingUrl,omitempty"`
	City           string      `json:"city,omitempty" doc:"Where it goes"`
	Country        string      `json:"country,omitempty"`
	Estimated      *time.Time  `json:"estimatedDelivery,omitempty"`
	Events         []seenEvent `json:"events"`
}

func (s *service) handleTrack(ctx context.Context, in *trackInput) (out trackResponse, err error) {
	if _, err := identity.From(ctx); err != nil {
		return out, httpx.ErrNotFound
	}
	var p shipment
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		p, err = s.store.trackedBy(ctx, tx, in.Token)
		return err
	}); err != nil {
		return out, err
	}
	events := seenEvents(p.Tracking)
	for i := range events {
		events[i].Description = "" // carriers write into it who has signed
	}
	out = trackResponse{
		Status: string(p.status()), Carrier: p.TakenBy, Service: p.Service, TrackingNumber: p.TrackingNumber, TrackingURL: p.TrackingURL, Estimated: p.Tracking.EstimatedDelivery, Events: events,
	}
	if p.Recipient != nil {
		out.City, out.Country = p.Recipient.City, p.Recipient.Country
	}
	return out, nil
}
