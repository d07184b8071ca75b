package e2e_test

import (
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// founded is a tenant that the operator made over the API, for its first owner.
func founded(terms object) (s *shop, id string) {
	GinkgoHelper()
	body := object{"slug": "t" + uuid.NewString()[24:], "name": "Second shop"}
	r := first().post("/v1/tenants", body.but(terms))
	Expect(r).To(answer(201))
	made := as[struct{ ID, OwnerKey string }](r)
	s = &shop{url: installed.URL(), tenant: uuid.MustParse(made.ID), key: made.OwnerKey}
	Eventually(func() int { // every database has heard of it
		return sum(`select count(*) from platform.tenant where tenant_id = $1`, s.tenant)
	}, "30s").Should(Equal(len(auditors)))
	shareKeys(s.tenant)
	return s, made.ID
}

var _ = Describe("a tenant that the operator makes", func() {
	It("sells at once, and nothing of it is anybody else's", func() {
		s, _ := founded(nil)
		sku := "MUG-" + uuid.NewString()
		s.sells(sku, 5)
		Expect(s.confirmed(item{SKU: sku, Quantity: 1}).Number).To(BeEquivalentTo(1001))
		Expect(as[page[product]](first().get("/v1/products?sku=" + sku)).Data).To(BeEmpty())
	})

	It("sells in the currencies that it has enabled, and in no other", func() {
		s, _ := founded(object{"settings": object{"currencies": []string{"EUR", "USD"}}})
		s.sells("MUG", 5)
		Expect(s.post("/v1/products", mug.but(object{"sku": "CUP", "price": "5", "currency": "GBP"}))).To(refuse(422, "validation_failed", "/currency"))
		Expect(s.post("/v1/products", mug.but(object{"sku": "CUP", "name": " ", "price": "5", "currency": "GBP"}))).To(refuse(422, "validation_failed", "/name", "/currency"))
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"currency": "GBP"}))).To(refuse(422, "validation_failed", "/currency"))
		Expect(s.patch("/v1/settings", object{"currencies": []string{"USD"}})).To(answer(200))
		// What it has given up is not sold any more, also where nobody names it.
		Eventually(func() response { return s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1})) }, "10s").Should(refuse(422, "validation_failed", "/items/0/sku"))
		Expect(open().post("/v1/products", mug.but(object{"currency": "GBP"}))).To(answer(201))
	})

	It("has no more products and no more orders of a day than it may have", func() {
		s, id := founded(object{"quotas": object{"products": 2, "ordersPerDay": 2}})
		p := s.sells("A", 50)
		s.sells("B", 50)
		Expect(s.post("/v1/products", mug.but(object{"sku": "C"}))).To(refuse(403, "quota_exceeded"))
		Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
		c := s.sells("C", 50)
		Expect(s.patch("/v1/products/"+p.ID, object{"status": "active"})).To(refuse(403, "quota_exceeded"))
		s.confirmed(item{SKU: "B", Quantity: 1})
		s.confirmed(item{SKU: "B", Quantity: 1})
		Expect(s.post("/v1/orders", basket(item{SKU: "B", Quantity: 1}))).To(refuse(403, "quota_exceeded"))
		Expect(first().patch("/v1/tenants/"+id, object{"quotas": object{}})).To(answer(200))
		Eventually(func() response { return s.post("/v1/orders", basket(item{SKU: "C", Quantity: 1})) }, "10s").Should(answer(201))
		Expect(s.get("/v1/products/" + c.ID)).To(answer(200))
	})

	It("is asked no more often than it may be, by all its callers together, until the operator lets it", func() {
		s, id := founded(object{"quotas": object{"requestsPerMinute": 3}})
		clerk := s.staffed("orders:read")
		for _, caller := range []*shop{s, clerk, s} {
			Expect(caller.get("/v1/orders").header.Get("RateLimit-Policy")).To(HaveSuffix(`"shop";q=3;w=60`))
		}
		Expect(clerk.get("/v1/orders")).To(refuse(429, "rate_limited"))
		Expect(open().get("/v1/orders").header.Get("RateLimit-Policy")).NotTo(ContainSubstring("shop"))
		Expect(first().patch("/v1/tenants/"+id, object{"quotas": object{}})).To(answer(200))
		Eventually(func() response { return clerk.get("/v1/orders") }, "10s").Should(answer(200))
	})

	It("loses nothing by being suspended: what was under way is finished meanwhile", func() {
		s, id := founded(nil)
		s.sells("MUG", 5)
		o := s.places(item{SKU: "MUG", Quantity: 2})
		Expect(first().post("/v1/tenants/"+id+"/suspend", object{"reason": "unpaid"})).To(answer(200))
		Eventually(func() response { return s.get("/v1/orders") }, "10s").Should(refuse(403, "tenant_suspended"))
		Expect(s.get("/health")).To(answer(200))
		s.quiet()
		Expect(sum(`select count(*) from platform.delivery where tenant_id = $1`, s.tenant)).To(BeZero())
		Expect(first().post("/v1/tenants/"+id+"/resume", nil)).To(answer(200))
		Eventually(func() response { return s.get("/v1/orders/" + o.ID) }, "10s").Should(answer(200))
		Expect(s.order(o.ID).Status).To(Equal("confirmed"))
		Expect(s.stock("MUG").Available).To(BeEquivalentTo(3))
	})
})
