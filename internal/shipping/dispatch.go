package shipping

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// wanted is a parcel that somebody wants to send.
type wanted struct {
	ID      uuid.UUID
	OrderID uuid.UUID
	Items   []ordersapi.ConsignedItem // none: all that is left
	Size    carrier.Parcel            // grams 0: as the shop says
	Service string
}

// dispatch makes a parcel of what is left of an order, with its label.
func (s *service) dispatch(ctx context.Context, tx *db.Tx, w wanted, how settings) (shipment, error) {
	if how.Sender == nil {
		return shipment{}, errNoSender
	}
	to, err := s.orders.Consign(ctx, tx, w.OrderID, w.ID, w.Items)
	if err != nil {
		return shipment{}, err
	}
	if to.Address == nil || to.Address.Line1 == "" || to.Country == "" {
		return shipment{}, errNoAddress
	}
	if uuid.Validate(to.CustomerID) == nil { // guests have any other name, and no account to erase
		if err := erasure.Allow(ctx, tx, to.CustomerID); err != nil {
			return shipment{}, err
		}
	}
	before, err := s.store.parcels(ctx, tx, w.OrderID) // under the lock of the order
	if err != nil {
		return shipment{}, err
	}
	p := shipment{
		ID: w.ID, OrderID: w.OrderID, OrderNumber: to.Number, CustomerID: to.CustomerID, Parcel: before + 1, Direction: shippingapi.Outbound, Sender: *how.Sender, Recipient: to.Address, Size: w.Size,
		Label: labelWanted, Carrier: inhouseName, Service: cmp.Or(w.Service, to.Method), Token: rand.Text(), Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now,
	}
	p.Size.Grams = cmp.Or(p.Size.Grams, how.Grams)
	for _, i := range to.Items {
		p.Items = append(p.Items, packed{i.Line, i.SKU, i.Name, i.Quantity, i.Price})
	}
	facts := []event.Event{p.news()}
	p.stamp(how)
	p.Version++
	facts = append(facts, p.news())
	if err := s.store.insertShipment(ctx, tx, p); err != nil {
		return shipment{}, err
	}
	return p, s.events.Publish(ctx, tx, facts...)
}

// stamp gives a parcel that the shop brings its label. Its number is the order's with the
// parcel's: people know it already, and nobody else in the shop has it.
func (s *shipment) stamp(how settings) {
	s.Label, s.TakenBy, s.TrackingNumber = labelBought, how.Sender.Name, number(s.OrderNumber)+"-"+strconv.Itoa(s.Parcel)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// keep writes a changed shipment as its next version, and tells how it stands if that has
// changed.
func (s *service) keep(ctx context.Context, tx *db.Tx, was, now shipment) (shipment, error) {
	now.Version, now.UpdatedAt = was.Version+1, tx.Now
	if err := s.store.saveShipment(ctx, tx, now); err != nil {
		return shipment{}, err
	}
	if now.status() == was.status() {
		return now, nil
	}
	return now, s.events.Publish(ctx, tx, now.news())
}

// void gives a shipment up that has not left: what is in it can go into another one.
func (s *service) void(ctx context.Context, tx *db.Tx, was shipment) (shipment, error) {
	now := was
	changed, err := now.void()
	if err != nil || !changed {
		return was, err
	}
	return s.keep(ctx, tx, was, now)
}

// sendOrder is the errand that makes a parcel of an order that is paid.
const sendOrder = "shipping.send-order"

// onOrderPaid has orders sent that are paid, in shops that have that done by itself: each by
// an errand of its own, so that one that cannot be sent is in nobody's way.
func (s *service) onOrderPaid(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderPaid]) error {
	orders := make([]string, len(batch))
	for i, r := range batch {
		orders[i] = r.Fact.OrderID
	}
	return s.sendAll(ctx, tx, orders)
}

// onOrderReleased sends what somebody has had to look at before. What is not paid yet is sent
// when it is.
func (s *service) onOrderReleased(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderReleased]) error {
	var orders []string
	for _, r := range batch {
		if r.Fact.Status == "paid" {
			orders = append(orders, r.Fact.OrderID)
		}
	}
	return s.sendAll(ctx, tx, orders)
}

func (s *service) sendAll(ctx context.Context, tx *db.Tx, orders []string) error {
	how, err := s.store.settings(ctx, tx, "")
	if err != nil || how.Policy != policyAuto || len(orders) == 0 {
		return err
	}
	return s.timers.SetAll(ctx, tx, sendOrder, orders, tx.Now)
}

// send makes a parcel of an order. One that cannot be sent waits for somebody to look at it.
func (s *service) send(ctx context.Context, subject string, _ int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("order to send: %w", err)
	}
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		how, err := s.store.settings(ctx, tx, "")
		if err != nil {
			return err
		}
		_, err = s.dispatch(ctx, tx, wanted{ID: clock.NewID(), OrderID: id}, how)
		return err
	})
	if known := new(fault.Error); errors.As(err, &known) && known.Kind != fault.Unavailable {
		s.log.WarnContext(ctx, "an order that is paid could not be made a parcel", "order", id, "err", err)
		return 0, nil
	}
	return 0, err
}

// onOrderCancelled gives the parcels up that have not left.
func (s *service) onOrderCancelled(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderCancelled]) error {
	orders := make([]string, len(batch))
	for i, r := range batch {
		orders[i] = r.Fact.OrderID
	}
	list, err := s.store.lockUnsent(ctx, tx, orders)
	if err != nil {
		return err
	}
	for _, p := range list {
		if _, err := s.void(ctx, tx, p); err != nil {
			return err
		}
	}
	return nil
}
