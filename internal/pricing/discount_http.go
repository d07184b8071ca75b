package pricing

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
)

type discountBody struct {
	Name            string        `json:"name" minLength:"1" maxLength:"200" doc:"As buyers see it" example:"Spring sale"`
	Status          string        `json:"status,omitempty" enum:"active,disabled" default:"active"`
	Automatic       bool          `json:"automatic,omitempty" doc:"It applies by itself, and has no codes"`
	Code            string        `json:"code,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9_-]{2,39}$" doc:"What buyers type, in any case. It is added to those that there are" example:"SPRING"`
	Effect          string        `json:"effect" enum:"percent,fixed,fixed_price,buy_x_get_y,free_shipping" doc:"fixed: amount once, spread over the items by their worth; fixed_price: each unit costs amount; buy_x_get_y: getQuantity units, the cheapest, for each buyQuantity, percent off"`
	Percent         string        `json:"percent,omitempty" pattern:"^[0-9]{1,3}(\\.[0-9]{1,4})?$" doc:"Off; decimal, at most 100" example:"12.5"`
	Amount          httpx.Decimal `json:"amount,omitempty"`
	Currency        string        `json:"currency,omitempty" maxLength:"3" doc:"ISO 4217. It is for baskets in this currency; absent: in any" example:"EUR"`
	SKUs            []string      `json:"skus,omitempty" maxItems:"500" doc:"What it is for, beside productIds; without both, everything"`
	ProductIDs      []string      `json:"productIds,omitempty" maxItems:"500"`
	GetSKUs         []string      `json:"getSkus,omitempty" maxItems:"500" doc:"What is got, beside getProductIds; without both, what is bought"`
	GetProductIDs   []string      `json:"getProductIds,omitempty" maxItems:"500"`
	BuyQuantity     int64         `json:"buyQuantity,omitempty" minimum:"0" maximum:"10000"`
	GetQuantity     int64         `json:"getQuantity,omitempty" minimum:"0" maximum:"10000"`
	MaxRepeats      int64         `json:"maxRepeats,omitempty" minimum:"0" maximum:"10000" doc:"How often it counts in one basket at most; 0: as often as it goes"`
	MinSubtotal     httpx.Decimal `json:"minSubtotal,omitempty"`
	MinQuantity     int64         `json:"minQuantity,omitempty" minimum:"0" maximum:"100000" doc:"Units of what it is for"`
	CustomerGroups  []string      `json:"customerGroups,omitempty" maxItems:"50" doc:"One of which the buyer is in"`
	FirstOrder      bool          `json:"firstOrder,omitempty" doc:"For buyers who have no order yet"`
	StartsAt        *time.Time    `json:"startsAt,omitempty"`
	EndsAt          *time.Time    `json:"endsAt,omitempty" doc:"The first moment at which it is not valid any more"`
	Priority        int           `json:"priority,omitempty" minimum:"0" maximum:"1000" doc:"The lowest comes first; of equals the one that takes most"`
	Exclusive       bool          `json:"exclusive,omitempty" doc:"It counts alone"`
	StackGroup      string        `json:"stackGroup,omitempty" maxLength:"64" doc:"Of those with the same one counts" example:"seasonal"`
	MaxUses         *int64        `json:"maxUses,omitempty" minimum:"1" maximum:"1000000000" doc:"Orders that may use it"`
	MaxUsesPerBuyer *int64        `json:"maxUsesPerBuyer,omitempty" minimum:"1" maximum:"1000000" doc:"By customer and by e-mail address"`
	MaxSpend        httpx.Decimal `json:"maxSpend,omitempty"`
}

// Check finds what the schema cannot say.
func (b *discountBody) Check() []fault.Field {
	_, fields := b.discount()
	if b.Name != "" {
		fields = append(fields, httpx.Line("/name", b.Name)...)
	}
	return fields
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *discountBody) CheckFor(ctx context.Context) []fault.Field {
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(b.Currency))
}

