package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// Journey is all that is known of the order that people call by a number: what it is, its
// shipments, and each step it took.
func (m *Module) Journey(ctx context.Context, number int64) (j ordersapi.Journey, err error) {
	err = m.svc.db.Read(ctx, func(tx *db.Tx) error {
		list, err := m.svc.store.list(ctx, tx, filter{Number: number, Limit: 1})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return httpx.ErrNotFound
		}
		j.Order = shownTo(ctx, present(list[0]))
		if j.Shipments, err = m.svc.store.shipments(ctx, tx, list[0].ID); err != nil {
			return err
		}
		steps, err := m.svc.store.timeline(ctx, tx, list[0].ID)
		if err != nil {
			return err
		}
		j.Steps, err = presentSteps(steps)
		return err
	})
	return j, err
}

func presentSteps(steps []step) ([]ordersapi.StepView, error) {
	list := make([]ordersapi.StepView, len(steps))
	for i, st := range steps {
		list[i] = ordersapi.StepView{
			Status: st.Status, PaymentStatus: text(st.Payment), FulfillmentStatus: text(st.Fulfillment), ShipmentStatus: text(st.Told),
			Hold: text(st.Hold), Reason: text(st.Reason), Actor: st.Actor, At: st.At.UTC(),
		}
		if st.Shipment != nil {
			list[i].ShipmentID = st.Shipment.String()
		}
		if st.Return != nil {
			list[i].ReturnID, list[i].ReturnStatus = st.Return.String(), text(st.Comes)
		}
		for said, into := range map[*[]byte]any{&st.Cancelled: &list[i].Cancelled, &st.Edited: &list[i].Edited} {
			if *said == nil {
				continue
			}
			if err := json.Unmarshal(*said, into); err != nil {
				return nil, fmt.Errorf("what a step changed: %w", err)
			}
		}
	}
	return list, nil
}

// shipments are what the shipments of an order told last, in the order in which they were made.
func (store) shipments(ctx context.Context, tx *db.Tx, order uuid.UUID) ([]ordersapi.ShipmentView, error) {
	list := []ordersapi.ShipmentView{}
	if err := tx.Select(ctx, &list, `
		select s.shipment_id::text id, s.direction, case when s.back_at is null then s.status else 'arrived_back' end status, s.carrier, s.tracking_number, coalesce(sum(l.quantity), 0)::bigint units
		from orders.shipment s left join orders.shipment_line l using (order_id, shipment_id)
		where s.order_id = $1 group by s.shipment_id, s.direction, s.status, s.back_at, s.carrier, s.tracking_number order by s.shipment_id`, order); err != nil {
		return nil, fmt.Errorf("read shipments: %w", err)
	}
	return list, nil
}
