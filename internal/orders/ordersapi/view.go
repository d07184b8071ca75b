package ordersapi

import (
	"strconv"
	"time"
)

// Address is where an order goes, or who pays for it.
type Address struct {
	Name       string `json:"name,omitempty" maxLength:"200"`
	Line1      string `json:"line1,omitempty" maxLength:"200"`
	Line2      string `json:"line2,omitempty" maxLength:"200"`
	City       string `json:"city,omitempty" maxLength:"100"`
	Region     string `json:"region,omitempty" maxLength:"100"`
	PostalCode string `json:"postalCode,omitempty" maxLength:"20"`
	Country    string `json:"country,omitempty" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"PT"`
	Phone      string `json:"phone,omitempty" maxLength:"40"`
}

// OrderView is an order as callers of the API see it.
type OrderView struct {
	ID                string            `json:"id" format:"uuid"`
	Number            int64             `json:"number" doc:"What people call the order; unique in the shop" example:"1001"`
	CustomerID        string            `json:"customerId"`
	Status            string            `json:"status" enum:"created,confirmed,paid,shipped,delivered,failed,cancelled,refunded"`
	Reason            string            `json:"reason,omitempty" personal:"true" doc:"Why it failed or was cancelled" example:"insufficient_stock"`
	Items             []ItemView        `json:"items"`
	Shipping          *ShippingView     `json:"shipping,omitempty" doc:"Absent when the order's shipping was agreed elsewhere"`
	Discounts         []DiscountView    `json:"discounts"`
	Taxes             []TaxView         `json:"taxes" doc:"Of everything together, one a rate"`
	TaxIncluded       bool              `json:"taxIncluded" doc:"Whether prices, and with them subtotal and discounts, have the tax in them"`
	Subtotal          string            `json:"subtotal" doc:"Of the items, before discounts" example:"25.00"`
	DiscountTotal     string            `json:"discountTotal" doc:"Of items and shipping" example:"0.00"`
	ShippingTotal     string            `json:"shippingTotal" doc:"Before discounts" example:"4.90"`
	TaxTotal          string            `json:"taxTotal" example:"5.59"`
	Total             string            `json:"total" doc:"What is to pay" example:"29.90"`
	Currency          string            `json:"currency" example:"EUR"`
	CancelledTotal    string            `json:"cancelledTotal" doc:"What of the total is not to be paid any more: some of the items were cancelled" example:"0.00"`
	ReturnedTotal     string            `json:"returnedTotal" doc:"What of the total is not to be paid any more: some of the items came back" example:"0.00"`
	ReturnStatus      string            `json:"returnStatus" enum:"none,requested,in_progress,partially_returned,returned" doc:"What comes back of it"`
	PaymentStatus     string            `json:"paymentStatus" enum:"unpaid,authorized,partially_paid,paid,overpaid,partially_refunded,refunded,disputed" doc:"What payments told, a moment ago"`
	Captured          string            `json:"captured" doc:"What was paid" example:"29.90"`
	Refunded          string            `json:"refunded" doc:"What of that went back" example:"0.00"`
	FulfillmentStatus string            `json:"fulfillmentStatus" enum:"unfulfilled,partially_shipped,shipped,partially_delivered,delivered" doc:"How far it is on its way; what was cancelled is not waited for"`
	HeldFor           string            `json:"heldFor,omitempty" enum:"label_failed,parcel_back,left_after_cancel,overdue,staff,amount" doc:"Why it waits for somebody: no label could be bought for it, nobody has packed it since it was paid (orders.overdue_after), staff holds it back, or it is worth more than orders.hold_above"`
	Email             string            `json:"email,omitempty" personal:"true"`
	ShippingAddress   *Address          `json:"shippingAddress,omitempty" personal:"true"`
	BillingAddress    *Address          `json:"billingAddress,omitempty" personal:"true"`
	CartID            string            `json:"cartId,omitempty" format:"uuid" doc:"The cart that it was"`
	Metadata          map[string]string `json:"metadata" personal:"true"`
	CreatedAt         time.Time         `json:"createdAt"`
	UpdatedAt         time.Time         `json:"updatedAt"`

	Version int64 `json:"-"`
	// Masked says that what is personal is not shown whole.
	Masked bool `json:"-"`
}

// ETag is the order's version, as it is shown.
func (v OrderView) ETag() string {
	if v.Masked {
		return `"` + strconv.FormatInt(v.Version, 10) + `-masked"`
	}
	return `"` + strconv.FormatInt(v.Version, 10) + `"`
}

// ItemView is a line of an order.
type ItemView struct {
	SKU       string `json:"sku"`
	Name      string `json:"name" doc:"As it was when the order was placed"`
	Quantity  int64  `json:"quantity" doc:"Ordered"`
	Cancelled int64  `json:"cancelled" doc:"Of the quantity, and so are the three after it"`
	Consigned int64  `json:"consigned" doc:"In a shipment, those that are shipped included"`
	Shipped   int64  `json:"shipped" doc:"Those that are delivered included"`
	Delivered int64  `json:"delivered"`
	Returned  int64  `json:"returned" doc:"That came back, by returns"`
	Price     string `json:"price" doc:"Of one unit" example:"12.50"`
	Discount  string `json:"discount" doc:"The line's share of all discounts" example:"0.00"`
	Tax       string `json:"tax" example:"4.67"`
	Total     string `json:"total" doc:"What is paid for the line, with tax" example:"25.00"`
}

// ShippingView is how an order goes to its buyer.
type ShippingView struct {
	MethodID string `json:"methodId" format:"uuid"`
	Name     string `json:"name" example:"Parcel"`
	Discount string `json:"discount" example:"0.00"`
	Tax      string `json:"tax" example:"0.92"`
	Total    string `json:"total" doc:"What is paid for it, with tax" example:"4.90"`
}

// DiscountView is a discount of an order.
type DiscountView struct {
	ID     string `json:"id"`
	Code   string `json:"code,omitempty" doc:"Absent when it applied by itself"`
	Name   string `json:"name"`
	Amount string `json:"amount" example:"2.50"`
}

// TaxView is what a rate adds up to.
type TaxView struct {
	Name   string `json:"name" example:"VAT"`
	Rate   string `json:"rate" doc:"Percent" example:"23"`
	Reason string `json:"reason" example:"standard"`
	Amount string `json:"amount" example:"5.59"`
}
