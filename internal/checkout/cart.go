package checkout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

var (
	errUnknownSKU       = fault.New(fault.Invalid, "unknown_sku", "Something is not for sale.")
	errCurrencyMismatch = fault.New(fault.Invalid, "currency_mismatch", "Something has no price in the currency of the cart.")
	errUnknownLine      = fault.New(fault.Invalid, "unknown_item", "There is no such item in the cart.")
	errCartFull         = fault.New(fault.Invalid, "cart_full", "There is no room for that in a cart.")
	errAmountRange      = fault.New(fault.Invalid, "amount_out_of_range", "The cart is worth more than can be counted.")
	errNotOpen          = fault.New(fault.Conflict, "cart_not_open", "The cart cannot be changed any more.")
)

const (
	mostLines    = 500
	mostQuantity = 100_000
	mostCodes    = 10
)

type status string

const (
	open    status = "open"
	placed  status = "placed"
	merged  status = "merged" // into another cart of its customer's
	expired status = "expired"
)

type address = ordersapi.Address

// cart is what somebody is about to buy.
type cart struct {
	ID              uuid.UUID
	Status          status
	Ticket          []byte // hash of a guest's token
	CustomerID      string // empty: a guest's
	Currency        money.Currency
	Email           string
	ShippingAddress *address
	BillingAddress  *address
	MethodID        string
	Codes           []string
	Metadata        map[string]string
	HoldID          string
	HoldExpiresAt   *time.Time
	HeldSince       *time.Time // from when on it has held stock, of whatever was in it
	Shown           shown
	OrderID         *uuid.UUID
	Version         int64
	CreatedAt       time.Time
	UpdatedAt       time.Time
	Lines           []line
}

// line is a quantity of one SKU, each once, as the buyer was shown it last.
type line struct {
	ID        uuid.UUID
	Position  int64
	SKU       string
	Quantity  int64
	ProductID uuid.UUID
	Name      string
	Price     money.Amount
	Available *int64 // less than the quantity; nil: enough
	Gone      bool   // it is not for sale any more
}

// shown is what the buyer was shown last, beside the lines.
type shown struct {
	Total     *int64          `json:"total,omitempty"` // nil: nothing yet
	Shipping  *int64          `json:"shipping,omitempty"`
	Discounts []shownDiscount `json:"discounts,omitempty"`
	// Checked says that placing has told what the e-mail address has bought here, and the cart
	// is priced accordingly from then on.
	Checked bool `json:"checked,omitempty"`
}

type shownDiscount struct {
	ID   string `json:"id"`
	Code string `json:"code,omitempty"`
	Name string `json:"name"`
}

// clone is a cart whose lines can be changed without changing those of the original.
func (c cart) clone() cart {
	c.Lines, c.Codes = slices.Clone(c.Lines), slices.Clone(c.Codes)
	return c
}

// isRegistered tells a customer's cart from a guest's, who may have any name but a UUID.
func (c cart) isRegistered() bool { return uuid.Validate(c.CustomerID) == nil }

// buyer is whose order the cart becomes.
func (c cart) buyer() string {
	if c.CustomerID == "" {
		return "guest-" + c.ID.String()
	}
	return c.CustomerID
}

// hasBegun tells whether the buyer is checking out: from then on stock is held.
func (c cart) hasBegun() bool {
	return c.Email != "" || c.ShippingAddress != nil || c.MethodID != ""
}

// holds tells whether the cart holds the stock of all its lines.
func (c cart) holds(now time.Time) bool {
	return c.HoldID != "" && c.HoldExpiresAt != nil && now.Before(*c.HoldExpiresAt) &&
		!slices.ContainsFunc(c.Lines, func(l line) bool { return l.Available != nil })
}

func (c cart) skus() []string {
	skus := make([]string, len(c.Lines))
	for i, l := range c.Lines {
		skus[i] = l.SKU
	}
	return skus
}

