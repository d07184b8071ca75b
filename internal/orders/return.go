package orders

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errNotReturnable    = fault.New(fault.Conflict, "not_returnable", "That cannot come back: it is not with the buyer, comes back already, or its time is up.")
	errReturnState      = fault.New(fault.Conflict, "return_not_possible", "The return is past that.")
	errShippingRefunded = fault.New(fault.Conflict, "nothing_to_refund", "Nothing of the order's shipping is left to be refunded.")
)

// refundedBefore is why less goes back for a return than its units cost: the rest of what was paid
// has gone back before.
const refundedBefore = "refunded_before"

// rmaStatus says how a return stands.
type rmaStatus string

const (
	rmaRequested rmaStatus = "requested"
	rmaApproved  rmaStatus = "approved"
	rmaRejected  rmaStatus = "rejected"
	rmaReceived  rmaStatus = "received"
	rmaClosed    rmaStatus = "closed" // what goes back for it has gone
	rmaCancelled rmaStatus = "cancelled"
)

// rmaMoves are the steps that a return can take.
var rmaMoves = map[rmaStatus][]rmaStatus{
	rmaRequested: {rmaApproved, rmaRejected, rmaCancelled},
	rmaApproved:  {rmaReceived, rmaCancelled},
	rmaReceived:  {rmaClosed},
}

// rmaReasons are why somebody sends something back.
var rmaReasons = []string{"unwanted", "too_small", "too_large", "defective", "damaged", "wrong_item", "not_as_described", "late", "other"}

// rma is what a buyer sends back of an order: a return merchandise authorisation.
type rma struct {
	ID        uuid.UUID
	OrderID   uuid.UUID
	Number    int64 // what people call the order
	Customer  string
	Status    rmaStatus
	FeePoints int64 // hundredths of a percent, as it was when it was asked for
	Lines     []rmaLine
	Answer    string
	Shipment  *ordersapi.ShipmentView // that brings it
	Asked     money.Amount            // what the units and the shipping cost, less the fee
	Refund    money.Amount            // what of it goes back: no more than is left of what was paid
	Fee       money.Amount
	Shipping  money.Amount // of the refund
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

type rmaLine struct {
	Position  int // of the line in the order, from 1
	SKU       string
	Name      string
	Quantity  int64
	Reason    string
	Note      string
	Received  int64
	Restocked int64
	Refund    money.Amount // less the fee
	Fee       money.Amount
}

// move takes the return a step further. It reports whether that changes anything.
func (r *rma) move(to rmaStatus, at time.Time) (bool, error) {
	if r.Status == to {
		return false, nil
	}
	if !slices.Contains(rmaMoves[r.Status], to) {
		return false, errReturnState.Saying("A return that is %s cannot become %s.", r.Status, to).With("returnStatus", string(r.Status))
	}
	r.Status, r.UpdatedAt = to, at
	r.Version++
	return true, nil
}

// takes is how many units of the line are on their way back, or came.
func (r *rma) takes(l rmaLine) int64 {
	switch r.Status {
	case rmaRequested, rmaApproved:
		return l.Quantity
	case rmaReceived, rmaClosed:
		return l.Received
	case rmaRejected, rmaCancelled:
	}
	return 0
}

func (r *rma) fact() ordersapi.Return {
	f := ordersapi.Return{ReturnID: r.ID.String(), OrderID: r.OrderID.String(), CustomerID: r.Customer, Status: string(r.Status), Currency: string(r.Refund.Currency), Version: r.Version}
	for _, l := range r.Lines {
		f.Items = append(f.Items, ordersapi.ReturnedItem{Line: l.Position, SKU: l.SKU, Quantity: l.Quantity, Reason: l.Reason, Received: l.Received, Restocked: l.Restocked})
	}
	return f
}

// news is the fact that tells how the return of an order stands; nil: nobody asks.
func (r *rma) news(o order) event.Event {
	f := r.fact()
	switch r.Status {
	case rmaRequested:
		return ordersapi.ReturnRequested{Return: f}
	case rmaApproved:
		return ordersapi.ReturnApproved{Return: f}
	case rmaRejected:
		return ordersapi.ReturnRejected{Return: f}
	case rmaCancelled:
		return ordersapi.ReturnCancelled{Return: f}
	case rmaReceived:
		return ordersapi.ReturnReceived{Return: f, Refund: r.Refund.Decimal(), Asked: r.Asked.Decimal(), Fee: r.Fee.Decimal(), ShippingRefund: r.Shipping.Decimal(), Due: o.refundable().Decimal()}
	case rmaClosed:
	}
	return nil
}

// returnStatus says what comes back of an order. It is derived from its returns and its lines.
type returnStatus string

const (
	noReturn          returnStatus = "none"
	returnAsked       returnStatus = "requested"
	returnUnderWay    returnStatus = "in_progress"
	partiallyReturned returnStatus = "partially_returned"
	fullyReturned     returnStatus = "returned"
)

func returning(lines []line, all []rma) returnStatus {
	var open, back int64
	for _, l := range lines {
		open, back = open+l.open(), back+l.TakenBack
	}
	is := func(s rmaStatus) bool { return slices.ContainsFunc(all, func(r rma) bool { return r.Status == s }) }
	switch {
	case is(rmaRequested):
		return returnAsked
	case is(rmaApproved):
		return returnUnderWay
	case back == 0:
		return noReturn
	case back < open:
		return partiallyReturned
	}
	return fullyReturned
}

func presentReturn(r rma) ordersapi.ReturnView {
	v := ordersapi.ReturnView{
		ID: r.ID.String(), OrderID: r.OrderID.String(), OrderNumber: r.Number, CustomerID: r.Customer, Status: string(r.Status), Lines: []ordersapi.ReturnLineView{}, Answer: r.Answer,
		RestockingFee: percent(r.FeePoints), Refund: r.Refund.Decimal(), Fee: r.Fee.Decimal(), ShippingRefund: r.Shipping.Decimal(), Currency: string(r.Refund.Currency), Shipment: r.Shipment,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Version: r.Version,
	}
	if v.Asked = r.Asked.Decimal(); r.Refund != r.Asked {
		v.ShortBecause = refundedBefore
	}
	for _, l := range r.Lines {
		v.Lines = append(v.Lines, ordersapi.ReturnLineView{
			Line: l.Position, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, Reason: l.Reason, Note: l.Note, Received: l.Received, Restocked: l.Restocked,
			Refund: l.Refund.Decimal(), Fee: l.Fee.Decimal(),
		})
	}
	return v
}
