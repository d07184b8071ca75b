package mail

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

const (
	// lookEvery is how soon a letter is found that another process has written.
	lookEvery = time.Second
	// atOnce bounds how many letters are on their way together.
	atOnce = 4
	// lease is how long a letter is left to the program that has taken it: longer than a try.
	lease = 5 * time.Minute
	// most tries before a letter is put aside.
	most = 8
	// grace is what letters on their way get when the program stops.
	grace = 5 * time.Second
)

// pause before the next try: a quarter of a minute, then four times as long each, in all
// half a day.
func pause(tries int) time.Duration {
	const first, longest = 15 * time.Second, 6 * time.Hour
	return min(first<<(2*(tries-1)), longest)
}

// Run delivers letters until ctx ends.
func (o *Outbox) Run(ctx context.Context) error {
	if o.delivery == nil {
		return nil
	}
	for down := false; ctx.Err() == nil; {
		more, err := o.round(ctx)
		if err != nil && ctx.Err() == nil && !down {
			o.log.WarnContext(ctx, "mail waits", "err", err)
		}
		down = err != nil
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-time.After(lookEvery):
		}
	}
	return nil
}

// round delivers some of what is due.
func (o *Outbox) round(ctx context.Context) (more bool, err error) {
	due, err := db.Query[bool](ctx, o.db, `select coalesce(platform.next_mail() <= 0, false)`)
	if err != nil || !due[0] {
		return false, err
	}
	taken, err := o.take(ctx)
	if err != nil {
		return false, err
	}
	// What is on its way when the program stops is worth a moment: sent half, it is sent twice.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	var all sync.WaitGroup
	for _, t := range taken {
		all.Go(func() { o.deliver(sending, t) })
	}
	all.Wait()
	return len(taken) > 0, nil
}

// taken is a letter that this program has to deliver.
type taken struct {
	TenantID  uuid.UUID `db:"tenant_id"`
	ID        uuid.UUID
	Sealed    []byte
	Attempts  int
	CreatedAt time.Time `db:"created_at"`
	merchant
}

// take claims letters for the time of the lease. A try is counted before it is made: a
// letter that ends the program does not do so for ever.
func (o *Outbox) take(ctx context.Context) (list []taken, err error) {
	err = o.db.Across(ctx, func(tx *db.Tx) error {
		list = nil
		return tx.Select(ctx, &list, `
			update platform.mail m set attempts = m.attempts + 1, available_at = now() + $1 * interval '1 second'
			from (select tenant_id, id from platform.mail where parked_at is null and available_at <= now()
			      order by available_at limit $2 for update skip locked) due
			where m.tenant_id = due.tenant_id and m.id = due.id
			returning m.tenant_id, m.id, m.sealed, m.attempts, m.created_at,
				(select t.name from platform.tenant t where t.tenant_id = m.tenant_id) shop,
				(select t.settings from platform.tenant t where t.tenant_id = m.tenant_id) settings,
				coalesce((select min(h.host) from platform.tenant_host h where h.tenant_id = m.tenant_id), '') host`,
			lease.Seconds(), atOnce)
	})
	if err != nil {
		return nil, fmt.Errorf("take mail: %w", err)
	}
	return list, nil
}

var errEnded = errors.New("the program ended during each try")

// deliver makes one try and notes its outcome.
func (o *Outbox) deliver(ctx context.Context, t taken) {
	m, err := o.open(t.TenantID, t.Sealed)
	switch {
	case err != nil:
	case t.Attempts > most:
		err = errEnded
	default:
		err = o.hand(ctx, t, m)
	}
	log := o.log.With("mail", t.ID, "template", m.Template, "attempt", t.Attempts)
	if err == nil {
		if err := o.note(ctx, `delete from platform.mail where tenant_id = $1 and id = $2`, t.TenantID, t.ID); err != nil {
			log.WarnContext(ctx, "mail was sent and may be sent again", "err", err)
		}
		return
	}
	why := withoutPerson(err.Error(), m.To)
	if t.Attempts >= most || errors.Is(err, errRefused) {
		log.ErrorContext(ctx, "mail is put aside: see fusion mail list", "err", why)
		err = o.note(ctx, `update platform.mail set parked_at = now(), last_error = left($3, 2000) where tenant_id = $1 and id = $2`, t.TenantID, t.ID, db.Text(why))
	} else {
		log.WarnContext(ctx, "mail is tried again later", "err", why)
		err = o.note(ctx, `update platform.mail set available_at = now() + $3 * interval '1 second', last_error = left($4, 2000) where tenant_id = $1 and id = $2`,
			t.TenantID, t.ID, pause(t.Attempts).Seconds(), db.Text(why))
	}
	if err != nil {
		log.WarnContext(ctx, "what became of the mail is not noted", "err", err)
	}
}

// hand makes an error of a panic: one letter must not end the program.
func (o *Outbox) hand(ctx context.Context, t taken, m Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	shop, err := o.letters.lookOf(t.TenantID, t.merchant)
	if err != nil {
		return err
	}
	w, err := o.letters.write(m, shop)
	if err != nil {
		return err
	}
	l, err := o.letters.compose(t.ID, t.CreatedAt, m.To, shop, w)
	if err != nil {
		return fmt.Errorf("compose mail: %w", err)
	}
	return o.delivery.send(ctx, l)
}

func (o *Outbox) note(ctx context.Context, query string, args ...any) error {
	return o.db.Across(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

// withoutPerson takes an address out of what a server says: what is noted about a failure
// outlives the letter.
func withoutPerson(said, address string) string {
	person, err := regexp.Compile("(?i)" + regexp.QuoteMeta(address))
	if err != nil || address == "" {
		return said
	}
	return person.ReplaceAllString(said, "…")
}
