package orders

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errUnknownSKU       = fault.New(fault.Invalid, "unknown_sku", "Something in the order is not for sale.")
	errCurrencyMismatch = fault.New(fault.Invalid, "currency_mismatch", "Everything in an order is paid in one currency.")
	errAmountRange      = fault.New(fault.Invalid, "amount_out_of_range", "The order is worth more than can be counted.")
	errPriceChanged     = fault.New(fault.Conflict, "price_changed", "A price is not the one that the buyer saw. Show the current one and ask again.")
	errNotCancellable   = fault.New(fault.Conflict, "order_not_cancellable", "The order cannot be cancelled any more.")
)

type status string

const (
	created   status = "created"
	confirmed status = "confirmed"
	paid      status = "paid"
	shipped   status = "shipped"
	delivered status = "delivered"
	failed    status = "failed"
	cancelled status = "cancelled"
	refunded  status = "refunded"
)

// moves are the steps that an order can take. What is not here is refused, or, when
// a late or repeated event asks for it, left as it is.
var moves = map[status][]status{
	created:   {confirmed, failed, cancelled},
	confirmed: {paid, failed, cancelled},
	paid:      {shipped, delivered, cancelled, refunded},
	shipped:   {delivered, refunded},
	delivered: {refunded},
}

func (s status) canBecome(next status) bool { return slices.Contains(moves[s], next) }

