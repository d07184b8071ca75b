package shippingapi

import "embed"

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Directions of shipments.
const (
	Outbound = "outbound"
	Return   = "return"
)

// Item is a quantity of a line of the order.
type Item struct {
	Line     int    `json:"line"` // position in the order, from 1
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Shipment is the shipment as the facts below show it.
type Shipment struct {
	ShipmentID     string `json:"shipmentId"`
	OrderID        string `json:"orderId"`
	Status         string `json:"status"`
	Direction      string `json:"direction"`
	ReturnID       string `json:"returnId,omitempty"`
	Items          []Item `json:"items"`
	Carrier        string `json:"carrier"`
	Service        string `json:"service"`
	TrackingNumber string `json:"trackingNumber"`
	LabelURL       string `json:"labelUrl"`
	FailureCode    string `json:"failureCode,omitempty"` // of one that has failed
	TrackingURL    string `json:"trackingUrl"`
	Version        int64  `json:"version"`
}

// OutcomeUnknown is the failure of a shipment whose label may be sold: somebody has to look.
const OutcomeUnknown = "outcome_unknown"

// EventKey is the shipment: its facts are handled in order.
func (s Shipment) EventKey() string { return s.ShipmentID }

// EventSequence is the shipment's version.
func (s Shipment) EventSequence() int64 { return s.Version }

// ShipmentCreated says that there is a parcel to be sent.
type ShipmentCreated struct{ Shipment }

// EventType is the topic.
func (ShipmentCreated) EventType() string { return "shipment.created" }

// LabelCreated says that a shipment has its label.
type LabelCreated struct{ Shipment }

// EventType is the topic.
func (LabelCreated) EventType() string { return "shipping.label.created" }

// ShipmentFailed says that a label cannot be bought.
type ShipmentFailed struct{ Shipment }

// EventType is the topic.
func (ShipmentFailed) EventType() string { return "shipment.failed" }

// ShipmentVoided says that a label was given back.
type ShipmentVoided struct{ Shipment }

// EventType is the topic.
func (ShipmentVoided) EventType() string { return "shipment.voided" }

// ShipmentShipped says that the carrier has the parcel.
type ShipmentShipped struct{ Shipment }

// EventType is the topic.
func (ShipmentShipped) EventType() string { return "shipment.shipped" }

// ShipmentDelivered says that the parcel has arrived.
type ShipmentDelivered struct{ Shipment }

// EventType is the topic.
func (ShipmentDelivered) EventType() string { return "shipment.delivered" }

// ShipmentException says that something is wrong with a parcel on its way.
type ShipmentException struct{ Shipment }

// EventType is the topic.
func (ShipmentException) EventType() string { return "shipment.exception" }

// ShipmentReturned says that the parcel came back to who sent it.
type ShipmentReturned struct{ Shipment }

// EventType is the topic.
func (ShipmentReturned) EventType() string { return "shipment.returned" }
