package event_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// moved is one step of a parcel. The steps of a parcel must arrive in order.
type moved struct {
	Parcel string `json:"parcel"`
	Step   int64  `json:"step"`
}

func (moved) EventType() string      { return "parcel.moved" }
func (m moved) EventKey() string     { return m.Parcel }
func (m moved) EventSequence() int64 { return m.Step }

// lost is another thing that happens to parcels.
type lost struct {
	Parcel string `json:"parcel"`
}

func (lost) EventType() string    { return "parcel.lost" }
func (l lost) EventKey() string   { return l.Parcel }
func (lost) EventSequence() int64 { return 1 }

// scrambled claims to be a step and cannot be read as one.
type scrambled struct {
	Parcel int    `json:"parcel"`
	Of     string `json:"-"`
}

func (scrambled) EventType() string    { return "parcel.moved" }
func (s scrambled) EventKey() string   { return s.Of }
func (scrambled) EventSequence() int64 { return 1 }

// steps of one parcel, from the first to the last.
func steps(parcel string, from, to int64) []event.Event {
	var list []event.Event
	for n := from; n <= to; n++ {
		list = append(list, moved{parcel, n})
	}
	return list
}

// A transport brings facts from the log to the consumers. Every transport that a bus
// can be made with passes conformance().
type transport struct {
	name string
	// bus makes one replica's bus.
	bus func(d *depot, pool *db.DB, log *event.Log) *event.Bus
	// redeliver hands a fact to every consumer of its topic once more.
	redeliver func(d *depot, fact uuid.UUID)
}

// depot is a database with a merchant, a book of what consumers did, and any number of
// replicas of the program.
type depot struct {
	testkit.Database
	transport transport
	pool      *db.DB
	log       *event.Log // of a process that publishes and consumes nothing
	super     *sql.DB
	tenant    uuid.UUID
	ctx       context.Context
}

func open(t transport) *depot {
	GinkgoHelper()
	d := &depot{Database: testkit.NewDatabase(), transport: t, log: event.NewLog()}
	d.pool, d.super = testkit.Open(d.App), testkit.SQL(d.Super)
	d.tenant = testkit.NewTenant(d.Database)
	d.ctx = testkit.As(d.tenant)
	d.sql(`create schema book`)
	// No key: an effect that happens twice must show.
	d.sql(`create table book.effect (
		n bigserial, tenant_id uuid not null default platform.current_tenant(), consumer text not null, event_id uuid not null,
		subject text not null, sequence bigint not null, attempt int not null)`)
	d.sql(`grant usage on schema book to fusion_app`)
	d.sql(`grant all on all tables in schema book to fusion_app`)
	d.sql(`grant all on all sequences in schema book to fusion_app`)
	return d
}

// sql runs a statement as the superuser, whom nothing binds.
func (d *depot) sql(query string, args ...any) {
	GinkgoHelper()
	_, err := d.super.Exec(query, args...)
	Expect(err).NotTo(HaveOccurred())
}

// name of the database.
func (d *depot) name() (name string) {
	GinkgoHelper()
	Expect(d.super.QueryRow(`select current_database()`).Scan(&name)).To(Succeed())
	return name
}

// count reads one number as the superuser.
func (d *depot) count(query string, args ...any) (n int) {
	GinkgoHelper()
	Expect(d.super.QueryRow(query, args...).Scan(&n)).To(Succeed())
	return n
}

// publish records facts in a transaction of their own.
func (d *depot) publish(ctx context.Context, facts ...event.Event) {
	GinkgoHelper()
	Expect(d.pool.InTx(ctx, func(tx *db.Tx) error { return d.log.Publish(ctx, tx, facts...) })).To(Succeed())
}

// replica is one process that runs the consumers.
type replica struct {
	*event.Bus
	log  *event.Log
	pool *db.DB
	stop func()
}

// replica prepares a process; consumers are added before it is run.
func (d *depot) replica() *replica {
	GinkgoHelper()
	u, err := url.Parse(d.App)
	Expect(err).NotTo(HaveOccurred())
	q := u.Query()
	q.Set("application_name", "bus")
	u.RawQuery = q.Encode()
	return d.replicaOn(u.String())
}

func (d *depot) replicaOn(dsn string) *replica {
	GinkgoHelper()
	r := &replica{pool: testkit.Open(dsn), log: event.NewLog()}
	r.Bus = d.transport.bus(d, r.pool, r.log)
	r.Backoff = func(int) time.Duration { return time.Millisecond }
	r.Poll = 50 * time.Millisecond
	return r
}

// run delivers until the spec ends or the replica is stopped.
func (r *replica) run() *replica {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := r.Run(ctx)
		if err != nil {
			testkit.Log().Error("the bus ended", "err", err)
		}
		done <- err
	}()
	stopped := false
	r.stop = func() {
		GinkgoHelper()
		cancel()
		if !stopped {
			Eventually(done, 2*testkit.Patience).Should(Receive(Succeed()))
		}
		stopped = true
	}
	DeferCleanup(r.stop)
	return r
}

