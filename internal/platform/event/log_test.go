package event_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("the event log", func() {
	var d *depot
	BeforeEach(func() { d = open(postgres) })

	// since reads what follows a position, as the merchant.
	since := func(topic string, after int64, limit int) []event.Recorded {
		GinkgoHelper()
		var facts []event.Recorded
		Expect(d.pool.Read(d.ctx, func(tx *db.Tx) (err error) {
			facts, err = d.log.Since(d.ctx, tx, topic, after, limit)
			return err
		})).To(Succeed())
		return facts
	}
	subjects := func(facts []event.Recorded) []string {
		list := []string{}
		for _, f := range facts {
			list = append(list, fmt.Sprintf("%s/%d", f.Subject, f.Sequence))
		}
		return list
	}

	It("lists the merchant's facts, oldest first, page by page and topic by topic", func() {
		d.publish(d.ctx, moved{"p1", 1}, lost{"p2"}, moved{"p1", 2})
		d.publish(testkit.As(testkit.NewTenant(d.Database)), moved{"p9", 1})
		d.publish(d.ctx, moved{"p1", 3})
		Expect(subjects(since("", 0, 10))).To(Equal([]string{"p1/1", "p2/1", "p1/2", "p1/3"}))
		Expect(subjects(since("parcel.moved", 0, 2))).To(Equal([]string{"p1/1", "p1/2"}))
		Expect(subjects(since("parcel.moved", since("parcel.moved", 0, 2)[1].Seq, 2))).To(Equal([]string{"p1/3"}))
	})

	It("keeps everything that a fact says, as it was published", func() {
		ctx := event.WithOrigin(d.ctx, event.Origin{CorrelationID: "req-9", Traceparent: "tp"})
		d.publish(ctx, moved{"p1 <&> \u2028 ü", 3})
		f := since("", 0, 1)[0]
		Expect(f.Data).To(MatchJSON(`{"parcel": "p1 <&> \u2028 ü", "step": 3}`))
		Expect([]any{f.Type, f.Version, f.TenantID, f.Subject, f.Sequence, f.CorrelationID, f.CausationID, f.Traceparent, f.Actor}).To(Equal(
			[]any{"parcel.moved", 1, d.tenant, "p1 <&> \u2028 ü", int64(3), "req-9", (*uuid.UUID)(nil), "tp", "key:spec"}))
	})

	It("knows the position of a fact of the merchant, and of no other", func() {
		d.publish(d.ctx, moved{"p1", 1}, moved{"p1", 2})
		fact := since("", 0, 2)[1]
		Expect(d.pool.Read(d.ctx, func(tx *db.Tx) error {
			seq, found, err := d.log.Position(d.ctx, tx, fact.ID)
			Expect(seq).To(Equal(fact.Seq))
			Expect(found).To(BeTrue())
			return err
		})).To(Succeed())
		other := testkit.As(testkit.NewTenant(d.Database))
		Expect(d.pool.Read(other, func(tx *db.Tx) error {
			_, found, err := d.log.Position(other, tx, fact.ID)
			Expect(found).To(BeFalse())
			return err
		})).To(Succeed())
	})

	It("never lets a fact be changed or taken back", func() {
		d.publish(d.ctx, moved{"p1", 1})
		for _, change := range []string{`update platform.event set data = '{}'`, `delete from platform.event`, `truncate platform.event`} {
			Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(d.ctx, change)
				return err
			})).To(MatchError(ContainSubstring("permission denied")), change)
		}
	})

	It("does not show a fact before all that come before it are there", func() {
		for range 2 { // the very first facts of a log, and later ones
			before := len(since("", 0, 100))
			first, committed := make(chan struct{}), make(chan struct{})
			go func() {
				defer GinkgoRecover()
				defer close(committed)
				Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
					defer func() { <-first }()
					err := errors.Join(d.log.Publish(d.ctx, tx, moved{"slow", int64(before)}), tx.Finish(d.ctx))
					first <- struct{}{}
					return err
				})).To(Succeed())
			}()
			<-first
			d.publish(d.ctx, moved{"fast", int64(before)})
			Expect(since("", 0, 100)).To(HaveLen(before))
			first <- struct{}{}
			<-committed
			Expect(subjects(since("", 0, 100))[before:]).To(Equal([]string{fmt.Sprint("slow/", before), fmt.Sprint("fast/", before)}))
		}
	})

	Describe("read by a client that remembers its position", func() {
		// follow has 16 publishers commit after random pauses, some of them several facts, some
		// nothing in the end, and a reader ask for what comes after the last fact it got. It
		// returns what the reader missed and what it got twice.
		follow := func() (missed, twice []string) {
			var (
				mu        sync.Mutex
				published []string
			)
			var publishers sync.WaitGroup
			for p := range 16 {
				publishers.Go(func() {
					defer GinkgoRecover()
					random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(p)))
					for n := int64(1); n <= 40; {
						facts := steps(fmt.Sprint("p", p), n, n+int64(random.IntN(3)))
						undone := random.IntN(8) == 0
						err := d.pool.InTx(d.ctx, func(tx *db.Tx) error {
							for _, f := range facts {
								if err := errors.Join(d.log.Publish(d.ctx, tx, f), tx.Finish(d.ctx)); err != nil {
									return err
								}
								if _, err := tx.Exec(d.ctx, `select pg_sleep(random() * 0.004)`); err != nil {
									return err
								}
							}
							if undone {
								return errDamaged
							}
							return nil
						})
						if undone {
							Expect(err).To(MatchError(errDamaged))
							continue
						}
						Expect(err).NotTo(HaveOccurred())
						mu.Lock()
						for _, f := range facts {
							published = append(published, fmt.Sprintf("%s/%d", f.EventKey(), f.EventSequence()))
						}
						mu.Unlock()
						n += int64(len(facts))
					}
				})
			}
			var ended atomic.Bool
			go func() { publishers.Wait(); ended.Store(true) }()
			seen := map[string]int{}
			for position, last := int64(0), false; ; {
				last = ended.Load()
				facts := since("", position, 1000) // it is always at the end, where the danger is
				for _, name := range subjects(facts) {
					seen[name]++
				}
				if len(facts) > 0 {
					position = facts[len(facts)-1].Seq
				} else if last {
					break
				}
			}
			for _, name := range published {
				if seen[name] == 0 {
					missed = append(missed, name)
				}
			}
			for name, n := range seen {
				if n > 1 || !slices.Contains(published, name) {
					twice = append(twice, name)
				}
			}
			return missed, twice
		}

		It("misses none and gets none twice, however commits interleave", func() {
			missed, twice := follow()
			Expect(missed).To(BeEmpty())
			Expect(twice).To(BeEmpty())
		})

		// The specs of this container must be able to fail.
		DescribeTable("would miss facts", func(sabotage string) {
			d.sql(sabotage)
			missed, twice := follow()
			Expect(missed).NotTo(BeEmpty())
			Expect(twice).To(BeEmpty())
		},
			Entry("if publishers took no fence", `create or replace function platform.fence() returns void language sql volatile as $$ select null::void $$`),
			Entry("if readers did not look at it", `create or replace function platform.log_settled(last bigint) returns bigint language sql volatile as $$ select last $$`),
		)
	})

	Describe("watched by a cache", func() {
		// cache counts how often it was told to forget a merchant.
		type cache struct {
			mu      sync.Mutex
			tenants []uuid.UUID
			looks   int
			dropped map[uuid.UUID]int
		}
		watch := func(topics ...string) *cache {
			c := &cache{tenants: []uuid.UUID{d.tenant}, dropped: map[uuid.UUID]int{}}
			r := d.replica()
			r.Watch(topics, func() []uuid.UUID {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.looks++
				return slices.Clone(c.tenants)
			}, func(tenant uuid.UUID) {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.dropped[tenant]++
			})
			r.run()
			return c
		}
		drops := func(c *cache, tenant uuid.UUID) func() int {
			return func() int {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.dropped[tenant]
			}
		}
		looks := func(c *cache) func() int {
			return func() int {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.looks
			}
		}

		It("is told of every change that another replica commits, from the first fact on", func() {
			caches := []*cache{watch("parcel.moved"), watch("parcel.moved")}
			for n := int64(1); n <= 5; n++ {
				before := []int{drops(caches[0], d.tenant)(), drops(caches[1], d.tenant)()}
				d.publish(d.ctx, moved{"p1", n})
				for i, c := range caches {
					Eventually(drops(c, d.tenant), testkit.Patience).Should(BeNumerically(">", before[i]))
				}
			}
		})

		It("is told of a change that was being committed while it looked", func() {
			c := watch("parcel.moved")
			d.publish(d.ctx, lost{"p0"})
			Eventually(looks(c), testkit.Patience).Should(BeNumerically(">=", 1))
			for n := int64(1); n <= 3; n++ {
				before := drops(c, d.tenant)()
				Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
					if err := errors.Join(d.log.Publish(d.ctx, tx, moved{"p1", n}), tx.Finish(d.ctx)); err != nil {
						return err
					}
					d.publish(d.ctx, lost{fmt.Sprint("p", n)}) // a later fact, committed before
					now := looks(c)()
					Eventually(looks(c), testkit.Patience).Should(BeNumerically(">=", now+2))
					return nil
				})).To(Succeed())
				Eventually(drops(c, d.tenant), testkit.Patience).Should(BeNumerically(">", before))
			}
		})

		It("is not told of other topics, nor of merchants that it knows nothing of", func() {
			d.publish(d.ctx, lost{"p0"})
			c := watch("parcel.moved")
			Eventually(looks(c), testkit.Patience).Should(BeNumerically(">=", 1))
			before := drops(c, d.tenant)()
			other := testkit.NewTenant(d.Database)
			d.publish(testkit.As(other), moved{"p1", 1})
			d.publish(d.ctx, lost{"p1"})
			now := looks(c)()
			Eventually(func() int { d.publish(d.ctx, lost{"p2"}); return looks(c)() }, testkit.Patience).Should(BeNumerically(">", now+2))
			Expect(drops(c, other)()).To(BeZero())
			Expect(drops(c, d.tenant)()).To(Equal(before))
		})
	})

	Describe("awaited by somebody who has just published", func() {
		It("lets them see the effect of their own fact", func() {
			d.consumes("shelf.moved")
			r := d.consumes("label.moved")
			for n := int64(1); n <= 5; n++ {
				wait := r.log.Await("parcel.moved", "p1")
				Expect(r.pool.InTx(d.ctx, func(tx *db.Tx) error { return r.log.Publish(d.ctx, tx, moved{"p1", n}) })).To(Succeed())
				wait(d.ctx, true)
			}
			Eventually(d.effects("label.moved"), testkit.Patience).Should(Equal(each("p1", 1, 5)))
		})

		It("does not keep them when nobody here reacts, when nothing was published or when they left", func() {
			r := d.consumes("label.moved")
			gone, leave := context.WithCancel(d.ctx)
			leave()
			r.log.Await("parcel.lost", "p1")(d.ctx, true)
			r.log.Await("parcel.moved", "p1")(d.ctx, false)
			r.log.Await("parcel.moved", "p1")(gone, true)
		})
	})
})
