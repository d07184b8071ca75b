package orders

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// sentBack is a quantity that somebody wants to send back.
type sentBack struct {
	Line     int // 0: whichever lines have the SKU
	SKU      string
	Quantity int64
	Reason   string
	Note     string
}

// pieces finds the lines of what somebody wants to send back, and takes no more of each than can
// come back. Everything that is wrong is found at once.
func pieces(o order, can []returnable, wants []sentBack, shop bool) (list []rmaLine, wrong []fault.Field) {
	left := make([]int64, len(can))
	for i, c := range can {
		if left[i] = c.Buyer; shop {
			left[i] += c.Over
		}
	}
	for at, w := range wants {
		pointer := fmt.Sprintf("/lines/%d", at)
		missing, known, late := w.Quantity, false, int64(0)
		for i, l := range o.Lines {
			if w.Line != i+1 && (w.Line != 0 || w.SKU != l.SKU) {
				continue
			}
			known, late = true, late+can[i].Over
			n := min(left[i], missing)
			if n == 0 {
				continue
			}
			if slices.ContainsFunc(list, func(p rmaLine) bool { return p.Position == i+1 }) {
				wrong = append(wrong, fault.Field{Pointer: pointer, Code: "duplicate", Detail: "is named twice"})
			}
			left[i], missing = left[i]-n, missing-n
			list = append(list, rmaLine{Position: i + 1, SKU: l.SKU, Name: l.Name, Quantity: n, Reason: w.Reason, Note: w.Note, Refund: nothing(o.Total), Fee: nothing(o.Total)})
		}
		switch {
		case !known:
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: "not_ordered", Detail: "is not in the order"})
		case missing > 0 && missing <= late && !shop:
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: "window_over", Detail: "can only be taken back by the shop: its time is up, or it is sold for good"})
		case missing > 0:
			wrong = append(wrong, fault.Field{Pointer: pointer + "/quantity", Code: "quantity_exceeded", Detail: fmt.Sprintf("is %d more than can come back", missing)})
		}
	}
	slices.SortFunc(list, func(a, b rmaLine) int { return a.Position - b.Position })
	return list, wrong
}

// requestReturn notes that somebody wants to send something back. What can be is decided under
// the lock of the order: no unit is in two returns, however many ask at the same moment.
func (s *service) requestReturn(ctx context.Context, tx *db.Tx, order uuid.UUID, only string, wants []sentBack, override bool) (rma, error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return rma{}, err
	}
	if actor.Customer != "" { // who may write about themselves
		if err := erasure.Allow(ctx, tx, actor.Customer); err != nil {
			return rma{}, err
		}
	}
	o, err := s.store.lock(ctx, tx, order, only)
	if err != nil {
		return rma{}, err
	}
	if slices.ContainsFunc(wants, func(w sentBack) bool { return w.Note != "" }) { // nothing more is written about who was erased
		if err := allowed(ctx, tx, o.CustomerID); err != nil {
			return rma{}, err
		}
	}
	p, all, can, err := s.returnables(ctx, tx, o)
	if err != nil {
		return rma{}, err
	}
	list, wrong := pieces(o, can, wants, override && only == "")
	if len(wrong) > 0 {
		return rma{}, errNotReturnable.AtFields(wrong...)
	}
	r := rma{
		ID: clock.NewID(), OrderID: o.ID, Number: o.Number, Customer: o.CustomerID, Status: rmaRequested, FeePoints: p.Points, Lines: list,
		Asked: nothing(o.Total), Refund: nothing(o.Total), Fee: nothing(o.Total), Shipping: nothing(o.Total), Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	if err := s.store.insertReturn(ctx, tx, r); err != nil {
		return rma{}, err
	}
	return r, s.keepReturn(ctx, tx, &o, append(all, r), r)
}

