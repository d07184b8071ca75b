package pricing

import (
	"context"
	"errors"
	"slices"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

var (
	errUnknownSKU       = fault.New(fault.Invalid, "unknown_sku", "Something in the basket is not for sale.")
	errCurrencyMismatch = fault.New(fault.Invalid, "currency_mismatch", "Everything in a basket is paid in one currency.")
	errAmountRange      = fault.New(fault.Invalid, "amount_out_of_range", "The basket is worth more than can be counted.")
	errHidden           = fault.New(fault.Forbidden, "forbidden", "Trying out groups and first orders needs the permission discounts:read.")
)

type quoteItem struct {
	SKU      string `json:"sku" minLength:"1" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100000" example:"2"`
}

type quoteShipping struct {
	Price    httpx.Decimal `json:"price"`
	TaxClass string        `json:"taxClass,omitempty" pattern:"^[a-z][a-z0-9_-]{0,31}$" doc:"As the settings say when it is absent"`
}

type quoteDestination struct {
	Country    string `json:"country" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"DE"`
	Region     string `json:"region,omitempty" maxLength:"100"`
	PostalCode string `json:"postalCode,omitempty" maxLength:"20"`
}

type quoteBody struct {
	Currency       string            `json:"currency" minLength:"1" maxLength:"3" doc:"ISO 4217" example:"EUR"`
	Items          []quoteItem       `json:"items" minItems:"1" maxItems:"500"`
	Shipping       *quoteShipping    `json:"shipping,omitempty"`
	Destination    *quoteDestination `json:"destination,omitempty" doc:"Decides the tax; absent: the shop's own country"`
	Codes          []string          `json:"codes,omitempty" maxItems:"10" doc:"Of discounts, as the buyer typed them"`
	VATID          string            `json:"vatId,omitempty" maxLength:"20" doc:"Of a business of another country of the EU" example:"FR83404833048"`
	CustomerGroups []string          `json:"customerGroups,omitempty" maxItems:"50"`
	FirstOrder     bool              `json:"firstOrder,omitempty"`
	Explain        bool              `json:"explain,omitempty"`
}

// Check finds what the schema cannot say.
func (b *quoteBody) Check() (fields []fault.Field) {
	if b.Currency != "" && !money.Currency(b.Currency).IsEnabled() {
		fields = append(fields, httpx.CurrencyField("/currency"))
	}
	if b.Shipping != nil {
		_, wrong := b.Shipping.Price.Amount(b.Currency, "/shipping/price", "/currency")
		fields = append(fields, slices.DeleteFunc(wrong, func(f fault.Field) bool { return f.Pointer == "/currency" })...)
	}
	if b.Destination != nil {
		fields = append(fields, territory.CheckCountry("/destination/country", b.Destination.Country)...)
	}
	for i, code := range b.Codes {
		if n := len(code); n == 0 || n > 64 {
			fields = append(fields, fault.Field{Pointer: "/codes/" + itoa(i), Code: "length", Detail: "must have 1 to 64 characters"})
		}
	}
	return fields
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *quoteBody) CheckFor(ctx context.Context) []fault.Field {
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(b.Currency))
}

