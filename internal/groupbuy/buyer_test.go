package groupbuy

import (
	"context"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("who joins a campaign", Label("db"), func() {
	var (
		svc                           *service
		ana, ben, campaign            string
		owner, clerk, hers, his, page context.Context
	)

	BeforeEach(func() {
		shop := testkit.NewTenant(testkit.Shared())
		svc, ana, ben = replica(assortment()), clock.NewID().String(), clock.NewID().String()
		owner, clerk = testkit.As(shop), testkit.As(shop, "campaigns:read")
		hers, his, page = testkit.AsCustomer(shop, ana), testkit.AsCustomer(shop, ben), testkit.As(shop, identity.Storefront()...)
		campaign = started(owner, svc, offered(5, 10)).ID
	})

	refused := func(ctx context.Context, user string) string {
		GinkgoHelper()
		fields := fault.From(why(joins(ctx, svc, campaign, user, 1))).Fields
		Expect(fields).To(HaveExactElements(HaveField("Pointer", "/userId")))
		return fields[0].Code
	}
	seen := func(ctx context.Context) (users []string) {
		GinkgoHelper()
		in := &participantsInput{ID: campaign}
		in.Limit = 20
		list, err := svc.handleParticipants(ctx, in)
		Expect(err).NotTo(HaveOccurred())
		for _, p := range list.Data {
			users = append(users, p.UserID)
		}
		return users
	}

	It("is the customer who asks, for whom else staff says, and a guest whom a page names", func() {
		Expect(why(joins(hers, svc, campaign, "", 1))).To(Succeed())
		Expect(why(joins(hers, svc, campaign, ana, 1))).To(MatchError(errAlreadyJoined))
		Expect(refused(hers, ben)).To(Equal("not_yourself"))
		Expect(refused(hers, "guest")).To(Equal("not_yourself"))
		Expect(refused(page, ben)).To(Equal("registered_customer"))
		Expect(refused(page, uuid.NewString())).To(Equal("registered_customer"))
		Expect(refused(page, "")).To(Equal("required"))
		Expect(refused(owner, "")).To(Equal("required"))
		Expect(why(joins(page, svc, campaign, "guest-17", 1))).To(Succeed())
		Expect(why(joins(owner, svc, campaign, ben, 1))).To(Succeed())
		Expect(seen(owner)).To(Equal([]string{ana, "guest-17", ben}))
	})

	It("is known to the shop; a customer sees only themselves", func() {
		Expect(why(joins(owner, svc, campaign, "guest-17", 1))).To(Succeed())
		Expect(why(joins(hers, svc, campaign, "", 1))).To(Succeed())
		Expect(seen(hers)).To(Equal([]string{ana}))
		Expect(seen(his)).To(BeEmpty())
		Expect(seen(clerk)).To(Equal([]string{"guest-17", ana}))
	})
})
