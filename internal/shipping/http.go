package shipping

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/pack"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

type priceBody struct {
	Currency    string         `json:"currency" minLength:"1" maxLength:"3" doc:"ISO 4217" example:"EUR"`
	Price       httpx.Decimal  `json:"price" doc:"Of all of it, however many parcels it is"`
	ZoneID      *uuid.UUID     `json:"zoneId,omitempty" format:"uuid" doc:"Where it is the price; wherever the method has none of the address's zone when it is absent"`
	FreeFrom    *httpx.Decimal `json:"freeFrom,omitempty" doc:"Subtotal of the goods from which it costs nothing"`
	MinSubtotal *httpx.Decimal `json:"minSubtotal,omitempty" doc:"Subtotals below it do not go this way"`
	MaxSubtotal *httpx.Decimal `json:"maxSubtotal,omitempty" doc:"Subtotals above it do not go this way"`
	MinGrams    *int64         `json:"minGrams,omitempty" minimum:"0" maximum:"1000000000" doc:"What weighs less, with its boxes, does not go for it"`
	MaxGrams    *int64         `json:"maxGrams,omitempty" minimum:"0" maximum:"1000000000" doc:"What weighs more, with its boxes, does not go for it"`
	MinItems    *int64         `json:"minItems,omitempty" minimum:"0" maximum:"1000000000" doc:"Fewer do not go for it"`
	MaxItems    *int64         `json:"maxItems,omitempty" minimum:"0" maximum:"1000000000" doc:"More do not go for it"`
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
	p.Zone, p.Grams, p.Items = b.ZoneID, band{b.MinGrams, b.MaxGrams}, band{b.MinItems, b.MaxItems}
	if p.Grams.empty() {
		fields = append(fields, fault.Field{Pointer: pointer + "/maxGrams", Code: "minimum", Detail: "must be at least minGrams"})
	}
	if p.Items.empty() {
		fields = append(fields, fault.Field{Pointer: pointer + "/maxItems", Code: "minimum", Detail: "must be at least minItems"})
	}
	return p, fields
}

