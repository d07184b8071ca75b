package ordersapi

import "time"

// Journey is all that is known of an order.
type Journey struct {
	Order     OrderView      `json:"order"`
	Shipments []ShipmentView `json:"shipments"`
	Steps     []StepView     `json:"timeline"`
}

// ShipmentView is what a shipment of an order told last.
type ShipmentView struct {
	ID             string `json:"id" db:"id"`
	Direction      string `json:"direction" db:"direction"`
	Status         string `json:"status" db:"status"`
	Carrier        string `json:"carrier,omitempty" db:"carrier"`
	TrackingNumber string `json:"trackingNumber,omitempty" db:"tracking_number"`
	Units          int64  `json:"units" db:"units"`
}

// StepView is one entry of an order's timeline.
type StepView struct {
	Status            string          `json:"status"`
	PaymentStatus     string          `json:"paymentStatus,omitempty" doc:"Of steps that changed it"`
	FulfillmentStatus string          `json:"fulfillmentStatus,omitempty" doc:"Of steps that changed it"`
	ShipmentID        string          `json:"shipmentId,omitempty" format:"uuid" doc:"Of steps that a shipment made"`
	ShipmentStatus    string          `json:"shipmentStatus,omitempty" enum:"created,labelled,failed,voided,shipped,exception,delivered,returned,arrived_back" doc:"What the shipment told; arrived_back: somebody has unpacked what could not be handed over"`
	Cancelled         []CancelledItem `json:"cancelled,omitempty" doc:"Of steps that called off a part"`
	ReturnID          string          `json:"returnId,omitempty" format:"uuid" doc:"Of steps that a return made"`
	ReturnStatus      string          `json:"returnStatus,omitempty" enum:"requested,approved,rejected,received,closed,cancelled" doc:"What became of the return"`
	Hold              string          `json:"hold,omitempty" enum:"staff,amount,released" doc:"Of steps that held it back, and why, or let it go on"`
	Edited            []string        `json:"edited,omitempty" doc:"What a step changed of what was agreed" example:"[\"shippingAddress\"]"`
	Reason            string          `json:"reason,omitempty"`
	Actor             string          `json:"actor" doc:"Who or what made the step; to a customer, the shop is one"`
	At                time.Time       `json:"at"`
}