// basket of the body at the catalog's prices.
func (s *service) basket(ctx context.Context, b *quoteBody) (pricingapi.Basket, error) {
	currency := money.Currency(b.Currency)
	id, err := identity.From(ctx)
	if err != nil {
		return pricingapi.Basket{}, err
	}
	if (len(b.CustomerGroups) > 0 || b.FirstOrder) && !id.Can(permissionDiscountsRead) {
		return pricingapi.Basket{}, errHidden
	}
	skus := make([]string, len(b.Items))
	for i, item := range b.Items {
		skus[i] = item.SKU
	}
	offers, err := s.offers.Offers(ctx, skus)
	if err != nil {
		return pricingapi.Basket{}, err
	}
	out := pricingapi.Basket{Currency: currency, Codes: b.Codes, CustomerID: id.Customer, Groups: b.CustomerGroups, FirstOrder: b.FirstOrder, VATID: b.VATID}
	var unknown, mismatched []fault.Field
	for i, item := range b.Items {
		pointer := "/items/" + itoa(i) + "/sku"
		offer, sold := offers[item.SKU]
		price, priced := offer.In(currency)
		switch {
		case !sold:
			unknown = append(unknown, fault.Field{Pointer: pointer, Code: errUnknownSKU.Code, Detail: "is not for sale"})
		case !priced:
			mismatched = append(mismatched, fault.Field{Pointer: pointer, Code: errCurrencyMismatch.Code, Detail: "has no price in " + b.Currency})
		}
		out.Lines = append(out.Lines, pricingapi.Line{ID: itoa(i), SKU: item.SKU, ProductID: offer.ProductID, TaxClass: offer.TaxClass, Quantity: item.Quantity, Price: price})
	}
	switch {
	case len(unknown) > 0:
		return pricingapi.Basket{}, errUnknownSKU.AtFields(unknown...)
	case len(mismatched) > 0:
		return pricingapi.Basket{}, errCurrencyMismatch.AtFields(mismatched...)
	}
	if b.Shipping != nil {
		price, _ := b.Shipping.Price.Amount(b.Currency, "", "") // Check has accepted it
		out.Shipping = &pricingapi.Shipping{Price: price, TaxClass: b.Shipping.TaxClass}
	}
	if d := b.Destination; d != nil {
		out.Destination = pricingapi.Destination{Country: d.Country, Region: d.Region, PostalCode: d.PostalCode}
	}
	return out, nil
}

type taxResponse struct {
	Name   string `json:"name,omitempty" example:"MwSt."`
	Rate   string `json:"rate" doc:"Percent" example:"19"`
	Reason string `json:"reason" enum:"standard,zero_rated,no_rate,reverse_charge"`
	Amount string `json:"amount" example:"1.90"`
}

type shareResponse struct {
	DiscountID string `json:"discountId" format:"uuid"`
	Amount     string `json:"amount" example:"1.00"`
}

type unitsResponse struct {
	Count    int64  `json:"count" doc:"How many units have these shares"`
	Discount string `json:"discount" example:"0.50"`
	Net      string `json:"net" example:"4.20"`
	Tax      string `json:"tax" example:"0.80"`
}

type pricedResponse struct {
	SKU       string          `json:"sku,omitempty" doc:"Absent for shipping"`
	Quantity  int64           `json:"quantity"`
	Price     string          `json:"price" doc:"Of one unit" example:"12.50"`
	Subtotal  string          `json:"subtotal" doc:"Before discounts" example:"25.00"`
	Discount  string          `json:"discount" example:"2.50"`
	Net       string          `json:"net" example:"18.91"`
	Tax       string          `json:"tax" example:"3.59"`
	Total     string          `json:"total" example:"22.50"`
	Taxes     []taxResponse   `json:"taxes"`
	Discounts []shareResponse `json:"discounts"`
	Units     []unitsResponse `json:"units" doc:"What each unit has of the line"`
}

type candidateResponse struct {
	DiscountID string `json:"discountId,omitempty" format:"uuid" doc:"Absent when no discount has the code"`
	Code       string `json:"code,omitempty" doc:"Absent when it applies by itself"`
	Name       string `json:"name,omitempty"`
	Applied    bool   `json:"applied"`
	Amount     string `json:"amount" doc:"That it takes off" example:"2.50"`
	Reason     string `json:"reason,omitempty" doc:"Why it does not count" example:"min_subtotal_not_met"`
	Detail     string `json:"detail,omitempty" doc:"The same for people" example:"Needs 12.00 EUR more."`
}

