package shipping

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/label"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var (
	errNoSender     = fault.New(fault.Conflict, "no_sender", "Say where parcels come from first: PUT /v1/shipping/settings.")
	errNoAddress    = fault.New(fault.Conflict, "no_address", "The order does not say where it goes.")
	errNotVoidable  = fault.New(fault.Conflict, "shipment_not_voidable", "The parcel has left.")
	errNotShippable = fault.New(fault.Conflict, "shipment_not_shippable", "The parcel has no label, or its label was given back.")
	errCarrierTells = fault.New(fault.Conflict, "carrier_tells", "The carrier says how far its parcel is. By hand it can be said of parcels that the shop brings itself, and of those that are older than 60 days.")
	// The refusals of the orders.
	errNothingToShip     = fault.New(fault.Conflict, "nothing_to_ship", "That is not left to ship: it was not ordered, was cancelled, or is in a parcel already.")
	errOrderHeld         = fault.New(fault.Conflict, "order_held", "The order is held back until somebody has looked at it: POST /v1/orders/{id}/release.")
	errOrderNotShippable = fault.New(fault.Conflict, "order_not_shippable", "The order cannot be shipped.")

	errNoLabel     = fault.New(fault.Conflict, "shipment_has_no_label", "The shipment has no label.")
	errNoDocument  = fault.New(fault.Conflict, "label_not_here_yet", "The label is bought, and the carrier has not sent its document yet.")
	errOtherFormat = fault.New(fault.Conflict, "label_of_other_format", "The carrier's label is there in another format.")
)

// shipmentStatus says how a shipment stands. It is derived from its label and from what was
// seen of the parcel, so that it cannot be stuck.
type shipmentStatus string

const (
	created   shipmentStatus = "created"
	labelled  shipmentStatus = "labelled"
	failed    shipmentStatus = "failed" // there is no label to be had
	voided    shipmentStatus = "voided"
	shipped   shipmentStatus = "shipped"
	exception shipmentStatus = "exception"
	delivered shipmentStatus = "delivered"
	returned  shipmentStatus = "returned"
)

// labelState is what became of the wish for a label.
type labelState string

const (
	labelWanted  labelState = "wanted"
	labelBought  labelState = "bought"
	labelRefused labelState = "refused"
	labelVoiding labelState = "voiding" // the carrier has not agreed yet
	labelVoided  labelState = "voided"
)

// inhouseName is the carrier that needs nobody else: the shop brings its parcels itself, or
// hands them to somebody whom the program does not know.
const inhouseName = "inhouse"

