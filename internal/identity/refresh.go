package identity

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

const (
	// refreshLife is how long a session lasts in which nobody does anything.
	refreshLife = 7 * 24 * time.Hour
	// refreshGrace is the time in which a second use of a token is taken for the same
	// browser, in another tab, and not for a thief.
	refreshGrace = 10 * time.Second
)

// refresh exchanges a token for the next one. One that was used before is worth nothing,
// and neither is its session from then on: one of the two who used it has stolen it.
func (s *service) refresh(ctx context.Context, raw string) (grant, error) {
	tenant, hash, ok := readOpaque(refreshPrefix, raw)
	if !ok {
		return grant{}, errRefreshToken
	}
	ctx, err := s.enter(ctx, tenant)
	if err != nil {
		return grant{}, err
	}
	var refusal error
	var g grant
	err = s.db.InTx(ctx, func(tx *db.Tx) (err error) {
		refusal = nil
		var used bool
		if g.Session, used, err = s.store.useRefresh(ctx, tx, hash); err != nil {
			return err
		}
		if !used {
			// What follows from it has to come true although the answer is no.
			refusal, err = s.misused(ctx, tx, hash)
			return err
		}
		if g.Account, err = s.store.account(ctx, tx, g.Session.Account); err != nil {
			return err
		}
		var next []byte
		g.Refresh, next = newOpaque(refreshPrefix, tenant)
		if err := s.store.prolong(ctx, tx, g.Session.ID); err != nil {
			return err
		}
		return s.store.insertRefresh(ctx, tx, next, g.Session.ID, refreshLife)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return grant{}, err
	}
	return s.issue(ctx, g)
}

// misused says why a token is refused. A used one ends its session.
func (s *service) misused(ctx context.Context, tx *db.Tx, hash []byte) (refusal, err error) {
	t, ok, err := s.store.usedRefresh(ctx, tx, hash)
	if err != nil {
		return nil, err
	}
	switch {
	case !ok || !t.Used:
		return errRefreshToken, nil
	case t.Lately:
		return errRefreshing, nil
	}
	ended, err := s.store.endSession(ctx, tx, t.Account, t.Session)
	if err != nil || !ended {
		return errRefreshToken, err
	}
	e := audit.Entry{Action: "session.reused", Entity: "session", EntityID: t.Session.String(), Actor: actorOf(t.Account)}
	if err := audit.Record(ctx, tx, e); err != nil {
		return nil, err
	}
	return errRefreshToken, s.events.Publish(ctx, tx, identityapi.SessionReused{SessionID: t.Session.String(), AccountID: t.Account.String()})
}
