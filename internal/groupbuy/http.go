package groupbuy

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

type createBody struct {
	ProductID       string        `json:"productId" minLength:"1" maxLength:"64"`
	MinParticipants int64         `json:"minParticipants" minimum:"1" maximum:"1000000" doc:"With how many it is successful" example:"10"`
	MaxParticipants int64         `json:"maxParticipants" minimum:"1" maximum:"1000000" doc:"How many can join" example:"100"`
	Price           httpx.Decimal `json:"price" doc:"What those who join pay for one unit"`
	OriginalPrice   httpx.Decimal `json:"originalPrice"`
	Currency        string        `json:"currency,omitempty" maxLength:"3" doc:"ISO 4217; the product's own when it is absent" example:"EUR"`
	StartTime       time.Time     `json:"startTime"`
	EndTime         time.Time     `json:"endTime" doc:"In the future, at most 90 days after startTime"`
}

// Check finds what the schema cannot say.
func (b *createBody) Check() (fields []fault.Field) {
	if counts := []int64{b.MinParticipants, b.MaxParticipants}; slices.Min(counts) > 0 && slices.Max(counts) <= maxParticipants {
		fields = append(fields, flawsOfSize(b.MinParticipants, b.MaxParticipants)...)
	}
	if !b.StartTime.IsZero() && !b.EndTime.IsZero() {
		fields = append(fields, flawsOfWindow(b.StartTime, b.EndTime)...)
	}
	price, original, wrong := b.prices(b.Currency)
	if b.Currency == "" && len(wrong) == 0 {
		// In whatever currency: of those that are enabled none has more digits.
		price, original, _ = b.prices(string(money.USD))
	}
	fields = append(fields, wrong...)
	if len(wrong) == 0 && b.Price != "" && b.OriginalPrice != "" {
		fields = append(fields, flawsOfPrice(price, original)...)
	}
	return fields
}

// prices in a currency, and what is wrong with them.
func (b *createBody) prices(currency string) (price, original money.Amount, fields []fault.Field) {
	price, fields = b.Price.Amount(currency, "/price", "/currency")
	original, wrong := b.OriginalPrice.Amount(currency, "/originalPrice", "/currency")
	return price, original, append(fields, wrong...)
}

type createInput struct{ httpx.JSON[createBody] }

type campaignResponse struct {
	ID                 string    `json:"id" format:"uuid"`
	ProductID          string    `json:"productId" format:"uuid"`
	SKU                string    `json:"sku" example:"MUG-BLUE"`
	Name               string    `json:"name" doc:"The product's, as it was when the campaign was made" example:"Blue mug"`
	Price              string    `json:"price" doc:"What those who join pay for one unit" example:"9.90"`
	OriginalPrice      string    `json:"originalPrice" example:"12.50"`
	Currency           string    `json:"currency" example:"EUR"`
	MinParticipants    int64     `json:"minParticipants" example:"10"`
	MaxParticipants    int64     `json:"maxParticipants" example:"100"`
	ActualParticipants int64     `json:"actualParticipants" doc:"How many have joined" example:"7"`
	Status             string    `json:"status" enum:"scheduled,active,successful,expired,cancelled" doc:"A successful campaign takes joins until it is full or over"`
	Reason             string    `json:"reason,omitempty" doc:"Why it was cancelled"`
	StartTime          time.Time `json:"startTime"`
	EndTime            time.Time `json:"endTime"`
	ShareCode          string    `json:"shareCode" doc:"Finds the campaign: ?shareCode=" example:"K7XQ2MPA5TRD"`
	CreatedAt          time.Time `json:"createdAt"`
	UpdatedAt          time.Time `json:"updatedAt"`

	version int64
}

// ETag is the campaign's version.
func (r campaignResponse) ETag() string { return httpx.VersionTag(r.version) }

// createdResponse also says where the campaign is.
type createdResponse struct{ campaignResponse }

