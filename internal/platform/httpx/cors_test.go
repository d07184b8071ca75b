package httpx

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a page of another origin", func() {
	s := newSite(Gateway{Origins: []string{"https://shop.example", "http://localhost:*", "http://[::1]:*"}})
	from := func(origin string, more ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Origin", origin)
			for i := 0; i < len(more); i += 2 {
				r.Header.Set(more[i], more[i+1])
			}
		}
	}
	s.opt.KeyOrigins = func(_ context.Context, origin string) bool {
		return origin == "https://page.example" || origin == "https://other.example"
	}
	const allowed = "Access-Control-Allow-Origin"

	DescribeTable("may read answers", func(origin string) {
		resp := s.ask(http.MethodGet, "/v1/things", "192.0.2.1", from(origin))
		Expect(resp).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue(allowed, origin), HaveHTTPHeaderWithValue("Vary", ContainSubstring("Origin"))))
		for _, name := range []string{"ETag", "Location", "RateLimit", "Retry-After", "X-Request-Id", "Idempotency-Replayed", "Link"} {
			Expect(resp.Header.Get("Access-Control-Expose-Headers")).To(ContainSubstring(name))
		}
		Expect(resp.Header).NotTo(HaveKey("Access-Control-Allow-Credentials"))
	},
		Entry("of one that is allowed", "https://shop.example"),
		Entry("at any port", "http://localhost:5173"),
		Entry("at the usual port", "http://localhost"),
		Entry("at any port of an IPv6 address", "http://[::1]:5173"),
	)

	It("has the browser send its cookies where the route says so, and nowhere else", func() {
		const credentials = "Access-Control-Allow-Credentials"
		Handle(s.API(), Route{Method: http.MethodPost, Path: "/v1/exchange", ID: "exchange", Permission: Public, Unrecorded: true, Cookies: true, Status: http.StatusNoContent},
			func(context.Context, *struct{}) (None, error) { return None{}, nil })
		preflight := func(path, origin string) *http.Response {
			return s.ask(http.MethodOptions, path, "192.0.2.1", from(origin, "Access-Control-Request-Method", "POST"))
		}
		Expect(preflight("/v1/exchange", "https://shop.example")).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue(credentials, "true"), HaveHTTPHeaderWithValue(allowed, "https://shop.example")))
		Expect(s.ask(http.MethodPost, "/v1/exchange", "192.0.2.1", from("https://shop.example"))).To(HaveHTTPHeaderWithValue(credentials, "true"))
		Expect(preflight("/v1/exchange", "https://evil.example").Header).NotTo(HaveKey(credentials))
		Expect(preflight("/v1/things", "https://shop.example").Header).NotTo(HaveKey(credentials))
	})

	It("may read refusals as well", func() {
		Expect(s.ask(http.MethodGet, "/nowhere", "192.0.2.1", from("https://shop.example"))).To(And(HaveHTTPStatus(404), HaveHTTPHeaderWithValue(allowed, "https://shop.example")))
		Expect(s.ask(http.MethodGet, "/v1/things", "wrong@192.0.2.1", from("https://shop.example"))).To(And(HaveHTTPStatus(401), HaveHTTPHeaderWithValue(allowed, "https://shop.example")))
	})

	DescribeTable("may not read answers", func(origin string) {
		resp := s.ask(http.MethodGet, "/v1/things", "192.0.2.1", from(origin))
		Expect(resp).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue("Vary", ContainSubstring("Origin"))))
		Expect(resp.Header).NotTo(HaveKey(allowed))
		preflight := s.ask(http.MethodOptions, "/v1/things", "192.0.2.1", from(origin, "Access-Control-Request-Method", "GET"))
		Expect(preflight).To(HaveHTTPStatus(403))
		Expect(preflight.Header).NotTo(HaveKey(allowed))
		Expect(problemOf(preflight).Code).To(Equal("origin_not_allowed"))
	},
		Entry("of an unknown one", "https://evil.example"),
		Entry("with another scheme", "http://shop.example"),
		Entry("with another port", "https://shop.example:8443"),
		Entry("of one that begins the same", "https://shop.example.evil.example"),
		Entry("of a name that begins the same", "http://localhost.evil.example:80"),
		Entry("of a port that is none", "http://localhost:80.evil.example"),
		Entry("of none", "null"),
	)

	It("shows a key that is for it, and no other", func() {
		for _, origin := range []string{"https://page.example", "https://other.example"} {
			Expect(s.ask(http.MethodOptions, "/v1/things", "192.0.2.1", from(origin, "Access-Control-Request-Method", "GET"))).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue(allowed, origin)))
		}
		Expect(s.ask(http.MethodGet, "/v1/things", "page@192.0.2.1", from("https://page.example"))).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue(allowed, "https://page.example")))
		refused := s.ask(http.MethodGet, "/v1/things", "page@192.0.2.1", from("https://other.example"))
		Expect(refused).To(HaveHTTPStatus(403))
		Expect(refused.Header).NotTo(HaveKey(allowed))
		Expect(s.ask(http.MethodGet, "/v1/things", "page@192.0.2.1", from("https://shop.example"))).To(HaveHTTPStatus(204), "the operator's are for all keys")
		Expect(s.ask(http.MethodGet, "/v1/things", "page@192.0.2.1", from("http://api.example"))).To(HaveHTTPStatus(204), "it is the shop's own page")
		Expect(s.ask(http.MethodGet, "/v1/things", "page@192.0.2.1", from("https://api.example"))).To(HaveHTTPStatus(403), "its scheme is another")
		Expect(s.ask(http.MethodGet, "/v1/things", "page@192.0.2.1")).To(HaveHTTPStatus(204), "it is no page")
	})

	It("asks before it asks, without a credential", func() {
		resp := s.ask(http.MethodOptions, "/v1/things", "192.0.2.1", from("https://shop.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization,if-match"))
		Expect(resp).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue(allowed, "https://shop.example"),
			HaveHTTPHeaderWithValue("Access-Control-Allow-Methods", ContainSubstring("PUT")),
			HaveHTTPHeaderWithValue("Access-Control-Allow-Headers", And(ContainSubstring("Authorization"), ContainSubstring("If-Match"), ContainSubstring("Idempotency-Key"))),
			HaveHTTPHeaderWithValue("Access-Control-Max-Age", "7200")))
		Expect(resp.Header.Values("Vary")).To(ContainElements("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"))
	})
})
