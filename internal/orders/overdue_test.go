package orders

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("an order that is paid and that nobody packs", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})

	// ago has the last that happened to an order happen as long ago as that.
	ago := func(o order, past time.Duration) {
		GinkgoHelper()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `update orders.orders set updated_at = $2 where id = $1`, o.ID, tx.Now.Add(-past))
			return err
		})).To(Succeed())
	}
	swept := func() {
		GinkgoHelper()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onOverdue(ctx, tx, "now") })).To(Succeed())
	}
	heldFor := func(o order) string {
		GinkgoHelper()
		return reread(ctx, svc, o).waits()
	}
	late := func() order {
		GinkgoHelper()
		o := settled(ctx, svc, 2)
		ago(o, svc.packing.after+time.Minute)
		return o
	}

	It("says so when its time is up, once, and is found by it", func() {
		o, young := late(), settled(ctx, svc, 2)
		ago(young, svc.packing.after-time.Minute)
		swept()
		version := reread(ctx, svc, o).Version
		swept()
		Expect([]any{heldFor(o), heldFor(young), reread(ctx, svc, o).Version}).To(Equal([]any{overdue, "", version}))
		steps, err := svc.timeline(ctx, o.ID, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(*steps[len(steps)-1].Reason).To(Equal(overdue))
		list, err := svc.list(ctx, filter{HeldFor: overdue, Sort: "-createdAt", Limit: 10})
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(HaveExactElements(HaveField("ID", o.ID)))
		Expect(svc.list(ctx, filter{HeldFor: heldByStaff, Sort: "-createdAt", Limit: 10})).To(BeEmpty())
	})

	It("says so no more once it is packed, nor when it is called off", func() {
		sent, off := late(), late()
		swept()
		parcel := clock.NewID()
		Expect(packed(ctx, svc, sent, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, sent, parcel, parcelCreated, 1)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.cancel(ctx, tx, off.ID, "", "gone")
			return err
		})).To(Succeed())
		Expect([]string{heldFor(sent), heldFor(off)}).To(Equal([]string{"", ""}))
	})

	It("is let go by who has looked at it", func() {
		o := late()
		swept()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.letGo(ctx, tx, o.ID, "the buyer collects it")
			return err
		})).To(Succeed())
		swept()
		Expect(heldFor(o)).To(BeEmpty())
	})

	It("is not one that is packed, or that waits for somebody as it is", func() {
		gone, held := settled(ctx, svc, 2), settled(ctx, svc, 2)
		parcel := clock.NewID()
		Expect(packed(ctx, svc, gone, parcel, 2)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, gone, parcel, parcelLabelled, 1)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.holdBack(ctx, tx, held.ID, "odd")
			return err
		})).To(Succeed())
		ago(gone, svc.packing.after+time.Minute)
		ago(held, svc.packing.after+time.Minute)
		swept()
		Expect([]string{heldFor(gone), heldFor(held)}).To(Equal([]string{"", heldByStaff}))
	})

	It("is looked for by a timer that its payment sets, one for a shop and a quarter of an hour", func() {
		var due []time.Time
		timers := func() []time.Time {
			GinkgoHelper()
			Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
				due = nil
				return tx.Select(ctx, &due, `select due_at from platform.timer where tenant_id = platform.current_tenant() and kind = $1 order by due_at`, sweepOverdue)
			})).To(Succeed())
			return due
		}
		o := settled(ctx, svc, 1)
		settled(ctx, svc, 1)
		Expect(len(timers())).To(BeNumerically("<=", 2), "the quarter may end meanwhile")
		Expect(due[0]).To(BeTemporally(">=", o.CreatedAt.Add(svc.packing.after)))
		Expect(due[0]).To(BeTemporally("<=", o.CreatedAt.Add(svc.packing.after+sweepEvery+time.Minute)))
	})

	It("is no matter where nobody minds", func() {
		svc.packing = newDeadline(svc.packing.timers, sweepOverdue, 0)
		o := late()
		ago(o, 1000*time.Hour)
		swept()
		Expect(heldFor(o)).To(BeEmpty())
	})
})
