package identity

import (
	"context"
	"errors"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// forgot mails a token to choose another password with.
func (s *service) forgot(ctx context.Context, tx *db.Tx, a account) error {
	if a.Status != active {
		return nil
	}
	if may, err := s.mayWrite(ctx, tx, toReset, a.Email); err != nil || !may {
		return err
	}
	raw, err := s.newOneTime(ctx, tx, toReset, a, "")
	if err != nil {
		return err
	}
	return s.write(ctx, tx, a, "reset-password", map[string]string{"token": raw})
}

// reset gives an account another password, hashed already. Who reads its mail is its owner:
// the address is proven by it, and all sessions end.
func (s *service) reset(ctx context.Context, tx *db.Tx, token []byte, passwordHash string) error {
	a, _, err := s.redeem(ctx, tx, token, toReset)
	if err != nil {
		return err
	}
	if err := s.firstProof(ctx, tx, &a); err != nil {
		return err
	}
	return s.replacePassword(ctx, tx, a, passwordHash, identity.Identity{})
}

// replacePassword ends all sessions of the account but the one that asked for it.
func (s *service) replacePassword(ctx context.Context, tx *db.Tx, a account, hash string, who identity.Identity) error {
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return err
	}
	a.PasswordHash = hash
	a.endEpoch()
	a.touch(now)
	if who.Account != a.ID && a.VerifiedAt == nil {
		a.VerifiedAt = &now // by the mail that brought the token
	}
	if err := s.store.save(ctx, tx, a); err != nil {
		return err
	}
	if err := s.store.endSessions(ctx, tx, a.ID, who.Session); err != nil {
		return err
	}
	if err := s.store.dropOneTime(ctx, tx, a.ID); err != nil {
		return err
	}
	if who.Account == a.ID {
		if err := s.store.keepSession(ctx, tx, who.Session, a.Epoch); err != nil {
			return err
		}
	} else if err := s.store.reset(ctx, tx, anywhere(a.EmailKey)); err != nil {
		return err
	}
	return s.notify(ctx, tx, a, "password-changed")
}

// stillProven locks the account of who has shown its password, unless that was changed since.
func (s *service) stillProven(ctx context.Context, tx *db.Tx, shown account) (account, error) {
	a, err := s.store.lock(ctx, tx, shown.ID)
	if err == nil && a.Epoch != shown.Epoch {
		err = errCredentials
	}
	return a, err
}

// prove has who has signed in show the password again, as often as a login may fail.
func (s *service) prove(ctx context.Context, who identity.Identity, password string) (account, error) {
	t := tried{subject: byAccount(who.Account), failure: proofFailed}
	err := s.attempt(ctx, t.subject, func(tx *db.Tx) (err error) {
		t.account, err = s.store.account(ctx, tx, who.Account)
		return err
	})
	if err != nil {
		return account{}, err
	}
	if t.account.PasswordHash == "" {
		return account{}, errors.Join(errNoPassword, s.unverified(ctx, t.subject))
	}
	right, _, err := s.passwords.Verify(ctx, t.hash(), password)
	if err != nil {
		return account{}, errors.Join(err, s.unverified(ctx, t.subject))
	}
	if !right {
		return account{}, s.refuse(ctx, t, errCredentials)
	}
	return t.account, s.db.InTx(ctx, func(tx *db.Tx) error { return s.store.reset(ctx, tx, t.subject) })
}

// attempt counts what somebody who has signed in is about to try.
func (s *service) attempt(ctx context.Context, sub subject, read func(tx *db.Tx) error) error {
	var r reservation
	err := s.db.InTx(ctx, func(tx *db.Tx) (err error) {
		if err := read(tx); err != nil {
			return err
		}
		r, err = s.store.reserve(ctx, tx, sub)
		return err
	})
	if err == nil && r.Wait > 0 {
		err = r.refusal()
	}
	return err
}
