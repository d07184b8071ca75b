// Package timer does what modules want done at a moment: once, within the second, by
// the database's clock, and in the transaction that forgets the timer.
package timer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Handler does what a timer was set for. It runs as the merchant who set it. When it
// fails nothing of it remains and it is called again, with growing pauses.
type Handler func(ctx context.Context, tx *db.Tx, subject string) error

// Errand does what a timer was set for outside of any transaction: it may ask somebody
// remote. It is leased, so that one replica at a time runs it, and again after a crash:
// whatever it does must be fit to be done twice. attempt is 1 at first. An answer that is not
// zero has it called again after that time; so has an error, after a pause that grows.
type Errand func(ctx context.Context, subject string, attempt int) (again time.Duration, err error)

// Timers keeps and runs them.
type Timers struct {
	db       *db.DB
	log      *slog.Logger
	handlers map[string]Handler
	errands  map[string]Errand
	patient  map[string]bool // kinds of errands that can wait
	slots    chan struct{}   // of errands in hand
	waitable chan struct{}   // of those in hand that could wait
	running  sync.WaitGroup
	wake     chan struct{}
}

// New makes timers that run on a pool other than that of the requests.
func New(d *db.DB, log *slog.Logger) *Timers {
	return &Timers{
		db: d, log: log, handlers: map[string]Handler{}, errands: map[string]Errand{}, patient: map[string]bool{},
		slots: make(chan struct{}, errandsAtOnce), waitable: make(chan struct{}, errandsAtOnce/2), wake: make(chan struct{}, 1),
	}
}

// On says what happens when a timer of a kind, "<module>.<what>", is due. The kind never
// changes: it is what stored timers go by.
func (t *Timers) On(kind string, h Handler) { t.handlers[kind] = h }

// OnErrand is On for what must not be done in a transaction.
func (t *Timers) OnErrand(kind string, e Errand) { t.errands[kind] = e }

// OnPatientErrand is OnErrand for what can wait: all errands of such kinds together leave half of
// the slots to the others, however many are due.
func (t *Timers) OnPatientErrand(kind string, e Errand) { t.errands[kind], t.patient[kind] = e, true }

// Set has the subject's timer of a kind go off at a moment, once the transaction is
// committed; it replaces an earlier one.
func (t *Timers) Set(tx *db.Tx, kind, subject string, at time.Time) {
	t.SetAll(tx, kind, []string{subject}, at)
}

// SetAll is Set for many subjects.
func (t *Timers) SetAll(tx *db.Tx, kind string, subjects []string, at time.Time) {
	if len(subjects) == 0 {
		return
	}
	w := db.Last[wishes](tx)
	for _, subject := range subjects {
		w.note(kind, subject, &at)
	}
	if at.Sub(tx.Now) < 2*lookEvery { // a later one is found in time by looking every so often
		tx.AfterCommit(t.alert)
	}
}

// Clear forgets a timer, if there is one.
func (t *Timers) Clear(tx *db.Tx, kind, subject string) { db.Last[wishes](tx).note(kind, subject, nil) }

