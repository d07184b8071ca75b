package money_test

import (
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

func ExampleParse() {
	price, err := money.Parse("29.9", money.USD)
	fmt.Println(price.Minor, price, err)
	_, err = money.Parse("1500.50", money.JPY)
	fmt.Println(err)
	// Output:
	// 2990 29.90 USD <nil>
	// money: more fraction digits than the currency has: JPY has 0
}

func ExampleAmount_Split() {
	discount := money.Amount{Minor: -1000, Currency: money.EUR}
	byLine, err := discount.Split(2999, 1500, 1501)
	fmt.Println(byLine, err)
	// Output:
	// [-5.00 EUR -2.50 EUR -2.50 EUR] <nil>
}