// discount of the body, and what is wrong with the values in it.
func (b *discountBody) discount() (discount, []fault.Field) {
	fields := flawsOfWindow(b.StartsAt, b.EndsAt, "/endsAt")
	percent, err := calc.ParsePercent(cmp.Or(b.Percent, "0"))
	if err != nil || percent > 100_0000 {
		fields = append(fields, percentField("/percent"))
	}
	amount := func(d httpx.Decimal, pointer string) int64 {
		a, flaws := d.Amount(b.Currency, pointer, "/currency")
		if b.Currency != "" { // or there would be nothing to measure it by
			fields = append(fields, slices.DeleteFunc(flaws, func(f fault.Field) bool { return f.Pointer == "/currency" })...)
		}
		return a.Minor
	}
	d := discount{Name: b.Name, Status: b.Status, Automatic: b.Automatic, terms: terms{
		Effect: calc.Effect(b.Effect), Percent: percent, Amount: amount(b.Amount, "/amount"), Currency: money.Currency(b.Currency), SKUs: b.SKUs, ProductIDs: b.ProductIDs,
		GetSKUs: b.GetSKUs, GetProducts: b.GetProductIDs, Buy: b.BuyQuantity, Get: b.GetQuantity, MaxRepeats: b.MaxRepeats,
		MinSubtotal: amount(b.MinSubtotal, "/minSubtotal"), MinQuantity: b.MinQuantity, Groups: b.CustomerGroups, FirstOrder: b.FirstOrder,
		StartsAt: kept(b.StartsAt), EndsAt: kept(b.EndsAt), Priority: b.Priority, Exclusive: b.Exclusive, StackGroup: b.StackGroup,
		MaxUses: b.MaxUses, MaxPerBuyer: b.MaxUsesPerBuyer,
	}}
	if b.MaxSpend != "" {
		d.MaxSpend = new(amount(b.MaxSpend, "/maxSpend"))
	}
	if b.Currency != "" && !d.Currency.IsEnabled() {
		fields = append(fields, httpx.CurrencyField("/currency"))
	}
	return d, fields
}

// sound refuses values that make no sense together.
func (b *discountBody) sound(d discount) error {
	fields := d.flaws()
	wrong := func(pointer, code, detail string) {
		fields = append(fields, fault.Field{Pointer: pointer, Code: code, Detail: detail})
	}
	wanted := d.Effect == calc.FixedOff || d.Effect == calc.FixedPrice
	switch {
	case wanted && b.Amount == "":
		wrong("/amount", "required", "is required for this effect")
	case !wanted && b.Amount != "":
		wrong("/amount", "not_with_effect", "has no meaning for this effect")
	}
	if b.Currency == "" && (b.Amount != "" || b.MinSubtotal != "" || b.MaxSpend != "") {
		wrong("/currency", "required", "is required with an amount")
	}
	if d.MaxSpend != nil && *d.MaxSpend == 0 && b.Currency != "" {
		wrong("/maxSpend", "minimum", "must be more than nothing")
	}
	if b.Automatic && b.Code != "" {
		wrong("/code", "automatic", "has no meaning for a discount that applies by itself")
	}
	if len(fields) > 0 {
		return httpx.ErrValidation(fields...)
	}
	return nil
}

