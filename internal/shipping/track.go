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

const (
	firstTrack   = time.Hour
	longestTrack = 12 * time.Hour
	// trackedFor is how long a parcel is looked after that does not arrive.
	trackedFor = 60 * 24 * time.Hour
)

// track is the errand that asks where a parcel is, for shops whose carriers do not tell them.
func (s *service) track(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("parcel to track: %w", err)
	}
	b, err := s.buying(ctx, id)
	if err != nil {
		return 0, err
	}
	if b.shipment.status() == voided || b.shipment.Tracking.Status.Arrived() || s.now().Sub(b.shipment.CreatedAt) > trackedFor {
		return 0, nil
	}
	again := min(longestTrack, firstTrack<<min(n, 8))
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	told, err := c.Track(asking, opened, b.shipment.TakenBy, b.shipment.TrackingNumber)
	if err != nil {
		if !errors.Is(err, carrier.ErrNoTracking) {
			s.log.WarnContext(ctx, "a carrier does not say where a parcel is", "shipment", id, "err", err)
		}
		return again, nil
	}
	return again, s.db.InTx(ctx, func(tx *db.Tx) error {
		was, err := s.store.lockShipment(ctx, tx, id)
		if err != nil {
			return err
		}
		now := was
		now.see(told)
		return s.keepChanged(ctx, tx, was, now)
	})
}
