package event_test

import (
	"context"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a consumer whose reaction was mended", func() {
	var d *depot

	BeforeEach(func() { d = open(postgres) })

	It("is given the log again, from the first fact or from a later one", func(ctx SpecContext) {
		d.consumes("shelf.moved", "label.moved")
		d.publish(d.ctx, steps("p1", 1, 5)...)
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(5))
		Eventually(d.effects("label.moved"), testkit.Patience).Should(HaveLen(5))

		Expect(event.Replay(ctx, d.pool, "shelf.moved", 0)).To(BeEquivalentTo(5))
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal(append(each("p1", 1, 5), each("p1", 1, 5)...)))

		Expect(event.Replay(ctx, d.pool, "shelf.moved", d.seq("p1", 3))).To(BeEquivalentTo(2))
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(12))
		Expect(d.effects("shelf.moved")()[10:]).To(Equal(each("p1", 4, 5)))
		Expect(d.effects("label.moved")()).To(Equal(each("p1", 1, 5)), "the others hear nothing of it")
	})

	It("is not there when nobody subscribed it", func(ctx SpecContext) {
		_, err := event.Replay(ctx, d.pool, "nobody.moved", 0)
		Expect(err).To(MatchError(event.ErrNoConsumer))
	})

	It("is heard of no more once it is ended", func(ctx SpecContext) {
		d.consumes("shelf.moved").stop()
		d.publish(d.ctx, steps("p1", 1, 3)...)
		Expect(event.Unsubscribe(ctx, d.pool, "shelf.moved")).To(BeEquivalentTo(3))
		d.publish(d.ctx, moved{"p1", 4})
		Expect(d.waiting()).To(BeZero())
		Expect(d.consumers()).NotTo(ContainElement("shelf.moved"))
		Expect(d.count(`select count(*) from platform.event`)).To(Equal(4))

		_, err := event.Unsubscribe(ctx, d.pool, "shelf.moved")
		Expect(err).To(MatchError(event.ErrNoConsumer))
	})
})

// seq is the position of a step in the log.
func (d *depot) seq(parcel string, step int) (seq int64) {
	GinkgoHelper()
	var id uuid.UUID
	Expect(d.super.QueryRow(`select id from platform.event where subject = $1 and sequence = $2`, parcel, step).Scan(&id)).To(Succeed())
	Expect(d.pool.Read(d.ctx, func(tx *db.Tx) (err error) {
		seq, _, err = d.log.Position(context.WithoutCancel(d.ctx), tx, id)
		return err
	})).To(Succeed())
	return seq
}
