package timer_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

// fired is what a handler was called with.
type fired struct {
	tenant  uuid.UUID
	subject string
}

var errNotYet = errors.New("not yet")

var _ = Describe("a timer", func() {
	var (
		d      testkit.Database
		pool   *db.DB
		tenant uuid.UUID
		ctx    context.Context

		mu    sync.Mutex
		calls []fired
	)

	BeforeEach(func() {
		d = testkit.NewDatabase()
		pool, tenant = testkit.Open(d.App), testkit.NewTenant(d)
		ctx, calls = testkit.As(tenant), nil
	})

	seen := func() []fired {
		mu.Lock()
		defer mu.Unlock()
		return append([]fired{}, calls...)
	}
	// note is a handler whose effect is in the database, where a rollback shows.
	note := func(ctx context.Context, tx *db.Tx, subject string) error {
		id, err := identity.From(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fired{id.Tenant, subject})
		_, err = tx.Exec(ctx, `insert into platform.job (name) values ($1)`, subject)
		return err
	}
	replica := func(h timer.Handler) *timer.Timers {
		t := timer.New(testkit.Open(d.App), testkit.Log())
		t.On("spec.ring", h)
		running, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- t.Run(running) }()
		DeferCleanup(func() {
			stop()
			Eventually(done, 15*time.Second).Should(Receive(BeNil()))
		})
		return t
	}
	set := func(t *timer.Timers, subject string, after time.Duration) {
		GinkgoHelper()
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			var now time.Time
			if err := tx.Get(ctx, &now, `select now()`); err != nil {
				return err
			}
			t.Set(tx, "spec.ring", subject, now.Add(after))
			return nil
		})).To(Succeed())
	}
	waiting := func() (n int) {
		GinkgoHelper()
		Expect(testkit.SQL(d.Super).QueryRow(`select count(*) from platform.timer`).Scan(&n)).To(Succeed())
		return n
	}

	It("goes off once, as the merchant who set it, however many replicas there are", func() {
		t := replica(note)
		replica(note)
		replica(note)
		want := []any{}
		for _, subject := range []string{"a", "b", "c", "d", "e", "f"} {
			set(t, subject, 50*time.Millisecond)
			want = append(want, fired{tenant, subject})
		}
		Eventually(seen, 10*time.Second).Should(ConsistOf(want...))
		Eventually(waiting).Should(BeZero())
		Expect(seen()).To(HaveLen(len(want)))
	})

	It("is set for many subjects at once, and takes the place of an earlier one", func() {
		t := replica(note)
		set(t, "a", time.Hour)
		set(t, "d", time.Hour)
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			t.SetAll(tx, "spec.ring", []string{"c", "a", "b"}, tx.Now)
			t.SetAll(tx, "spec.ring", nil, tx.Now)
			return nil
		})).To(Succeed())
		Eventually(seen, 10*time.Second).Should(ConsistOf(fired{tenant, "a"}, fired{tenant, "b"}, fired{tenant, "c"}))
		Eventually(waiting).Should(Equal(1))
	})

	It("does not go off before its moment, which the database's clock tells", func() {
		var early []string
		t := replica(func(ctx context.Context, tx *db.Tx, subject string) error {
			var ahead bool
			if err := tx.Get(ctx, &ahead, `select clock_timestamp() < (select next_run_at from platform.job where name = $1)`, subject); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, fired{tenant, subject})
			if ahead {
				early = append(early, subject)
			}
			return nil
		})
		for _, subject := range []string{"at once", "soon", "later"} {
			after := map[string]time.Duration{"at once": 0, "soon": 300 * time.Millisecond, "later": 1300 * time.Millisecond}[subject]
			Expect(pool.InTx(ctx, func(tx *db.Tx) error {
				var at time.Time
				if err := tx.Get(ctx, &at, `insert into platform.job (name, next_run_at) values ($1, now() + $2 * interval '1 millisecond') returning next_run_at`, subject, after.Milliseconds()); err != nil {
					return err
				}
				t.Set(tx, "spec.ring", subject, at)
				return nil
			})).To(Succeed())
		}
		Eventually(seen, 10*time.Second).Should(HaveLen(3))
		Expect(early).To(BeEmpty())
	})

	It("is not set by a transaction that does not come true, nor by one that clears it", func() {
		t := timer.New(pool, testkit.Log())
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			t.Set(tx, "spec.ring", "a", time.Now())
			return errors.Join(tx.Finish(ctx), errNotYet)
		})).To(MatchError(errNotYet))
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			t.Set(tx, "spec.ring", "b", time.Now())
			t.Clear(tx, "spec.ring", "b")
			return nil
		})).To(Succeed())
		Expect(waiting()).To(BeZero())
	})

	It("goes off at the moment that it was set to last", func() {
		t := timer.New(pool, testkit.Log())
		set(t, "a", time.Hour)
		set(t, "a", 0)
		Expect(waiting()).To(Equal(1))
		replica(note)
		Eventually(seen, 10*time.Second).Should(Equal([]fired{{tenant, "a"}}))
	})

	It("comes again when its handler fails, of which nothing remains, and lets the others go off", func() {
		failures := 0
		t := replica(func(ctx context.Context, tx *db.Tx, subject string) error {
			if err := note(ctx, tx, subject); err != nil {
				return err
			}
			if subject == "bad" && failures < 2 {
				failures++
				if failures == 1 {
					panic("of the handler")
				}
				return errNotYet
			}
			return nil
		})
		set(t, "bad", 0)
		set(t, "good", 0)
		Eventually(waiting, 20*time.Second).Should(BeZero())
		Expect(seen()).To(ConsistOf(fired{tenant, "bad"}, fired{tenant, "bad"}, fired{tenant, "bad"}, fired{tenant, "good"}))
		var n int
		Expect(testkit.SQL(d.Super).QueryRow(`select count(*) from platform.job where name in ('bad', 'good')`).Scan(&n)).To(Succeed())
		Expect(n).To(Equal(2))
	})

	It("may be set anew by its own handler", func() {
		var t *timer.Timers
		again := false
		t = timer.New(pool, testkit.Log())
		t.On("spec.ring", func(ctx context.Context, tx *db.Tx, subject string) error {
			mu.Lock()
			calls = append(calls, fired{tenant, subject})
			mu.Unlock()
			if again {
				return nil
			}
			again = true
			t.Set(tx, "spec.ring", subject, time.Now())
			return nil
		})
		set(t, "a", 0)
		running, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- t.Run(running) }()
		Eventually(seen, 10*time.Second).Should(HaveLen(2))
		Eventually(waiting).Should(BeZero())
		stop()
		Eventually(done, 15*time.Second).Should(Receive(BeNil()))
	})

	It("of a kind that this process does not know waits for one that does", func() {
		t := timer.New(pool, testkit.Log())
		set(t, "a", 0)
		other := timer.New(pool, testkit.Log())
		other.On("spec.other", note)
		running, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- other.Run(running) }()
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			other.Set(tx, "spec.other", "b", time.Now())
			return nil
		})).To(Succeed())
		Eventually(seen, 10*time.Second).Should(Equal([]fired{{tenant, "b"}}))
		stop()
		Eventually(done, 15*time.Second).Should(Receive(BeNil()))
		Expect(waiting()).To(Equal(1))
		replica(note)
		Eventually(waiting, 10*time.Second).Should(BeZero())
	})

	It("keeps nobody waiting for what the timers before it have locked", func() {
		// Each ring locks a row of its own, as that of another table would be.
		super := testkit.SQL(d.Super)
		_, err := super.Exec(`insert into platform.job (name) values ('first'), ('second')`)
		Expect(err).NotTo(HaveOccurred())
		held, err := super.Begin()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = held.Rollback() }) // it may be over
		lock := `select from platform.job where name = $1 for update`
		_, err = held.Exec(lock, "second")
		Expect(err).NotTo(HaveOccurred())

		t := timer.New(pool, testkit.Log())
		set(t, "first", -2*time.Second)
		set(t, "second", -time.Second)
		replica(func(ctx context.Context, tx *db.Tx, subject string) error {
			if _, err := tx.Exec(ctx, lock, subject); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, fired{tenant, subject})
			return nil
		})
		Eventually(func() (n int, err error) {
			err = super.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
			return n, err
		}, 10*time.Second, "5ms").Should(Equal(1), "the second one waits for us")
		Expect(waiting()).To(Equal(1), "the first one is over")
		_, err = held.Exec(`select from platform.job where name = 'first' for update nowait`)
		Expect(err).NotTo(HaveOccurred(), "we do not wait for it")
		Expect(held.Rollback()).To(Succeed())
		Eventually(seen, 10*time.Second).Should(Equal([]fired{{tenant, "first"}, {tenant, "second"}}))
		Eventually(waiting, 10*time.Second).Should(BeZero())
	})

	It("goes off in the order of the moments", func() {
		t := timer.New(pool, testkit.Log())
		for n, subject := range []string{"c", "a", "b"} {
			set(t, subject, time.Duration(n-10)*time.Second)
		}
		replica(note)
		Eventually(seen, 10*time.Second).Should(Equal([]fired{{tenant, "c"}, {tenant, "a"}, {tenant, "b"}}))
	})
})