// add puts a quantity of what is offered into the cart; more of what is there already.
func (c *cart) add(ctx context.Context, offers map[string]catalogapi.Offer, sku string, quantity int64, pointer string) error {
	if at := slices.IndexFunc(c.Lines, func(l line) bool { return l.SKU == sku }); at >= 0 {
		return c.resize(at, c.Lines[at].Quantity+quantity, pointer)
	}
	offer, ok := offers[sku]
	if !ok {
		return errUnknownSKU.At(pointer+"/sku", errUnknownSKU.Code, sku+" is not for sale")
	}
	if c.Currency == "" {
		c.Currency = offer.Prices[max(0, slices.IndexFunc(offer.Prices, func(p money.Amount) bool { return isSold(ctx, p.Currency) }))].Currency
	}
	// The products may have kept prices in a currency that the shop has given up.
	if fields := tenant.CheckCurrency(ctx, pointer+"/sku", c.Currency); len(fields) > 0 {
		return httpx.ErrValidation(fields...)
	}
	price, ok := offer.In(c.Currency)
	if !ok {
		return errCurrencyMismatch.At(pointer+"/sku", errCurrencyMismatch.Code, fmt.Sprintf("%s has no price in %s", sku, c.Currency))
	}
	if len(c.Lines) == mostLines {
		return errCartFull.At(pointer, errCartFull.Code, fmt.Sprintf("a cart has %d different items at most", mostLines))
	}
	product, err := uuid.Parse(offer.ProductID)
	if err != nil {
		return fmt.Errorf("product of %s: %w", sku, err)
	}
	last := int64(0)
	for _, l := range c.Lines {
		last = max(last, l.Position)
	}
	c.Lines = append(c.Lines, line{ID: clock.NewID(), Position: last + 1, SKU: sku, ProductID: product, Name: offer.Name, Price: price})
	return c.resize(len(c.Lines)-1, quantity, pointer)
}

// isSold tells whether the shop sells in a currency.
func isSold(ctx context.Context, c money.Currency) bool {
	return c == "" || len(tenant.CheckCurrency(ctx, "", c)) == 0
}

// resize sets the quantity of a line; nothing removes it.
func (c *cart) resize(at int, quantity int64, pointer string) error {
	if quantity == 0 {
		c.Lines = slices.Delete(c.Lines, at, at+1)
		return nil
	}
	if quantity > mostQuantity {
		return errCartFull.At(pointer+"/quantity", errCartFull.Code, fmt.Sprintf("a cart has %d of an item at most", mostQuantity))
	}
	c.Lines[at].Quantity = quantity
	return nil
}

// find is where a line is, by its id or else its SKU.
func (c *cart) find(id, sku, pointer string) (int, error) {
	at := slices.IndexFunc(c.Lines, func(l line) bool { return id != "" && l.ID.String() == strings.ToLower(id) || id == "" && l.SKU == sku })
	if at < 0 {
		return at, errUnknownLine.At(pointer, errUnknownLine.Code, "is not in the cart")
	}
	return at, nil
}

func (c *cart) addCode(code, pointer string) error {
	code = strings.TrimSpace(code)
	if slices.ContainsFunc(c.Codes, func(o string) bool { return strings.EqualFold(o, code) }) {
		return nil
	}
	if len(c.Codes) == mostCodes {
		return errCartFull.At(pointer+"/code", errCartFull.Code, fmt.Sprintf("a cart has %d codes at most", mostCodes))
	}
	c.Codes = append(c.Codes, code)
	return nil
}

func (c *cart) removeCode(code string) {
	c.Codes = slices.DeleteFunc(c.Codes, func(o string) bool { return strings.EqualFold(o, strings.TrimSpace(code)) })
}

// hasRoomFor tells whether all that is in another cart can be in this one.
func (c cart) hasRoomFor(other cart) bool {
	lines := len(c.Lines)
	for _, l := range other.Lines {
		at := slices.IndexFunc(c.Lines, func(m line) bool { return m.SKU == l.SKU })
		switch {
		case c.Currency != "" && l.Price.Currency != c.Currency:
			return false
		case at < 0:
			lines++
		case c.Lines[at].Quantity+l.Quantity > mostQuantity:
			return false
		}
	}
	return lines <= mostLines
}

// pour adds what another cart has, for which there is room: quantities add up, and what this
// one does not say of its buyer the other one does. Of its codes as many come along as may be.
func (c *cart) pour(other cart) {
	last := int64(0)
	for _, l := range c.Lines {
		last = max(last, l.Position)
	}
	for _, l := range other.Lines {
		if at := slices.IndexFunc(c.Lines, func(m line) bool { return m.SKU == l.SKU }); at >= 0 {
			c.Lines[at].Quantity += l.Quantity
			continue
		}
		last++
		l.ID, l.Position = clock.NewID(), last
		c.Lines, c.Currency = append(c.Lines, l), l.Price.Currency
	}
	if c.HoldID == "" {
		c.HoldID, c.HoldExpiresAt, c.HeldSince = other.HoldID, other.HoldExpiresAt, other.HeldSince
	}
	if c.Email == "" {
		c.Email = other.Email
	}
	if c.ShippingAddress == nil {
		c.ShippingAddress = other.ShippingAddress
	}
	if c.BillingAddress == nil {
		c.BillingAddress = other.BillingAddress
	}
	for _, code := range other.Codes {
		if len(c.Codes) < mostCodes && !slices.ContainsFunc(c.Codes, func(o string) bool { return strings.EqualFold(o, code) }) {
			c.Codes = append(c.Codes, code)
		}
	}
}
