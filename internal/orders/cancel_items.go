package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// due is what is to be paid for the order, now that some of it may be called off, or have come back.
func (o order) due() money.Amount {
	return amountIn(o.Currency, o.Total.Minor-o.CalledOff.Minor-o.Returned.Minor)
}

// rests tells whether anything of the order is left when these are called off too.
func (o order) rests(without []portion) bool {
	var open int64
	for _, l := range o.Lines {
		open += l.open()
	}
	for _, p := range without {
		open -= p.Quantity
	}
	return open > 0
}

// cancelItems calls off a part of an order, which is at rest: its stock is held, and nothing of
// the part is in a shipment. When it is all that is left, the whole order is called off.
func (s *service) cancelItems(ctx context.Context, tx *db.Tx, id uuid.UUID, only, reason string, items []ordersapi.ConsignedItem) (order, error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return order{}, err
	}
	o, err := s.cancelling(ctx, tx, id, only, reason)
	if err != nil {
		return order{}, err
	}
	switch o.Status {
	case confirmed, paid, shipped, delivered:
	case created:
		return order{}, errNotCancellable.Saying("Whether there is stock for the order is being found out. Ask again in a moment, or cancel the whole of it.")
	default:
		return order{}, errNotCancellable.Saying("An order that is %s cannot be cancelled.", o.Status)
	}
	list, wrong := portions(o.Lines, items)
	if len(wrong) > 0 {
		return order{}, errNotCancellable.Saying("More than is left of the order cannot be cancelled: the rest was cancelled before, or is in a shipment.").AtFields(wrong...)
	}
	if !o.rests(list) {
		return s.callOff(ctx, tx, o, reason)
	}
	value, err := s.callOffItems(ctx, tx, &o, list)
	if err != nil {
		return order{}, err
	}
	was := o.Status
	went, now := o.arrive(), o.Status
	o.Status = was // what is left has gone already: that is a step of its own
	if !slices.ContainsFunc(o.Lines, func(l line) bool { return l.left() > 0 }) {
		o.HeldFor = ""
	}
	o.UpdatedAt = tx.Now
	o.Version++
	off := ordersapi.ItemsCancelled{Amount: value.Decimal(), Due: o.due().Decimal()}
	if actor.Customer == "" { // facts are for ever, and what customers write may be about themselves
		off.Reason = reason
	}
	for _, p := range list {
		off.Cancelled = append(off.Cancelled, ordersapi.CancelledItem{Line: p.Position, SKU: o.Lines[p.Position-1].SKU, Quantity: p.Quantity})
	}
	off.CalledOff = calledOffSoFar(o.Lines, list)
	if err := s.store.saveCancelled(ctx, tx, o, list, off.Cancelled, reason, actor.Actor); err != nil {
		return order{}, err
	}
	off.Order = fact(o)
	facts := []event.Event{off}
	if went {
		o.Status = now
		o.Version++
		if err := s.store.save(ctx, tx, o, actor.Actor); err != nil {
			return order{}, err
		}
		facts = append(facts, onItsWay(o))
	}
	if err := s.events.Publish(ctx, tx, facts...); err != nil {
		return order{}, err
	}
	return s.settleRest(ctx, tx, o)
}

// calledOffSoFar is how much was called off so far of the SKUs of which some is called off now.
func calledOffSoFar(lines []line, list []portion) (all []ordersapi.CalledOff) {
	for _, p := range list {
		sku := lines[p.Position-1].SKU
		if slices.ContainsFunc(all, func(c ordersapi.CalledOff) bool { return c.SKU == sku }) {
			continue
		}
		c := ordersapi.CalledOff{SKU: sku}
		for _, l := range lines {
			if l.SKU == sku {
				c.Quantity += l.Cancelled
			}
		}
		all = append(all, c)
	}
	return all
}

