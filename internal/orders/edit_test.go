package orders

import (
	"context"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("sending an order elsewhere", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})
	porto := address{Name: "Ana", Line1: "Rua da Rosa 45", City: "Porto", PostalCode: "4000-001", Country: "PT"}
	sendsTo := func(id uuid.UUID, to address, match string) (o order, err error) {
		err = svc.db.InTx(ctx, func(tx *db.Tx) error {
			o, err = svc.edit(ctx, tx, id, httpx.IfMatch{Match: match}, edit{&to, "she moved"})
			return err
		})
		return o, err
	}

	It("is a step of its timeline and a fact that names nobody, and none when it goes there already", func() {
		o := settled(ctx, svc, 2)
		after, err := sendsTo(o.ID, porto, httpx.VersionTag(o.Version))
		Expect(err).NotTo(HaveOccurred())
		Expect(after.Version).To(Equal(o.Version + 1))
		Expect(reread(ctx, svc, o)).To(And(HaveField("Address", HaveValue(Equal(porto))), HaveField("Status", paid), HaveField("Version", o.Version+1)))
		Expect(sendsTo(o.ID, porto, "")).To(HaveField("Version", o.Version+1))
		facts := recorded(ctx, svc)
		says(facts[len(facts)-1], ordersapi.OrderEdited{Order: fact(after), Changed: []string{"shippingAddress"}})
		Expect(facts[len(facts)-1].Data).NotTo(ContainSubstring("Rosa"))
		steps, err := svc.handleTimeline(ctx, &byID{ID: o.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(steps.Data[len(steps.Data)-1]).To(And(HaveField("Status", "paid"), HaveField("Edited", HaveExactElements("shippingAddress")), HaveField("Reason", "she moved")))
	})

	It("is refused to who has not seen the order as it is, with something in a shipment, and when it has ended", func() {
		o := settled(ctx, svc, 2)
		_, err := sendsTo(o.ID, porto, httpx.VersionTag(o.Version-1))
		Expect(code(err)).To(Equal("version_conflict"))
		parcel := clock.NewID()
		Expect(packed(ctx, svc, o, parcel, 1)).Error().NotTo(HaveOccurred())
		_, err = sendsTo(o.ID, porto, "")
		Expect(code(err)).To(Equal("order_not_editable"))
		Expect(fault.From(err).Extra).To(HaveKeyWithValue("lines", []int{1}))
		tells(ctx, svc, o, parcel, parcelVoided, 2)
		Expect(sendsTo(o.ID, porto, "")).Error().NotTo(HaveOccurred())
		Expect(calledOff(ctx, svc, o.ID, "")).Error().NotTo(HaveOccurred())
		_, err = sendsTo(o.ID, address{City: "Faro"}, "")
		Expect(code(err)).To(Equal("order_not_editable"))
		_, err = sendsTo(clock.NewID(), porto, "")
		Expect(code(err)).To(Equal("not_found"))
	})

	It("leaves what it costs as it was agreed", func() {
		p := quoted() // with tax, to Lisboa, without a postal code
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := (&Module{svc}).Place(ctx, tx, p, true)
			return err
		})).To(Succeed())
		id := uuid.MustParse(p.OrderID)
		for _, to := range []address{{City: "Madrid", Country: "ES"}, {City: "Funchal", Region: "PT-30", Country: "PT"}, porto} {
			_, err := sendsTo(id, to, "")
			Expect(code(err)).To(Equal("destination_priced"))
		}
		Expect(sendsTo(id, address{City: "Porto", Country: "PT"}, "")).To(HaveField("Total", eur(4140)))
	})
})
