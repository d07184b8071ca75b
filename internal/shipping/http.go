package shipping

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

type priceBody struct {
	Currency    string         `json:"currency" minLength:"1" maxLength:"3" doc:"ISO 4217" example:"EUR"`
	Price       httpx.Decimal  `json:"price" doc:"Of the whole parcel"`
	FreeFrom    *httpx.Decimal `json:"freeFrom,omitempty" doc:"Subtotal of the goods from which it costs nothing"`
	MinSubtotal *httpx.Decimal `json:"minSubtotal,omitempty" doc:"Subtotals below it do not go this way"`
	MaxSubtotal *httpx.Decimal `json:"maxSubtotal,omitempty" doc:"Subtotals above it do not go this way"`
}

// read is the price, with what is wrong with it.
func (b priceBody) read(pointer string) (p price, fields []fault.Field) {
	amount := func(d httpx.Decimal, name string) *money.Amount {
		a, wrong := d.Amount(b.Currency, pointer+name, pointer+"/currency")
		fields = append(fields, wrong...)
		return &a
	}
	p.Amount = *amount(b.Price, "/price")
	for _, f := range []struct {
		sent *httpx.Decimal
		name string
		into **money.Amount
	}{{b.FreeFrom, "/freeFrom", &p.FreeFrom}, {b.MinSubtotal, "/minSubtotal", &p.Min}, {b.MaxSubtotal, "/maxSubtotal", &p.Max}} {
		if f.sent != nil && len(fields) == 0 {
			*f.into = amount(*f.sent, f.name)
		}
	}
	if p.Min != nil && p.Max != nil && len(fields) == 0 && p.Min.Minor > p.Max.Minor {
		fields = append(fields, fault.Field{Pointer: pointer + "/maxSubtotal", Code: "minimum", Detail: "must be at least minSubtotal"})
	}
	return p, fields
}

func readPrices(bodies []priceBody) (prices []price, fields []fault.Field) {
	for i, b := range bodies {
		pointer := fmt.Sprintf("/prices/%d", i)
		if slices.ContainsFunc(bodies[:i], func(o priceBody) bool { return o.Currency == b.Currency }) {
			fields = append(fields, fault.Field{Pointer: pointer + "/currency", Code: "duplicate", Detail: "has a price already"})
		}
		p, wrong := b.read(pointer)
		prices, fields = append(prices, p), append(fields, wrong...)
	}
	return prices, fields
}

var destination = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)

func checkDestinations(list []string) (fields []fault.Field) {
	for i, d := range list {
		pointer := fmt.Sprintf("/destinations/%d", i)
		if !destination.MatchString(d) {
			fields = append(fields, fault.Field{Pointer: pointer, Code: "pattern", Detail: "must be a country, as PT, or a region of one, as US-CA"})
			continue
		}
		fields = append(fields, territory.CheckCountry(pointer, d[:2])...)
	}
	return fields
}

func checkCurrencies(ctx context.Context, prices []priceBody) (fields []fault.Field) {
	for i, p := range prices {
		fields = append(fields, tenant.CheckCurrency(ctx, fmt.Sprintf("/prices/%d/currency", i), money.Currency(p.Currency))...)
	}
	return fields
}

type createBody struct {
	Name         string      `json:"name" minLength:"1" maxLength:"100" example:"Parcel"`
	Description  string      `json:"description,omitempty" maxLength:"500" example:"Two to three days"`
	Destinations []string    `json:"destinations,omitempty" maxItems:"300" doc:"Countries (ISO 3166-1) and their regions (ISO 3166-2) where it goes; none: everywhere" example:"[\"PT\",\"US-CA\"]"`
	TaxClass     string      `json:"taxClass,omitempty" pattern:"^([a-z][a-z0-9_-]{0,31})?$" doc:"Names the tax rates that it is taxed by, as products do; as the goods when it is absent or empty" example:"standard"`
	Prices       []priceBody `json:"prices" minItems:"1" maxItems:"20"`
	Active       *bool       `json:"active,omitempty" doc:"Whether buyers are offered it; yes when it is absent"`
	Position     int64       `json:"position,omitempty" minimum:"0" maximum:"1000000" doc:"Buyers see smaller ones first"`
}

