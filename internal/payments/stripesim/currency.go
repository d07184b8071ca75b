package stripesim

import (
	"fmt"
	"slices"
	"strings"
)

// Stripe's own rules of amounts: https://docs.stripe.com/currencies
var (
	zeroDecimal  = strings.Fields("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
	threeDecimal = strings.Fields("bhd jod kwd omr tnd")
	// wholeOnly have no minor unit any more, and two digits all the same: they end in 00.
	wholeOnly = strings.Fields("isk ugx")
	// Those of ISO 4217 that no card is charged in.
	notTaken = strings.Fields("clf uyi uyw iqd lyd cup irr kpw sdg ssp svc syp ern ves ved")
)

// least that can be charged, where Stripe publishes it.
var least = map[string]int64{
	"usd": 50, "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500,
	"inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}

// most is eight digits.
const most = 99999999

// digits that an amount of a currency has.
func digits(currency string) int {
	switch {
	case slices.Contains(zeroDecimal, currency):
		return 0
	case slices.Contains(threeDecimal, currency):
		return 3
	}
	return 2
}

func checkCurrency(currency string) error {
	letters := strings.Trim(currency, "abcdefghijklmnopqrstuvwxyz") == ""
	if len(currency) != 3 || !letters || slices.Contains(notTaken, currency) {
		return invalid("", "currency", "Invalid currency: "+currency)
	}
	return nil
}

// checkAmount refuses what no card can be charged, or given back: to be charged there is a
// least amount as well.
func checkAmount(amount int64, currency, param string, charged bool) error {
	switch {
	case amount < 1:
		return invalid("parameter_invalid_integer", param, "This value must be greater than or equal to 1.")
	case amount > most:
		return invalid("amount_too_large", param, fmt.Sprintf("Amount must be no more than %d.", most))
	case charged && amount < least[currency]:
		return invalid("amount_too_small", param, fmt.Sprintf("Amount must be at least %d %s.", least[currency], currency))
	case slices.Contains(wholeOnly, currency) && amount%100 != 0:
		return invalid("invalid_charge_amount_no_decimal_compatible", param,
			"Invalid amount. Currency "+strings.ToUpper(currency)+" has become effectively zero-decimal and charged amounts must be evenly divisible by 100.")
	case slices.Contains(threeDecimal, currency) && amount%10 != 0:
		return invalid("invalid_charge_amount", param, "Invalid amount. Amounts in "+strings.ToUpper(currency)+" must be evenly divisible by 10.")
	}
	return nil
}

// feeOf is what Stripe keeps: 1.5 % and a quarter of the currency's unit.
func feeOf(amount int64, currency string) int64 {
	quarter := [...]int64{0: 0, 2: 25, 3: 250}[digits(currency)]
	return (amount*15+999)/1000 + quarter
}
