// Package inventoryapi is the inventory's published language: the only part of it
// that other modules may import. Fields are only ever added.
package inventoryapi

import "embed"

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Item is a quantity of a SKU.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Reserved says that the stock of a whole order is held.
type Reserved struct {
	OrderID  string `json:"orderId"`
	Status   string `json:"status"`   // "reserved"
	SKU      string `json:"sku"`      // of the first item
	Quantity int64  `json:"quantity"` // of the first item
	Items    []Item `json:"items"`
}

// EventType is the topic.
func (Reserved) EventType() string { return "inventory.reserved" }

// EventKey is the order.
func (r Reserved) EventKey() string { return r.OrderID }

// EventSequence counts what happened to the order's reservation.
func (Reserved) EventSequence() int64 { return 1 }

// Short is an item of which there was not enough.
type Short struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"` // asked for
	Available int64  `json:"available"`
}

// Insufficient says that an order cannot be held; nothing of it is.
type Insufficient struct {
	OrderID  string  `json:"orderId"`
	Status   string  `json:"status"`   // "insufficient"
	SKU      string  `json:"sku"`      // of the first item that is short
	Quantity int64   `json:"quantity"` // of the first item that is short
	Items    []Short `json:"items"`    // all that are short
}

// EventType is the topic.
func (Insufficient) EventType() string { return "inventory.insufficient" }

// EventKey is the order.
func (i Insufficient) EventKey() string { return i.OrderID }

// EventSequence counts what happened to the order's reservation.
func (Insufficient) EventSequence() int64 { return 1 }

// Released says that the stock held for an order is free again.
type Released struct {
	OrderID string `json:"orderId"`
	Status  string `json:"status"` // "released"
	Items   []Item `json:"items"`
}

// EventType is the topic.
func (Released) EventType() string { return "inventory.released" }

// EventKey is the order.
func (r Released) EventKey() string { return r.OrderID }

// EventSequence counts what happened to the order's reservation.
func (Released) EventSequence() int64 { return 2 }

// Reduced says that a part of the stock held for an order is free again.
type Reduced struct {
	OrderID string `json:"orderId"`
	Status  string `json:"status"` // "reduced"
	Items   []Item `json:"items"`
}

// EventType is the topic.
func (Reduced) EventType() string { return "inventory.reduced" }

// EventKey is the order.
func (r Reduced) EventKey() string { return r.OrderID }

// EventSequence counts what happened to the order's reservation; it is reduced while it holds.
func (Reduced) EventSequence() int64 { return 1 }

// Level is the stock of a SKU after a change.
type Level struct {
	SKU       string `json:"sku"`
	Location  string `json:"location"`
	OnHand    int64  `json:"onHand"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
	Version   int64  `json:"version"`
}

// EventKey is the SKU.
func (l Level) EventKey() string { return l.SKU }

// EventSequence is the version of the stock.
func (l Level) EventSequence() int64 { return l.Version }

// Adjusted says that somebody counted, received or wrote off stock.
type Adjusted struct {
	Level
	Delta  int64  `json:"delta"`
	Reason string `json:"reason"`
}

// EventType is the topic.
func (Adjusted) EventType() string { return "inventory.adjusted" }

// LowStock says that what can be sold fell to the threshold or below it. It is said
// once, until the stock has been above the threshold again.
type LowStock struct {
	Level
	Threshold int64 `json:"threshold"`
}

// EventType is the topic.
func (LowStock) EventType() string { return "inventory.low_stock" }
