package identity

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("what is held about a customer", func() {
	var (
		s    *shop
		g    granted
		path string
	)
	BeforeEach(func() {
		s = open()
		g = s.signedIn(s.customer())
		path = "/v1/customers/" + g.Account.CustomerID
		Expect(s.Post(path+"/notes", object{"text": "prefers the blue ones"}).Status).To(Equal(http.StatusCreated))
		Expect(s.Call(http.MethodPatch, path, object{"phone": "+351 912 345 678"}).Status).To(Equal(http.StatusOK))
		Expect(s.as(g).Call(http.MethodPatch, "/v1/me", object{"name": "Anna"}).Status).To(Equal(http.StatusOK))
	})

	type export struct {
		Notes []struct{ Text, Author string }
		Log   []struct{ Action, Actor, IP, UserAgent string }
	}

	It("does not tell the customer who of the shop did what, and from where", func() {
		e := read[export](s.as(g).Get(path + "/export"))
		Expect(e.Notes).To(ConsistOf(And(HaveField("Text", "prefers the blue ones"), HaveField("Author", "staff"))))
		Expect(e.Log).To(ContainElements(
			And(HaveField("Action", "updateCustomer"), HaveField("Actor", "staff"), HaveField("IP", ""), HaveField("UserAgent", "")),
			And(HaveField("Action", "updateMe"), HaveField("Actor", "user:"+g.Account.ID), HaveField("IP", Not(BeEmpty()))),
		))
	})

	It("takes customers:pii and customers:read of others, who see who did what", func() {
		with := func(permissions ...string) testkit.Response {
			GinkgoHelper()
			return s.With(testkit.Key(s.App.DB(), s.Tenant, permissions...)).Get(path + "/export")
		}
		Expect(with("customers:pii").Code()).To(Equal("customer_hidden"))
		Expect(with("customers:read").Code()).To(Equal("forbidden"))
		e := read[export](with("customers:pii", "customers:read"))
		Expect(e.Notes).To(ConsistOf(HaveField("Author", HavePrefix("key:"))))
		Expect(e.Log).To(ContainElement(And(HaveField("Action", "updateCustomer"), HaveField("Actor", HavePrefix("key:")), HaveField("IP", Not(BeEmpty())))))
	})
})
