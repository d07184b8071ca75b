package orders

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var (
	errParcelNotBack  = fault.New(fault.Conflict, "parcel_not_back", "The parcel cannot have come back: it has not left, or its buyer has it.")
	errParcelInReturn = fault.New(fault.Conflict, "parcel_in_return", "Units of the parcel come back with a return. Receive or cancel that first.")
)

// parcelBack is why an order waits for somebody of which a parcel came back: it is sent again, or
// called off.
const parcelBack = "parcel_back"

// unpacked is what was in a parcel that came back.
type unpacked struct {
	Position  int
	Quantity  int64
	Restocked int64
}

// backAgain is a parcel that somebody says has come back.
type backAgain struct {
	status parcelStatus
	at     *time.Time // when it did; nil: it has not
	lines  []unpacked
}

// scrap takes what cannot be sold again out of what is put back on the shelf.
func (p *backAgain) scrap(o order, broken []ordersapi.ConsignedItem) (wrong []fault.Field) {
	for at, b := range broken {
		pointer := fmt.Sprintf("/scrap/%d", at)
		missing, known := b.Quantity, false
		for i := range p.lines {
			l := &p.lines[i]
			if b.Line != l.Position && (b.Line != 0 || b.SKU != o.Lines[l.Position-1].SKU) {
				continue
			}
			known = true
			n := min(l.Restocked, missing)
			l.Restocked, missing = l.Restocked-n, missing-n
		}
		switch {
		case !known:
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: "not_in_parcel", Detail: "is not in the parcel"})
		case missing > 0:
			wrong = append(wrong, fault.Field{Pointer: pointer + "/quantity", Code: "quantity_exceeded", Detail: fmt.Sprintf("is %d more than is in the parcel", missing)})
		}
	}
	return wrong
}

// recede derives anew how far an order is of which a parcel came back: what was in it is to be
// sent again, or called off.
func (o *order) recede() {
	o.Fulfillment = fulfillment(o.Lines)
	if o.Status == shipped || o.Status == delivered {
		o.Status = paid
		o.arrive()
	}
}

// takeParcelBack notes that a parcel is back at who sent it. What was in it counts as not sent,
// whatever its carrier tells of it afterwards. Noting it again changes nothing.
func (s *service) takeParcelBack(ctx context.Context, tx *db.Tx, id, shipment uuid.UUID, broken []ordersapi.ConsignedItem) (order, error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return order{}, err
	}
	o, err := s.store.lock(ctx, tx, id, "")
	if err != nil {
		return order{}, err
	}
	audit.Before(ctx, present(o))
	p, err := s.store.parcel(ctx, tx, id, shipment)
	if err != nil || p.at != nil {
		return o, err
	}
	if !p.status.sent() || p.status == parcelDelivered {
		return order{}, errParcelNotBack.With("shipmentStatus", string(p.status))
	}
	if wrong := p.scrap(o, broken); len(wrong) > 0 {
		return order{}, httpx.ErrValidation(wrong...)
	}
	if err := s.store.unpackBack(ctx, tx, id, shipment, p.lines); err != nil {
		return order{}, err
	}
	was := o.Fulfillment
	if o, err = s.recount(ctx, tx, o.ID); err != nil {
		return order{}, err
	}
	o.recede()
	o.Version++
	step := journeyStep{order: o.ID, version: o.Version, status: o.Status, fulfillment: o.Fulfillment, changed: was != o.Fulfillment, shipment: shipment, told: parcelArrivedBack}
	if o.Status == paid && slices.ContainsFunc(o.Lines, func(l line) bool { return l.left() > 0 }) {
		step.heldFor = parcelBack
	}
	if err := s.store.saveJourney(ctx, tx, []journeyStep{step}, actor.Actor); err != nil {
		return order{}, err
	}
	back := ordersapi.ParcelBack{Order: fact(o), ShipmentID: shipment.String()}
	for _, l := range p.lines {
		back.Contents = append(back.Contents, ordersapi.UnpackedItem{Line: l.Position, SKU: o.Lines[l.Position-1].SKU, Quantity: l.Quantity, Restocked: l.Restocked})
	}
	if err := s.events.Publish(ctx, tx, back); err != nil {
		return order{}, err
	}
	return s.store.find(ctx, tx, id, "")
}

