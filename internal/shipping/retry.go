package shipping

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var errNotFailed = fault.New(fault.Conflict, "shipment_not_failed", "The shipment has not failed.")

// retry tries once more to get a label for a shipment that has failed. What was in it is taken
// anew, and it goes where the order goes now.
func (s *service) retry(ctx context.Context, tx *db.Tx, id uuid.UUID) (shipment, error) {
	seen, err := s.store.findShipment(ctx, tx, id)
	if err != nil {
		return shipment{}, err
	}
	if seen.Direction == shippingapi.Return {
		return shipment{}, errNotFailed.Saying("A return gets another label: POST /v1/returns/%s/label.", seen.ReturnID)
	}
	if seen.Label != labelRefused {
		return shipment{}, errNotFailed.With("shipmentStatus", string(seen.status()))
	}
	items := make([]ordersapi.ConsignedItem, len(seen.Items))
	for i, it := range seen.Items {
		items[i] = ordersapi.ConsignedItem{Line: it.Line, Quantity: it.Quantity}
	}
	to, err := s.orders.Consign(ctx, tx, seen.OrderID, seen.ID, items) // the order's lock comes first
	if err != nil {
		return shipment{}, err
	}
	was, err := s.store.lockShipment(ctx, tx, id)
	if err != nil {
		return shipment{}, err
	}
	if was.Label != labelRefused {
		return shipment{}, errNotFailed.With("shipmentStatus", string(was.status()))
	}
	if to.Address == nil || to.Address.Line1 == "" || to.Country == "" {
		return shipment{}, errNoAddress
	}
	p, err := s.store.purchase(ctx, tx, id)
	if err != nil {
		return shipment{}, err
	}
	a, err := s.store.account(ctx, tx, p.AccountID)
	if err != nil {
		return shipment{}, err
	}
	if !a.Enabled {
		return shipment{}, errNoAccount
	}
	p.Key, p.Rate, p.CreatedAt = clock.NewID(), nil, s.now()
	if err := s.store.insertPurchase(ctx, tx, p); err != nil {
		return shipment{}, err
	}
	now := was
	now.Label, now.Failure, now.Recipient = labelWanted, nil, to.Address
	if err := s.store.readdress(ctx, tx, now); err != nil {
		return shipment{}, err
	}
	if now, err = s.keep(ctx, tx, was, now); err != nil {
		return shipment{}, err
	}
	s.timers.Set(tx, buyLabel, id.String(), tx.Now)
	return now, nil
}
