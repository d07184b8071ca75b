package event_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/db/dbfault"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// postgres carries facts in the database itself.
var postgres = transport{
	name: "PostgreSQL",
	bus: func(_ *depot, pool *db.DB, log *event.Log) *event.Bus {
		return event.NewBus(pool, log, testkit.Log(), nil)
	},
	redeliver: func(d *depot, fact uuid.UUID) {
		d.sql(`insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
			select e.tenant_id, s.consumer, s.part, e.seq, e.recorded_at, e.subject
			from platform.event e join platform.subscription s on s.topic = e.type
			where e.id = $1 on conflict do nothing`, fact)
	},
}

var _ = conformance(postgres)

var _ = Describe("a delivery", func() {
	It("is due at once, however late the transaction began that published it", func() {
		d := open(postgres)
		d.consumes("shelf.moved").stop()
		d.publish(d.ctx, steps("p1", 1, 2)...)
		// A transaction that waited for a lock published the second step: it began before the
		// first one's, and before the one that claims them.
		d.sql(`update platform.delivery set available_at = case when seq = (select min(seq) from platform.delivery) then now() + interval '1 hour' else now() - interval '1 hour' end`)
		d.consumes("shelf.moved")
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 2)))
	})
})

var _ = Describe("the bus when its database fails", func() {
	var d *depot
	BeforeEach(func() { d = open(postgres) })

	It("loses nothing and does nothing twice while its connections are killed", func() {
		for range 2 {
			r := d.replica()
			event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
				return note(ctx, tx, "shelf.moved", e)
			})
			event.OnBatch(r.Bus, "label.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
				return note(ctx, tx, "label.moved", batch...)
			})
			r.run()
		}
		Eventually(d.consumers, testkit.Patience).Should(HaveLen(2))
		var killed, published atomic.Int64
		var publishers sync.WaitGroup
		for p := range 4 {
			publishers.Go(func() {
				defer GinkgoRecover()
				for n := int64(1); killed.Load() < 20; n += 3 {
					d.publish(d.ctx, steps(fmt.Sprint("p", p), n, n+2)...)
					published.Add(3)
				}
			})
		}
		// Connections at work: an idle one that dies is a smaller matter.
		Eventually(func() int64 {
			return killed.Add(int64(d.count(`select count(pg_terminate_backend(pid)) from pg_stat_activity
				where application_name = 'bus' and datname = current_database() and xact_start is not null`)))
		}, 2*testkit.Patience, "20ms").Should(BeNumerically(">=", 20))
		publishers.Wait()
		Eventually(d.waiting, 2*testkit.Patience).Should(BeZero())
		d.audit(int(published.Load()), "shelf.moved", "label.moved")
		Expect(d.parked()).To(BeEmpty())
	})

	It("does not hold an outage against the facts that were in work", func() {
		proxy, err := dbfault.New(d.App)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		r := d.replicaOn(proxy.DSN())
		entered, leave := make(chan struct{}), make(chan struct{})
		var entries atomic.Int32
		event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
			entries.Add(1)
			entered <- struct{}{}
			<-leave
			return note(ctx, tx, "shelf.moved", e)
		})
		r.run()
		d.publish(d.ctx, moved{"p1", 1})
		for range 10 { // more often than a fact may fail
			Eventually(entered, testkit.Patience).Should(Receive())
			Expect(proxy.Cut()).To(Succeed())
			leave <- struct{}{}
			Expect(proxy.Restore()).To(Succeed())
		}
		Eventually(entered, testkit.Patience).Should(Receive())
		leave <- struct{}{}
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p1/1"}))
		Expect(d.count(`select attempt from book.effect`)).To(Equal(1))
	})

	It("starts when the database comes, if it is not there yet", func() {
		proxy, err := dbfault.New(d.App)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		Expect(proxy.Cut()).To(Succeed())
		r := d.replicaOn(proxy.DSN())
		event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
			return note(ctx, tx, "shelf.moved", e)
		})
		r.run()
		d.publish(d.ctx, moved{"p1", 1})
		Expect(proxy.Restore()).To(Succeed())
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p1/1"}))
	})

	It("stops in good order while the database is away", func() {
		proxy, err := dbfault.New(d.App)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		r := d.replicaOn(proxy.DSN())
		event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
			return note(ctx, tx, "shelf.moved", e)
		})
		r.run()
		Eventually(d.consumers, testkit.Patience).Should(HaveLen(1))
		Expect(proxy.Cut()).To(Succeed())
		r.stop()
	})

	It("gets out of a handler's deadlock without holding it against the fact", func() {
		d.sql(`create table book.shelf (id int primary key)`)
		d.sql(`insert into book.shelf values (1), (2)`)
		d.sql(`grant all on book.shelf to fusion_app`)
		d.sql(`alter role fusion_app in database ` + d.name() + ` set deadlock_timeout = '50ms'`)
		lock := func(ctx context.Context, tx *db.Tx, shelf int) error {
			_, err := tx.Exec(ctx, `select from book.shelf where id = $1 for update`, shelf)
			return err
		}
		crossed := make(chan struct{})
		var once sync.Once
		r := d.replica()
		event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
			if err := lock(ctx, tx, 1); err != nil {
				return err
			}
			once.Do(func() { close(crossed) })
			if err := lock(ctx, tx, 2); err != nil {
				return err
			}
			return note(ctx, tx, "shelf.moved", e)
		})
		r.run()
		Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
			if err := lock(d.ctx, tx, 2); err != nil {
				return err
			}
			d.publish(d.ctx, moved{"p1", 1})
			<-crossed
			return lock(d.ctx, tx, 1)
		})).To(Succeed())
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(1))
		Expect(d.count(`select attempt from book.effect`)).To(Equal(1))
	})
})
