package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

type itemBody struct {
	SKU      string `json:"sku" minLength:"1" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity,omitempty" minimum:"1" maximum:"100000" default:"1" example:"2"`
}

type createBody struct {
	Currency         string            `json:"currency,omitempty" maxLength:"3" doc:"ISO 4217; the first item's own when it is absent. It stays" example:"EUR"`
	CustomerID       string            `json:"customerId,omitempty" minLength:"1" maxLength:"64" doc:"As in orders: customers leave it out, staff say for whom they act, a guest has any name but a UUID or none"`
	Items            []itemBody        `json:"items,omitempty" maxItems:"500"`
	Email            string            `json:"email,omitempty" personal:"true" format:"email" maxLength:"254"`
	ShippingAddress  *address          `json:"shippingAddress,omitempty" personal:"true"`
	BillingAddress   *address          `json:"billingAddress,omitempty" personal:"true"`
	ShippingMethodID string            `json:"shippingMethodId,omitempty" format:"uuid" maxLength:"36"`
	Codes            []string          `json:"codes,omitempty" maxItems:"10" doc:"Of discounts"`
	Metadata         map[string]string `json:"metadata,omitempty" personal:"true" maxProperties:"50" doc:"Up to 50 of your own values: names of 40, values of 500 characters"`
}

// Check finds what the schema cannot say.
func (b *createBody) Check() (fields []fault.Field) {
	if b.Currency != "" {
		if c, err := money.ParseCurrency(b.Currency); err != nil || !c.IsEnabled() {
			fields = append(fields, httpx.CurrencyField("/currency"))
		}
	}
	for i, code := range b.Codes {
		if n := len([]rune(code)); n == 0 || n > 64 {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/codes/%d", i), Code: "max_length", Detail: "must have 1 to 64 characters"})
		}
	}
	fields = append(fields, httpx.Reference("/customerId", b.CustomerID)...)
	fields = append(fields, addressFlaws(b.ShippingAddress, "/shippingAddress")...)
	fields = append(fields, addressFlaws(b.BillingAddress, "/billingAddress")...)
	return append(fields, metadataFlaws(b.Metadata, "/metadata")...)
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *createBody) CheckFor(ctx context.Context) []fault.Field {
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(b.Currency))
}

type createInput struct{ httpx.JSON[createBody] }

