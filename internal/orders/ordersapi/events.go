// Package ordersapi is the orders module's published language: the only part of it
// that other modules may import. Fields are only ever added.
package ordersapi

import (
	"embed"
	"time"
)

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Item is one line of an order.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Price    string `json:"price"` // of one unit, decimal
}

// Order is the order as the facts below show it.
type Order struct {
	OrderID    string    `json:"orderId"`
	Number     int64     `json:"number"`
	CustomerID string    `json:"customerId"`
	Status     string    `json:"status"`
	Items      []Item    `json:"items"`
	Total      string    `json:"total"` // decimal
	Currency   string    `json:"currency"`
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"createdAt"`

	// Of an order that was a cart: what its total is made of.
	CartID        string `json:"cartId,omitempty"`
	Subtotal      string `json:"subtotal,omitempty"`
	DiscountTotal string `json:"discountTotal,omitempty"`
	ShippingTotal string `json:"shippingTotal,omitempty"`
	TaxTotal      string `json:"taxTotal,omitempty"`
}

// EventKey is the order: its facts are handled in order.
func (o Order) EventKey() string { return o.OrderID }

// EventSequence is the order's version.
func (o Order) EventSequence() int64 { return o.Version }

// OrderCreated says that an order was accepted and waits for stock.
type OrderCreated struct {
	Order
	HoldID string `json:"holdId,omitempty"` // of stock that the buyer holds already
}

// EventType is the topic.
func (OrderCreated) EventType() string { return "order.created" }

// OrderConfirmed says that the stock of an order is held.
type OrderConfirmed struct{ Order }

// EventType is the topic.
func (OrderConfirmed) EventType() string { return "order.confirmed" }

// OrderPaid says that nothing is left to pay for an order whose stock is held.
type OrderPaid struct{ Order }

// EventType is the topic.
func (OrderPaid) EventType() string { return "order.paid" }

// OrderFailed says that an order cannot be fulfilled, and why.
type OrderFailed struct {
	Order
	Reason string `json:"reason"`
}

// EventType is the topic.
func (OrderFailed) EventType() string { return "order.failed" }

// OrderClaimed says that an order of a guest is a customer's now.
type OrderClaimed struct{ Order }

// EventType is the topic.
func (OrderClaimed) EventType() string { return "order.claimed" }

// OrderCancelled says that an order was called off: what was held for it is free.
type OrderCancelled struct {
	Order
	Reason string `json:"reason"` // empty when the shopper called it off: it may be about themselves
}

// EventType is the topic.
func (OrderCancelled) EventType() string { return "order.cancelled" }

// OrderHeld says that an order is not sent until somebody has looked at it.
type OrderHeld struct {
	Order
	HeldFor string `json:"heldFor"` // "staff" or "amount"
}

// EventType is the topic.
func (OrderHeld) EventType() string { return "order.held" }

// OrderReleased says that an order that waited for somebody goes on.
type OrderReleased struct{ Order }

// EventType is the topic.
func (OrderReleased) EventType() string { return "order.released" }

// OrderShipped says that nothing is left to ship of an order.
type OrderShipped struct{ Order }

// EventType is the topic.
func (OrderShipped) EventType() string { return "order.shipped" }

// OrderDelivered says that all of an order that was not cancelled has arrived.
type OrderDelivered struct{ Order }

// EventType is the topic.
func (OrderDelivered) EventType() string { return "order.delivered" }

// ItemsCancelled says that a part of an order was called off: what was held for it is free,
// and what was paid for it goes back.
type ItemsCancelled struct {
	Order
	Cancelled []CancelledItem `json:"cancelled"`
	// CalledOff are all units of these SKUs that were called off of the order so far: the most
	// counts, however often and in whatever order it is told.
	CalledOff []CalledOff `json:"calledOff,omitempty"`
	Amount    string      `json:"amount"` // what these cost, decimal
	Due       string      `json:"due"`    // what the rest of the order costs, decimal
	Reason    string      `json:"reason"` // empty when the shopper called it off: it may be about themselves
}

// CancelledItem is a quantity of a line that was called off.
type CancelledItem struct {
	Line     int    `json:"line"` // position in the order, from 1
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// CalledOff is how much of a SKU was called off of an order.
type CalledOff struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// EventType is the topic.
func (ItemsCancelled) EventType() string { return "order.items_cancelled" }

// OrderEdited says that somebody changed what was agreed of an order that has not left. The whole
// order is as it is now; where it goes is personal, and only in the order.
type OrderEdited struct {
	Order
	Changed []string `json:"changed"`
}

// EventType is the topic.
func (OrderEdited) EventType() string { return "order.edited" }

// ParcelBack says that a parcel which could not be handed over is back: what was in it is to be
// sent again, or called off.
type ParcelBack struct {
	Order
	ShipmentID string         `json:"shipmentId"`
	Contents   []UnpackedItem `json:"contents"`
}

// UnpackedItem is a quantity of a line that came back unsold.
type UnpackedItem struct {
	Line      int    `json:"line"` // position in the order, from 1
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	Restocked int64  `json:"restocked"` // of these, what can be sold again
}

// EventType is the topic.
func (ParcelBack) EventType() string { return "order.parcel_back" }
