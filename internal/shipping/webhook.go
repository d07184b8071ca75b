package shipping

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

var errSignature = fault.New(fault.Malformed, "invalid_signature", "The message does not come from the carrier.")

// heedNotice is the errand that finds out which parcel a webhook is about; its subject is the
// account with the webhook's own id.
const heedNotice = "shipping.heed-notice"

// strayFor is how long a webhook waits for the parcel that it is about.
const strayFor = 24 * time.Hour

type webhookInput struct {
	httpx.Raw
	ID   string `path:"id"`
	Shop string `query:"shop" format:"uuid" doc:"The tenant, where the host does not say"`
}

type webhookResponse struct {
	Received bool `json:"received"`
}

func (s *service) handleWebhook(ctx context.Context, in *webhookInput) (webhookResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return webhookResponse{}, err
	}
	if in.Shop != "" {
		shop, err := httpx.ID(in.Shop)
		if err != nil {
			return webhookResponse{}, err
		}
		if ctx, err = httpx.Enter(ctx, shop); err != nil {
			return webhookResponse{}, err
		}
	}
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = s.store.account(ctx, tx, id)
		return err
	}); err != nil {
		return webhookResponse{}, err
	}
	if a.Provider == inhouseName {
		return webhookResponse{}, errSignature
	}
	c, opened, err := s.opened(ctx, a)
	if err != nil {
		return webhookResponse{}, err
	}
	n, err := c.Notice(opened, in.Header(), in.RawBody, s.now())
	if err != nil {
		s.log.WarnContext(ctx, "a webhook was refused", "account", a.ID, "err", err)
		return webhookResponse{}, errSignature
	}
	return webhookResponse{Received: true}, s.receive(ctx, a.ID, n)
}

// receive keeps a webhook, and has what it tells taken in once.
func (s *service) receive(ctx context.Context, account uuid.UUID, n carrier.Notice) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error {
		fresh, err := s.store.insertNotice(ctx, tx, account, n)
		if err != nil || !fresh || n.Tracking == nil && n.Void == "" {
			return err
		}
		s.timers.Set(tx, heedNotice, account.String()+"/"+n.ID, tx.Now)
		return nil
	})
}

// heed takes in what a webhook tells. It may be here before the label is that it tells of.
func (s *service) heed(ctx context.Context, subject string, n int) (again time.Duration, err error) {
	owner, id, _ := strings.Cut(subject, "/")
	holder, err := uuid.Parse(owner)
	if err != nil {
		return 0, fmt.Errorf("account of a webhook: %w", err)
	}
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		again = 0
		told, received, handled, err := s.store.notice(ctx, tx, holder, id)
		if err != nil || handled {
			return err
		}
		was, err := s.store.oneShipment(ctx, tx, `
			join shipping.purchase p on p.shipment_id = s.id
			where p.account_id = $1 and (p.reference = $2 and $2 <> '' or s.tracking_number = $3 and $3 <> '' and ($4 = '' or lower(s.taken_by) = lower($4)))
			order by (p.reference = $2) desc, s.id desc limit 1 for update of s`, holder, told.Reference, told.TrackingNumber, told.Carrier)
		switch {
		case errors.Is(err, httpx.ErrNotFound) && tx.Now.Sub(received) < strayFor:
			again = min(time.Hour, time.Second<<min(n, 12)) // most are of nothing that is ours
			return nil
		case errors.Is(err, httpx.ErrNotFound):
			return s.store.handled(ctx, tx, holder, id)
		case err != nil:
			return err
		}
		now := was
		if told.Tracking != nil {
			now.see(*told.Tracking)
		}
		now.decide(told.Void)
		if err := s.keepChanged(ctx, tx, was, now); err != nil {
			return err
		}
		return s.store.handled(ctx, tx, holder, id)
	})
	return again, err
}

func (store) insertNotice(ctx context.Context, tx *db.Tx, account uuid.UUID, n carrier.Notice) (fresh bool, err error) {
	var tracking *string
	if n.Tracking != nil {
		body, err := json.Marshal(n.Tracking)
		if err != nil {
			return false, fmt.Errorf("encode webhook: %w", err)
		}
		tracking = new(db.Text(string(body)))
	}
	added, err := tx.Exec(ctx, `
		insert into shipping.notice (account_id, id, type, reference, taken_by, tracking_number, tracking, void, received_at, handled_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz, case when $7::jsonb is null and $8 = '' then $9::timestamptz end) on conflict do nothing`,
		account, db.Text(n.ID), db.Text(n.Type), db.Text(n.Reference), db.Text(n.Carrier), db.Text(n.TrackingNumber), tracking, string(n.Void), tx.Now)
	if db.Violates(err, "notice_tenant_id_account_id_fkey") { // somebody has removed the account in this moment
		return false, httpx.ErrNotFound
	}
	if err != nil {
		return false, fmt.Errorf("keep webhook: %w", err)
	}
	return added == 1, nil
}

func (store) notice(ctx context.Context, tx *db.Tx, account uuid.UUID, id string) (n carrier.Notice, received time.Time, handled bool, err error) {
	var r struct {
		Reference  string    `db:"reference"`
		TakenBy    string    `db:"taken_by"`
		Number     string    `db:"tracking_number"`
		Tracking   []byte    `db:"tracking"`
		Void       string    `db:"void"`
		ReceivedAt time.Time `db:"received_at"`
		Handled    bool      `db:"handled"`
	}
	if err := tx.Get(ctx, &r, `
		select reference, taken_by, tracking_number, tracking, void, received_at, handled_at is not null handled from shipping.notice where account_id = $1 and id = $2 for update`, account, id); err != nil {
		return n, received, false, fmt.Errorf("read webhook: %w", err)
	}
	n = carrier.Notice{ID: id, Reference: r.Reference, Carrier: r.TakenBy, TrackingNumber: r.Number, Void: carrier.VoidState(r.Void)}
	if r.Tracking != nil {
		if err := json.Unmarshal(r.Tracking, &n.Tracking); err != nil {
			return n, received, false, fmt.Errorf("read webhook: %w", err)
		}
	}
	return n, r.ReceivedAt, r.Handled, nil
}

func (store) handled(ctx context.Context, tx *db.Tx, account uuid.UUID, id string) error {
	if _, err := tx.Exec(ctx, `update shipping.notice set handled_at = $3, tracking = null where account_id = $1 and id = $2`, account, id, tx.Now); err != nil {
		return fmt.Errorf("note that a webhook is handled: %w", err)
	}
	return nil
}

const (
	sweepName  = "shipping.sweep"
	sweepEvery = time.Hour
	sweepPiece = 2_000
	// sweepAfter is longer than carriers send a webhook again.
	sweepAfter = 60 * 24 * time.Hour
)

// sweeping forgets webhooks that have served their purpose.
func (s *service) sweeping() jobs.Job {
	return jobs.Job{Name: sweepName, Every: sweepEvery, Run: jobs.ForEach(s.db, sweepName, func(ctx context.Context, tx *db.Tx) (more bool, err error) {
		n, err := tx.Exec(ctx, `
			delete from shipping.notice where ctid = any(array(
				select ctid from shipping.notice where handled_at is not null and received_at < now() - $1 * interval '1 second' order by received_at limit $2 for update skip locked))`,
			int64(sweepAfter.Seconds()), sweepPiece)
		if err != nil {
			return false, fmt.Errorf("sweep webhooks: %w", err)
		}
		return n == sweepPiece, nil
	})}
}
