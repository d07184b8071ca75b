package inventory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type holdItem struct {
	SKU      string `json:"sku" minLength:"1" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100000" example:"2"`
}

type holdBody struct {
	Items      []holdItem `json:"items" minItems:"1" maxItems:"500"`
	TTLSeconds int64      `json:"ttlSeconds,omitempty" minimum:"1" maximum:"86400" default:"600" doc:"How long to hold, in seconds"`
}

type holdInput struct{ httpx.JSON[holdBody] }

type heldItem struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

type holdResponse struct {
	ID        string     `json:"id" format:"uuid"`
	Status    string     `json:"status" enum:"held,claimed,released,expired"`
	Items     []heldItem `json:"items" doc:"Each SKU once"`
	OrderID   *uuid.UUID `json:"orderId,omitempty" format:"uuid" doc:"The order that has claimed it"`
	ExpiresAt time.Time  `json:"expiresAt" doc:"When its stock can be sold again, unless an order has claimed it; within moments after it"`
	CreatedAt time.Time  `json:"createdAt"`

	version int64
}

// ETag is the version of the hold.
func (r holdResponse) ETag() string { return httpx.VersionTag(r.version) }

// heldResponse also says where the hold is.
type heldResponse struct{ holdResponse }

// Location of the hold.
func (r heldResponse) Location() string { return "/v1/inventory/holds/" + r.ID }

func presentHold(h hold) holdResponse {
	r := holdResponse{
		ID: h.ID.String(), Status: string(h.Status), Items: []heldItem{}, OrderID: h.OrderID,
		ExpiresAt: h.ExpiresAt, CreatedAt: h.CreatedAt, version: h.version(),
	}
	for _, i := range h.Items {
		r.Items = append(r.Items, heldItem(i))
	}
	return r
}

func (s *service) handleHold(ctx context.Context, in *holdInput) (heldResponse, error) {
	lines := make([]item, len(in.Body.Items))
	for n, i := range in.Body.Items {
		lines[n] = item(i)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (heldResponse, error) {
		h, err := s.hold(ctx, tx, lines, time.Duration(in.Body.TTLSeconds)*time.Second)
		return heldResponse{presentHold(h)}, err
	})
}

type holdByID struct {
	ID string `path:"id"`
}

func (s *service) handleGetHold(ctx context.Context, in *holdByID) (holdResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return holdResponse{}, err
	}
	h, err := s.findHold(ctx, id)
	return presentHold(h), err
}

func (s *service) handleReleaseHold(ctx context.Context, in *holdByID) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, s.releaseHold(ctx, tx, id)
	})
}
