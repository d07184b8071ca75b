package identity

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// What a one-time token is for, and how long it is good.
const (
	toVerify = "verify"
	toChange = "change"
	toReset  = "reset"
	toInvite = "invite"
	toClaim  = "claim" // what was ordered with the address
)

var lifeOf = map[string]time.Duration{
	toVerify: 24 * time.Hour, toChange: 30 * time.Minute, toReset: 30 * time.Minute, toInvite: 72 * time.Hour,
	toClaim: 30 * time.Minute,
}

// boundOf is what must not change until a token is used: it is good for the address and
// the password that it was made for.
func boundOf(purpose string, a account) []byte {
	switch purpose {
	case toReset, toInvite:
		return hashOf(purpose, a.ID.String(), a.EmailKey, a.PasswordHash, string(a.Status))
	case toChange, toClaim:
		return hashOf(purpose, a.ID.String(), a.EmailKey, a.PasswordHash, strconv.FormatInt(a.Epoch, 10))
	default:
		return hashOf(purpose, a.ID.String(), a.EmailKey)
	}
}

// newOneTime makes a token for an account.
func (s *service) newOneTime(ctx context.Context, tx *db.Tx, purpose string, a account, email string) (raw string, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return "", err
	}
	raw, hash := newOpaque(oneTimePrefix, id.Tenant)
	return raw, s.store.insertOneTime(ctx, tx, hash, oneTime{Purpose: purpose, Account: a.ID, Bound: boundOf(purpose, a), Email: email}, lifeOf[purpose])
}

// redeem takes a token and locks the account that it is for.
func (s *service) redeem(ctx context.Context, tx *db.Tx, hash []byte, purposes ...string) (account, oneTime, error) {
	t, err := s.store.useOneTime(ctx, tx, hash, purposes...)
	if err != nil {
		return account{}, oneTime{}, err
	}
	a, err := s.store.lock(ctx, tx, t.Account)
	if err != nil {
		return account{}, oneTime{}, err
	}
	if string(boundOf(t.Purpose, a)) != string(t.Bound) || a.Status == disabled {
		return account{}, oneTime{}, errInvalidToken
	}
	return a, t, nil
}

// register makes a customer's account. Whether there was one already, only mail tells. The
// password is hashed in both cases: it would show in the time that the answer takes.
func (s *service) register(ctx context.Context, email, password, name string) error {
	hash, err := s.passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	_, err = httpx.Command(ctx, s.db, func(tx *db.Tx) (acceptedResponse, error) {
		now, err := s.store.now(ctx, tx)
		if err != nil {
			return accepted, err
		}
		a := account{
			ID: clock.NewID(), Kind: customer, Email: strings.TrimSpace(email), EmailKey: keyOf(email), Name: strings.TrimSpace(name), PasswordHash: hash,
			Customer: clock.NewID(), Roles: []string{}, Status: active, Version: 1, Epoch: 1, CreatedAt: now, UpdatedAt: now,
		}
		made, err := s.store.insert(ctx, tx, a)
		if err != nil {
			return accepted, err
		}
		if !made {
			return accepted, s.tellOfAccount(ctx, tx, a.Email)
		}
		aboutAccount(ctx, a.ID)
		if err := s.customers.registered(ctx, tx, a.Customer, a.Email, a.Name); err != nil {
			return accepted, err
		}
		if err := s.askToVerify(ctx, tx, a); err != nil {
			return accepted, err
		}
		return accepted, s.events.Publish(ctx, tx, identityapi.CustomerRegistered{CustomerID: a.Customer.String(), AccountID: a.ID.String()})
	})
	return err
}

// tellOfAccount writes to an address that has an account, of which the answer said nothing.
func (s *service) tellOfAccount(ctx context.Context, tx *db.Tx, email string) error {
	if may, err := s.mayWrite(ctx, tx, toTell, email); err != nil || !may {
		return err
	}
	return s.write(ctx, tx, account{Email: email}, "account-exists", nil)
}

func (s *service) askToVerify(ctx context.Context, tx *db.Tx, a account) error {
	if may, err := s.mayWrite(ctx, tx, toVerify, a.Email); err != nil || !may {
		return err
	}
	raw, err := s.newOneTime(ctx, tx, toVerify, a, "")
	if err != nil {
		return err
	}
	return s.write(ctx, tx, a, "verify-email", map[string]string{"token": raw})
}

// verifyEmail notes that somebody reads what is sent to an address: the one of the account,
// or the one that is to become its.
func (s *service) verifyEmail(ctx context.Context, tx *db.Tx, hash []byte) error {
	a, t, err := s.redeem(ctx, tx, hash, toVerify, toChange)
	if err != nil {
		return err
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return err
	}
	former := a
	if t.Purpose == toChange {
		a.Email, a.EmailKey = t.Email, keyOf(t.Email)
	}
	if err := s.firstProof(ctx, tx, &a); err != nil {
		return err
	}
	a.VerifiedAt = &now
	a.touch(now)
	if err := s.store.save(ctx, tx, a); err != nil || t.Purpose != toChange {
		return err
	}
	if err := s.store.dropOneTime(ctx, tx, a.ID); err != nil {
		return err
	}
	return s.notify(ctx, tx, former, "email-changed")
}

// firstProof ends what was set up in an account before somebody showed to read its mail:
// who registered it need not be who the address belongs to.
func (s *service) firstProof(ctx context.Context, tx *db.Tx, a *account) error {
	if a.VerifiedAt != nil {
		return nil
	}
	a.endEpoch()
	a.HasTOTP = false
	if err := s.store.endSessions(ctx, tx, a.ID, uuid.Nil); err != nil {
		return err
	}
	if err := s.store.dropTOTP(ctx, tx, a.ID); err != nil {
		return err
	}
	if err := s.store.dropDevices(ctx, tx, a.ID); err != nil {
		return err
	}
	return s.store.dropOneTime(ctx, tx, a.ID)
}

// resend asks once more to verify the address of who has signed in.
func (s *service) resend(ctx context.Context, tx *db.Tx, who identity.Identity) error {
	a, err := s.store.account(ctx, tx, who.Account)
	if err != nil {
		return err
	}
	return s.remind(ctx, tx, a)
}

// remind asks once more to verify an address that is to be verified.
func (s *service) remind(ctx context.Context, tx *db.Tx, a account) error {
	if a.VerifiedAt != nil || a.Status != active {
		return nil
	}
	return s.askToVerify(ctx, tx, a)
}
