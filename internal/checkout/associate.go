package checkout

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// associate makes a guest's cart the customer's, and pours into it what their latest other
// cart has. That the cart is theirs already changes nothing.
func (s *service) associate(ctx context.Context, id uuid.UUID, who caller) (cartResponse, error) {
	release, err := s.turns.take(ctx, id)
	if err != nil {
		return cartResponse{}, err
	}
	defer release()
	for n := range attempts {
		out, err := s.associateOnce(ctx, id, who)
		if !errors.Is(err, errMoved) {
			return out, err
		}
		if err := pause(ctx, n); err != nil {
			return cartResponse{}, err
		}
	}
	return cartResponse{}, errBusy
}

func (s *service) associateOnce(ctx context.Context, id uuid.UUID, who caller) (out cartResponse, err error) {
	var before, other cart
	var pours bool
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		if before, err = s.store.find(ctx, tx, id, who.reach); err != nil {
			return err
		}
		other, pours, err = s.store.latest(ctx, tx, who.customer, id)
		return err
	}); err != nil {
		return cartResponse{}, err
	}
	switch {
	case before.isRegistered() && before.CustomerID != who.customer:
		return cartResponse{}, httpx.ErrNotFound // whose token somebody has found
	case before.Status != open:
		return cartResponse{}, before.closed()
	}
	c := before.clone()
	if mine := before.CustomerID == who.customer; mine {
		pours = false
	}
	c.CustomerID, c.Ticket = who.customer, nil
	if pours {
		c.pour(other)
	}
	offers, err := s.priced(ctx, c.skus())
	if err != nil {
		return cartResponse{}, err
	}
	a, err := s.assess(ctx, c, offers)
	if err != nil {
		return cartResponse{}, err
	}
	if pours && other.HoldID != "" {
		if err := s.stock.Release(ctx, other.HoldID); err != nil {
			return cartResponse{}, err
		}
	}
	if err := s.hold(ctx, before, &a); err != nil {
		return cartResponse{}, err
	}
	defer s.unlessDone(ctx, before, &a, &err)
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (cartResponse, error) {
		if pours {
			ok, err := s.store.merge(ctx, tx, other, id)
			if err != nil {
				return cartResponse{}, err
			}
			if !ok {
				return cartResponse{}, errMoved
			}
		}
		return s.keep(ctx, tx, before, a, who)
	})
}
