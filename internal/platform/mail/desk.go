package mail

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/mask"
)

// Waiting is a letter that has not been delivered.
type Waiting struct {
	ID        uuid.UUID  `json:"id"`
	Tenant    uuid.UUID  `json:"tenantId"`
	To        string     `json:"to"` // masked
	Template  string     `json:"template"`
	CreatedAt time.Time  `json:"createdAt"`
	Attempts  int        `json:"attempts"`
	NextTry   *time.Time `json:"nextTryAt,omitempty"` // nil: put aside
	LastError string     `json:"lastError,omitempty"`
}

// List shows the letters that have not been delivered, of all tenants, the oldest first.
func (o *Outbox) List(ctx context.Context) ([]Waiting, error) {
	var rows []struct {
		taken
		AvailableAt time.Time  `db:"available_at"`
		ParkedAt    *time.Time `db:"parked_at"`
		LastError   string     `db:"last_error"`
	}
	if err := o.db.Across(ctx, func(tx *db.Tx) error {
		rows = nil
		return tx.Select(ctx, &rows, `
			select tenant_id, id, sealed, attempts, created_at, available_at, parked_at, coalesce(last_error, '') last_error
			from platform.mail order by created_at, id limit 1000`)
	}); err != nil {
		return nil, fmt.Errorf("list mail: %w", err)
	}
	list := []Waiting{}
	for _, r := range rows {
		w := Waiting{ID: r.ID, Tenant: r.TenantID, CreatedAt: r.CreatedAt, Attempts: r.Attempts, NextTry: &r.AvailableAt, LastError: r.LastError}
		if r.ParkedAt != nil {
			w.NextTry = nil
		}
		// One that cannot be opened is listed nevertheless: it can be dropped.
		if m, err := o.open(r.TenantID, r.Sealed); err == nil {
			w.To, w.Template = mask.Email(m.To), m.Template
		}
		list = append(list, w)
	}
	return list, nil
}

// Retry has a letter tried again now; all that were put aside for uuid.Nil.
func (o *Outbox) Retry(ctx context.Context, id uuid.UUID) (n int64, err error) {
	err = o.db.Across(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec(ctx, `update platform.mail set parked_at = null, attempts = 0, available_at = now()
			where id = $1 or $1 = $2 and parked_at is not null`, id, uuid.Nil)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("retry mail: %w", err)
	}
	return n, nil
}

// Drop gives a letter up.
func (o *Outbox) Drop(ctx context.Context, id uuid.UUID) (n int64, err error) {
	err = o.db.Across(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec(ctx, `delete from platform.mail where id = $1`, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("drop mail: %w", err)
	}
	return n, nil
}

// Check asks whether letters could be handed over, and says to whom.
//
// Errors: ErrPlain, ErrStranger, those of the network and of certificates.
func Check(ctx context.Context, o Options) (where string, err error) {
	delivery, err := deliveryOf(o)
	if err != nil || delivery == nil {
		return "", err
	}
	return delivery.String(), delivery.check(ctx)
}
