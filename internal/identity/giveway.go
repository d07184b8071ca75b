package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// mayGiveWay tells of a customer's account whose address nobody has proven: whoever signed up
// with it need not be who it belongs to, and must not keep them from being staff.
func (a account) mayGiveWay() bool { return a.Kind == customer && a.VerifiedAt == nil }

// giveWay removes such an account, so that its address is free. Its customer stays, for the
// sake of what they have ordered, as one without an account or an address: that was nobody's.
func (s *service) giveWay(ctx context.Context, tx *db.Tx, old account) (gone bool, err error) {
	// The customer before the account, as an erasure does: they would wait for one another.
	if _, err := s.customers.store.lock(ctx, tx, old.Customer); err != nil && !errors.Is(err, httpx.ErrNotFound) {
		return false, err
	}
	a, err := s.store.lock(ctx, tx, old.ID)
	if errors.Is(err, httpx.ErrNotFound) {
		return true, nil // somebody was faster
	}
	if err != nil || !a.mayGiveWay() {
		return false, err // it was proven meanwhile
	}
	if err := s.customers.store.eraseAccount(ctx, tx, a.ID); err != nil {
		return false, err
	}
	if err := s.customers.store.dropAddress(ctx, tx, a.Customer); err != nil {
		return false, err
	}
	return true, audit.Record(ctx, tx, audit.Entry{Action: "account.gave-way", Entity: "account", EntityID: a.ID.String(), Before: present(a)})
}

// dropAddress of a customer who has no account any more. An id is no address, and as unique.
func (profileStore) dropAddress(ctx context.Context, tx *db.Tx, customer uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
		update identity.customer set registered = false, email = '', email_key = id::text, version = version + 1, updated_at = $2 where id = $1`, customer, tx.Now); err != nil {
		return fmt.Errorf("drop the customer's address: %w", err)
	}
	return nil
}