// order is what was bought, at what was agreed. A line is a snapshot of the catalog.
type order struct {
	ID         uuid.UUID
	Number     int64
	CustomerID string
	Status     status
	Reason     string
	Currency   money.Currency
	Total      money.Amount
	Lines      []line
	totals
	Email    string
	Address  *address
	Billing  *address
	Metadata map[string]string
	HoldID   *uuid.UUID // of stock that the buyer holds; only its fact says so
	CartID   *uuid.UUID // that it was; nil: it was none
	Ticket   []byte     // hash of what opens it to a guest
	Payment  paymentStatus
	Captured money.Amount
	Refunded money.Amount
	// Fulfillment follows from what the lines count.
	Fulfillment fulfillmentStatus
	// CalledOff is what of the total is not to be paid any more: its units were cancelled.
	CalledOff money.Amount
	// Returned is what of the total is not to be paid any more: its units came back.
	Returned  money.Amount
	Returning returnStatus
	// Given is what went back beyond what the order costs less for it: nobody pays it anew, and
	// it is not taken out of what goes back for units.
	Given     money.Amount
	HeldFor   string // why it cannot be sent; empty: it can
	Hold      string // why somebody has to look at it before it is sent; empty: nobody has to
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

type line struct {
	ProductID uuid.UUID
	SKU       string
	Name      string
	Quantity  int64
	Price     money.Amount // of one unit
	Discount  money.Amount
	Tax       money.Amount
	Total     money.Amount // what is paid for the line
	progress
}

// want is one line as the buyer asked for it. Pointer says where in the request.
type want struct {
	Pointer  string
	SKU      string
	Quantity int64
	Price    httpx.Decimal // that the buyer saw; empty when none was sent
}

// terms under which the lines of an order are priced.
type terms struct {
	Currency money.Currency // empty: that of the first line
	// Override lets a sent price stand instead of the catalog's.
	Override bool
}

// price turns wishes into lines: the catalog's prices in one currency, lines of the
// same SKU added up. Everything that is wrong with the wishes is found at once.
func price(wants []want, offers map[string]catalogapi.Offer, t terms) ([]line, error) {
	var unknown, mismatched []fault.Field
	for _, w := range wants {
		offer, ok := offers[w.SKU]
		if !ok {
			unknown = append(unknown, fault.Field{Pointer: w.Pointer + "/sku", Code: "unknown_sku", Detail: w.SKU + " is not for sale"})
			continue
		}
		if t.Currency == "" {
			t.Currency = offer.Prices[0].Currency
		}
		if _, ok := offer.In(t.Currency); !ok {
			mismatched = append(mismatched, fault.Field{Pointer: w.Pointer + "/sku", Code: "currency_mismatch", Detail: fmt.Sprintf("%s has no price in %s", w.SKU, t.Currency)})
		}
	}
	switch {
	case len(unknown) > 0:
		return nil, errUnknownSKU.AtFields(unknown...)
	case len(mismatched) > 0:
		return nil, errCurrencyMismatch.AtFields(mismatched...)
	}
	agreed, err := agree(wants, offers, t)
	if err != nil {
		return nil, err
	}
	var lines []line
	for i, w := range wants {
		at := slices.IndexFunc(lines, func(l line) bool { return l.SKU == w.SKU && l.Price == agreed[i] })
		if at >= 0 {
			lines[at].Quantity += w.Quantity
		} else {
			offer := offers[w.SKU]
			product, err := uuid.Parse(offer.ProductID)
			if err != nil {
				return nil, fmt.Errorf("product of %s: %w", w.SKU, err)
			}
			lines = append(lines, line{ProductID: product, SKU: w.SKU, Name: offer.Name, Quantity: w.Quantity, Price: agreed[i], Discount: nothing(agreed[i]), Tax: nothing(agreed[i])})
			at = len(lines) - 1
		}
		if lines[at].Total, err = lines[at].Price.Mul(lines[at].Quantity); err != nil {
			return nil, errAmountRange.At(w.Pointer, "amount_out_of_range", "is worth more than can be counted")
		}
	}
	return lines, nil
}

// change is a price that is not the one the buyer saw.
type change struct {
	Pointer  string `json:"pointer"`
	SKU      string `json:"sku"`
	Sent     string `json:"sent"`
	Current  string `json:"current"`
	Currency string `json:"currency"`
}

// agree finds the price of each wish.
func agree(wants []want, offers map[string]catalogapi.Offer, t terms) ([]money.Amount, error) {
	agreed := make([]money.Amount, len(wants))
	var wrong, differ []fault.Field
	var changes []change
	for i, w := range wants {
		current, _ := offers[w.SKU].In(t.Currency)
		agreed[i] = current
		if w.Price == "" {
			continue
		}
		sent, fields := w.Price.Amount(string(t.Currency), w.Pointer+"/price", "/currency")
		if wrong = append(wrong, fields...); len(fields) > 0 || sent == current {
			continue
		}
		if t.Override {
			agreed[i] = sent
			continue
		}
		changes = append(changes, change{w.Pointer + "/price", w.SKU, sent.Decimal(), current.Decimal(), string(t.Currency)})
		differ = append(differ, fault.Field{
			Pointer: w.Pointer + "/price", Code: "price_changed",
			Detail: fmt.Sprintf("%s costs %s now, not %s", w.SKU, current, sent),
		})
	}
	switch {
	case len(wrong) > 0:
		return nil, httpx.ErrValidation(wrong...)
	case len(differ) > 0:
		return nil, errPriceChanged.AtFields(differ...).With("changes", changes)
	}
	return agreed, nil
}

// total adds up what the lines cost.
func total(lines []line) (money.Amount, error) {
	amounts := make([]money.Amount, len(lines))
	for i, l := range lines {
		amounts[i] = l.Total
	}
	sum, err := money.Sum(lines[0].Price.Currency, amounts...)
	if err != nil {
		return sum, errAmountRange.At("/items", "amount_out_of_range", "are worth more together than can be counted")
	}
	return sum, nil
}

// cancel calls the order off. It reports whether that changed anything.
func (o *order) cancel(reason string, at time.Time) (bool, error) {
	if o.Status == cancelled {
		return false, nil
	}
	if !o.Status.canBecome(cancelled) {
		return false, errNotCancellable.Saying("An order that is %s cannot be cancelled.", o.Status)
	}
	// What is in a parcel that has not left is given up with the order, and so is its label.
	if n := o.sentUnits(); n > 0 {
		return false, errNotCancellable.Saying("Of the order %d have left: cancel the rest.", n)
	}
	o.Status, o.Reason, o.HeldFor, o.Hold, o.UpdatedAt = cancelled, reason, "", "", at
	o.Version++
	return true, nil
}
