package groupbuy

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// participation is what is held of somebody who joined a campaign. It names them by id
// only, so there is nothing to erase.
type participation struct {
	CampaignID uuid.UUID `db:"campaign_id" json:"campaignId"`
	Quantity   int64     `db:"quantity" json:"quantity"`
	JoinedAt   time.Time `db:"joined_at" json:"joinedAt"`
}

// PersonalData is the campaigns that a customer joined.
func (m *Module) PersonalData(ctx context.Context, customer string) (any, error) {
	list := []participation{}
	err := m.svc.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = m.svc.store.participations(ctx, tx, customer)
		return err
	})
	return list, err
}

// Claim has nothing to do: who joins as a guest leaves no address.
func (*Module) Claim(context.Context, string, string) error { return nil }

func (store) participations(ctx context.Context, tx *db.Tx, customer string) ([]participation, error) {
	list := []participation{}
	if err := tx.Select(ctx, &list, `select campaign_id, quantity, joined_at from groupbuy.participant where user_id = $1 order by joined_at, id`, customer); err != nil {
		return nil, fmt.Errorf("list participations: %w", err)
	}
	return list, nil
}
