package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
)

const (
	sweepName = "identity.sweep"
	// sweepEvery and sweepPiece, rows of each kind at a time, keep pace with somebody who
	// guesses as fast as passwords can be verified, and have nobody who signs in wait.
	sweepEvery = 10 * time.Minute
	sweepPiece = 2_000
	// sessionKept is how long somebody can be told where they were signed in.
	sessionKept = 30 * 24 * time.Hour
)

func sweeping(d *db.DB) jobs.Job {
	return jobs.Job{Name: sweepName, Every: sweepEvery, Run: jobs.ForEach(d, sweepName, func(ctx context.Context, tx *db.Tx) (more bool, err error) {
		return store{}.sweep(ctx, tx, sweepPiece)
	})}
}

// oldSessions are the first so many, $2, that are over since so many seconds, $1.
const oldSessions = `
	select id from identity.session
	where coalesce(ended_at, expires_at) < now() - $1 * interval '1 second' order by coalesce(ended_at, expires_at) limit $2`

// swept are statements that each remove so many rows, $2, of what nobody asks for any more
// after so many seconds, $1. A row that somebody holds is left for the next time.
var swept = []struct {
	what      string
	after     time.Duration
	statement string
}{
	{"attempts", lockTime, `
		delete from identity.login_guard where ctid = any(array(
			select ctid from identity.login_guard
			where last_at < now() - $1 * interval '1 second' and coalesce(locked_until, '-infinity') < now() order by last_at limit $2 for update skip locked))`},
	{"letters", time.Hour, `
		delete from identity.letter_guard where ctid = any(array(
			select ctid from identity.letter_guard where last_at < now() - $1 * interval '1 second' order by last_at limit $2 for update skip locked))`},
	// A used token is known until its time is over: who repeats the request is answered again.
	{"one-time tokens", 0, `
		delete from identity.one_time_token where ctid = any(array(
			select ctid from identity.one_time_token where expires_at < now() - $1 * interval '1 second' order by expires_at limit $2 for update skip locked))`},
	{"devices", deviceLife, `
		delete from identity.device where ctid = any(array(
			select ctid from identity.device where last_seen_at < now() - $1 * interval '1 second' order by last_seen_at limit $2 for update skip locked))`},
	// A session may have hundreds of tokens: it stays until they are gone.
	{"refresh tokens", sessionKept, `
		delete from identity.refresh_token where ctid = any(array(
			select ctid from identity.refresh_token where session_id = any(array(` + oldSessions + `)) limit $2 for update skip locked))`},
	{"sessions", sessionKept, `
		delete from identity.session where ctid = any(array(
			select s.ctid from identity.session s where s.id = any(array(` + oldSessions + `))
			and not exists (select from identity.refresh_token t where t.session_id = s.id) for update skip locked))`},
}

// sweep removes up to so many rows of each kind, and tells whether there may be more.
func (store) sweep(ctx context.Context, tx *db.Tx, piece int) (more bool, err error) {
	for _, s := range swept {
		n, err := tx.Exec(ctx, s.statement, int64(s.after.Seconds()), piece)
		if err != nil {
			return false, fmt.Errorf("sweep %s: %w", s.what, err)
		}
		more = more || n == int64(piece)
	}
	return more, nil
}
