package inventory

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

var (
	errOutOfStock  = fault.New(fault.Conflict, "out_of_stock", "There is not enough of everything: nothing is held.")
	errUnknownSKU  = fault.New(fault.Invalid, "unknown_sku", "There is no stock of something that is asked for.")
	errHoldClaimed = fault.New(fault.Conflict, "hold_claimed", "An order has claimed the hold. Cancel the order to free its stock.")
)

type holdStatus string

const (
	holdHeld     holdStatus = "held"
	holdClaimed  holdStatus = "claimed"
	holdReleased holdStatus = "released"
	holdExpired  holdStatus = "expired"
)

// holdMoves are the steps that a hold can take: it ends once, in one way.
var holdMoves = map[holdStatus][]holdStatus{
	holdHeld: {holdClaimed, holdReleased, holdExpired},
}

func (s holdStatus) canBecome(next holdStatus) bool { return slices.Contains(holdMoves[s], next) }

// hold is stock that a shopper holds while checking out; each SKU once.
type hold struct {
	ID        uuid.UUID
	Status    holdStatus
	Customer  string     // whose it is; empty for a guest's
	OrderID   *uuid.UUID // that has claimed it
	Items     []item
	ExpiresAt time.Time
	CreatedAt time.Time
}

// version counts the steps of the hold: it is held, or that is over.
func (h hold) version() int64 {
	if h.Status == holdHeld {
		return 1
	}
	return 2
}

// isFor reports whether an order of a buyer may claim the hold. What a customer holds is
// nobody else's, whoever knows its id.
func (h hold) isFor(buyer string) bool { return h.Customer == "" || h.Customer == buyer }

// release gives a hold up. It reports whether that changes anything.
func (h hold) release() (bool, error) {
	if h.Status == holdClaimed {
		return false, errHoldClaimed
	}
	return h.Status.canBecome(holdReleased), nil
}

// missing tells a shopper which lines there is not enough for, the way they were asked.
type missing struct {
	Pointer   string `json:"pointer"`
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"` // asked for, in all lines of the SKU together
	Available int64  `json:"available"`
}

// outOfStock refuses a hold: every line of a SKU that is short is named.
func outOfStock(lines []item, short []shortage) error {
	var fields []fault.Field
	var all []missing
	for n, i := range lines {
		at := slices.IndexFunc(short, func(s shortage) bool { return s.SKU == i.SKU })
		if at < 0 {
			continue
		}
		m := missing{fmt.Sprintf("/items/%d", n), i.SKU, short[at].Quantity, short[at].Available}
		all = append(all, m)
		fields = append(fields, fault.Field{
			Pointer: m.Pointer, Code: errOutOfStock.Code, Detail: fmt.Sprintf("%d of %s are available, not %d", m.Available, m.SKU, m.Quantity),
		})
	}
	return errOutOfStock.AtFields(fields...).With("missing", all)
}

// unknownSKUs refuses a hold of what nobody has ever had in store.
func unknownSKUs(lines []item, levels map[string]*level) error {
	var fields []fault.Field
	for n, i := range lines {
		if levels[i.SKU] == nil {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/items/%d/sku", n), Code: errUnknownSKU.Code, Detail: "there is no stock of " + i.SKU})
		}
	}
	if len(fields) > 0 {
		return errUnknownSKU.AtFields(fields...)
	}
	return nil
}

// claim reserves the whole of a demand or nothing of it, as if what a hold has were free.
// What the hold has too much is free afterwards.
func claim(levels map[string]*level, d demand, held []item) []shortage {
	for _, i := range held {
		levels[i.SKU].Reserved -= i.Quantity
	}
	short := reserve(levels, d)
	if len(short) > 0 {
		for _, i := range held {
			levels[i.SKU].Reserved += i.Quantity
		}
	}
	return short
}
