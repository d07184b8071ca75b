package inventory

import (
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

var errBelowReserved = fault.New(fault.Conflict, "below_reserved", "More is reserved than would be on hand.")

const (
	// defaultLocation is where a shop with one store keeps everything.
	defaultLocation = "default"
	// defaultThreshold of what can be sold: at or below it the merchant hears of low stock.
	defaultThreshold = 5
	// maxOnHand keeps sums of a SKU far from overflow.
	maxOnHand = 1_000_000_000
)

// level is the stock of a SKU at a location, in units.
type level struct {
	Location     string    `db:"location"`
	SKU          string    `db:"sku"`
	OnHand       int64     `db:"on_hand"`
	Reserved     int64     `db:"reserved"`
	LowThreshold int64     `db:"low_threshold"`
	Version      int64     `db:"version"`
	UpdatedAt    time.Time `db:"updated_at"`
}

// available can still be sold.
func (l level) available() int64 { return l.OnHand - l.Reserved }

// count sets what is on hand.
func (l *level) count(onHand int64) error {
	if onHand < l.Reserved {
		return errBelowReserved.Saying("%d units of %s are reserved: there cannot be %d on hand.", l.Reserved, l.SKU, onHand).With("reserved", l.Reserved)
	}
	l.OnHand = onHand
	return nil
}

// ranLow says that a change took the stock to its threshold or below. It is true once,
// until the stock has been above again.
func ranLow(before, after level) bool {
	return before.available() > before.LowThreshold && after.available() <= after.LowThreshold
}

type item struct {
	SKU      string
	Quantity int64
}

// demand is what an order, or a hold, asks for; each SKU once.
type demand struct {
	OrderID string
	Items   []item
}

// shortage is an item of which there is not enough.
type shortage struct {
	item
	Available int64
}

// merge adds up lines of the same SKU: two lines of one unit are a demand of two.
func merge(items []item) []item {
	merged := make([]item, 0, len(items))
	for _, i := range items {
		at := slices.IndexFunc(merged, func(m item) bool { return m.SKU == i.SKU })
		if at < 0 {
			merged = append(merged, i)
		} else {
			merged[at].Quantity += i.Quantity
		}
	}
	return merged
}

// reserve promises the whole of a demand or nothing of it.
func reserve(levels map[string]*level, d demand) []shortage {
	var short []shortage
	for _, i := range d.Items {
		l, ok := levels[i.SKU]
		switch {
		case !ok:
			short = append(short, shortage{i, 0})
		case l.available() < i.Quantity:
			short = append(short, shortage{i, l.available()})
		}
	}
	if len(short) > 0 {
		return short
	}
	for _, i := range d.Items {
		levels[i.SKU].Reserved += i.Quantity
	}
	return nil
}
