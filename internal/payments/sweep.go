package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
)

const (
	sweepName  = "payments.sweep"
	sweepEvery = time.Hour
	// sweepPiece is how many rows of each kind are removed at a time.
	sweepPiece = 2_000
	// sweepAfter is longer than providers send a webhook again, and than anybody repeats a call.
	sweepAfter = 60 * 24 * time.Hour
)

func (s *service) sweeping() jobs.Job {
	return jobs.Job{Name: sweepName, Every: sweepEvery, Run: jobs.ForEach(s.db, sweepName, func(ctx context.Context, tx *db.Tx) (more bool, err error) {
		return s.store.sweep(ctx, tx, sweepPiece)
	})}
}

// swept are statements that each forget so many rows, $2, of what has served its purpose for
// so many seconds, $1. A row that somebody holds is left for the next time.
var swept = []struct{ what, statement string }{
	{"webhooks", `
		delete from payments.notice where ctid = any(array(
			select ctid from payments.notice where handled_at is not null and received_at < now() - $1 * interval '1 second' order by received_at limit $2 for update skip locked))`},
	{"keys of the shop's own charges", `
		update payments.inhouse set keys = '{}' where ctid = any(array(
			select ctid from payments.inhouse where keys <> '{}' and changed_at < now() - $1 * interval '1 second' order by changed_at limit $2 for update skip locked))`},
}

// sweep forgets up to so many rows of each kind, and tells whether there may be more.
func (store) sweep(ctx context.Context, tx *db.Tx, piece int) (more bool, err error) {
	for _, s := range swept {
		n, err := tx.Exec(ctx, s.statement, int64(sweepAfter.Seconds()), piece)
		if err != nil {
			return false, fmt.Errorf("sweep %s: %w", s.what, err)
		}
		more = more || n == int64(piece)
	}
	return more, nil
}
