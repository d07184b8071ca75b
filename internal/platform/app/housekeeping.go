package app

import (
	"context"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

// housekeeping is the platform's own periodic work.
func housekeeping() []jobs.Job {
	return []jobs.Job{
		{Name: "platform.partitions", Every: 12 * time.Hour, Run: statement(`select platform.maintain_partitions()`)},
		// In pieces: a day's answers of a busy shop are too many for one statement.
		{Name: "platform.forget-answers", Every: time.Minute, Run: statement(`
			delete from platform.idempotency where ctid in (
				select ctid from platform.idempotency where created_at < now() - interval '24 hours' order by created_at limit 50000)`)},
		{Name: "platform.purge-tenants", Every: time.Minute, Run: tenant.PurgeDue},
	}
}

// auditJobs see to the age of the audit log, and to its heads.
func auditJobs(o Options) []jobs.Job {
	heads := audit.NewExporter(o.Log, o.Audit.HeadsFile)
	list := []jobs.Job{{Name: "platform.audit-heads", Every: time.Hour, Run: heads.Export}}
	if o.Audit.Retention > 0 {
		list = append(list, jobs.Job{Name: "platform.retire-audit", Every: 12 * time.Hour, Run: func(ctx context.Context, tx *db.Tx) error {
			return audit.Retire(ctx, tx, o.Audit.Retention)
		}})
	}
	return list
}

func statement(query string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, query)
		return err
	}
}
