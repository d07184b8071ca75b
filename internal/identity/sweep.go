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
	// sweepEvery and sweepPiece, rows of each kind and merchant, keep pace with somebody who
	// guesses as fast as passwords can be verified.
	sweepEvery = 10 * time.Minute
	sweepPiece = 20_000
	// sessionKept is how long somebody can be told where they were signed in.
	sessionKept = 30 * 24 * time.Hour
)

func sweeping() jobs.Job {
	return jobs.Job{Name: sweepName, Every: sweepEvery, Run: jobs.ForEach(sweepName, func(ctx context.Context, tx *db.Tx) error {
		return store{}.sweep(ctx, tx, sweepPiece)
	})}
}

// swept are statements that each remove so many rows, $2, of what nobody asks for any more
// after so many seconds, $1.
var swept = []struct {
	what      string
	after     time.Duration
	statement string
}{
	{"attempts", lockTime, `
		delete from identity.login_guard where ctid = any(array(
			select ctid from identity.login_guard
			where last_at < now() - $1 * interval '1 second' and coalesce(locked_until, '-infinity') < now() order by last_at limit $2))`},
	{"letters", time.Hour, `
		delete from identity.letter_guard where ctid = any(array(
			select ctid from identity.letter_guard where last_at < now() - $1 * interval '1 second' order by last_at limit $2))`},
	// A used token is known until its time is over: who repeats the request is answered again.
	{"one-time tokens", 0, `
		delete from identity.one_time_token where ctid = any(array(
			select ctid from identity.one_time_token where expires_at < now() - $1 * interval '1 second' order by expires_at limit $2))`},
	{"devices", deviceLife, `
		delete from identity.device where ctid = any(array(
			select ctid from identity.device where last_seen_at < now() - $1 * interval '1 second' order by last_seen_at limit $2))`},
	{"sessions", sessionKept, `
		with old as materialized (
			select id from identity.session where coalesce(ended_at, expires_at) < now() - $1 * interval '1 second' order by coalesce(ended_at, expires_at) limit $2
		), tokens as (delete from identity.refresh_token where session_id in (select id from old))
		delete from identity.session where id in (select id from old)`},
}

// sweep removes up to so many rows of each kind.
func (store) sweep(ctx context.Context, tx *db.Tx, piece int) error {
	for _, s := range swept {
		if _, err := tx.Exec(ctx, s.statement, int64(s.after.Seconds()), piece); err != nil {
			return fmt.Errorf("sweep %s: %w", s.what, err)
		}
	}
	return nil
}
