package e2e_test

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("an address", func() {
	s := refusals()

	DescribeTable("with an id or a SKU that cannot be one leads nowhere:",
		func(id string) {
			for _, o := range published.Operations {
				if o.ByID() {
					Expect(s.send(o.Method, o.to(id, id), o.body())).To(refuse(404, "not_found"), o.ID)
				}
			}
		},
		Entry("a word", "abc"),
		Entry("a number", "1"),
		Entry("minus one", "-1"),
		Entry("null", "null"),
		Entry("undefined", "undefined"),
		Entry("the nil id", "00000000-0000-0000-0000-000000000000"),
		Entry("an id without hyphens", strings.ReplaceAll(uuid.NewString(), "-", "")),
		Entry("an id in braces", "%7B"+uuid.NewString()+"%7D"),
		Entry("an id with a scheme", "urn:uuid:"+uuid.NewString()),
		Entry("an id with something behind it", uuid.NewString()+"x"),
		Entry("an id with a letter that is none", "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"),
		Entry("the way up", "..%2f"),
		Entry("the way to a secret", "..%2f..%2f..%2f..%2fetc%2fpasswd"),
		Entry("the way up, encoded twice", "%252e%252e%252f"),
		Entry("the way up, the other way", "..%5c..%5c"),
		Entry("a slash", "%2f"),
		Entry("a NUL", "%00"),
		Entry("an id with a NUL behind it", uuid.NewString()+"%00"),
		Entry("a SKU with a NUL behind it", "MUG%00"),
		Entry("bytes that are not UTF-8", "%ff%fe"),
		Entry("a line feed", "%0a"),
		Entry("a header", "%0d%0aSet-Cookie:%20a=b"),
		Entry("a blank", "%20"),
		Entry("a SKU with a blank behind it", "MUG%20"),
		Entry("a wildcard", "%25"),
		Entry("another wildcard", "*"),
		Entry("SQL", "1'%20or%20'1'='1"),
		Entry("SQL behind an id", uuid.NewString()+"'--"),
		Entry("a script", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
		Entry("a template", "%24%7B7*7%7D"),
		Entry("an emoji", "%E2%98%95"),
		Entry("8,000 characters", strings.Repeat("x", 8000)),
		Entry("8,000 bytes of UTF-8", strings.Repeat("%C3%BC", 1300)),
	)

	DescribeTable("that goes in a circle leads nowhere:",
		func(path string) {
			Expect(s.get(path)).To(Or(answer(404), answer(405)))
		},
		Entry("by dots", "/v1/products/../orders"),
		Entry("by dots at the beginning", "/../v1/products"),
		Entry("by one dot", "/v1/./products"),
		Entry("by slashes", "//v1/products"),
		Entry("by slashes in the middle", "/v1//products"),
		Entry("by a slash at the end", "/v1/products/"),
		Entry("by slashes at the end", "/v1/orders//"),
		Entry("by a backslash", `/v1\products`),
		Entry("by an encoded slash", "/v1%2fproducts"),
		Entry("by an encoded dot", "/v1/%2e%2e/v1/products"),
		Entry("by the version twice", "/v1/v1/products"),
		Entry("by no id", "/v1/products//"),
		Entry("by no SKU", "/v1/inventory//movements"),
	)

	It("finds an id in capitals, for it is the same id", func() {
		Expect(as[product](s.get("/v1/products/" + strings.ToUpper(s.product.ID))).ID).To(Equal(s.product.ID))
	})

	It("tells an id of one kind from one of another", func() {
		Expect(s.get("/v1/orders/" + s.product.ID)).To(refuse(404, "not_found"))
		Expect(s.get("/v1/products/" + s.order.ID)).To(refuse(404, "not_found"))
		Expect(s.get("/v1/inventory/" + s.product.ID)).To(refuse(404, "not_found"))
		Expect(s.post("/v1/orders/"+s.product.ID+"/cancel", object{"reason": "x"})).To(refuse(404, "not_found"))
	})

	It("of any length is refused, beyond all bounds by the listener", func() {
		asked := func(length int) string {
			return answerTo("GET /v1/products/" + strings.Repeat("x", length) + " HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
		}
		Expect(asked(20_000)).To(And(HavePrefix("HTTP/1.1 414 "), ContainSubstring(`"code":"uri_too_long"`)))
		Expect(asked(100_000)).To(HavePrefix("HTTP/1.1 431 "))
	})

	It("is not heard behind headers that are too large", func() {
		answered := answerTo("GET /v1/products HTTP/1.1\r\nHost: shop\r\nX-Large: " + strings.Repeat("x", 20_000) + "\r\nConnection: close\r\n\r\n")
		Expect(answered).To(And(HavePrefix("HTTP/1.1 431 "), ContainSubstring(`"code":"headers_too_large"`)))
	})
})

var _ = Describe("a text to filter by", func() {
	s := refusals()

	DescribeTable("finds nothing and breaks nothing:",
		func(q string) {
			for _, query := range []url.Values{{"q": {q}}, {"sku": {q}}} {
				r := s.get("/v1/products?" + query.Encode())
				if r.status == 200 {
					Expect(as[page[product]](r).Data).To(BeEmpty())
				} else {
					Expect(r).To(Or(refuse(422, "validation_failed"), refuse(422, "invalid_text")))
				}
			}
			r := s.get("/v1/orders?" + url.Values{"customerId": {q}}.Encode())
			Expect(r).To(Or(answer(200), answer(422)))
			r = s.get("/v1/events?" + url.Values{"topic": {q}}.Encode())
			Expect(r).To(Or(answer(200), answer(422)))
		},
		Entry("wildcards", "%%%"),
		Entry("more wildcards", "____"),
		Entry("very many wildcards", strings.Repeat("%", 200)),
		Entry("an escape at the end", `x\`),
		Entry("the end of a text", "')--"),
		Entry("operators of a text search", "!&|(<->:*"),
		Entry("a regular expression that takes for ever", "(a+)+$"),
		Entry("a NUL", "a\x00b"),
		Entry("bytes that are not UTF-8", "a\xffb"),
		Entry("half a pair in UTF-8", "\xed\xa0\x80"),
		Entry("200 emoji", strings.Repeat("☕", 200)),
		Entry("the other direction", "\u202egum\u202c"),
	)

	It("may be asked for twice only if it does not matter", func() {
		Expect(s.get("/v1/products?q=mug&q=cup")).To(Or(answer(200), answer(422), answer(400)))
		Expect(s.get("/v1/products?limit=1&limit=101")).To(Or(answer(200), answer(422), answer(400)))
	})

	It("of nothing is none", func() {
		Expect(as[page[product]](s.get("/v1/products?q=&sku=&cursor=&limit=&sort=&status=")).Data).To(HaveLen(1))
	})
})

var _ = Describe("headers", func() {
	s := refusals()

	It("beyond all bounds are refused by the listener", func() {
		answered := answerTo("GET /health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nX-Long: " + strings.Repeat("x", 40_000) + "\r\n\r\n")
		Expect(answered).To(HavePrefix("HTTP/1.1 431 "))
		answered = answerTo("GET /health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n" + strings.Repeat("X-Many: x\r\n", 5000) + "\r\n")
		Expect(answered).To(HavePrefix("HTTP/1.1 431 "))
	})

	DescribeTable("that would smuggle a second request are refused:",
		func(headers string) {
			Expect(answerTo("POST /v1/products HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n" + headers + "\r\n\r\n0\r\n\r\n")).To(
				Or(HavePrefix("HTTP/1.1 400 "), HavePrefix("HTTP/1.1 501 "), HavePrefix("HTTP/1.1 401 ")))
		},
		Entry("with two lengths", "Content-Length: 5\r\nContent-Length: 6"),
		Entry("with a length that is none", "Content-Length: five"),
		Entry("with a negative length", "Content-Length: -1"),
		Entry("with a length and pieces", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
		Entry("with an encoding that there is not", "Transfer-Encoding: xchunked"),
		Entry("with two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
		Entry("with a blank before the colon", "Transfer-Encoding : chunked"),
		Entry("with a folded line", "X-A: b\r\n Transfer-Encoding: chunked"),
	)

	It("that come twice are not mixed up", func() {
		answered := answerTo(fmt.Sprintf("GET /v1/orders HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nAuthorization: Bearer nonsense\r\nAuthorization: Bearer %s\r\n\r\n", s.key))
		Expect(answered).To(HavePrefix("HTTP/1.1 401 "))
	})

	DescribeTable("for caching and for conditions break nothing, whatever they say:",
		func(name, value string) {
			Expect(s.get("/v1/products/"+s.product.ID, header{name, value})).To(Or(answer(200), answer(304)))
			Expect(s.get("/v1/products", header{name, value})).To(Or(answer(200), answer(304)))
			Expect(s.patch("/v1/products/"+s.product.ID, object{"price": "x"}, header{name, value})).To(refuse(422, "validation_failed", "/price"))
		},
		Entry("a condition that is none", "If-None-Match", `"`),
		Entry("a condition of very many", "If-None-Match", strings.Repeat(`"x",`, 2000)),
		Entry("a condition of commas", "If-Match", ",,,,"),
		Entry("a condition that is SQL", "If-Match", `1' or '1'='1`),
		Entry("a range", "Range", "bytes=0-,0-,0-"),
		Entry("a range beyond the end", "Range", "bytes=99999999-"),
		Entry("an encoding", "Accept-Encoding", "gzip;q=0, *;q=0"),
		Entry("a language", "Accept-Language", strings.Repeat("x", 4000)),
		Entry("another host", "Host", "evil.example"),
		Entry("another origin", "Origin", "https://evil.example"),
		Entry("an upgrade", "Upgrade", "h2c"),
		Entry("a cookie", "Cookie", "session=' or 1=1"),
		Entry("an address", "X-Forwarded-For", "127.0.0.1, ::1, <script>"),
	)
})
