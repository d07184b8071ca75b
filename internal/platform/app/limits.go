package app

import (
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/ratelimit"
)

// count says who counts requests: the store that all programs of the shop share, or each
// program for itself.
func (a *App) count(l *httpx.Limits) error {
	local := ratelimit.NewLocal(a.opt.Clock)
	l.By = local
	if l.Requests > 0 {
		l.Guesses = local
	}
	if a.opt.LimitStore == "" {
		return nil
	}
	shared, err := ratelimit.NewShared(a.opt.LimitStore, local, a.opt.Clock, a.opt.Log)
	if err != nil {
		return err
	}
	a.limits, l.By = shared, shared
	return nil
}
