package payments

import (
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

// inhouse says that a provider is the shop itself: nobody else has to be asked.
func (s *service) inhouse(name string) bool {
	_, ok := s.providers[name].(interface{ Inhouse() })
	return ok
}