// callOffItems counts some units as called off, and returns what they cost.
func (s *service) callOffItems(ctx context.Context, tx *db.Tx, o *order, list []portion) (value money.Amount, err error) {
	value = nothing(o.Total)
	dealt, err := s.store.allocations(ctx, tx, o.ID)
	if err != nil {
		return value, err
	}
	for _, p := range list {
		l := &o.Lines[p.Position-1]
		runs := dealt[p.Position]
		if len(runs) == 0 {
			runs = plainShares(*l)
		}
		share, err := sharesOf(runs, o.Currency, l.Cancelled, p.Quantity)
		if err != nil {
			return value, fmt.Errorf("line %d of order %s: %w", p.Position, o.ID, err)
		}
		l.Cancelled += p.Quantity
		if value, err = money.Sum(o.Currency, value, share.Net, share.Tax); err != nil {
			return value, fmt.Errorf("add up what is called off of order %s: %w", o.ID, err)
		}
	}
	if o.CalledOff, err = o.CalledOff.Add(value); err != nil {
		return value, fmt.Errorf("add up what was called off of order %s: %w", o.ID, err)
	}
	return value, nil
}

// settleRest derives anew how an order stands with its money: what was too little for all of it
// may be enough for the rest.
func (s *service) settleRest(ctx context.Context, tx *db.Tx, o order) (order, error) {
	ids := []string{o.ID.String()}
	enough, err := s.store.settle(ctx, tx, ids)
	if err != nil {
		return order{}, err
	}
	if o.Status == confirmed && o.due().IsZero() {
		enough = ids
	}
	if len(enough) > 0 {
		settled, err := s.becomePaid(ctx, tx, enough)
		if err != nil {
			return order{}, err
		}
		for _, o := range settled {
			if err := s.events.Publish(ctx, tx, ordersapi.OrderPaid{Order: fact(o)}); err != nil {
				return order{}, err
			}
		}
	}
	return s.store.find(ctx, tx, o.ID, "")
}

// allocations are what each unit of an order's lines has of everything, by position.
func (store) allocations(ctx context.Context, tx *db.Tx, id uuid.UUID) (map[int][]ordersapi.UnitShare, error) {
	var rows []struct {
		Position int    `db:"position"`
		Units    int64  `db:"units"`
		Discount int64  `db:"discount_minor"`
		Net      int64  `db:"net_minor"`
		Tax      int64  `db:"tax_minor"`
		Currency string `db:"currency"`
	}
	if err := tx.Select(ctx, &rows, `
		select a.position, a.units, a.discount_minor, a.net_minor, a.tax_minor, o.currency
		from orders.allocation a join orders.orders o on o.id = a.order_id where a.order_id = $1 order by a.position, a.first_unit`, id); err != nil {
		return nil, fmt.Errorf("read shares of units: %w", err)
	}
	dealt := map[int][]ordersapi.UnitShare{}
	for _, r := range rows {
		in := func(minor int64) money.Amount { return amountIn(money.Currency(r.Currency), minor) }
		dealt[r.Position] = append(dealt[r.Position], ordersapi.UnitShare{Count: r.Units, Discount: in(r.Discount), Net: in(r.Net), Tax: in(r.Tax)})
	}
	return dealt, nil
}

// saveCancelled writes that a part of an order was called off, with the step of the timeline.
func (store) saveCancelled(ctx context.Context, tx *db.Tx, o order, list []portion, off []ordersapi.CancelledItem, reason, actor string) error {
	said, err := json.Marshal(off)
	if err != nil {
		return fmt.Errorf("encode what was called off: %w", err)
	}
	positions, quantities := make([]int64, len(list)), make([]int64, len(list))
	for i, p := range list {
		positions[i], quantities[i] = int64(p.Position), p.Quantity
	}
	if _, err := tx.Exec(ctx, `
		with o as (
			update orders.orders set status = $2, fulfillment_status = $3, cancelled_minor = $4, held_for = $12, version = $5, updated_at = $6 where id = $1
		), t as (
			insert into orders.timeline (order_id, version, status, reason, cancelled, actor, at) values ($1, $5, $2, $7, $8, $9, $6)
		)
		update orders.line l set cancelled = l.cancelled + n.quantity
		from unnest($10::bigint[], $11::bigint[]) n(position, quantity) where l.order_id = $1 and l.position = n.position`,
		o.ID, string(o.Status), string(o.Fulfillment), o.CalledOff.Minor, o.Version, o.UpdatedAt, orNull(reason), string(said), actor, db.Array(positions), db.Array(quantities), orNull(o.HeldFor)); err != nil {
		return fmt.Errorf("save what was called off: %w", err)
	}
	return nil
}
