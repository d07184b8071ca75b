package ordersapi

import (
	"strconv"
	"time"
)

// Return is what a buyer sends back of an order, as the facts below show it.
type Return struct {
	ReturnID   string         `json:"returnId"`
	OrderID    string         `json:"orderId"`
	CustomerID string         `json:"customerId"`
	Status     string         `json:"status"`
	Items      []ReturnedItem `json:"items"`
	Currency   string         `json:"currency"`
	Version    int64          `json:"version"`
}

// EventKey is the return: its facts are handled in order.
func (r Return) EventKey() string { return r.ReturnID }

// EventSequence is the return's version.
func (r Return) EventSequence() int64 { return r.Version }

// ReturnedItem is a quantity of a line of the order that comes back.
type ReturnedItem struct {
	Line      int    `json:"line"` // position in the order, from 1
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"` // asked for
	Reason    string `json:"reason"`
	Received  int64  `json:"received"`  // 0 before anything came
	Restocked int64  `json:"restocked"` // of these, what can be sold again
}

// ReturnRequested says that somebody wants to send something back.
type ReturnRequested struct{ Return }

// EventType is the topic.
func (ReturnRequested) EventType() string { return "return.requested" }

// ReturnApproved says that the shop takes it back.
type ReturnApproved struct{ Return }

// EventType is the topic.
func (ReturnApproved) EventType() string { return "return.approved" }

// ReturnRejected says that the shop does not take it back.
type ReturnRejected struct{ Return }

// EventType is the topic.
func (ReturnRejected) EventType() string { return "return.rejected" }

// ReturnCancelled says that nothing will come of it.
type ReturnCancelled struct{ Return }

// EventType is the topic.
func (ReturnCancelled) EventType() string { return "return.cancelled" }

// ReturnReceived says what came back, and what goes back for it. The amounts are decimal.
type ReturnReceived struct {
	Return
	Refund         string `json:"refund"`          // all that goes back: less the fee, with shipping
	Asked          string `json:"asked,omitempty"` // what the refund were if as much of what was paid had not gone back before
	Fee            string `json:"fee"`             // that the shop keeps for its trouble
	ShippingRefund string `json:"shippingRefund"`  // of the refund
	Due            string `json:"due"`             // what the order costs now
}

// EventType is the topic.
func (ReturnReceived) EventType() string { return "return.received" }

// ReturnView is a return as callers of the API see it.
type ReturnView struct {
	ID             string           `json:"id" format:"uuid"`
	OrderID        string           `json:"orderId" format:"uuid"`
	OrderNumber    int64            `json:"orderNumber" example:"1001"`
	CustomerID     string           `json:"customerId"`
	Status         string           `json:"status" enum:"requested,approved,rejected,received,closed,cancelled" doc:"It is closed when what goes back for it has gone"`
	Lines          []ReturnLineView `json:"lines"`
	Answer         string           `json:"answer,omitempty" personal:"true" doc:"Why it was rejected"`
	RestockingFee  string           `json:"restockingFee" doc:"Percent of what the goods cost that the shop keeps, as it was when the return was asked for" example:"10.00"`
	Refund         string           `json:"refund" doc:"What goes back: for the goods less the fee, and for shipping; 0 before they are here" example:"22.50"`
	Asked          string           `json:"asked" doc:"What the goods cost less the fee, and shipping; refund is less when not as much is left of what was paid" example:"22.50"`
	ShortBecause   string           `json:"shortBecause,omitempty" enum:"refunded_before" doc:"Why less is refunded than was asked: what was paid has gone back before"`
	Fee            string           `json:"fee" doc:"What the shop keeps" example:"2.50"`
	ShippingRefund string           `json:"shippingRefund" doc:"Of the refund" example:"0.00"`
	Currency       string           `json:"currency" example:"EUR"`
	Shipment       *ShipmentView    `json:"shipment,omitempty" doc:"That brings it, the last that was made"`
	CreatedAt      time.Time        `json:"createdAt"`
	UpdatedAt      time.Time        `json:"updatedAt"`

	Version int64 `json:"-"`
}

// ETag is the return's version.
func (v ReturnView) ETag() string { return `"` + strconv.FormatInt(v.Version, 10) + `"` }

// ReturnLineView is what comes back of a line of the order.
type ReturnLineView struct {
	Line      int    `json:"line" doc:"Position in the order, from 1"`
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity" doc:"Asked for"`
	Reason    string `json:"reason" enum:"unwanted,too_small,too_large,defective,damaged,wrong_item,not_as_described,late,other"`
	Note      string `json:"note,omitempty" personal:"true"`
	Received  int64  `json:"received"`
	Restocked int64  `json:"restocked" doc:"Of those, what can be sold again"`
	Refund    string `json:"refund" doc:"For the goods, less the fee" example:"22.50"`
	Fee       string `json:"fee" example:"2.50"`
}

// ReturnableView is what can come back of an order now.
type ReturnableView struct {
	Lines         []ReturnableLineView `json:"lines"`
	RestockingFee string               `json:"restockingFee" doc:"Percent of what the goods cost that the shop keeps" example:"10.00"`
	Refundable    string               `json:"refundable" doc:"The most that can go back: what was paid for the order, less what went back. Returns that are worth more are refunded up to it" example:"22.50"`
	Reasons       []string             `json:"reasons" doc:"What a return can be asked for with"`
}

// ReturnableLineView is what can come back of a line.
type ReturnableLineView struct {
	Line     int        `json:"line" doc:"Position in the order, from 1"`
	SKU      string     `json:"sku"`
	Name     string     `json:"name"`
	Quantity int64      `json:"quantity" doc:"Units that the buyer can send back now"`
	Until    *time.Time `json:"until,omitempty" doc:"When the last of them cannot be any more; absent while none of them is delivered, or none can"`
	Over     int64      `json:"over" doc:"Units more that are with the buyer, and that only the shop can take back: their time is up, or they are sold for good"`
	Value    string     `json:"value" doc:"What is paid back for the units that the buyer can send back, less the fee" example:"22.50"`
}
