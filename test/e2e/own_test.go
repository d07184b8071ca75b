package e2e_test

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what is a customer's own", func() {
	It("is theirs alone: to another customer it is as if it had never been", func() {
		s := open()
		s.sells("MUG", 9)
		ana, ben := s.customer(), s.customer()
		basket := object{"items": []item{{SKU: "MUG", Quantity: 1}}}
		o := as[order](ben.post("/v1/orders", basket))
		s.becomes(o.ID, "confirmed")
		hold := as[struct{ ID string }](ben.post("/v1/inventory/holds", basket))
		deleted := as[struct{ ID string }](ben.post("/v1/inventory/holds", basket))
		Expect(ben.delete("/v1/inventory/holds/" + deleted.ID)).To(answer(204))

		asked := 0
		for _, op := range published.Operations {
			theirs := map[string]string{"/v1/orders/{id}": o.ID, "/v1/orders/{id}/timeline": o.ID, "/v1/orders/{id}/cancel": o.ID, "/v1/orders/{id}/returnable": o.ID, "/v1/orders/{id}/returns": o.ID, "/v1/inventory/holds/{id}": hold.ID}[op.Path]
			if theirs == "" {
				continue
			}
			asked++
			answers := map[string]bool{}
			for _, id := range []string{theirs, uuid.NewString(), "malformed", deleted.ID} {
				r := ana.send(op.Method, op.to(id, ""), op.body(), header{"X-Request-Id", "same"})
				Expect(r).To(refuse(404, "not_found"))
				Expect(r.tag()).To(BeEmpty())
				answers[strings.ReplaceAll(string(r.body), id, "ID")] = true
			}
			Expect(answers).To(HaveLen(1), op.ID)
		}
		Expect(asked).To(Equal(7))
		Expect(as[order](ben.get("/v1/orders/" + o.ID)).Status).To(Equal("confirmed"))
		Expect(as[struct{ Status string }](ben.get("/v1/inventory/holds/" + hold.ID)).Status).To(Equal("held"))

		for _, list := range []string{"/v1/orders", "/v1/me/orders", "/v1/orders?customerId=" + o.CustomerID} {
			Expect(as[page[order]](ana.get(list)).Data).To(BeEmpty(), list)
			Expect(as[page[order]](ben.get(list)).Data).To(HaveExactElements(HaveField("ID", o.ID)), list)
		}
		Expect(as[page[order]](s.get("/v1/orders")).Data).To(HaveLen(1))
		Expect(ana.post("/v1/orders", object{"items": []item{{SKU: "MUG", Quantity: 1}}, "customerId": o.CustomerID})).To(refuse(404, "not_found"))
		Expect(s.visitor().post("/v1/orders", object{"items": []item{{SKU: "MUG", Quantity: 1}}, "customerId": o.CustomerID})).To(refuse(422, "validation_failed", "/customerId"))
		Expect(ana.post("/v1/orders", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: "0.01"}}})).To(refuse(409, "price_changed"))
	})

	It("is not made more by parameters that name columns", func() {
		s := open()
		s.sells("MUG", 9)
		ana := s.customer()
		staffs := []string{"editOrder", "takeParcelBack", "holdOrder", "releaseOrder"}
		s.changingNothing(func() {
			for _, op := range published.Operations {
				if op.RequestBody == nil || !strings.HasPrefix(op.Path, "/v1/orders") && !strings.HasPrefix(op.Path, "/v1/inventory/holds") || slices.Contains(staffs, op.ID) {
					continue
				}
				for _, name := range []string{"id", "tenant_id", "tenantId", "status", "total", "price", "role", "is_admin", "reserved", "created_at", "customerId", "STATUS"} {
					Expect(ana.send(op.Method, op.to(uuid.NewString(), "")+"?"+name+"=1", op.body())).To(refuse(400, "unknown_parameter", "?"+name))
				}
			}
		})
	})
})
