package e2e_test

import (
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what was read before", func() {
	It("is not sent again while it is still true", func() {
		s := open()
		p := s.sells("MUG", 10)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		for _, path := range []string{"/v1/products/" + p.ID, "/v1/products", "/v1/products?q=mug&limit=1", "/v1/orders/" + o.ID, "/v1/inventory/MUG"} {
			tag := s.get(path).tag()
			for _, header := range []header{{"If-None-Match", tag}, {"If-None-Match", `"other", ` + tag}, {"If-None-Match", "W/" + tag}, {"If-None-Match", "*"}} {
				r := s.get(path, header)
				Expect(r).To(answer(304))
				Expect(r.tag()).To(Equal(tag))
			}
			for _, other := range []string{`"other"`, tag[:len(tag)-1] + `x"`, tag[1 : len(tag)-1], `""`} {
				Expect(s.get(path, header{"If-None-Match", other})).To(answer(200))
			}
		}
	})

	It("is sent again when it changed", func() {
		s := open()
		p := s.sells("MUG", 10)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		paths := []string{"/v1/products/" + p.ID, "/v1/products", "/v1/orders/" + o.ID, "/v1/inventory/MUG"}
		tags := map[string]string{}
		for _, path := range paths {
			tags[path] = s.get(path).tag()
		}
		Expect(s.patch("/v1/products/"+p.ID, object{"price": 13})).To(answer(200))
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "x"})).To(answer(200))
		s.quiet()
		for _, path := range paths {
			r := s.get(path, header{"If-None-Match", tags[path]})
			Expect(r).To(answer(200))
			Expect(r.tag()).NotTo(Equal(tags[path]))
		}
	})

	It("is another thing to who may see whom it is for than to who may not", func() {
		s := open()
		s.sells("MUG", 10)
		path := "/v1/orders/" + s.confirmed(item{SKU: "MUG", Quantity: 1}).ID
		clerk := s.staffed("orders:read")
		whole, masked := s.get(path).tag(), clerk.get(path).tag()
		Expect(s.get(path, header{"If-None-Match", masked})).To(answer(200))
		Expect(clerk.get(path, header{"If-None-Match", whole})).To(answer(200))
		Expect(clerk.get(path, header{"If-None-Match", masked})).To(answer(304))
	})

	It("may be kept by nobody for somebody else", func() {
		s := open()
		p := s.sells("MUG", 10)
		r := s.get("/v1/products/" + p.ID)
		Expect(r.header.Get("Cache-Control")).To(Or(ContainSubstring("no-cache"), ContainSubstring("no-store")))
		Expect(r.header.Values("Vary")).To(ContainElement("Authorization"))
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1})).header.Get("Cache-Control")).To(Equal("no-store"))
	})
})

var _ = Describe("a change meant for what was read", func() {
	It("of a product is refused when somebody else was faster", func() {
		s := open()
		p := s.sells("MUG", 10)
		stale := s.get("/v1/products/" + p.ID).tag()
		changed := s.patch("/v1/products/"+p.ID, object{"name": "Red mug"}, header{"If-Match", stale})
		Expect(changed).To(answer(200))
		s.changingNothing(func() {
			for _, tag := range []string{stale, `"999"`, "W/" + changed.tag(), "2", `"2`, "nonsense", `"1", "7"`} {
				Expect(s.patch("/v1/products/"+p.ID, object{"name": "Green mug"}, header{"If-Match", tag})).To(refuse(412, "version_conflict"))
				Expect(s.delete("/v1/products/"+p.ID, header{"If-Match", tag})).To(refuse(412, "version_conflict"))
			}
		})
		for _, tag := range []string{changed.tag(), "*", `"1", ` + changed.tag()} {
			Expect(s.patch("/v1/products/"+p.ID, object{"name": "Red mug"}, header{"If-Match", tag})).To(answer(200))
		}
		Expect(s.delete("/v1/products/"+p.ID, header{"If-Match", changed.tag()})).To(answer(204))
	})

	It("of stock is refused when somebody else was faster, also when that was an order", func() {
		s := open()
		s.sells("MUG", 10)
		tag := s.get("/v1/inventory/MUG").tag()
		s.confirmed(item{SKU: "MUG", Quantity: 1})
		s.changingNothing(func() {
			Expect(s.put("/v1/inventory/MUG", object{"onHand": 9}, header{"If-Match", tag})).To(refuse(412, "version_conflict"))
		})
		Expect(s.put("/v1/inventory/MUG", object{"onHand": 9}, header{"If-Match", s.get("/v1/inventory/MUG").tag()})).To(answer(200))
	})

	It("is made by one of many who read the same", func() {
		s := open()
		p := s.sells("MUG", 10)
		tag := s.get("/v1/products/" + p.ID).tag()
		var made atomic.Int64
		var wg sync.WaitGroup
		for _, name := range []string{"A", "B", "C", "D", "E", "F", "G", "H"} {
			wg.Go(func() {
				defer GinkgoRecover()
				r := s.patch("/v1/products/"+p.ID, object{"name": name}, header{"If-Match", tag})
				if r.status == 200 {
					made.Add(1)
				} else {
					Expect(r).To(refuse(412, "version_conflict"))
				}
			})
		}
		wg.Wait()
		Expect(made.Load()).To(BeEquivalentTo(1))
	})
})
