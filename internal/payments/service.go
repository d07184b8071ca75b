package payments

import (
	"context"
	"log/slog"
	"time"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

type service struct {
	db        *db.DB
	events    *event.Log
	timers    *timer.Timers
	vault     *vault.Vault
	now       clock.Clock
	log       *slog.Logger
	orders    Orders
	providers map[string]provider.Provider
	patience  time.Duration // with a provider
	store     store
}

// house is a provider that is the shop itself: nobody else has to be asked, so that a charge
// and what becomes of it are one transaction.
type house interface {
	ChargeIn(ctx context.Context, tx *db.Tx, account string, w provider.Charge) (provider.Object, error)
}

// houseOf is nil for providers that are somebody else.
func (s *service) houseOf(name string) house {
	h, _ := s.providers[name].(house)
	return h
}
