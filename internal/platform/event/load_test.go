package event_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// underLoad is the part of conformance that shows only when much happens at once.
func underLoad(d func() *depot) {
	// T-07, at a size that suits every change. A fifth of all deliveries fails twice, some facts fail for ever, and facts come
	// again while they are in work.
	It("has every effect once, whatever fails and however often facts come", func() {
		const (
			facts  = 300
			poison = 10
		)
		d := d()
		consumers := []string{"shelf.moved", "label.moved", "scale.moved", "claims.moved", "camera.moved"}
		for range 2 {
			r := d.replica()
			r.Backoff = func(int) time.Duration { return 50 * time.Millisecond }
			for _, c := range consumers {
				event.OnBatch(r.Bus, c, func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
					for _, e := range batch {
						if e.Sequence == 0 || e.Attempt <= 2 && shaky(c, e.ID) {
							return errDamaged
						}
					}
					return note(ctx, tx, c, batch...)
				})
			}
			r.run()
		}
		Eventually(d.consumers, testkit.Patience).Should(HaveLen(len(consumers)))
		var crowd, publishers sync.WaitGroup
		done := make(chan struct{})
		crowd.Go(func() {
			defer GinkgoRecover()
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					d.redeliverSome()
				}
			}
		})
		log := event.NewLog()
		for p := range 5 {
			publishers.Go(func() {
				defer GinkgoRecover()
				for n := int64(1); n <= facts/50; n++ {
					var list []event.Event
					for i := range 10 {
						list = append(list, moved{fmt.Sprintf("p%d-%d", p, i), n})
					}
					if n <= poison/5 {
						list = append(list, moved{fmt.Sprintf("bad%d-%d", p, n), 0}, moved{fmt.Sprintf("bad%d-%d", p, n), 1})
					}
					Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error { return log.Publish(d.ctx, tx, list...) })).To(Succeed())
				}
			})
		}
		publishers.Wait()
		// What is on its way over a carrier waits nowhere: the last to be seen is what is parked.
		parked := func() int { return len(d.parked()) }
		for n := parked(); n < poison*len(consumers); n = parked() {
			Eventually(parked, 3*testkit.Patience).Should(BeNumerically(">", n))
		}
		close(done)
		crowd.Wait()
		Eventually(d.waiting, 3*testkit.Patience).Should(BeZero())
		Expect(d.parked()).To(HaveLen(poison * len(consumers)))
		d.audit(facts+poison, consumers...)
	})

	// T-08. Writers meet at the same aggregates, wait for each other's locks and publish when
	// they have them.
	It("keeps the versions of an aggregate in order, whoever writes them", func() {
		const parcels, versions = 200, 50
		d := d()
		d.sql(`create table book.parcel (id int primary key, version bigint not null default 0)`)
		d.sql(`insert into book.parcel select generate_series(1, $1)`, parcels)
		d.sql(`grant all on book.parcel to fusion_app`)
		for range 2 {
			r := d.replica()
			event.OnBatch(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
				return note(ctx, tx, "shelf.moved", batch...)
			})
			r.run()
		}
		var writers sync.WaitGroup
		log := event.NewLog()
		for w := range 8 {
			writers.Go(func() {
				defer GinkgoRecover()
				random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(w)))
				for _, id := range random.Perm(parcels) { // each writer comes to each parcel, in an order of its own
					Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
						var version int64
						if err := tx.Get(d.ctx, &version, `select version from book.parcel where id = $1 for update`, id+1); err != nil {
							return err
						}
						last := min(version+int64(1+random.IntN(12)), versions)
						if w == 7 {
							last = versions
						}
						if version == last {
							return nil
						}
						if _, err := tx.Exec(d.ctx, `update book.parcel set version = $2 where id = $1`, id+1, last); err != nil {
							return err
						}
						return log.Publish(d.ctx, tx, steps(fmt.Sprint(id), version+1, last)...)
					})).To(Succeed())
				}
			})
		}
		writers.Wait()
		Eventually(d.waiting, 2*testkit.Patience).Should(BeZero())
		d.audit(parcels*versions, "shelf.moved")
	})
}

// shaky picks a fifth of what a consumer gets.
func shaky(consumer string, fact uuid.UUID) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(consumer))
	_, _ = h.Write(fact[:])
	return h.Sum32()%5 == 0
}

// redeliverSome hands some facts out once more.
func (d *depot) redeliverSome() {
	GinkgoHelper()
	d.redeliver(`select id from platform.event where sequence > 0 order by random() limit 5`)
}