type discountResponse struct {
	ID              string     `json:"id" format:"uuid"`
	Name            string     `json:"name" example:"Spring sale"`
	Status          string     `json:"status" enum:"active,disabled,archived"`
	Automatic       bool       `json:"automatic"`
	Effect          string     `json:"effect" enum:"percent,fixed,fixed_price,buy_x_get_y,free_shipping"`
	Percent         string     `json:"percent,omitempty" example:"12.5"`
	Amount          string     `json:"amount,omitempty" example:"5.00"`
	Currency        string     `json:"currency,omitempty" example:"EUR"`
	SKUs            []string   `json:"skus,omitempty"`
	ProductIDs      []string   `json:"productIds,omitempty"`
	GetSKUs         []string   `json:"getSkus,omitempty"`
	GetProductIDs   []string   `json:"getProductIds,omitempty"`
	BuyQuantity     int64      `json:"buyQuantity,omitempty"`
	GetQuantity     int64      `json:"getQuantity,omitempty"`
	MaxRepeats      int64      `json:"maxRepeats,omitempty"`
	MinSubtotal     string     `json:"minSubtotal,omitempty" example:"50.00"`
	MinQuantity     int64      `json:"minQuantity,omitempty"`
	CustomerGroups  []string   `json:"customerGroups,omitempty"`
	FirstOrder      bool       `json:"firstOrder"`
	StartsAt        *time.Time `json:"startsAt,omitempty"`
	EndsAt          *time.Time `json:"endsAt,omitempty"`
	Priority        int        `json:"priority"`
	Exclusive       bool       `json:"exclusive"`
	StackGroup      string     `json:"stackGroup,omitempty"`
	MaxUses         *int64     `json:"maxUses,omitempty"`
	MaxUsesPerBuyer *int64     `json:"maxUsesPerBuyer,omitempty"`
	MaxSpend        string     `json:"maxSpend,omitempty" example:"1000.00"`
	Uses            *int64     `json:"uses,omitempty" doc:"Orders that use it; counted where uses or spending are limited"`
	Spent           string     `json:"spent,omitempty" doc:"What it took off them" example:"120.00"`
	CreatedAt       time.Time  `json:"createdAt"`
	UpdatedAt       time.Time  `json:"updatedAt"`

	version int64
}

// ETag is the discount's version.
func (r discountResponse) ETag() string { return httpx.VersionTag(r.version) }

type createdDiscount struct{ discountResponse }

// Location of the discount.
func (r createdDiscount) Location() string { return "/v1/discounts/" + r.ID }

func presentDiscount(d discount) discountResponse {
	amount := func(minor int64, there bool) string {
		if !there || d.Currency == "" {
			return ""
		}
		return money.Amount{Minor: minor, Currency: d.Currency}.Decimal()
	}
	r := discountResponse{
		ID: d.ID.String(), Name: d.Name, Status: d.Status, Automatic: d.Automatic, Effect: string(d.Effect), Currency: string(d.Currency),
		Amount: amount(d.Amount, d.Effect == calc.FixedOff || d.Effect == calc.FixedPrice), MinSubtotal: amount(d.MinSubtotal, d.MinSubtotal > 0), MinQuantity: d.MinQuantity,
		SKUs: d.SKUs, ProductIDs: d.ProductIDs, GetSKUs: d.GetSKUs, GetProductIDs: d.GetProducts, BuyQuantity: d.Buy, GetQuantity: d.Get, MaxRepeats: d.MaxRepeats,
		CustomerGroups: d.Groups, FirstOrder: d.FirstOrder, StartsAt: kept(d.StartsAt), EndsAt: kept(d.EndsAt), Priority: d.Priority, Exclusive: d.Exclusive, StackGroup: d.StackGroup,
		MaxUses: d.MaxUses, MaxUsesPerBuyer: d.MaxPerBuyer, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, version: d.Version,
	}
	if d.Percent > 0 {
		r.Percent = d.Percent.String()
	}
	if d.MaxSpend != nil {
		r.MaxSpend = amount(*d.MaxSpend, true)
	}
	if d.limited() {
		r.Uses, r.Spent = &d.Uses, amount(d.Spent, true)
	}
	return r
}

type createDiscountInput struct{ httpx.JSON[discountBody] }

func (s *service) handleCreateDiscount(ctx context.Context, in *createDiscountInput) (createdDiscount, error) {
	d, _ := in.Body.discount() // Check has accepted it
	if err := in.Body.sound(d); err != nil {
		return createdDiscount{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (createdDiscount, error) {
		d, err := s.createDiscount(ctx, tx, d, calc.Code(in.Body.Code))
		return createdDiscount{presentDiscount(d)}, err
	})
}

func (s *service) handleGetDiscount(ctx context.Context, in *byID) (discountResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return discountResponse{}, err
	}
	d, err := s.getDiscount(ctx, id)
	return presentDiscount(d), err
}

