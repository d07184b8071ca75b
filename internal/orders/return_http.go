package orders

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

func (m *Module) mountReturns(api *httpx.API) {
	const read, write = permissionRead, permissionWrite
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/orders/{id}/returnable", ID: "getReturnable", Summary: "Ask what of an order can come back", Permission: read, Own: true,
		Description: "Line by line: how many units, until when, and what is paid back for them.",
	}, m.svc.handleReturnable)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/returns", ID: "createReturn", Summary: "Ask to send something back", Permission: write, Own: true, Status: http.StatusCreated,
		Description: "Of what is with the buyer, or on its way there. No unit is in two returns, however many ask at the same moment. Staff may take back what a buyer cannot send back any more, and say so with `override`.",
		Refusals:    []*fault.Error{errNotReturnable, erasure.ErrErased},
	}, m.svc.handleRequestReturn)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/returns", ID: "listReturns", Summary: "List returns", Permission: read, Own: true, Personal: true, Description: "Newest first.",
	}, m.svc.handleReturns)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/returns/policy", ID: "getReturnPolicy", Summary: "Read what the shop takes back", Permission: read,
	}, m.svc.handlePolicy)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPut, Path: "/v1/returns/policy", ID: "putReturnPolicy", Summary: "Say what the shop takes back", Permission: write,
		Description: "In place of what there was. The fee of returns that were asked for stays.",
	}, m.svc.handlePutPolicy)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/returns/{id}", ID: "getReturn", Summary: "Read a return", Permission: read, Own: true, Personal: true,
	}, m.svc.handleReturn)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/returns/{id}/approve", ID: "approveReturn", Summary: "Agree to take something back", Permission: write, Refusals: []*fault.Error{errReturnState},
	}, m.svc.handleApprove)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/returns/{id}/reject", ID: "rejectReturn", Summary: "Refuse to take something back", Permission: write, Refusals: []*fault.Error{errReturnState, erasure.ErrErased},
	}, m.svc.handleReject)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/returns/{id}/receive", ID: "receiveReturn", Summary: "Note what came back", Permission: write,
		Description: "Once for a return. What can be sold again is stock, and what the units cost goes back with their exact shares of discounts and tax, less the fee; what did not come can be sent back another time.",
		Refusals:    []*fault.Error{errReturnState, errNotReturnable, errShippingRefunded},
	}, m.svc.handleReceive)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/returns/{id}/cancel", ID: "cancelReturn", Summary: "Call a return off", Permission: write, Own: true, Description: "Before anything came.", Refusals: []*fault.Error{errReturnState, erasure.ErrErased},
	}, m.svc.handleCancelReturn)
}

func (s *service) handleReturnable(ctx context.Context, in *byID) (out ordersapi.ReturnableView, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, err := s.store.find(ctx, tx, id, identity.OnlyOf(ctx, permissionRead))
		if err != nil {
			return err
		}
		p, _, can, err := s.returnables(ctx, tx, o)
		if err != nil {
			return err
		}
		dealt, err := s.store.allocations(ctx, tx, id)
		if err != nil {
			return err
		}
		out, err = presentReturnable(o, p, can, dealt)
		return err
	})
	return out, err
}

type returnLineBody struct {
	Line     int    `json:"line,omitempty" minimum:"1" maximum:"500" doc:"Position of the line in the order, from 1; absent: whichever lines have the SKU"`
	SKU      string `json:"sku,omitempty" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"50000000" example:"1"`
	Reason   string `json:"reason" enum:"unwanted,too_small,too_large,defective,damaged,wrong_item,not_as_described,late,other"`
	Note     string `json:"note,omitempty" personal:"true" maxLength:"500"`
}

type returnBody struct {
	Lines    []returnLineBody `json:"lines" minItems:"1" maxItems:"500"`
	Override bool             `json:"override,omitempty" doc:"Staff take back what the buyer cannot send back any more"`
}

// Check finds what the schema cannot say.
func (b *returnBody) Check() (fields []fault.Field) {
	for i, l := range b.Lines {
		fields = append(fields, named(i, l.Line, l.SKU)...)
	}
	return fields
}

func named(at, line int, sku string) []fault.Field {
	if (line == 0) == (sku == "") {
		return []fault.Field{{Pointer: fmt.Sprintf("/lines/%d", at), Code: "required", Detail: "names a line or a SKU, and not both"}}
	}
	return nil
}

type requestReturnInput struct {
	ID string `path:"id"`
	httpx.JSON[returnBody]
}

// requestedResponse also says where the return is.
type requestedResponse struct{ ordersapi.ReturnView }

// Location of the return.
func (r requestedResponse) Location() string { return "/v1/returns/" + r.ID }

func (s *service) handleRequestReturn(ctx context.Context, in *requestReturnInput) (requestedResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return requestedResponse{}, err
	}
	wants := make([]sentBack, len(in.Body.Lines))
	for i, l := range in.Body.Lines {
		wants[i] = sentBack(l)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (requestedResponse, error) {
		r, err := s.requestReturn(ctx, tx, id, identity.OnlyOf(ctx, permissionWrite), wants, in.Body.Override)
		return requestedResponse{presentReturn(r)}, err
	})
}

