package checkout

import (
	"context"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// associate makes a guest's cart the customer's, and pours into it what their latest other
// cart has, if there is room for all of it. That the cart is theirs already changes nothing.
func (s *service) associate(ctx context.Context, id uuid.UUID, who caller) (cartResponse, error) {
	return again(ctx, s.turns, id, func() (cartResponse, error) { return s.associateOnce(ctx, id, who) })
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
	pours = pours && before.CustomerID != who.customer && before.hasRoomFor(other)
	c := before.clone()
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
	var beside []string
	if pours && other.HoldID != "" && other.HoldID != c.HoldID {
		beside = append(beside, other.HoldID)
	}
	left := false // there is too little for both together: what the other cart held is nobody's
	out, err = httpx.Command(ctx, s.db, func(tx *db.Tx) (cartResponse, error) {
		a := a.copied()
		if err := allowed(ctx, tx, a.cart); err != nil {
			return cartResponse{}, err
		}
		if err := s.hold(ctx, tx, before, &a, beside...); err != nil {
			return cartResponse{}, err
		}
		left = len(beside) > 0 && a.HoldID == before.HoldID
		if pours {
			ok, err := s.store.merge(ctx, tx, other)
			if err != nil {
				return cartResponse{}, err
			}
			if !ok {
				return cartResponse{}, errMoved
			}
		}
		return s.keep(ctx, tx, before, a, who)
	})
	if err == nil && left {
		// Afterwards: stock is locked in order, once a transaction.
		err = s.db.InTx(ctx, func(tx *db.Tx) error { return s.stock.Release(ctx, tx, other.HoldID) })
	}
	return out, err
}
