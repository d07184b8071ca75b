package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a product", func() {
	It("is created with all that was said about it, and found where the answer says", func() {
		s := open()
		r := s.post("/v1/products", object{
			"sku": "TEA-SENCHA_100", "name": "Sencha, 100 g", "description": "Steamed, not roasted.", "price": "29.99", "currency": "USD", "inventory": 40,
		})
		Expect(r).To(answer(201))
		p := as[product](r)
		Expect(p).To(And(
			HaveField("SKU", "TEA-SENCHA_100"), HaveField("Name", "Sencha, 100 g"), HaveField("Description", "Steamed, not roasted."),
			HaveField("Price", "29.99"), HaveField("Currency", "USD"), HaveField("Status", "active"),
		))
		Expect(p.CreatedAt).To(Equal(p.UpdatedAt))
		Expect(r.header.Get("Location")).To(Equal("/v1/products/" + p.ID))
		found := s.get(r.header.Get("Location"))
		Expect(found.body).To(Equal(r.body))
		Expect(found.tag()).To(Equal(r.tag()))
	})

	It("has its stock from the beginning", func() {
		s := open()
		p := s.sells("MUG", 40)
		Expect(s.stock("MUG")).To(Equal(stock{SKU: "MUG", OnHand: 40, Available: 40, LowStockThreshold: 5}))
		Expect(s.movements("MUG")).To(HaveExactElements(And(HaveField("Kind", "initial"), HaveField("OnHandDelta", int64(40)), HaveField("ReservedDelta", int64(0)))))
		Expect(s.facts("product.created")).To(HaveExactElements(HaveField("Subject", p.ID)))
	})

	It("does not keep its maker waiting", func() {
		s := open()
		quickest := time.Minute
		for i := range 10 {
			began := time.Now()
			Expect(s.post("/v1/products", mug.but(object{"sku": fmt.Sprint("MUG-", i)}))).To(answer(201))
			quickest = min(quickest, time.Since(began))
		}
		Expect(quickest).To(BeNumerically("<", 200*time.Millisecond))
	})

	It("has no stock when nobody says how much there is", func() {
		s := open()
		Expect(s.post("/v1/products", mug.but(object{"inventory": absent}))).To(answer(201))
		s.stocks("MUG")
		Expect(s.stock("MUG").Available).To(BeZero())
	})

	It("has a SKU of its own, also when many ask for it at the same moment", func() {
		s := open()
		var mu sync.Mutex
		outcomes := map[int]int{}
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				defer GinkgoRecover()
				r := s.post("/v1/products", mug)
				mu.Lock()
				defer mu.Unlock()
				outcomes[r.status]++
				if r.status != 201 {
					Expect(r).To(refuse(409, "sku_taken", "/sku"))
				}
			})
		}
		wg.Wait()
		Expect(outcomes).To(Equal(map[int]int{201: 1, 409: 11}))
		Expect(s.facts("product.created")).To(HaveLen(1))
	})

	It("keeps its SKU when it is archived", func() {
		s := open()
		p := s.sells("MUG", 1)
		Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
		Expect(s.post("/v1/products", mug)).To(refuse(409, "sku_taken", "/sku"))
	})

	It("changes in what is sent and nothing else", func() {
		s := open()
		p := s.sells("MUG", 1, object{"description": "Holds a quarter."})
		changed := as[product](s.patch("/v1/products/"+p.ID, object{"price": 13}))
		Expect(changed).To(And(HaveField("Price", "13.00"), HaveField("Name", p.Name), HaveField("Description", p.Description), HaveField("CreatedAt", p.CreatedAt)))
		Expect(changed.UpdatedAt).To(BeTemporally(">", p.UpdatedAt))
		Expect(as[product](s.get("/v1/products/" + p.ID))).To(Equal(changed))
		Expect(as[page[product]](s.get("/v1/products")).Data).To(HaveExactElements(changed))
		Expect(s.facts("product.updated")).To(HaveLen(1))
	})

	It("does not change when nothing would be different", func() {
		s := open()
		p := s.sells("MUG", 1)
		before := s.get("/v1/products/" + p.ID)
		for _, body := range []object{{}, {"name": p.Name}, {"price": "12.5"}, {"price": 12.50, "currency": "EUR", "status": "active"}} {
			r := s.patch("/v1/products/"+p.ID, body)
			Expect(r).To(answer(200))
			Expect(r.tag()).To(Equal(before.tag()))
			Expect(r.body).To(Equal(before.body))
		}
		Expect(s.facts("product.updated")).To(BeEmpty())
	})

	It("changes its price together with its currency", func() {
		s := open()
		p := s.sells("MUG", 1)
		Expect(as[product](s.patch("/v1/products/"+p.ID, object{"price": "1500", "currency": "JPY"}))).To(And(HaveField("Price", "1500"), HaveField("Currency", "JPY")))
		Expect(s.patch("/v1/products/"+p.ID, object{"currency": "USD"})).To(refuse(422, "validation_failed", "/price"))
		Expect(s.patch("/v1/products/"+p.ID, object{"price": "15.5"})).To(refuse(422, "validation_failed", "/price"))
		Expect(s.confirmed(item{SKU: "MUG", Quantity: 1}).Total).To(Equal("1500"))
	})

	It("never changes its SKU, its id or its age", func() {
		s := open()
		p := s.sells("MUG", 1)
		s.changingNothing(func() {
			for _, field := range []string{"sku", "id", "createdAt", "updatedAt", "version", "tenantId", "inventory"} {
				Expect(s.patch("/v1/products/"+p.ID, object{field: "X"})).To(refuse(422, "unknown_field", "/"+field))
			}
		})
	})

	It("loses the scripts in its description and keeps the rest", func() {
		s := open()
		p := s.sells("MUG", 1, object{"description": `<p onclick="steal()">Blue <b>mug</b><script>steal()</script><a href="javascript:steal()">x</a></p>`})
		Expect(p.Description).To(And(ContainSubstring("<b>mug</b>"), Not(ContainSubstring("steal"))))
		p = as[product](s.patch("/v1/products/"+p.ID, object{"description": `<img src=x onerror="steal()">Green`}))
		Expect(p.Description).To(And(ContainSubstring("Green"), Not(ContainSubstring("steal"))))
	})

	DescribeTable("keeps text letter by letter",
		func(text string) {
			s := open()
			p := s.sells("MUG", 1, object{"name": text, "description": text})
			Expect(p.Name).To(Equal(text))
			Expect(p.Description).To(Equal(text))
			Expect(as[page[product]](s.get("/v1/products")).Data[0].Name).To(Equal(text))
		},
		Entry("in every script", "Tasse — 茶碗 — чашка — كوب — ถ้วย"),
		Entry("with emoji, also composed ones", "Mug ☕ 👩‍🚀 🇵🇹"),
		Entry("with quotes and ampersands", `Tom's "big" mug & saucer \ 100 %`),
		Entry("that looks like SQL", `'); drop table catalog.product; --`),
		Entry("that looks like a template", `{{.}} ${7*7} %s %d <%= x %>`),
		Entry("of 200 letters that are not ASCII", strings.Repeat("ü", 200)),
	)

	Describe("that is a draft", func() {
		It("is hidden from shoppers, in lists and by its address, and cannot be bought", func() {
			s := open()
			shopper := s.staffed("orders:write", "orders:read")
			p := s.sells("MUG", 5, object{"status": "draft"})
			Expect(p.Status).To(Equal("draft"))
			Expect(shopper.get("/v1/products/" + p.ID)).To(refuse(404, "not_found"))
			Expect(as[page[product]](shopper.get("/v1/products")).Data).To(BeEmpty())
			Expect(shopper.get("/v1/products?status=draft")).To(refuse(403, "forbidden"))
			Expect(shopper.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}))).To(refuse(422, "unknown_sku", "/items/0/sku"))

			staff := s.staffed("products:read")
			Expect(as[product](staff.get("/v1/products/" + p.ID)).Status).To(Equal("draft"))
			Expect(as[page[product]](staff.get("/v1/products?status=draft")).Data).To(HaveLen(1))
			Expect(as[page[product]](staff.get("/v1/products")).Data).To(BeEmpty())

			Expect(s.patch("/v1/products/"+p.ID, object{"status": "active"})).To(answer(200))
			Expect(shopper.get("/v1/products/" + p.ID)).To(answer(200))
			Expect(shopper.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}))).To(answer(201))
		})
	})

	Describe("that is archived", func() {
		It("is read but not listed, and cannot be bought", func() {
			s := open()
			p := s.sells("MUG", 5)
			bought := s.confirmed(item{SKU: "MUG", Quantity: 1})
			Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
			Expect(as[product](s.get("/v1/products/" + p.ID)).Status).To(Equal("archived"))
			Expect(as[page[product]](s.get("/v1/products")).Data).To(BeEmpty())
			Expect(as[page[product]](s.get("/v1/products?status=archived")).Data).To(HaveLen(1))
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}))).To(refuse(422, "unknown_sku", "/items/0/sku"))
			Expect(s.order(bought.ID).Items[0].Name).To(Equal("Blue mug"))
			Expect(s.facts("product.archived")).To(HaveExactElements(HaveField("Subject", p.ID)))
		})

		It("stays archived when it is archived again, without a second event", func() {
			s := open()
			p := s.sells("MUG", 5)
			Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
			tag := s.get("/v1/products/" + p.ID).tag()
			Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
			Expect(s.get("/v1/products/" + p.ID).tag()).To(Equal(tag))
			Expect(s.facts("product.archived")).To(HaveLen(1))
		})

		It("can be sold again, but not become a draft", func() {
			s := open()
			p := s.sells("MUG", 5)
			Expect(s.patch("/v1/products/"+p.ID, object{"status": "archived"})).To(answer(200))
			Expect(s.patch("/v1/products/"+p.ID, object{"status": "draft"})).To(refuse(409, "invalid_transition"))
			Expect(s.patch("/v1/products/"+p.ID, object{"status": "active"})).To(answer(200))
			Expect(s.confirmed(item{SKU: "MUG", Quantity: 1}).Total).To(Equal("12.50"))
			Expect(s.facts("product.archived")).To(HaveLen(1))
		})
	})

	It("publishes each of its changes, in order", func() {
		s := open()
		p := s.sells("MUG", 5)
		for i := range 5 {
			Expect(s.patch("/v1/products/"+p.ID, object{"name": fmt.Sprint("Mug ", i)})).To(answer(200))
		}
		Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
		var versions []int64
		for _, f := range s.facts("") {
			if f.Subject == p.ID {
				versions = append(versions, f.Sequence)
			}
		}
		Expect(versions).To(Equal([]int64{1, 2, 3, 4, 5, 6, 7}))
	})
})

