package orders

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

type itemBody struct {
	SKU      string        `json:"sku" minLength:"1" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64         `json:"quantity" minimum:"1" maximum:"100000" example:"2"`
	Price    httpx.Decimal `json:"price,omitempty"`
}

type address = ordersapi.Address

type placeBody struct {
	CustomerID      string            `json:"customerId,omitempty" minLength:"1" maxLength:"64" doc:"Your id of the buyer. Customers leave it out, or send their own; of a guest it is not a UUID, as those of customers are"`
	Currency        string            `json:"currency,omitempty" maxLength:"3" doc:"ISO 4217; the first item's own when it is absent" example:"EUR"`
	Items           []itemBody        `json:"items" minItems:"1" maxItems:"500"`
	Email           string            `json:"email,omitempty" personal:"true" format:"email" maxLength:"254"`
	ShippingAddress *address          `json:"shippingAddress,omitempty" personal:"true"`
	HoldID          *uuid.UUID        `json:"holdId,omitempty" format:"uuid" doc:"A hold of stock that the order claims; one that is over counts for nothing"`
	Metadata        map[string]string `json:"metadata,omitempty" personal:"true" maxProperties:"50" doc:"Up to 50 of your own values: names of 40, values of 500 characters"`
}

// Check finds what the schema cannot say.
func (b *placeBody) Check() (fields []fault.Field) {
	if b.Currency != "" {
		if c, err := money.ParseCurrency(b.Currency); err != nil || !c.IsEnabled() {
			fields = append(fields, httpx.CurrencyField("/currency"))
		}
	}
	fields = append(fields, httpx.Reference("/customerId", b.CustomerID)...)
	if to := b.ShippingAddress; to != nil {
		fields = append(fields, territory.CheckCountry("/shippingAddress/country", to.Country)...)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Metadata)) {
		pointer := "/metadata/" + pointerEscaper.Replace(name)
		if name == "" || utf8.RuneCountInString(name) > 40 {
			fields = append(fields, fault.Field{Pointer: pointer, Code: "max_length", Detail: "must have a name of 1 to 40 characters"})
		} else if utf8.RuneCountInString(b.Metadata[name]) > 500 {
			fields = append(fields, fault.Field{Pointer: pointer, Code: "max_length", Detail: "must have at most 500 characters"})
		}
	}
	return fields
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *placeBody) CheckFor(ctx context.Context) []fault.Field {
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(b.Currency))
}

// pointerEscaper makes a name one step of a JSON pointer (RFC 6901, 3).
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

type placeInput struct{ httpx.JSON[placeBody] }

type (
	itemResponse  = ordersapi.ItemView
	orderResponse = ordersapi.OrderView
)

// placedResponse also says where the order is.
type placedResponse struct{ orderResponse }

// Location of the order.
func (r placedResponse) Location() string { return "/v1/orders/" + r.ID }

func (s *service) handlePlace(ctx context.Context, in *placeInput) (placedResponse, error) {
	if err := s.daily.allow(ctx); err != nil {
		return placedResponse{}, err
	}
	b := in.Body
	buyer, err := buyerOf(ctx, b.CustomerID)
	if err != nil {
		return placedResponse{}, err
	}
	if err := s.mayOrderDirectly(ctx); err != nil {
		return placedResponse{}, err
	}
	wants := make([]want, len(b.Items))
	for i, it := range b.Items {
		wants[i] = want{fmt.Sprintf("/items/%d", i), it.SKU, it.Quantity, it.Price}
	}
	o, err := s.draft(ctx, wants, terms{money.Currency(b.Currency), identity.Can(ctx, permissionOverridePrice)})
	if err != nil {
		return placedResponse{}, err
	}
	o.CustomerID, o.Email, o.Address, o.Metadata, o.HoldID = buyer, b.Email, b.ShippingAddress, b.Metadata, b.HoldID
	if o.Metadata == nil {
		o.Metadata = map[string]string{}
	}
	out, err := httpx.Command(ctx, s.db, func(tx *db.Tx) (placedResponse, error) {
		o, err := s.place(ctx, tx, o)
		return placedResponse{present(o)}, err
	})
	if err == nil {
		s.daily.accepted(ctx)
	}
	return out, err
}

type byID struct {
	ID string `path:"id"`
}

type getInput struct {
	ID     string `path:"id"`
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was: a guest reads the order with it"`
}

func (s *service) handleGet(ctx context.Context, in *getInput) (orderResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return orderResponse{}, err
	}
	o, err := s.shown(ctx, id, in.Ticket)
	if err != nil {
		return orderResponse{}, err
	}
	if o.opensTo(in.Ticket) {
		return present(o), nil
	}
	return shownTo(ctx, present(o)), nil
}

