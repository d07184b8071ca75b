package e2e_test

import (
	"fmt"
	"net/url"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
)

var _ = Describe("an order", func() {
	It("is confirmed within moments, and its stock is held", func() {
		s := open()
		s.sells("MUG", 10)
		r := s.post("/v1/orders", object{
			"customerId": "ana", "items": []item{{SKU: "MUG", Quantity: 3}}, "email": "ana@example.com", "currency": "EUR",
			"shippingAddress": object{"name": "Ana Sá", "line1": "Rua 1", "city": "Porto", "postalCode": "4000-001", "country": "PT", "phone": "+351 912 345 678"},
			"metadata":        object{"gift": "yes"},
		})
		Expect(r).To(answer(201))
		o := as[order](r)
		Expect(o).To(And(
			HaveField("Status", "created"), HaveField("Number", int64(1001)), HaveField("CustomerID", "ana"), HaveField("Email", "ana@example.com"),
			HaveField("Total", "37.50"), HaveField("Currency", "EUR"), HaveField("Metadata", Equal(map[string]string{"gift": "yes"})),
		))
		Expect(o.Items).To(HaveExactElements(And(
			HaveField("SKU", "MUG"), HaveField("Name", "Blue mug"), HaveField("Quantity", int64(3)), HaveField("Price", "12.50"), HaveField("Total", "37.50"),
		)))
		Expect(r.header.Get("Location")).To(Equal("/v1/orders/" + o.ID))

		o = s.becomes(o.ID, "confirmed")
		Expect(o.UpdatedAt).To(BeTemporally(">", o.CreatedAt))
		Expect(s.stock("MUG")).To(Equal(stock{SKU: "MUG", OnHand: 10, Reserved: 3, Available: 7, LowStockThreshold: 5}))
		Expect(s.movements("MUG")).To(HaveExactElements(
			And(HaveField("Kind", "reserved"), HaveField("ReservedDelta", int64(3)), HaveField("OnHandDelta", int64(0)), HaveField("OrderID", o.ID)),
			HaveField("Kind", "initial"),
		))
		found := as[object](s.get("/v1/orders/" + o.ID))
		Expect(found["shippingAddress"]).To(HaveKeyWithValue("city", "Porto"))
	})

	It("fails when there is not enough, and holds nothing", func() {
		s := open()
		s.sells("MUG", 10)
		o := s.becomes(s.places(item{SKU: "MUG", Quantity: 11}).ID, "failed")
		Expect(o.Reason).To(Equal("insufficient_stock"))
		Expect(s.stock("MUG")).To(And(HaveField("Reserved", int64(0)), HaveField("Available", int64(10))))
		Expect(s.movements("MUG")).To(HaveLen(1))
		Expect(s.facts("inventory.insufficient")).To(HaveExactElements(HaveField("Data", MatchJSON(fmt.Sprintf(
			`{"orderId":%q,"status":"insufficient","sku":"MUG","quantity":11,"items":[{"sku":"MUG","quantity":11,"available":10}]}`, o.ID)))))
		Expect(s.facts("order.failed")).To(HaveExactElements(HaveField("Subject", o.ID)))
	})

	It("takes the last unit, but not one more", func() {
		s := open()
		s.sells("MUG", 3)
		s.confirmed(item{SKU: "MUG", Quantity: 3})
		Expect(s.becomes(s.places(item{SKU: "MUG", Quantity: 1}).ID, "failed").Reason).To(Equal("insufficient_stock"))
		Expect(s.stock("MUG").Available).To(BeZero())
	})

	It("is held as a whole or not at all", func() {
		s := open()
		s.sells("CUP", 5)
		s.sells("MUG", 1)
		for _, items := range [][]item{{{SKU: "CUP", Quantity: 2}, {SKU: "MUG", Quantity: 2}}, {{SKU: "MUG", Quantity: 2}, {SKU: "CUP", Quantity: 2}}} {
			s.becomes(s.places(items...).ID, "failed")
		}
		Expect(s.stock("CUP").Reserved).To(BeZero())
		Expect(s.stock("MUG").Reserved).To(BeZero())
		for _, f := range s.facts("inventory.insufficient") {
			Expect(f.Data).To(ContainSubstring(`"items":[{"sku":"MUG","quantity":2,"available":1}]`))
		}
		s.confirmed(item{SKU: "CUP", Quantity: 5}, item{SKU: "MUG", Quantity: 1})
	})

	It("adds up lines of the same SKU", func() {
		s := open()
		s.sells("MUG", 3)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1}, item{SKU: "MUG", Quantity: 2})
		Expect(o.Items).To(HaveExactElements(And(HaveField("Quantity", int64(3)), HaveField("Total", "37.50"))))
		Expect(s.stock("MUG").Available).To(BeZero())
		Expect(s.movements("MUG")).To(HaveLen(2))
	})

	It("adds up lines of the same SKU before it looks whether there is enough", func() {
		s := open()
		s.sells("MUG", 3)
		s.becomes(s.places(item{SKU: "MUG", Quantity: 2}, item{SKU: "MUG", Quantity: 2}).ID, "failed")
		Expect(s.stock("MUG").Reserved).To(BeZero())
	})

	It("keeps what was agreed when the catalog changes", func() {
		s := open()
		p := s.sells("MUG", 3)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		Expect(s.patch("/v1/products/"+p.ID, object{"price": "99", "name": "Gold mug", "currency": "USD"})).To(answer(200))
		Expect(s.order(o.ID)).To(Equal(o))
	})

	It("has a number that no other has, however many are placed at once", func() {
		s := open()
		s.sells("MUG", 1000)
		var mu sync.Mutex
		var numbers []int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				for range 6 {
					o := s.places(item{SKU: "MUG", Quantity: 1})
					mu.Lock()
					numbers = append(numbers, o.Number)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(numbers)
		Expect(slices.Compact(slices.Clone(numbers))).To(HaveLen(48))
		Expect(numbers[0]).To(BeNumerically(">=", 1001))
		s.quiet()
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(48))
	})

	It("tells its story", func() {
		s := open()
		s.sells("MUG", 3)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "ordered twice"})).To(answer(200))
		type step struct{ Status, Reason, Actor string }
		steps := as[page[step]](s.get("/v1/orders/" + o.ID + "/timeline")).Data
		Expect(steps).To(HaveExactElements(
			And(HaveField("Status", "created"), HaveField("Actor", HavePrefix("key:"))),
			And(HaveField("Status", "confirmed"), HaveField("Actor", HavePrefix("system:"))),
			And(HaveField("Status", "cancelled"), HaveField("Reason", "ordered twice"), HaveField("Actor", steps[0].Actor)),
		))
	})

	Describe("that is cancelled", func() {
		It("gives its stock back", func() {
			s := open()
			s.sells("MUG", 10)
			o := s.confirmed(item{SKU: "MUG", Quantity: 4})
			cancelled := as[order](s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "changed my mind"}))
			Expect(cancelled).To(And(HaveField("Status", "cancelled"), HaveField("Reason", "changed my mind")))
			Eventually(func() int64 { return s.stock("MUG").Available }).Should(BeEquivalentTo(10))
			Expect(s.movements("MUG")[0]).To(And(HaveField("Kind", "released"), HaveField("ReservedDelta", int64(-4)), HaveField("OrderID", o.ID)))
			Expect(s.facts("order.cancelled")).To(HaveExactElements(HaveField("Data", ContainSubstring(`"reason":"changed my mind"`))))
			Expect(s.facts("inventory.released")).To(HaveExactElements(HaveField("Subject", o.ID)))
			s.confirmed(item{SKU: "MUG", Quantity: 10})
		})

		It("answers a second cancellation with the same and does nothing", func() {
			s := open()
			s.sells("MUG", 10)
			o := s.confirmed(item{SKU: "MUG", Quantity: 4})
			once := s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "changed my mind"})
			Expect(once).To(answer(200))
			s.doingNothing(1, func() {
				twice := s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "another reason"})
				Expect(twice).To(answer(200))
				Expect(twice.body).To(Equal(once.body))
				Expect(twice.tag()).To(Equal(once.tag()))
			})
		})

		It("needs to give no reason", func() {
			s := open()
			s.sells("MUG", 10)
			for _, body := range []any{nil, object{}, object{"reason": ""}} {
				o := s.confirmed(item{SKU: "MUG", Quantity: 1})
				Expect(s.post("/v1/orders/"+o.ID+"/cancel", body)).To(answer(200))
			}
		})

		It("gives back all it had, also when it was cancelled before it had it", func() {
			s := open()
			s.sells("MUG", 5)
			for range 10 {
				o := s.places(item{SKU: "MUG", Quantity: 5})
				r := s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "at once"})
				if r.status != 200 { // the stock of the one before was not free yet
					Expect(r).To(refuse(409, "order_not_cancellable"))
				}
			}
			s.quiet()
			Expect(s.stock("MUG")).To(And(HaveField("Reserved", int64(0)), HaveField("Available", int64(5))))
			for _, o := range all[order](s, "/v1/orders", nil) {
				Expect(o.Status).To(Or(Equal("cancelled"), Equal("failed")))
			}
		})

		It("is cancelled once when many cancel it", func() {
			s := open()
			s.sells("MUG", 5)
			o := s.confirmed(item{SKU: "MUG", Quantity: 5})
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					defer GinkgoRecover()
					Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "together"})).To(answer(200))
				})
			}
			wg.Wait()
			s.quiet()
			Expect(s.facts("order.cancelled")).To(HaveLen(1))
			Expect(s.stock("MUG").Available).To(BeEquivalentTo(5))
		})
	})

	It("that failed cannot be cancelled", func() {
		s := open()
		s.sells("MUG", 1)
		o := s.failed("MUG")
		s.changingNothing(func() {
			Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "too late"})).To(refuse(409, "order_not_cancellable"))
		})
	})

	Describe("with the price that the buyer saw", func() {
		It("is placed when that is still the price, however it is spelled", func() {
			s := open()
			s.sells("MUG", 10)
			shopper := s.staffed("orders:write", "orders:read")
			for _, price := range []any{"12.50", "12.5", number("12.5"), number("12.50")} {
				Expect(shopper.places(item{SKU: "MUG", Quantity: 1, Price: price}).Total).To(Equal("12.50"))
			}
		})

		It("is refused with both prices when it is another", func() {
			s := open()
			s.sells("MUG", 10)
			s.sells("CUP", 10, object{"price": "8.00"})
			shopper := s.staffed("orders:write", "orders:read")
			s.changingNothing(func() {
				r := shopper.post("/v1/orders", basket(item{SKU: "CUP", Quantity: 1, Price: "7.5"}, item{SKU: "MUG", Quantity: 1, Price: "12.50"}, item{SKU: "MUG", Quantity: 1, Price: number("99")}))
				Expect(r).To(refuse(409, "price_changed", "/items/0/price", "/items/2/price"))
				Expect(r.problem.Errors[0].Detail).To(And(ContainSubstring("8.00"), ContainSubstring("7.50")))
				Expect(r.body).To(ContainSubstring(`"changes":[{"pointer":"/items/0/price","sku":"CUP","sent":"7.50","current":"8.00","currency":"EUR"},` +
					`{"pointer":"/items/2/price","sku":"MUG","sent":"99.00","current":"12.50","currency":"EUR"}]`))
			})
		})

		It("is placed at another price by those who may", func() {
			s := open()
			s.sells("MUG", 10)
			clerk := s.staffed("orders:write", "orders:read", "orders:override_price")
			o := clerk.confirmed(item{SKU: "MUG", Quantity: 2, Price: "10"})
			Expect(o).To(And(HaveField("Total", "20.00"), HaveField("Items", HaveExactElements(HaveField("Price", "10.00")))))
			Expect(clerk.places(item{SKU: "MUG", Quantity: 1}).Total).To(Equal("12.50"))
			free := clerk.places(item{SKU: "MUG", Quantity: 1, Price: 0})
			Expect(free.Total).To(Equal("0.00"))
		})

		It("keeps lines of the same SKU apart when their prices differ", func() {
			s := open()
			s.sells("MUG", 10)
			o := s.confirmed(item{SKU: "MUG", Quantity: 1, Price: "10"}, item{SKU: "MUG", Quantity: 1}, item{SKU: "MUG", Quantity: 2, Price: "10.00"})
			Expect(o.Total).To(Equal("42.50"))
			Expect(o.Items).To(HaveExactElements(
				And(HaveField("Price", "10.00"), HaveField("Quantity", int64(3))), And(HaveField("Price", "12.50"), HaveField("Quantity", int64(1))),
			))
			Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(4))
		})
	})

	Describe("in a currency", func() {
		It("is in that of its products", func() {
			s := open()
			s.sells("TEA", 10, object{"price": "1500", "currency": "JPY"})
			Expect(s.confirmed(item{SKU: "TEA", Quantity: 3})).To(And(HaveField("Total", "4500"), HaveField("Currency", "JPY")))
		})

		It("is in one only", func() {
			s := open()
			s.sells("MUG", 10)
			s.sells("TEA", 10, object{"price": "1500", "currency": "JPY"})
			s.changingNothing(func() {
				Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}, item{SKU: "TEA", Quantity: 1}))).To(refuse(422, "currency_mismatch", "/items/1/sku"))
				Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"currency": "USD"}))).To(refuse(422, "currency_mismatch", "/items/0/sku"))
			})
		})
	})

	It("is as large as there is room for, and not larger", func() {
		s := open()
		s.sells("YACHT", 10, object{"price": "92233720368547758.07"})
		Expect(s.places(item{SKU: "YACHT", Quantity: 1}).Total).To(Equal("92233720368547758.07"))
		s.quiet()
		s.changingNothing(func() {
			Expect(s.post("/v1/orders", basket(item{SKU: "YACHT", Quantity: 2}))).To(refuse(422, "amount_out_of_range", "/items/0"))
		})
		s.sells("BOAT", 10, object{"price": "92233720368547758.07"})
		s.changingNothing(func() {
			Expect(s.post("/v1/orders", basket(item{SKU: "YACHT", Quantity: 1}, item{SKU: "BOAT", Quantity: 1}))).To(refuse(422, "amount_out_of_range"))
		})
	})

	It("has as many lines as are allowed", func() {
		s := open()
		s.sells("MUG", 1000)
		items := make([]item, 500)
		for i := range items {
			items[i] = item{SKU: "MUG", Quantity: 1, Price: number(fmt.Sprintf("1.%02d", i%100))}
		}
		Expect(s.confirmed(items...).Items).To(HaveLen(100))
		Expect(s.post("/v1/orders", basket(append(items, item{SKU: "MUG", Quantity: 1})...))).To(refuse(422, "validation_failed", "/items"))
	})

	It("waits for the news of its product when it overtook them", func() {
		s := open()
		Expect(s.post("/v1/products", mug)).To(answer(201))
		Expect(s.confirmed(item{SKU: "MUG", Quantity: 10}).Status).To(Equal("confirmed"))
	})

	It("never sells a unit twice, however many want it", func() {
		s := open()
		s.sells("MUG", 10)
		s.sells("CUP", 10)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				for range 4 {
					items := []item{{SKU: "MUG", Quantity: 1}, {SKU: "CUP", Quantity: 1}}
					if i%2 == 0 {
						slices.Reverse(items)
					}
					s.places(items...)
				}
			})
		}
		wg.Wait()
		s.quiet()
		for _, sku := range []string{"MUG", "CUP"} {
			Expect(s.stock(sku)).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Available": BeZero(), "Reserved": BeEquivalentTo(10)}))
		}
		Expect(all[order](s, "/v1/orders", url.Values{"status": {"confirmed"}})).To(HaveLen(10))
		Expect(all[order](s, "/v1/orders", url.Values{"status": {"failed"}})).To(HaveLen(22))
	})
})
