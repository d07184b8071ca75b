package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type accountRow struct {
	ID             uuid.UUID  `db:"id"`
	Provider       string     `db:"provider"`
	Name           string     `db:"name"`
	SecretKey      []byte     `db:"secret_key"`
	WebhookSecrets []byte     `db:"webhook_secrets"`
	Enabled        bool       `db:"enabled"`
	Preferred      bool       `db:"preferred"`
	Capture        string     `db:"capture"`
	ReconciledAt   *time.Time `db:"reconciled_at"`
	Version        int64      `db:"version"`
	CreatedAt      time.Time  `db:"created_at"`
	UpdatedAt      time.Time  `db:"updated_at"`
}

const accountColumns = `id, provider, name, secret_key, webhook_secrets, enabled, preferred, capture, reconciled_at, version, created_at, updated_at`

func (r accountRow) domain() account {
	a := account(r)
	a.CreatedAt, a.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return a
}

// insertAccount writes an account. The first of a shop is the preferred one; one that is to be
// takes the place of another.
func (s store) insertAccount(ctx context.Context, tx *db.Tx, a *account) error {
	if a.Preferred {
		if err := s.preferNone(ctx, tx); err != nil {
			return err
		}
	}
	if err := tx.Get(ctx, &a.Preferred, `
		insert into payments.account (id, provider, name, secret_key, webhook_secrets, enabled, preferred, version, created_at, updated_at, capture)
		values ($1, $2, $3, $4, $5, $6, $7 or not exists (select from payments.account where preferred), $8, $9, $9, $10) returning preferred`,
		a.ID, a.Provider, a.Name, a.SecretKey, a.WebhookSecrets, a.Enabled, a.Preferred, a.Version, a.CreatedAt, a.Capture); err != nil {
		return fmt.Errorf("insert account: %w", err)
	}
	return nil
}

func (store) preferNone(ctx context.Context, tx *db.Tx) error {
	if _, err := tx.Exec(ctx, `update payments.account set preferred = false, version = version + 1 where preferred`); err != nil {
		return fmt.Errorf("prefer another account: %w", err)
	}
	return nil
}

func (s store) saveAccount(ctx context.Context, tx *db.Tx, a account) error {
	if a.Preferred {
		if err := s.preferNone(ctx, tx); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `
		update payments.account set name = $2, secret_key = $3, webhook_secrets = $4, enabled = $5, preferred = $6, version = $7, updated_at = $8, capture = $9 where id = $1`,
		a.ID, a.Name, a.SecretKey, a.WebhookSecrets, a.Enabled, a.Preferred, a.Version, a.UpdatedAt, a.Capture); err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	return nil
}

func (store) deleteAccount(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	n, err := tx.Exec(ctx, `
		delete from payments.account where id = $1 and not exists (select from payments.payment where account_id = $1)
		and not exists (select from payments.notice where account_id = $1) and not exists (select from payments.stray where account_id = $1)`, id)
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	if n == 0 {
		return errAccountInUse
	}
	return nil
}

// lockAccount reads one that this transaction is about to change.
func (s store) lockAccount(ctx context.Context, tx *db.Tx, id uuid.UUID) (account, error) {
	return s.oneAccount(ctx, tx, `where id = $1 for update`, id)
}

func (s store) account(ctx context.Context, tx *db.Tx, id uuid.UUID) (account, error) {
	return s.oneAccount(ctx, tx, `where id = $1`, id)
}

// accountFor is the account that pays: of a provider, or the preferred one when none is named.
func (s store) accountFor(ctx context.Context, tx *db.Tx, name string) (account, error) {
	list, err := s.accounts(ctx, tx, `where enabled and ($1 = '' or provider = $1) order by preferred desc, id limit 1`, name)
	if err != nil {
		return account{}, err
	}
	if len(list) == 0 {
		return account{}, errNoAccount
	}
	return list[0], nil
}

func (s store) oneAccount(ctx context.Context, tx *db.Tx, where string, args ...any) (account, error) {
	list, err := s.accounts(ctx, tx, where, args...)
	if err != nil {
		return account{}, err
	}
	if len(list) == 0 {
		return account{}, httpx.ErrNotFound
	}
	return list[0], nil
}

func (store) accounts(ctx context.Context, tx *db.Tx, where string, args ...any) ([]account, error) {
	var rows []accountRow
	if err := tx.Select(ctx, &rows, db.Keep+`select `+accountColumns+` from payments.account `+where, args...); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	list := make([]account, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

// paidWith tells whether an account has charges at its provider.
func (store) paidWith(ctx context.Context, tx *db.Tx, id uuid.UUID) (used bool, err error) {
	if err := tx.Get(ctx, &used, `select exists (select from payments.attempt where account_id = $1 and reference is not null)`, id); err != nil {
		return false, fmt.Errorf("look for charges of an account: %w", err)
	}
	return used, nil
}

func (store) reconciled(ctx context.Context, tx *db.Tx, id uuid.UUID, until time.Time) error {
	if _, err := tx.Exec(ctx, `update payments.account set reconciled_at = $2 where id = $1`, id, until); err != nil {
		return fmt.Errorf("note reconciliation: %w", err)
	}
	return nil
}
