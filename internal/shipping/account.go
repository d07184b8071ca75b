package shipping

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

var (
	errNoCarrier    = fault.New(fault.Invalid, "carrier_not_available", "This program does not have the carrier.")
	errNoAccount    = fault.New(fault.Conflict, "carrier_not_configured", "The shop has no account for this carrier that is enabled.")
	errAccountInUse = fault.New(fault.Conflict, "carrier_account_in_use", "Labels were bought with this account. Disable it instead.")
)

// account is a shop's at a carrier.
type account struct {
	ID             uuid.UUID `db:"id"`
	Provider       string    `db:"provider"`
	Name           string    `db:"name"`
	SecretKey      []byte    `db:"secret_key"`      // sealed
	WebhookSecrets []byte    `db:"webhook_secrets"` // sealed: a list
	Enabled        bool      `db:"enabled"`
	Preferred      bool      `db:"preferred"` // takes shipments that name no carrier
	Format         string    `db:"format"`    // of its labels
	Version        int64     `db:"version"`
	CreatedAt      time.Time `db:"created_at"`
	UpdatedAt      time.Time `db:"updated_at"`
}

// Purposes that secrets are sealed for.
const (
	sealedKey     = "carrier-account"
	sealedWebhook = "carrier-webhook"
	sealedOffer   = "carrier-offer"
)

// opened is an account as its carrier takes it.
func (s *service) opened(ctx context.Context, a account) (carrier.Carrier, carrier.Account, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, carrier.Account{}, err
	}
	c := s.carriers[a.Provider]
	if c == nil {
		return nil, carrier.Account{}, errNoCarrier
	}
	out := carrier.Account{ID: a.ID.String()}
	if a.SecretKey != nil {
		key, err := s.vault.Open(id.Tenant, sealedKey, a.SecretKey)
		if err != nil {
			return nil, out, fmt.Errorf("open the key of account %s: %w", a.ID, err)
		}
		out.Key = string(key)
	}
	if a.WebhookSecrets != nil {
		list, err := s.vault.Open(id.Tenant, sealedWebhook, a.WebhookSecrets)
		if err != nil {
			return nil, out, fmt.Errorf("open the webhook secrets of account %s: %w", a.ID, err)
		}
		if err := json.Unmarshal(list, &out.WebhookSecrets); err != nil {
			return nil, out, fmt.Errorf("webhook secrets of account %s: %w", a.ID, err)
		}
	}
	return c, out, nil
}

// credentials that a request brings; nil leaves those that there are.
type credentials struct {
	SecretKey      *string
	WebhookSecrets *[]string
}

