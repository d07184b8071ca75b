package orders

import (
	"fmt"
	"math/bits"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// allPoints are a hundred percent.
const allPoints = 10_000

// worthBack is what n more units of a line cost that come back after others, with the fee that
// the shop keeps of it. Units that are called off are the first of the line and those that come
// back its last: no unit is both. The fee is rounded once for all that has come back, so that
// units which come one by one cost what they cost together.
func worthBack(runs []ordersapi.UnitShare, c money.Currency, before, n, points int64) (worth, fee money.Amount, err error) {
	var units int64
	for _, r := range runs {
		units += r.Count
	}
	if before+n > units {
		return worth, fee, errUnitsMissing
	}
	earlier, err := costOf(runs, c, units-before, before)
	if err != nil {
		return worth, fee, err
	}
	all, err := costOf(runs, c, units-before-n, before+n)
	if err != nil {
		return worth, fee, err
	}
	if worth, err = all.Sub(earlier); err != nil {
		return worth, fee, fmt.Errorf("worth of %d units: %w", n, err)
	}
	return worth, amountIn(c, pointsOf(all.Minor, points)-pointsOf(earlier.Minor, points)), nil
}

// costOf is what n units of a line cost with tax, after so many others.
func costOf(runs []ordersapi.UnitShare, c money.Currency, after, n int64) (money.Amount, error) {
	share, err := sharesOf(runs, c, after, n)
	if err != nil {
		return money.Amount{}, err
	}
	cost, err := share.Net.Add(share.Tax)
	if err != nil {
		return cost, fmt.Errorf("cost of %d units: %w", n, err)
	}
	return cost, nil
}

// pointsOf is so many hundredths of a percent of an amount that is not negative, rounded down:
// what is in doubt is the buyer's.
func pointsOf(minor, points int64) int64 {
	high, low := bits.Mul64(uint64(minor), uint64(points)) //nolint:gosec // neither is negative
	part, _ := bits.Div64(high, low, allPoints)
	return int64(part) //nolint:gosec // not more than minor
}

// percent writes hundredths of a percent as percent.
func percent(points int64) string { return fmt.Sprintf("%d.%02d", points/100, points%100) }
