package orders

import (
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("order numbers", func() {
	It("count up one by one in a quiet shop", func() {
		now := clock.System()
		n := newNumbers(testkit.Open(testkit.Shared().App), func() time.Time { now = now.Add(time.Minute); return now })
		ctx := testkit.As(testkit.NewTenant(testkit.Shared()))
		for want := int64(firstNumber); want < firstNumber+5; want++ {
			Expect(n.take(ctx)).To(Equal(want))
		}
	})

	It("are never given twice, however many replicas ask at the same moment", func() {
		ctx := testkit.As(testkit.NewTenant(testkit.Shared()))
		var mu sync.Mutex
		seen := map[int64]bool{}
		var wg sync.WaitGroup
		for range 4 {
			replica := newNumbers(testkit.Open(testkit.Shared().App), clock.System)
			for range 8 {
				wg.Go(func() {
					defer GinkgoRecover()
					for range 50 {
						number, err := replica.take(ctx)
						Expect(err).NotTo(HaveOccurred())
						mu.Lock()
						Expect(seen[number]).To(BeFalse(), "%d was given twice", number)
						seen[number] = true
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		Expect(seen).To(HaveLen(4 * 8 * 50))
	})

	It("begin anew for each merchant", func() {
		n := newNumbers(testkit.Open(testkit.Shared().App), clock.System)
		Expect(n.take(testkit.As(testkit.NewTenant(testkit.Shared())))).To(BeEquivalentTo(firstNumber))
		Expect(n.take(testkit.As(testkit.NewTenant(testkit.Shared())))).To(BeEquivalentTo(firstNumber))
	})
})
