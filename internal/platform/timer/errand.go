package timer

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

const (
	// errandsAtOnce bounds what one process asks of others at a time.
	errandsAtOnce = 8
	errandTimeout = 20 * time.Second
	// leased is how long no other replica takes an errand up. It is well beyond errandTimeout:
	// who runs one too long has been given up before somebody else begins.
	leased = time.Minute
)

// lease puts an errand's timer off, and begins the errand once that is certain.
func (t *Timers) lease(ctx context.Context, tx *db.Tx, due timer) error {
	var until time.Time
	if err := tx.Get(ctx, &until, `
		update platform.timer set attempts = attempts + 1, due_at = clock_timestamp() + $4 * interval '1 millisecond'
		where tenant_id = $1 and kind = $2 and subject = $3 returning due_at`, due.Tenant, due.Kind, due.Subject, leased.Milliseconds()); err != nil {
		return fmt.Errorf("lease errand: %w", err)
	}
	tx.AfterCommit(func() {
		t.slots <- struct{}{} // there is one: only this goroutine takes any
		if t.patient[due.Kind] {
			t.waitable <- struct{}{}
		}
		t.running.Go(func() {
			defer t.alert()
			defer func() {
				if t.patient[due.Kind] {
					<-t.waitable
				}
				<-t.slots
			}()
			t.errand(context.WithoutCancel(ctx), due, until)
		})
	})
	return nil
}

func (t *Timers) errand(ctx context.Context, due timer, until time.Time) {
	ctx = identity.With(ctx, identity.Identity{Tenant: due.Tenant, Actor: "system:" + due.Kind})
	ctx = event.WithOrigin(ctx, event.Origin{CorrelationID: clock.NewID().String()})
	again, err := t.attend(ctx, due)
	if err != nil {
		again = min(maxPause, time.Second<<min(due.Attempts, 10))
		t.log.WarnContext(ctx, "errand failed", "kind", due.Kind, "subject", due.Subject, "tenant", due.Tenant, "attempt", due.Attempts+1, "err", err)
	}
	if err := t.settle(ctx, due, until, again, err); err != nil {
		t.log.ErrorContext(ctx, "errand not noted", "kind", due.Kind, "subject", due.Subject, "tenant", due.Tenant, "err", err)
	}
}

// attend makes an error of a panic: one errand must not end the program.
func (t *Timers) attend(ctx context.Context, due timer) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, errandTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return t.errands[due.Kind](ctx, due.Subject, due.Attempts+1)
}

// settle forgets the timer or puts it off, unless somebody has set it anew meanwhile.
func (t *Timers) settle(ctx context.Context, due timer, until time.Time, again time.Duration, failure error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return t.db.InTx(ctx, func(tx *db.Tx) error {
		if failure == nil && again == 0 {
			_, err := tx.Exec(ctx, `
				delete from platform.timer where tenant_id = platform.current_tenant() and kind = $1 and subject = $2 and due_at = $3`, due.Kind, due.Subject, until)
			return err
		}
		var said *string
		if failure != nil {
			text := db.Text(failure.Error())
			said = &text
		}
		_, err := tx.Exec(ctx, `
			update platform.timer set due_at = clock_timestamp() + $4 * interval '1 millisecond', last_error = left($5, 2000)
			where tenant_id = platform.current_tenant() and kind = $1 and subject = $2 and due_at = $3`, due.Kind, due.Subject, until, again.Milliseconds(), said)
		return err
	})
}