// Location of the campaign.
func (r createdResponse) Location() string { return "/v1/campaigns/" + r.ID }

func present(c campaign) campaignResponse {
	return campaignResponse{
		ID: c.ID.String(), ProductID: c.ProductID.String(), SKU: c.SKU, Name: c.Name,
		Price: c.Price.Decimal(), OriginalPrice: c.Original.Decimal(), Currency: string(c.Price.Currency),
		MinParticipants: c.Min, MaxParticipants: c.Max, ActualParticipants: c.Joined, Status: string(c.Status), Reason: c.Reason,
		StartTime: c.Start, EndTime: c.End, ShareCode: c.ShareCode, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, version: c.Version,
	}
}

// moment is a time as the database keeps it.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func (s *service) handleCreate(ctx context.Context, in *createInput) (createdResponse, error) {
	b := in.Body
	offer, err := s.offerOf(ctx, b.ProductID)
	if err != nil {
		return createdResponse{}, err
	}
	currency := money.Currency(b.Currency)
	if currency == "" {
		currency = offer.Prices[0].Currency
	}
	if _, ok := offer.In(currency); !ok {
		return createdResponse{}, errCurrencyMismatch.At("/currency", "currency_mismatch", "is not a currency that the product has a price in")
	}
	price, original, wrong := b.prices(string(currency))
	wrong = append(wrong, tenant.CheckCurrency(ctx, "/currency", currency)...)
	if len(wrong) > 0 {
		return createdResponse{}, httpx.ErrValidation(wrong...)
	}
	product, err := uuid.Parse(offer.ProductID)
	if err != nil {
		return createdResponse{}, err
	}
	c := campaign{ProductID: product, SKU: offer.SKU, Name: offer.Name, terms: terms{
		Min: b.MinParticipants, Max: b.MaxParticipants, Price: price, Original: original, Start: moment(b.StartTime), End: moment(b.EndTime),
	}}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (createdResponse, error) {
		c, err := s.create(ctx, tx, c)
		return createdResponse{present(c)}, err
	})
}

type byID struct {
	ID string `path:"id"`
}

func (s *service) handleGet(ctx context.Context, in *byID) (campaignResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return campaignResponse{}, err
	}
	c, err := s.get(ctx, id)
	return present(c), err
}

type listInput struct {
	httpx.Page
	Status    string `query:"status" enum:"scheduled,active,successful,expired,cancelled"`
	ProductID string `query:"productId" maxLength:"64"`
	ShareCode string `query:"shareCode" maxLength:"64" doc:"The one with this code"`
	Sort      string `query:"sort" enum:"createdAt,-createdAt,endTime,-endTime" default:"-createdAt"`
}

func (s *service) handleList(ctx context.Context, in *listInput) (httpx.List[campaignResponse], error) {
	out := httpx.List[campaignResponse]{Data: []campaignResponse{}}
	f := filter{Status: in.Status, ShareCode: in.ShareCode, Sort: in.Sort, Limit: in.Limit + 1}
	if in.Cursor != "" {
		f.After = &position{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return out, err
		}
		if f.After.Sort != f.Sort {
			return out, httpx.ErrCursor("it belongs to another order of the list")
		}
	}
	if in.ProductID != "" {
		product, err := httpx.ID(in.ProductID)
		if err != nil {
			return out, nil //nolint:nilerr // what is no id is no product's
		}
		f.Product = &product
	}
	list, err := s.list(ctx, f)
	if err != nil {
		return out, err
	}
	return httpx.ListOf(in.Page, list, f.position, present)
}

type updateBody struct {
	MinParticipants *int64         `json:"minParticipants,omitempty" minimum:"1" maximum:"1000000"`
	MaxParticipants *int64         `json:"maxParticipants,omitempty" minimum:"1" maximum:"1000000"`
	Price           *httpx.Decimal `json:"price,omitempty"`
	OriginalPrice   *httpx.Decimal `json:"originalPrice,omitempty"`
	StartTime       *time.Time     `json:"startTime,omitempty"`
	EndTime         *time.Time     `json:"endTime,omitempty"`
}

