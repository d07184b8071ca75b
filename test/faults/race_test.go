package faults_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// Races that a load finds once in a thousand runs, made to happen.
var _ = Describe("a cancellation", func() {
	It("frees the stock of an order that is being reserved at the same moment", func(ctx SpecContext) {
		s := openShop(ctx, 2)
		s.stock(ctx, 1, 10)
		letReserve, err := lab.HoldBack(ctx, s.db, "inventory.reserve-for-order")
		Expect(err).NotTo(HaveOccurred())
		defer letReserve()
		letRelease, err := lab.HoldBack(ctx, s.db, "inventory.release-cancelled-order")
		Expect(err).NotTo(HaveOccurred())
		defer letRelease()
		placed, err := s.customers.Ask(ctx, 0, order("in-two-minds", line{sku(0), 4}))
		Expect(err).NotTo(HaveOccurred())
		id := s.believe(placed)
		cancelled, err := s.customers.Ask(ctx, 0, load.Request{Key: "no", Method: http.MethodPost, Path: "/v1/orders/" + id + "/cancel", Body: map[string]string{}})
		Expect(err).NotTo(HaveOccurred())
		Expect(cancelled.Status).To(Equal(http.StatusOK), "%s", cancelled.Raw)
		s.believeCancelled(id)

		By("stopping the reservation between its writing and its commit")
		log, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = log.Rollback() }()
		_, err = log.ExecContext(ctx, `lock table platform.event in share mode`)
		Expect(err).NotTo(HaveOccurred())
		letReserve()
		s.awaitBlocked(ctx, 1)
		By("letting the cancellation come")
		letRelease()
		s.awaitBlocked(ctx, 2)
		Expect(log.Rollback()).To(Succeed())

		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, audit.Samples{})
		Expect(s.count(`select reserved from inventory.stock`)).To(BeZero())
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("a stock count", func() {
	It("does not come between the decision about an order and its writing", func(ctx SpecContext) {
		s := openShop(ctx, 2)
		s.stock(ctx, 1, 10)
		s.settle(ctx, toEnd)
		lines, err := s.db.BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = lines.Rollback() }()
		_, err = lines.ExecContext(ctx, `lock table inventory.reservation_line in share mode`)
		Expect(err).NotTo(HaveOccurred())
		placed, err := s.customers.Ask(ctx, 0, order("decided", line{sku(0), 4}))
		Expect(err).NotTo(HaveOccurred())
		s.believe(placed)
		s.awaitBlocked(ctx, 1)

		By("counting fewer than the order has been promised by now")
		counted := make(chan load.Answer, 1)
		go func() {
			defer GinkgoRecover()
			a, err := s.customers.Ask(ctx, 1, load.Request{Method: http.MethodPut, Path: "/v1/inventory/" + sku(0), Body: map[string]int{"onHand": 2}})
			Expect(err).NotTo(HaveOccurred())
			counted <- a
		}()
		s.awaitBlocked(ctx, 2)
		Expect(lines.Rollback()).To(Succeed())
		var a load.Answer
		Eventually(ctx, counted).WithTimeout(toEnd).Should(Receive(&a))
		Expect(a.Code()).To(Equal("below_reserved"), "%s", a.Raw)

		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, audit.Samples{})
		Expect(s.count(`select on_hand - reserved from inventory.stock`)).To(Equal(6))
	}, SpecTimeout(2*time.Minute))
})

// awaitBlocked waits until a number of the program's transactions wait for a lock.
func (s *shop) awaitBlocked(ctx context.Context, n int) {
	GinkgoHelper()
	Eventually(func() int {
		return s.count(`select count(*) from pg_stat_activity where usename like 'fusion%' and wait_event_type = 'Lock'`)
	}).WithContext(ctx).WithTimeout(10*time.Second).WithPolling(2*time.Millisecond).Should(BeNumerically(">=", n), "transactions that wait for a lock")
}