func readPrices(bodies []priceBody) (prices []price, fields []fault.Field) {
	for i, b := range bodies {
		pointer := fmt.Sprintf("/prices/%d", i)
		p, wrong := b.read(pointer)
		if at := slices.IndexFunc(prices, func(o price) bool { return o.hides(p) }); at >= 0 && len(wrong) == 0 {
			fields = append(fields, fault.Field{Pointer: pointer + "/currency", Code: "duplicate", Detail: fmt.Sprintf("has a price already that is for all of this: prices/%d", at)})
		}
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

// maxParcelBody is what parcels may be at most.
type maxParcelBody struct {
	Grams  int64 `json:"grams,omitempty" minimum:"0" maximum:"1000000" doc:"With its box; whatever it weighs when it is absent or 0" example:"30000"`
	Length int64 `json:"length,omitempty" minimum:"0" maximum:"10000" doc:"mm; all three sides, or none" example:"1200"`
	Width  int64 `json:"width,omitempty" minimum:"0" maximum:"10000" doc:"mm" example:"600"`
	Height int64 `json:"height,omitempty" minimum:"0" maximum:"10000" doc:"mm" example:"600"`
}

func (b maxParcelBody) check() (fields []fault.Field) {
	if b.Length == 0 && b.Width == 0 && b.Height == 0 {
		return nil
	}
	for _, side := range []struct {
		name string
		mm   int64
	}{{"length", b.Length}, {"width", b.Width}, {"height", b.Height}} {
		if side.mm == 0 {
			fields = append(fields, fault.Field{Pointer: "/maxParcel/" + side.name, Code: "required", Detail: "is required, as the others are"})
		}
	}
	return fields
}

func (b maxParcelBody) read() pack.Limit {
	return pack.Limit{Grams: b.Grams, Sides: pack.Sides{Length: b.Length, Width: b.Width, Height: b.Height}}
}

// What a SKU and a tax class look like in the catalog.
var (
	skuForm      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~:+-]{0,63}$`)
	taxClassForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
)

func checkEach(name string, list []string, form *regexp.Regexp) (fields []fault.Field) {
	for i, text := range list {
		if !form.MatchString(text) {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/%s/%d", name, i), Code: "pattern", Detail: "must match " + form.String()})
		}
	}
	return fields
}

type createBody struct {
	Name               string        `json:"name" minLength:"1" maxLength:"100" example:"Parcel"`
	Description        string        `json:"description,omitempty" maxLength:"500" example:"Two to three days"`
	Destinations       []string      `json:"destinations,omitempty" maxItems:"300" doc:"Countries (ISO 3166-1) and their regions (ISO 3166-2) where it goes; none: everywhere" example:"[\"PT\",\"US-CA\"]"`
	TaxClass           string        `json:"taxClass,omitempty" pattern:"^([a-z][a-z0-9_-]{0,31})?$" doc:"Names the tax rates that it is taxed by, as products do; as the goods when it is absent or empty" example:"standard"`
	Prices             []priceBody   `json:"prices" minItems:"1" maxItems:"500" doc:"The first that is for an address and its goods is the one"`
	ExcludedSKUs       []string      `json:"excludedSkus,omitempty" maxItems:"500" doc:"What does not go this way: nothing does with one of them in it" example:"[\"ANVIL\"]"`
	ExcludedTaxClasses []string      `json:"excludedTaxClasses,omitempty" maxItems:"50" doc:"Of what does not go this way"`
	MaxParcel          maxParcelBody `json:"maxParcel,omitzero" doc:"Goods are packed into parcels within it; what does not go in does not go this way"`
	Active             *bool         `json:"active,omitempty" doc:"Whether buyers are offered it; yes when it is absent"`
	Position           int64         `json:"position,omitempty" minimum:"0" maximum:"1000000" doc:"Buyers see smaller ones first"`
}

// Check finds what the schema cannot say.
func (b *createBody) Check() []fault.Field {
	_, fields := readPrices(b.Prices)
	return slices.Concat(fields, checkDestinations(b.Destinations), httpx.Line("/name", b.Name), b.MaxParcel.check(),
		checkEach("excludedSkus", b.ExcludedSKUs, skuForm), checkEach("excludedTaxClasses", b.ExcludedTaxClasses, taxClassForm))
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *createBody) CheckFor(ctx context.Context) []fault.Field {
	return checkCurrencies(ctx, b.Prices)
}

type createInput struct{ httpx.JSON[createBody] }

type priceResponse struct {
	Currency    string     `json:"currency" example:"EUR"`
	Price       string     `json:"price" example:"4.90"`
	ZoneID      *uuid.UUID `json:"zoneId,omitempty" format:"uuid"`
	FreeFrom    string     `json:"freeFrom,omitempty" example:"50.00"`
	MinSubtotal string     `json:"minSubtotal,omitempty"`
	MaxSubtotal string     `json:"maxSubtotal,omitempty"`
	MinGrams    *int64     `json:"minGrams,omitempty"`
	MaxGrams    *int64     `json:"maxGrams,omitempty"`
	MinItems    *int64     `json:"minItems,omitempty"`
	MaxItems    *int64     `json:"maxItems,omitempty"`
}

type methodResponse struct {
	ID                 string          `json:"id" format:"uuid"`
	Name               string          `json:"name" example:"Parcel"`
	Description        string          `json:"description"`
	Destinations       []string        `json:"destinations"`
	TaxClass           string          `json:"taxClass"`
	Prices             []priceResponse `json:"prices"`
	ExcludedSKUs       []string        `json:"excludedSkus"`
	ExcludedTaxClasses []string        `json:"excludedTaxClasses"`
	MaxParcel          maxParcelBody   `json:"maxParcel,omitzero" doc:"Absent when parcels may be whatever they are"`
	Active             bool            `json:"active"`
	Position           int64           `json:"position"`
	CreatedAt          time.Time       `json:"createdAt"`
	UpdatedAt          time.Time       `json:"updatedAt"`

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
		ExcludedSKUs: m.Excluded.SKUs, ExcludedTaxClasses: m.Excluded.TaxClasses, MaxParcel: maxParcelBody{m.MaxParcel.Grams, m.MaxParcel.Length, m.MaxParcel.Width, m.MaxParcel.Height},
		Active: m.Active, Position: m.Position, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, version: m.Version,
	}
	for _, p := range m.Prices {
		r.Prices = append(r.Prices, priceResponse{string(p.Amount.Currency), p.Amount.Decimal(), p.Zone, decimal(p.FreeFrom), decimal(p.Min), decimal(p.Max), p.Grams.Min, p.Grams.Max, p.Items.Min, p.Items.Max})
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
	m.Excluded = excluded{SKUs: append([]string{}, b.ExcludedSKUs...), TaxClasses: append([]string{}, b.ExcludedTaxClasses...)}
	m.MaxParcel = b.MaxParcel.read()
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
	Name               *string        `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Description        *string        `json:"description,omitempty" maxLength:"500"`
	Destinations       *[]string      `json:"destinations,omitempty" maxItems:"300"`
	TaxClass           *string        `json:"taxClass,omitempty" pattern:"^([a-z][a-z0-9_-]{0,31})?$"`
	Prices             *[]priceBody   `json:"prices,omitempty" minItems:"1" maxItems:"500"`
	ExcludedSKUs       *[]string      `json:"excludedSkus,omitempty" maxItems:"500"`
	ExcludedTaxClasses *[]string      `json:"excludedTaxClasses,omitempty" maxItems:"50"`
	MaxParcel          *maxParcelBody `json:"maxParcel,omitempty" doc:"All 0: whatever they are"`
	Active             *bool          `json:"active,omitempty"`
	Position           *int64         `json:"position,omitempty" minimum:"0" maximum:"1000000"`
}

// Check finds what the schema cannot say.
func (b *updateBody) Check() (fields []fault.Field) {
	if b.Prices != nil {
		_, fields = readPrices(*b.Prices)
	}
	if b.Destinations != nil {
		fields = append(fields, checkDestinations(*b.Destinations)...)
	}
	if b.ExcludedSKUs != nil {
		fields = append(fields, checkEach("excludedSkus", *b.ExcludedSKUs, skuForm)...)
	}
	if b.ExcludedTaxClasses != nil {
		fields = append(fields, checkEach("excludedTaxClasses", *b.ExcludedTaxClasses, taxClassForm)...)
	}
	if b.MaxParcel != nil {
		fields = append(fields, b.MaxParcel.check()...)
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
	if b.ExcludedSKUs != nil {
		m.Excluded.SKUs = append([]string{}, *b.ExcludedSKUs...)
	}
	if b.ExcludedTaxClasses != nil {
		m.Excluded.TaxClasses = append([]string{}, *b.ExcludedTaxClasses...)
	}
	if b.MaxParcel != nil {
		m.MaxParcel = b.MaxParcel.read()
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
	PostalCode string `json:"postalCode,omitempty" maxLength:"20" doc:"Zones go by it"`
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
	MethodID    string           `json:"methodId" format:"uuid"`
	Name        string           `json:"name" example:"Parcel"`
	Description string           `json:"description"`
	Price       string           `json:"price" example:"4.90"`
	Currency    string           `json:"currency" example:"EUR"`
	FreeFrom    string           `json:"freeFrom,omitempty" doc:"Subtotal from which it costs nothing" example:"50.00"`
	Parcels     []parcelResponse `json:"parcels" doc:"How it would be packed; empty when only a subtotal is known"`
}

type parcelResponse struct {
	Count    int64        `json:"count" doc:"How many are alike" example:"1"`
	Box      string       `json:"box,omitempty" doc:"Absent: as it is" example:"S"`
	Grams    int64        `json:"grams" doc:"Of each, with its box" example:"820"`
	Length   int64        `json:"length,omitempty" doc:"mm; absent when it is not known"`
	Width    int64        `json:"width,omitempty" doc:"mm"`
	Height   int64        `json:"height,omitempty" doc:"mm"`
	Oversize bool         `json:"oversize,omitempty" doc:"It fits into none of the shop's boxes"`
	Items    []packedItem `json:"items" doc:"In each of them"`
}

type packedItem struct {
	SKU      string `json:"sku" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" example:"2"`
}

func presentPacked(list []shippingapi.Packed) []parcelResponse {
	out := []parcelResponse{}
	for _, p := range list {
		r := parcelResponse{Count: p.Count, Box: p.Box, Grams: p.Grams, Length: p.Length, Width: p.Width, Height: p.Height, Oversize: p.Oversize, Items: []packedItem{}}
		for _, i := range p.Items {
			r.Items = append(r.Items, packedItem(i))
		}
		out = append(out, r)
	}
	return out
}

type unavailableResponse struct {
	MethodID string `json:"methodId" format:"uuid"`
	Name     string `json:"name" example:"Letter"`
	Reason   string `json:"reason" enum:"address_required,items_required,destination,currency,subtotal,weight,items,conditions,excluded_item,parcel_too_heavy,parcel_too_large"`
	Detail   string `json:"detail" example:"It does not go there."`
}

type ratesResponse struct {
	Data        []optionResponse      `json:"data" doc:"In the order in which the shop shows them; empty when nothing goes there"`
	Unavailable []unavailableResponse `json:"unavailable" doc:"The shop's other ways, and why each is not offered"`
}

func (s *service) handleRates(ctx context.Context, in *ratesInput) (ratesResponse, error) {
	b, out := in.Body, ratesResponse{Data: []optionResponse{}, Unavailable: []unavailableResponse{}}
	p := shippingapi.Parcel{Country: b.Destination.Country, Region: b.Destination.Region, PostalCode: b.Destination.PostalCode, Subtotal: money.Amount{Currency: money.Currency(b.Currency)}}
	var err error
	if b.Subtotal != nil {
		p.Subtotal, _ = b.Subtotal.Amount(b.Currency, "", "") // Check has accepted it
	} else if p.Subtotal, p.Goods, err = s.worth(ctx, b.Items, p.Subtotal.Currency); err != nil {
		return out, err
	}
	rates, err := s.rates(ctx, p)
	for _, o := range rates.Options {
		out.Data = append(out.Data, optionResponse{o.MethodID, o.Name, o.Description, o.Price.Decimal(), string(o.Price.Currency), decimal(o.FreeFrom), presentPacked(o.Parcels)})
	}
	for _, u := range rates.Unavailable {
		out.Unavailable = append(out.Unavailable, unavailableResponse{u.MethodID, u.Name, string(u.Reason), u.Detail})
	}
	return out, err
}
