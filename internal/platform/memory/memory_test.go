package memory_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var (
	errAway  = errors.New("away")
	errWrong = errors.New("wrong")
)

var _ = Describe("what is remembered for a moment", func() {
	var (
		offset atomic.Int64
		asked  atomic.Int64
		there  atomic.Int64 // what there is; nothing when it is 0
		ctx    = context.Background()
	)
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return start.Add(time.Duration(offset.Load())) }
	turn := func(d time.Duration) { offset.Add(int64(d)) }
	ask := func(context.Context) (int64, bool, error) {
		asked.Add(1)
		return there.Load(), there.Load() != 0, nil
	}
	failing := func(err error) func(context.Context) (int64, bool, error) {
		return func(context.Context) (int64, bool, error) {
			asked.Add(1)
			return 0, false, err
		}
	}
	made := func(o memory.Options[int64]) *memory.Memory[string, int64] { return memory.New[string](now, o) }
	get := func(m *memory.Memory[string, int64], key string) int64 {
		GinkgoHelper()
		v, found, err := m.Get(ctx, key, ask)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(Equal(v != 0))
		return v
	}

	BeforeEach(func() {
		offset.Store(0)
		asked.Store(0)
		there.Store(7)
	})

	It("is asked for once in its freshness, which using it does not lengthen", func() {
		m := made(memory.Options[int64]{})
		Expect(get(m, "a")).To(BeEquivalentTo(7))
		there.Store(8)
		for range 3 {
			turn(memory.Freshness / 4)
			Expect(get(m, "a")).To(BeEquivalentTo(7))
		}
		turn(memory.Freshness/4 - 1)
		Expect(get(m, "a")).To(BeEquivalentTo(7))
		Expect(asked.Load()).To(BeEquivalentTo(1))
		turn(1)
		Expect(get(m, "a")).To(BeEquivalentTo(8))
	})

	It("does not live longer when the clock is set back", func() {
		m := made(memory.Options[int64]{})
		get(m, "a")
		there.Store(8)
		turn(-time.Hour)
		Expect(get(m, "a")).To(BeEquivalentTo(8))
	})

	It("ends by itself where it says so", func() {
		m := made(memory.Options[int64]{Ends: func(v int64) time.Time {
			if v == 7 {
				return start.Add(time.Second)
			}
			return time.Time{}
		}})
		get(m, "a")
		turn(time.Second - 1)
		Expect(get(m, "a")).To(BeEquivalentTo(7))
		there.Store(8)
		turn(1)
		Expect(get(m, "a")).To(BeEquivalentTo(8))
		turn(memory.Freshness - 1)
		there.Store(9)
		Expect(get(m, "a")).To(BeEquivalentTo(8))
	})

	It("is not kept of what there is not, unless that is wanted", func() {
		forgets, keeps := made(memory.Options[int64]{}), made(memory.Options[int64]{Absent: true})
		there.Store(0)
		for _, m := range []*memory.Memory[string, int64]{forgets, keeps} {
			Expect(get(m, "a")).To(BeZero())
			Expect(m.Len()).To(BeZero())
		}
		there.Store(7)
		Expect(get(forgets, "a")).To(BeEquivalentTo(7))
		Expect(get(keeps, "a")).To(BeZero())
		turn(memory.Freshness)
		Expect(get(keeps, "a")).To(BeEquivalentTo(7))
		there.Store(0)
		turn(memory.Freshness)
		Expect(get(keeps, "a")).To(BeZero())
		Expect(keeps.Len()).To(BeZero())
	})

	It("is of a bounded number, from which what there is not pushes nothing out", func() {
		m := made(memory.Options[int64]{Absent: true})
		get(m, "somebody")
		there.Store(0)
		for i := range memory.Most + 1 {
			get(m, string(rune('a'+i)))
		}
		Expect(get(m, "somebody")).To(BeEquivalentTo(7))
		there.Store(7)
		turn(memory.Freshness)
		for i := range memory.Most {
			get(m, string(rune('a'+i)))
		}
		Expect(m.Len()).To(Equal(1))
	})

	It("is asked for anew when it is to be forgotten, also while the answer is on its way", func() {
		m := made(memory.Options[int64]{})
		get(m, "a")
		there.Store(8)
		m.Forget("a")
		Expect(get(m, "a")).To(BeEquivalentTo(8))
		m.Forget("a")
		v, _, err := m.Get(ctx, "a", func(context.Context) (int64, bool, error) {
			m.Forget("a")
			return 8, true, nil
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(v).To(BeEquivalentTo(8))
		there.Store(9)
		Expect(get(m, "a")).To(BeEquivalentTo(9))
	})

	It("does not keep errors, and no answer is taken for one in an outage unless that is wanted", func() {
		strict, lenient := made(memory.Options[int64]{}), made(memory.Options[int64]{Outage: func(err error) bool { return errors.Is(err, errAway) }})
		_, _, err := lenient.Get(ctx, "a", failing(errAway))
		Expect(err).To(MatchError(errAway), "nothing was known")
		get(strict, "a")
		get(lenient, "a")
		turn(memory.Freshness)
		_, _, err = strict.Get(ctx, "a", failing(errAway))
		Expect(err).To(MatchError(errAway))
		_, _, err = lenient.Get(ctx, "a", failing(errWrong))
		Expect(err).To(MatchError(errWrong))
		before := asked.Load()
		for range 3 {
			v, found, err := lenient.Get(ctx, "a", failing(errAway))
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(BeTrue())
			Expect(v).To(BeEquivalentTo(7))
		}
		Expect(asked.Load()).To(Equal(before+1), "an outage is not asked about by everybody")
		turn(time.Second)
		there.Store(8)
		Expect(get(lenient, "a")).To(BeEquivalentTo(8))
	})

	Describe("when many miss it at once", func() {
		var (
			m       *memory.Memory[string, int64]
			asking  chan struct{}
			answers chan int64
		)
		slow := func(context.Context) (int64, bool, error) {
			asked.Add(1)
			asking <- struct{}{}
			return <-answers, true, nil
		}
		BeforeEach(func() {
			m = made(memory.Options[int64]{})
			asking, answers = make(chan struct{}, 100), make(chan int64)
		})

		It("is asked for once", func() {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					defer GinkgoRecover()
					v, found, err := m.Get(ctx, "a", slow)
					Expect(err).NotTo(HaveOccurred())
					Expect(found).To(BeTrue())
					Expect(v).To(BeEquivalentTo(5))
				})
			}
			Eventually(asking).Should(Receive())
			Eventually(answers).Should(BeSent(int64(5)))
			done := make(chan struct{})
			go func() {
				all.Wait()
				close(done)
			}()
			Eventually(done).Should(BeClosed())
			Expect(asked.Load()).To(BeEquivalentTo(1))
		})

		It("is asked for by the next one when who asked goes away", func() {
			leaving, leave := context.WithCancel(ctx)
			first := make(chan error, 1)
			go func() {
				_, _, err := m.Get(leaving, "a", func(ctx context.Context) (int64, bool, error) {
					asking <- struct{}{}
					<-ctx.Done()
					return 0, false, ctx.Err()
				})
				first <- err
			}()
			Eventually(asking).Should(Receive())
			second := make(chan int64, 1)
			waiting := &testkit.Noticed{Context: ctx, At: make(chan struct{}, 1)}
			go func() {
				v, _, _ := m.Get(waiting, "a", slow)
				second <- v
			}()
			Eventually(waiting.At).Should(Receive())
			Expect(asked.Load()).To(BeZero())
			leave()
			Eventually(first).Should(Receive(MatchError(context.Canceled)))
			Eventually(asking).Should(Receive())
			Eventually(answers).Should(BeSent(int64(5)))
			Eventually(second).Should(Receive(BeEquivalentTo(5)))
		})

		It("keeps nobody waiting who goes away", func(ctx SpecContext) {
			go func() { _, _, _ = m.Get(ctx, "a", slow) }()
			Eventually(asking).Should(Receive())
			gone, leave := context.WithCancel(ctx)
			leave()
			_, _, err := m.Get(gone, "a", slow)
			Expect(err).To(MatchError(context.Canceled))
			Eventually(answers).Should(BeSent(int64(5)))
			Eventually(m.Len).Should(Equal(1))
		}, SpecTimeout(testkit.Patience))

		It("is asked for by the next one when the question panics", func() {
			fail := make(chan struct{})
			first := make(chan any, 1)
			go func() {
				defer func() { first <- recover() }()
				_, _, _ = m.Get(ctx, "a", func(context.Context) (int64, bool, error) {
					asking <- struct{}{}
					<-fail
					panic("a")
				})
			}()
			Eventually(asking).Should(Receive())
			second := make(chan int64, 1)
			waiting := &testkit.Noticed{Context: ctx, At: make(chan struct{}, 1)}
			go func() {
				v, _, _ := m.Get(waiting, "a", ask)
				second <- v
			}()
			Eventually(waiting.At).Should(Receive())
			close(fail)
			Eventually(first).Should(Receive(Equal("a")))
			Eventually(second).Should(Receive(BeEquivalentTo(7)))
			Expect(get(m, "a")).To(BeEquivalentTo(7))
		})

		It("is asked for again early by one, while the others go on with what is known", func() {
			m = made(memory.Options[int64]{Early: true})
			get(m, "a")
			turn(memory.Freshness / 2)
			over := make(chan int64, 1)
			go func() {
				v, _, _ := m.Get(ctx, "a", slow)
				over <- v
			}()
			Eventually(asking).Should(Receive())
			Expect(get(m, "a")).To(BeEquivalentTo(7))
			Eventually(answers).Should(BeSent(int64(8)))
			Eventually(over).Should(Receive(BeEquivalentTo(8)))
			Expect(get(m, "a")).To(BeEquivalentTo(8))
			Expect(asked.Load()).To(BeEquivalentTo(2))
		})
	})
})
