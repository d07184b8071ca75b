package event_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// errDamaged is what a handler says that cannot go on.
var errDamaged = errors.New("the parcel is damaged")

// conformance is what the modules rely on, whatever carries the facts.
func conformance(t transport) bool {
	return Describe("the bus over "+t.name, func() {
		var d *depot
		BeforeEach(func() { d = open(t) })

		Describe("delivering", func() {
			It("brings a fact to every consumer of its topic and to no other", func() {
				r := d.replica()
				for _, c := range []string{"shelf.moved", "label.moved"} {
					event.On(r.Bus, c, func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error { return note(ctx, tx, c, e) })
				}
				event.On(r.Bus, "claims.lost", func(ctx context.Context, tx *db.Tx, e event.Received[lost]) error {
					return note(ctx, tx, "claims.lost", e)
				})
				r.run()
				d.publish(d.ctx, moved{"p1", 1}, lost{"p2"})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p1/1"}))
				Eventually(d.effects("label.moved"), testkit.Patience).Should(Equal([]string{"p1/1"}))
				Eventually(d.effects("claims.lost"), testkit.Patience).Should(Equal([]string{"p2/1"}))
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
			})

			It("keeps the facts of a subject in order, over many batches", func() {
				d.consumes("shelf.moved")
				for n := int64(1); n <= 401; n += 20 {
					for p := range 5 {
						d.publish(d.ctx, steps(fmt.Sprint("p", p), n, n+19)...)
					}
				}
				Eventually(d.effects("shelf.moved"), 3*testkit.Patience).Should(HaveLen(5 * 420))
				d.audit(5*420, "shelf.moved")
			})

			It("hands over what the fact says, and who is to be told", func() {
				got := make(chan event.Received[moved], 1)
				who := make(chan identity.Identity, 1)
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, _ *db.Tx, e event.Received[moved]) error {
					id, err := identity.From(ctx)
					who <- id
					got <- e
					return err
				})
				r.run()
				ctx := event.WithOrigin(d.ctx, event.Origin{CorrelationID: "req-7", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
				d.publish(ctx, moved{"p1", 4})
				var e event.Received[moved]
				Eventually(got, testkit.Patience).Should(Receive(&e))
				Expect(e.Fact).To(Equal(moved{"p1", 4}))
				Expect(e.Subject).To(Equal("p1"))
				Expect(e.Sequence).To(BeEquivalentTo(4))
				Expect(e.Attempt).To(Equal(1))
				Expect(e.CorrelationID).To(Equal("req-7"))
				Expect(e.Traceparent).To(Equal("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
				Expect(e.OccurredAt).To(BeTemporally("~", time.Now(), time.Minute))
				Expect(<-who).To(Equal(identity.Identity{Tenant: d.tenant, Actor: "system:shelf.moved"}))
			})

			It("ties a reaction to the fact and to the request that everything began with", func() {
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					return r.log.Publish(ctx, tx, lost{e.Fact.Parcel})
				})
				event.OnBatch(r.Bus, "label.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
					for _, e := range batch {
						if err := r.log.Publish(ctx, tx, event.Because(e, lost{"label of " + e.Fact.Parcel})); err != nil {
							return err
						}
					}
					return nil
				})
				event.On(r.Bus, "claims.lost", func(ctx context.Context, tx *db.Tx, e event.Received[lost]) error {
					return note(ctx, tx, "claims.lost", e)
				})
				r.run()
				d.publish(event.WithOrigin(d.ctx, event.Origin{CorrelationID: "req-8", Traceparent: "tp"}), moved{"p1", 1}, moved{"p2", 1})
				Eventually(d.effects("claims.lost"), testkit.Patience).Should(ConsistOf("p1/1", "p2/1", "label of p1/1", "label of p2/1"))
				Expect(d.count(`select count(*) from platform.event e join platform.event cause
					on cause.id = e.causation_id and e.subject in (cause.subject, 'label of ' || cause.subject)
					where e.type = 'parcel.lost' and cause.type = 'parcel.moved' and e.correlation_id = 'req-8' and e.traceparent = 'tp'
					and e.actor in ('system:shelf.moved', 'system:label.moved')`)).To(Equal(4))
			})

			It("acts as the merchant whose fact it is, and shows nothing of the others", func() {
				other := testkit.NewTenant(d.Database)
				r := d.replica()
				var mu sync.Mutex
				visible := map[uuid.UUID]int{}
				event.OnBatch(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
					id, err := identity.From(ctx)
					if err != nil {
						return err
					}
					var n int
					if err := tx.Get(ctx, &n, `select count(distinct tenant_id) from platform.event`); err != nil {
						return err
					}
					mu.Lock()
					visible[id.Tenant] = n
					mu.Unlock()
					return note(ctx, tx, "shelf.moved", batch...)
				})
				// Both merchants have a parcel p1: that must not matter.
				for n := int64(1); n <= 50; n++ {
					d.publish(d.ctx, moved{"p1", n})
					d.publish(testkit.As(other), moved{"p1", n}, moved{"p9", n})
				}
				r.run()
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(150))
				d.audit(150, "shelf.moved")
				Expect(d.count(`select count(*) from book.effect where tenant_id = $1`, other)).To(Equal(100))
				mu.Lock()
				defer mu.Unlock()
				Expect(visible).To(Equal(map[uuid.UUID]int{d.tenant: 1, other: 1}))
			})

			It("hears nothing of what was rolled back", func() {
				d.consumes("shelf.moved")
				Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
					return errors.Join(d.log.Publish(d.ctx, tx, steps("p1", 1, 5)...), tx.Finish(d.ctx), errDamaged)
				})).To(MatchError(errDamaged))
				d.publish(d.ctx, moved{"p2", 1})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p2/1"}))
				Expect(d.count(`select count(*) from platform.event`)).To(Equal(1))
			})

			It("refuses a fact of nobody, and one that does not follow its schema", func() {
				Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error { return d.log.Publish(context.Background(), tx, moved{"p1", 1}) })).To(MatchError(identity.ErrNone))
				d.log.Check = func(kind string, version int, data []byte) error {
					return fmt.Errorf("%s v%d %s: %w", kind, version, data, errDamaged)
				}
				Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error { return d.log.Publish(d.ctx, tx, moved{"p1", 1}) })).
					To(MatchError(ContainSubstring(`parcel.moved v1 {"parcel":"p1","step":1}: the parcel is damaged`)))
				Expect(d.count(`select count(*) from platform.event`)).To(BeZero())
			})
		})

		Describe("having effect once", func() {
			It("does nothing when a fact comes a second time", func() {
				d.consumes("shelf.moved", "label.moved")
				d.publish(d.ctx, steps("p1", 1, 10)...)
				Eventually(d.effects("label.moved"), testkit.Patience).Should(HaveLen(10))
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(10))
				d.redeliverAll()
				d.publish(d.ctx, moved{"p1", 11})
				Eventually(d.effects("label.moved"), testkit.Patience).Should(Equal(each("p1", 1, 11)))
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 11)))
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
				d.audit(11, "shelf.moved", "label.moved")
			})

			It("commits an effect together with the facts that it leads to, or neither", func() {
				var tries atomic.Int32
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					if err := errors.Join(note(ctx, tx, "shelf.moved", e), r.log.Publish(ctx, tx, lost{e.Fact.Parcel}), tx.Finish(ctx)); err != nil {
						return err
					}
					if tries.Add(1) < 4 {
						return errDamaged
					}
					return nil
				})
				event.On(r.Bus, "claims.lost", func(ctx context.Context, tx *db.Tx, e event.Received[lost]) error {
					return note(ctx, tx, "claims.lost", e)
				})
				r.run()
				d.publish(d.ctx, moved{"p1", 1})
				Eventually(d.effects("claims.lost"), testkit.Patience).Should(Equal([]string{"p1/1"}))
				Expect(d.effects("shelf.moved")()).To(Equal([]string{"p1/1"}))
				Expect(d.count(`select count(*) from platform.event where type = 'parcel.lost'`)).To(Equal(1))
			})

			It("shares the work between replicas without doing any of it twice", func() {
				for range 3 {
					d.consumes("shelf.moved", "label.moved")
				}
				var publishers sync.WaitGroup
				for p := range 8 {
					publishers.Go(func() {
						defer GinkgoRecover()
						for n := int64(1); n <= 60; n += 3 {
							d.publish(d.ctx, steps(fmt.Sprint("p", p), n, n+2)...)
						}
					})
				}
				publishers.Wait()
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
				d.audit(480, "shelf.moved", "label.moved")
			})

			It("goes on where a replica was stopped in the middle of a batch", func() {
				d.publish(d.ctx, steps("p1", 1, 300)...)
				started := make(chan struct{})
				var once sync.Once
				for range 5 {
					r := d.replica()
					event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
						once.Do(func() { close(started) })
						return note(ctx, tx, "shelf.moved", e)
					})
					r.run()
					Eventually(started, testkit.Patience).Should(BeClosed())
					d.publish(d.ctx, steps("p2", int64(d.count(`select count(*) from platform.event where subject = 'p2'`))+1,
						int64(d.count(`select count(*) from platform.event where subject = 'p2'`))+40)...)
					r.stop()
				}
				d.consumes("shelf.moved")
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
				d.audit(500, "shelf.moved")
			})

			It("lets the batch in hand finish when it is told to stop", func() {
				entered, leave := make(chan struct{}), make(chan struct{})
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					close(entered)
					<-leave
					return note(ctx, tx, "shelf.moved", e)
				})
				r.run()
				d.publish(d.ctx, moved{"p1", 1})
				Eventually(entered, testkit.Patience).Should(BeClosed())
				stopped := make(chan struct{})
				go func() { defer GinkgoRecover(); r.stop(); close(stopped) }()
				Consistently(stopped, "100ms").ShouldNot(BeClosed())
				close(leave)
				Eventually(stopped, testkit.Patience).Should(BeClosed())
				Expect(d.effects("shelf.moved")()).To(Equal([]string{"p1/1"}))
			})
		})

		Describe("failing", func() {
			// fragile notes what succeeds and fails what broken says, after the effect: nothing of
			// a failed try may remain.
			fragile := func(broken func(e event.Received[moved]) error) *replica {
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					if err := note(ctx, tx, "shelf.moved", e); err != nil {
						return err
					}
					return broken(e)
				})
				return r
			}
			damaged := func(parcel string) func(event.Received[moved]) error {
				return func(e event.Received[moved]) error {
					if e.Subject == parcel && e.Sequence == 1 {
						return errDamaged
					}
					return nil
				}
			}

			It("waits longer after each failure", func() {
				fresh := d.transport.bus(d, d.pool, d.log)
				at := 100 * time.Millisecond
				for failures := 1; failures < 8; failures++ {
					Expect(fresh.Backoff(failures)).To(And(BeNumerically(">=", at), BeNumerically("<", at*6/5)))
					at *= 3
				}
			})

			It("tries again with the followers waiting behind, while the rest flows", func() {
				r := fragile(func(e event.Received[moved]) error {
					if e.Subject == "bad" && e.Sequence == 1 && e.Attempt < 4 {
						return errDamaged
					}
					return nil
				})
				r.Backoff = func(int) time.Duration { return time.Hour }
				d.publish(d.ctx, moved{"bad", 1}, moved{"good", 1}, moved{"bad", 2}, moved{"good", 2})
				r.run()
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("good", 1, 2)))
				d.publish(d.ctx, moved{"bad", 3}, moved{"good", 3})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("good", 1, 3)))
				for range 3 {
					Eventually(func() int { return d.count(`select count(*) from platform.delivery where available_at > now()`) }, testkit.Patience).Should(Equal(1))
					d.hurry()
				}
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(append(each("good", 1, 3), each("bad", 1, 3)...)))
				Expect(d.count(`select attempt from book.effect where subject = 'bad' and sequence = 1`)).To(Equal(4))
				Expect(d.count(`select max(attempt) from book.effect where sequence > 1`)).To(Equal(1))
			})

			It("parks a fact that failed eight times, says why, and goes on with its followers", func() {
				var tries atomic.Int32
				fragile(func(e event.Received[moved]) error {
					if e.Subject == "bad" && e.Sequence == 1 {
						tries.Add(1)
						return errDamaged
					}
					return nil
				}).run()
				d.publish(d.ctx, steps("bad", 1, 3)...)
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("bad", 2, 3)))
				Expect(tries.Load()).To(BeNumerically(">=", 8), "a try in company and eight alone, at most")
				parked := d.parked()
				Expect(parked).To(HaveLen(1))
				Expect(parked[0].ParkedAt).To(BeTemporally("~", time.Now(), time.Minute))
				parked[0].ParkedAt = time.Time{}
				Expect(parked[0]).To(Equal(event.Parked{
					Tenant: d.tenant, Consumer: "shelf.moved", Event: parked[0].Event, Type: "parcel.moved", Subject: "bad", Attempts: 8, Error: "the parcel is damaged",
				}))
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
			})

			It("gives what was parked a new start when somebody asks for it", func() {
				var mended atomic.Bool
				fragile(func(e event.Received[moved]) error {
					if e.Sequence == 1 && !mended.Load() {
						return errDamaged
					}
					return nil
				}).run()
				d.publish(d.ctx, moved{"p1", 1}, moved{"p2", 1}, moved{"p3", 1})
				Eventually(d.parked, testkit.Patience).Should(HaveLen(3))
				mended.Store(true)
				first := d.parked()[0]
				Expect(event.RetryParked(d.ctx, d.pool, "label.moved", uuid.Nil)).To(BeZero())
				Expect(event.RetryParked(d.ctx, d.pool, "shelf.moved", first.Event)).To(BeEquivalentTo(1))
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{first.Subject + "/1"}))
				Expect(event.RetryParked(d.ctx, d.pool, "", uuid.Nil)).To(BeEquivalentTo(2))
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(3))
				Expect(d.parked()).To(BeEmpty())
				d.audit(3, "shelf.moved")
			})

			It("parks what was retried in vain once more", func() {
				fragile(damaged("bad")).run()
				d.publish(d.ctx, moved{"bad", 1})
				Eventually(d.parked, testkit.Patience).Should(HaveLen(1))
				Expect(event.RetryParked(d.ctx, d.pool, "", uuid.Nil)).To(BeEquivalentTo(1))
				Eventually(d.parked, testkit.Patience).Should(HaveLen(1))
				Expect(d.parked()[0].Attempts).To(Equal(8))
			})

			It("never handles what was dropped, and keeps the fact", func() {
				fragile(damaged("bad")).run()
				d.publish(d.ctx, moved{"bad", 1}, moved{"bad", 2})
				Eventually(d.parked, testkit.Patience).Should(HaveLen(1))
				Expect(event.DropParked(d.ctx, d.pool, "shelf.moved", d.parked()[0].Event)).To(BeEquivalentTo(1))
				Expect(d.parked()).To(BeEmpty())
				d.publish(d.ctx, moved{"bad", 3})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("bad", 2, 3)))
				Expect(d.count(`select count(*) from platform.event where subject = 'bad'`)).To(Equal(3))
			})

			It("takes the good ones of a batch one by one when a bad one spoils it", func() {
				var mu sync.Mutex
				sizes := map[int]int{}
				r := d.replica()
				event.OnBatch(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
					mu.Lock()
					sizes[len(batch)]++
					mu.Unlock()
					if err := note(ctx, tx, "shelf.moved", batch...); err != nil {
						return err
					}
					if slices.ContainsFunc(batch, func(e event.Received[moved]) bool { return e.Subject == "bad" }) {
						return errDamaged
					}
					return nil
				})
				r.Backoff = func(int) time.Duration { return time.Hour }
				d.publish(d.ctx, append(append(steps("p1", 1, 40), steps("bad", 1, 20)...), steps("p2", 1, 40)...)...)
				r.run()
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(append(each("p1", 1, 40), each("p2", 1, 40)...)))
				mu.Lock()
				defer mu.Unlock()
				Expect(sizes[1]).To(Equal(81), "eighty good ones and the first bad one, whose followers stay behind it")
				Expect(d.waiting()).To(BeEquivalentTo(20))
			})

			It("keeps one merchant's trouble from the others", func() {
				other := testkit.NewTenant(d.Database)
				r := d.replica()
				event.OnBatch(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
					if id, _ := identity.From(ctx); id.Tenant == d.tenant {
						return errDamaged
					}
					return note(ctx, tx, "shelf.moved", batch...)
				})
				r.Backoff = func(int) time.Duration { return time.Hour }
				for n := int64(1); n <= 10; n++ { // the same subject, which blocks for one of them only
					d.publish(d.ctx, moved{"p1", n})
					d.publish(testkit.As(other), moved{"p1", n})
				}
				r.run()
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 10)))
				d.publish(d.ctx, moved{"p1", 11})
				d.publish(testkit.As(other), moved{"p1", 11})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 11)))
				Expect(d.count(`select count(*) from book.effect where tenant_id = $1`, other)).To(Equal(11))
				Expect(d.waiting()).To(BeEquivalentTo(11))
			})

			DescribeTable("takes for a failure of the fact, like any other,", func(broken func(ctx context.Context, tx *db.Tx) error) {
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					if err := note(ctx, tx, "shelf.moved", e); err != nil {
						return err
					}
					if e.Subject == "bad" {
						return broken(ctx, tx)
					}
					return nil
				})
				r.run()
				d.publish(d.ctx, moved{"p1", 1}, moved{"bad", 1}, moved{"p1", 2})
				Eventually(d.parked, testkit.Patience).Should(HaveLen(1))
				Expect(d.parked()[0].Subject).To(Equal("bad"))
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 2)))
				d.publish(d.ctx, moved{"p1", 3})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 3)))
			},
				Entry("a panic", func(context.Context, *db.Tx) error { panic("shelf fell over") }),
				Entry("a refused statement", func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.Exec(ctx, `insert into platform.idempotency (key) values (null)`)
					return err
				}),
				Entry("a refused statement that nobody looked at", func(ctx context.Context, tx *db.Tx) error {
					_, _ = tx.Exec(ctx, `select 1 / 0`)
					return nil
				}),
				Entry("a statement that takes longer than the role may", func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.Exec(ctx, `set local statement_timeout = '20ms'; select pg_sleep(60)`)
					return err
				}),
				Entry("a deadline of the handler's own", func(context.Context, *db.Tx) error { return context.DeadlineExceeded }),
				Entry("a cancellation of the handler's own", func(context.Context, *db.Tx) error { return context.Canceled }),
				Entry("the end of some input", func(context.Context, *db.Tx) error { return fmt.Errorf("read label: %w", io.ErrUnexpectedEOF) }),
				Entry("a message that cannot be stored", func(context.Context, *db.Tx) error {
					return errors.New("label says \x00\xff" + strings.Repeat("ä", 3000))
				}),
			)

			It("parks what cannot even be read", func() {
				d.consumes("shelf.moved")
				d.publish(d.ctx, moved{"p1", 1}, scrambled{7, "p1"}, moved{"p1", 2})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 2)))
				Expect(d.parked()).To(HaveLen(1))
				Expect(d.parked()[0].Error).To(ContainSubstring("decode parcel.moved"))
			})

			It("gets through a backlog that is too much for one batch", func() {
				r := d.replica()
				r.BatchTimeout = 400 * time.Millisecond
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					if _, err := tx.Exec(ctx, `select pg_sleep(0.005)`); err != nil {
						return err
					}
					return note(ctx, tx, "shelf.moved", e)
				})
				d.publish(d.ctx, steps("p1", 1, 150)...) // at least 0.75 s of work
				r.run()
				Eventually(d.effects("shelf.moved"), 2*testkit.Patience).Should(Equal(each("p1", 1, 150)))
				Expect(d.parked()).To(BeEmpty())
			})

			It("keeps what it has done when there is no time for the rest of a batch", func() {
				var alone atomic.Int32
				r := d.replica()
				r.BatchTimeout = time.Second
				event.OnBatch(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, batch []event.Received[moved]) error {
					if len(batch) > 1 {
						return errDamaged // one by one, then
					}
					alone.Add(1)
					if _, err := tx.Exec(ctx, `select pg_sleep(0.01)`); err != nil {
						return err
					}
					return note(ctx, tx, "shelf.moved", batch...)
				})
				d.publish(d.ctx, steps("p1", 1, 120)...) // 1.2 s of work
				r.run()
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 120)))
				Expect(alone.Load()).To(BeEquivalentTo(120), "nothing was done in vain")
			})

			It("parks what never comes to an end, and goes on with the rest", func() {
				r := d.replica()
				r.BatchTimeout = 100 * time.Millisecond
				event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
					if e.Subject == "bad" {
						<-ctx.Done()
						return ctx.Err()
					}
					return note(ctx, tx, "shelf.moved", e)
				})
				d.publish(d.ctx, append(append(steps("p1", 1, 20), moved{"bad", 1}), steps("p2", 1, 20)...)...)
				r.run()
				Eventually(d.parked, 2*testkit.Patience).Should(HaveLen(1))
				Expect(d.parked()[0].Subject).To(Equal("bad"))
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
				d.audit(40, "shelf.moved")
			})
		})

		Describe("joining", func() {
			It("starts a new consumer at the first fact of its topic", func() {
				d.publish(d.ctx, append(steps("p1", 1, 30), lost{"p1"})...)
				other := testkit.As(testkit.NewTenant(d.Database))
				d.publish(other, steps("p2", 1, 30)...)
				d.consumes("shelf.moved")
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(append(each("p1", 1, 30), each("p2", 1, 30)...)))
				d.publish(d.ctx, moved{"p1", 31})
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(61))
				d.audit(61, "shelf.moved")
			})

			It("keeps for a consumer what is published while no replica runs it", func() {
				d.consumes("shelf.moved").stop()
				d.publish(d.ctx, steps("p1", 1, 10)...)
				d.consumes("shelf.moved")
				Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(each("p1", 1, 10)))
			})

			It("misses nothing and gets nothing twice when facts are published at the same moment", func() {
				stop := make(chan struct{})
				var published atomic.Int64
				var publishers sync.WaitGroup
				for p := range 8 {
					publishers.Go(func() {
						defer GinkgoRecover()
						for n := int64(1); ; n++ {
							select {
							case <-stop:
								return
							default:
							}
							// Some time goes by between the fact and the commit, as it does in real transactions.
							Expect(d.pool.InTx(d.ctx, func(tx *db.Tx) error {
								if err := errors.Join(d.log.Publish(d.ctx, tx, moved{fmt.Sprint("p", p), n}), tx.Finish(d.ctx)); err != nil {
									return err
								}
								_, err := tx.Exec(d.ctx, `select pg_sleep(0.005 * random())`)
								return err
							})).To(Succeed())
							published.Add(1)
						}
					})
				}
				consumers := []string{}
				for i := range 4 {
					Eventually(published.Load, testkit.Patience).Should(BeNumerically(">", 80*(i+1)))
					consumers = append(consumers, fmt.Sprintf("shelf.moved-%d", i))
					d.consumes(consumers[i]) // two replicas at once, like after a deployment
					d.consumes(consumers[i])
				}
				close(stop)
				publishers.Wait()
				Eventually(d.waiting, testkit.Patience).Should(BeZero())
				d.audit(int(published.Load()), consumers...)
			})

			It("refuses two consumers of one name, and a consumer that changes its topic", func() {
				r := d.replica()
				event.On(r.Bus, "shelf.moved", func(context.Context, *db.Tx, event.Received[moved]) error { return nil })
				event.On(r.Bus, "shelf.moved", func(context.Context, *db.Tx, event.Received[lost]) error { return nil })
				Expect(r.Run(context.Background())).To(MatchError("two consumers are called shelf.moved"))

				d.consumes("shelf.moved").stop()
				r = d.replica()
				event.On(r.Bus, "shelf.moved", func(context.Context, *db.Tx, event.Received[lost]) error { return nil })
				Expect(r.Run(context.Background())).To(MatchError(ContainSubstring("a consumer never changes its topic")))
			})
		})
		Describe("under load", func() { underLoad(func() *depot { return d }) })
	})
}

// redeliverAll hands every fact out once more.
func (d *depot) redeliverAll() {
	GinkgoHelper()
	d.redeliver(`select id from platform.event order by seq`)
}

// redeliver hands the facts out once more that a query names.
func (d *depot) redeliver(query string) {
	GinkgoHelper()
	rows, err := d.super.Query(query)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		Expect(rows.Scan(&id)).To(Succeed())
		ids = append(ids, id)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	for _, id := range ids {
		d.transport.redeliver(d, id)
	}
}

// hurry ends the pauses of all that failed.
func (d *depot) hurry() {
	GinkgoHelper()
	d.sql(`update platform.delivery set available_at = now() where parked_at is null`)
}
