package orders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("orders for who took part in a campaign", Label("db"), func() {
	var (
		svc      *service
		shop     uuid.UUID
		buyer    context.Context
		bus      context.Context
		campaign string
	)

	BeforeEach(func() {
		svc, shop = replica(&shelf{}), testkit.NewTenant(testkit.Shared())
		buyer, campaign = testkit.As(shop), clock.NewID().String()
		bus = identity.With(context.Background(), identity.Identity{Tenant: shop, Actor: "system:orders.order-campaign-participation"})
	})

	due := func(user string, quantity int64) groupbuyapi.OrderDue {
		return groupbuyapi.OrderDue{
			CampaignID: campaign, ParticipantID: clock.NewID().String(), UserID: user, ProductID: clock.NewID().String(), SKU: "MUG", Name: "Blue mug",
			Quantity: quantity, Price: "9.90", Currency: "EUR",
		}
	}
	news := func(facts ...groupbuyapi.OrderDue) (batch []event.Received[groupbuyapi.OrderDue]) {
		for _, f := range facts {
			batch = append(batch, received(f))
		}
		return batch
	}
	hear := func(ctx context.Context, batch []event.Received[groupbuyapi.OrderDue]) error {
		return svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onOrderDue(ctx, tx, batch) })
	}
	placed := func() []order {
		GinkgoHelper()
		list, err := svc.list(buyer, filter{Sort: "createdAt", Limit: 1000})
		Expect(err).NotTo(HaveOccurred())
		return list
	}

	It("are placed at the price that was promised, because of the news", func() {
		batch := news(due("ana", 1), due("ben", 3))
		Expect(hear(bus, batch)).To(Succeed())

		list := placed()
		Expect(list).To(HaveExactElements(HaveField("CustomerID", "ana"), HaveField("CustomerID", "ben")))
		for i, o := range list {
			Expect(o).To(And(HaveField("Status", created), HaveField("Version", int64(1)), HaveField("Number", int64(firstNumber+i)), HaveField("Currency", eur(0).Currency),
				HaveField("Total", eur([]int64{990, 2970}[i])), HaveField("Metadata", map[string]string{"campaignId": campaign})))
			Expect(o.Lines).To(HaveExactElements(And(HaveField("SKU", "MUG"), HaveField("Name", "Blue mug"), HaveField("Price", eur(990)), HaveField("ProductID", uuid.MustParse(batch[i].Fact.ProductID)))))
			Expect(journey(buyer, svc, o.ID)).To(Equal([]string{"created"}))
		}
		facts := recorded(buyer, svc)
		Expect(facts).To(HaveLen(2))
		for i, f := range facts {
			Expect(f).To(And(HaveField("Type", "order.created"), HaveField("Subject", list[i].ID.String()), HaveField("CausationID", HaveValue(Equal(batch[i].ID)))))
			says(f, ordersapi.OrderCreated{Order: fact(list[i])})
		}
	})

	It("are placed once, however often and by whomever it is told", func() {
		a, b := due("ana", 1), due("ben", 1)
		Expect(hear(bus, news(a, a))).To(Succeed())
		Expect(hear(bus, news(b, a))).To(Succeed())
		Expect(hear(bus, news(a, b))).To(Succeed())
		Expect(placed()).To(HaveLen(2))
		Expect(topics(buyer, svc)).To(HaveLen(2))

		c := due("cleo", 1)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				defer GinkgoRecover()
				Expect(hear(bus, news(c))).To(Succeed())
			})
		}
		wg.Wait()
		Expect(placed()).To(HaveLen(3))
	})

	It("share their numbers with nobody, also not with those that are placed meanwhile", func() {
		svc.offers = &shelf{offers: assortment(onSale("MUG", eur(1250)))}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				defer GinkgoRecover()
				for range 5 {
					Expect(hear(bus, news(due("ana", 1), due("ben", 1)))).To(Succeed())
					accepted(buyer, svc, 1)
				}
			})
		}
		wg.Wait()
		numbers := map[int64]bool{}
		for _, o := range placed() {
			numbers[o.Number] = true
		}
		Expect(numbers).To(HaveLen(45))
	})

	It("in as many round trips for 200 as for one", func() {
		for _, n := range []int{1, 200} {
			facts := make([]groupbuyapi.OrderDue, n)
			for i := range facts {
				facts[i] = due(fmt.Sprint("user-", i), 1)
			}
			cost := &db.Cost{}
			Expect(hear(db.WithCost(bus, cost), news(facts...))).To(Succeed())
			Expect(cost.RoundTrips()).To(BeEquivalentTo(2+4), "%d orders", n)
		}
	})

	It("leave nothing of a batch that is rolled back, and are placed when it comes again", func() {
		a, broken := due("ana", 1), errors.New("the delivery could not be taken")
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error {
			Expect(svc.onOrderDue(bus, tx, news(a))).To(Succeed())
			return broken
		})).To(MatchError(broken))
		Expect(placed()).To(BeEmpty())
		Expect(hear(bus, news(a))).To(Succeed())
		Expect(placed()).To(HaveLen(1))
	})

	DescribeTable("are refused when they cannot be, for the bus to set aside, and leave the others alone", func(spoil func(*groupbuyapi.OrderDue)) {
		good, bad := due("ana", 1), due("ben", 1)
		spoil(&bad)
		Expect(hear(bus, news(bad))).NotTo(Succeed())
		Expect(hear(bus, news(good))).To(Succeed())
		Expect(placed()).To(HaveExactElements(HaveField("CustomerID", "ana")))
	},
		Entry("because nobody can count what they cost", func(d *groupbuyapi.OrderDue) { d.Price, d.Quantity = "92233720368547758.07", math.MaxInt64 }),
		Entry("because of a price that is none", func(d *groupbuyapi.OrderDue) { d.Price = "9.999" }),
		Entry("because of a currency that is none", func(d *groupbuyapi.OrderDue) { d.Currency = "XXX" }),
		Entry("because of no participant", func(d *groupbuyapi.OrderDue) { d.ParticipantID = "ben" }),
		Entry("because of no product", func(d *groupbuyapi.OrderDue) { d.ProductID = "mug" }),
	)

	It("belong to the merchant whose campaign it was", func() {
		a := due("ana", 1)
		Expect(hear(bus, news(a))).To(Succeed())
		other := testkit.As(testkit.NewTenant(testkit.Shared()))
		Expect(hear(other, news(a))).To(Succeed())
		Expect(placed()).To(HaveLen(1))
		Expect(topics(other, svc)).To(HaveLen(1))
	})
})
