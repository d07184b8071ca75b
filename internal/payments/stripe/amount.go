package stripe

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	upstream "github.com/stripe/stripe-go/v85"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// deviations are currencies that Stripe counts in other units than ISO 4217 does
// (https://docs.stripe.com/currencies). Two lost their minor unit after Stripe had begun to
// take them, and keep two digits that must be 00; one has a fifth of its unit for a minor unit.
var deviations = map[money.Currency]int{"ISK": 2, "UGX": 2, "MGA": 0}

// untaken are currencies with other units than hundredths that Stripe does not take: what it
// would make of their amounts nobody has said.
var untaken = []money.Currency{"CLF", "UYI", "UYW", "IQD", "LYD"}

// digits are those of Stripe's amounts.
func digits(c money.Currency) int {
	if n, ok := deviations[c]; ok {
		return n
	}
	return c.Digits()
}

// toStripe is an amount in Stripe's units. One that it cannot be asked for is declined, before
// anybody is.
func toStripe(a money.Amount) (int64, error) {
	if slices.Contains(untaken, a.Currency) {
		return 0, notChargeable(a)
	}
	n, err := rescaled(a.Minor, a.Currency.Digits(), digits(a.Currency))
	switch {
	case errors.Is(err, money.ErrTooManyDigits), err == nil && digits(a.Currency) == 3 && n%10 != 0: // card networks have no thousandths
		return 0, notChargeable(a)
	case err != nil:
		return 0, fmt.Errorf("%s in Stripe's units: %w", a, err)
	}
	return n, nil
}

func notChargeable(a money.Amount) error {
	return &provider.Declined{Code: "invalid_charge_amount", Message: fmt.Sprintf("An amount of %s cannot be paid by card.", a)}
}

// fromStripe reads an amount.
func fromStripe(n int64, currency upstream.Currency) (money.Amount, error) {
	c, err := money.ParseCurrency(strings.ToUpper(string(currency)))
	if err != nil {
		return money.Amount{}, fmt.Errorf("amount of Stripe: %w", err)
	}
	minor, err := rescaled(n, digits(c), c.Digits())
	if err != nil {
		return money.Amount{}, fmt.Errorf("%d %s of Stripe: %w", n, currency, err)
	}
	return money.Amount{Minor: minor, Currency: c}, nil
}

// rescaled is a number of units with so many digits as one with others, exactly.
func rescaled(n int64, have, want int) (int64, error) {
	for ; have < want; have++ {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, money.ErrOverflow
		}
		n *= 10
	}
	for ; have > want; have-- {
		if n%10 != 0 {
			return 0, money.ErrTooManyDigits
		}
		n /= 10
	}
	return n, nil
}

func lower(c money.Currency) string { return strings.ToLower(string(c)) }
