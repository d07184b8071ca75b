package e2e_test

import (
	"net/http"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// cart as its buyer sees it.
type cart struct {
	ID, Token, Status, Total, TaxTotal, DiscountTotal, ShippingTotal, OrderID string
	FreeShippingRemaining                                                     string
	Changes                                                                   []struct{ Type string }
	Items                                                                     []struct{ SKU, Status, Tax, Discount, Total string }
	RefusedCodes                                                              []struct{ Reason, Detail string }
}

// bought is an order as its buyer sees it.
type bought struct {
	order

	CartID, Email, Subtotal, DiscountTotal, ShippingTotal, TaxTotal string
	Taxes                                                           []struct{ Name, Rate, Amount string }
	Discounts                                                       []struct{ Code, Amount string }
}

var toLisbon = object{"name": "Ana", "line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"}

// page is what a guest's browser shows: a publishable key.
func (s *shop) page() *shop { return s.staffed(identity.Storefront()...) }

func (c cart) token() header { return header{"Cart-Token", c.Token} }

func (s *shop) begins(body object) cart {
	GinkgoHelper()
	r := s.post("/v1/carts", body)
	Expect(r).To(answer(201))
	return as[cart](r)
}

var _ = Describe("a checkout", func() {
	It("goes from a cart to an order whose stock is held, with tax, discount and shipping, in two calls", func() {
		s := open()
		s.sells("MUG", 10)
		Expect(s.post("/v1/tax/rates", object{"name": "IVA", "country": "PT", "rate": "23"})).To(answer(201))
		Expect(s.post("/v1/discounts", object{"name": "Ten off", "effect": "percent", "percent": "10", "code": "TEN"})).To(answer(201))
		way := as[product](s.post("/v1/shipping/methods", parcel)).ID
		guest := s.page()

		c := guest.begins(object{
			"items": []item{{SKU: "MUG", Quantity: 4}}, "email": "ana@example.com", "shippingAddress": toLisbon, "shippingMethodId": way, "codes": []string{"TEN", "NOPE"},
		})
		// 45.00 with 8.41 of tax in them; from 50.00 of goods on, sending costs nothing.
		Expect(c).To(And(HaveField("DiscountTotal", "5.00"), HaveField("ShippingTotal", "0.00"), HaveField("Total", "45.00"), HaveField("TaxTotal", "8.41"), HaveField("FreeShippingRemaining", "0.00")))
		Expect(c.RefusedCodes).To(HaveExactElements(HaveField("Reason", "unknown_code")))
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(4))

		r := guest.post("/v1/carts/"+c.ID+"/place", object{"total": c.Total}, c.token())
		Expect(r).To(answer(201))
		o := as[bought](r)
		Expect(o).To(And(HaveField("Total", c.Total), HaveField("TaxTotal", c.TaxTotal), HaveField("DiscountTotal", "5.00"), HaveField("CartID", c.ID), HaveField("Email", "ana@example.com"),
			HaveField("Taxes", HaveExactElements(And(HaveField("Name", "IVA"), HaveField("Rate", "23"), HaveField("Amount", c.TaxTotal)))),
			HaveField("Discounts", HaveExactElements(And(HaveField("Code", "TEN"), HaveField("Amount", "5.00"))))))
		s.becomes(o.ID, "confirmed")
		Expect(s.stock("MUG")).To(And(HaveField("Reserved", int64(4)), HaveField("Available", int64(6))))

		again := guest.post("/v1/carts/"+c.ID+"/place", nil, c.token())
		Expect(again).To(answer(201))
		Expect(as[order](again).ID).To(Equal(o.ID))
		Expect(as[bought](guest.get("/v1/orders/"+o.ID, c.token()))).To(And(HaveField("Email", "ana@example.com"), HaveField("Total", c.Total)))
		Expect(guest.get("/v1/orders/" + o.ID)).To(refuse(403, "forbidden"))
		Expect(guest.get("/v1/orders/"+o.ID, header{"Cart-Token", "fc_ct_no"})).To(refuse(404, "not_found"))
	})

	It("makes one order of a cart, however many want it placed at the same moment, and sells the last unit once", func() {
		s := open()
		s.sells("MUG", 1)
		guest := s.page()
		first, late := object{"items": []item{{SKU: "MUG", Quantity: 1}}, "email": "ana@example.com", "shippingAddress": toLisbon}, object{"items": []item{{SKU: "MUG", Quantity: 1}}}
		c, other := guest.begins(first), guest.begins(late)
		Expect(guest.patch("/v1/carts/"+other.ID, object{"operations": []object{{"op": "setEmail", "email": "ben@example.com"}, {"op": "setShippingAddress", "address": toLisbon}}}, other.token())).To(answer(200))
		var all sync.WaitGroup
		ids := make(chan string, 30)
		for range 30 {
			all.Go(func() {
				defer GinkgoRecover()
				r, err := guest.try(http.MethodPost, "/v1/carts/"+c.ID+"/place", nil, c.token())
				Expect(err).NotTo(HaveOccurred())
				Expect(r).To(answer(201))
				ids <- as[order](r).ID
			})
		}
		all.Wait()
		close(ids)
		one := <-ids
		for id := range ids {
			Expect(id).To(Equal(one))
		}
		s.becomes(one, "confirmed")
		Expect(guest.post("/v1/carts/"+other.ID+"/place", nil, other.token())).To(refuse(409, "checkout_incomplete"))
		Expect(as[page[order]](s.get("/v1/orders")).Data).To(HaveLen(1))
	})

	It("shows its buyer that a price has moved, and places at the one that they have seen", func() {
		s := open()
		p := s.sells("MUG", 10)
		guest := s.page()
		c := guest.begins(object{"items": []item{{SKU: "MUG", Quantity: 1}}, "email": "ana@example.com", "shippingAddress": toLisbon})
		Expect(s.patch("/v1/products/"+p.ID, object{"price": "14.00"})).To(answer(200))
		Expect(guest.post("/v1/carts/"+c.ID+"/place", object{"total": "12.50"}, c.token())).To(refuse(409, "cart_changed"))
		r := guest.post("/v1/carts/"+c.ID+"/place", object{"total": "14.00"}, c.token())
		Expect(r).To(answer(201))
		Expect(as[order](r).Total).To(Equal("14.00"))
	})
})
