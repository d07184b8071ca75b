package shipping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// voidTries is how often a carrier is asked whether it takes a label back, which may take it weeks:
// for about a month. Then it has not.
const voidTries = 130

func pauseOfVoid(n int) time.Duration {
	if n <= 10 {
		return pause(n)
	}
	return 6 * time.Hour
}

// giveBack is the errand that gives a label back to its carrier.
func (s *service) giveBack(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("label to give back: %w", err)
	}
	b, err := s.buying(ctx, id)
	if err != nil || b.shipment.Label != labelVoiding || b.purchase.Reference == "" {
		return 0, err
	}
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	state, err := c.Void(asking, opened, b.purchase.Reference)
	if _, declined := errors.AsType[*carrier.Declined](err); declined {
		state, err = carrier.Rejected, nil
	}
	if err != nil || state == carrier.Submitted || state == "" {
		if err != nil {
			s.log.WarnContext(ctx, "a carrier does not say whether it takes a label back", "shipment", id, "err", err)
		}
		if n < voidTries {
			return pauseOfVoid(n), nil
		}
		state = carrier.Rejected
	}
	return 0, s.db.InTx(ctx, func(tx *db.Tx) error {
		was, err := s.store.lockShipment(ctx, tx, id)
		if err != nil {
			return err
		}
		now := was
		now.decide(state)
		return s.keepChanged(ctx, tx, was, now)
	})
}

// decide takes in what the carrier says to a label that is given back.
func (s *shipment) decide(state carrier.VoidState) {
	switch {
	case state == carrier.Voided && (s.Label == labelVoiding || s.Label == labelBought):
		s.Label = labelVoided
	case state == carrier.Rejected && s.Label == labelVoiding:
		s.Label, s.Failure = labelBought, &carrier.Declined{Code: codeVoidRefused}
	}
}

// keepChanged keeps a shipment of which something may have changed. A label that the carrier
// does not take back is looked after as any other is: it may be used.
func (s *service) keepChanged(ctx context.Context, tx *db.Tx, was, now shipment) error {
	if was.Label == now.Label && was.Tracking.Status == now.Tracking.Status && len(was.Tracking.Events) == len(now.Tracking.Events) && same(was.Tracking.EstimatedDelivery, now.Tracking.EstimatedDelivery) {
		return nil
	}
	if _, err := s.keep(ctx, tx, was, now); err != nil || was.Label != labelVoiding || now.Label != labelBought {
		return err
	}
	p, err := s.store.purchase(ctx, tx, now.ID)
	if err == nil {
		s.lookAfter(tx, p)
	}
	return err
}