func (s *service) seal(ctx context.Context, a *account, c credentials) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if c.SecretKey != nil {
		a.SecretKey = nil
		if *c.SecretKey != "" {
			if a.SecretKey, err = s.vault.Seal(id.Tenant, sealedKey, []byte(*c.SecretKey)); err != nil {
				return err
			}
		}
	}
	if c.WebhookSecrets != nil {
		a.WebhookSecrets = nil
		if len(*c.WebhookSecrets) > 0 {
			list, err := json.Marshal(*c.WebhookSecrets)
			if err != nil {
				return fmt.Errorf("encode webhook secrets: %w", err)
			}
			if a.WebhookSecrets, err = s.vault.Seal(id.Tenant, sealedWebhook, list); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *service) addAccount(ctx context.Context, tx *db.Tx, a account, c credentials) (account, error) {
	if a.Provider != inhouseName && s.carriers[a.Provider] == nil {
		return account{}, errNoCarrier.At("/provider", errNoCarrier.Code, "is none that this program has")
	}
	if err := s.seal(ctx, &a, c); err != nil {
		return account{}, err
	}
	a.ID, a.Version, a.CreatedAt, a.UpdatedAt, a.Format = clock.NewID(), 1, tx.Now, tx.Now, cmp.Or(a.Format, string(carrier.PDF))
	return a, s.store.insertAccount(ctx, tx, a)
}

func (s *service) changeAccount(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, c credentials, change func(*account)) (account, error) {
	a, err := s.store.oneAccount(ctx, tx, `where id = $1 for update`, id)
	if err != nil {
		return account{}, err
	}
	if err := match.Allows(a.Version); err != nil {
		return account{}, err
	}
	audit.Before(ctx, presentAccount(a))
	change(&a)
	if err := s.seal(ctx, &a, c); err != nil {
		return account{}, err
	}
	a.Version++
	a.UpdatedAt = tx.Now
	return a, s.store.saveAccount(ctx, tx, a)
}

func (s *service) removeAccount(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) error {
	a, err := s.store.oneAccount(ctx, tx, `where id = $1 for update`, id)
	if err != nil {
		return err
	}
	if err := match.Allows(a.Version); err != nil {
		return err
	}
	audit.Before(ctx, presentAccount(a))
	return s.store.deleteAccount(ctx, tx, id)
}

const accountColumns = `id, provider, name, secret_key, webhook_secrets, enabled, preferred, format, version, created_at, updated_at`

func (s store) insertAccount(ctx context.Context, tx *db.Tx, a account) error {
	if err := s.preferOnly(ctx, tx, a); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `insert into shipping.carrier_account (`+accountColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)`,
		a.ID, a.Provider, a.Name, a.SecretKey, a.WebhookSecrets, a.Enabled, a.Preferred, a.Format, a.Version, a.CreatedAt); err != nil {
		return fmt.Errorf("insert account: %w", err)
	}
	return nil
}

// preferOnly takes the place of another one, when an account is to be preferred.
func (store) preferOnly(ctx context.Context, tx *db.Tx, a account) error {
	if !a.Preferred {
		return nil
	}
	if _, err := tx.Exec(ctx, `update shipping.carrier_account set preferred = false, version = version + 1 where preferred and id <> $1`, a.ID); err != nil {
		return fmt.Errorf("prefer another account: %w", err)
	}
	return nil
}

func (s store) saveAccount(ctx context.Context, tx *db.Tx, a account) error {
	if err := s.preferOnly(ctx, tx, a); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update shipping.carrier_account set name = $2, secret_key = $3, webhook_secrets = $4, enabled = $5, preferred = $6, format = $7, version = $8, updated_at = $9 where id = $1`,
		a.ID, a.Name, a.SecretKey, a.WebhookSecrets, a.Enabled, a.Preferred, a.Format, a.Version, a.UpdatedAt); err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	return nil
}

func (store) deleteAccount(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	n, err := tx.Exec(ctx, `
		delete from shipping.carrier_account where id = $1
		and not exists (select from shipping.purchase where account_id = $1) and not exists (select from shipping.notice where account_id = $1)`, id)
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	if n == 0 {
		return errAccountInUse
	}
	return nil
}

func (s store) account(ctx context.Context, tx *db.Tx, id uuid.UUID) (account, error) {
	return s.oneAccount(ctx, tx, `where id = $1`, id)
}

// accountFor is the account that a shipment's label is bought with: of a carrier or by its id, or
// the preferred one when none is named. ok is false when the shop brings the parcel itself.
func (s store) accountFor(ctx context.Context, tx *db.Tx, name string) (a account, ok bool, err error) {
	list, err := s.accounts(ctx, tx, `where enabled and (provider = $1 or id::text = $1 or $1 = '' and preferred) order by preferred desc, id limit 1 for key share`, name)
	switch {
	case err != nil:
		return a, false, err
	case len(list) > 0:
		return list[0], list[0].Provider != inhouseName, nil
	case name == "" || name == inhouseName:
		return a, false, nil
	}
	return a, false, errNoAccount
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

func (store) accounts(ctx context.Context, tx *db.Tx, where string, args ...any) (list []account, err error) {
	if err := tx.Select(ctx, &list, `select `+accountColumns+` from shipping.carrier_account `+where, args...); err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	for i := range list {
		list[i].CreatedAt, list[i].UpdatedAt = list[i].CreatedAt.UTC(), list[i].UpdatedAt.UTC()
	}
	return list, nil
}
