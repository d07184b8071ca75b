package pricing

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/pricing/calc"
)

const (
	perLine  = "line"
	perOrder = "order"
	// asGoods is how shipping is taxed that has no class of its own.
	asGoods = "goods"
)

// settings are how a shop computes.
type settings struct {
	PricesIncludeTax bool      `db:"prices_include_tax"`
	Rounding         string    `db:"rounding"`
	Mode             string    `db:"mode"`
	Country          string    `db:"country"`
	Region           string    `db:"region"`
	ShippingTax      string    `db:"shipping_tax"` // a tax class; empty: as the goods
	Version          int64     `db:"version"`
	Rules            int64     `db:"rules"` // counts the changes of all rules
	UpdatedAt        time.Time `db:"updated_at"`
}

// initial are the settings of a shop that has not said anything.
func initial() settings {
	return settings{PricesIncludeTax: true, Rounding: perLine, Mode: string(calc.HalfUp)}
}

func (s settings) calc() calc.Settings {
	return calc.Settings{
		PricesIncludeTax: s.PricesIncludeTax, PerOrder: s.Rounding == perOrder, Mode: calc.Mode(s.Mode), Country: s.Country, Region: s.Region, ShippingTax: s.ShippingTax,
	}
}
