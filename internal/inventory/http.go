package inventory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type stockResponse struct {
	SKU               string    `json:"sku" example:"MUG-BLUE"`
	OnHand            int64     `json:"onHand" doc:"Units in the store" example:"40"`
	Reserved          int64     `json:"reserved" doc:"Units promised to orders and held for shoppers" example:"3"`
	Available         int64     `json:"available" doc:"Units that can be sold: onHand - reserved" example:"37"`
	LowStockThreshold int64     `json:"lowStockThreshold" doc:"At or below it inventory.low_stock is published" example:"5"`
	UpdatedAt         time.Time `json:"updatedAt"`

	version int64
}

// ETag is the version of the stock.
func (r stockResponse) ETag() string { return httpx.VersionTag(r.version) }

func present(l level) stockResponse {
	return stockResponse{
		SKU: l.SKU, OnHand: l.OnHand, Reserved: l.Reserved, Available: l.available(), LowStockThreshold: l.LowThreshold,
		UpdatedAt: l.UpdatedAt.UTC(), version: l.Version,
	}
}

type bySKU struct {
	SKU string `path:"sku" doc:"The SKU"`
}

func (s *service) handleGet(ctx context.Context, in *bySKU) (stockResponse, error) {
	l, err := s.get(ctx, in.SKU)
	return present(l), err
}

type listInput struct {
	httpx.Page
	LowStock bool   `query:"lowStock" doc:"Only what is at its threshold or below"`
	Sort     string `query:"sort" enum:"sku,-sku" default:"sku"`
}

type position struct {
	Sort string `json:"s"`
	SKU  string `json:"sku"`
}

func (s *service) handleList(ctx context.Context, in *listInput) (httpx.List[stockResponse], error) {
	out := httpx.List[stockResponse]{Data: []stockResponse{}}
	var after position
	if in.Cursor != "" {
		if err := httpx.ReadCursor(in.Cursor, &after); err != nil {
			return out, err
		}
		if after.Sort != in.Sort {
			return out, httpx.ErrCursor("it belongs to another order of the list")
		}
	}
	levels, err := s.list(ctx, filter{After: after.SKU, Down: in.Sort == "-sku", Low: in.LowStock, Limit: in.Limit + 1})
	if err != nil {
		return out, err
	}
	return httpx.ListOf(in.Page, levels, func(l level) position { return position{in.Sort, l.SKU} }, present)
}

type setBody struct {
	OnHand            int64  `json:"onHand" minimum:"0" maximum:"1000000000" doc:"Units in the store"`
	LowStockThreshold *int64 `json:"lowStockThreshold,omitempty" minimum:"0" maximum:"1000000000"`
}

type setInput struct {
	httpx.IfMatch
	httpx.JSON[setBody]
	SKU string `path:"sku" doc:"The SKU"`
}

func (s *service) handleSet(ctx context.Context, in *setInput) (stockResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (stockResponse, error) {
		l, err := s.set(ctx, tx, in.SKU, in.IfMatch, in.Body.OnHand, in.Body.LowStockThreshold)
		return present(l), err
	})
}

type adjustBody struct {
	Delta  int64  `json:"delta" minimum:"-1000000000" maximum:"1000000000" doc:"Units to add; negative to take away" example:"-2"`
	Reason string `json:"reason" minLength:"1" maxLength:"200" example:"broken in transport"`
}

// Check finds what the schema cannot say.
func (b *adjustBody) Check() []fault.Field {
	fields := httpx.Line("/reason", b.Reason)
	if b.Delta == 0 {
		fields = append(fields, fault.Field{Pointer: "/delta", Code: "not_allowed", Detail: "must not be 0"})
	}
	return fields
}

func tooMuch(pointer string) fault.Field {
	return fault.Field{Pointer: pointer, Code: "maximum", Detail: "would leave more than 1000000000 on hand"}
}

type adjustInput struct {
	httpx.JSON[adjustBody]
	SKU string `path:"sku" doc:"The SKU"`
}

func (s *service) handleAdjust(ctx context.Context, in *adjustInput) (stockResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (stockResponse, error) {
		l, err := s.adjust(ctx, tx, in.SKU, in.Body.Delta, in.Body.Reason)
		return present(l), err
	})
}

type movementResponse struct {
	ID            string     `json:"id" format:"uuid"`
	Kind          string     `json:"kind" enum:"initial,set,adjustment,reserved,released,reduced,shipped,came_back,held,claimed,expired,returned"`
	OnHandDelta   int64      `json:"onHandDelta"`
	ReservedDelta int64      `json:"reservedDelta"`
	Reason        string     `json:"reason"`
	OrderID       *uuid.UUID `json:"orderId,omitempty" format:"uuid"`
	HoldID        *uuid.UUID `json:"holdId,omitempty" format:"uuid" doc:"The hold that began with it or ended"`
	ReturnID      *uuid.UUID `json:"returnId,omitempty" format:"uuid" doc:"The return that brought it"`
	Actor         string     `json:"actor"`
	CreatedAt     time.Time  `json:"createdAt"`
}

type movementsInput struct {
	httpx.Page
	SKU string `path:"sku" doc:"The SKU"`
}

type movementPosition struct {
	ID uuid.UUID `json:"id"`
}

func (s *service) handleMovements(ctx context.Context, in *movementsInput) (httpx.List[movementResponse], error) {
	var before movementPosition
	if err := in.After(&before); err != nil {
		return httpx.List[movementResponse]{}, err
	}
	list, err := s.movements(ctx, in.SKU, before.ID, in.Limit+1)
	if err != nil {
		return httpx.List[movementResponse]{}, err
	}
	return httpx.ListOf(in.Page, list, func(m movement) movementPosition { return movementPosition{m.ID} }, func(m movement) movementResponse {
		return movementResponse{
			ID: m.ID.String(), Kind: m.Kind, OnHandDelta: m.OnHandDelta, ReservedDelta: m.ReservedDelta,
			Reason: m.Reason, OrderID: m.OrderID, HoldID: m.HoldID, ReturnID: m.ReturnID, Actor: m.Actor, CreatedAt: m.CreatedAt.UTC(),
		}
	})
}
