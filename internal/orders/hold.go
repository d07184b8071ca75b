package orders

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errHeld        = fault.New(fault.Conflict, "order_held", "The order is held back until somebody has looked at it: POST /v1/orders/{id}/release.")
	errNotHoldable = fault.New(fault.Conflict, "order_not_holdable", "There is nothing of the order to be held back.")
)

// Why an order is held back.
const (
	heldByStaff  = "staff"
	heldByAmount = "amount"
	released     = "released" // and is not any more
)

// waits is why an order waits for somebody. One that is over, or has left, does not.
func (o order) waits() string {
	if o.Hold != "" && o.holdable() {
		return o.Hold
	}
	return o.HeldFor
}

func (o order) holdable() bool { return slices.Contains([]status{created, confirmed, paid}, o.Status) }

// doubtful tells whether somebody has to look at an order before it is sent.
func (s *service) doubtful(o order) bool {
	return slices.ContainsFunc(s.holdAbove, func(limit money.Amount) bool {
		more, err := o.Total.Cmp(limit)
		return err == nil && more > 0
	})
}

// holdDoubtful holds back those of orders that somebody has to look at, before anything of them
// can be sent.
func (s *service) holdDoubtful(ctx context.Context, tx *db.Tx, list []order, because func(order, event.Event) event.Event) error {
	var ids []string
	for _, o := range list {
		if o.Hold == "" && s.doubtful(o) {
			ids = append(ids, o.ID.String())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	back, err := s.store.hold(ctx, tx, ids, heldByAmount, "")
	if err != nil {
		return err
	}
	facts := make([]event.Event, len(back))
	for i, o := range back {
		facts[i] = because(o, ordersapi.OrderHeld{Order: fact(o), HeldFor: o.Hold})
	}
	return s.events.Publish(ctx, tx, facts...)
}

// holdBack keeps an order from being sent until it is let go. Holding one that is held changes
// nothing.
func (s *service) holdBack(ctx context.Context, tx *db.Tx, id uuid.UUID, reason string) (order, error) {
	o, err := s.judging(ctx, tx, id, reason)
	if err != nil || o.Hold != "" {
		return o, err
	}
	if !o.holdable() {
		return order{}, errNotHoldable.Saying("An order that is %s cannot be held back.", o.Status)
	}
	return s.judge(ctx, tx, o, heldByStaff, reason, func(o order) event.Event { return ordersapi.OrderHeld{Order: fact(o), HeldFor: o.Hold} })
}

// letGo lets an order be sent. One that waits for a label is tried again.
func (s *service) letGo(ctx context.Context, tx *db.Tx, id uuid.UUID, reason string) (order, error) {
	o, err := s.judging(ctx, tx, id, reason)
	if err != nil || o.waits() == "" {
		return o, err
	}
	return s.judge(ctx, tx, o, "", reason, func(o order) event.Event { return ordersapi.OrderReleased{Order: fact(o)} })
}

func (s *service) judging(ctx context.Context, tx *db.Tx, id uuid.UUID, reason string) (order, error) {
	o, err := s.store.lock(ctx, tx, id, "")
	if err != nil {
		return order{}, err
	}
	audit.Before(ctx, present(o))
	audit.Because(ctx, reason)
	return o, nil
}

func (s *service) judge(ctx context.Context, tx *db.Tx, o order, hold, reason string, told func(order) event.Event) (order, error) {
	list, err := s.store.hold(ctx, tx, []string{o.ID.String()}, hold, reason)
	if err != nil {
		return order{}, err
	}
	return list[0], s.events.Publish(ctx, tx, told(list[0]))
}

// hold writes that orders are held back, or with nothing for it that they are not any more.
func (s store) hold(ctx context.Context, tx *db.Tx, ids []string, hold, reason string) ([]order, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := tx.Select(ctx, &rows, `
		with moved as (
			update orders.orders set hold = nullif($2, ''), held_for = case when $2 = '' and held_for = any($7) then null else held_for end, version = version + 1, updated_at = $3 where id = any((select $1)::uuid[]) returning *
		), steps as (
			insert into orders.timeline (order_id, version, status, hold, reason, actor, at)
			select id, version, status, coalesce(hold, $6), $4, $5, updated_at from moved
		)
		select `+orderColumns+` from moved order by id`, db.Array(ids), hold, tx.Now, orNull(reason), id.Actor, released, db.Array([]string{leftAfterCancel, overdue})); err != nil {
		return nil, fmt.Errorf("hold orders back: %w", err)
	}
	return s.withLines(ctx, tx, rows)
}

type holdBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"For the timeline that staff reads; buyers do not" example:"the buyer is called first"`
}

type holdInput struct {
	ID string `path:"id"`
	httpx.JSON[holdBody]
}

func (m *Module) mountHolds(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/hold", ID: "holdOrder", Summary: "Hold an order back", Permission: permissionWrite,
		Description: "It can be paid and cancelled, and makes no parcel (409 `order_held`) until it is let go. Holding an order that is held changes nothing.", Refusals: []*fault.Error{errNotHoldable},
	}, m.svc.handleHold)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/release", ID: "releaseOrder", Summary: "Let an order go on that waits for somebody", Permission: permissionWrite,
		Description: "Whatever it is `heldFor`. In a shop whose orders get parcels by themselves, one that is paid gets its own now. Letting go what is not held changes nothing.",
	}, m.svc.handleRelease)
}

func (s *service) handleHold(ctx context.Context, in *holdInput) (orderResponse, error) {
	return s.answerJudged(ctx, in, s.holdBack)
}

func (s *service) handleRelease(ctx context.Context, in *holdInput) (orderResponse, error) {
	return s.answerJudged(ctx, in, s.letGo)
}

func (s *service) answerJudged(ctx context.Context, in *holdInput, judge func(context.Context, *db.Tx, uuid.UUID, string) (order, error)) (orderResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return orderResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (orderResponse, error) {
		o, err := judge(ctx, tx, id, in.Body.Reason)
		return shownTo(ctx, present(o)), err
	})
}
