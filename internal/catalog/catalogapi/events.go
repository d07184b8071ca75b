// Package catalogapi is the catalog's published language: the only part of it that
// other modules may import. Fields are only ever added.
package catalogapi

import (
	"embed"
	"time"
)

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Product is the product as the facts below show it.
type Product struct {
	ProductID   string    `json:"productId"`
	SKU         string    `json:"sku"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Price       string    `json:"price"` // decimal, with the currency's digits
	Currency    string    `json:"currency"`
	Status      string    `json:"status"`
	Version     int64     `json:"version"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// EventKey is the product: its facts are handled in order.
func (p Product) EventKey() string { return p.ProductID }

// EventSequence is the product's version.
func (p Product) EventSequence() int64 { return p.Version }

// ProductCreated says that a product exists, and how much of it the merchant has.
type ProductCreated struct {
	Product
	Inventory int64 `json:"inventory"` // units on hand to begin with
}

// EventType is the topic.
func (ProductCreated) EventType() string { return "product.created" }

// ProductUpdated says that a product changed; it shows the product as it is now.
type ProductUpdated struct{ Product }

// EventType is the topic.
func (ProductUpdated) EventType() string { return "product.updated" }

// ProductArchived says that a product is not for sale any more.
type ProductArchived struct{ Product }

// EventType is the topic.
func (ProductArchived) EventType() string { return "product.archived" }