func (t *Timers) alert() {
	select {
	case t.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

const (
	// lookEvery is how soon a timer is found that another process has set.
	lookEvery = time.Second
	// elsewhere is the pause when all that is due is in work at another replica.
	elsewhere = 100 * time.Millisecond
)

// Run runs what is due until ctx ends.
func (t *Timers) Run(ctx context.Context) error {
	if len(t.handlers)+len(t.errands) == 0 {
		return nil
	}
	defer t.running.Wait()
	for down := false; ctx.Err() == nil; {
		wait, err := t.next(ctx)
		if err == nil && wait <= 0 {
			var ran bool
			if ran, err = t.due(ctx); !ran {
				wait = elsewhere
			}
		}
		if err != nil && !down && ctx.Err() == nil {
			t.log.WarnContext(ctx, "timers wait", "err", err)
		}
		if down = err != nil; down {
			wait = lookEvery
		}
		select {
		case <-ctx.Done():
		case <-t.wake:
		case <-time.After(wait):
		}
	}
	return nil
}

// kinds that can be run now.
func (t *Timers) kinds() []string {
	kinds := slices.Sorted(maps.Keys(t.handlers))
	if len(t.slots) == cap(t.slots) {
		return kinds
	}
	for _, kind := range slices.Sorted(maps.Keys(t.errands)) {
		if !t.patient[kind] || len(t.waitable) < cap(t.waitable) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// next is how long there is nothing to do, at most lookEvery.
func (t *Timers) next(ctx context.Context) (time.Duration, error) {
	due, err := db.Query[float64](ctx, t.db, `select coalesce(platform.next_timer($1), 'infinity')`, pq.Array(t.kinds()))
	if err != nil {
		return 0, fmt.Errorf("look for timers: %w", err)
	}
	if len(due) == 0 || due[0] > lookEvery.Seconds() {
		return lookEvery, nil
	}
	return time.Duration(due[0] * float64(time.Second)), nil
}

type timer struct {
	Tenant   uuid.UUID `db:"tenant_id"`
	Kind     string    `db:"kind"`
	Subject  string    `db:"subject"`
	Attempts int       `db:"attempts"`
}

// due runs what is due now, one after the other, and tells whether there was any.
func (t *Timers) due(ctx context.Context) (ran bool, err error) {
	for ctx.Err() == nil {
		one, err := t.first(ctx)
		if err != nil || !one {
			return ran, err
		}
		ran = true
	}
	return ran, nil
}

// first runs what has been due longest and is not in work at another replica, in a
// transaction of its own. Together with others it would keep what they have locked, in the
// order in which they happen to be due: those who lock in an order, as requests do, would
// wait for it in a circle.
func (t *Timers) first(ctx context.Context) (ran bool, err error) {
	// A stop lets what has begun finish.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err = t.db.Across(ctx, func(tx *db.Tx) error {
		var claimed []timer
		if err := tx.Select(ctx, &claimed, `
			select tenant_id, kind, subject, attempts from platform.timer where due_at <= clock_timestamp() and kind = any($1)
			order by due_at limit 1 for update skip locked`, pq.Array(t.kinds())); err != nil {
			return fmt.Errorf("claim timer: %w", err)
		}
		for _, due := range claimed {
			run := t.run
			if t.errands[due.Kind] != nil {
				run = t.lease
			}
			if err := run(ctx, tx, due); err != nil {
				return err
			}
		}
		ran = len(claimed) > 0
		return nil
	})
	return ran, err
}

// timeout of one timer.
const timeout = 10 * time.Second

// errBroken: the transaction cannot even go back to its savepoint.
var errBroken = errors.New("the transaction is gone")

func (t *Timers) run(ctx context.Context, tx *db.Tx, due timer) error {
	hooks := tx.Hooks()
	if err := tx.As(ctx, due.Tenant); err != nil {
		return fmt.Errorf("act as tenant: %w", err)
	}
	err := t.attempt(ctx, tx, due)
	if err == nil {
		if err = tx.EndAs(ctx); err == nil {
			return nil
		}
	}
	if undo := tx.UndoAs(ctx, hooks); undo != nil {
		return fmt.Errorf("%w: %w (after: %w)", errBroken, undo, err)
	}
	// An outage or a lost deadlock says nothing about the timer: the whole comes again.
	if errors.Is(err, db.ErrUnavailable) || db.IsContention(err) || db.IsShortage(err) || ctx.Err() != nil {
		return err
	}
	t.log.ErrorContext(ctx, "timer failed", "kind", due.Kind, "subject", due.Subject, "tenant", due.Tenant, "attempt", due.Attempts+1, "err", err)
	pause := min(maxPause, time.Second<<min(due.Attempts, 10))
	if _, err := tx.Exec(ctx, `
		update platform.timer set attempts = attempts + 1, last_error = left($4, 2000), due_at = clock_timestamp() + $5 * interval '1 millisecond'
		where tenant_id = $1 and kind = $2 and subject = $3`,
		due.Tenant, due.Kind, due.Subject, db.Text(err.Error()), pause.Milliseconds()); err != nil {
		return fmt.Errorf("put timer back: %w", err)
	}
	return nil
}

const maxPause = time.Minute

// attempt forgets the timer first, so that the handler may set it anew, and makes an error
// of a panic: one timer must not end the program, which would start again and run it again.
func (t *Timers) attempt(ctx context.Context, tx *db.Tx, due timer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	ctx = identity.With(ctx, identity.Identity{Tenant: due.Tenant, Actor: "system:" + due.Kind})
	ctx = event.WithOrigin(ctx, event.Origin{CorrelationID: clock.NewID().String()})
	t.Clear(tx, due.Kind, due.Subject)
	return t.handlers[due.Kind](ctx, tx, due.Subject)
}
