package identity

import (
	"context"
	"strconv"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ProvenEmail is the address that a customer has shown to be theirs, as addresses are
// compared; ok is false when there is none.
func (m *Module) ProvenEmail(ctx context.Context, tx *db.Tx, customer string) (email string, ok bool, err error) {
	id, err := httpx.ID(customer)
	if err != nil {
		return "", false, err
	}
	a, err := m.customers.store.accountOf(ctx, tx, id)
	if err != nil || a == nil || a.VerifiedAt == nil {
		return "", false, err
	}
	return keyOf(a.Email), true, nil
}

// OfferOrders writes to who has signed in that so many orders were placed with their address,
// and how to add them to the account. That the address was proven once is not enough to have
// them: whoever registered it may still know the password, and be somebody else.
func (m *Module) OfferOrders(ctx context.Context, tx *db.Tx, orders int) error {
	who, err := signedIn(ctx)
	if err != nil {
		return err
	}
	s := m.svc
	a, err := s.store.lock(ctx, tx, who.Account)
	if err != nil {
		return err
	}
	if may, err := s.mayWrite(ctx, tx, toClaim, a.Email); err != nil || !may {
		return err
	}
	raw, err := s.newOneTime(ctx, tx, toClaim, a, "")
	if err != nil {
		return err
	}
	return s.write(ctx, tx, a, "claim-orders", map[string]string{"token": raw, "orders": strconv.Itoa(orders)})
}

// AcceptOrders takes the token of that letter, from the account that it was written to, and
// returns the address whose orders it is good for.
func (m *Module) AcceptOrders(ctx context.Context, tx *db.Tx, token string) (email string, err error) {
	who, err := identity.From(ctx)
	if err != nil {
		return "", err
	}
	tenant, hash, ok := readOpaque(oneTimePrefix, token)
	if !ok || tenant != who.Tenant {
		return "", errInvalidToken
	}
	a, _, err := m.svc.redeem(ctx, tx, hash, toClaim)
	if err != nil {
		return "", err
	}
	if a.ID != who.Account || a.VerifiedAt == nil {
		return "", errInvalidToken
	}
	return a.EmailKey, nil
}
