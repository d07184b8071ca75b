package orders

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

var (
	errNothingToShip = fault.New(fault.Conflict, "nothing_to_ship", "That is not left to ship: it was not ordered, was cancelled, or is in a parcel already.")
	errNotShippable  = fault.New(fault.Conflict, "order_not_shippable", "The order cannot be shipped.")
)

// Consign notes what of an order goes into a shipment, in the transaction that makes the
// shipment, and returns whom it goes to. No items are all that is left. Nothing is in two
// shipments, however many ask at the same moment: what is left is decided under the lock of the
// order. A shipment that failed has given back what was in it, and takes it anew by asking again.
func (m *Module) Consign(ctx context.Context, tx *db.Tx, orderID, shipmentID uuid.UUID, items []ordersapi.ConsignedItem) (ordersapi.Consignee, error) {
	s := m.svc
	o, err := s.store.lock(ctx, tx, orderID, "")
	if err != nil {
		return ordersapi.Consignee{}, err
	}
	if err := o.shippable(); err != nil {
		return ordersapi.Consignee{}, err
	}
	if err := s.store.unpack(ctx, tx, &o, shipmentID); err != nil {
		return ordersapi.Consignee{}, err
	}
	list, wrong := portions(o.Lines, items)
	if len(wrong) > 0 {
		return ordersapi.Consignee{}, errNothingToShip.AtFields(wrong...)
	}
	if len(list) == 0 {
		return ordersapi.Consignee{}, errNothingToShip
	}
	if err := s.store.pack(ctx, tx, o.ID, shipmentID, list); err != nil {
		return ordersapi.Consignee{}, err
	}
	return consignee(o, list), nil
}

// shippable refuses orders of which nothing is to leave the house.
func (o order) shippable() error {
	if o.Status != paid && o.Status != shipped && o.Status != delivered {
		return errNotShippable.Saying("An order that is %s cannot be shipped.", o.Status)
	}
	if o.Hold != "" {
		return errHeld
	}
	return nil
}

func consignee(o order, list []portion) ordersapi.Consignee {
	c := ordersapi.Consignee{OrderID: o.ID.String(), Number: o.Number, CustomerID: o.CustomerID, Email: o.Email, Address: o.Address, Currency: o.Currency}
	if o.Address != nil {
		c.Country = o.Address.Country
	}
	if o.Shipping != nil {
		c.MethodID, c.Method = o.Shipping.MethodID, o.Shipping.Name
	}
	for _, p := range list {
		l := o.Lines[p.Position-1]
		c.Items = append(c.Items, ordersapi.ConsignedLine{Line: p.Position, ProductID: l.ProductID.String(), SKU: l.SKU, Name: l.Name, Quantity: p.Quantity, Price: l.Price})
	}
	return c
}

// pack notes what is in a shipment.
func (store) pack(ctx context.Context, tx *db.Tx, order, shipment uuid.UUID, list []portion) error {
	positions, quantities := make([]int64, len(list)), make([]int64, len(list))
	for i, p := range list {
		positions[i], quantities[i] = int64(p.Position), p.Quantity
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with s as (
			insert into orders.shipment as old (order_id, shipment_id, direction, status, version, updated_at) values ($1, $2, 'outbound', 'consigned', 0, $5)
			on conflict (tenant_id, order_id, shipment_id) do update set status = 'consigned', retaken = old.status <> 'failed', updated_at = excluded.updated_at
		), l as (
			insert into orders.shipment_line (order_id, shipment_id, position, quantity)
			select $1, $2, n.position, n.quantity from unnest($3::bigint[], $4::bigint[]) n(position, quantity)
		)
		update orders.line l set consigned = l.consigned + n.quantity
		from unnest($3::bigint[], $4::bigint[]) n(position, quantity) where l.order_id = $1 and l.position = n.position`,
		order, shipment, db.Array(positions), db.Array(quantities), tx.Now); err != nil {
		return fmt.Errorf("pack shipment: %w", err)
	}
	return nil
}

// unpack takes out of a shipment what was in it when it was asked for before, unless it has left.
func (s store) unpack(ctx context.Context, tx *db.Tx, o *order, shipment uuid.UUID) error {
	var was []struct {
		Status   string `db:"status"`
		Position int    `db:"position"`
		Quantity int64  `db:"quantity"`
	}
	if err := tx.Select(ctx, &was, `
		select s.status, l.position, l.quantity from orders.shipment s join orders.shipment_line l using (order_id, shipment_id)
		where s.order_id = $1 and s.shipment_id = $2`, o.ID, shipment); err != nil {
		return fmt.Errorf("read shipment: %w", err)
	}
	if len(was) == 0 {
		return nil
	}
	if st := parcelStatus(was[0].Status); st.sent() || st == parcelVoided {
		return errNothingToShip.Saying("The shipment is %s.", st)
	}
	if _, err := tx.Exec(ctx, `delete from orders.shipment_line where order_id = $1 and shipment_id = $2`, o.ID, shipment); err != nil {
		return fmt.Errorf("unpack shipment: %w", err)
	}
	if parcelStatus(was[0].Status).givenBack() {
		return nil
	}
	for _, w := range was {
		o.Lines[w.Position-1].Consigned -= w.Quantity
	}
	return s.count(ctx, tx, []string{o.ID.String()})
}
