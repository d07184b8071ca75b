package event

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// ErrNoConsumer means that nothing is subscribed under a name.
var ErrNoConsumer = fault.New(fault.NotFound, "unknown_consumer", "There is no consumer with this name.")

// Replay delivers the log to a consumer again, from a position on, and reports how many
// facts that is. The consumer forgets that it has handled them: a replay is for a reaction
// that was mended, or whose results were lost.
func Replay(ctx context.Context, d *db.DB, name string, after int64) (n int64, err error) {
	c := &consumer{name: name}
	var last int64
	if err := d.Across(ctx, func(tx *db.Tx) error {
		err := tx.Get(ctx, &c.topic, `select topic from platform.subscription where consumer = $1 and part = 0`, name)
		if db.IsNoRows(err) {
			return ErrNoConsumer.Saying("There is no consumer %s: fusion events backlog shows those there are.", name)
		}
		if err != nil {
			return err
		}
		return tx.Get(ctx, &last, `select last_value from platform.event_seq`)
	}); err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	for ; after < last; after += catchUp {
		upTo := min(after+catchUp, last)
		if err := d.Across(ctx, func(tx *db.Tx) error {
			again, err := replay(ctx, tx, c, after, upTo)
			n += again
			return err
		}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// replay forgets a stretch of the log and addresses it again. What waits already stays.
func replay(ctx context.Context, tx *db.Tx, c *consumer, after, upTo int64) (int64, error) {
	n, err := tx.Exec(ctx, `
		delete from platform.inbox i using platform.event e
		where i.consumer = $1 and e.type = $2 and e.seq > $3 and e.seq <= $4
		  and i.tenant_id = e.tenant_id and i.event_id = e.id and i.recorded_at = e.recorded_at`, c.name, c.topic, after, upTo)
	if err != nil {
		return 0, fmt.Errorf("forget what was handled: %w", err)
	}
	return n, backlog(ctx, tx, c, after, upTo, sinceEver)
}

// Unsubscribe ends a consumer that no program has any more. What waits for it is given up;
// the facts stay in the log. A program that has the consumer subscribes it again.
func Unsubscribe(ctx context.Context, d *db.DB, name string) (waiting int64, err error) {
	err = d.Across(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `delete from platform.subscription where consumer = $1`, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNoConsumer.Saying("There is no consumer %s: fusion events backlog shows those there are.", name)
		}
		waiting, err = tx.Exec(ctx, `delete from platform.delivery where consumer = $1`, name)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("unsubscribe: %w", err)
	}
	return waiting, nil
}
