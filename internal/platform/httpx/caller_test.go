package httpx

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("who sends a request", func() {
	behind := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	sent := func(from string, header http.Header) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://Shop.example:8080/v1/products", nil)
		r.RemoteAddr, r.Header = from, header
		return r
	}
	told := func(name string, values ...string) http.Header {
		h := http.Header{}
		for _, v := range values {
			h.Add(name, v)
		}
		return h
	}

	DescribeTable("is the next one of the chain, unless proxies that are trusted name another",
		func(trusted proxies, from string, header http.Header, ip string) {
			Expect(trusted.client(sent(from, header)).IP.String()).To(Equal(ip))
		},
		Entry("nobody is trusted", proxies(nil), "10.1.1.1:99", told("X-Forwarded-For", "203.0.113.7"), "10.1.1.1"),
		Entry("nobody names anybody", behind, "10.1.1.1:99", http.Header{}, "10.1.1.1"),
		Entry("who names another is not trusted", behind, "198.51.100.4:99", told("X-Forwarded-For", "203.0.113.7"), "198.51.100.4"),
		Entry("a proxy names its client", behind, "10.1.1.1:99", told("X-Forwarded-For", "203.0.113.7"), "203.0.113.7"),
		Entry("the client made up a past", behind, "10.1.1.1:99", told("X-Forwarded-For", "127.0.0.1, 203.0.113.7"), "203.0.113.7"),
		Entry("in several lines", behind, "10.1.1.1:99", told("X-Forwarded-For", "127.0.0.1", "203.0.113.7, 10.2.2.2"), "203.0.113.7"),
		Entry("a chain of proxies", behind, "10.1.1.1:99", told("X-Forwarded-For", "203.0.113.7, 10.3.3.3, 2001:db8::1"), "203.0.113.7"),
		Entry("all are trusted", behind, "10.1.1.1:99", told("X-Forwarded-For", "10.3.3.3, 10.2.2.2"), "10.3.3.3"),
		Entry("one that cannot be read ends the chain", behind, "10.1.1.1:99", told("X-Forwarded-For", "203.0.113.7, <script>, 10.2.2.2"), "10.2.2.2"),
		Entry("with ports", behind, "10.1.1.1:99", told("X-Forwarded-For", "203.0.113.7:4711"), "203.0.113.7"),
		Entry("IPv6 with a port", behind, "[2001:db8::5]:99", told("X-Forwarded-For", "[2001:db9::7]:4711"), "2001:db9::7"),
		Entry("IPv4 in IPv6 is IPv4", behind, "[::ffff:10.1.1.1]:99", told("X-Forwarded-For", "::ffff:203.0.113.7"), "203.0.113.7"),
		Entry("as RFC 7239 says it", behind, "10.1.1.1:99", told("Forwarded", `for=127.0.0.1, for="[2001:db9::7]:47";proto=https;host=a.example, For=10.2.2.2`), "2001:db9::7"),
		Entry("as RFC 7239 hides it", behind, "10.1.1.1:99", told("Forwarded", `for=203.0.113.7, for=_hidden`), "10.1.1.1"),
	)

	It("believes neither of two headers that contradict each other: one of them is the client's", func() {
		h := told("X-Forwarded-For", "203.0.113.7")
		h.Set("Forwarded", "for=192.0.2.66")
		Expect(behind.client(sent("10.1.1.1:99", h)).IP.String()).To(Equal("10.1.1.1"))
		h.Set("Forwarded", "for=203.0.113.7")
		Expect(behind.client(sent("10.1.1.1:99", h)).IP.String()).To(Equal("203.0.113.7"))
	})

	DescribeTable("has used the scheme and the host that a trusted proxy names",
		func(from string, header http.Header, scheme, host string) {
			r := sent(from, header)
			Expect(behind.client(r)).To(HaveField("Scheme", scheme))
			Expect(behind.client(r)).To(HaveField("Host", host))
		},
		Entry("as X-Forwarded-Proto", "10.1.1.1:99", told("X-Forwarded-Proto", "HTTPS"), "https", "shop.example:8080"),
		Entry("as X-Forwarded-Host", "10.1.1.1:99", told("X-Forwarded-Host", "Public.example"), "http", "public.example"),
		Entry("in the hop of the client", "10.1.1.1:99", told("Forwarded", `for=203.0.113.7;proto=https;host="public.example:444", for=10.2.2.2;proto=http`), "https", "public.example:444"),
		Entry("from one that is not trusted", "198.51.100.4:99", told("X-Forwarded-Proto", "https"), "http", "shop.example:8080"),
		Entry("a scheme that is none", "10.1.1.1:99", told("X-Forwarded-Proto", "gopher"), "http", "shop.example:8080"),
		Entry("a host that is none", "10.1.1.1:99", told("X-Forwarded-Host", "evil.example/path"), "http", "shop.example:8080"),
	)

	It("has used https on a connection with TLS", func() {
		r := sent("198.51.100.4:99", http.Header{})
		r.TLS = &tls.ConnectionState{}
		Expect(behind.client(r).Scheme).To(Equal("https"))
	})
})
