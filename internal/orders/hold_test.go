package orders

import (
	"context"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("an order that somebody has to look at", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})
	judged := func(judge func(context.Context, *db.Tx, uuid.UUID, string) (order, error), o order) (found order, err error) {
		err = svc.db.InTx(ctx, func(tx *db.Tx) error {
			found, err = judge(ctx, tx, o.ID, "the address is odd")
			return err
		})
		return found, err
	}
	held := func(o order) (order, error) { return judged(svc.holdBack, o) }
	freed := func(o order) (order, error) { return judged(svc.letGo, o) }

	It("is in no parcel until it is let go, and its timeline says why", func() {
		o := settled(ctx, svc, 2)
		Expect(held(o)).To(HaveField("Hold", heldByStaff))
		Expect(held(o)).To(HaveField("Version", int64(5)))
		_, err := packed(ctx, svc, o, clock.NewID(), 1)
		Expect(code(err)).To(Equal("order_held"))
		Expect(present(reread(ctx, svc, o)).HeldFor).To(Equal("staff"))
		Expect(freed(o)).To(HaveField("Hold", ""))
		Expect(freed(o)).To(HaveField("Version", int64(6)))
		Expect(packed(ctx, svc, o, clock.NewID(), 1)).Error().NotTo(HaveOccurred())
		steps, err := svc.timeline(ctx, o.ID, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(steps[4:]).To(HaveExactElements(
			And(HaveField("Hold", HaveValue(Equal("staff"))), HaveField("Status", "paid"), HaveField("Reason", HaveValue(Equal("the address is odd")))),
			HaveField("Hold", HaveValue(Equal("released")))))
		Expect(topics(ctx, svc)[3:]).To(Equal([]string{"order.held 5", "order.released 6"}))
	})

	It("is held by itself when it costs more than the shop sends unseen, and can be paid meanwhile", func() {
		svc.holdAbove = []money.Amount{{Minor: 2000, Currency: "USD"}, {Minor: 2500, Currency: "EUR"}}
		small, large := settled(ctx, svc, 2), settled(ctx, svc, 3)
		Expect(present(small).HeldFor).To(BeEmpty())
		Expect(large).To(And(HaveField("Status", paid), HaveField("Hold", heldByAmount)))
		_, err := packed(ctx, svc, large, clock.NewID(), 1)
		Expect(code(err)).To(Equal("order_held"))
		Expect(freed(large)).To(HaveField("Status", paid))
		Expect(packed(ctx, svc, large, clock.NewID(), 1)).Error().NotTo(HaveOccurred())
	})

	It("can be called off, and waits for nobody then", func() {
		o := settled(ctx, svc, 1)
		Expect(held(o)).Error().NotTo(HaveOccurred())
		off, err := calledOff(ctx, svc, o.ID, "fraud")
		Expect(err).NotTo(HaveOccurred())
		Expect(present(off).HeldFor).To(BeEmpty())
		_, err = held(o)
		Expect(code(err)).To(Equal("order_not_holdable"))
		Expect(freed(o)).To(HaveField("Status", cancelled))
	})

	It("is told to go on when no label could be bought for it", func() {
		o := settled(ctx, svc, 1)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 1)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, parcel, parcelFailed, 2)
		Expect(freed(o)).Error().NotTo(HaveOccurred())
		Expect(topics(ctx, svc)).To(ContainElement(HavePrefix("order.released")))
	})
})
