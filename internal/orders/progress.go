package orders

import (
	"fmt"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// progress is how far the units of a line have come. Each count includes those after it: what
// is delivered was shipped, what was shipped is consigned.
type progress struct {
	Cancelled, Consigned, Shipped, Delivered, Returned int64
	TakenBack                                          int64 // of those that were shipped, by returns
}

// open is how many units of the line were not cancelled.
func (l line) open() int64 { return l.Quantity - l.Cancelled }

// left is how many units can still go into a parcel, or be cancelled.
func (l line) left() int64 { return l.open() - l.Consigned }

// consigned is how many units are in shipments, or were delivered.
func (o order) consigned() (n int64) {
	for _, l := range o.Lines {
		n += l.Consigned
	}
	return n
}

// sentUnits is how many units have left.
func (o order) sentUnits() (n int64) {
	for _, l := range o.Lines {
		n += l.Shipped
	}
	return n
}

// fulfillmentStatus says how far an order is on its way to the door. It is derived from what
// its lines count, so that it cannot be stuck.
type fulfillmentStatus string

const (
	unfulfilled        fulfillmentStatus = "unfulfilled"
	partiallyShipped   fulfillmentStatus = "partially_shipped"
	fullyShipped       fulfillmentStatus = "shipped"
	partiallyDelivered fulfillmentStatus = "partially_delivered"
	fullyDelivered     fulfillmentStatus = "delivered"
)

// fulfillment derives how far an order is on its way. What was cancelled is not waited for.
func fulfillment(lines []line) fulfillmentStatus {
	var open, sent, arrived int64
	for _, l := range lines {
		open, sent, arrived = open+l.open(), sent+l.Shipped, arrived+l.Delivered
	}
	switch {
	case sent == 0:
		return unfulfilled
	case arrived >= open:
		return fullyDelivered
	case arrived > 0:
		return partiallyDelivered
	case sent >= open:
		return fullyShipped
	}
	return partiallyShipped
}

// sent says that nothing is left to ship.
func sent(lines []line) bool {
	for _, l := range lines {
		if l.Shipped < l.open() {
			return false
		}
	}
	return true
}

// arrive derives anew how far the order is on its way, and whether that moves it. It never
// moves back.
func (o *order) arrive() (moved bool) {
	o.Fulfillment = fulfillment(o.Lines)
	next := o.Status
	switch {
	case o.Fulfillment == fullyDelivered:
		next = delivered
	case o.Fulfillment != unfulfilled && sent(o.Lines):
		next = shipped
	}
	if !o.Status.canBecome(next) {
		return false
	}
	o.Status = next
	return true
}

// portion is some units of a line.
type portion struct {
	Position int // of the line in the order, from 1
	Quantity int64
}

// portions finds the lines of what somebody named, by the line or by the SKU, and takes no more
// of each than is left; nothing named is all that is left. Everything that is wrong with the
// names is found at once.
func portions(lines []line, wanted []ordersapi.ConsignedItem) (list []portion, wrong []fault.Field) {
	left, taken := make([]int64, len(lines)), make([]int64, len(lines))
	for i, l := range lines {
		left[i] = l.left()
	}
	take := func(i int, most int64) int64 {
		n := min(left[i], most)
		left[i], taken[i] = left[i]-n, taken[i]+n
		return n
	}
	if len(wanted) == 0 {
		for i := range lines {
			take(i, left[i])
		}
	}
	for at, w := range wanted {
		pointer := fmt.Sprintf("/items/%d", at)
		missing, known := w.Quantity, false
		for i, l := range lines {
			if w.Line == i+1 || w.Line == 0 && w.SKU == l.SKU {
				known = true
				missing -= take(i, missing)
			}
		}
		switch {
		case !known:
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: "not_ordered", Detail: "is not in the order"})
		case missing > 0:
			wrong = append(wrong, fault.Field{Pointer: pointer + "/quantity", Code: "quantity_exceeded", Detail: fmt.Sprintf("is %d more than is left", missing)})
		}
	}
	for i, n := range taken {
		if n > 0 {
			list = append(list, portion{i + 1, n})
		}
	}
	return list, wrong
}