type listInput struct {
	httpx.Page
	Status     string    `query:"status" enum:"created,confirmed,paid,shipped,delivered,failed,cancelled,refunded"`
	Payment    string    `query:"paymentStatus" enum:"unpaid,authorized,partially_paid,paid,overpaid,partially_refunded,refunded,disputed"`
	HeldFor    string    `query:"heldFor" enum:"label_failed,parcel_back,left_after_cancel,overdue,staff,amount" doc:"Why it waits for somebody"`
	CustomerID string    `query:"customerId" personal:"false" maxLength:"64"`
	Number     int64     `query:"number" minimum:"1" doc:"The number that people call the order by"`
	From       time.Time `query:"createdAt[gte]" doc:"Created at this time or later"`
	Until      time.Time `query:"createdAt[lt]" doc:"Created before this time"`
	Sort       string    `query:"sort" enum:"createdAt,-createdAt" default:"-createdAt"`
}

func (s *service) handleList(ctx context.Context, in *listInput) (httpx.List[orderResponse], error) {
	return s.listFor(ctx, in, identity.OnlyOf(ctx, permissionRead))
}

func (s *service) handleListMine(ctx context.Context, in *listInput) (httpx.List[orderResponse], error) {
	id, err := identity.From(ctx)
	if err != nil || id.Customer == "" {
		return httpx.List[orderResponse]{Data: []orderResponse{}}, err
	}
	return s.listFor(ctx, in, id.Customer)
}

// listFor lists orders of one customer, or of all when none is named. That somebody else's
// are asked for is no mistake: there are none.
func (s *service) listFor(ctx context.Context, in *listInput, only string) (httpx.List[orderResponse], error) {
	out := httpx.List[orderResponse]{Data: []orderResponse{}}
	if only != "" {
		if in.CustomerID != "" && in.CustomerID != only {
			return out, nil
		}
		in.CustomerID = only
	}
	f := filter{Status: in.Status, Payment: in.Payment, HeldFor: in.HeldFor, CustomerID: in.CustomerID, Number: in.Number, Sort: in.Sort, Limit: in.Limit + 1}
	if !in.From.IsZero() {
		f.From = &in.From
	}
	if !in.Until.IsZero() {
		f.Until = &in.Until
	}
	if in.Cursor != "" {
		f.After = &position{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return out, err
		}
		if f.After.Sort != f.Sort {
			return out, httpx.ErrCursor("it belongs to another order of the list")
		}
	}
	list, err := s.list(ctx, f)
	if err != nil {
		return out, err
	}
	return httpx.ListOf(in.Page, list, func(o order) position { return position{in.Sort, o.CreatedAt, o.ID} },
		func(o order) orderResponse { return shownTo(ctx, present(o)) })
}

func (s *service) handleTimeline(ctx context.Context, in *byID) (httpx.List[ordersapi.StepView], error) {
	out := httpx.List[ordersapi.StepView]{Data: []ordersapi.StepView{}}
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	only := identity.OnlyOf(ctx, permissionRead)
	steps, err := s.timeline(ctx, id, only)
	if err != nil {
		return out, err
	}
	if only != "" {
		for i := range steps {
			steps[i].Actor = seenBy(ctx, steps[i].Actor)
			if steps[i].Hold != nil {
				steps[i].Reason = nil // what staff thinks of the buyer
			}
		}
	}
	out.Data, err = presentSteps(steps)
	return out, err
}

type cancelItemBody struct {
	Line     int    `json:"line,omitempty" minimum:"1" maximum:"500" doc:"Position of the line in the order, from 1; absent: whichever lines have the SKU"`
	SKU      string `json:"sku,omitempty" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"50000000" example:"1"`
}

type cancelBody struct {
	Reason string           `json:"reason,omitempty" maxLength:"500" example:"changed my mind"`
	Items  []cancelItemBody `json:"items,omitempty" maxItems:"500" doc:"What of the order is called off; absent: all of it"`
}

// Check finds what the schema cannot say.
func (b *cancelBody) Check() (fields []fault.Field) {
	for i, it := range b.Items {
		if it.Line == 0 && it.SKU == "" {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/items/%d", i), Code: "required", Detail: "must name a line or a SKU"})
		}
	}
	return fields
}

type cancelInput struct {
	ID   string `path:"id"`
	Body *cancelBody
}

func (s *service) handleCancel(ctx context.Context, in *cancelInput) (orderResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return orderResponse{}, err
	}
	var b cancelBody
	if in.Body != nil {
		b = *in.Body
	}
	if fields := b.Check(); len(fields) > 0 {
		return orderResponse{}, httpx.ErrValidation(fields...)
	}
	items := make([]ordersapi.ConsignedItem, len(b.Items))
	for i, it := range b.Items {
		items[i] = ordersapi.ConsignedItem(it)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (orderResponse, error) {
		only := identity.OnlyOf(ctx, permissionWrite)
		if len(items) > 0 {
			o, err := s.cancelItems(ctx, tx, id, only, b.Reason, items)
			return shownTo(ctx, present(o)), err
		}
		o, err := s.cancel(ctx, tx, id, only, b.Reason)
		return shownTo(ctx, present(o)), err
	})
}