// Check finds what the schema cannot say.
func (b *createBody) Check() []fault.Field {
	_, fields := readPrices(b.Prices)
	return slices.Concat(fields, checkDestinations(b.Destinations), httpx.Line("/name", b.Name))
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *createBody) CheckFor(ctx context.Context) []fault.Field {
	return checkCurrencies(ctx, b.Prices)
}

type createInput struct{ httpx.JSON[createBody] }

type priceResponse struct {
	Currency    string `json:"currency" example:"EUR"`
	Price       string `json:"price" example:"4.90"`
	FreeFrom    string `json:"freeFrom,omitempty" example:"50.00"`
	MinSubtotal string `json:"minSubtotal,omitempty"`
	MaxSubtotal string `json:"maxSubtotal,omitempty"`
}

type methodResponse struct {
	ID           string          `json:"id" format:"uuid"`
	Name         string          `json:"name" example:"Parcel"`
	Description  string          `json:"description"`
	Destinations []string        `json:"destinations"`
	TaxClass     string          `json:"taxClass"`
	Prices       []priceResponse `json:"prices"`
	Active       bool            `json:"active"`
	Position     int64           `json:"position"`
	CreatedAt    time.Time       `json:"createdAt"`
	UpdatedAt    time.Time       `json:"updatedAt"`

	version int64
}

// ETag is the method's version.
func (r methodResponse) ETag() string { return httpx.VersionTag(r.version) }

// createdResponse also says where the method is.
type createdResponse struct{ methodResponse }

// Location of the method.
func (r createdResponse) Location() string { return "/v1/shipping/methods/" + r.ID }

func present(m method) methodResponse {
	r := methodResponse{
		ID: m.ID.String(), Name: m.Name, Description: m.Description, Destinations: m.Destinations, TaxClass: m.TaxClass, Prices: []priceResponse{},
		Active: m.Active, Position: m.Position, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, version: m.Version,
	}
	for _, p := range m.Prices {
		r.Prices = append(r.Prices, priceResponse{string(p.Amount.Currency), p.Amount.Decimal(), decimal(p.FreeFrom), decimal(p.Min), decimal(p.Max)})
	}
	return r
}

func decimal(a *money.Amount) string {
	if a == nil {
		return ""
	}
	return a.Decimal()
}

func (s *service) handleCreate(ctx context.Context, in *createInput) (createdResponse, error) {
	b := in.Body
	m := method{Name: b.Name, Description: b.Description, Destinations: []string{}, TaxClass: b.TaxClass, Active: b.Active == nil || *b.Active, Position: b.Position}
	m.Destinations = append(m.Destinations, b.Destinations...)
	m.Prices, _ = readPrices(b.Prices) // Check has accepted them
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (createdResponse, error) {
		m, err := s.create(ctx, tx, m)
		return createdResponse{present(m)}, err
	})
}

func (s *service) handleList(ctx context.Context, _ *struct{}) (httpx.List[methodResponse], error) {
	out := httpx.List[methodResponse]{Data: []methodResponse{}}
	methods, err := s.list(ctx)
	for _, m := range methods {
		out.Data = append(out.Data, present(m))
	}
	return out, err
}

type byID struct {
	ID string `path:"id"`
}

func (s *service) handleGet(ctx context.Context, in *byID) (methodResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return methodResponse{}, err
	}
	m, err := s.get(ctx, id)
	return present(m), err
}

