package identity

import (
	"maps"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("an identity provider of a shop", func() {
	var (
		s *shop
		i *issuer
	)
	BeforeEach(func() { s, i = open(), newIssuer() })

	It("keeps its secret to itself", func() {
		id := s.trusts(i, nil)
		r := s.Get("/v1/auth/providers/" + id)
		Expect(r.JSON()).To(And(HaveKeyWithValue("hasSecret", true), HaveKeyWithValue("issuer", i.URL), HaveKeyWithValue("enabled", true)))
		Expect(string(r.Raw)).NotTo(ContainSubstring("hush"))
		Expect(s.Get("/v1/auth/providers").JSON()).To(HaveKeyWithValue("data", HaveLen(1)))
		var kept string
		Expect(s.super.QueryRow(`select encode(client_secret, 'escape') from identity.oidc_provider where tenant_id = $1`, s.Tenant).Scan(&kept)).To(Succeed())
		Expect(kept).NotTo(ContainSubstring("hush"))
		var records string
		Expect(s.super.QueryRow(`select coalesce(string_agg(a::text, ' '), '') from platform.audit a where tenant_id = $1`, s.Tenant).Scan(&records)).To(Succeed())
		Expect(records).To(And(ContainSubstring("createProvider"), Not(ContainSubstring("hush"))))

		changed := s.Call(http.MethodPatch, "/v1/auth/providers/"+id, object{"clientSecret": ""}, testkit.Header{Name: "If-Match", Value: r.Header.Get("ETag")})
		Expect(changed.JSON()).To(HaveKeyWithValue("hasSecret", false))
		Expect(s.Call(http.MethodPatch, "/v1/auth/providers/"+id, object{"name": "Acme 2"}, testkit.Header{Name: "If-Match", Value: r.Header.Get("ETag")}).Code()).To(Equal("version_conflict"))
	})

	It("shows its secret to no other issuer and for no other client", func() {
		id := s.trusts(i, nil)
		change := func(body object) any {
			return s.Call(http.MethodPatch, "/v1/auth/providers/"+id, body).JSON()["hasSecret"]
		}
		Expect(change(object{"name": "Acme 2", "issuer": i.URL, "clientId": clientID})).To(BeTrue(), "they are what they were")
		Expect(change(object{"issuer": newIssuer().URL})).To(BeFalse())
		Expect(change(object{"issuer": i.URL})).To(BeFalse(), "it is gone")
		Expect(change(object{"issuer": newIssuer().URL, "clientSecret": "new"})).To(BeTrue())
		Expect(change(object{"clientId": "another"})).To(BeFalse())
	})

	DescribeTable("is refused with what is wrong", func(change object, pointer string) {
		body := object{"slug": "acme", "name": "Acme", "kind": "staff", "issuer": i.URL, "clientId": clientID}
		maps.Copy(body, change)
		r := s.Post("/v1/auth/providers", body)
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity), "%s", r.Raw)
		Expect(r.JSON()["errors"]).To(ContainElement(HaveKeyWithValue("pointer", pointer)))
	},
		Entry("an issuer inside", object{"issuer": "https://10.0.0.1"}, "/issuer"),
		Entry("an issuer in the clear", object{"issuer": "http://login.example.com"}, "/issuer"),
		Entry("an issuer of the cloud's own", object{"issuer": "https://169.254.169.254/"}, "/issuer"),
		Entry("an issuer with a user", object{"issuer": "https://a:b@login.example.com"}, "/issuer"),
		Entry("an issuer with a query", object{"issuer": "https://login.example.com/?x=1"}, "/issuer"),
		Entry("no issuer", object{"issuer": ""}, "/issuer"),
		Entry("a slug that is none", object{"slug": "A/B"}, "/slug"),
		Entry("a role that is none", object{"roles": []string{"king"}, "domains": []string{"example.com"}}, "/roles/0"),
		Entry("roles for everybody", object{"roles": []string{"support"}}, "/domains"),
		Entry("roles for customers", object{"kind": "customer", "roles": []string{"support"}, "domains": []string{"example.com"}}, "/roles"),
		Entry("domains that are none", object{"domains": []string{"Example.com", "@example.com", "com"}}, "/domains/1"),
		Entry("tokens for everybody", object{"acceptTokens": true}, "/audience"),
		Entry("tokens that only say who signed in", object{"acceptTokens": true, "audience": clientID}, "/audience"),
	)

	It("has a slug of its own", func() {
		s.trusts(i, nil)
		Expect(s.Post("/v1/auth/providers", object{"slug": "acme", "name": "x", "kind": "customer", "issuer": i.URL, "clientId": "x"}).Code()).To(Equal("slug_taken"))
		open().trusts(i, nil)
	})

	It("for staff is an owner's to decide on, since it could vouch for anybody", func() {
		manager := s.as(s.signedIn(s.staff("manager")))
		body := object{"slug": "mine", "name": "Mine", "kind": "staff", "issuer": i.URL, "clientId": clientID}
		Expect(manager.Post("/v1/auth/providers", body).Code()).To(Equal("role_not_held"))
		body["kind"] = "customer"
		Expect(manager.Post("/v1/auth/providers", body).Status).To(Equal(http.StatusCreated))
		id := s.trusts(i, nil)
		Expect(manager.Call(http.MethodPatch, "/v1/auth/providers/"+id, object{"domains": []string{}}).Code()).To(Equal("role_not_held"))
		Expect(manager.Call(http.MethodDelete, "/v1/auth/providers/"+id, nil).Code()).To(Equal("role_not_held"))
		Expect(manager.Get("/v1/auth/providers/" + id).Status).To(Equal(http.StatusOK))
	})
})