// returnables are what can come back of an order, with the shop's policy and what is on its way.
func (s *service) returnables(ctx context.Context, tx *db.Tx, o order) (p returnPolicy, all []rma, can []returnable, err error) {
	if p, err = s.store.policy(ctx, tx, ""); err != nil {
		return p, nil, nil, err
	}
	if all, err = s.store.returnsOf(ctx, tx, o.ID); err != nil {
		return p, nil, nil, err
	}
	sent, err := s.store.sentUnits(ctx, tx, o.ID)
	if err != nil {
		return p, nil, nil, err
	}
	return p, all, returnables(o, p, sent, all, tx.Now), nil
}

// keepReturn writes what a return makes of its order, and tells how the return stands. all are
// the returns of the order, as they are now.
func (s *service) keepReturn(ctx context.Context, tx *db.Tx, o *order, all []rma, r rma) error {
	actor, err := identity.From(ctx)
	if err != nil {
		return err
	}
	o.Returning, o.UpdatedAt = returning(o.Lines, all), tx.Now
	o.Version++
	if err := s.store.saveReturning(ctx, tx, *o, r, actor.Actor); err != nil {
		return err
	}
	return s.events.Publish(ctx, tx, r.news(*o))
}

// changeReturn has a return changed under the lock of its order.
func (s *service) changeReturn(ctx context.Context, tx *db.Tx, id uuid.UUID, only string, match httpx.IfMatch, do func(o *order, r *rma) (changed bool, err error)) (rma, error) {
	o, all, at, err := s.lockReturn(ctx, tx, id, only)
	if err != nil {
		return rma{}, err
	}
	r := &all[at]
	audit.Before(ctx, presentReturn(*r))
	if err := match.Allows(r.Version); err != nil {
		return rma{}, err
	}
	changed, err := do(&o, r)
	if err != nil || !changed {
		return *r, err
	}
	if err := s.store.saveReturn(ctx, tx, *r); err != nil {
		return rma{}, err
	}
	return *r, s.keepReturn(ctx, tx, &o, all, *r)
}

// lockReturn locks the order of a return, and reads all of its returns.
func (s *service) lockReturn(ctx context.Context, tx *db.Tx, id uuid.UUID, only string) (o order, all []rma, at int, err error) {
	of, err := s.store.orderOfReturn(ctx, tx, id)
	if err != nil {
		return o, nil, 0, err
	}
	if o, err = s.store.lock(ctx, tx, of, only); err != nil {
		return o, nil, 0, err
	}
	if all, err = s.store.returnsOf(ctx, tx, of); err != nil {
		return o, nil, 0, err
	}
	if at = slices.IndexFunc(all, func(r rma) bool { return r.ID == id }); at < 0 {
		return o, nil, 0, httpx.ErrNotFound
	}
	return o, all, at, nil
}

// arrived is a quantity of a line that has come back.
type arrived struct {
	Line     int // of the order; 0: whichever lines have the SKU
	SKU      string
	Quantity int64
	Restock  bool
}

// receive counts what came, which may be less than was asked for: what did not can be sent back
// another time. Nothing named is all, and all of it can be sold again.
func (r *rma) receive(came []arrived) (wrong []fault.Field) {
	if came == nil {
		for i := range r.Lines {
			r.Lines[i].Received, r.Lines[i].Restocked = r.Lines[i].Quantity, r.Lines[i].Quantity
		}
		return nil
	}
	for at, c := range came {
		pointer := fmt.Sprintf("/lines/%d", at)
		missing, known := c.Quantity, false
		for i := range r.Lines {
			l := &r.Lines[i]
			if c.Line != l.Position && (c.Line != 0 || c.SKU != l.SKU) {
				continue
			}
			known = true
			n := min(l.Quantity-l.Received, missing)
			l.Received, missing = l.Received+n, missing-n
			if c.Restock {
				l.Restocked += n
			}
		}
		switch {
		case !known:
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: "not_in_return", Detail: "is not in the return"})
		case missing > 0:
			wrong = append(wrong, fault.Field{Pointer: pointer + "/quantity", Code: "quantity_exceeded", Detail: fmt.Sprintf("is %d more than was to come back", missing)})
		}
	}
	return wrong
}