type quoteResponse struct {
	Currency      string              `json:"currency" example:"EUR"`
	TaxIncluded   bool                `json:"taxIncluded" doc:"Whether price, subtotal and discount are with tax"`
	Lines         []pricedResponse    `json:"lines"`
	Shipping      *pricedResponse     `json:"shipping,omitempty"`
	Subtotal      string              `json:"subtotal" doc:"Of the lines, before discounts" example:"25.00"`
	DiscountTotal string              `json:"discountTotal" example:"2.50"`
	ShippingTotal string              `json:"shippingTotal" doc:"Before discounts" example:"4.90"`
	TaxTotal      string              `json:"taxTotal" example:"4.37"`
	Total         string              `json:"total" doc:"What is to pay" example:"27.40"`
	Applied       []candidateResponse `json:"applied"`
	Refused       []candidateResponse `json:"refused" doc:"Codes that do nothing, and why"`
	Candidates    []candidateResponse `json:"candidates,omitempty" doc:"Every discount that was looked at, if explain asks for it"`
}

func presentPriced(p pricingapi.Priced, sku string) pricedResponse {
	r := pricedResponse{
		SKU: sku, Quantity: p.Quantity, Price: p.Price.Decimal(), Subtotal: p.Subtotal.Decimal(), Discount: p.Discount.Decimal(), Net: p.Net.Decimal(), Tax: p.Tax.Decimal(), Total: p.Total.Decimal(),
		Taxes: []taxResponse{}, Discounts: []shareResponse{}, Units: []unitsResponse{},
	}
	for _, t := range p.Taxes {
		r.Taxes = append(r.Taxes, taxResponse{t.Name, t.Rate, t.Reason, t.Amount.Decimal()})
	}
	for _, d := range p.Discounts {
		r.Discounts = append(r.Discounts, shareResponse{d.DiscountID, d.Amount.Decimal()})
	}
	for _, u := range p.Units {
		r.Units = append(r.Units, unitsResponse{u.Count, u.Discount.Decimal(), u.Net.Decimal(), u.Tax.Decimal()})
	}
	return r
}

func presentCandidate(c calc.Candidate) candidateResponse {
	return candidateResponse{c.DiscountID, c.Code, c.Name, c.Applied, c.Amount.Decimal(), c.Reason, c.Detail}
}

func (s *service) handleQuote(ctx context.Context, in *quoteInput) (quoteResponse, error) {
	b, err := s.basket(ctx, &in.Body)
	if err != nil {
		return quoteResponse{}, err
	}
	q, candidates, err := s.quote(ctx, b, s.now())
	if errors.Is(err, money.ErrOverflow) {
		return quoteResponse{}, errAmountRange
	}
	if err != nil {
		return quoteResponse{}, err
	}
	out := quoteResponse{
		Currency: string(q.Currency), TaxIncluded: q.TaxIncluded, Lines: []pricedResponse{}, Subtotal: q.Subtotal.Decimal(), DiscountTotal: q.DiscountTotal.Decimal(),
		ShippingTotal: q.ShippingTotal.Decimal(), TaxTotal: q.TaxTotal.Decimal(), Total: q.Total.Decimal(), Applied: []candidateResponse{}, Refused: []candidateResponse{},
	}
	for i, p := range q.Lines {
		out.Lines = append(out.Lines, presentPriced(p, b.Lines[i].SKU))
	}
	if q.Shipping != nil {
		out.Shipping = new(presentPriced(*q.Shipping, ""))
	}
	everything := identity.Can(ctx, permissionDiscountsRead)
	for _, c := range candidates {
		switch {
		case c.Applied:
			out.Applied = append(out.Applied, presentCandidate(c))
		case c.Code != "":
			out.Refused = append(out.Refused, presentCandidate(c))
		}
		if in.Body.Explain && (everything || c.Applied || c.Code != "") {
			out.Candidates = append(out.Candidates, presentCandidate(c))
		}
	}
	return out, nil
}

type quoteInput struct{ httpx.JSON[quoteBody] }