var _ = Describe("a price", func() {
	DescribeTable("is kept exactly",
		func(sent any, currency, kept string) {
			s := open()
			p := s.sells("MUG", 1, object{"price": sent, "currency": currency})
			Expect(p.Price).To(Equal(kept))
			Expect(as[product](s.get("/v1/products/" + p.ID)).Price).To(Equal(kept))
			end := "confirmed"
			if strings.Trim(kept, "0.") == "" {
				end = "paid" // there is nothing to pay
			}
			o := s.becomes(s.places(item{SKU: "MUG", Quantity: 1, Price: sent}).ID, end)
			Expect(o.Total).To(Equal(kept))
			Expect(s.facts("order.created")[0].Data).To(ContainSubstring(`"price":"` + kept + `"`))
		},
		Entry("as text", "29.99", "USD", "29.99"),
		Entry("as a number", number("29.99"), "USD", "29.99"),
		Entry("as a number that no float holds", number("0.1"), "EUR", "0.10"),
		Entry("as a number that floats would round down", number("4.35"), "EUR", "4.35"),
		Entry("as a number that floats would round up", number("1.15"), "GBP", "1.15"),
		Entry("with fewer digits than its currency", "29.9", "USD", "29.90"),
		Entry("as a whole number", number("30"), "GBP", "30.00"),
		Entry("in a currency without digits", "1500", "JPY", "1500"),
		Entry("as a number in a currency without digits", number("1500"), "JPY", "1500"),
		Entry("beyond what a float can count", number("9007199254740993"), "JPY", "9007199254740993"),
		Entry("beyond what a float can count, with digits", number("90071992547409.93"), "USD", "90071992547409.93"),
		Entry("as large as there is room for", "92233720368547758.07", "EUR", "92233720368547758.07"),
		Entry("of nothing", "0", "EUR", "0.00"),
		Entry("of nothing, as a number", number("0.00"), "EUR", "0.00"),
		Entry("of a cent", "0.01", "EUR", "0.01"),
	)
})
