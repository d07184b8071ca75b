package shipping

import (
	"context"
	"errors"
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

// shownTo hides from who may not see people where a parcel goes, or comes from. Its label says so
// to whoever prints it.
func shownTo(ctx context.Context, r shipmentResponse) shipmentResponse {
	if r.Recipient == nil || identity.Can(ctx, permissionPersonal) {
		return r
	}
	r.FailureMessage = ""
	for i := range r.Events {
		r.Events[i].Description = "" // carriers write into it who has signed
	}
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

// onOrderClaimed tells whose a guest's parcels are now. Whoever was erased since has none that
// say anything of them: that may have been heard before.
func (s *service) onOrderClaimed(ctx context.Context, tx *db.Tx, batch []event.Received[ordersapi.OrderClaimed]) error {
	var gone []string
	for _, r := range batch {
		switch err := erasure.Allow(ctx, tx, r.Fact.CustomerID); {
		case errors.Is(err, erasure.ErrErased):
			gone = append(gone, r.Fact.CustomerID)
		case err != nil:
			return err
		}
		if _, err := tx.Exec(ctx, `update shipping.shipment set customer_id = $2 where order_id = $1`, r.Fact.OrderID, r.Fact.CustomerID); err != nil {
			return fmt.Errorf("claim parcels: %w", err)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.forget(ctx, tx, gone)
}

// onErased forgets where the parcels of customers went, and came from. What is being written of
// them is waited for; the orders refuse what comes later, because they have forgotten as well.
func (s *service) onErased(ctx context.Context, tx *db.Tx, batch []event.Received[identityapi.CustomerErased]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.CustomerID
	}
	if err := erasure.Heed(ctx, tx, ids); err != nil {
		return err
	}
	return s.forget(ctx, tx, ids)
}

// forget takes out of customers' parcels what says who they are: also what carriers wrote about
// the way, who name neighbours and towns, and answers that are kept, which name the parcel only.
func (s *service) forget(ctx context.Context, tx *db.Tx, customers []string) error {
	var parcels []string
	if err := tx.Select(ctx, &parcels, `
		update shipping.shipment
		set recipient = null, sender = case direction when 'return' then '{}' else sender end, failure_message = null, version = version + 1, updated_at = $2,
		    tracking = case when jsonb_typeof(tracking -> 'Events') = 'array' then jsonb_set(tracking, '{Events}', coalesce((
		        select jsonb_agg(e || '{"Description": "", "Place": ""}' order by n) from jsonb_array_elements(tracking -> 'Events') with ordinality events(e, n)), '[]')) else tracking end
		where customer_id = any($1) and recipient is not null returning id::text`, db.Array(customers), tx.Now); err != nil {
		return fmt.Errorf("forget the parcels of customers: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from shipping.document d using shipping.shipment s where s.id = d.shipment_id and s.customer_id = any($1)`, db.Array(customers)); err != nil {
		return fmt.Errorf("forget the labels of customers: %w", err)
	}
	return httpx.ForgetAnswers(ctx, tx, "", append(parcels, customers...)...)
}
