package pricing

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

type settingsResponse struct {
	PricesIncludeTax bool       `json:"pricesIncludeTax" doc:"Whether the catalog's prices, and those of shipping, are entered with tax"`
	Rounding         string     `json:"rounding" enum:"line,order" doc:"What tax is rounded on: each line, or all of an order that is taxed alike"`
	Mode             string     `json:"mode" enum:"half_up,half_even" doc:"Where the half of a minor unit goes"`
	Country          string     `json:"country,omitempty" doc:"Of the shop, ISO 3166-1 alpha-2. Where the goods go to when a basket does not say" example:"DE"`
	Region           string     `json:"region,omitempty" example:"BY"`
	ShippingTax      string     `json:"shippingTax" doc:"The tax class of shipping, or \"goods\": as the goods, in proportion to their worth" example:"goods"`
	UpdatedAt        *time.Time `json:"updatedAt,omitempty" doc:"Absent as long as nothing was said"`

	version int64
}

// ETag is the settings' version.
func (r settingsResponse) ETag() string { return httpx.VersionTag(r.version) }

func presentSettings(s settings) settingsResponse {
	r := settingsResponse{
		PricesIncludeTax: s.PricesIncludeTax, Rounding: s.Rounding, Mode: s.Mode, Country: s.Country, Region: s.Region, ShippingTax: s.ShippingTax, version: s.Version,
	}
	if s.ShippingTax == "" {
		r.ShippingTax = asGoods
	}
	if s.Version > 0 {
		r.UpdatedAt = new(s.UpdatedAt.UTC())
	}
	return r
}

func (s *service) handleGetSettings(ctx context.Context, _ *struct{}) (settingsResponse, error) {
	now, err := s.getSettings(ctx)
	return presentSettings(now), err
}

type settingsBody struct {
	PricesIncludeTax *bool   `json:"pricesIncludeTax,omitempty"`
	Rounding         *string `json:"rounding,omitempty" enum:"line,order"`
	Mode             *string `json:"mode,omitempty" enum:"half_up,half_even"`
	Country          *string `json:"country,omitempty" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"DE"`
	Region           *string `json:"region,omitempty" maxLength:"100"`
	ShippingTax      *string `json:"shippingTax,omitempty" pattern:"^[a-z][a-z0-9_-]{0,31}$" doc:"A tax class, or \"goods\""`
}

// Check finds what the schema cannot say.
func (b *settingsBody) Check() []fault.Field {
	if b.Country == nil {
		return nil
	}
	return territory.CheckCountry("/country", *b.Country)
}

func (b settingsBody) change(s *settings) {
	if b.PricesIncludeTax != nil {
		s.PricesIncludeTax = *b.PricesIncludeTax
	}
	for _, f := range []struct {
		sent *string
		into *string
	}{{b.Rounding, &s.Rounding}, {b.Mode, &s.Mode}, {b.Country, &s.Country}, {b.Region, &s.Region}, {b.ShippingTax, &s.ShippingTax}} {
		if f.sent != nil {
			*f.into = *f.sent
		}
	}
	s.Region = territory.Region(s.Country, s.Region)
	if s.ShippingTax == asGoods {
		s.ShippingTax = ""
	}
}

type settingsInput struct {
	httpx.IfMatch
	httpx.JSON[settingsBody]
}

func (s *service) handleUpdateSettings(ctx context.Context, in *settingsInput) (settingsResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (settingsResponse, error) {
		now, err := s.updateSettings(ctx, tx, in.IfMatch, in.Body.change)
		return presentSettings(now), err
	})
}
