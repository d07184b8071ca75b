package timer_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

var _ = Describe("an errand", func() {
	var (
		d      testkit.Database
		tenant uuid.UUID
		ctx    context.Context
		pool   *db.DB
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		tenant, pool = testkit.NewTenant(d), testkit.Open(d.App)
		ctx = testkit.As(tenant)
	})

	replica := func(e timer.Errand) *timer.Timers {
		t := timer.New(testkit.Open(d.App), testkit.Log())
		t.OnErrand("spec.call", e)
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
			t.Set(tx, "spec.call", subject, now.Add(after))
			return nil
		})).To(Succeed())
	}
	waiting := func() (n int) {
		GinkgoHelper()
		Expect(testkit.SQL(d.Super).QueryRow(`select count(*) from platform.timer`).Scan(&n)).To(Succeed())
		return n
	}

	It("is run once, outside of any transaction, as the merchant who wanted it, however many replicas there are", func() {
		var mu sync.Mutex
		seen := map[string]int{}
		call := func(ctx context.Context, subject string, attempt int) (time.Duration, error) {
			id, err := identity.From(ctx)
			if err != nil || id.Tenant != tenant || attempt != 1 {
				return 0, errNotYet
			}
			// Its row is free: somebody else can set it anew.
			if err := pool.InTx(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, `select from platform.timer where subject = $1 for update nowait`, subject)
				return err
			}); err != nil {
				return 0, err
			}
			mu.Lock()
			defer mu.Unlock()
			seen[subject]++
			return 0, nil
		}
		t := replica(call)
		replica(call)
		for _, subject := range []string{"a", "b", "c", "d"} {
			set(t, subject, 0)
		}
		Eventually(waiting, 10*time.Second).Should(BeZero())
		mu.Lock()
		defer mu.Unlock()
		Expect(seen).To(Equal(map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}))
	})

	It("is not kept waiting by those that can wait, however many are due", func() {
		let, patient, urgent := make(chan struct{}), atomic.Int32{}, atomic.Int32{}
		t := timer.New(testkit.Open(d.App), testkit.Log())
		t.OnPatientErrand("spec.patient", func(context.Context, string, int) (time.Duration, error) {
			patient.Add(1)
			<-let
			return 0, nil
		})
		t.OnErrand("spec.call", func(context.Context, string, int) (time.Duration, error) { urgent.Add(1); return 0, nil })
		due := func(kind string, many int) {
			GinkgoHelper()
			Expect(pool.InTx(ctx, func(tx *db.Tx) error {
				for n := range many {
					t.Set(tx, kind, fmt.Sprint(n), time.Unix(0, 0))
				}
				return nil
			})).To(Succeed())
		}
		due("spec.patient", 20)
		running, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- t.Run(running) }()
		DeferCleanup(func() {
			stop()
			Eventually(done, 15*time.Second).Should(Receive(BeNil()))
		})
		Eventually(patient.Load, 10*time.Second).Should(BeNumerically(">", 1))
		due("spec.call", 5)
		Eventually(urgent.Load, 10*time.Second).Should(BeEquivalentTo(5))
		close(let)
		Eventually(patient.Load, 20*time.Second).Should(BeEquivalentTo(20))
		Eventually(waiting, 10*time.Second).Should(BeZero())
	})

	It("is run again when it fails, when it panics, and when it says so", func() {
		var calls atomic.Int32
		t := replica(func(_ context.Context, _ string, attempt int) (time.Duration, error) {
			calls.Store(int32(attempt))
			switch attempt {
			case 1:
				return 0, errNotYet
			case 2:
				panic("broken")
			case 3:
				return 10 * time.Millisecond, nil
			}
			return 0, nil
		})
		set(t, "a", 0)
		Eventually(waiting, 15*time.Second).Should(BeZero())
		Expect(calls.Load()).To(BeEquivalentTo(4))
	})

	It("keeps nobody waiting: others go on while some take long, and a new wish is not forgotten with the old one", func() {
		let, calls := make(chan struct{}), atomic.Int32{}
		t := replica(func(_ context.Context, subject string, _ int) (time.Duration, error) {
			if subject == "slow" && calls.Add(1) == 1 {
				<-let
			}
			return 0, nil
		})
		set(t, "slow", 0)
		Eventually(calls.Load, 10*time.Second).Should(BeEquivalentTo(1))
		set(t, "quick", 0)
		Eventually(waiting, 10*time.Second).Should(Equal(1))
		set(t, "slow", 0)
		Eventually(calls.Load, 10*time.Second).Should(BeEquivalentTo(2))
		close(let)
		Eventually(waiting, 10*time.Second).Should(BeZero())
	})
})