type returnsInput struct {
	httpx.Page
	Status  string `query:"status" enum:"requested,approved,rejected,received,closed,cancelled"`
	OrderID string `query:"orderId" personal:"false" format:"uuid" doc:"Only of this order"`
}

func (s *service) handleReturns(ctx context.Context, in *returnsInput) (httpx.List[ordersapi.ReturnView], error) {
	out := httpx.List[ordersapi.ReturnView]{Data: []ordersapi.ReturnView{}}
	f := returnFilter{Status: in.Status, Only: identity.OnlyOf(ctx, permissionRead), Limit: in.Limit + 1}
	if in.OrderID != "" {
		id, err := httpx.ID(in.OrderID)
		if err != nil {
			return out, err
		}
		f.OrderID = &id
	}
	if in.Cursor != "" {
		f.After = &returnPosition{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return out, err
		}
	}
	var list []rma
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.listReturns(ctx, tx, f)
		return err
	}); err != nil {
		return out, err
	}
	return httpx.ListOf(in.Page, list, func(r rma) returnPosition { return returnPosition{r.CreatedAt, r.ID} }, presentReturn)
}

func (s *service) handleReturn(ctx context.Context, in *byID) (out ordersapi.ReturnView, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err := s.store.findReturn(ctx, tx, id, identity.OnlyOf(ctx, permissionRead))
		out = presentReturn(r)
		return err
	})
	return out, err
}

type changeReturnInput struct {
	ID string `path:"id"`
	httpx.IfMatch
}

// moveReturn takes a return a step further that is nothing but a step.
func (s *service) moveReturn(ctx context.Context, in *changeReturnInput, only string, to rmaStatus, answer string) (ordersapi.ReturnView, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return ordersapi.ReturnView{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (ordersapi.ReturnView, error) {
		if only != "" {
			if err := erasure.Allow(ctx, tx, only); err != nil {
				return ordersapi.ReturnView{}, err
			}
		}
		r, err := s.changeReturn(ctx, tx, id, only, in.IfMatch, func(o *order, r *rma) (bool, error) {
			changed, err := r.move(to, tx.Now)
			if err != nil || !changed || answer == "" {
				return changed, err
			}
			r.Answer = answer
			audit.Because(ctx, answer)
			return true, allowed(ctx, tx, o.CustomerID) // nothing more is written about who was erased
		})
		return presentReturn(r), err
	})
}

func (s *service) handleApprove(ctx context.Context, in *changeReturnInput) (ordersapi.ReturnView, error) {
	return s.moveReturn(ctx, in, "", rmaApproved, "")
}

func (s *service) handleCancelReturn(ctx context.Context, in *changeReturnInput) (ordersapi.ReturnView, error) {
	return s.moveReturn(ctx, in, identity.OnlyOf(ctx, permissionWrite), rmaCancelled, "")
}

type rejectBody struct {
	Answer string `json:"answer" minLength:"1" maxLength:"500" doc:"Why; the buyer reads it" example:"worn"`
}

type rejectInput struct {
	ID string `path:"id"`
	httpx.IfMatch
	httpx.JSON[rejectBody]
}

func (s *service) handleReject(ctx context.Context, in *rejectInput) (ordersapi.ReturnView, error) {
	return s.moveReturn(ctx, &changeReturnInput{in.ID, in.IfMatch}, "", rmaRejected, in.Body.Answer)
}

type receivedLineBody struct {
	Line     int    `json:"line,omitempty" minimum:"1" maximum:"500" doc:"Position of the line in the order, from 1; absent: whichever lines of the return have the SKU"`
	SKU      string `json:"sku,omitempty" maxLength:"64" example:"MUG-BLUE"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"50000000" example:"1"`
	Scrap    bool   `json:"scrap,omitempty" doc:"It cannot be sold again"`
}

type receiveBody struct {
	Lines          []receivedLineBody `json:"lines,omitempty" minItems:"1" maxItems:"1000" doc:"What came; absent: all that was to come, and all of it can be sold again. A line is named twice when a part of it cannot"`
	RefundShipping bool               `json:"refundShipping,omitempty" doc:"What the buyer paid for shipping goes back too"`
}

// Check finds what the schema cannot say.
func (b *receiveBody) Check() (fields []fault.Field) {
	for i, l := range b.Lines {
		fields = append(fields, named(i, l.Line, l.SKU)...)
	}
	return fields
}

type receiveInput struct {
	ID string `path:"id"`
	httpx.IfMatch
	httpx.JSON[receiveBody]
}

func (s *service) handleReceive(ctx context.Context, in *receiveInput) (ordersapi.ReturnView, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return ordersapi.ReturnView{}, err
	}
	var came []arrived
	for _, l := range in.Body.Lines {
		came = append(came, arrived{l.Line, l.SKU, l.Quantity, !l.Scrap})
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (ordersapi.ReturnView, error) {
		r, err := s.receiveReturn(ctx, tx, id, in.IfMatch, came, in.Body.RefundShipping)
		return presentReturn(r), err
	})
}
