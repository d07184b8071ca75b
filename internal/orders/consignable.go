package orders

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Consignable is what Consign would put into a shipment now, and whom it would go to. It notes
// nothing.
func (m *Module) Consignable(ctx context.Context, tx *db.Tx, orderID uuid.UUID, items []ordersapi.ConsignedItem) (ordersapi.Consignee, error) {
	o, err := m.svc.store.find(ctx, tx, orderID, "")
	if err != nil {
		return ordersapi.Consignee{}, err
	}
	if err := o.shippable(); err != nil {
		return ordersapi.Consignee{}, err
	}
	list, wrong := portions(o.Lines, items)
	if len(wrong) > 0 {
		return ordersapi.Consignee{}, errNothingToShip.AtFields(wrong...)
	}
	if len(list) == 0 {
		return ordersapi.Consignee{}, errNothingToShip
	}
	return consignee(o, list), nil
}
