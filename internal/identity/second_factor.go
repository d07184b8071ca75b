package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// totpPurpose is what a sealed secret is for.
const totpPurpose = "totp"

type enrolment struct {
	Secret []byte
	URL    string
}

// enrol begins to give an account a second factor. It counts once a code has confirmed it.
func (s *service) enrol(ctx context.Context, tx *db.Tx, who identity.Identity, shown account) (enrolment, error) {
	a, err := s.stillProven(ctx, tx, shown)
	if err != nil {
		return enrolment{}, err
	}
	if a.VerifiedAt == nil {
		return enrolment{}, errNotProven
	}
	if a.HasTOTP {
		return enrolment{}, errAlreadyHasTOTP
	}
	secret := newTOTPSecret()
	sealed, err := s.vault.Seal(who.Tenant, totpPurpose, secret)
	if err != nil {
		return enrolment{}, fmt.Errorf("seal second factor: %w", err)
	}
	return enrolment{secret, otpauth(secret, "FusionCommerce", a.Email)}, s.store.putTOTP(ctx, tx, a.ID, sealed)
}

// confirm makes the second factor count, for the session that confirmed it as well, and
// returns the codes for the day on which the phone is lost.
func (s *service) confirm(ctx context.Context, tx *db.Tx, who identity.Identity, code string) ([]string, error) {
	a, err := s.store.lock(ctx, tx, who.Account)
	if err != nil {
		return nil, err
	}
	if a.HasTOTP {
		return nil, errAlreadyHasTOTP
	}
	if err := s.consumeCode(ctx, tx, who, a.ID, code, false); err != nil {
		return nil, err
	}
	codes, hashes := make([]string, recoveryCodes), make([][]byte, recoveryCodes)
	for i := range codes {
		codes[i] = newRecoveryCode()
		hashes[i] = hashOfRecoveryCode(codes[i])
	}
	if err := s.store.putRecoveryCodes(ctx, tx, a.ID, hashes); err != nil {
		return nil, err
	}
	return codes, s.store.strengthen(ctx, tx, who.Session, byCode)
}

// disarm takes the second factor away. Its owner shows it once more.
func (s *service) disarm(ctx context.Context, tx *db.Tx, who identity.Identity, code string) error {
	a, err := s.store.lock(ctx, tx, who.Account)
	if err != nil {
		return err
	}
	if !a.HasTOTP {
		return errNoTOTP
	}
	if err := s.consumeCode(ctx, tx, who, a.ID, code, true); err != nil {
		return err
	}
	return s.store.dropTOTP(ctx, tx, a.ID)
}

// consume accepts a code of the app, or else one of the codes for emergencies, once.
func (s *service) consume(ctx context.Context, tx *db.Tx, id uuid.UUID, code, recovery string) error {
	who, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if code != "" {
		return s.consumeCode(ctx, tx, who, id, code, true)
	}
	used, err := s.store.useRecoveryCode(ctx, tx, id, hashOfRecoveryCode(recovery))
	if err == nil && !used {
		err = errWrongCode.At("/recoveryCode", "invalid_code", "is not one of yours, or was used before")
	}
	return err
}

func (s *service) consumeCode(ctx context.Context, tx *db.Tx, who identity.Identity, id uuid.UUID, code string, confirmed bool) error {
	t, ok, err := s.store.lockTOTP(ctx, tx, id)
	if err != nil {
		return err
	}
	if !ok || (t.ConfirmedAt != nil) != confirmed {
		return errNoTOTP
	}
	secret, err := s.vault.Open(who.Tenant, totpPurpose, t.Secret)
	if err != nil {
		return fmt.Errorf("open second factor: %w", err)
	}
	step, ok := acceptedStep(secret, code, t.Now, t.LastStep)
	if !ok {
		return errWrongCode.At("/code", "invalid_code", "is not right, or was used before")
	}
	return s.store.acceptStep(ctx, tx, id, step)
}

// withCode runs what a code is needed for, as often as a login may fail.
func (s *service) withCode(ctx context.Context, who identity.Identity, do func() error) error {
	sub := byAccount(who.Account)
	if err := s.attempt(ctx, sub, func(*db.Tx) error { return nil }); err != nil {
		return err
	}
	err := do()
	return errors.Join(err, s.db.InTx(ctx, func(tx *db.Tx) error {
		switch {
		case err == nil:
			return s.store.reset(ctx, tx, sub)
		case errors.Is(err, errWrongCode):
			_, err := s.store.fail(ctx, tx, sub)
			return err
		default:
			return s.store.refund(ctx, tx, sub)
		}
	}))
}

// putTOTP keeps a secret in place of one that was not confirmed.
func (store) putTOTP(ctx context.Context, tx *db.Tx, id uuid.UUID, sealed []byte) error {
	_, err := tx.Exec(ctx, `
		insert into identity.totp (account_id, secret, created_at) values ($1, $2, now())
		on conflict (tenant_id, account_id) do update set secret = excluded.secret, created_at = now(), last_step = 0`, id, sealed)
	if err != nil {
		return fmt.Errorf("keep second factor: %w", err)
	}
	return nil
}

type totpRow struct {
	Secret      []byte     `db:"secret"`
	ConfirmedAt *time.Time `db:"confirmed_at"`
	LastStep    int64      `db:"last_step"`
	Now         time.Time  `db:"now"`
}

func (store) lockTOTP(ctx context.Context, tx *db.Tx, id uuid.UUID) (t totpRow, ok bool, err error) {
	err = tx.Get(ctx, &t, `select secret, confirmed_at, last_step, clock_timestamp() now from identity.totp where account_id = $1 for no key update`, id)
	if db.IsNoRows(err) {
		return totpRow{}, false, nil
	}
	if err != nil {
		return totpRow{}, false, fmt.Errorf("find second factor: %w", err)
	}
	return t, true, nil
}

func (store) acceptStep(ctx context.Context, tx *db.Tx, id uuid.UUID, step int64) error {
	_, err := tx.Exec(ctx, `update identity.totp set last_step = $2, confirmed_at = coalesce(confirmed_at, now()) where account_id = $1`, id, step)
	if err != nil {
		return fmt.Errorf("note code: %w", err)
	}
	return nil
}

func (store) dropTOTP(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
		with codes as (delete from identity.recovery_code where account_id = $1)
		delete from identity.totp where account_id = $1`, id); err != nil {
		return fmt.Errorf("drop second factor: %w", err)
	}
	return nil
}

func (store) putRecoveryCodes(ctx context.Context, tx *db.Tx, id uuid.UUID, hashes [][]byte) error {
	if _, err := tx.Exec(ctx, `delete from identity.recovery_code where account_id = $1`, id); err != nil {
		return fmt.Errorf("forget recovery codes: %w", err)
	}
	if _, err := tx.Exec(ctx, `insert into identity.recovery_code (account_id, hash) select $1, unnest($2::bytea[])`, id, db.Array(hashes)); err != nil {
		return fmt.Errorf("keep recovery codes: %w", err)
	}
	return nil
}

func (store) useRecoveryCode(ctx context.Context, tx *db.Tx, id uuid.UUID, hash []byte) (bool, error) {
	n, err := tx.Exec(ctx, `update identity.recovery_code set used_at = statement_timestamp() where account_id = $1 and hash = $2 and used_at is null`, id, hash)
	if err != nil {
		return false, fmt.Errorf("use recovery code: %w", err)
	}
	return n == 1, nil
}
