// Package jobs runs periodic work once per installation, however many replicas of
// the program there are: whoever locks the job's row runs it.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Job is one piece of periodic work. Run gets the transaction that also notes when
// the job is due again: it is done when it is noted, and noted when it is done.
type Job struct {
	Name  string
	Every time.Duration
	Run   func(ctx context.Context, tx *db.Tx) error
}

// Runner looks for due jobs.
type Runner struct {
	db   *db.DB
	log  *slog.Logger
	jobs []Job
}

// NewRunner makes a runner without jobs.
func NewRunner(d *db.DB, log *slog.Logger) *Runner { return &Runner{db: d, log: log} }

// Add declares a job.
func (r *Runner) Add(j Job) { r.jobs = append(r.jobs, j) }

// lookEvery is how late a job may start.
const lookEvery = 5 * time.Second

// registerEvery is how often a database that is away is asked again.
const registerEvery = time.Second / 2

// Run runs due jobs until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	for _, j := range r.jobs {
		if err := r.register(ctx, j); err != nil {
			return err
		}
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := r.due(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "jobs wait", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// register makes a job known. It waits for a database that does not answer, as everything
// after it does: requests may be served already.
func (r *Runner) register(ctx context.Context, j Job) error {
	for ctx.Err() == nil {
		err := r.db.Across(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into platform.job (name) values ($1) on conflict do nothing`, j.Name)
			return err
		})
		switch {
		case err == nil:
			return nil
		case db.IsOutage(err):
			r.log.WarnContext(ctx, "job cannot be registered yet", "job", j.Name, "err", err)
		case ctx.Err() == nil:
			return fmt.Errorf("register job %s: %w", j.Name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(registerEvery):
		}
	}
	return nil
}

// due asks once for all jobs, so that an idle program hardly talks.
func (r *Runner) due(ctx context.Context) error {
	names, err := db.Query[string](ctx, r.db, `select name from platform.job where next_run_at <= now()`)
	if err != nil {
		return fmt.Errorf("look for due jobs: %w", err)
	}
	for _, name := range names {
		for _, j := range r.jobs {
			if j.Name == name {
				r.run(ctx, j)
			}
		}
	}
	return nil
}

func (r *Runner) run(ctx context.Context, j Job) {
	err := r.db.Across(ctx, func(tx *db.Tx) error {
		var mine []string
		if err := tx.Select(ctx, &mine, `select name from platform.job where name = $1 and next_run_at <= now() for update skip locked`, j.Name); err != nil || len(mine) == 0 {
			return err
		}
		if err := attempt(ctx, tx, j); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `update platform.job set last_run_at = now(), next_run_at = now() + $2 * interval '1 millisecond', last_error = null where name = $1`,
			j.Name, j.Every.Milliseconds())
		return err
	})
	if err == nil || ctx.Err() != nil {
		return
	}
	r.log.ErrorContext(ctx, "job failed", "job", j.Name, "err", err)
	if err := r.db.Across(ctx, func(tx *db.Tx) error {
		// Not when another replica has done the job since.
		_, err := tx.Exec(ctx, `update platform.job set last_error = left($2, 2000), next_run_at = now() + interval '1 minute' where name = $1 and next_run_at <= now()`, j.Name, db.Text(err.Error()))
		return err
	}); err != nil {
		r.log.ErrorContext(ctx, "job failure not noted", "job", j.Name, "err", err)
	}
}

// attempt makes an error of a panic: one job must not end the program, which would start
// again and run it again.
func attempt(ctx context.Context, tx *db.Tx, j Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return j.Run(ctx, tx)
}
