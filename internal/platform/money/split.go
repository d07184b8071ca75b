package money

import (
	"cmp"
	"errors"
	"math/bits"
	"slices"
)

// ErrWeights refuses to split by weights of which one is negative, or none is
// more than zero.
var ErrWeights = errors.New("money: weights must not be negative, nor all zero")

// Split divides a in proportion to the weights, one part for each, so that the
// parts add up to exactly a: a discount over the lines of an order, a shipment
// over its parcels, a payout over its sellers. No unit is made or lost.
//
// The method is that of the largest remainder: every part is its exact share
// rounded down, and the units left over go, one each, to the parts that lost
// most by it; among equals, to the one that comes first. So the same call always
// answers the same, a part is less than one minor unit away from its exact
// share, a weight of zero gets nothing, and splitting -a gives the negated parts
// of a: a refund takes back from each line what it was given.
//
// The error is ErrWeights, or ErrOverflow when the weights together exceed
// 2^64-1, which the line totals of an order never do.
func (a Amount) Split(weights ...int64) ([]Amount, error) {
	var total uint64
	for _, w := range weights {
		if w < 0 {
			return nil, ErrWeights
		}
		var carry uint64
		if total, carry = bits.Add64(total, magnitude(w), 0); carry != 0 {
			return nil, ErrOverflow
		}
	}
	if total == 0 {
		return nil, ErrWeights
	}

	left := magnitude(a.Minor)
	shares := make([]uint64, len(weights))
	remainders := make([]uint64, len(weights))
	order := make([]int, len(weights))
	for i, w := range weights {
		// The product takes 128 bits. The quotient fits 64, as Div64 demands,
		// because no weight is more than the total.
		hi, lo := bits.Mul64(magnitude(a.Minor), magnitude(w))
		shares[i], remainders[i] = bits.Div64(hi, lo, total)
		left -= shares[i]
		order[i] = i
	}
	// The remainders add up to left times total and each is less than total, so
	// more than left of them are not zero whenever left is not.
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(remainders[j], remainders[i]) })
	for _, i := range order[:left] {
		shares[i]++
	}

	parts := make([]Amount, len(weights))
	for i, share := range shares {
		parts[i] = Amount{signed(share, a.IsNegative()), a.Currency}
	}
	return parts, nil
}

// magnitude is |n|, and signed its inverse. Two's complement makes both right for
// MinInt64 as well, whose magnitude of 2^63 only the unsigned type can hold.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n) //nolint:gosec // G115: wraps around to |n|, as said above
	}
	return uint64(n)
}

func signed(magnitude uint64, negative bool) int64 {
	n := int64(magnitude) //nolint:gosec // G115: 2^63 occurs only when negative, and is MinInt64 then
	if negative {
		return -n
	}
	return n
}
