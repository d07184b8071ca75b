package event

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// parts of a consumer: how many batches of it may be in work at once. The tables allow
// more; but what waits would have to be drained before it is cut anew, or subjects lose
// their order.
const parts = 1

// subscribe makes sure that the log feeds every consumer. It waits for a database that
// does not answer, as everything after it does.
func (b *Bus) subscribe(ctx context.Context) error {
	seen := map[string]bool{}
	for _, c := range b.all() {
		if seen[c.name] {
			return fmt.Errorf("two consumers are called %s", c.name)
		}
		seen[c.name] = true
		for {
			err := b.register(ctx, c)
			if err == nil {
				break
			}
			if !db.IsOutage(err) || ctx.Err() != nil {
				return fmt.Errorf("subscribe %s: %w", c.name, err)
			}
			b.log.WarnContext(ctx, "consumer cannot subscribe yet", "consumer", c.name, "err", err)
			pause(ctx, b.Poll)
		}
	}
	return nil
}

// catchUp is how much of the log a new consumer is given in one transaction.
const catchUp = 20_000

// register gives a new consumer all facts of its topic since the beginning: most of
// them in pieces, which disturb nobody and are not claimed while the consumer is no
// subscriber; what is left and the subscription under a lock that waits for publishers
// that read the old list and keeps new ones out, so no fact falls in between.
//
// From then on the publishers address the consumer, or the carrier does. That may be
// changed: what one of them has begun to bring, the other does not bring again.
func (b *Bus) register(ctx context.Context, c *consumer) error {
	// What no relay hands over, no carrier brings.
	carried := b.carrier != nil && !c.relays && slices.Contains(b.carrier.Topics(), c.topic)
	return register(ctx, b.db, c, carried)
}

// Restored makes a database that was restored a deployment of its own. Its consumers hear
// the carrier from the beginning, because the one that the backup was made of may live and
// because it heard more than the backup knows; and they are addressed again with what was on
// its way to them. What that one said since the backup is of a history that was given up.
func Restored(ctx context.Context, d *db.DB) error {
	if err := d.Across(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `insert into platform.deployment (id) values (gen_random_uuid())`)
		return err
	}); err != nil {
		return fmt.Errorf("become another deployment: %w", err)
	}
	var carried []struct {
		Consumer string `db:"consumer"`
		Topic    string `db:"topic"`
	}
	if err := d.Across(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &carried, `select consumer, topic from platform.subscription where carried_after is not null and part = 0`)
	}); err != nil {
		return fmt.Errorf("look for carried consumers: %w", err)
	}
	for _, c := range carried {
		if err := register(ctx, d, &consumer{name: c.Consumer, topic: c.Topic}, false); err != nil {
			return fmt.Errorf("readdress %s: %w", c.Consumer, err)
		}
	}
	return nil
}

func register(ctx context.Context, d *db.DB, c *consumer, carried bool) error {
	var (
		s          subscription
		upTo, last int64
		since      = sinceEver
	)
	if err := d.Across(ctx, func(tx *db.Tx) (err error) {
		if s, err = subscribed(ctx, tx, c); err != nil || s.known && (carried || !s.carried()) {
			return err // nothing is to be collected
		}
		if s.known {
			upTo, since = *s.CarriedAfter, sinceInbox
		}
		if err := tx.Get(ctx, &last, `select last_value from platform.event_seq`); err != nil {
			return err
		}
		last, err = settled(ctx, tx, last)
		return err
	}); err != nil || s.known && s.carried() == carried {
		return err
	}
	for ; upTo < last; upTo += catchUp {
		if err := d.Across(ctx, func(tx *db.Tx) error { return backlog(ctx, tx, c, upTo, min(upTo+catchUp, last), since) }); err != nil {
			return err
		}
	}
	return d.Across(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `lock table platform.subscription in access exclusive mode`); err != nil {
			return fmt.Errorf("wait for publishers: %w", err)
		}
		s, err := subscribed(ctx, tx, c)
		if err != nil || s.known && s.carried() == carried {
			return err // another replica was faster
		}
		if !s.known || !carried {
			if err := backlog(ctx, tx, c, last, math.MaxInt64, since); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			insert into platform.subscription (consumer, part, parts, topic, carried_after)
			select $1, p, $2, $3, case when $4 then e.last_value end from platform.event_seq e, generate_series(0, $2::int - 1) p
			on conflict (consumer, part) do update set carried_after = excluded.carried_after`, c.name, parts, c.topic, carried)
		return err
	})
}

// subscription is how a consumer hears of its topic now.
type subscription struct {
	Topic        string `db:"topic"`
	CarriedAfter *int64 `db:"carried_after"`
	known        bool
}

func (s subscription) carried() bool { return s.CarriedAfter != nil }

func subscribed(ctx context.Context, tx *db.Tx, c *consumer) (subscription, error) {
	s := subscription{known: true}
	err := tx.Get(ctx, &s, `select topic, carried_after from platform.subscription where consumer = $1 and part = 0`, c.name)
	switch {
	case db.IsNoRows(err):
		return subscription{}, nil
	case err != nil:
		return subscription{}, err
	case s.Topic != c.topic:
		return subscription{}, fmt.Errorf("it already hears of %s: a consumer never changes its topic, give the new one a new name", s.Topic)
	}
	return s, nil
}

// How far back a backlog goes: a newcomer has handled nothing; what a consumer has handled
// is known as long as its inbox remembers.
const (
	sinceEver  = `'-infinity'`
	sinceInbox = `platform.inbox_since()`
)

// backlog addresses the facts of a stretch of the log to a consumer, but for those that it
// has handled. Merchant by merchant, because the log's index is. What a try before this one
// did stays. What a carrier brought here is not handed to it again.
func backlog(ctx context.Context, tx *db.Tx, c *consumer, after, upTo int64, since string) error {
	_, err := tx.Exec(ctx, `
		insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
		select e.tenant_id, $1, (hashtext(e.subject) & 2147483647) % $2::int, e.seq, e.recorded_at, e.subject
		from platform.tenant t, lateral (
			select * from platform.event e where e.tenant_id = t.tenant_id and e.type = $3 and e.seq > $4 and e.seq <= $5) e
		where not ($6 and e.carried) and e.recorded_at >= `+since+` and not exists (
			select from platform.inbox i where i.tenant_id = e.tenant_id and i.consumer = $1 and i.event_id = e.id and i.recorded_at = e.recorded_at)
		on conflict do nothing`, c.name, parts, c.topic, after, upTo, c.relays)
	if err != nil {
		return fmt.Errorf("collect backlog: %w", err)
	}
	return nil
}