// consumes makes a replica note what it hears of parcels, and runs it.
func (d *depot) consumes(consumers ...string) *replica {
	GinkgoHelper()
	r := d.replica()
	for _, c := range consumers {
		event.On(r.Bus, c, func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error { return note(ctx, tx, c, e) })
	}
	r.run()
	Eventually(d.consumers, testkit.Patience).Should(ContainElements(consumers))
	return r
}

// consumers that the log feeds; those that hand facts to a carrier are none.
func (d *depot) consumers() []string {
	GinkgoHelper()
	backlogs, err := event.Backlogs(context.Background(), d.pool)
	Expect(err).NotTo(HaveOccurred())
	names := []string{}
	for _, b := range backlogs {
		if !strings.HasPrefix(b.Consumer, "relay.") {
			names = append(names, b.Consumer)
		}
	}
	return names
}

// note is an effect: it is there exactly when the transaction was committed.
func note[T any](ctx context.Context, tx *db.Tx, consumer string, events ...event.Received[T]) error {
	ids, subjects, sequences, attempts := make([]string, len(events)), make([]string, len(events)), make([]int64, len(events)), make([]int64, len(events))
	for i, e := range events {
		ids[i], subjects[i], sequences[i], attempts[i] = e.ID.String(), e.Subject, e.Sequence, int64(e.Attempt)
	}
	_, err := tx.Exec(ctx, `insert into book.effect (consumer, event_id, subject, sequence, attempt)
		select $1, * from unnest($2::uuid[], $3::text[], $4::bigint[], $5::int[])`,
		consumer, pq.Array(ids), pq.Array(subjects), pq.Array(sequences), pq.Array(attempts))
	return err
}

// effects of a consumer, "<parcel>/<step>", in the order in which they happened.
func (d *depot) effects(consumer string) func() []string {
	return func() []string {
		GinkgoHelper()
		rows, err := d.super.Query(`select subject || '/' || sequence from book.effect where consumer = $1 order by n`, consumer)
		Expect(err).NotTo(HaveOccurred())
		defer rows.Close()
		list := []string{}
		for rows.Next() {
			var s string
			Expect(rows.Scan(&s)).To(Succeed())
			list = append(list, s)
		}
		Expect(rows.Err()).NotTo(HaveOccurred())
		return list
	}
}

// waiting is how many deliveries to consumers are neither done nor parked.
func (d *depot) waiting() int64 {
	GinkgoHelper()
	backlogs, err := event.Backlogs(context.Background(), d.pool)
	Expect(err).NotTo(HaveOccurred())
	var n int64
	for _, b := range backlogs {
		if !strings.HasPrefix(b.Consumer, "relay.") {
			n += b.Waiting
		}
	}
	return n
}

// unsaid is how many facts the carrier has not got yet.
func (d *depot) unsaid() int {
	GinkgoHelper()
	return d.count(`select count(*) from platform.delivery where consumer like 'relay.%' and parked_at is null`)
}

func (d *depot) parked() []event.Parked {
	GinkgoHelper()
	list, err := event.ListParked(context.Background(), d.pool)
	Expect(err).NotTo(HaveOccurred())
	return list
}

// each says "<parcel>/<step>" for a range of steps.
func each(parcel string, from, to int) []string {
	var list []string
	for n := from; n <= to; n++ {
		list = append(list, fmt.Sprintf("%s/%d", parcel, n))
	}
	return list
}

// audit proves the promise of the bus: each fact had its effect on each consumer once,
// and the facts of a subject had theirs in the order in which they happened.
func (d *depot) audit(facts int, consumers ...string) {
	GinkgoHelper()
	for _, c := range consumers {
		// What is still on its way over a carrier waits nowhere in the database. A slow machine
		// may take as long as it likes, as long as it goes on.
		effects := func() int { return d.count(`select count(*) from book.effect where consumer = $1`, c) }
		for n := effects(); n < facts; n = effects() {
			Eventually(effects, 2*testkit.Patience).Should(BeNumerically(">", n))
		}
		Expect(d.count(`select count(*) from book.effect where consumer = $1`, c)).To(Equal(facts), "effects of %s", c)
		Expect(d.count(`select count(distinct (tenant_id, event_id)) from book.effect where consumer = $1`, c)).To(Equal(facts), "facts that had an effect on %s", c)
		Expect(d.count(`select count(*) from (
			select sequence, lag(sequence, 1, 0::bigint) over (partition by tenant_id, subject order by n) before from book.effect where consumer = $1
		) e where sequence <> before + 1`, c)).To(BeZero(), "%s went back in time", c)
	}
	Expect(d.count(`select count(*) from book.effect b where not exists (
		select from platform.event e where e.tenant_id = b.tenant_id and e.id = b.event_id)`)).To(BeZero(), "effects without a fact, or as another merchant")
}
