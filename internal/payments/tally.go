package payments

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
)

// The ledger only grows. What it adds up to is kept up to a mark, which is an id, as those of
// its transactions and of payments begin with the time; from there on it is added up when
// somebody asks.
const (
	tallyName  = "payments.tally"
	tallyEvery = 10 * time.Minute
	// tallyAfter is more than any transaction of the database takes: what is younger than the
	// mark may still be written.
	tallyAfter = time.Hour
	// tallyPiece is how many transactions of the ledger are added up at a time.
	tallyPiece = 2_000
)

func (s *service) tallying() jobs.Job {
	return jobs.Job{Name: tallyName, Every: tallyEvery, Run: jobs.ForEach(s.db, tallyName, func(ctx context.Context, tx *db.Tx) (more bool, err error) {
		return s.store.tally(ctx, tx, madeAt(tx.Now.Add(-tallyAfter)), tallyPiece)
	})}
}

// madeAt is smaller than the ids that are made at a time, and larger than those before
// (RFC 9562, 5.7).
func madeAt(t time.Time) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(t.UnixMilli())<<16)
	return id
}

// tally adds up so many transactions after the mark, up to an id, and moves the mark there. Payments
// that are not what those say are noted. It tells whether there may be more.
func (store) tally(ctx context.Context, tx *db.Tx, until uuid.UUID, piece int) (more bool, err error) {
	var mark uuid.UUID
	if err := tx.Get(ctx, &mark, `
		insert into payments.tallied as t default values on conflict (tenant_id) do update set until = t.until returning until`); err != nil {
		return false, fmt.Errorf("lock the mark of the ledger: %w", err)
	}
	var last []uuid.UUID
	if err := tx.Select(ctx, &last, `select id from payments.ledger_transaction where id > $1 and id <= $2 order by id offset $3 - 1 limit 1`, mark, until, piece); err != nil {
		return false, fmt.Errorf("look for the end of a piece of the ledger: %w", err)
	}
	if more = len(last) > 0; more {
		until = last[0]
	}
	if _, err := tx.Exec(ctx, `
		insert into payments.tally as t (account, currency, sum_minor)
		select account, currency, sum(amount_minor) from payments.ledger_entry where transaction_id > $1 and transaction_id <= $2 group by account, currency
		on conflict (tenant_id, account, currency) do update set sum_minor = t.sum_minor + excluded.sum_minor`, mark, until); err != nil {
		return false, fmt.Errorf("add up the ledger: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		insert into payments.difference (payment_id)
		select distinct d.id from (`+differing(`
			select payment_id id from payments.ledger_transaction where id > $1 and id <= $2
			union select id from payments.payment where id > $1 and id <= $2`)+`) d on conflict do nothing`, mark, until); err != nil {
		return false, fmt.Errorf("note differences: %w", err)
	}
	if _, err := tx.Exec(ctx, `update payments.tallied set until = $1 where until < $1`, until); err != nil {
		return false, fmt.Errorf("move the mark of the ledger: %w", err)
	}
	return more, nil
}

// differing are payments of which the ledger says something else, among those that a query
// finds.
func differing(among string) string {
	return `
		select p.id, d.what, d.payment, d.ledger, p.currency
		from (` + among + `) c join payments.payment p on p.id = c.id,
		     lateral (
			select coalesce(sum(-e.amount_minor) filter (where t.kind = 'capture' and e.account = 'sales'), 0)::bigint captured,
			       coalesce(sum(-e.amount_minor) filter (where t.kind in ('refund.paid', 'refund.returned') and e.account = 'clearing'), 0)::bigint refunded
			from payments.ledger_transaction t join payments.ledger_entry e on e.transaction_id = t.id where t.payment_id = p.id
		     ) b,
		     lateral (values ('captured', p.captured_minor, b.captured), ('refunded', p.refunded_minor, b.refunded)) d(what, payment, ledger)
		where d.payment <> d.ledger`
}