// shipment is a parcel of an order.
type shipment struct {
	ID             uuid.UUID
	OrderID        uuid.UUID
	OrderNumber    int64 // what people call the order
	CustomerID     string
	Parcel         int // of the order's, from 1
	Direction      string
	ReturnID       *uuid.UUID // that it brings; nil: it goes to the buyer
	Items          []packed
	Sender         ordersapi.Address
	Recipient      *ordersapi.Address // nil: forgotten
	Size           carrier.Parcel
	Label          labelState
	Failure        *carrier.Declined
	Carrier        string // who was asked
	TakenBy        string // who takes the parcel
	Service        string
	TrackingNumber string
	TrackingURL    string // the carrier's page
	Tracking       carrier.Tracking
	Token          string // opens where the parcel is to anybody
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// packed is a quantity of a line of the order.
type packed struct {
	Line     int
	SKU      string
	Name     string
	Quantity int64
	Price    money.Amount // of one unit
}

// status derives how the shipment stands. What was seen of the parcel counts more than what
// became of its label.
func (s *shipment) status() shipmentStatus {
	switch s.Tracking.Status {
	case carrier.InTransit, carrier.OutForDelivery, carrier.AvailableForPickup:
		return shipped
	case carrier.Exception, carrier.Lost, carrier.ReturnToSender:
		return exception
	case carrier.Delivered:
		return delivered
	case carrier.Returned:
		return returned
	case carrier.Annulled:
		return voided
	case carrier.Unknown, carrier.PreTransit:
	}
	switch s.Label {
	case labelBought:
		return labelled
	case labelVoiding:
		if s.TrackingNumber != "" {
			return labelled
		}
	case labelRefused:
		return failed
	case labelVoided:
		return voided
	case labelWanted:
	}
	return created
}

// left says that the parcel was seen on its way.
func (s *shipment) left() bool {
	switch s.status() {
	case shipped, exception, delivered, returned:
		return true
	case created, labelled, failed, voided:
	}
	return false
}

// void gives the label up, and with it the shipment; taken says that a carrier has sold the label,
// or may have, and has to agree. It reports whether that changes anything.
func (s *shipment) void(taken bool) (bool, error) {
	if s.left() {
		return false, errNotVoidable.With("shipmentStatus", string(s.status()))
	}
	if s.Label == labelVoided || s.Label == labelVoiding {
		return false, nil
	}
	s.Label, s.Failure = labelVoided, nil
	if taken {
		s.Label = labelVoiding
	}
	return true, nil
}

// see takes in what somebody saw of the parcel. What carriers write about a parcel of which it is
// forgotten where it went is not kept.
func (s *shipment) see(told carrier.Tracking) {
	if s.Recipient == nil {
		told.Events = slices.Clone(told.Events)
		for i := range told.Events {
			told.Events[i].Description, told.Events[i].Place = "", ""
		}
	}
	s.Tracking = carrier.Merge(s.Tracking, told)
}

// moves has the shop itself say how far a parcel is that it brings. How far one is that a carrier
// brings the carrier says, until it is not asked any more.
func (s *shipment) moves(to carrier.Status, at time.Time) error {
	if s.Carrier != inhouseName && at.Sub(s.CreatedAt) <= trackedFor {
		return errCarrierTells.With("carrier", s.TakenBy)
	}
	if s.Label != labelBought {
		return errNotShippable.With("shipmentStatus", string(s.status()))
	}
	s.see(carrier.Tracking{Events: []carrier.Event{{Status: to, At: at}}})
	return nil
}

// labelPath is where the label is.
func (s *shipment) labelPath() string {
	if s.TrackingNumber == "" {
		return ""
	}
	return "/v1/shipments/" + s.ID.String() + "/label.pdf"
}

func (s *shipment) trackPath() string { return "/v1/track/" + s.Token }

func (s *shipment) fact() shippingapi.Shipment {
	f := shippingapi.Shipment{
		ShipmentID: s.ID.String(), OrderID: s.OrderID.String(), Status: string(s.status()), Direction: s.Direction, Carrier: s.TakenBy, Service: s.Service,
		TrackingNumber: s.TrackingNumber, LabelURL: s.labelPath(), TrackingURL: s.trackPath(), Version: s.Version,
	}
	if s.ReturnID != nil {
		f.ReturnID = s.ReturnID.String()
	}
	if s.status() == failed && s.Failure != nil {
		f.FailureCode = s.Failure.Code
	}
	for _, i := range s.Items {
		f.Items = append(f.Items, shippingapi.Item{Line: i.Line, SKU: i.SKU, Quantity: i.Quantity})
	}
	return f
}

// news is the fact that tells how the shipment stands.
func (s *shipment) news() event.Event {
	f := s.fact()
	switch s.status() {
	case labelled:
		return shippingapi.LabelCreated{Shipment: f}
	case failed:
		return shippingapi.ShipmentFailed{Shipment: f}
	case voided:
		return shippingapi.ShipmentVoided{Shipment: f}
	case shipped:
		return shippingapi.ShipmentShipped{Shipment: f}
	case exception:
		return shippingapi.ShipmentException{Shipment: f}
	case delivered:
		return shippingapi.ShipmentDelivered{Shipment: f}
	case returned:
		return shippingapi.ShipmentReturned{Shipment: f}
	case created:
	}
	return shippingapi.ShipmentCreated{Shipment: f}
}

// printed is what the label of a shipment says; parcels is how many the order has.
func (s *shipment) printed(paper label.Size, parcels int) (label.Model, error) {
	if s.TrackingNumber == "" || s.Recipient == nil {
		return label.Model{}, errNoLabel
	}
	return label.Model{
		Size: paper, Carrier: s.TakenBy, Service: s.Service, From: labelAddress(s.Sender), To: labelAddress(*s.Recipient), TrackingNumber: s.TrackingNumber, TrackingURL: s.TrackingURL,
		Order: number(s.OrderNumber), Parcel: s.Parcel, Parcels: parcels, Grams: s.Size.Grams, Return: s.Direction == shippingapi.Return, Date: s.CreatedAt,
	}, nil
}

func labelAddress(a ordersapi.Address) label.Address {
	return label.Address{Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country, Phone: a.Phone}
}
