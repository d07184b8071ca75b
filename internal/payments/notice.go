package payments

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

var errSignature = fault.New(fault.Malformed, "invalid_signature", "The message does not come from the provider.")

// receive keeps a webhook that is signed as it should be. It has not happened before it is
// kept; what it is about is looked up afterwards, once.
func (s *service) receive(ctx context.Context, a account, n provider.Notice) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error {
		fresh, err := s.store.insertNotice(ctx, tx, a.ID, n)
		if err != nil || !fresh || n.Reference == "" {
			return err
		}
		return s.timers.Set(ctx, tx, timerNotice, a.ID.String()+"/"+n.ID, tx.Now)
	})
}

// lookAfterNotice fetches the charge that a webhook is about.
func (s *service) lookAfterNotice(ctx context.Context, subject string, n int) (time.Duration, error) {
	owner, id, _ := strings.Cut(subject, "/")
	holder, err := uuid.Parse(owner)
	if err != nil {
		return 0, fmt.Errorf("account of a webhook: %w", err)
	}
	var a account
	var about provider.Notice
	var handled bool
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if a, err = s.store.account(ctx, tx, holder); err != nil {
			return err
		}
		about, handled, err = s.store.notice(ctx, tx, holder, id)
		return err
	}); err != nil || handled {
		return 0, err
	}
	p, opened, err := s.opened(ctx, a)
	if err != nil {
		return 0, err
	}
	o, err := p.Fetch(ctx, opened, about.Reference)
	done := func(tx *db.Tx) error { return s.store.handled(ctx, tx, holder, id) }
	switch {
	case errors.Is(err, provider.ErrNoCharge):
		return 0, s.db.InTx(ctx, done)
	case err != nil:
		return s.unanswered(ctx, n, err, "notice", subject), nil
	}
	return 0, s.hear(ctx, a, o, about.Warning, done)
}

// hear takes in an object that nobody here has asked for. One that is nobody's is noted for a
// person to look at.
func (s *service) hear(ctx context.Context, a account, o provider.Object, warning string, also func(*db.Tx) error) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		id, err := s.store.attemptOf(ctx, tx, a.ID, o.Attempt, o.Reference)
		if err != nil {
			return err
		}
		if id == uuid.Nil {
			return s.store.noteStray(ctx, tx, a.ID, o, "no attempt of ours")
		}
		c, err := s.store.lockCharge(ctx, tx, id)
		if err != nil {
			return err
		}
		n, err := s.takeIn(ctx, tx, &c, o)
		if errors.Is(err, errForeign) {
			return s.store.noteStray(ctx, tx, a.ID, o, err.Error())
		}
		if err != nil {
			return err
		}
		if warning != "" && c.payment.Warning == "" {
			c.payment.Warning, n.changed = warning, true
		}
		return s.keep(ctx, tx, &c, n)
	})
}

func (store) insertNotice(ctx context.Context, tx *db.Tx, account uuid.UUID, n provider.Notice) (fresh bool, err error) {
	added, err := tx.Exec(ctx, `
		insert into payments.notice (account_id, id, type, reference, warning, received_at, handled_at)
		values ($1, $2, $3, $4, $5, $6::timestamptz, case when $4::text is null then $6::timestamptz end) on conflict do nothing`,
		account, n.ID, n.Type, orNull(n.Reference), orNull(n.Warning), tx.Now)
	if err != nil {
		return false, fmt.Errorf("keep webhook: %w", err)
	}
	return added == 1, nil
}

func (store) notice(ctx context.Context, tx *db.Tx, account uuid.UUID, id string) (n provider.Notice, handled bool, err error) {
	var r struct {
		Type      string  `db:"type"`
		Reference *string `db:"reference"`
		Warning   *string `db:"warning"`
		Handled   bool    `db:"handled"`
	}
	if err := tx.Get(ctx, &r, `select type, reference, warning, handled_at is not null handled from payments.notice where account_id = $1 and id = $2`, account, id); err != nil {
		return n, false, fmt.Errorf("read webhook: %w", err)
	}
	return provider.Notice{ID: id, Type: r.Type, Reference: text(r.Reference), Warning: text(r.Warning)}, r.Handled, nil
}

func (store) handled(ctx context.Context, tx *db.Tx, account uuid.UUID, id string) error {
	if _, err := tx.Exec(ctx, `update payments.notice set handled_at = $3 where account_id = $1 and id = $2 and handled_at is null`, account, id, tx.Now); err != nil {
		return fmt.Errorf("note that a webhook is handled: %w", err)
	}
	return nil
}

func (store) noteStray(ctx context.Context, tx *db.Tx, account uuid.UUID, o provider.Object, why string) error {
	if _, err := tx.Exec(ctx, `
		insert into payments.stray (account_id, reference, currency, captured_minor, why, seen_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant_id, account_id, reference) do update set captured_minor = excluded.captured_minor, why = excluded.why, seen_at = excluded.seen_at`,
		account, o.Reference, string(o.Amount.Currency), o.Captured.Minor, db.Text(why), tx.Now); err != nil {
		return fmt.Errorf("note a stray charge: %w", err)
	}
	return nil
}
