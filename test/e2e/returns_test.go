package e2e_test

import (
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

type backOf struct {
	ID, OrderID, Status, Refund, Fee, ShippingRefund, RestockingFee string
	Lines                                                           []struct {
		SKU, Reason, Refund           string
		Quantity, Received, Restocked int64
	}
	Shipment *struct{ ID, Status, TrackingNumber string }
}

// hands ships an order and sees it arrive.
func (s *shop) hands(o order, items ...object) {
	GinkgoHelper()
	p := s.ships(o, items...)
	Expect(s.post("/v1/shipments/"+p.ID+"/deliver", nil)).To(answer(200))
	Eventually(func() int64 {
		var n int64
		for _, l := range as[struct{ Lines []struct{ Quantity int64 } }](s.get("/v1/orders/" + o.ID + "/returnable")).Lines {
			n += l.Quantity
		}
		return n
	}).Should(BeNumerically(">", 0))
}

// back is a return of the first unit of an order, as far as it is wanted.
func (s *shop) back(upTo string) (id string) {
	GinkgoHelper()
	o := s.paid()
	s.hands(o)
	r := s.post("/v1/orders/"+o.ID+"/returns", bodies["createReturn"])
	Expect(r).To(answer(201))
	if id = as[backOf](r).ID; upTo == "approved" {
		Expect(s.post("/v1/returns/"+id+"/approve", nil)).To(answer(200))
	}
	return id
}

var _ = Describe("what a buyer sends back", func() {
	returned := func(s *shop, id string) func() backOf {
		return func() backOf { return as[backOf](s.get("/v1/returns/" + id)) }
	}

	It("goes from a cart to the buyer and back, and is stock and money again", func() {
		s := open()
		s.takes("test")
		s.sells("MUG", 10)
		s.sells("CUP", 10)
		Expect(s.post("/v1/tax/rates", object{"name": "IVA", "country": "PT", "rate": "23"})).To(answer(201))
		Expect(s.post("/v1/discounts", object{"name": "Ten off", "effect": "percent", "percent": "10", "code": "TEN"})).To(answer(201))
		Expect(s.put("/v1/returns/policy", object{"windowDays": 14, "restockingFee": "10", "finalSale": []string{"CUP"}})).To(answer(200))
		way := as[product](s.post("/v1/shipping/methods", parcel)).ID
		guest := s.page()
		c := guest.begins(object{
			"items": []item{{SKU: "MUG", Quantity: 2}, {SKU: "CUP", Quantity: 1}}, "email": "ana@example.com", "shippingAddress": toLisbon, "shippingMethodId": way, "codes": []string{"TEN"},
		})
		r := guest.post("/v1/carts/"+c.ID+"/place", object{"total": c.Total}, c.token())
		Expect(r).To(answer(201))
		o := as[order](r)
		s.becomes(o.ID, "confirmed")
		s.pays(o, "pm_card_visa")
		s.becomes(o.ID, "paid")
		Expect(s.post("/v1/orders/"+o.ID+"/returns", bodies["createReturn"])).To(refuse(409, "not_returnable", "/lines/0/quantity"))
		s.hands(o)

		type can struct {
			Lines []struct {
				SKU, Value     string
				Quantity, Over int64
			}
		}
		able := as[can](s.get("/v1/orders/" + o.ID + "/returnable"))
		Expect(able.Lines).To(HaveExactElements(
			And(HaveField("SKU", "MUG"), HaveField("Quantity", int64(2)), HaveField("Value", "20.25")), // 22.50 less a tenth
			And(HaveField("SKU", "CUP"), HaveField("Quantity", int64(0)), HaveField("Over", int64(1)))))
		Expect(s.post("/v1/orders/"+o.ID+"/returns", object{"lines": []object{{"sku": "CUP", "quantity": 1, "reason": "unwanted"}}})).To(refuse(409, "not_returnable", "/lines/0"))

		asked := s.post("/v1/orders/"+o.ID+"/returns", object{"lines": []object{{"sku": "MUG", "quantity": 2, "reason": "damaged", "note": "one has a crack"}}})
		Expect(asked).To(answer(201))
		back := as[backOf](asked)
		Expect(s.post("/v1/returns/"+back.ID+"/approve", nil, header{"If-Match", `"7"`})).To(refuse(412, "version_conflict"))
		Expect(s.post("/v1/returns/"+back.ID+"/label", nil)).To(refuse(409, "return_not_possible"))
		Expect(s.post("/v1/returns/"+back.ID+"/approve", nil, header{"If-Match", asked.tag()})).To(answer(200))

		label := s.post("/v1/returns/"+back.ID+"/label", nil)
		Expect(label).To(answer(201))
		brings := as[struct {
			ID, Direction, ReturnID, TrackingNumber, LabelURL string
			Sender, Recipient                                 struct{ City string }
		}](label)
		Expect(brings).To(And(HaveField("Direction", "return"), HaveField("ReturnID", back.ID), HaveField("TrackingNumber", HaveSuffix("-R1")), HaveField("Sender.City", "Lisboa"), HaveField("Recipient.City", "Porto")))
		Expect(string(s.get(brings.LabelURL).body)).To(HavePrefix("%PDF-"))
		Expect(s.post("/v1/returns/"+back.ID+"/label", nil)).To(refuse(409, "return_has_label"))
		Expect(s.post("/v1/shipments/"+brings.ID+"/deliver", nil)).To(answer(200))
		Eventually(returned(s, back.ID)).Should(HaveField("Shipment", HaveValue(And(HaveField("ID", brings.ID), HaveField("Status", "delivered")))))

		before := s.stock("MUG")
		Expect(s.post("/v1/returns/"+back.ID+"/receive", object{"lines": []object{{"sku": "MUG", "quantity": 1}, {"sku": "MUG", "quantity": 1, "scrap": true}}})).To(answer(200))
		Eventually(returned(s, back.ID)).Should(And(HaveField("Status", "closed"), HaveField("Refund", "20.25"), HaveField("Fee", "2.25")))
		Eventually(func() int64 { return s.stock("MUG").OnHand }).Should(Equal(before.OnHand+1), "one of the two")
		Expect(s.movements("MUG")).To(ContainElement(And(HaveField("Kind", "returned"), HaveField("OnHandDelta", int64(1)), HaveField("OrderID", o.ID))))
		type paidBack struct {
			Status, PaymentStatus, ReturnStatus, Captured, Refunded, ReturnedTotal, FulfillmentStatus string
			Items                                                                                     []struct{ Returned int64 }
		}
		Expect(as[paidBack](s.get("/v1/orders/" + o.ID))).To(And(HaveField("Status", "delivered"), HaveField("FulfillmentStatus", "delivered"), HaveField("PaymentStatus", "paid"),
			HaveField("ReturnStatus", "partially_returned"), HaveField("Captured", c.Total), HaveField("Refunded", "20.25"), HaveField("ReturnedTotal", "20.25"),
			HaveField("Items", HaveExactElements(HaveField("Returned", int64(2)), HaveField("Returned", int64(0))))))
		money := as[page[struct{ Captured, Refunded string }]](s.get("/v1/payments?orderId=" + o.ID)).Data
		Expect(money).To(HaveExactElements(And(HaveField("Captured", c.Total), HaveField("Refunded", "20.25"))))

		// The shop takes back what is sold for good, and gives back what it cost to send.
		rest := s.post("/v1/orders/"+o.ID+"/returns", object{"lines": []object{{"sku": "CUP", "quantity": 1, "reason": "defective"}}, "override": true})
		Expect(rest).To(answer(201))
		last := as[backOf](rest).ID
		Expect(s.post("/v1/returns/"+last+"/approve", nil)).To(answer(200))
		Expect(s.post("/v1/returns/"+last+"/receive", object{"refundShipping": true})).To(answer(200))
		Eventually(returned(s, last)).Should(And(HaveField("Status", "closed"), HaveField("Fee", "1.12"), HaveField("ShippingRefund", "4.90")))
		Expect(as[paidBack](s.get("/v1/orders/" + o.ID))).To(And(HaveField("ReturnStatus", "returned"), HaveField("PaymentStatus", "paid"), HaveField("Refunded", "35.28"))) // all but fees of 2.25 and 1.12
		Expect(s.facts("return.received")).To(HaveLen(2))
	})

	It("is a customer's own, and the shop's to agree to", func() {
		s := open()
		s.takes("test")
		s.sells("MUG", 2)
		ana, ben := s.customer(), s.customer()
		r := ana.post("/v1/orders", object{"items": []item{{SKU: "MUG", Quantity: 2}}, "shippingAddress": toLisbon})
		Expect(r).To(answer(201))
		o := as[order](r)
		s.becomes(o.ID, "confirmed")
		s.pays(o, "pm_card_visa")
		s.becomes(o.ID, "paid")
		s.hands(o)
		Expect(ben.post("/v1/orders/"+o.ID+"/returns", bodies["createReturn"])).To(refuse(404, "not_found"))
		once := header{"Idempotency-Key", uuid.NewString()}
		first, again := ana.post("/v1/orders/"+o.ID+"/returns", bodies["createReturn"], once), ana.post("/v1/orders/"+o.ID+"/returns", bodies["createReturn"], once)
		Expect(first).To(answer(201))
		id := as[backOf](first).ID
		Expect(as[backOf](again).ID).To(Equal(id))
		Expect(ben.get("/v1/returns/" + id)).To(refuse(404, "not_found"))
		Expect(ben.post("/v1/returns/"+id+"/cancel", nil)).To(refuse(404, "not_found"))
		Expect(as[page[backOf]](ben.get("/v1/returns")).Data).To(BeEmpty())
		Expect(as[page[backOf]](ana.get("/v1/returns?status=requested")).Data).To(HaveExactElements(HaveField("ID", id)))
		for _, what := range []string{"approve", "receive", "label", "reject"} {
			Expect(ana.post("/v1/returns/"+id+"/"+what, object{"answer": "yes"})).To(refuse(403, "forbidden"), what)
		}
		other := open()
		Expect(other.get("/v1/returns/" + id)).To(refuse(404, "not_found"))
		Expect(other.post("/v1/returns/"+id+"/approve", nil)).To(refuse(404, "not_found"))
		Expect(other.post("/v1/returns/"+id+"/label", nil)).To(refuse(404, "not_found"))

		Expect(s.post("/v1/returns/"+id+"/approve", nil)).To(answer(200))
		paper := "/v1/returns/" + id + "/label.pdf"
		Expect(ana.get(paper)).To(refuse(404, "not_found"), "there is none yet")
		Expect(s.post("/v1/returns/"+id+"/label", nil)).To(answer(201))
		for _, who := range []*shop{s, ana} {
			Expect(string(who.get(paper).body)).To(HavePrefix("%PDF-"))
		}
		for _, who := range []*shop{ben, other} {
			Expect(who.get(paper)).To(refuse(404, "not_found"))
		}
		Expect(s.visitor().get(paper)).NotTo(answer(200))
		Expect(ana.post("/v1/returns/"+id+"/cancel", nil)).To(answer(200))
		Expect(ana.post("/v1/returns/"+id+"/cancel", nil)).To(answer(200))
		Eventually(returned(s, id)).Should(HaveField("Shipment", HaveValue(HaveField("Status", "voided"))))
		Expect(s.post("/v1/returns/"+id+"/receive", object{})).To(refuse(409, "return_not_possible"))
		second := as[backOf](ana.post("/v1/orders/"+o.ID+"/returns", bodies["createReturn"])).ID
		Expect(s.post("/v1/returns/"+second+"/reject", object{"answer": "worn"})).To(answer(200))
		Expect(as[struct{ ReturnStatus string }](ana.get("/v1/orders/" + o.ID)).ReturnStatus).To(Equal("none"))
	})
})
