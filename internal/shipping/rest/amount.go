package rest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Amount reads what carriers write: "7.5800" dollars, "550.00" yen.
func Amount(text, currency string) (money.Amount, error) {
	c, err := money.ParseCurrency(strings.ToUpper(currency))
	if err != nil {
		return money.Amount{}, err
	}
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		text = whole
		if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
			text += "." + fraction
		}
	}
	return money.Parse(text, c)
}

// Ounces of 28.349523125 g, to a tenth and never less than it weighs.
func Ounces(grams int64) json.Number {
	return tenths(ceil(grams*10_000_000_000, 28_349_523_125))
}

// Inches of 25.4 mm, to a tenth and never less than it is long.
func Inches(mm int64) json.Number { return tenths(ceil(mm*100, 254)) }

func ceil(n, by int64) int64 { return (n + by - 1) / by }

func tenths(n int64) json.Number { return json.Number(fmt.Sprintf("%d.%d", n/10, n%10)) }
