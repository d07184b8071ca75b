package httpx

import (
	"context"
	"net/http"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var _ = Describe("an idempotency key", func() {
	scope := func(id identity.Identity, address string) string {
		c := &call{method: http.MethodPost, path: "/v1/orders", remote: Remote{IP: netip.MustParseAddr(address)}}
		Expect(c.scopeTo(identity.With(context.Background(), id))).To(Succeed())
		return c.scope
	}

	DescribeTable("counts for who sent it", func(id identity.Identity, wherever bool) {
		if wherever {
			Expect(scope(id, "192.0.2.1")).To(Equal(scope(id, "192.0.2.2")))
		} else {
			Expect(scope(id, "192.0.2.1")).NotTo(Equal(scope(id, "192.0.2.2")))
		}
		Expect(scope(id, "192.0.2.1")).To(Equal(scope(id, "192.0.2.1")))
		Expect(scope(id, "2001:db8::1")).To(Equal(scope(id, "2001:db8::2")), "one household")
	},
		Entry("from wherever, of somebody with an identity", identity.Identity{Tenant: shopID, Actor: "user:anna"}, true),
		Entry("at their address, of strangers", identity.Identity{Tenant: shopID, Actor: identity.Anonymous}, false),
		Entry("at their address, of those who share a publishable key", identity.Identity{Tenant: shopID, Actor: "key:page", Publishable: true}, false),
	)

	It("counts for the ticket that is shown with it, which is not kept", func() {
		id := identity.Identity{Tenant: shopID, Actor: "key:page", Publishable: true}
		with := func(ticket string) string {
			c := &call{method: http.MethodPost, path: "/v1/carts", ticket: ticket, remote: Remote{IP: netip.MustParseAddr("192.0.2.1")}}
			Expect(c.scopeTo(identity.With(context.Background(), id))).To(Succeed())
			return c.scope
		}
		Expect([]string{with("fc_ct_a"), with("fc_ct_b"), with("")}).To(And(HaveExactElements(with("fc_ct_a"), with("fc_ct_b"), with("")), HaveEach(Not(ContainSubstring("fc_ct")))))
		Expect(with("fc_ct_a")).NotTo(Or(Equal(with("fc_ct_b")), Equal(with(""))))
	})

	It("keeps nobody of another merchant waiting", func() {
		Expect(lockKey(shopID, "anonymous", "k")).NotTo(Equal(lockKey(identity.DefaultTenant, "anonymous", "k")))
		Expect(lockKey(shopID, "anonymous", "k")).To(Equal(lockKey(shopID, "anonymous", "k")))
	})
})
