package e2e_test

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// toPorto is where parcels come from.
var toPorto = object{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"}

type parcelOf struct {
	ID, Status, TrackingNumber, TrackPath, LabelURL string
	Items                                           []item
}

// paid is an order that nobody has shipped yet, of two units of something.
func (s *shop) paid() order {
	GinkgoHelper()
	s.takes("test")
	sku := "P-" + uuid.NewString()[:8]
	s.sells(sku, 2)
	r := s.post("/v1/orders", basket(item{SKU: sku, Quantity: 2}).but(object{"shippingAddress": toLisbon, "email": "ana@example.com"}))
	Expect(r).To(answer(201))
	o := as[order](r)
	s.becomes(o.ID, "confirmed")
	s.pays(o, "pm_card_visa")
	s.becomes(o.ID, "paid")
	return o
}

// ships makes a parcel of some units of an order; of all that are left when it is not said.
func (s *shop) ships(o order, items ...object) parcelOf {
	GinkgoHelper()
	Expect(s.put("/v1/shipping/settings", object{"sender": toPorto})).To(answer(200))
	body := object{"orderId": o.ID}
	if len(items) > 0 {
		body["items"] = items
	}
	r := s.post("/v1/shipments", body)
	Expect(r).To(answer(201))
	return as[parcelOf](r)
}

// unlabelled is a shipment whose carrier refuses the shop.
func (s *shop) unlabelled() string {
	GinkgoHelper()
	account := as[entry](s.post("/v1/shipping/carriers", object{"provider": "shippo", "secretKey": "shippo_test_nobody"})).ID
	Expect(s.put("/v1/shipping/settings", object{"sender": toPorto})).To(answer(200))
	r := s.post("/v1/shipments", object{"orderId": s.paid().ID, "carrier": account})
	Expect(r).To(answer(201))
	id := as[parcelOf](r).ID
	// Shippo takes no parcel that nobody has measured: it is not even asked.
	Eventually(func() parcelOf { return as[parcelOf](s.get("/v1/shipments/" + id)) }).Should(HaveField("Status", "failed"))
	return id
}

var _ = Describe("an order on its way to the door", func() {
	type progress struct {
		Status, FulfillmentStatus string
	}
	stands := func(s *shop, o order, status, fulfillment string) {
		GinkgoHelper()
		Eventually(func() progress { return as[progress](s.get("/v1/orders/" + o.ID)) }).Should(Equal(progress{status, fulfillment}))
	}

	It("goes in two parcels, and is delivered when both are", func() {
		s := open()
		o := s.paid()
		first := s.ships(o, object{"line": 1, "quantity": 1})
		second := s.ships(o)
		Expect(s.post("/v1/shipments", object{"orderId": o.ID})).To(refuse(409, "nothing_to_ship"))
		Expect([]string{first.TrackingNumber, second.TrackingNumber}).To(Equal([]string{fmt.Sprint(o.Number, "-1"), fmt.Sprint(o.Number, "-2")}))

		Expect(s.post("/v1/shipments/"+first.ID+"/ship", nil)).To(answer(200))
		stands(s, o, "paid", "partially_shipped")
		Expect(s.post("/v1/shipments/"+second.ID+"/deliver", nil)).To(answer(200))
		stands(s, o, "shipped", "partially_delivered")
		Expect(s.post("/v1/shipments/"+first.ID+"/deliver", nil)).To(answer(200))
		stands(s, o, "delivered", "delivered")
		Expect(s.post("/v1/shipments/"+first.ID+"/void", nil)).To(refuse(409, "shipment_not_voidable"))
	})

	It("can be packed anew when a parcel was given up", func() {
		s := open()
		o := s.paid()
		p := s.ships(o)
		Expect(s.post("/v1/shipments/"+p.ID+"/void", nil)).To(answer(200))
		Eventually(func() response { return s.post("/v1/shipments", object{"orderId": o.ID}) }).Should(answer(201))
	})

	It("goes elsewhere when it is sent elsewhere in time", func() {
		s := open()
		o := s.paid()
		elsewhere := object{"shippingAddress": object{"name": "Ana", "line1": "Largo da Sé 1", "city": "Braga", "postalCode": "4700-424", "country": "PT"}, "reason": "she moved"}
		Expect(s.post("/v1/orders/"+o.ID+"/edits", elsewhere, header{"If-Match", `"1"`})).To(refuse(412, "version_conflict"))
		Expect(s.customer().post("/v1/orders/"+o.ID+"/edits", elsewhere)).To(refuse(403, "forbidden"))
		Expect(s.post("/v1/orders/"+o.ID+"/edits", elsewhere)).To(answer(200))
		p := s.ships(o)
		Expect(string(s.get("/v1/shipments/" + p.ID).body)).To(And(ContainSubstring("Braga"), Not(ContainSubstring("Lisboa"))))
		Expect(s.post("/v1/orders/"+o.ID+"/edits", object{"shippingAddress": toLisbon})).To(refuse(409, "order_not_editable"))
	})

	It("gets its parcel by itself in a shop that wants that", func() {
		s := open()
		Expect(s.put("/v1/shipping/settings", object{"sender": toPorto, "policy": "auto"})).To(answer(200))
		o := s.paid()
		Eventually(func() []parcelOf { return as[page[parcelOf]](s.get("/v1/shipments?orderId=" + o.ID)).Data }).Should(HaveExactElements(HaveField("Status", "labelled")))
	})

	It("takes its parcel out of the stock when it leaves", func() {
		s := open()
		o := s.paid()
		p := s.ships(o, object{"line": 1, "quantity": 1})
		type stock struct{ OnHand, Reserved, Available int64 }
		sku := o.Items[0].SKU
		before := as[stock](s.get("/v1/inventory/" + sku))
		Expect(before.Reserved).To(BeEquivalentTo(2))
		Expect(s.post("/v1/shipments/"+p.ID+"/ship", nil)).To(answer(200))
		Eventually(func() stock { return as[stock](s.get("/v1/inventory/" + sku)) }).Should(Equal(stock{before.OnHand - 1, 1, before.Available}))
		Expect(s.post("/v1/shipments/"+p.ID+"/deliver", nil)).To(answer(200))
		stands(s, o, "paid", "partially_delivered")
		Expect(as[stock](s.get("/v1/inventory/" + sku))).To(Equal(stock{before.OnHand - 1, 1, before.Available}))
		Expect(string(s.get("/v1/inventory/" + sku + "/movements").body)).To(ContainSubstring(`"shipped"`))
	})

	It("is called off with its labels while nothing has left, and its stock and money go back", func() {
		s := open()
		o := s.paid()
		p := s.ships(o)
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "ordered twice"})).To(answer(200))
		Eventually(func() string { return as[parcelOf](s.get("/v1/shipments/" + p.ID)).Status }).Should(Equal("voided"))
		type money struct{ Status, Refunded string }
		Eventually(func() money { return as[money](s.get("/v1/orders/" + o.ID)) }).Should(Equal(money{"cancelled", o.Total}))
		type stock struct{ Reserved int64 }
		Eventually(func() stock { return as[stock](s.get("/v1/inventory/" + o.Items[0].SKU)) }).Should(Equal(stock{0}))
	})

	It("is not called off as a whole when some of it has left", func() {
		s := open()
		o := s.paid()
		p := s.ships(o, object{"line": 1, "quantity": 1})
		Expect(s.post("/v1/shipments/"+p.ID+"/ship", nil)).To(answer(200))
		stands(s, o, "paid", "partially_shipped")
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{})).To(refuse(409, "order_not_cancellable"))
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"items": []object{{"line": 1, "quantity": 1}}})).To(answer(200))
		stands(s, o, "shipped", "shipped")
	})

	It("makes no parcel while staff holds it back, and gets its own by itself when it is let go", func() {
		s := open()
		o := s.paid()
		type held struct{ HeldFor string }
		Expect(s.post("/v1/orders/"+o.ID+"/hold", object{"reason": "the address is odd"})).To(answer(200))
		Expect(as[held](s.get("/v1/orders/" + o.ID))).To(Equal(held{"staff"}))
		Expect(s.put("/v1/shipping/settings", object{"sender": toPorto, "policy": "auto"})).To(answer(200))
		Expect(s.post("/v1/shipments", object{"orderId": o.ID})).To(refuse(409, "order_held"))
		r := s.post("/v1/orders/"+o.ID+"/release", object{"reason": "the buyer was called"})
		Expect(r).To(answer(200))
		Expect(as[held](r)).To(Equal(held{}))
		Eventually(func() []parcelOf { return as[page[parcelOf]](s.get("/v1/shipments?orderId=" + o.ID)).Data }).Should(HaveExactElements(HaveField("Status", "labelled")))
		Expect(string(s.get("/v1/orders/" + o.ID + "/timeline").body)).To(And(ContainSubstring("the address is odd"), ContainSubstring(`"released"`)))
	})

	It("cannot be packed before it is paid, nor by another shop", func() {
		s, other := open(), open()
		unpaid := s.owes()
		Expect(s.put("/v1/shipping/settings", object{"sender": toPorto})).To(answer(200))
		Expect(s.post("/v1/shipments", object{"orderId": unpaid.ID})).To(refuse(409, "order_not_shippable"))
		o := s.paid()
		Expect(other.put("/v1/shipping/settings", object{"sender": toPorto})).To(answer(200))
		Expect(other.post("/v1/shipments", object{"orderId": o.ID})).To(refuse(404, "not_found"))
		p := s.ships(o)
		for _, what := range []string{"", "/label.pdf", "/label.zpl"} {
			Expect(other.get("/v1/shipments/" + p.ID + what)).To(refuse(404, "not_found"))
		}
		Expect(other.post("/v1/shipments/"+p.ID+"/void", nil)).To(refuse(404, "not_found"))
		Expect(other.get(p.TrackPath)).To(refuse(404, "not_found"))
	})

	It("has a label that prints, and a page that names nobody", func() {
		s := open()
		p := s.ships(s.paid())
		Expect(string(s.get(p.LabelURL).body)).To(HavePrefix("%PDF-"))
		Expect(string(s.get(strings.Replace(p.LabelURL, "pdf", "zpl", 1)).body)).To(ContainSubstring("^XA"))
		seen := s.visitor().get(p.TrackPath)
		Expect(seen).To(answer(200))
		Expect(string(seen.body)).To(And(ContainSubstring("Lisboa"), Not(ContainSubstring("Augusta"))))
	})
})
