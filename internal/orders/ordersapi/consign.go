package ordersapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// ConsignedItem is a quantity of an order that goes into a parcel.
type ConsignedItem struct {
	// Line is the position of the line in the order, from 1; 0: whichever lines have the SKU.
	Line     int
	SKU      string
	Quantity int64
}

// Consignee is whom a parcel goes to, with what is in it.
type Consignee struct {
	OrderID    string
	Number     int64 // what people call the order
	CustomerID string
	Email      string   // empty: the order has none
	Address    *Address // nil: the order has none
	Country    string   // of the address; empty: not known
	MethodID   string   // of shipping that the buyer chose; empty: none
	Method     string   // its name
	Currency   money.Currency
	Items      []ConsignedLine
}

// ConsignedLine is what of a line is in a parcel.
type ConsignedLine struct {
	Line      int // position in the order, from 1
	ProductID string
	SKU       string
	Name      string
	Quantity  int64
	Price     money.Amount // of one unit
}
