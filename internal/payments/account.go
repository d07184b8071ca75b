package payments

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var (
	errNoAccount    = fault.New(fault.Conflict, "payments_not_configured", "The shop has no account for this provider that is enabled.")
	errNoProvider   = fault.New(fault.Invalid, "provider_not_available", "This program does not have the provider.")
	errAccountInUse = fault.New(fault.Conflict, "payment_account_in_use", "Payments were made with this account. Disable it instead.")
)

// account is a shop's at a provider.
type account struct {
	ID             uuid.UUID
	Provider       string
	Name           string
	SecretKey      []byte // sealed
	WebhookSecrets []byte // sealed: a list
	Enabled        bool
	Preferred      bool   // used when a payment names no provider
	Capture        string // of payments that do not say
	ReconciledAt   *time.Time
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// When money is captured: as soon as it can be, or by somebody, later.
const (
	captureAutomatic = "automatic"
	captureManual    = "manual"
)

// Purposes that secrets are sealed for.
const (
	sealedKey     = "payment-account"
	sealedWebhook = "payment-webhook"
	sealedClient  = "payment-client"
)

// opened is an account as its provider takes it.
func (s *service) opened(ctx context.Context, a account) (provider.Provider, provider.Account, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, provider.Account{}, err
	}
	p := s.providers[a.Provider]
	if p == nil {
		return nil, provider.Account{}, errNoProvider.Saying("This program does not have the provider %s.", a.Provider)
	}
	out := provider.Account{ID: a.ID.String()}
	if a.SecretKey != nil {
		key, err := s.vault.Open(id.Tenant, sealedKey, a.SecretKey)
		if err != nil {
			return nil, out, fmt.Errorf("open the key of account %s: %w", a.ID, err)
		}
		out.SecretKey = string(key)
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
	return p, out, nil
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
	if s.providers[a.Provider] == nil {
		return account{}, errNoProvider.At("/provider", errNoProvider.Code, "is none that this program has")
	}
	if err := s.seal(ctx, &a, c); err != nil {
		return account{}, err
	}
	a.ID, a.Version, a.CreatedAt, a.UpdatedAt, a.Capture = clock.NewID(), 1, tx.Now, tx.Now, cmp.Or(a.Capture, captureAutomatic)
	if err := s.store.insertAccount(ctx, tx, &a); err != nil {
		return account{}, err
	}
	if s.houseOf(a.Provider) != nil {
		return a, nil
	}
	s.timers.Set(tx, timerReconcile, a.ID.String(), tx.Now.Add(reconcileEvery))
	return a, nil
}

func (s *service) changeAccount(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, c credentials, change func(*account)) (account, error) {
	a, err := s.store.lockAccount(ctx, tx, id)
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
	a, err := s.store.lockAccount(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := match.Allows(a.Version); err != nil {
		return err
	}
	audit.Before(ctx, presentAccount(a))
	s.timers.Clear(tx, timerReconcile, id.String())
	return s.store.deleteAccount(ctx, tx, id)
}