type itemResponse struct {
	ID        string `json:"id" format:"uuid"`
	SKU       string `json:"sku"`
	ProductID string `json:"productId" format:"uuid"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	Price     string `json:"price" doc:"Of one unit" example:"12.50"`
	Subtotal  string `json:"subtotal" doc:"Before discounts" example:"25.00"`
	Discount  string `json:"discount" doc:"Its share of all discounts" example:"0.00"`
	Tax       string `json:"tax" example:"4.67"`
	Total     string `json:"total" doc:"What is to pay for it, with tax" example:"25.00"`
	Status    string `json:"status" enum:"ok,out_of_stock,unavailable" doc:"unavailable is not for sale any more, and counts for nothing"`
	Available *int64 `json:"available,omitempty" doc:"How many there are, when there are too few"`
}

type shippingResponse struct {
	MethodID string `json:"methodId" format:"uuid"`
	Name     string `json:"name" example:"Parcel"`
	Price    string `json:"price" example:"4.90"`
	Discount string `json:"discount" example:"0.00"`
	Tax      string `json:"tax" example:"0.92"`
	Total    string `json:"total" doc:"What is to pay for it, with tax" example:"4.90"`
}

type discountResponse struct {
	ID     string `json:"id"`
	Code   string `json:"code,omitempty" doc:"Absent when it applies by itself"`
	Name   string `json:"name"`
	Amount string `json:"amount" example:"2.50"`
}

type refusedResponse struct {
	Code   string `json:"code"`
	Reason string `json:"reason" doc:"Why it does nothing, for machines" example:"min_subtotal_not_met"`
	Detail string `json:"detail" doc:"Why it does nothing, for people" example:"Needs 12.00 EUR more."`
}

type totalsResponse struct {
	TaxIncluded           bool   `json:"taxIncluded" doc:"Whether prices, and with them subtotal and discounts, have the tax in them"`
	Subtotal              string `json:"subtotal" doc:"Of the items, before discounts" example:"25.00"`
	DiscountTotal         string `json:"discountTotal" example:"0.00"`
	ShippingTotal         string `json:"shippingTotal" doc:"Before discounts" example:"4.90"`
	TaxTotal              string `json:"taxTotal" example:"5.59"`
	Total                 string `json:"total" doc:"What is to pay" example:"29.90"`
	Currency              string `json:"currency" example:"EUR"`
	FreeShippingRemaining string `json:"freeShippingRemaining,omitempty" doc:"What is missing until sending costs nothing; absent when nothing makes it so" example:"25.00"`
}

type cartResponse struct {
	ID                    string             `json:"id" format:"uuid"`
	Status                string             `json:"status" enum:"open,placed,merged,expired"`
	CustomerID            string             `json:"customerId,omitempty" doc:"Absent for a guest without a name"`
	Items                 []itemResponse     `json:"items"`
	TaxIncluded           bool               `json:"taxIncluded" doc:"Whether prices, and with them subtotal and discounts, have the tax in them"`
	Subtotal              string             `json:"subtotal" doc:"Of the items, before discounts" example:"25.00"`
	DiscountTotal         string             `json:"discountTotal" example:"0.00"`
	ShippingTotal         string             `json:"shippingTotal" doc:"Before discounts" example:"4.90"`
	TaxTotal              string             `json:"taxTotal" example:"5.59"`
	Total                 string             `json:"total" doc:"What is to pay" example:"29.90"`
	Currency              string             `json:"currency" example:"EUR"`
	FreeShippingRemaining string             `json:"freeShippingRemaining,omitempty" doc:"What is missing until sending costs nothing; absent when nothing makes it so" example:"25.00"`
	Shipping              *shippingResponse  `json:"shipping,omitempty"`
	Codes                 []string           `json:"codes" doc:"As the buyer typed them"`
	Discounts             []discountResponse `json:"discounts" doc:"What counts"`
	RefusedCodes          []refusedResponse  `json:"refusedCodes" doc:"Codes that do nothing, and why"`
	Changes               []change           `json:"changes" doc:"What has moved since the buyer was shown the cart last"`
	Email                 string             `json:"email,omitempty" personal:"true"`
	ShippingAddress       *address           `json:"shippingAddress,omitempty" personal:"true"`
	BillingAddress        *address           `json:"billingAddress,omitempty" personal:"true"`
	ShippingMethodID      string             `json:"shippingMethodId,omitempty" doc:"As it was chosen, also when it is not to be had"`
	Metadata              map[string]string  `json:"metadata" personal:"true"`
	HoldExpiresAt         *time.Time         `json:"holdExpiresAt,omitempty" doc:"Until when the stock is held; absent when it is not"`
	OrderID               string             `json:"orderId,omitempty" doc:"The order that it has become"`
	CreatedAt             time.Time          `json:"createdAt"`
	UpdatedAt             time.Time          `json:"updatedAt"`
	Token                 string             `json:"token,omitempty" secret:"true" doc:"Opens a guest's cart, and later the order, to who sends it as Cart-Token. In the answer to who began the cart, and nowhere else" example:"fc_ct_Qx7R"`

	tag string
}

// ETag is the version of the cart, and what it costs.
func (r cartResponse) ETag() string { return r.tag }

// createdResponse also says where the cart is.
type createdResponse struct{ cartResponse }

// Location of the cart.
func (r createdResponse) Location() string { return "/v1/carts/" + r.ID }

// fingerprint is the second part of a cart's ETag: a price may move while the cart does not.
var fingerprint = regexp.MustCompile(`-[0-9a-f]{8}"`)

// allows compares the version that the caller means, whatever the cart cost then.
func (c cart) allows(m httpx.IfMatch) error {
	m.Match = fingerprint.ReplaceAllString(m.Match, `"`)
	return m.Allows(c.Version)
}

func present(a assessment) cartResponse {
	q, t := a.Quote, a.totals()
	r := cartResponse{
		ID: a.ID.String(), Status: string(a.Status), CustomerID: a.CustomerID, Items: []itemResponse{},
		TaxIncluded: t.TaxIncluded, Subtotal: t.Subtotal, DiscountTotal: t.DiscountTotal, ShippingTotal: t.ShippingTotal, TaxTotal: t.TaxTotal, Total: t.Total,
		Currency: t.Currency, FreeShippingRemaining: t.FreeShippingRemaining,
		Codes: append([]string{}, a.Codes...), Discounts: []discountResponse{}, RefusedCodes: []refusedResponse{}, Changes: append([]change{}, a.Changes...),
		Email: a.Email, ShippingAddress: a.ShippingAddress, BillingAddress: a.BillingAddress, ShippingMethodID: a.MethodID, Metadata: a.Metadata,
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if a.Status == open && a.HoldID != "" {
		r.HoldExpiresAt = a.HoldExpiresAt
	}
	if a.OrderID != nil {
		r.OrderID = a.OrderID.String()
	}
	for _, l := range a.Lines {
		r.Items = append(r.Items, presentLine(l, q))
	}
	if o, s := a.Option, q.Shipping; o != nil && s != nil {
		r.Shipping = &shippingResponse{o.MethodID, o.Name, s.Price.Decimal(), s.Discount.Decimal(), s.Tax.Decimal(), s.Total.Decimal()}
	}
	for _, d := range q.Applied {
		r.Discounts = append(r.Discounts, discountResponse{d.DiscountID, d.Code, d.Name, d.Amount.Decimal()})
	}
	for _, d := range q.Refused {
		r.RefusedCodes = append(r.RefusedCodes, refusedResponse{d.Code, d.Reason, d.Detail})
	}
	sum := fnv.New32a()
	_ = json.NewEncoder(sum).Encode([]any{r.Items, t, r.Changes, r.RefusedCodes, r.HoldExpiresAt}) // neither can fail
	r.tag = fmt.Sprintf(`"%d-%08x"`, a.Version, sum.Sum32())
	return r
}

func presentLine(l line, q pricingapi.Quote) itemResponse {
	zero := money.Amount{Currency: l.Price.Currency}
	r := itemResponse{
		ID: l.ID.String(), SKU: l.SKU, ProductID: l.ProductID.String(), Name: l.Name, Quantity: l.Quantity, Price: l.Price.Decimal(),
		Subtotal: zero.Decimal(), Discount: zero.Decimal(), Tax: zero.Decimal(), Total: zero.Decimal(), Status: "ok", Available: l.Available,
	}
	switch {
	case l.Gone:
		r.Status = "unavailable"
	case l.Available != nil:
		r.Status = "out_of_stock"
	}
	for _, p := range q.Lines {
		if p.ID == r.ID {
			r.Subtotal, r.Discount, r.Tax, r.Total = p.Subtotal.Decimal(), p.Discount.Decimal(), p.Tax.Decimal(), p.Total.Decimal()
		}
	}
	return r
}

// totals are zero, in no currency yet, while nothing is in the cart.
func (a assessment) totals() totalsResponse {
	q := a.Quote
	t := totalsResponse{
		TaxIncluded: q.TaxIncluded, Subtotal: q.Subtotal.Decimal(), DiscountTotal: q.DiscountTotal.Decimal(), ShippingTotal: q.ShippingTotal.Decimal(),
		TaxTotal: q.TaxTotal.Decimal(), Total: q.Total.Decimal(), Currency: string(a.Currency),
	}
	if missing, ok := a.freeShipping(); ok {
		t.FreeShippingRemaining = missing.Decimal()
	}
	return t
}

func (s *service) handleCreate(ctx context.Context, in *createInput) (_ createdResponse, err error) {
	b := in.Body
	c := cart{Currency: money.Currency(b.Currency), Email: b.Email, ShippingAddress: b.ShippingAddress, BillingAddress: b.BillingAddress, MethodID: strings.ToLower(b.ShippingMethodID), Metadata: b.Metadata}
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	if c.CustomerID, err = buyerOf(ctx, b.CustomerID); err != nil {
		return createdResponse{}, err
	}
	var token string
	if !c.isRegistered() {
		token, c.Ticket = newTicket()
	}
	c.Codes = []string{}
	for i, code := range b.Codes {
		if err := c.addCode(code, fmt.Sprintf("/codes/%d", i)); err != nil {
			return createdResponse{}, err
		}
	}
	a, err := s.create(ctx, c, b.Items)
	if err != nil {
		return createdResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (createdResponse, error) {
		a := a.copied()
		err := s.begin(ctx, tx, &a)
		out := present(a)
		out.Token = token
		return createdResponse{out}, err
	})
}

var errRegistered = fault.Field{Pointer: "/customerId", Code: "registered_customer", Detail: "is the id of a customer, who signs in to order"}

// buyerOf decides whose a cart is, as the orders do: customers buy for themselves, staff for
// whom they say, and a page that anybody can open for guests, who have any name but a UUID.
func buyerOf(ctx context.Context, named string) (string, error) {
	id, err := identity.From(ctx)
	switch {
	case err != nil:
		return "", err
	case id.Can(permissionWrite):
		return named, nil
	case id.Customer != "" && (named == "" || named == id.Customer):
		return id.Customer, nil
	case id.Customer != "":
		return "", httpx.ErrNotFound
	case uuid.Validate(named) == nil:
		return "", httpx.ErrValidation(errRegistered)
	}
	return named, nil
}

// byToken names a cart, and shows what opens it to a guest.
type byToken struct {
	ID    string `path:"id"`
	Token string `header:"Cart-Token" maxLength:"200" doc:"Of a guest's cart"`
}

func (s *service) handleGet(ctx context.Context, in *byToken) (cartResponse, error) {
	a, who, err := s.seen(ctx, in)
	if err != nil {
		return cartResponse{}, err
	}
	return shownTo(ctx, present(a), who.owns(a.cart)), nil
}

// seen is a cart as its buyer, or staff, get to see it.
func (s *service) seen(ctx context.Context, in *byToken) (assessment, caller, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return assessment{}, caller{}, err
	}
	who, err := callerOf(ctx, in.Token, permissionRead, permissionWrite)
	if err != nil {
		return assessment{}, who, err
	}
	c, err := s.find(ctx, id, who)
	if err != nil {
		return assessment{}, who, err
	}
	a, err := s.show(ctx, c, who)
	return a, who, err
}

type updateBody struct {
	Operations []operation `json:"operations" minItems:"1" maxItems:"500"`
}

// Check finds what the schema cannot say.
func (b *updateBody) Check() (fields []fault.Field) {
	for i, o := range b.Operations {
		fields = append(fields, o.flaws(fmt.Sprintf("/operations/%d", i))...)
	}
	return fields
}

type updateInput struct {
	httpx.IfMatch
	httpx.JSON[updateBody]
	ID    string `path:"id"`
	Token string `header:"Cart-Token" maxLength:"200"`
}

// changed runs an edit of the cart that a request names.
func (s *service) changed(ctx context.Context, named byToken, match httpx.IfMatch, skus []string, do edit) (cartResponse, error) {
	id, err := httpx.ID(named.ID)
	if err != nil {
		return cartResponse{}, err
	}
	who, err := callerOf(ctx, named.Token, permissionWrite)
	if err != nil {
		return cartResponse{}, err
	}
	return s.change(ctx, id, who, match, skus, do)
}

func (s *service) handleUpdate(ctx context.Context, in *updateInput) (cartResponse, error) {
	return s.changed(ctx, byToken{in.ID, in.Token}, in.IfMatch, wanted(in.Body.Operations), func(c *cart, offers offersOf) error {
		return apply(ctx, in.Body.Operations, c, offers)
	})
}

type addInput struct {
	httpx.IfMatch
	httpx.JSON[itemBody]
	ID    string `path:"id"`
	Token string `header:"Cart-Token" maxLength:"200"`
}

func (s *service) handleAdd(ctx context.Context, in *addInput) (cartResponse, error) {
	return s.changed(ctx, byToken{in.ID, in.Token}, in.IfMatch, []string{in.Body.SKU}, func(c *cart, offers offersOf) error {
		return c.add(ctx, offers, in.Body.SKU, in.Body.Quantity, "")
	})
}

type removeInput struct {
	httpx.IfMatch
	ID     string `path:"id"`
	ItemID string `path:"itemId"`
	Token  string `header:"Cart-Token" maxLength:"200"`
}

func (s *service) handleRemove(ctx context.Context, in *removeInput) (cartResponse, error) {
	return s.changed(ctx, byToken{in.ID, in.Token}, in.IfMatch, nil, func(c *cart, _ offersOf) error {
		at, err := c.find(in.ItemID, "", "{itemId}")
		if err != nil {
			return httpx.ErrNotFound
		}
		return c.resize(at, 0, "")
	})
}

type optionResponse struct {
	MethodID    string `json:"methodId" format:"uuid"`
	Name        string `json:"name" example:"Parcel"`
	Description string `json:"description"`
	Price       string `json:"price" example:"4.90"`
}

type unavailableResponse struct {
	MethodID string `json:"methodId" format:"uuid"`
	Name     string `json:"name" example:"Letter"`
	Reason   string `json:"reason" doc:"As of POST /v1/shipping/rates" example:"parcel_too_heavy"`
	Detail   string `json:"detail" example:"ANVIL is more than may go this way."`
}

type checkoutResponse struct {
	CartID              string                `json:"cartId" format:"uuid"`
	Status              string                `json:"status" enum:"empty,incomplete,ready,placed,expired"`
	Requirements        []requirement         `json:"requirements" doc:"All that is missing before it can be placed"`
	ShippingOptions     []optionResponse      `json:"shippingOptions" doc:"How it can be sent, and for how much"`
	ShippingUnavailable []unavailableResponse `json:"shippingUnavailable" doc:"The shop's other ways, and why each is not offered"`
	Totals              totalsResponse        `json:"totals"`
	Changes             []change              `json:"changes"`
	HoldExpiresAt       *time.Time            `json:"holdExpiresAt,omitempty" doc:"Until when the stock is held; absent when it is not"`
	OrderID             string                `json:"orderId,omitempty" doc:"The order that the cart has become"`
}

func (s *service) handleCheckout(ctx context.Context, in *byToken) (checkoutResponse, error) {
	a, _, err := s.seen(ctx, in)
	if err != nil {
		return checkoutResponse{}, err
	}
	c := present(a)
	out := checkoutResponse{
		CartID: c.ID, Status: a.stage(), Requirements: []requirement{}, ShippingOptions: []optionResponse{}, ShippingUnavailable: []unavailableResponse{}, Totals: a.totals(), Changes: c.Changes,
		HoldExpiresAt: c.HoldExpiresAt, OrderID: c.OrderID,
	}
	if a.Status == open {
		out.Requirements = a.requirements()
	}
	for _, o := range a.Rates.Options {
		out.ShippingOptions = append(out.ShippingOptions, optionResponse{o.MethodID, o.Name, o.Description, o.Price.Decimal()})
	}
	for _, u := range a.Rates.Unavailable {
		out.ShippingUnavailable = append(out.ShippingUnavailable, unavailableResponse{u.MethodID, u.Name, string(u.Reason), u.Detail})
	}
	return out, nil
}

func (s *service) handleMine(ctx context.Context, _ *struct{}) (cartResponse, error) {
	who, err := callerOf(ctx, "")
	if err != nil {
		return cartResponse{}, err
	}
	var c cart
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		var ok bool
		if c, ok, err = s.store.latest(ctx, tx, who.customer, uuid.Nil); err == nil && !ok {
			err = httpx.ErrNotFound
		}
		return err
	}); err != nil {
		return cartResponse{}, err
	}
	a, err := s.show(ctx, c, who)
	return present(a), err
}

func (s *service) handleAssociate(ctx context.Context, in *byToken) (cartResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return cartResponse{}, err
	}
	who, err := callerOf(ctx, in.Token)
	if err != nil {
		return cartResponse{}, err
	}
	if who.customer == "" {
		return cartResponse{}, httpx.ErrNotFound
	}
	return s.associate(ctx, id, who)
}
