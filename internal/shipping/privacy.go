package shipping

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mask"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

const permissionPersonal = "customers:pii"

// shownTo hides from who may not see people where a parcel goes, or comes from. Its label says so to whoever
// prints it.
func shownTo(ctx context.Context, r shipmentResponse) shipmentResponse {
	if r.Recipient == nil || identity.Can(ctx, permissionPersonal) {
		return r
	}
	r.FailureMessage = ""
	if r.masked = true; r.Direction == shippingapi.Return {
		r.Sender = masked(r.Sender)
		return r
	}
	r.Recipient = new(masked(*r.Recipient))
	return r
}

func masked(a ordersapi.Address) ordersapi.Address {
	a.Name, a.Line1, a.Line2, a.PostalCode, a.Phone = mask.Name(a.Name), mask.Text(a.Line1), mask.Text(a.Line2), mask.Text(a.PostalCode), mask.Text(a.Phone)
	return a
}

// PersonalData is all parcels of a customer.
func (m *Module) PersonalData(ctx context.Context, customer string) (any, error) {
	list := []shipmentResponse{}
	err := m.svc.db.Read(ctx, func(tx *db.Tx) error {
		parcels, err := m.svc.store.shipments(ctx, tx, `where s.customer_id = $1 order by s.created_at, s.id`, customer)
		for _, p := range parcels {
			list = append(list, presentShipment(p))
		}
		return err
	})
	return list, err
}

// Claim has nothing to do: parcels follow their orders.
func (*Module) Claim(context.Context, string, string) error { return nil }

// onOrderClaimed tells whose a guest's parcels are now.
func (s *service) onOrderClaimed(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderClaimed]) error {
	for _, r := range batch {
		if _, err := tx.Exec(ctx, `update shipping.shipment set customer_id = $2 where order_id = $1`, r.Fact.OrderID, r.Fact.CustomerID); err != nil {
			return fmt.Errorf("claim parcels: %w", err)
		}
	}
	return nil
}

// onErased forgets where the parcels of customers went, and came from. What is being written of them is waited
// for; the orders refuse what comes later, because they have forgotten as well.
func (s *service) onErased(ctx context.Context, tx *db.Tx, batch []event.Received[identityapi.CustomerErased]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.CustomerID
	}
	if err := erasure.Heed(ctx, tx, ids); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update shipping.shipment set recipient = null, sender = case direction when 'return' then '{}' else sender end, failure_message = null, version = version + 1, updated_at = $2 where customer_id = any($1) and recipient is not null`, db.Array(ids), tx.Now); err != nil {
		return fmt.Errorf("forget the parcels of customers: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from shipping.document d using shipping.shipment s where s.id = d.shipment_id and s.customer_id = any($1)`, db.Array(ids)); err != nil {
		return fmt.Errorf("forget the labels of customers: %w", err)
	}
	return httpx.ForgetAnswers(ctx, tx, "", ids...)
}
