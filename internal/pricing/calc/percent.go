package calc

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Percent is a share in ten-thousandths of a percent: 8.875 % is 88750.
type Percent int64

// whole is everything there is: 100 %.
const whole Percent = 100_0000

const percentDigits = 4

// most that a tax takes of something is ten times its worth. It keeps fractions small.
const most = 10 * whole

// ErrPercent refuses text that is no percentage: decimal, not negative, with at most four
// digits after the point, and at most 1000.
var ErrPercent = errors.New("calc: not a percentage")

// ParsePercent reads decimal text such as "19" or "8.875".
func ParsePercent(text string) (Percent, error) {
	units, fraction, point := strings.Cut(text, ".")
	digits := units + fraction
	if units == "" || len(units) > 4 || point && fraction == "" || len(fraction) > percentDigits || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%w: %.16q", ErrPercent, text)
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", percentDigits-len(fraction)), 10, 64)
	if err != nil || n > int64(most) {
		return 0, fmt.Errorf("%w: %.16q", ErrPercent, text)
	}
	return Percent(n), nil
}

// String is the text that ParsePercent reads, as short as it can be.
func (p Percent) String() string {
	units, fraction := strconv.FormatInt(int64(p)/10_000, 10), strings.TrimRight(fmt.Sprintf("%04d", int64(p)%10_000), "0")
	if fraction == "" {
		return units
	}
	return units + "." + fraction
}

// Mode says where the half of a minor unit goes.
type Mode string

// The modes.
const (
	HalfUp   Mode = "half_up"   // away from nothing
	HalfEven Mode = "half_even" // to the even neighbour, as banks round
)

// share is n times part of the whole, rounded once. None of the three is negative, and of
// is not zero. The product takes 128 bits.
func (m Mode) share(n, part, of int64) (int64, error) {
	hi, lo := bits.Mul64(uint64(n), uint64(part)) //nolint:gosec // G115: neither is negative
	divisor := uint64(of)                         //nolint:gosec // G115: it is positive
	if hi >= divisor {
		return 0, money.ErrOverflow
	}
	quotient, rest := bits.Div64(hi, lo, divisor)
	twice, carry := bits.Add64(rest, rest, 0)
	if carry > 0 || twice > divisor || twice == divisor && (m != HalfEven || quotient%2 == 1) {
		quotient++
	}
	if quotient > math.MaxInt64 {
		return 0, money.ErrOverflow
	}
	return int64(quotient), nil
}
