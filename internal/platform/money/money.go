// Package money computes with exact amounts: a whole number of a currency's
// minor units (cents, yen, fils), never a float. Everything that cannot be
// exact, or does not fit, is an error and not a rounded number.
//
// An Amount is a value inside the program. On the wire and in events it is two
// fields, decimal text and currency code:
//
//	price, err := money.Parse(in.Price, currency) // "29.99" becomes 2999 minor units
//	out.Price, out.Currency = price.Decimal(), price.Currency
//
// In SQL it is two columns, bigint and char(3).
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

var (
	// ErrNotDecimal refuses text that is not plain decimal notation.
	ErrNotDecimal = errors.New("money: not a decimal number")
	// ErrTooManyDigits refuses a fraction finer than the currency's minor unit.
	ErrTooManyDigits = errors.New("money: more fraction digits than the currency has")
	// ErrOutOfRange refuses text whose minor units do not fit an int64.
	ErrOutOfRange = errors.New("money: amount out of range")

	// ErrOverflow refuses a result that does not fit an int64 of minor units.
	ErrOverflow = errors.New("money: overflow")
	// ErrCurrencyMismatch refuses to combine two currencies: nothing is ever
	// converted silently.
	ErrCurrencyMismatch = errors.New("money: currencies differ")
)

// Amount is Minor minor units of Currency: {2999, "USD"} is 29.99 dollars,
// {1500, "JPY"} is 1500 yen. Two amounts are equal when == says so. Its zero
// value belongs to no currency: it adds up with nothing.
type Amount struct {
	Minor    int64
	Currency Currency
}

// Parse reads decimal text: digits, at most one point with digits on both
// sides, and a leading minus if negative. A shorter fraction is filled up ("29.9"
// USD is 2990 minor units); a longer one is refused even when it ends in zeros,
// since "1500.00" JPY is more likely a mistake than 1500 yen. Whether a negative
// amount makes sense is for the caller to say.
//
// The first of these that applies is the error: ErrUnknownCurrency,
// ErrNotDecimal, ErrTooManyDigits, ErrOutOfRange.
func Parse(text string, c Currency) (Amount, error) {
	if _, err := ParseCurrency(string(c)); err != nil {
		return Amount{}, err
	}
	unsigned, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(unsigned, ".")
	if !allDigits(whole) || point && !allDigits(fraction) {
		return Amount{}, ErrNotDecimal
	}
	missing := c.Digits() - len(fraction)
	if missing < 0 {
		return Amount{}, fmt.Errorf("%w: %s has %d", ErrTooManyDigits, c, c.Digits())
	}
	minor := whole + fraction + strings.Repeat("0", missing)
	if negative {
		minor = "-" + minor
	}
	// After the checks above the only thing left to refuse is the range.
	n, err := strconv.ParseInt(minor, 10, 64)
	if err != nil {
		return Amount{}, ErrOutOfRange
	}
	return Amount{n, c}, nil
}

func allDigits(s string) bool { return s != "" && strings.TrimLeft(s, "0123456789") == "" }

// Decimal is the text that Parse reads back as a: exactly the currency's digits,
// "29.99" for USD, "1500" for JPY, "-0.001" for KWD.
func (a Amount) Decimal() string {
	minor := strconv.FormatInt(a.Minor, 10)
	digits := a.Currency.Digits()
	if digits == 0 {
		return minor
	}
	unsigned, negative := strings.CutPrefix(minor, "-")
	unsigned = strings.Repeat("0", max(0, digits+1-len(unsigned))) + unsigned
	point := len(unsigned) - digits
	text := unsigned[:point] + "." + unsigned[point:]
	if negative {
		return "-" + text
	}
	return text
}

// String is for logs and messages to people: "29.99 USD".
func (a Amount) String() string { return a.Decimal() + " " + string(a.Currency) }

// Read reads what String writes: an amount, a space and its currency. The error is that of Parse.
func Read(text string) (Amount, error) {
	amount, currency, _ := strings.Cut(strings.TrimSpace(text), " ")
	return Parse(amount, Currency(strings.TrimSpace(currency)))
}

// IsZero says whether a is nothing, in any currency.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// IsNegative says whether a is less than nothing, as refunds and discounts are.
func (a Amount) IsNegative() bool { return a.Minor < 0 }

// Cmp is -1, 0 or 1 as a is less than, equal to or more than b. The error is
// ErrCurrencyMismatch.
func (a Amount) Cmp(b Amount) (int, error) {
	if err := a.sameCurrency(b); err != nil {
		return 0, err
	}
	return cmp.Compare(a.Minor, b.Minor), nil
}

// Add is a + b. The error is ErrCurrencyMismatch or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if err := a.sameCurrency(b); err != nil {
		return Amount{}, err
	}
	sum := a.Minor + b.Minor
	if (sum < a.Minor) != (b.Minor < 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{sum, a.Currency}, nil
}

// Sub is a - b. The error is ErrCurrencyMismatch or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if err := a.sameCurrency(b); err != nil {
		return Amount{}, err
	}
	difference := a.Minor - b.Minor
	if (difference > a.Minor) != (b.Minor < 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{difference, a.Currency}, nil
}

// Mul is n times a, as the total of an order line is quantity times unit price.
// The error is ErrOverflow.
func (a Amount) Mul(n int64) (Amount, error) {
	product := a.Minor * n
	// Dividing back misses one case, because in Go MinInt64 / -1 wraps around to
	// MinInt64.
	wrapped := n == -1 && a.Minor == math.MinInt64
	if wrapped || n != 0 && product/n != a.Minor {
		return Amount{}, ErrOverflow
	}
	return Amount{product, a.Currency}, nil
}

// Neg is -a. The error is ErrOverflow: int64 has one more negative number than
// positive ones.
func (a Amount) Neg() (Amount, error) { return a.Mul(-1) }

// Sum adds up amounts of currency c; of none it is zero. The error is
// ErrCurrencyMismatch, or ErrOverflow when a running total does not fit.
func Sum(c Currency, amounts ...Amount) (Amount, error) {
	total := Amount{Currency: c}
	for _, a := range amounts {
		var err error
		if total, err = total.Add(a); err != nil {
			return Amount{}, err
		}
	}
	return total, nil
}

func (a Amount) sameCurrency(b Amount) error {
	if a.Currency != b.Currency {
		return fmt.Errorf("%w: %s and %s", ErrCurrencyMismatch, a.Currency, b.Currency)
	}
	return nil
}
