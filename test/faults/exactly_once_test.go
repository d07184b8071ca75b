package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/parcels"
)

// Beside the shop's own reactions, five that note each of their effects.
var _ = Describe("a bus whose program is killed", func() {
	// T-07: P7.
	It("has every effect once, whatever fails and however often facts come", func(ctx SpecContext) {
		const poison, publishers, batch = 10, 5, 10
		facts, kills := sized(500, 10_000), sized(3, 10)
		d := openDepot(ctx)
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				defer GinkgoRecover()
				for n := int64(1); n <= int64(facts/publishers/batch); n++ {
					list := make([]event.Event, 0, batch+2)
					for i := range batch {
						list = append(list, parcels.Moved{Parcel: fmt.Sprintf("p%d-%d", p, i), Step: n})
					}
					if n <= poison/publishers {
						bad := fmt.Sprintf("bad%d-%d", p, n)
						list = append(list, parcels.Moved{Parcel: bad, Step: parcels.Poison}, parcels.Moved{Parcel: bad, Step: 1})
					}
					d.publish(ctx, list...)
				}
			})
		}
		consumers := parcels.Consumers()
		sound := facts + poison // every poison has a follower
		redelivered := 0
		// Every fact is delivered once to four times, and every round is disturbed.
		for round := range 4 {
			if round > 0 {
				redelivered += d.redeliver(ctx, round)
			}
			blows := (kills*(round+1))/4 - (kills*round)/4
			for blow := range blows {
				left := d.left() * (blows - blow) / (blows + 1)
				Eventually(d.left).WithContext(ctx).WithTimeout(toEnd).WithPolling(5 * time.Millisecond).Should(Or(BeNumerically("<=", left), BeZero()))
				d.strike()
			}
			all.Wait()
			d.drain(ctx)
		}

		t := &table{title: "T-07 exactly once"}
		t.row("facts, of them poison (consumers)", fmt.Sprintf("%d, %d (%d)", sound+poison, poison, len(consumers)))
		t.row("deliveries that came again", redelivered)
		t.row("SIGKILL, of them with work in hand", fmt.Sprintf("%d, %d", d.Faults().Kills, d.struck))
		t.row("tries that failed", d.Said("event failed"))
		t.row("parked", d.count(`select count(*) from platform.delivery where parked_at is not null`))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		Expect(d.Faults().Kills).To(Equal(kills))
		Expect(d.struck).To(BeNumerically(">", 0))
		Expect(redelivered).To(BeNumerically(">", facts))
		Expect(d.count(`select count(*) from platform.delivery where parked_at is not null`)).To(Equal(poison * len(consumers)))
		Expect(d.count(`select count(*) from platform.delivery d join platform.event e using (tenant_id, seq) where e.sequence <> $1`, parcels.Poison)).To(BeZero())
		d.mustBeExact(sound, consumers...)
	}, SpecTimeout(sized(2*time.Minute, 10*time.Minute)))

	// T-08: P8. Writers meet at the same aggregates, wait for each other's locks and publish
	// when they have them.
	It("keeps the versions of an aggregate in order, whoever writes them", func(ctx SpecContext) {
		const writers = 8
		aggregates, versions, kills := sized(40, 200), int64(sized(10, 50)), sized(2, 10)
		d := openDepot(ctx)
		d.exec(`insert into book.parcel select generate_series(1, $1)`, aggregates)
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				defer GinkgoRecover()
				rng := randomness(uint64(w) + 10)
				for _, id := range rng.Perm(aggregates) { // each writer comes to each, in an order of its own
					d.write(ctx, rng, id+1, versions, w == writers-1)
				}
			})
		}
		total := aggregates * int(versions)
		for blow := range kills {
			Eventually(func() int { return d.count(`select count(*) from book.effect`) }).WithContext(ctx).WithTimeout(toEnd).WithPolling(5 * time.Millisecond).
				Should(BeNumerically(">=", total*len(parcels.Consumers())*(blow+1)/(kills+1)))
			d.strike()
		}
		all.Wait()
		d.drain(ctx)

		t := &table{title: "T-08 order"}
		t.row("aggregates x versions / writers", fmt.Sprintf("%d x %d / %d", aggregates, versions, writers))
		t.row("SIGKILL, of them with work in hand", fmt.Sprintf("%d, %d", d.Faults().Kills, d.struck))
		t.row("tries that failed", d.Said("event failed"))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		Expect(d.struck).To(BeNumerically(">", 0))
		Expect(d.count(`select count(*) from platform.delivery where parked_at is not null`)).To(BeZero())
		d.mustBeExact(total, parcels.Consumers()...)
	}, SpecTimeout(sized(2*time.Minute, 10*time.Minute)))
})

// depot is a database with two consumers on it, and a pool to publish with.
type depot struct {
	*shop
	pool      *db.DB
	log       *event.Log
	consumers []*lab.Replica
	struck    int // kills while something was to be done
}

