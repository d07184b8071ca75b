// Package checkoutapi is the checkout's published language: the only part of it that other
// modules may import. Fields are only ever added.
package checkoutapi

import "embed"

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Item is one line of a cart.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
	Price    string `json:"price"` // of one unit, decimal, as the buyer saw it last
}

// CartAbandoned says that a cart with something in it has been left alone. It is said once,
// until somebody comes back to it. Who left it, beyond a customer's id, is asked for: facts
// are for ever.
type CartAbandoned struct {
	CartID     string `json:"cartId"`
	CustomerID string `json:"customerId,omitempty"` // absent for a guest
	Currency   string `json:"currency"`
	Items      []Item `json:"items"`
	// Reachable says that there is an address to write to.
	Reachable bool  `json:"reachable"`
	Version   int64 `json:"version"`
}

// EventType is the topic.
func (CartAbandoned) EventType() string { return "cart.abandoned" }

// EventKey is the cart: its facts are handled in order.
func (c CartAbandoned) EventKey() string { return c.CartID }

// EventSequence is the cart's version.
func (c CartAbandoned) EventSequence() int64 { return c.Version }
