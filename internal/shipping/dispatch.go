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

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
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
	Size    carrier.Parcel            // grams 0: as what is in it
	Service string
	Carrier string // whose account; empty: the preferred one's
	Offer   *offer // that is bought; nil: the cheapest
	// Measures of what is in it, by SKU; nil: not asked for.
	Measures map[string]catalogapi.Measures
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
	before, err := s.store.parcels(ctx, tx, w.OrderID, shippingapi.Outbound) // under the lock of the order
	if err != nil {
		return shipment{}, err
	}
	p := parcelOf(w, to, how)
	p.Parcel, p.Token, p.Version, p.CreatedAt, p.UpdatedAt = before+1, rand.Text(), 1, tx.Now, tx.Now
	if p.Size, err = s.sized(ctx, tx, w, p.Items, how); err != nil {
		return shipment{}, err
	}
	facts := []event.Event{p.news()}
	a, buys, err := s.buyer(ctx, tx, w)
	if err != nil {
		return shipment{}, err
	}
	if buys {
		p.Carrier = a.Provider
		if err := s.store.insertShipment(ctx, tx, p); err != nil {
			return shipment{}, err
		}
		wish := purchase{ShipmentID: p.ID, AccountID: a.ID, Key: clock.NewID(), Service: p.Service, Strict: w.Service != "", CreatedAt: s.now()}
		if w.Offer != nil {
			if err := w.Offer.covers(p); err != nil {
				return shipment{}, err
			}
			wish.Rate, wish.Quote = &w.Offer.Rate, &w.Offer.Quote
		}
		if err := s.store.insertPurchase(ctx, tx, wish); err != nil {
			return shipment{}, err
		}
		s.timers.Set(tx, buyLabel, p.ID.String(), tx.Now)
		return p, s.events.Publish(ctx, tx, facts...)
	}
	p.stamp(how)
	p.Version++
	facts = append(facts, p.news())
	if err := s.store.insertShipment(ctx, tx, p); err != nil {
		return shipment{}, err
	}
	return p, s.events.Publish(ctx, tx, facts...)
}

// parcelOf is what is sent of an order.
func parcelOf(w wanted, to ordersapi.Consignee, how settings) shipment {
	p := shipment{
		ID: w.ID, OrderID: w.OrderID, OrderNumber: to.Number, CustomerID: to.CustomerID, Direction: shippingapi.Outbound, Sender: *how.Sender, Recipient: to.Address, Size: w.Size,
		Label: labelWanted, Carrier: inhouseName, Service: cmp.Or(w.Service, to.Method),
	}
	for _, i := range to.Items {
		p.Items = append(p.Items, packed{i.Line, i.SKU, i.Name, i.Quantity, i.Price})
	}
	return p
}

// buyer is the account that the label is bought with; ok is false when the shop brings the parcel
// itself.
func (s *service) buyer(ctx context.Context, tx *db.Tx, w wanted) (a account, ok bool, err error) {
	name := w.Carrier
	if w.Offer != nil {
		name = w.Offer.Account.String()
	}
	return s.store.accountFor(ctx, tx, name)
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
	now, taken, errand := was, false, voidLabel
	if was.Carrier != inhouseName && (was.Label == labelWanted || was.Label == labelBought) {
		p, err := s.store.purchase(ctx, tx, was.ID)
		if err != nil {
			return was, err
		}
		taken = p.AskedAt != nil
		if p.Reference == "" {
			errand = buyLabel // it may have been bought: that is found out first
		}
	}
	changed, err := now.void(taken)
	if err != nil || !changed {
		return was, err
	}
	if taken {
		s.timers.Set(tx, errand, was.ID.String(), tx.Now)
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
	s.timers.SetAll(tx, sendOrder, orders, tx.Now)
	return nil
}

// send makes a parcel of an order. One that cannot be sent waits for somebody to look at it.
func (s *service) send(ctx context.Context, subject string, _ int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("order to send: %w", err)
	}
	_, err = measured(ctx, s, wanted{ID: clock.NewID(), OrderID: id}, func(w wanted) (struct{}, error) {
		return struct{}{}, s.db.InTx(ctx, func(tx *db.Tx) error {
			how, err := s.store.settings(ctx, tx, "")
			if err != nil {
				return err
			}
			_, err = s.dispatch(ctx, tx, w, how)
			return err
		})
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