func openDepot(ctx context.Context) *depot {
	GinkgoHelper()
	d := &depot{shop: hostShop(ctx), log: event.NewLog()}
	d.openTo("", 1)
	d.exec(parcels.Schema)
	var err error
	d.pool, err = db.Open(db.Options{DSN: d.DatabaseURL(), Connections: 16})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(d.pool.Close)
	for range 2 {
		d.join()
	}
	Eventually(func() int { return d.count(`select count(*) from platform.subscription where topic = 'parcel.moved'`) }).
		WithContext(ctx).WithTimeout(toEnd).WithPolling(10 * time.Millisecond).Should(Equal(len(parcels.Consumers())))
	return d
}

func consumerBinary() string { return filepath.Join(workshop, "consumer") }

func (d *depot) join() {
	GinkgoHelper()
	c, err := d.Helper(consumerBinary())
	Expect(err).NotTo(HaveOccurred())
	d.consumers = append(d.consumers, c)
}

// strike kills the older one of the consumers and starts a new one.
func (d *depot) strike() {
	GinkgoHelper()
	if d.left() > 0 {
		d.struck++
	}
	Expect(d.consumers[0].Kill()).To(Succeed())
	d.consumers = d.consumers[1:]
	d.join()
}

func (d *depot) exec(query string, args ...any) {
	GinkgoHelper()
	_, err := d.db.Exec(query, args...)
	Expect(err).NotTo(HaveOccurred())
}

func (d *depot) acting(ctx context.Context) context.Context {
	return identity.With(ctx, identity.Identity{Tenant: identity.DefaultTenant, Actor: "publisher"})
}

func (d *depot) publish(ctx context.Context, facts ...event.Event) {
	GinkgoHelper()
	ctx = d.acting(ctx)
	Expect(d.pool.InTx(ctx, func(tx *db.Tx) error { return d.log.Publish(ctx, tx, facts...) })).To(Succeed())
}

// write adds some versions to an aggregate, up to the last one, or all of them.
func (d *depot) write(ctx context.Context, rng *rand.Rand, id int, versions int64, all bool) {
	GinkgoHelper()
	ctx = d.acting(ctx)
	more := 1 + rng.Int64N(versions/4)
	Expect(d.pool.InTx(ctx, func(tx *db.Tx) error {
		var version int64
		if err := tx.Get(ctx, &version, `select version from book.parcel where id = $1 for update`, id); err != nil {
			return err
		}
		last := min(version+more, versions)
		if all {
			last = versions
		}
		var facts []event.Event
		for v := version + 1; v <= last; v++ {
			facts = append(facts, parcels.Moved{Parcel: fmt.Sprint(id), Step: v})
		}
		if _, err := tx.Exec(ctx, `update book.parcel set version = $2 where id = $1`, id, last); err != nil {
			return err
		}
		return d.log.Publish(ctx, tx, facts...)
	})).To(Succeed())
}

// left are the deliveries that are neither done nor parked.
func (d *depot) left() int {
	GinkgoHelper()
	return d.count(`select count(*) from platform.delivery where parked_at is null`)
}

func (d *depot) drain(ctx context.Context) {
	GinkgoHelper()
	Eventually(d.left).WithContext(ctx).WithTimeout(5 * time.Minute).WithPolling(20 * time.Millisecond).Should(BeZero())
}

// redeliver hands out once more what can be handled: in the first round three quarters of
// it, in the second half, in the third a quarter.
func (d *depot) redeliver(ctx context.Context, round int) int {
	GinkgoHelper()
	again, err := d.db.ExecContext(ctx, `
		insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
		select e.tenant_id, s.consumer, s.part, e.seq, e.recorded_at, e.subject
		from platform.event e join platform.subscription s on s.topic = e.type
		where e.type = 'parcel.moved' and e.sequence <> $1 and e.seq % 4 >= $2 on conflict do nothing`, parcels.Poison, round)
	Expect(err).NotTo(HaveOccurred())
	n, err := again.RowsAffected()
	Expect(err).NotTo(HaveOccurred())
	return int(n)
}

// mustBeExact proves the promise of the bus: each fact had its effect on each consumer
// once, and the facts of a subject had theirs in the order in which they happened.
func (d *depot) mustBeExact(facts int, consumers ...string) {
	GinkgoHelper()
	for _, c := range consumers {
		Expect(d.count(`select count(*) from book.effect where consumer = $1`, c)).To(Equal(facts), "effects of %s", c)
		Expect(d.count(`select count(distinct event_id) from book.effect where consumer = $1`, c)).To(Equal(facts), "facts that had an effect on %s", c)
		Expect(d.count(`select count(*) from (
			select sequence, lag(sequence, 1, 0::bigint) over (partition by subject order by n) before from book.effect where consumer = $1
		) e where sequence <> before + 1`, c)).To(BeZero(), "%s went back in time", c)
	}
	Expect(d.count(`select count(*) from book.effect b where not exists (
		select from platform.event e where e.tenant_id = b.tenant_id and e.id = b.event_id)`)).To(BeZero(), "effects without a fact")
	Expect(d.GaveUp()).To(BeEmpty())
}
