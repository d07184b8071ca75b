package identity

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// toTell is the letter to who has an account and signs up again. The other kinds of letter
// that anybody can have sent to anybody are what their tokens are for.
const toTell = "exists"

// maxLetters of a kind go to an address in an hour. Who asks for more hears what they would
// hear otherwise.
const maxLetters = 3

// mayWrite counts a letter, and tells whether it may be sent.
func (s *service) mayWrite(ctx context.Context, tx *db.Tx, kind, email string) (bool, error) {
	return s.store.countLetter(ctx, tx, hashOf("letter", kind, keyOf(email)))
}

// countLetter counts a letter unless there were enough in the last hour. Some of the counts
// that are over are forgotten with it.
func (store) countLetter(ctx context.Context, tx *db.Tx, s subject) (counted bool, err error) {
	n, err := tx.Exec(ctx, `
		with clock as materialized (select clock_timestamp() now),
		old as (
			delete from identity.letter_guard where subject in (
				select subject from identity.letter_guard where subject <> $1 and last_at < (select now from clock) - interval '1 hour'
				order by last_at limit 10 for update skip locked)
		)
		insert into identity.letter_guard as g (subject, sent_at, last_at) select $1, array[now], now from clock
		on conflict (tenant_id, subject) do update set
			sent_at = array(select t from unnest(g.sent_at) t where t > excluded.last_at - interval '1 hour') || excluded.last_at, last_at = excluded.last_at
		where (select count(*) from unnest(g.sent_at) t where t > excluded.last_at - interval '1 hour') < $2`, []byte(s), maxLetters)
	if err != nil {
		return false, fmt.Errorf("count letter: %w", err)
	}
	return n == 1, nil
}
