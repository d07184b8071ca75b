package inventory

import (
	"context"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("what a customer holds", Label("db"), func() {
	var (
		svc                    *service
		shop                   uuid.UUID
		ana, ben               string
		owner, hers, his, page context.Context
	)

	BeforeEach(func() {
		svc, shop = replica(), testkit.NewTenant(testkit.Shared())
		ana, ben = clock.NewID().String(), clock.NewID().String()
		owner, hers, his, page = testkit.As(shop), testkit.AsCustomer(shop, ana), testkit.AsCustomer(shop, ben), testkit.As(shop, "inventory:hold")
		stocked(owner, svc, item{"MUG", 5})
	})
	AfterEach(func() { addsUp(shop) })

	It("is read and released by themselves and by who looks after the stock; to others it does not exist", func() {
		h := holds(hers, svc, time.Minute, item{"MUG", 2})
		for _, ctx := range []context.Context{his, page} {
			Expect(svc.findHold(ctx, h.ID)).Error().To(MatchError(httpx.ErrNotFound))
			Expect(svc.released(ctx, h.ID)).To(MatchError(httpx.ErrNotFound))
		}
		Expect(svc.findHold(hers, h.ID)).To(HaveField("Status", holdHeld))
		Expect(svc.findHold(owner, h.ID)).To(HaveField("Customer", ana))
		Expect(svc.released(hers, h.ID)).To(Succeed())
		Expect(svc.findHold(hers, h.ID)).To(HaveField("Status", holdReleased))
	})

	It("is beside what guests hold, which is theirs who know of it", func() {
		h := holds(page, svc, time.Minute, item{"MUG", 2})
		Expect(svc.findHold(hers, h.ID)).Error().To(MatchError(httpx.ErrNotFound))
		Expect(svc.findHold(page, h.ID)).To(HaveField("Status", holdHeld))
		Expect(svc.released(page, h.ID)).To(Succeed())
	})

	It("is claimed by their own orders, not by somebody's who has seen its id", func() {
		h := holds(hers, svc, time.Minute, item{"MUG", 5})
		stranger, own := claiming(clock.NewID(), h.ID, item{"MUG", 1}), claiming(clock.NewID(), h.ID, item{"MUG", 5})
		stranger.Fact.CustomerID, own.Fact.CustomerID = ben, ana
		heard(owner, svc, stranger)
		Expect(topics(owner, svc)).To(Equal([]string{"inventory.insufficient 1"}))
		Expect(svc.findHold(hers, h.ID)).To(HaveField("Status", holdHeld))
		heard(owner, svc, own)
		Expect(svc.findHold(hers, h.ID)).To(HaveField("Status", holdClaimed))
	})

	It("of a guest who signs in is claimed by their order all the same", func() {
		h := holds(page, svc, time.Minute, item{"MUG", 5})
		own := claiming(clock.NewID(), h.ID, item{"MUG", 5})
		own.Fact.CustomerID = ana
		heard(owner, svc, own)
		Expect(svc.findHold(page, h.ID)).To(HaveField("Status", holdClaimed))
	})
})