type updateBody struct {
	Name         *string      `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Description  *string      `json:"description,omitempty" maxLength:"500"`
	Destinations *[]string    `json:"destinations,omitempty" maxItems:"300"`
	TaxClass     *string      `json:"taxClass,omitempty" pattern:"^([a-z][a-z0-9_-]{0,31})?$"`
	Prices       *[]priceBody `json:"prices,omitempty" minItems:"1" maxItems:"20"`
	Active       *bool        `json:"active,omitempty"`
	Position     *int64       `json:"position,omitempty" minimum:"0" maximum:"1000000"`
}

// Check finds what the schema cannot say.
func (b *updateBody) Check() (fields []fault.Field) {
	if b.Prices != nil {
		_, fields = readPrices(*b.Prices)
	}
	if b.Destinations != nil {
		fields = append(fields, checkDestinations(*b.Destinations)...)
	}
	if b.Name != nil {
		fields = append(fields, httpx.Line("/name", *b.Name)...)
	}
	return fields
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *updateBody) CheckFor(ctx context.Context) []fault.Field {
	if b.Prices == nil {
		return nil
	}
	return checkCurrencies(ctx, *b.Prices)
}

func (b *updateBody) apply(m *method) {
	set(&m.Name, b.Name)
	set(&m.Description, b.Description)
	set(&m.TaxClass, b.TaxClass)
	set(&m.Active, b.Active)
	set(&m.Position, b.Position)
	if b.Destinations != nil {
		m.Destinations = append([]string{}, *b.Destinations...)
	}
	if b.Prices != nil {
		m.Prices, _ = readPrices(*b.Prices) // Check has accepted them
	}
}

func set[T any](field, sent *T) {
	if sent != nil {
		*field = *sent
	}
}

type updateInput struct {
	httpx.IfMatch
	httpx.JSON[updateBody]
	ID string `path:"id"`
}

func (s *service) handleUpdate(ctx context.Context, in *updateInput) (methodResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return methodResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (methodResponse, error) {
		m, err := s.update(ctx, tx, id, in.IfMatch, in.Body.apply)
		return present(m), err
	})
}

type deleteInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (s *service) handleDelete(ctx context.Context, in *deleteInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, s.remove(ctx, tx, id, in.IfMatch)
	})
}

type destinationBody struct {
	Country    string `json:"country" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"PT"`
	Region     string `json:"region,omitempty" maxLength:"100"`
	PostalCode string `json:"postalCode,omitempty" maxLength:"20" doc:"As part of an address; no method goes by it"`
}

type itemBody struct {
	SKU      string `json:"sku" minLength:"1" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100000" example:"2"`
}

type ratesBody struct {
	Destination destinationBody `json:"destination"`
	Currency    string          `json:"currency" minLength:"1" maxLength:"3" doc:"ISO 4217" example:"EUR"`
	Items       []itemBody      `json:"items,omitempty" maxItems:"500"`
	Subtotal    *httpx.Decimal  `json:"subtotal,omitempty" doc:"What the goods are worth, instead of items"`
}

// Check finds what the schema cannot say.
func (b *ratesBody) Check() (fields []fault.Field) {
	var subtotal httpx.Decimal
	if b.Subtotal != nil {
		subtotal = *b.Subtotal
	}
	_, fields = subtotal.Amount(b.Currency, "/subtotal", "/currency")
	fields = append(fields, territory.CheckCountry("/destination/country", b.Destination.Country)...)
	if b.Subtotal != nil && len(b.Items) > 0 {
		fields = append(fields, fault.Field{Pointer: "/subtotal", Code: "excluded", Detail: "is not for a request with items"})
	}
	return fields
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *ratesBody) CheckFor(ctx context.Context) []fault.Field {
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(b.Currency))
}

type ratesInput struct{ httpx.JSON[ratesBody] }

type optionResponse struct {
	MethodID    string `json:"methodId" format:"uuid"`
	Name        string `json:"name" example:"Parcel"`
	Description string `json:"description"`
	Price       string `json:"price" example:"4.90"`
	Currency    string `json:"currency" example:"EUR"`
	FreeFrom    string `json:"freeFrom,omitempty" doc:"Subtotal from which it costs nothing" example:"50.00"`
}

type ratesResponse struct {
	Data []optionResponse `json:"data" doc:"In the order in which the shop shows them; empty when nothing goes there"`
}

func (s *service) handleRates(ctx context.Context, in *ratesInput) (ratesResponse, error) {
	b, out := in.Body, ratesResponse{Data: []optionResponse{}}
	p := shippingapi.Parcel{Country: b.Destination.Country, Region: b.Destination.Region, Subtotal: money.Amount{Currency: money.Currency(b.Currency)}}
	var err error
	if b.Subtotal != nil {
		p.Subtotal, _ = b.Subtotal.Amount(b.Currency, "", "") // Check has accepted it
	} else if p.Subtotal, err = s.worth(ctx, b.Items, p.Subtotal.Currency); err != nil {
		return out, err
	}
	rates, err := s.rates(ctx, p)
	for _, o := range rates.Options {
		out.Data = append(out.Data, optionResponse{o.MethodID, o.Name, o.Description, o.Price.Decimal(), string(o.Price.Currency), decimal(o.FreeFrom)})
	}
	return out, err
}
