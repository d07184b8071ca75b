package orders

import (
	"cmp"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
)

// sentUnits are units of a line that a parcel has brought, or is bringing.
type sentUnits struct {
	Position  int
	Quantity  int64
	Delivered *time.Time // nil: not yet
}

// atBuyer are units of a line that are with the buyer, and until when these can send them back;
// nil: their time has not begun.
type atBuyer struct {
	Quantity int64
	Until    *time.Time
}

func (u atBuyer) over(at time.Time) bool { return u.Until != nil && !at.Before(*u.Until) }

// withBuyer is what of each line can still come back, by its position. Which of the units it is
// that come back nobody knows: it is those whose time ends first, of those whose time was not up
// when it was asked for.
func withBuyer(lines []line, sent []sentUnits, all []rma, window time.Duration) map[int][]atBuyer {
	left := map[int][]atBuyer{}
	for _, u := range sent {
		a := atBuyer{Quantity: u.Quantity}
		if u.Delivered != nil {
			a.Until = new(u.Delivered.Add(window))
		}
		left[u.Position] = append(left[u.Position], a)
	}
	for _, units := range left {
		slices.SortStableFunc(units, func(a, b atBuyer) int {
			switch {
			case a.Until == nil || b.Until == nil:
				return cmp.Compare(unknown(a.Until), unknown(b.Until))
			default:
				return a.Until.Compare(*b.Until)
			}
		})
	}
	for position, units := range left {
		var n int64
		for _, u := range units {
			n += u.Quantity
		}
		// A parcel that was given up and used all the same has brought more than was bought: those
		// whose time ends first are not of the order.
		more := max(0, n-lines[position-1].open())
		for i := range units {
			none := min(units[i].Quantity, more)
			units[i].Quantity, more = units[i].Quantity-none, more-none
		}
	}
	for _, r := range all {
		for _, l := range r.Lines {
			take(left[l.Position], r.takes(l), r.CreatedAt)
		}
	}
	return left
}

func unknown(t *time.Time) int {
	if t == nil {
		return 1
	}
	return 0
}

// take takes units away that somebody asked for at a time.
func take(units []atBuyer, n int64, at time.Time) {
	for _, late := range []bool{false, true} {
		for i := range units {
			if units[i].over(at) == late {
				taken := min(units[i].Quantity, n)
				units[i].Quantity, n = units[i].Quantity-taken, n-taken
			}
		}
	}
}

// returnable is what can come back of a line.
type returnable struct {
	Buyer int64      // units that the buyer can send back now
	Until *time.Time // the last of them
	Over  int64      // units more that only the shop can take back
}

// returnables are what can come back of each line of an order.
func returnables(o order, p returnPolicy, sent []sentUnits, all []rma, now time.Time) []returnable {
	left := withBuyer(o.Lines, sent, all, p.window())
	list := make([]returnable, len(o.Lines))
	for i, l := range o.Lines {
		for _, u := range left[i+1] {
			if p.Days == 0 || slices.Contains(p.FinalSale, l.SKU) || u.over(now) {
				list[i].Over += u.Quantity
				continue
			}
			if list[i].Buyer += u.Quantity; u.Quantity > 0 && u.Until != nil {
				list[i].Until = u.Until
			}
		}
	}
	return list
}

func presentReturnable(o order, p returnPolicy, list []returnable, dealt map[int][]ordersapi.UnitShare) (ordersapi.ReturnableView, error) {
	v := ordersapi.ReturnableView{Lines: []ordersapi.ReturnableLineView{}, RestockingFee: percent(p.Points), Refundable: o.refundable().Decimal(), Reasons: rmaReasons}
	for i, l := range o.Lines {
		worth, fee, err := worthBack(sharesOfLine(dealt, i+1, l), o.Currency, l.TakenBack, list[i].Buyer, p.Points)
		if err != nil {
			return v, err
		}
		v.Lines = append(v.Lines, ordersapi.ReturnableLineView{
			Line: i + 1, SKU: l.SKU, Name: l.Name, Quantity: list[i].Buyer, Until: list[i].Until, Over: list[i].Over, Value: amountIn(o.Currency, worth.Minor-fee.Minor).Decimal(),
		})
	}
	return v, nil
}

// sharesOfLine are the shares of the units of a line.
func sharesOfLine(dealt map[int][]ordersapi.UnitShare, position int, l line) []ordersapi.UnitShare {
	if runs := dealt[position]; len(runs) > 0 {
		return runs
	}
	return plainShares(l)
}
