package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

const (
	// maxFails within lockTime lock a subject for lockTime after the last of them.
	maxFails = 5
	lockTime = 15 * time.Minute
)

// subject is what attempts are counted for: who is tried, from where. It is a hash, which
// says nothing of who that is.
type subject []byte

// anywhere counts the attempts on an address by strangers, whether it is anybody's or not.
func anywhere(emailKey string) subject { return hashOf("email", emailKey) }

// onDevice counts those from where an account has signed in before. Strangers who guess do
// not lock out its owner there.
func onDevice(id uuid.UUID, device []byte) subject {
	return hashOf("device", id.String(), string(device))
}

// byAccount counts what is tried by who has signed in already.
func byAccount(id uuid.UUID) subject { return hashOf("account", id.String()) }

// reservation is a counted attempt.
type reservation struct {
	// Wait, in seconds, is how long the subject is locked; 0 lets the attempt go on.
	Wait int `db:"wait"`
	// Locked says that this attempt is the one that locked the subject.
	Locked bool `db:"locked"`
}

func (r reservation) refusal() *fault.Error {
	return errTooMany.Saying("Too many attempts. Try again in %d minutes.", (r.Wait+59)/60).After(r.Wait)
}

// reserve counts an attempt before it is verified: however many come at the same moment, no
// more than maxFails are. One that comes while those are still being verified locks the
// subject; so does the last of them to fail.
func (store) reserve(ctx context.Context, tx *db.Tx, s subject) (r reservation, err error) {
	err = tx.Get(ctx, &r, `
		with clock as materialized (select clock_timestamp() now),
		reserved as (
			insert into identity.login_guard as g (subject, fails, last_at) select $1, 1, now from clock
			on conflict (tenant_id, subject) do update set
				fails = case
					when g.locked_until > excluded.last_at then g.fails
					when g.locked_until is not null or g.last_at < excluded.last_at - $3 * interval '1 second' then 1
					else g.fails + 1 end,
				locked_until = case
					when g.locked_until > excluded.last_at then g.locked_until
					when g.locked_until is not null or g.last_at < excluded.last_at - $3 * interval '1 second' then null
					when g.fails >= $2 then excluded.last_at + $3 * interval '1 second' end,
				last_at = excluded.last_at
			returning locked_until, last_at
		)
		select case when locked_until is null then 0 else least(ceil(extract(epoch from locked_until - last_at)), $3) end::int wait,
		       coalesce(locked_until = last_at + $3 * interval '1 second', false) locked
		from reserved`, []byte(s), maxFails, int64(lockTime.Seconds()))
	if err != nil {
		return r, fmt.Errorf("reserve attempt: %w", err)
	}
	return r, nil
}

// fail notes that a reserved attempt was wrong. It reports whether that locked the subject.
func (store) fail(ctx context.Context, tx *db.Tx, s subject) (locked bool, err error) {
	var first []bool
	err = tx.Select(ctx, &first, `
		with g as (select subject, locked_until is null first from identity.login_guard where subject = $1 and fails >= $2 for no key update)
		update identity.login_guard l set locked_until = clock_timestamp() + $3 * interval '1 second' from g where l.subject = g.subject
		returning g.first`, []byte(s), maxFails, int64(lockTime.Seconds()))
	if err != nil {
		return false, fmt.Errorf("note failed attempt: %w", err)
	}
	return len(first) == 1 && first[0], nil
}

// refund takes back an attempt that was right as far as it went.
func (store) refund(ctx context.Context, tx *db.Tx, s subject) error {
	_, err := tx.Exec(ctx, `update identity.login_guard set fails = fails - 1 where subject = $1 and fails > 0 and locked_until is null`, []byte(s))
	if err != nil {
		return fmt.Errorf("take back attempt: %w", err)
	}
	return nil
}

// reset forgets the attempts on a subject.
func (store) reset(ctx context.Context, tx *db.Tx, s subject) error {
	if _, err := tx.Exec(ctx, `delete from identity.login_guard where subject = $1`, []byte(s)); err != nil {
		return fmt.Errorf("forget attempts: %w", err)
	}
	return nil
}
