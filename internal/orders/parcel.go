package orders

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// parcelStatus is what a shipment of an order told last.
type parcelStatus string

const (
	parcelConsigned parcelStatus = "consigned" // and it has told nothing yet
	parcelCreated   parcelStatus = "created"
	parcelLabelled  parcelStatus = "labelled"
	parcelFailed    parcelStatus = "failed"
	parcelVoided    parcelStatus = "voided"
	parcelShipped   parcelStatus = "shipped"
	parcelException parcelStatus = "exception"
	parcelDelivered parcelStatus = "delivered"
	parcelReturned  parcelStatus = "returned"
	// parcelArrivedBack is what somebody says of it, and no shipment tells.
	parcelArrivedBack parcelStatus = "arrived_back"
)

// givenBack says that what was in the shipment can go into another one.
func (p parcelStatus) givenBack() bool { return p == parcelFailed || p == parcelVoided }

// sent says that the shipment has left the house.
func (p parcelStatus) sent() bool {
	return slices.Contains([]parcelStatus{parcelShipped, parcelException, parcelDelivered, parcelReturned}, p)
}

// report is what a shipment told last.
type report struct {
	order, shipment   uuid.UUID
	inbound           bool
	status            parcelStatus
	carrier, tracking string
	version           int64
	undecided         bool // it has failed, and nobody knows whether its label is sold
}

func reportOf(s shippingapi.Shipment, status parcelStatus) (r report, err error) {
	if r.order, err = uuid.Parse(s.OrderID); err != nil {
		return r, fmt.Errorf("order of a shipment: %w", err)
	}
	if r.shipment, err = uuid.Parse(s.ShipmentID); err != nil {
		return r, fmt.Errorf("id of a shipment: %w", err)
	}
	r.inbound, r.status, r.carrier, r.tracking, r.version = s.Direction == shippingapi.Return, status, s.Carrier, s.TrackingNumber, s.Version
	r.undecided = s.FailureCode == shippingapi.OutcomeUnknown
	return r, nil
}

// listenToShipping keeps what shipments tell of orders.
func (m *Module) listenToShipping(bus *event.Bus) {
	event.OnBatch(bus, "orders.heed-shipment-created", follow(m.svc, parcelCreated, func(e shippingapi.ShipmentCreated) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-label-created", follow(m.svc, parcelLabelled, func(e shippingapi.LabelCreated) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-shipment-failed", follow(m.svc, parcelFailed, func(e shippingapi.ShipmentFailed) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-shipment-voided", follow(m.svc, parcelVoided, func(e shippingapi.ShipmentVoided) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-shipment-shipped", follow(m.svc, parcelShipped, func(e shippingapi.ShipmentShipped) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-shipment-exception", follow(m.svc, parcelException, func(e shippingapi.ShipmentException) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-shipment-delivered", follow(m.svc, parcelDelivered, func(e shippingapi.ShipmentDelivered) shippingapi.Shipment { return e.Shipment }))
	event.OnBatch(bus, "orders.heed-shipment-returned", follow(m.svc, parcelReturned, func(e shippingapi.ShipmentReturned) shippingapi.Shipment { return e.Shipment }))
}

// follow keeps what shipments told and derives from it how far their orders are, in a constant
// number of statements however many there are. News that is older than what is known changes
// nothing, and neither does news of orders that there are not.
func follow[T any](s *service, status parcelStatus, of func(T) shippingapi.Shipment) func(context.Context, *db.Tx, []event.Received[T]) error {
	return func(ctx context.Context, tx *db.Tx, batch []event.Received[T]) error {
		causes := map[string]event.Received[T]{}
		latest := map[uuid.UUID]report{}
		for _, r := range batch {
			n, err := reportOf(of(r.Fact), status)
			if err != nil {
				return err
			}
			if n.version > latest[n.shipment].version {
				latest[n.shipment], causes[n.order.String()] = n, r
			}
		}
		moved, stuck, err := s.follow(ctx, tx, latest)
		if err != nil {
			return err
		}
		if s.refundUnshippable {
			for _, o := range stuck {
				if err := s.giveUp(ctx, tx, o); err != nil {
					return err
				}
			}
		}
		if len(moved) == 0 {
			return nil
		}
		facts := make([]event.Event, len(moved))
		for i, o := range moved {
			facts[i] = event.Because(causes[o.ID.String()], onItsWay(o))
		}
		return s.events.Publish(ctx, tx, facts...)
	}
}

// onItsWay is the fact of an order that a shipment has moved.
func onItsWay(o order) event.Event {
	if o.Status == delivered {
		return ordersapi.OrderDelivered{Order: fact(o)}
	}
	return ordersapi.OrderShipped{Order: fact(o)}
}

// labelFailed is why an order waits for somebody, or was called off: what it takes to send it
// could not be bought.
const labelFailed = "label_failed"

// leftAfterCancel is why an order waits for somebody of which something is on its way that was
// called off before anybody heard that it had left: the buyer has, or gets, what was paid back.
const leftAfterCancel = "left_after_cancel"

// giveUp calls off what cannot be sent: of the order what is in no other shipment.
func (s *service) giveUp(ctx context.Context, tx *db.Tx, o order) error {
	if o.consigned() == 0 {
		_, err := s.callOff(ctx, tx, o, labelFailed)
		return err
	}
	_, err := s.cancelItems(ctx, tx, o.ID, "", labelFailed, nil)
	return err
}

// follow returns the orders that the news has moved, and those of which it is certain since that
// something cannot be sent.
func (s *service) follow(ctx context.Context, tx *db.Tx, latest map[uuid.UUID]report) (moved, stuck []order, err error) {
	actor, err := identity.From(ctx)
	if err != nil {
		return nil, nil, err
	}
	news, err := s.store.report(ctx, tx, latest)
	if err != nil || len(news) == 0 {
		return nil, nil, err
	}
	ids := make([]string, len(news))
	for i, n := range news {
		ids[i] = n.order.String()
	}
	if err := s.store.count(ctx, tx, ids); err != nil {
		return nil, nil, err
	}
	list, err := s.store.these(ctx, tx, ids)
	if err != nil {
		return nil, nil, err
	}
	held, err := s.store.waiting(ctx, tx, ids)
	if err != nil {
		return nil, nil, err
	}
	var steps []journeyStep
	for i := range list {
		o := &list[i]
		was := o.Fulfillment
		went := o.arrive()
		waited := o.HeldFor
		o.HeldFor = held[o.ID]
		for _, n := range news {
			if n.order != o.ID {
				continue
			}
			o.Version++
			st := journeyStep{order: o.ID, version: o.Version, status: o.Status, fulfillment: o.Fulfillment, heldFor: o.HeldFor, shipment: n.shipment, told: n.status}
			st.changed, was = was != o.Fulfillment, o.Fulfillment
			steps = append(steps, st)
		}
		if went {
			moved = append(moved, *o)
		}
		if waited == "" && o.HeldFor == labelFailed && !slices.ContainsFunc(news, func(n report) bool { return n.order == o.ID && n.undecided }) {
			stuck = append(stuck, *o)
		}
	}
	return moved, stuck, s.store.saveJourney(ctx, tx, steps, actor.Actor)
}
