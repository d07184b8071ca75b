package orders

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// totals are what an order's total is made of, as it was quoted.
type totals struct {
	TaxIncluded   bool // in prices
	Subtotal      money.Amount
	Discount      money.Amount
	ShippingTotal money.Amount // before discounts
	Tax           money.Amount
	Shipping      *shipment // nil: agreed elsewhere
	Discounts     []ordersapi.PlacedDiscount
	Taxes         []ordersapi.TaxShare // one a rate
}

// shipment is how an order goes to its buyer, and what it pays for it.
type shipment struct {
	MethodID             string
	Name                 string
	Discount, Tax, Total money.Amount
}

// plain are the totals of an order that costs its lines and nothing else: its prices are
// what is paid, whatever tax is in them.
func plain(total money.Amount) totals {
	return totals{TaxIncluded: true, Subtotal: total, Discount: nothing(total), ShippingTotal: nothing(total), Tax: nothing(total)}
}

func nothing(of money.Amount) money.Amount { return money.Amount{Currency: of.Currency} }

func amountIn(c money.Currency, minor int64) money.Amount {
	return money.Amount{Minor: minor, Currency: c}
}

func (r row) totals() totals {
	in := func(minor int64) money.Amount { return amountIn(money.Currency(r.Currency), minor) }
	t := totals{TaxIncluded: r.TaxIncluded, Subtotal: in(r.Total), Discount: in(r.Discount), ShippingTotal: in(r.Shipping), Tax: in(r.Tax)}
	if r.Subtotal != nil {
		t.Subtotal = in(*r.Subtotal)
	}
	if r.ShippingMethod != nil {
		t.Shipping = &shipment{*r.ShippingMethod, text(r.ShippingName), in(r.ShippingDiscount), in(r.ShippingTax), in(r.ShippingTotal)}
	}
	return t
}

// ticketHeader holds what opens an order to a guest: the token of the cart that it was.
const ticketHeader = "Cart-Token"

func hashOf(ticket string) []byte {
	sum := sha256.Sum256([]byte(ticket))
	return sum[:]
}

// opensTo tells whether a ticket is the order's.
func (o order) opensTo(ticket string) bool {
	return len(o.Ticket) > 0 && subtle.ConstantTimeCompare(o.Ticket, hashOf(ticket)) == 1
}

func present(o order) orderResponse {
	r := orderResponse{
		ID: o.ID.String(), Number: o.Number, CustomerID: o.CustomerID, Status: string(o.Status), Reason: o.Reason, Items: []itemResponse{},
		Discounts: []ordersapi.DiscountView{}, Taxes: []ordersapi.TaxView{}, TaxIncluded: o.TaxIncluded,
		Subtotal: o.Subtotal.Decimal(), DiscountTotal: o.Discount.Decimal(), ShippingTotal: o.ShippingTotal.Decimal(), TaxTotal: o.Tax.Decimal(),
		Total: o.Total.Decimal(), Currency: string(o.Currency),
		PaymentStatus: string(o.Payment), Captured: amountIn(o.Currency, o.Captured.Minor).Decimal(), Refunded: amountIn(o.Currency, o.Refunded.Minor).Decimal(),
		CancelledTotal: amountIn(o.Currency, o.CalledOff.Minor).Decimal(), FulfillmentStatus: string(o.Fulfillment), HeldFor: o.waits(), ReturnedTotal: amountIn(o.Currency, o.Returned.Minor).Decimal(), ReturnStatus: string(o.Returning),
		Email: o.Email, ShippingAddress: o.Address, BillingAddress: o.Billing, Metadata: o.Metadata,
		CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, Version: o.Version,
	}
	if o.CartID != nil {
		r.CartID = o.CartID.String()
	}
	for _, l := range o.Lines {
		r.Items = append(r.Items, itemResponse{
			SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, Price: l.Price.Decimal(), Discount: l.Discount.Decimal(), Tax: l.Tax.Decimal(), Total: l.Total.Decimal(),
			Cancelled: l.Cancelled, Consigned: l.Consigned, Shipped: l.Shipped, Delivered: l.Delivered, Returned: l.TakenBack,
		})
	}
	if s := o.Shipping; s != nil {
		r.Shipping = &ordersapi.ShippingView{MethodID: s.MethodID, Name: s.Name, Discount: s.Discount.Decimal(), Tax: s.Tax.Decimal(), Total: s.Total.Decimal()}
	}
	for _, d := range o.Discounts {
		r.Discounts = append(r.Discounts, ordersapi.DiscountView{ID: d.ID, Code: d.Code, Name: d.Name, Amount: d.Amount.Decimal()})
	}
	for _, t := range o.Taxes {
		r.Taxes = append(r.Taxes, ordersapi.TaxView{Name: t.Name, Rate: t.Rate, Reason: t.Reason, Amount: t.Amount.Decimal()})
	}
	return r
}