// change is what becomes of terms.
func (b updateBody) change(t terms) (terms, error) {
	var wrong []fault.Field
	amount := func(sent *httpx.Decimal, pointer string, into *money.Amount) {
		if sent != nil {
			a, fields := sent.Amount(string(into.Currency), pointer, "")
			*into, wrong = a, append(wrong, fields...)
		}
	}
	amount(b.Price, "/price", &t.Price)
	amount(b.OriginalPrice, "/originalPrice", &t.Original)
	if len(wrong) > 0 {
		return t, httpx.ErrValidation(wrong...)
	}
	if b.MinParticipants != nil {
		t.Min = *b.MinParticipants
	}
	if b.MaxParticipants != nil {
		t.Max = *b.MaxParticipants
	}
	if b.StartTime != nil {
		t.Start = moment(*b.StartTime)
	}
	if b.EndTime != nil {
		t.End = moment(*b.EndTime)
	}
	return t, nil
}

type updateInput struct {
	httpx.IfMatch
	httpx.JSON[updateBody]
	ID string `path:"id"`
}

func (s *service) handleUpdate(ctx context.Context, in *updateInput) (campaignResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return campaignResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (campaignResponse, error) {
		c, err := s.update(ctx, tx, id, in.IfMatch, moments{in.Body.StartTime, in.Body.EndTime}, in.Body.change)
		return present(c), err
	})
}

type cancelBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" example:"the supplier let us down"`
}

type cancelInput struct {
	ID   string `path:"id"`
	Body *cancelBody
}

func (s *service) handleCancel(ctx context.Context, in *cancelInput) (campaignResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return campaignResponse{}, err
	}
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (campaignResponse, error) {
		c, err := s.cancel(ctx, tx, id, reason)
		return present(c), err
	})
}

type joinBody struct {
	UserID   string `json:"userId,omitempty" minLength:"1" maxLength:"64" doc:"Your id of the buyer. Customers leave it out, or send their own; of a guest it is not a UUID, as those of customers are"`
	Quantity int64  `json:"quantity,omitempty" minimum:"1" maximum:"1000" default:"1" doc:"Units that the buyer orders"`
}

// Check finds what the schema cannot say.
func (b *joinBody) Check() []fault.Field { return httpx.Reference("/userId", b.UserID) }

type joinInput struct {
	httpx.JSON[joinBody]
	ID string `path:"id"`
}

func (s *service) handleJoin(ctx context.Context, in *joinInput) (campaignResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return campaignResponse{}, err
	}
	who, err := buyerOf(ctx, in.Body.UserID)
	if err != nil {
		return campaignResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (campaignResponse, error) {
		c, err := s.join(ctx, tx, id, participant{UserID: who, Quantity: in.Body.Quantity})
		return present(c), err
	})
}

type participantResponse struct {
	UserID   string    `json:"userId"`
	Quantity int64     `json:"quantity"`
	JoinedAt time.Time `json:"joinedAt"`
}

type participantsInput struct {
	httpx.Page
	ID string `path:"id"`
}

type participantPosition struct {
	Position int64 `json:"position"`
}

func (s *service) handleParticipants(ctx context.Context, in *participantsInput) (httpx.List[participantResponse], error) {
	out := httpx.List[participantResponse]{Data: []participantResponse{}}
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	var after participantPosition
	if err := in.After(&after); err != nil {
		return out, err
	}
	list, err := s.participants(ctx, id, identity.OnlyOf(ctx, permissionRead), after.Position, in.Limit+1)
	if err != nil {
		return out, err
	}
	return httpx.ListOf(in.Page, list, func(p participant) participantPosition { return participantPosition{p.Position} },
		func(p participant) participantResponse { return participantResponse{p.UserID, p.Quantity, p.JoinedAt} })
}
