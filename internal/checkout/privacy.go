package checkout

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mask"
)

const permissionPersonal = "customers:pii"

// shownTo hides from who may not see people whom a cart is for. One's own is shown.
func shownTo(ctx context.Context, r cartResponse, own bool) cartResponse {
	if own || identity.Can(ctx, permissionPersonal) {
		return r
	}
	r.Email, r.ShippingAddress, r.BillingAddress = mask.Email(r.Email), masked(r.ShippingAddress), masked(r.BillingAddress)
	r.Metadata = mask.Values(r.Metadata)
	return r
}

func masked(a *address) *address {
	if a == nil {
		return nil
	}
	return &address{
		Name: mask.Name(a.Name), Line1: mask.Text(a.Line1), Line2: mask.Text(a.Line2), City: a.City, Region: a.Region,
		PostalCode: mask.Text(a.PostalCode), Country: a.Country, Phone: mask.Text(a.Phone),
	}
}

// PersonalData is all carts of a customer, those that are orders now among them.
func (m *Module) PersonalData(ctx context.Context, customer string) (any, error) {
	list := []cartResponse{}
	err := m.svc.db.Read(ctx, func(tx *db.Tx) error {
		carts, err := m.svc.store.carts(ctx, tx, `where c.customer_id = $1 and c.customer_id <> '' order by c.created_at, c.id`, customer)
		if err != nil {
			return err
		}
		for _, c := range carts {
			list = append(list, present(stored(c)))
		}
		return nil
	})
	return list, err
}

// Claim makes a customer's the carts of guests with an address that is theirs.
func (m *Module) Claim(ctx context.Context, customer, email string) error {
	return m.svc.db.InTx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `
			update checkout.cart set customer_id = $1, version = version + 1, updated_at = $3
			where lower(email) = $2 and customer_id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'`, customer, email, tx.Now); err != nil {
			return fmt.Errorf("claim carts: %w", err)
		}
		return nil
	})
}

// allowed refuses to write of a customer who was erased into a cart that is not theirs yet:
// those that are have ended. Guests have no account to erase.
func allowed(ctx context.Context, tx *db.Tx, c cart) error {
	if !c.isRegistered() {
		return nil
	}
	return erasure.Allow(ctx, tx, c.CustomerID)
}

// onErased ends the carts of customers, and keeps of them who it was by their id only. What is
// being written of them is waited for, and what comes later is refused.
func (s *service) onErased(ctx context.Context, tx *db.Tx, batch []event.Received[identityapi.CustomerErased]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.CustomerID
	}
	if err := erasure.Heed(ctx, tx, ids); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update checkout.cart
		set status = case when status = 'open' then 'expired' else status end, ticket = null, email = null, shipping_address = null, billing_address = null, metadata = '{}',
			version = version + 1, updated_at = $2
		where customer_id <> '' and customer_id = any($1)`, db.Array(ids), tx.Now); err != nil {
		return fmt.Errorf("forget the carts of customers: %w", err)
	}
	return httpx.ForgetAnswers(ctx, tx, "", ids...)
}
