package pricing

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
)

type rateBody struct {
	Name         string     `json:"name" minLength:"1" maxLength:"100" doc:"As invoices show it" example:"MwSt."`
	Country      string     `json:"country" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"DE"`
	Region       string     `json:"region,omitempty" maxLength:"100" doc:"ISO 3166-2 without the country; absent: the whole country" example:"NY"`
	PostalPrefix string     `json:"postalPrefix,omitempty" maxLength:"20" doc:"What postal codes begin with; absent: wherever in the region" example:"100"`
	TaxClass     string     `json:"taxClass,omitempty" pattern:"^[a-z][a-z0-9_-]{0,31}$" default:"standard"`
	Rate         string     `json:"rate" pattern:"^[0-9]{1,4}(\\.[0-9]{1,4})?$" doc:"Percent, decimal, at most 1000" example:"8.875"`
	Priority     int        `json:"priority,omitempty" minimum:"0" maximum:"100" doc:"Rates of different priorities add up"`
	Compound     bool       `json:"compound,omitempty" doc:"Taken of the rates that are not compound, too"`
	ValidFrom    *time.Time `json:"validFrom,omitempty"`
	ValidUntil   *time.Time `json:"validUntil,omitempty" doc:"The first moment at which it is not valid any more"`
}

// Check finds what the schema cannot say.
func (b *rateBody) Check() (fields []fault.Field) {
	if b.Name != "" {
		fields = append(fields, httpx.Line("/name", b.Name)...)
	}
	if _, err := calc.ParsePercent(b.Rate); err != nil && b.Rate != "" {
		fields = append(fields, percentField("/rate"))
	}
	fields = append(fields, territory.CheckCountry("/country", b.Country)...)
	return append(fields, flawsOfWindow(b.ValidFrom, b.ValidUntil, "/validUntil")...)
}

func percentField(pointer string) fault.Field {
	return fault.Field{Pointer: pointer, Code: "percentage", Detail: "must be decimal text with at most four digits after the point, and not too much"}
}

func (b *rateBody) rate() rate {
	percent, _ := calc.ParsePercent(b.Rate) // Check has accepted it
	return rate{
		Name: b.Name, Country: b.Country, Region: territory.Region(b.Country, b.Region), PostalPrefix: calc.Postal(b.PostalPrefix), TaxClass: b.TaxClass, Percent: percent,
		Priority: b.Priority, Compound: b.Compound, ValidFrom: kept(b.ValidFrom), ValidUntil: kept(b.ValidUntil),
	}
}

type rateResponse struct {
	ID           string     `json:"id" format:"uuid"`
	Name         string     `json:"name" example:"MwSt."`
	Country      string     `json:"country" example:"DE"`
	Region       string     `json:"region,omitempty" example:"NY"`
	PostalPrefix string     `json:"postalPrefix,omitempty" example:"100"`
	TaxClass     string     `json:"taxClass" example:"standard"`
	Rate         string     `json:"rate" doc:"Percent" example:"19"`
	Priority     int        `json:"priority"`
	Compound     bool       `json:"compound"`
	ValidFrom    *time.Time `json:"validFrom,omitempty"`
	ValidUntil   *time.Time `json:"validUntil,omitempty"`
	CreatedAt    time.Time  `json:"createdAt"`
	UpdatedAt    time.Time  `json:"updatedAt"`

	version int64
}

// ETag is the rate's version.
func (r rateResponse) ETag() string { return httpx.VersionTag(r.version) }

type createdRate struct{ rateResponse }

// Location of the rate.
func (r createdRate) Location() string { return "/v1/tax/rates/" + r.ID }

func presentRate(r rate) rateResponse {
	return rateResponse{
		ID: r.ID.String(), Name: r.Name, Country: r.Country, Region: r.Region, PostalPrefix: r.PostalPrefix, TaxClass: r.TaxClass, Rate: r.Percent.String(),
		Priority: r.Priority, Compound: r.Compound, ValidFrom: kept(r.ValidFrom), ValidUntil: kept(r.ValidUntil), CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), version: r.Version,
	}
}

type createRateInput struct{ httpx.JSON[rateBody] }

func (s *service) handleCreateRate(ctx context.Context, in *createRateInput) (createdRate, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (createdRate, error) {
		r, err := s.createRate(ctx, tx, in.Body.rate())
		return createdRate{presentRate(r)}, err
	})
}

type byID struct {
	ID string `path:"id"`
}

func (s *service) handleGetRate(ctx context.Context, in *byID) (rateResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return rateResponse{}, err
	}
	r, err := s.getRate(ctx, id)
	return presentRate(r), err
}

type listRatesInput struct {
	httpx.Page
	Country  string `query:"country" maxLength:"2"`
	TaxClass string `query:"taxClass" maxLength:"32"`
}

func (s *service) handleListRates(ctx context.Context, in *listRatesInput) (httpx.List[rateResponse], error) {
	out := httpx.List[rateResponse]{Data: []rateResponse{}}
	var after ratePosition
	if in.Cursor != "" {
		if err := httpx.ReadCursor(in.Cursor, &after); err != nil {
			return out, err
		}
	}
	var list []rate
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.listRates(ctx, tx, in.Country, in.TaxClass, after, in.Limit+1)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		last := list[in.Limit-1]
		var err error
		if out.NextCursor, err = httpx.Cursor(ratePosition{last.Country, last.Region, last.PostalPrefix, last.TaxClass, last.ID}); err != nil {
			return out, err
		}
	}
	for _, r := range list {
		out.Data = append(out.Data, presentRate(r))
	}
	return out, nil
}

type replaceRateInput struct {
	httpx.IfMatch
	httpx.JSON[rateBody]
	ID string `path:"id"`
}

func (s *service) handleReplaceRate(ctx context.Context, in *replaceRateInput) (rateResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return rateResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (rateResponse, error) {
		r, err := s.replaceRate(ctx, tx, id, in.IfMatch, in.Body.rate())
		return presentRate(r), err
	})
}

type goneInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (s *service) handleDeleteRate(ctx context.Context, in *goneInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, s.deleteRate(ctx, tx, id, in.IfMatch)
	})
}
