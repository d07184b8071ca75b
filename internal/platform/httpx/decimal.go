package httpx

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Decimal is an amount as callers write it: "29.99", or the number 29.99, whose text
// is kept as it was sent. No float ever holds it.
type Decimal string

// UnmarshalJSON keeps the text. What is no decimal number is found by Amount, so that
// one bad amount does not hide the other errors of a request.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*d = Decimal(text)
	} else {
		*d = Decimal(data)
	}
	return nil
}

// Schema documents the two spellings.
func (Decimal) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		OneOf: []*huma.Schema{
			{Type: "string", Pattern: `^-?[0-9]{1,40}(\.[0-9]{1,40})?$`},
			{Type: "number"},
		},
		Description: "Decimal text with at most the currency's digits; a JSON number is read as decimal text",
		Examples:    []any{"29.99"},
	}
}

// Amount reads d as money that cannot be negative. Fields that are wrong are named by
// the pointers; an amount or a currency that is absent is left to the schema.
func (d Decimal) Amount(currency, pointer, currencyPointer string) (money.Amount, []fault.Field) {
	c, err := money.ParseCurrency(currency)
	if err != nil || !c.IsEnabled() {
		var fields []fault.Field
		if currency != "" {
			fields = append(fields, CurrencyField(currencyPointer))
		}
		if strings.HasPrefix(string(d), "-") { // senseless in any currency
			fields = append(fields, fault.Field{Pointer: pointer, Code: "minimum", Detail: "must not be negative"})
		}
		return money.Amount{}, fields
	}
	if d == "" {
		return money.Amount{}, nil
	}
	a, err := money.Parse(string(d), c)
	switch {
	case errors.Is(err, money.ErrTooManyDigits):
		return a, []fault.Field{{Pointer: pointer, Code: "too_many_digits", Detail: "must have at most " + itoa(c.Digits()) + " digits after the point in " + string(c)}}
	case errors.Is(err, money.ErrOutOfRange):
		return a, []fault.Field{{Pointer: pointer, Code: "maximum", Detail: "is larger than any amount that can be kept"}}
	case err != nil:
		return a, []fault.Field{{Pointer: pointer, Code: "type", Detail: "must be a decimal number, as text or as a number"}}
	case a.IsNegative():
		return a, []fault.Field{{Pointer: pointer, Code: "minimum", Detail: "must not be negative"}}
	}
	return a, nil
}

// CurrencyField says that a currency is not one of ours.
func CurrencyField(pointer string) fault.Field {
	return fault.Field{Pointer: pointer, Code: "unknown_currency", Detail: "must be one of USD, EUR, GBP, JPY"}
}