// recount derives anew how far the lines of an order are, and refuses when that were less than
// its returns say.
func (s *service) recount(ctx context.Context, tx *db.Tx, id uuid.UUID) (order, error) {
	if err := s.store.count(ctx, tx, []string{id.String()}); err != nil {
		return order{}, err
	}
	o, err := s.store.find(ctx, tx, id, "")
	if err != nil {
		return order{}, err
	}
	all, err := s.store.returnsOf(ctx, tx, id)
	if err != nil {
		return order{}, err
	}
	coming := make([]int64, len(o.Lines))
	for _, r := range all {
		for _, l := range r.Lines {
			if coming[l.Position-1] += r.takes(l); coming[l.Position-1] > o.Lines[l.Position-1].Shipped {
				return order{}, errParcelInReturn.With("returnId", r.ID.String())
			}
		}
	}
	return o, nil
}

// parcel is a parcel of an order that was sent to its buyer.
func (store) parcel(ctx context.Context, tx *db.Tx, order, shipment uuid.UUID) (p backAgain, err error) {
	var rows []struct {
		Status   string     `db:"status"`
		Back     *time.Time `db:"back_at"`
		Position int        `db:"position"`
		Quantity int64      `db:"quantity"`
	}
	if err := tx.Select(ctx, &rows, `
		select s.status, s.back_at, l.position, l.quantity from orders.shipment s join orders.shipment_line l using (order_id, shipment_id)
		where s.order_id = $1 and s.shipment_id = $2 and s.direction = 'outbound' order by l.position`, order, shipment); err != nil {
		return p, fmt.Errorf("read parcel: %w", err)
	}
	if len(rows) == 0 {
		return p, httpx.ErrNotFound
	}
	for _, r := range rows {
		p.status, p.at = parcelStatus(r.Status), r.Back
		p.lines = append(p.lines, unpacked{Position: r.Position, Quantity: r.Quantity, Restocked: r.Quantity})
	}
	return p, nil
}

// unpackBack writes that a parcel came back, and what of it can be sold again.
func (store) unpackBack(ctx context.Context, tx *db.Tx, order, shipment uuid.UUID, lines []unpacked) error {
	positions, restocked := make([]int64, len(lines)), make([]int64, len(lines))
	for i, l := range lines {
		positions[i], restocked[i] = int64(l.Position), l.Restocked
	}
	if _, err := tx.Exec(ctx, `
		with s as (
			update orders.shipment set back_at = $5 where order_id = $1 and shipment_id = $2
		)
		update orders.shipment_line l set restocked = n.restocked from unnest($3::bigint[], $4::bigint[]) n(position, restocked)
		where l.order_id = $1 and l.shipment_id = $2 and l.position = n.position`, order, shipment, db.Array(positions), db.Array(restocked), tx.Now); err != nil {
		return fmt.Errorf("unpack a parcel that came back: %w", err)
	}
	return nil
}

func (m *Module) mountParcels(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/orders/{id}/parcels-back", ID: "takeParcelBack", Summary: "Note that a parcel is back that could not be handed over", Permission: permissionWrite,
		Description: "What was in it counts as not sent, and can be sent again or cancelled; the order waits for that (`heldFor: parcel_back`). What can be sold again is on hand, and held for the order. Noting it again changes nothing.",
		Refusals:    []*fault.Error{errParcelNotBack, errParcelInReturn},
	}, m.svc.handleParcelBack)
}

type parcelBackBody struct {
	ShipmentID uuid.UUID        `json:"shipmentId" format:"uuid"`
	Scrap      []cancelItemBody `json:"scrap,omitempty" maxItems:"500" doc:"What of it cannot be sold again, or is missing; absent: all of it can"`
}

// Check finds what the schema cannot say.
func (b *parcelBackBody) Check() (fields []fault.Field) {
	for i, it := range b.Scrap {
		if (it.Line == 0) == (it.SKU == "") {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/scrap/%d", i), Code: "required", Detail: "names a line or a SKU, and not both"})
		}
	}
	return fields
}

type parcelBackInput struct {
	ID string `path:"id"`
	httpx.JSON[parcelBackBody]
}

func (s *service) handleParcelBack(ctx context.Context, in *parcelBackInput) (orderResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return orderResponse{}, err
	}
	broken := make([]ordersapi.ConsignedItem, len(in.Body.Scrap))
	for i, it := range in.Body.Scrap {
		broken[i] = ordersapi.ConsignedItem(it)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (orderResponse, error) {
		o, err := s.takeParcelBack(ctx, tx, id, in.Body.ShipmentID, broken)
		return shownTo(ctx, present(o)), err
	})
}