// receiveReturn notes what came back and what goes back for it.
func (s *service) receiveReturn(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, came []arrived, refundShipping bool) (rma, error) {
	r, err := s.changeReturn(ctx, tx, id, "", match, func(o *order, r *rma) (bool, error) {
		if changed, err := r.move(rmaReceived, tx.Now); err != nil || !changed {
			return false, err
		}
		if wrong := r.receive(came); len(wrong) > 0 {
			return false, errNotReturnable.Saying("More came than was to come back.").AtFields(wrong...)
		}
		if err := s.valueReturn(ctx, tx, o, r); err != nil {
			return false, err
		}
		if refundShipping {
			if err := s.refundShipping(ctx, tx, o, r); err != nil {
				return false, err
			}
		}
		var err error
		r.Asked = r.Refund
		o.Given = o.given()
		r.Refund.Minor = min(r.Asked.Minor, o.refundable().Minor)
		if o.Returned, err = o.Returned.Add(r.Asked); err != nil {
			return false, fmt.Errorf("add up what came back of order %s: %w", o.ID, err)
		}
		return true, s.store.takeBack(ctx, tx, *o, *r)
	})
	if err != nil || r.Status != rmaReceived {
		return r, err
	}
	if _, err := s.settleRest(ctx, tx, order{ID: r.OrderID}); err != nil {
		return rma{}, err
	}
	if err := s.store.closeReturns(ctx, tx, []string{r.OrderID.String()}); err != nil {
		return rma{}, err
	}
	return s.store.findReturn(ctx, tx, id, "")
}

// valueReturn says what goes back for the units that came, and counts these.
func (s *service) valueReturn(ctx context.Context, tx *db.Tx, o *order, r *rma) error {
	dealt, err := s.store.allocations(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		of := &o.Lines[l.Position-1]
		worth, fee, err := worthBack(sharesOfLine(dealt, l.Position, *of), o.Currency, of.TakenBack, l.Received, r.FeePoints)
		if err != nil {
			return fmt.Errorf("line %d of order %s: %w", l.Position, o.ID, err)
		}
		of.TakenBack += l.Received
		l.Fee = fee
		if l.Refund, err = worth.Sub(fee); err != nil {
			return fmt.Errorf("refund of line %d of order %s: %w", l.Position, o.ID, err)
		}
		if r.Fee, err = r.Fee.Add(fee); err != nil {
			return fmt.Errorf("fee of return %s: %w", r.ID, err)
		}
		if r.Refund, err = r.Refund.Add(l.Refund); err != nil {
			return fmt.Errorf("refund of return %s: %w", r.ID, err)
		}
	}
	return nil
}

// refundShipping gives back what the buyer paid for the order's shipping, once.
func (s *service) refundShipping(ctx context.Context, tx *db.Tx, o *order, r *rma) error {
	all, err := s.store.returnsOf(ctx, tx, o.ID)
	if err != nil {
		return err
	}
	if o.Shipping == nil || o.Shipping.Total.IsZero() || slices.ContainsFunc(all, func(other rma) bool { return !other.Shipping.IsZero() }) {
		return errShippingRefunded
	}
	r.Shipping = o.Shipping.Total
	if r.Refund, err = money.Sum(o.Currency, r.Refund, r.Shipping); err != nil {
		return fmt.Errorf("refund of return %s: %w", r.ID, err)
	}
	return nil
}

// ConsignReturn notes which shipment brings a return that was approved, in the transaction that
// makes the shipment, and says who sends it.
func (m *Module) ConsignReturn(ctx context.Context, tx *db.Tx, returnID, shipmentID uuid.UUID) (ordersapi.Consignee, error) {
	o, all, at, err := m.svc.lockReturn(ctx, tx, returnID, "")
	if err != nil {
		return ordersapi.Consignee{}, err
	}
	r := all[at]
	if r.Status != rmaApproved {
		return ordersapi.Consignee{}, errReturnState.Saying("A return that is %s gets no label.", r.Status).With("returnStatus", string(r.Status))
	}
	list := make([]portion, len(r.Lines))
	for i, l := range r.Lines {
		list[i] = portion{l.Position, l.Quantity}
	}
	return consignee(o, list), m.svc.store.bringReturn(ctx, tx, r.ID, shipmentID)
}
