package e2e_test

import (
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

type hold struct {
	ID, Status, OrderID string
	Items               []struct {
		SKU      string
		Quantity int64
	}
	ExpiresAt, CreatedAt time.Time
}

// holds keeps stock for a shopper.
func (s *shop) holds(ttlSeconds int, items ...item) hold {
	GinkgoHelper()
	r := s.post("/v1/inventory/holds", object{"items": items, "ttlSeconds": ttlSeconds})
	Expect(r).To(answer(201))
	return as[hold](r)
}

func (s *shop) hold(id string) hold {
	GinkgoHelper()
	return as[hold](s.get("/v1/inventory/holds/" + id))
}

// claims places an order that names a hold.
func (s *shop) claims(holdID string, items ...item) order {
	GinkgoHelper()
	r := s.post("/v1/orders", basket(items...).but(object{"holdId": holdID}))
	Expect(r).To(answer(201))
	return as[order](r)
}

var _ = Describe("a hold", func() {
	It("keeps stock for a shopper, and the order that claims it is confirmed", func() {
		s := open()
		s.sells("MUG", 3)
		h := s.holds(600, item{SKU: "MUG", Quantity: 1}, item{SKU: "MUG", Quantity: 2})
		Expect(h.Status).To(Equal("held"))
		Expect(h.Items).To(HaveExactElements(And(HaveField("SKU", "MUG"), HaveField("Quantity", int64(3)))))
		Expect(h.ExpiresAt).To(Equal(h.CreatedAt.Add(10 * time.Minute)))
		Expect(s.stock("MUG")).To(Equal(stock{SKU: "MUG", OnHand: 3, Reserved: 3, Available: 0, LowStockThreshold: 5}))
		s.becomes(s.places(item{SKU: "MUG", Quantity: 1}).ID, "failed")

		o := s.becomes(s.claims(h.ID, item{SKU: "MUG", Quantity: 3}).ID, "confirmed")
		Expect(s.hold(h.ID)).To(And(HaveField("Status", "claimed"), HaveField("OrderID", o.ID)))
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(3))
		Expect(s.delete("/v1/inventory/holds/" + h.ID)).To(refuse(409, "hold_claimed"))
		Expect(s.facts("order.created")).To(ContainElement(And(HaveField("Subject", o.ID), HaveField("Data", ContainSubstring(h.ID)))))
		Expect(s.movements("MUG")).To(HaveExactElements(
			And(HaveField("Kind", "reserved"), HaveField("ReservedDelta", int64(3)), HaveField("OrderID", o.ID)),
			And(HaveField("Kind", "claimed"), HaveField("ReservedDelta", int64(-3)), HaveField("HoldID", h.ID)),
			And(HaveField("Kind", "held"), HaveField("ReservedDelta", int64(3)), HaveField("HoldID", h.ID)),
			HaveField("Kind", "initial"),
		))
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{})).To(answer(200))
		s.quiet()
		Expect(s.stock("MUG").Available).To(BeEquivalentTo(3))
	})

	It("is refused as a whole when something is missing, and says how much there is", func() {
		s := open()
		s.sells("MUG", 2)
		s.sells("CUP", 5)
		s.changingNothing(func() {
			r := s.post("/v1/inventory/holds", object{"items": []item{{SKU: "CUP", Quantity: 1}, {SKU: "MUG", Quantity: 3}}})
			Expect(r).To(refuse(409, "out_of_stock", "/items/1"))
			Expect(r.body).To(ContainSubstring(`"available":2`))
			Expect(s.post("/v1/inventory/holds", object{"items": []item{{SKU: "CUP", Quantity: 1}, {SKU: "GHOST", Quantity: 1}}})).
				To(refuse(422, "unknown_sku", "/items/1/sku"))
			Expect(s.post("/v1/inventory/holds", object{"items": []item{{SKU: "CUP", Quantity: 0}}, "ttlSeconds": 86_401})).
				To(refuse(422, "validation_failed", "/items/0/quantity", "/ttlSeconds"))
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"holdId": "mine"}))).
				To(refuse(422, "validation_failed", "/holdId"))
		})
	})

	It("lets its stock go when its time is up", func() {
		s := open()
		s.sells("MUG", 2)
		h := s.holds(1, item{SKU: "MUG", Quantity: 2})
		Expect(s.stock("MUG").Available).To(BeZero())
		Eventually(func() int64 { return s.stock("MUG").Available }).Should(BeEquivalentTo(2))
		Expect(s.hold(h.ID).Status).To(Equal("expired"))
		Expect(s.movements("MUG")[0]).To(And(HaveField("Kind", "expired"), HaveField("HoldID", h.ID), HaveField("Actor", HavePrefix("system:"))))
		Expect(s.delete("/v1/inventory/holds/" + h.ID)).To(answer(204))
		Expect(s.hold(h.ID).Status).To(Equal("expired"))
		s.becomes(s.claims(h.ID, item{SKU: "MUG", Quantity: 2}).ID, "confirmed")
		Expect(s.hold(h.ID).Status).To(Equal("expired"))
	})

	It("can be released, once or twice", func() {
		s := open()
		s.sells("MUG", 2)
		h := s.holds(600, item{SKU: "MUG", Quantity: 2})
		tag := s.get("/v1/inventory/holds/" + h.ID).tag()
		Expect(s.get("/v1/inventory/holds/"+h.ID, header{"If-None-Match", tag})).To(answer(304))
		Expect(s.delete("/v1/inventory/holds/" + h.ID)).To(answer(204))
		Expect(s.delete("/v1/inventory/holds/" + h.ID)).To(answer(204))
		Expect(s.get("/v1/inventory/holds/"+h.ID, header{"If-None-Match", tag})).To(answer(200))
		Expect(s.hold(h.ID).Status).To(Equal("released"))
		Expect(s.stock("MUG").Available).To(BeEquivalentTo(2))
	})

	It("is made up from what there is when the order wants more, and frees what it does not want", func() {
		s := open()
		s.sells("MUG", 5)
		s.sells("CUP", 5)
		h := s.holds(600, item{SKU: "MUG", Quantity: 2}, item{SKU: "CUP", Quantity: 4})
		s.becomes(s.claims(h.ID, item{SKU: "MUG", Quantity: 5}, item{SKU: "CUP", Quantity: 1}).ID, "confirmed")
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(5))
		Expect(s.stock("CUP").Reserved).To(BeEquivalentTo(1))
	})

	It("of another merchant is nothing that one can see, give up or claim", func() {
		s, other := open(), open()
		s.sells("MUG", 2)
		other.sells("MUG", 2)
		h := other.holds(600, item{SKU: "MUG", Quantity: 2})
		Expect(s.get("/v1/inventory/holds/" + h.ID)).To(refuse(404, "not_found"))
		Expect(s.delete("/v1/inventory/holds/" + h.ID)).To(refuse(404, "not_found"))
		Expect(s.get("/v1/inventory/holds/" + uuid.NewString())).To(refuse(404, "not_found"))
		s.becomes(s.claims(h.ID, item{SKU: "MUG", Quantity: 2}).ID, "confirmed")
		Expect(other.hold(h.ID).Status).To(Equal("held"))
	})

	It("needs the permission for it, or the one for the stock", func() {
		s := open()
		s.sells("MUG", 2)
		storefront := s.staffed("inventory:hold")
		h := storefront.holds(600, item{SKU: "MUG", Quantity: 1})
		Expect(storefront.hold(h.ID).Status).To(Equal("held"))
		Expect(storefront.get("/v1/inventory/MUG")).To(refuse(403, "forbidden"))
		Expect(s.staffed("inventory:write").hold(h.ID).Status).To(Equal("held"))
		clerk := s.staffed("inventory:read", "orders:write")
		Expect(clerk.post("/v1/inventory/holds", object{"items": []item{{SKU: "MUG", Quantity: 1}}})).To(refuse(403, "forbidden"))
		Expect(clerk.delete("/v1/inventory/holds/" + h.ID)).To(refuse(403, "forbidden"))
		Expect(storefront.delete("/v1/inventory/holds/" + h.ID)).To(answer(204))
	})

	It("is made once, however often it is asked for with one key", func() {
		s := open()
		s.sells("MUG", 5)
		key := header{"Idempotency-Key", "ana's basket"}
		body := object{"items": []item{{SKU: "MUG", Quantity: 2}}}
		first := s.post("/v1/inventory/holds", body, key)
		Expect(first).To(answer(201))
		again := s.post("/v1/inventory/holds", body, key)
		Expect(again.replayed()).To(BeTrue())
		Expect(again.body).To(Equal(first.body))
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(2))
	})

	It("goes to one of those who want the last unit at the same moment", func() {
		s := open()
		s.sells("MUG", 1)
		var mu sync.Mutex
		made := 0
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				r := s.post("/v1/inventory/holds", object{"items": []item{{SKU: "MUG", Quantity: 1}}})
				mu.Lock()
				defer mu.Unlock()
				if r.status == 201 {
					made++
				} else {
					Expect(r).To(refuse(409, "out_of_stock", "/items/0"))
				}
			})
		}
		wg.Wait()
		Expect(made).To(Equal(1))
	})
})

var _ = Describe("a SKU that is called like holds are", func() {
	It("has its stock", func() {
		s := open()
		s.sells("holds", 3)
		Expect(s.stock("holds").OnHand).To(BeEquivalentTo(3))
		Expect(s.put("/v1/inventory/holds", object{"onHand": 4})).To(answer(200))
		Expect(s.post("/v1/inventory/holds/adjustments", object{"delta": 1, "reason": "delivery"})).To(answer(200))
	})
})
