package ordersapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Placement is an order as a checkout has agreed it with its buyer. The orders store its
// amounts and never compute one again.
type Placement struct {
	OrderID    string
	Number     int64 // what Admit gave
	CartID     string
	CustomerID string
	Email      string
	HoldID     string // of stock that the buyer holds; empty: none
	// Ticket is the hash of what opens the order to a guest; empty: nothing does.
	Ticket          []byte
	ShippingAddress *Address
	BillingAddress  *Address
	Metadata        map[string]string

	Currency      money.Currency
	TaxIncluded   bool // in prices
	Lines         []PlacedLine
	Shipping      *PlacedShipping // nil: the shop sees to it elsewhere
	Discounts     []PlacedDiscount
	Subtotal      money.Amount
	DiscountTotal money.Amount
	ShippingTotal money.Amount // before discounts
	TaxTotal      money.Amount
	Total         money.Amount
}

// PlacedLine is a quantity of one SKU.
type PlacedLine struct {
	ProductID string
	SKU       string
	Name      string
	Quantity  int64
	Price     money.Amount // of one unit
	Shares
}

// PlacedShipping is how the order goes to its buyer.
type PlacedShipping struct {
	MethodID string
	Name     string
	Shares
}

// Shares are what a line, or shipping, has of everything. Net + Tax = Total.
type Shares struct {
	Discount  money.Amount
	Net       money.Amount
	Tax       money.Amount
	Total     money.Amount
	Taxes     []TaxShare
	Discounts []DiscountShare
	Units     []UnitShare
}

// TaxShare is one rate's part.
type TaxShare struct {
	RateID string
	Name   string
	Rate   string // percent, decimal
	Reason string
	Amount money.Amount
}

// DiscountShare is what one of the order's discounts takes.
type DiscountShare struct {
	DiscountID string
	Amount     money.Amount
}

// UnitShare is what each of Count units has.
type UnitShare struct {
	Count    int64
	Discount money.Amount
	Net      money.Amount
	Tax      money.Amount
}

// PlacedDiscount is a discount of the order.
type PlacedDiscount struct {
	ID     string
	Code   string // empty: it applies by itself
	Name   string
	Amount money.Amount
}
