package shipping

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// fetchDocument asks for the paper of a label that is bought.
func (s *service) fetchDocument(ctx context.Context, b buying, n int) (time.Duration, error) {
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	l, err := s.called(ctx, func(ctx context.Context) (carrier.Label, error) {
		return c.Find(ctx, opened, b.purchase.Key.String(), *b.purchase.Rate)
	})
	state := documentKept
	if err != nil || l.Format == "" || len(l.Document) == 0 {
		if n < documentTries {
			return pause(n), nil
		}
		state = documentNone
	}
	return 0, s.db.InTx(ctx, func(tx *db.Tx) error {
		now, err := s.store.lockShipment(ctx, tx, b.shipment.ID)
		if err != nil {
			return err
		}
		p, err := s.store.purchase(ctx, tx, now.ID)
		if err != nil || p.Document != documentAwaited {
			return err
		}
		p.Document = state
		if state == documentKept && now.Recipient != nil {
			if err := s.store.insertDocument(ctx, tx, now.ID, l); err != nil {
				return err
			}
		}
		return s.store.savePurchase(ctx, tx, p)
	})
}
