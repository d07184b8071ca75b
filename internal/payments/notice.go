package payments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
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
		s.timers.Set(tx, timerNotice, a.ID.String()+"/"+n.ID, tx.Now)
		return nil
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
	done := func(tx *db.Tx) error { return s.store.handled(ctx, tx, holder, id) }
	switch err := s.look(ctx, a, about.Reference, about.Warning, done); {
	case errors.Is(err, provider.ErrNoCharge):
		return 0, s.db.InTx(ctx, done)
	case errors.Is(err, provider.ErrUnknownOutcome), errors.Is(err, provider.ErrKeyRefused):
		return s.unanswered(ctx, n, err, "notice", subject), nil
	default:
		return 0, err
	}
}

// look asks how a charge stands and takes that in. What others have taken in meanwhile may be
// newer or older, so that it is asked again.
func (s *service) look(ctx context.Context, a account, reference, warning string, also func(*db.Tx) error) (err error) {
	for range 3 {
		seen := int64(0)
		if err = s.db.Read(ctx, func(tx *db.Tx) error {
			seen, err = s.store.versionOf(ctx, tx, a.ID, reference)
			return err
		}); err != nil {
			return err
		}
		o, err := s.call(ctx, a, func(ctx context.Context, p provider.Provider, opened provider.Account) (provider.Object, error) {
			return p.Fetch(ctx, opened, reference)
		})
		if err != nil {
			return err
		}
		if err = s.hear(ctx, a, o, seen, warning, also); !errors.Is(err, errOutrun) {
			return err
		}
	}
	return err
}

// errOutrun is an object of which nobody can tell whether it is newer than what is known.
var errOutrun = errors.New("something else was heard while the provider was asked")

// hear takes in an object that nobody here has asked for. One that is nobody's is noted for a
// person to look at. seen is the version of the payment that was known when it was fetched.
func (s *service) hear(ctx context.Context, a account, o provider.Object, seen int64, warning string, also func(*db.Tx) error) error {
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
			return s.store.noteStray(ctx, tx, a.ID, o.Reference, o.Captured, "no attempt of ours")
		}
		c, err := s.store.lockCharge(ctx, tx, id)
		if err != nil {
			return err
		}
		if outrun, err := s.outrun(ctx, tx, &c, o, seen); err != nil || outrun {
			return cmp.Or(err, errOutrun)
		}
		n, err := s.takeIn(ctx, tx, &c, o)
		if errors.Is(err, errForeign) {
			return s.store.noteStray(ctx, tx, a.ID, o.Reference, o.Captured, err.Error())
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

// outrun tells whether an object says otherwise than what has become known since it was fetched.
// Amounts and ends need no order: they only grow, and stay.
func (s *service) outrun(ctx context.Context, tx *db.Tx, c *charge, o provider.Object, seen int64) (bool, error) {
	if c.payment.Version == seen {
		return false, nil
	}
	if c.differs(o) {
		return true, nil
	}
	if len(o.Disputes) == 0 {
		return false, nil
	}
	known, err := s.store.disputesOf(ctx, tx, c.payment.ID)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(known, func(was dispute) bool {
		return slices.ContainsFunc(o.Disputes, func(said provider.DisputeObject) bool {
			_, n, err := c.absorbDispute(was, said)
			return said.Reference == was.Reference && was.AccountID == c.attempt.AccountID && (err != nil || n.changed)
		})
	}), nil
}

// differs says that an object is about the same stage of an attempt as is known, and says
// something else of it.
func (c *charge) differs(o provider.Object) bool {
	a, next := c.attempt, state(o.Phase)
	if a.State.over() || a.State.rank() == 0 || next.rank() != a.State.rank() {
		return false
	}
	return next != a.State || o.NextAction != a.NextAction || in(&c.payment, o.Authorized) != a.Capturable || a.ID == c.payment.AttemptID && !alike(o.Declined, c.payment.Failure)
}

func (store) insertNotice(ctx context.Context, tx *db.Tx, account uuid.UUID, n provider.Notice) (fresh bool, err error) {
	added, err := tx.Exec(ctx, `
		insert into payments.notice (account_id, id, type, reference, warning, received_at, handled_at)
		values ($1, $2, $3, $4, $5, $6::timestamptz, case when $4::text is null then $6::timestamptz end) on conflict do nothing`,
		account, n.ID, n.Type, orNull(n.Reference), orNull(n.Warning), tx.Now)
	if db.Violates(err, "notice_tenant_id_account_id_fkey") { // somebody has removed the account in this moment
		return false, httpx.ErrNotFound
	}
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

func (store) noteStray(ctx context.Context, tx *db.Tx, account uuid.UUID, reference string, moved money.Amount, why string) error {
	if _, err := tx.Exec(ctx, `
		insert into payments.stray (account_id, reference, currency, captured_minor, why, seen_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant_id, account_id, reference) do update set captured_minor = excluded.captured_minor, why = excluded.why, seen_at = excluded.seen_at`,
		account, reference, string(moved.Currency), moved.Minor, db.Text(why), tx.Now); err != nil {
		return fmt.Errorf("note a stray charge: %w", err)
	}
	return nil
}

// forgetStray takes back that something was nobody's.
func (store) forgetStray(ctx context.Context, tx *db.Tx, account uuid.UUID, reference string) error {
	if _, err := tx.Exec(ctx, `delete from payments.stray where account_id = $1 and reference = $2`, account, reference); err != nil {
		return fmt.Errorf("forget a stray charge: %w", err)
	}
	return nil
}