type listDiscountsInput struct {
	httpx.Page
	Status string `query:"status" enum:"active,disabled,archived" default:"active"`
	Code   string `query:"code" maxLength:"64" doc:"The one with this code"`
}

func (s *service) handleListDiscounts(ctx context.Context, in *listDiscountsInput) (httpx.List[discountResponse], error) {
	out := httpx.List[discountResponse]{Data: []discountResponse{}}
	var after *discountPosition
	if in.Cursor != "" {
		after = &discountPosition{}
		if err := httpx.ReadCursor(in.Cursor, after); err != nil {
			return out, err
		}
	}
	var list []discount
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.list(ctx, tx, in.Status, calc.Code(in.Code), after, in.Limit+1)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		var err error
		if out.NextCursor, err = httpx.Cursor(discountPosition{list[in.Limit-1].CreatedAt, list[in.Limit-1].ID}); err != nil {
			return out, err
		}
	}
	for _, d := range list {
		out.Data = append(out.Data, presentDiscount(d))
	}
	return out, nil
}

type replaceDiscountInput struct {
	httpx.IfMatch
	httpx.JSON[discountBody]
	ID string `path:"id"`
}

func (s *service) handleReplaceDiscount(ctx context.Context, in *replaceDiscountInput) (discountResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return discountResponse{}, err
	}
	next, _ := in.Body.discount() // Check has accepted it
	if err := in.Body.sound(next); err != nil {
		return discountResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (discountResponse, error) {
		d, err := s.replaceDiscount(ctx, tx, id, in.IfMatch, next, calc.Code(in.Body.Code))
		return presentDiscount(d), err
	})
}

func (s *service) handleArchiveDiscount(ctx context.Context, in *goneInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, s.archiveDiscount(ctx, tx, id, in.IfMatch)
	})
}

type codesBody struct {
	Count   int64  `json:"count" minimum:"1" maximum:"100000"`
	Prefix  string `json:"prefix,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9_-]{0,19}$" example:"SPRING-"`
	MaxUses int64  `json:"maxUses,omitempty" minimum:"1" maximum:"1000000000" default:"1" doc:"Of each code"`
}

type codesInput struct {
	httpx.JSON[codesBody]
	ID string `path:"id"`
}

type codesResponse struct {
	Made int64 `json:"made" doc:"How many there are more; read them with GET"`
}

func (s *service) handleCreateCodes(ctx context.Context, in *codesInput) (codesResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return codesResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (codesResponse, error) {
		return codesResponse{in.Body.Count}, s.generate(ctx, tx, id, in.Body.Count, calc.Code(in.Body.Prefix), &in.Body.MaxUses)
	})
}

type codeResponse struct {
	Code    string `json:"code" example:"SPRING-7QK2M5XA3B"`
	MaxUses *int64 `json:"maxUses,omitempty" doc:"Absent: the discount's own limits are all"`
	Uses    *int64 `json:"uses,omitempty" doc:"Counted where they are limited"`
}

type listCodesInput struct {
	httpx.Page
	ID string `path:"id"`
}

type codePosition struct {
	Code string `json:"c"`
}

func (s *service) handleListCodes(ctx context.Context, in *listCodesInput) (httpx.List[codeResponse], error) {
	out := httpx.List[codeResponse]{Data: []codeResponse{}}
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	var after codePosition
	if in.Cursor != "" {
		if err := httpx.ReadCursor(in.Cursor, &after); err != nil {
			return out, err
		}
	}
	var list []codeRow
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := s.store.discount(ctx, tx, id); err != nil {
			return err
		}
		list, err = s.store.codes(ctx, tx, id, after.Code, in.Limit+1)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		if out.NextCursor, err = httpx.Cursor(codePosition{list[in.Limit-1].Code}); err != nil {
			return out, err
		}
	}
	for _, c := range list {
		r := codeResponse{Code: c.Code, MaxUses: c.MaxUses}
		if c.MaxUses != nil {
			r.Uses = &c.Uses
		}
		out.Data = append(out.Data, r)
	}
	return out, nil
}
