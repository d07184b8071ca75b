package e2e_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a list", func() {
	// names of what there is at first: some alike, in several scripts and both cases.
	names := []string{"Mug", "mug", "Mug", "Äpfel", "Zebra", "äpfel", "茶", "Mug 10", "Mug 2", "~", "a", "B"}

	stocked := func() (s *shop, created []string) {
		s = open()
		for i, name := range names {
			p := as[product](s.post("/v1/products", mug.but(object{"sku": fmt.Sprintf("SKU-%c%d", 'Z'-i, i), "name": name})))
			created = append(created, p.ID)
		}
		return s, created
	}

	DescribeTable("of products shows every one exactly once, while others are added and changed between its pages",
		func(sort string) {
			s, created := stocked()
			extra := 0
			seen := []string{}
			for _, p := range all[product](s, "/v1/products", url.Values{"sort": {sort}, "limit": {"3"}}, func() {
				extra++
				Expect(s.post("/v1/products", mug.but(object{"sku": fmt.Sprint("NEW-", extra), "name": names[extra%len(names)]}))).To(answer(201))
			}) {
				Expect(seen).NotTo(ContainElement(p.ID), "%s came twice", p.Name)
				seen = append(seen, p.ID)
			}
			Expect(extra).To(BeNumerically(">=", 3))
			Expect(seen).To(ContainElements(created))
		},
		Entry("from the newest", "-createdAt"),
		Entry("from the oldest", "createdAt"),
		Entry("by name", "name"),
		Entry("by name, backwards", "-name"),
		Entry("by SKU", "sku"),
		Entry("by SKU, backwards", "-sku"),
	)

	It("of products is in the order that was asked for, and backwards the other way round", func() {
		s, created := stocked()
		ids := func(sort string) (list []string) {
			for _, p := range all[product](s, "/v1/products", url.Values{"sort": {sort}, "limit": {"5"}}) {
				list = append(list, p.ID)
			}
			return list
		}
		Expect(ids("createdAt")).To(Equal(created))
		for _, sort := range []string{"createdAt", "name", "sku"} {
			forwards, backwards := ids(sort), ids("-"+sort)
			slices.Reverse(backwards)
			Expect(forwards).To(Equal(backwards))
		}
		Expect(as[page[product]](s.get("/v1/products")).Data[0].ID).To(Equal(created[len(created)-1]))
	})

	It("of orders shows every one exactly once, while others are placed between its pages", func() {
		s := open()
		s.sells("MUG", 1000)
		var placed []string
		for range 7 {
			placed = append(placed, s.places(item{SKU: "MUG", Quantity: 1}).ID)
		}
		for _, sort := range []string{"createdAt", "-createdAt"} {
			seen := map[string]int{}
			rounds := 0
			for _, o := range all[order](s, "/v1/orders", url.Values{"sort": {sort}, "limit": {"2"}}, func() {
				if rounds++; rounds < 3 {
					s.places(item{SKU: "MUG", Quantity: 1})
				}
			}) {
				seen[o.ID]++
			}
			for _, id := range placed {
				Expect(seen).To(HaveKeyWithValue(id, 1))
			}
		}
	})

	It("of stock, of its movements and of events goes on in the same way", func() {
		s := open()
		for _, sku := range []string{"C", "A", "B", "E", "D"} {
			s.sells(sku, 10)
		}
		skus := func(sort string) (list []string) {
			for _, l := range all[stock](s, "/v1/inventory", url.Values{"sort": {sort}, "limit": {"2"}}) {
				list = append(list, l.SKU)
			}
			return list
		}
		Expect(skus("sku")).To(Equal([]string{"A", "B", "C", "D", "E"}))
		Expect(skus("-sku")).To(Equal([]string{"E", "D", "C", "B", "A"}))
		for i := range 5 {
			Expect(s.post("/v1/inventory/A/adjustments", object{"delta": 1, "reason": fmt.Sprint("delivery ", i)})).To(answer(200))
		}
		moved := all[movement](s, "/v1/inventory/A/movements", url.Values{"limit": {"2"}})
		Expect(moved).To(HaveLen(6))
		Expect(moved[0].Reason).To(Equal("delivery 4"))
		Expect(moved[5].Kind).To(Equal("initial"))
		settled()
		Expect(all[fact](s, "/v1/events", url.Values{"limit": {"3"}})).To(HaveLen(10))
	})

	It("ends without a cursor, also when its last page is full", func() {
		s := open()
		for _, sku := range []string{"A", "B", "C", "D"} {
			Expect(s.post("/v1/products", mug.but(object{"sku": sku}))).To(answer(201))
		}
		first := s.get("/v1/products?limit=2")
		Expect(as[page[product]](first).NextCursor).NotTo(BeEmpty())
		last := s.get("/v1/products?limit=2&cursor=" + as[page[product]](first).NextCursor)
		Expect(as[page[product]](last).Data).To(HaveLen(2))
		Expect(last.body).NotTo(ContainSubstring("nextCursor"))
		Expect(s.get("/v1/products?limit=4").body).NotTo(ContainSubstring("nextCursor"))
	})

	It("has twenty on a page unless it is asked for another number", func() {
		s := open()
		for i := range 22 {
			Expect(s.post("/v1/products", mug.but(object{"sku": fmt.Sprint("MUG-", i)}))).To(answer(201))
		}
		Expect(as[page[product]](s.get("/v1/products")).Data).To(HaveLen(20))
		Expect(as[page[product]](s.get("/v1/products?limit=1")).Data).To(HaveLen(1))
		Expect(as[page[product]](s.get("/v1/products?limit=100")).Data).To(HaveLen(22))
	})

	It("of nothing is a list", func() {
		s := open()
		for _, path := range []string{"/v1/products", "/v1/orders", "/v1/inventory", "/v1/events"} {
			Expect(s.get(path).body).To(MatchJSON(`{"data":[]}`))
		}
	})

	Describe("of products", func() {
		It("finds text in names, SKUs and descriptions, in any case", func() {
			s := open()
			for sku, text := range map[string]object{
				"AAA": {"name": "Blue Mug", "description": "for tea"}, "BBB": {"name": "Cup", "description": "goes with the blue mug"},
				"MUG-3": {"name": "Red", "description": ""}, "DDD": {"name": "100 % wool_cap", "description": `back\slash`},
			} {
				Expect(s.post("/v1/products", mug.but(text).but(object{"sku": sku}))).To(answer(201))
			}
			search := func(q string) (skus []string) {
				for _, p := range as[page[product]](s.get("/v1/products?" + url.Values{"q": {q}, "sort": {"sku"}}.Encode())).Data {
					skus = append(skus, p.SKU)
				}
				return skus
			}
			Expect(search("mug")).To(Equal([]string{"AAA", "BBB", "MUG-3"}))
			Expect(search("BLUE MUG")).To(Equal([]string{"AAA", "BBB"}))
			Expect(search("aaa")).To(Equal([]string{"AAA"}))
			Expect(search("%")).To(Equal([]string{"DDD"}))
			Expect(search("_")).To(Equal([]string{"DDD"}))
			Expect(search(`\`)).To(Equal([]string{"DDD"}))
			Expect(search("m_g")).To(BeEmpty())
			Expect(search("nothing like it")).To(BeEmpty())
		})

		It("filters by the whole SKU and by status", func() {
			s := open()
			s.sells("MUG", 1)
			s.sells("MUG-2", 1, object{"status": "draft"})
			Expect(as[page[product]](s.get("/v1/products?sku=MUG")).Data).To(HaveExactElements(HaveField("SKU", "MUG")))
			Expect(as[page[product]](s.get("/v1/products?sku=mug")).Data).To(BeEmpty())
			Expect(as[page[product]](s.get("/v1/products?sku=MUG-2")).Data).To(BeEmpty())
			Expect(as[page[product]](s.get("/v1/products?sku=MUG-2&status=draft")).Data).To(HaveLen(1))
		})
	})

	Describe("of orders", func() {
		It("filters by status, customer and time", func() {
			s := open()
			s.sells("MUG", 5)
			first := s.confirmed(item{SKU: "MUG", Quantity: 1})
			second := as[order](s.post("/v1/orders", object{"customerId": "ben", "items": []item{{SKU: "MUG", Quantity: 2}}}))
			s.becomes(second.ID, "confirmed")
			third := s.failed("MUG")
			found := func(query string) (ids []string) {
				for _, o := range as[page[order]](s.get("/v1/orders?sort=createdAt&" + query)).Data {
					ids = append(ids, o.ID)
				}
				return ids
			}
			at := func(t time.Time) string { return url.QueryEscape(t.Format(time.RFC3339Nano)) }
			Expect(found("status=confirmed")).To(Equal([]string{first.ID, second.ID}))
			Expect(found("status=failed")).To(Equal([]string{third.ID}))
			Expect(found("status=paid")).To(BeEmpty())
			Expect(found("customerId=ben")).To(Equal([]string{second.ID}))
			Expect(found(fmt.Sprint("number=", first.Number))).To(Equal([]string{first.ID}))
			Expect(found("customerId=ana&status=confirmed")).To(Equal([]string{first.ID}))
			Expect(found("createdAt[gte]=" + at(second.CreatedAt))).To(Equal([]string{second.ID, third.ID}))
			Expect(found("createdAt[lt]=" + at(second.CreatedAt))).To(Equal([]string{first.ID}))
			Expect(found("createdAt%5Bgte%5D=" + at(first.CreatedAt) + "&createdAt%5Blt%5D=" + at(third.CreatedAt))).To(Equal([]string{first.ID, second.ID}))
			lisbon := time.FixedZone("", 3600)
			Expect(found("createdAt[gte]=" + at(third.CreatedAt.In(lisbon)))).To(Equal([]string{third.ID}))
		})
	})

	It("is refused with an unknown parameter, which it names, everywhere", func() {
		s := open()
		asked := 0
		for _, o := range published.Operations {
			s := s
			if o.Operator {
				s = first()
			}
			r := s.send(o.Method, o.to("x", "x")+"?colour=blue", o.body())
			Expect(r).To(refuse(400, "unknown_parameter", "?colour"))
			Expect(r.problem.Detail).To(ContainSubstring("colour"))
			asked++
		}
		Expect(asked).To(BeNumerically(">", 15))
		Expect(s.get("/v1/products?colour=blue&q=x&Limit=1")).To(refuse(400, "unknown_parameter", "?colour", "?Limit"))
	})

	It("is refused with a query that cannot be read", func() {
		for _, query := range []string{"limit=%zz", "q=a;b", "%zz=1", "limit=1&%"} {
			Expect(answerTo("GET /v1/products?"+query+" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")).To(And(HavePrefix("HTTP/1.1 400 "), ContainSubstring(`"code":"malformed_query"`)), "?"+strings.ReplaceAll(query, "%", "%%"))
		}
	})

	Describe("given a cursor", func() {
		It("refuses one that is not its own", func() {
			s := open()
			for _, sku := range []string{"A", "B"} {
				s.sells(sku, 10)
				Expect(s.places(item{SKU: sku, Quantity: 1}).Status).To(Equal("created"))
			}
			s.quiet()
			lists := []string{
				"/v1/products?sort=createdAt", "/v1/products?sort=-createdAt", "/v1/products?sort=name", "/v1/products?sort=-sku", "/v1/orders?sort=createdAt",
				"/v1/orders?sort=-createdAt", "/v1/inventory?sort=sku", "/v1/inventory?sort=-sku", "/v1/inventory/A/movements?", "/v1/events?",
			}
			for _, from := range lists {
				cursor := as[page[object]](s.get(from + "&limit=1")).NextCursor
				Expect(cursor).NotTo(BeEmpty(), from)
				for _, to := range lists {
					r := s.get(to + "&cursor=" + cursor)
					if from == to {
						Expect(r).To(answer(200))
					} else {
						Expect(r).To(refuse(422, "invalid_cursor", "?cursor"))
					}
				}
			}
		})

		It("refuses one that somebody made or edited", func() {
			s := open()
			for _, sku := range []string{"A", "B"} {
				s.sells(sku, 1)
			}
			cursor := as[page[product]](s.get("/v1/products?limit=1")).NextCursor
			other := "A"
			if cursor[0] == 'A' {
				other = "B"
			}
			forged := []string{
				cursor[:len(cursor)-1], cursor + "A", other + cursor[1:], strings.ToLower(cursor), cursor + "=", cursor[:20], "e30", "AAAAAAAA", "null", "0", "-1",
				"eyJzIjoiLWNyZWF0ZWRBdCJ9", strings.Repeat("A", 1024), "' or 1=1", "../../etc/passwd",
			}
			for _, path := range []string{"/v1/products", "/v1/orders", "/v1/inventory", "/v1/inventory/A/movements", "/v1/events"} {
				for _, c := range forged {
					Expect(s.get(path+"?cursor="+url.QueryEscape(c))).To(refuse(422, "invalid_cursor", "?cursor"), c)
				}
				Expect(s.get(path + "?cursor=" + strings.Repeat("A", 1025))).To(refuse(422, "validation_failed", "?cursor"))
			}
		})

		DescribeTable("refuses one that was made by somebody who has read the source",
			func(path, position string) {
				s := open()
				s.sells("A", 1)
				Expect(s.get(path + "cursor=" + forgedCursor(position))).To(Or(refuse(422, "invalid_cursor", "?cursor"), refuse(422, "invalid_text")))
			},
			Entry("of products, with a time that is none", "/v1/products?", `{"s":"-createdAt","v":"yesterday'--","id":"0199c1de-0000-7000-8000-000000000000"}`),
			Entry("of products, with a time that never was", "/v1/products?", `{"s":"-createdAt","v":"2026-02-31T00:00:00Z","id":"0199c1de-0000-7000-8000-000000000000"}`),
			Entry("of products, without a time", "/v1/products?", `{"s":"-createdAt","v":"","id":"0199c1de-0000-7000-8000-000000000000"}`),
			Entry("of products, with a NUL in a name", "/v1/products?sort=name&", `{"s":"name","v":"a\u0000","id":"0199c1de-0000-7000-8000-000000000000"}`),
			Entry("of products, with an id that is none", "/v1/products?", `{"s":"-createdAt","v":"2026-01-01T00:00:00Z","id":"x"}`),
			Entry("of products, in an order that is none", "/v1/products?", `{"s":"price; drop table x","v":"1","id":"0199c1de-0000-7000-8000-000000000000"}`),
			Entry("of products, with more than a position", "/v1/products?", `{"s":"-createdAt","v":"2026-01-01T00:00:00Z","id":"0199c1de-0000-7000-8000-000000000000","tenant":"x"}`),
			Entry("of orders, with a time that is none", "/v1/orders?", `{"s":"-createdAt","at":"infinity","id":"0199c1de-0000-7000-8000-000000000000"}`),
			Entry("of stock, with a NUL in a SKU", "/v1/inventory?", `{"s":"sku","sku":"A\u0000"}`),
			Entry("of movements, with an id that is none", "/v1/inventory/A/movements?", `{"id":"x"}`),
			Entry("of events, with a place that is none", "/v1/events?", `{"seq":"1"}`),
			Entry("of events, with a place beyond counting", "/v1/events?", `{"seq":1e30}`),
			Entry("of events, with a place and a half", "/v1/events?", `{"seq":1.5}`),
			Entry("that is no object", "/v1/products?", `[]`),
			Entry("that is two", "/v1/events?", `{"seq":1}{"seq":2}`),
		)
	})

	DescribeTable("refuses",
		func(query string) {
			s := open()
			name, _, _ := strings.Cut(query, "=")
			for _, path := range []string{"/v1/products", "/v1/orders", "/v1/inventory", "/v1/inventory/MUG/movements", "/v1/events"} {
				if name == "sort" && (strings.HasSuffix(path, "movements") || path == "/v1/events") {
					continue // they have one order
				}
				Expect(s.get(path + "?" + query)).To(refuse(422, "validation_failed", "?"+name))
			}
		},
		Entry("a limit of nothing", "limit=0"),
		Entry("a negative limit", "limit=-1"),
		Entry("a limit beyond the largest", "limit=101"),
		Entry("a limit that is a word", "limit=abc"),
		Entry("a limit that is not whole", "limit=1.5"),
		Entry("a limit with an exponent", "limit=1e1"),
		Entry("a limit beyond all numbers", "limit=1e30"),
		Entry("a limit beyond 64 bits", "limit=9223372036854775808"),
		Entry("a limit in hexadecimal", "limit=0x10"),
		Entry("a limit with blanks", "limit=%2010"),
		Entry("a limit in other digits", "limit=%D9%A1%D9%A0"),
		Entry("an order that it does not have", "sort=price"),
		Entry("an order in the wrong case", "sort=CREATEDAT"),
		Entry("two orders", "sort=createdAt,name"),
		Entry("an order with SQL in it", "sort=createdAt%3Bdrop%20table%20orders.orders"),
	)

	DescribeTable("of orders refuses",
		func(query string) {
			name, _, _ := strings.Cut(query, "=")
			Expect(open().get("/v1/orders?" + query)).To(refuse(422, "validation_failed", "?"+name))
		},
		Entry("a status that there is not", "status=lost"),
		Entry("a status in the wrong case", "status=CONFIRMED"),
		Entry("two statuses", "status=confirmed,failed"),
		Entry("a day instead of a time", "createdAt[gte]=2026-01-01"),
		Entry("a time without a zone", "createdAt[gte]=2026-01-01T00:00:00"),
		Entry("a month that there is not", "createdAt[lt]=2026-13-01T00:00:00Z"),
		Entry("a word for a time", "createdAt[lt]=now()"),
		Entry("a customer beyond the longest", "customerId="+strings.Repeat("x", 65)),
	)

	DescribeTable("of products refuses",
		func(query string) {
			name, _, _ := strings.Cut(query, "=")
			Expect(open().get("/v1/products?" + query)).To(refuse(422, "validation_failed", "?"+name))
		},
		Entry("a status that there is not", "status=deleted"),
		Entry("a SKU beyond the longest", "sku="+strings.Repeat("x", 65)),
		Entry("a text of 10,000 characters", "q="+strings.Repeat("x", 10_000)),
	)
})
