package e2e_test

import (
	"net/url"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("stock", func() {
	It("is set after a count, adjusted for a reason, and every change can be read", func() {
		s := open()
		s.sells("MUG", 10)
		Expect(as[stock](s.put("/v1/inventory/MUG", object{"onHand": 8}))).To(HaveField("OnHand", int64(8)))
		Expect(as[stock](s.post("/v1/inventory/MUG/adjustments", object{"delta": -2, "reason": "broken in transport"}))).To(HaveField("OnHand", int64(6)))
		Expect(as[stock](s.post("/v1/inventory/MUG/adjustments", object{"delta": 14, "reason": "delivery"}))).To(HaveField("OnHand", int64(20)))
		Expect(s.stock("MUG")).To(Equal(stock{SKU: "MUG", OnHand: 20, Available: 20, LowStockThreshold: 5}))
		Expect(s.movements("MUG")).To(HaveExactElements(
			And(HaveField("Kind", "adjustment"), HaveField("OnHandDelta", int64(14)), HaveField("Reason", "delivery"), HaveField("Actor", HavePrefix("key:"))),
			And(HaveField("Kind", "adjustment"), HaveField("OnHandDelta", int64(-2)), HaveField("Reason", "broken in transport")),
			And(HaveField("Kind", "set"), HaveField("OnHandDelta", int64(-2))),
			And(HaveField("Kind", "initial"), HaveField("OnHandDelta", int64(10)), HaveField("Actor", HavePrefix("system:"))),
		))
		Expect(s.facts("inventory.adjusted")).To(HaveLen(3))
	})

	It("moves nothing when a count finds what is known", func() {
		s := open()
		s.sells("MUG", 10)
		s.doingNothing(1, func() {
			Expect(s.put("/v1/inventory/MUG", object{"onHand": 10})).To(answer(200))
		})
	})

	It("cannot fall below what orders have reserved", func() {
		s := open()
		s.sells("MUG", 10)
		s.confirmed(item{SKU: "MUG", Quantity: 6})
		s.changingNothing(func() {
			r := s.put("/v1/inventory/MUG", object{"onHand": 5})
			Expect(r).To(refuse(409, "below_reserved"))
			Expect(r.body).To(ContainSubstring(`"reserved":6`))
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -5, "reason": "stolen"})).To(refuse(409, "below_reserved"))
			Expect(s.put("/v1/inventory/MUG", object{"onHand": 0})).To(refuse(409, "below_reserved"))
		})
		Expect(as[stock](s.put("/v1/inventory/MUG", object{"onHand": 6}))).To(And(HaveField("Reserved", int64(6)), HaveField("Available", int64(0))))
	})

	It("cannot become less than nothing, nor more than can be counted", func() {
		s := open()
		s.sells("MUG", 10)
		s.changingNothing(func() {
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -11, "reason": "stolen"})).To(refuse(409, "below_reserved"))
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1_000_000_000, "reason": "dream"})).To(refuse(422, "validation_failed", "/delta"))
		})
		Expect(s.put("/v1/inventory/MUG", object{"onHand": 1_000_000_000})).To(answer(200))
	})

	It("is changed by everybody who changes it at the same moment", func() {
		s := open()
		s.sells("MUG", 100)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				for range 5 {
					Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -1, "reason": "broken"})).To(answer(200))
				}
			})
		}
		wg.Wait()
		Expect(s.stock("MUG").OnHand).To(BeEquivalentTo(60))
		Expect(s.movements("MUG")).To(HaveLen(41))
	})

	It("is never lent twice while it is counted", func() {
		s := open()
		s.sells("MUG", 20)
		var wg sync.WaitGroup
		wg.Go(func() {
			defer GinkgoRecover()
			for range 20 {
				s.places(item{SKU: "MUG", Quantity: 1})
			}
		})
		wg.Go(func() {
			defer GinkgoRecover()
			for onHand := 20; onHand > 0; onHand -= 2 {
				r := s.put("/v1/inventory/MUG", object{"onHand": onHand})
				if r.status != 200 {
					Expect(r).To(refuse(409, "below_reserved"))
				}
			}
		})
		wg.Wait()
		s.quiet()
		left := s.stock("MUG")
		Expect(left.Available).To(BeNumerically(">=", 0))
		Expect(all[order](s, "/v1/orders", url.Values{"status": {"confirmed"}})).To(HaveLen(int(left.Reserved)))
	})

	Describe("that runs low", func() {
		It("is reported once, until it has been above the threshold again", func() {
			s := open()
			s.sells("MUG", 10)
			low := func() []fact { s.quiet(); return s.facts("inventory.low_stock") }
			s.confirmed(item{SKU: "MUG", Quantity: 4})
			Expect(low()).To(BeEmpty())
			s.confirmed(item{SKU: "MUG", Quantity: 1})
			Expect(low()).To(HaveExactElements(HaveField("Subject", "MUG")))
			s.confirmed(item{SKU: "MUG", Quantity: 1})
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -1, "reason": "broken"})).To(answer(200))
			Expect(low()).To(HaveLen(1))
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 10, "reason": "delivery"})).To(answer(200))
			Expect(s.put("/v1/inventory/MUG", object{"onHand": 7})).To(answer(200))
			Expect(low()).To(HaveLen(2))
		})

		It("is reported by the threshold that the merchant sets", func() {
			s := open()
			s.sells("MUG", 10)
			Expect(as[stock](s.put("/v1/inventory/MUG", object{"onHand": 10, "lowStockThreshold": 2}))).To(HaveField("LowStockThreshold", int64(2)))
			s.confirmed(item{SKU: "MUG", Quantity: 7})
			s.quiet()
			Expect(s.facts("inventory.low_stock")).To(BeEmpty())
			s.confirmed(item{SKU: "MUG", Quantity: 1})
			s.quiet()
			Expect(s.facts("inventory.low_stock")).To(HaveLen(1))
			Expect(as[page[stock]](s.get("/v1/inventory?lowStock=true")).Data).To(HaveExactElements(HaveField("SKU", "MUG")))
		})
	})

	It("of SKUs with every character that a SKU may have is found by its address", func() {
		s := open()
		for _, sku := range []string{"A+B", "A:B", "A~B", "A.B", "A_B", "A-B", "0"} {
			s.sells(sku, 1)
			Expect(s.stock(sku).SKU).To(Equal(sku))
		}
		Expect(s.get("/v1/inventory/A+B")).To(answer(200))
		Expect(s.get("/v1/inventory/a+b")).To(refuse(404, "not_found"))
	})
})
