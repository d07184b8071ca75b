package orders

import (
	"errors"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var errUnitsMissing = errors.New("a line has fewer shares than units")

// sharesOf adds up what n more units of a line have of everything, after those that were called
// off before. runs are the shares of all its units: whether they go one by one or together, what
// they have adds up to the same.
func sharesOf(runs []ordersapi.UnitShare, c money.Currency, before, n int64) (sum ordersapi.UnitShare, err error) {
	sum = ordersapi.UnitShare{Count: n, Discount: money.Amount{Currency: c}, Net: money.Amount{Currency: c}, Tax: money.Amount{Currency: c}}
	for _, r := range runs {
		skipped := min(before, r.Count)
		before -= skipped
		taken := min(n, r.Count-skipped)
		n -= taken
		for _, part := range []struct {
			into *money.Amount
			unit money.Amount
		}{{&sum.Discount, r.Discount}, {&sum.Net, r.Net}, {&sum.Tax, r.Tax}} {
			share, err := part.unit.Mul(taken)
			if err != nil {
				return sum, fmt.Errorf("share of %d units: %w", taken, err)
			}
			if *part.into, err = part.into.Add(share); err != nil {
				return sum, fmt.Errorf("add up shares: %w", err)
			}
		}
	}
	if n > 0 {
		return sum, errUnitsMissing
	}
	return sum, nil
}

// plainShares are those of a line of an order that costs its lines and nothing else.
func plainShares(l line) []ordersapi.UnitShare {
	return []ordersapi.UnitShare{{Count: l.Quantity, Discount: nothing(l.Price), Net: l.Price, Tax: nothing(l.Price)}}
}
