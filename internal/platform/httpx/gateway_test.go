package httpx

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/ratelimit"
)

// guests lets in whoever says what they are.
type guests map[string]identity.Identity

func (guests) Recognises(string) bool { return true }
func (g guests) Authenticate(_ context.Context, token string) (identity.Identity, bool, error) {
	id, ok := g[token]
	return id, ok, nil
}

func (g guests) Knows(token string) bool {
	return g[token].IsService() || g[token].Actor == identity.ActorBootstrap
}

var shopID = uuid.MustParse("00000000-0000-7000-8000-00000000000a")

// leased lets one shop have so many requests a minute.
type leased struct {
	open
	requests int
	of       uuid.UUID
}

func (l leased) Allowance(ctx context.Context) int {
	if id, err := identity.From(ctx); err != nil || id.Tenant != l.of {
		return 0
	}
	return l.requests
}

type signedInput struct {
	Signature string `query:"signature"`
}

var errUnsigned = fault.New(fault.Malformed, "invalid_signature", "It is not signed.")

// site is a server with one route of each kind, and a clock that stands.
type site struct {
	*Server
	at      atomic.Int64
	working chan struct{} // gets one when somebody works
	done    chan struct{} // ends one work
}

func newSite(g Gateway) *site {
	s := &site{working: make(chan struct{}, 1000), done: make(chan struct{})}
	s.at.Store(int64(1_800_000_000 * time.Second))
	now := func() time.Time { return time.Unix(0, s.at.Load()) }
	local := ratelimit.NewLocal(now)
	g.Limits.By, g.Limits.Guesses = local, local
	s.Server = New(Options{Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil)), Clock: now, Gateway: g, Tenants: open{}, Ready: func(context.Context) []Dependency { return nil }})
	s.Accept(guests{
		"staff": {Tenant: shopID, Actor: "user:staff", Permissions: []string{"things:write"}},
		"other": {Tenant: shopID, Actor: "user:other", Permissions: []string{"things:write"}},
		"anna":  {Tenant: shopID, Actor: "user:anna", Customer: "anna", Permissions: identity.Storefront()},
		"page":  {Tenant: shopID, Actor: "key:page", Permissions: identity.Storefront(), Publishable: true, Origins: []string{"https://page.example"}},
		"small": {Tenant: shopID, Actor: "key:small", Limit: 5},
		"boot":  {Tenant: shopID, Actor: identity.ActorBootstrap, Permissions: []string{identity.Everything}},
		"peer":  identity.Service(shopID),
	})
	none := func(context.Context, *struct{}) (None, error) { return None{}, nil }
	get := func(path string, limit Limit) {
		Handle(s.API(), Route{Method: http.MethodGet, Path: path, ID: "get" + path, Permission: Public, Limit: limit, Status: http.StatusNoContent}, none)
	}
	get("/v1/things", LimitDefault)
	get("/v1/things/{id}/login", LimitLogin)
	get("/v1/checkout", LimitCheckout)
	Handle(s.API(), Route{Method: http.MethodGet, Path: "/v1/hook", ID: "hook", Permission: Public, Limit: LimitSigned, Status: http.StatusNoContent, Refusals: []*fault.Error{errUnsigned}},
		func(_ context.Context, in *signedInput) (None, error) {
			if in.Signature != "good" {
				return None{}, errUnsigned
			}
			return None{}, nil
		})
	Handle(s.API(), Route{Method: http.MethodGet, Path: "/v1/work", ID: "work", Permission: Public, Status: http.StatusNoContent}, func(ctx context.Context, _ *struct{}) (None, error) {
		s.working <- struct{}{}
		select {
		case <-s.done:
		case <-ctx.Done():
		}
		return None{}, nil
	})
	Handle(s.API(), Route{Method: http.MethodPut, Path: "/v1/things", ID: "putThing", Permission: Public, Unrecorded: true, Status: http.StatusNoContent},
		func(context.Context, *struct{ JSON[map[string]any] }) (None, error) { return None{}, nil })
	Handle(s.API(), Route{Method: http.MethodPost, Path: "/v1/things", ID: "postThing", Permission: Public, Unrecorded: true, Status: http.StatusNoContent},
		func(context.Context, *struct{ JSON[map[string]any] }) (None, error) { return None{}, nil })
	Expect(s.API().Err()).To(Succeed())
	return s
}

// ask sends a request from an address; a credential is put in front as "staff@".
func (s *site) ask(method, path, from string, change ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, "http://api.example"+path, nil)
	who, address, ok := strings.Cut(from, "@")
	if !ok {
		who, address = "", from
	}
	if r.RemoteAddr = address + ":4711"; strings.Contains(address, ":") {
		r.RemoteAddr = "[" + address + "]:4711"
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

// count tells how many of so many requests are not refused for being too many.
func (s *site) count(n int, path, from string) (let int) {
	for range n {
		resp := s.ask(http.MethodGet, path, from)
		if resp.StatusCode != http.StatusTooManyRequests {
			let++
		}
		_ = resp.Body.Close()
	}
	return let
}

func problemOf(resp *http.Response) (p Problem) {
	GinkgoHelper()
	body, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp).To(HaveHTTPHeaderWithValue("Content-Type", "application/problem+json"), "%s", body)
	Expect(json.Unmarshal(body, &p)).To(Succeed())
	return p
}

var _ = Describe("requests a minute", func() {
	It("are as many as a caller may send, and tell how many are left", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 3}})
		for i, left := range []string{`"default";r=2;t=20`, `"default";r=1;t=40`, `"default";r=0;t=60`} {
			resp := s.ask(http.MethodGet, "/v1/things", "staff@192.0.2.1")
			Expect(resp).To(And(HaveHTTPStatus(204), HaveHTTPHeaderWithValue("RateLimit-Policy", `"default";q=3;w=60`), HaveHTTPHeaderWithValue("RateLimit", left)), "%d", i)
		}
		refused := s.ask(http.MethodGet, "/v1/things", "staff@192.0.2.1")
		Expect(refused).To(And(HaveHTTPStatus(429), HaveHTTPHeaderWithValue("Retry-After", "20"), HaveHTTPHeaderWithValue("RateLimit", `"default";r=0;t=60`)))
		Expect(problemOf(refused).Code).To(Equal("rate_limited"))
		s.at.Add(int64(20 * time.Second))
		Expect(s.ask(http.MethodGet, "/v1/things", "staff@192.0.2.1")).To(HaveHTTPStatus(204))
	})

	It("are exact when 32 clients send them with one key", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000}})
		var let atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() { let.Add(int64(s.count(50, "/v1/things", "staff@192.0.2.1"))) })
		}
		all.Wait()
		Expect(let.Load()).To(BeEquivalentTo(1000))
	})

	It("are of the credential, wherever it is used, and of the address without one", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 10}})
		Expect(s.count(8, "/v1/things", "staff@192.0.2.1") + s.count(8, "/v1/checkout", "staff@192.0.2.2")).To(Equal(10))
		Expect(s.count(20, "/v1/things", "other@192.0.2.1")).To(Equal(10))
		Expect(s.count(20, "/v1/things", "192.0.2.1")).To(Equal(10))
		Expect(s.count(20, "/v1/things", "192.0.2.2")).To(Equal(10))
	})

	It("are of the whole network of a machine with IPv6, which has many addresses", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 10}})
		Expect(s.count(6, "/v1/things", "2001:db8:1:2::1") + s.count(6, "/v1/things", "2001:db8:1:2:ffff::9")).To(Equal(10))
		Expect(s.count(20, "/v1/things", "2001:db8:1:3::1")).To(Equal(10))
	})

	It("are counted where there is nothing as well", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 10}})
		Expect(s.count(20, "/nowhere", "192.0.2.1")).To(Equal(10))
		Expect(s.count(1, "/openapi.json", "192.0.2.1")).To(BeZero())
	})

	It("do not bind probes, the operator, or the shop's own deployments", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1}})
		for _, path := range []string{"/health", "/livez", "/readyz"} {
			Expect(s.count(20, path, "192.0.2.1")).To(Equal(20), path)
			Expect(s.ask(http.MethodGet, path, "192.0.2.1").Header).NotTo(HaveKey("Ratelimit"))
		}
		Expect(s.count(20, "/v1/things", "boot@192.0.2.1")).To(Equal(20))
		Expect(s.count(20, "/v1/things", "peer@192.0.2.1")).To(Equal(20))
	})

	It("with a publishable key are each address's own, since anybody has the key", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 10, Checkouts: 4}})
		Expect(s.count(20, "/v1/things", "page@192.0.2.1")).To(Equal(10))
		Expect(s.count(20, "/v1/checkout", "page@192.0.2.2")).To(Equal(4))
		Expect(s.count(20, "/v1/checkout", "page@192.0.2.3")).To(Equal(4))
	})

	It("with a key of few are few", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 10}})
		Expect(s.count(20, "/v1/things", "small@192.0.2.1")).To(Equal(5))
		Expect(newSite(Gateway{}).count(20, "/v1/things", "small@192.0.2.1")).To(Equal(20), "where limits are off")
	})

	It("are no more than the operator lets the shop have, whoever sends them", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 8}})
		s.opt.Tenants = leased{requests: 10, of: shopID}
		Expect(s.count(20, "/v1/things", "staff@192.0.2.1")).To(Equal(8))
		Expect(s.count(20, "/v1/things", "other@192.0.2.1")).To(Equal(2), "what a caller was refused is not the shop's")
		refused := s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.2")
		Expect(refused).To(And(HaveHTTPStatus(429), HaveHTTPHeaderWithValue("Retry-After", "6"), HaveHTTPHeaderWithValue("RateLimit-Policy", `"default";q=8;w=60, "shop";q=10;w=60`)))
		Expect(problemOf(refused).Code).To(Equal("rate_limited"))
		Expect(s.count(20, "/v1/things", "192.0.2.9")).To(Equal(8), "another shop has its own")
		Expect(s.count(20, "/v1/things", "boot@192.0.2.1")).To(Equal(20))
		Expect(s.count(20, "/v1/things", "peer@192.0.2.1")).To(Equal(20))
		Expect(s.count(20, "/health", "staff@192.0.2.1")).To(Equal(20))
	})

	It("are bound to what the operator says where there is no limit besides", func() {
		s := newSite(Gateway{})
		s.opt.Tenants = leased{requests: 10, of: shopID}
		Expect(s.count(20, "/v1/things", "staff@192.0.2.1")).To(Equal(10))
	})

	It("that are signed are any number, and those that are not end in their address not being heard", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 10}})
		s.opt.Tenants = leased{requests: 10, of: identity.DefaultTenant}
		Expect(s.count(1000, "/v1/hook?signature=good", "192.0.2.1")).To(Equal(1000))
		Expect(s.count(400, "/v1/hook", "192.0.2.2")).To(Equal(guesses.Requests))
		Expect(problemOf(s.ask(http.MethodGet, "/v1/hook?signature=good", "192.0.2.2")).Code).To(Equal("rate_limited"))
		Expect(s.count(20, "/v1/hook?signature=good", "192.0.2.1")).To(Equal(20), "others are heard")
		Expect(s.count(20, "/v1/things", "192.0.2.2")).To(Equal(10), "and the shop pays for none of it")
		s.at.Add(int64(time.Minute))
		Expect(s.ask(http.MethodGet, "/v1/hook?signature=good", "192.0.2.2")).To(HaveHTTPStatus(204))
	})

	It("can be any number", func() {
		s := newSite(Gateway{})
		Expect(s.count(2000, "/v1/things", "192.0.2.1")).To(Equal(2000))
	})

	It("to sign in are few for an address, whoever it says to be", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000, Logins: 30}})
		Expect(s.count(20, "/v1/things/a/login", "192.0.2.1") + s.count(20, "/v1/things/b/login", "anna@192.0.2.1")).To(Equal(30))
		Expect(s.ask(http.MethodGet, "/v1/things/a/login", "192.0.2.1").Header.Get("RateLimit-Policy")).To(Equal(`"login";q=30;w=60`))
		Expect(s.count(20, "/v1/things", "192.0.2.1")).To(Equal(20), "what is refused does not count against the rest")
		Expect(s.count(20, "/v1/things/a/login", "192.0.2.2")).To(Equal(20))
	})

	It("to check out are fewer for who shops than for who works there", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000, Checkouts: 120}})
		Expect(s.count(200, "/v1/checkout", "anna@192.0.2.1")).To(Equal(120))
		Expect(s.count(200, "/v1/checkout", "anna@192.0.2.2")).To(Equal(120))
		Expect(s.count(200, "/v1/checkout", "192.0.2.1")).To(Equal(120))
		Expect(s.count(200, "/v1/checkout", "staff@192.0.2.1")).To(Equal(200))
		resp := s.ask(http.MethodGet, "/v1/checkout", "anna@192.0.2.3")
		Expect(resp.Header.Get("RateLimit-Policy")).To(Equal(`"checkout";q=120;w=60, "default";q=1000;w=60`))
	})

	It("are let in when they have waited as long as they were told to", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000}})
		Expect(s.count(6, "/v1/things", "small@192.0.2.77")).To(Equal(5))
		s.at.Add(int64(500 * time.Millisecond))
		resp := s.ask(http.MethodGet, "/v1/things", "small@192.0.2.77")
		Expect(resp).To(HaveHTTPStatus(429))
		wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		Expect(err).NotTo(HaveOccurred())
		s.at.Add(int64(time.Duration(wait-1) * time.Second))
		Expect(s.ask(http.MethodGet, "/v1/things", "small@192.0.2.77")).To(HaveHTTPStatus(429), "it is not told to wait for nothing")
		s.at.Add(int64(time.Second))
		Expect(s.ask(http.MethodGet, "/v1/things", "small@192.0.2.77")).To(HaveHTTPStatus(204))
	})

	It("with credentials that are not valid end in none being looked at", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000}})
		Expect(s.count(400, "/v1/things", "wrong@192.0.2.1")).To(Equal(guesses.Requests))
		Expect(s.ask(http.MethodGet, "/v1/things", "staff@192.0.2.1")).To(HaveHTTPStatus(429), "nobody knows it yet")
		Expect(s.ask(http.MethodGet, "/v1/things", "staff@192.0.2.2")).To(HaveHTTPStatus(204))
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1")).To(HaveHTTPStatus(204))
		s.at.Add(int64(time.Minute))
		Expect(s.ask(http.MethodGet, "/v1/things", "staff@192.0.2.1")).To(HaveHTTPStatus(204))
	})
})

var _ = Describe("guesses from an address", func() {
	var (
		s   *site
		all guests
	)
	BeforeEach(func() {
		s = newSite(Gateway{Limits: Limits{Requests: 1000}})
		all = s.credentials[0].(guests)
		Expect(s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.1")).To(HaveHTTPStatus(204))
		s.count(guesses.Requests, "/v1/things", "wrong@192.0.2.1")
		Expect(s.ask(http.MethodGet, "/v1/things", "wrong@192.0.2.1")).To(HaveHTTPStatus(429))
	})

	It("do not keep out who was let in before, nor who runs the program", func() {
		for _, who := range []string{"anna", "boot", "peer"} {
			Expect(s.ask(http.MethodGet, "/v1/things", who+"@192.0.2.1")).To(HaveHTTPStatus(204), who)
		}
	})

	It("keep out a credential that was good and is not any more, once it was seen", func() {
		delete(all, "anna")
		Expect(s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.1")).To(HaveHTTPStatus(401))
		Expect(s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.1")).To(HaveHTTPStatus(429))
	})
})

var _ = Describe("credentials that were good lately", func() {
	It("are a bounded number", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000}})
		now := s.opt.Clock()
		for i := range trustedMost {
			var hash [32]byte
			binary.BigEndian.PutUint64(hash[:], uint64(i))
			s.good.note(hash, now, s.credentials[0])
		}
		Expect(s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.1")).To(HaveHTTPStatus(204))
		Expect(s.good.last).To(HaveLen(1), "room is made for who comes now")
	})

	It("are guesses again when they were not shown for a while", func() {
		s := newSite(Gateway{Limits: Limits{Requests: 1000}})
		Expect(s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.1")).To(HaveHTTPStatus(204))
		s.at.Add(int64(trustLasts))
		s.count(guesses.Requests, "/v1/things", "wrong@192.0.2.1")
		Expect(s.ask(http.MethodGet, "/v1/things", "anna@192.0.2.1")).To(HaveHTTPStatus(429))
	})
})

var _ = Describe("the size of a request", func() {
	s := newSite(Gateway{})

	It("is refused when its address is too long", func() {
		resp := s.ask(http.MethodGet, "/v1/things?"+strings.Repeat("x", 17<<10), "192.0.2.1")
		Expect(resp).To(HaveHTTPStatus(414))
		Expect(problemOf(resp).Code).To(Equal("uri_too_long"))
	})

	It("is refused when its headers are too large, be it one or all together", func() {
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Header.Set("X-Big", strings.Repeat("x", 17<<10)) },
			func(r *http.Request) {
				for range 1700 {
					r.Header.Add("X-Many", "123456")
				}
			},
		} {
			resp := s.ask(http.MethodGet, "/v1/things", "192.0.2.1", change)
			Expect(resp).To(HaveHTTPStatus(431))
			Expect(problemOf(resp).Code).To(Equal("headers_too_large"))
		}
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1", func(r *http.Request) { r.Header.Set("X-Big", strings.Repeat("x", 15<<10)) })).To(HaveHTTPStatus(204))
	})

	DescribeTable("is refused when its body is", func(body string, length int64, status int) {
		resp := s.ask(http.MethodPut, "/v1/things", "192.0.2.1", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), length
			if length == 0 {
				r.ContentLength = int64(len(body))
			}
			r.Header.Set("Content-Type", "application/json")
		})
		Expect(resp).To(HaveHTTPStatus(status))
	},
		Entry("two megabytes and a byte", `{"a":"`+strings.Repeat("x", 2<<20)+`"}`, int64(0), 413),
		Entry("as much without saying so", `{"a":"`+strings.Repeat("x", 2<<20)+`"}`, int64(-1), 413),
		Entry("deep", `{"a":`+strings.Repeat("[", 64)+strings.Repeat("]", 64)+`}`, int64(0), 400),
		Entry("deeper than any stack", `{"a":`+strings.Repeat("[", 100_001), int64(0), 400),
		Entry("of more names than anything has", `{"a":[`+strings.TrimSuffix(strings.Repeat(`{"b":1,"c":2},`, 5000), ",")+`]}`, int64(0), 400),
		Entry("none of that", `{"a":[`+strings.TrimSuffix(strings.Repeat(`{"b":1,"c":2},`, 4999), ",")+`]}`, int64(0), 204),
	)
})

var _ = DescribeTable("a request that can be repeated is as bounded as any", func(length int, said bool) {
	body := `{"a":"` + strings.Repeat("x", length-len(`{"a":""}`)) + `"}`
	resp := newSite(Gateway{}).ask(http.MethodPost, "/v1/things", "192.0.2.1", func(r *http.Request) {
		if r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1; said {
			r.ContentLength = int64(len(body))
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "once")
	})
	Expect(resp).To(HaveHTTPStatus(413))
	Expect(problemOf(resp).Code).To(Equal("body_too_large"))
},
	Entry("by a byte", 256<<10+1, true),
	Entry("by a byte, without saying so", 256<<10+1, false),
	Entry("by much, without saying so", 2<<20, false),
)

var _ = Describe("every answer", func() {
	s := newSite(Gateway{})

	It("binds browsers to HTTPS where that is what they came by", func() {
		s := newSite(Gateway{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
		by := func(scheme string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", scheme) }
		}
		const bound = "Strict-Transport-Security"
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1", by("https"))).To(HaveHTTPHeaderWithValue(bound, "max-age=31536000"))
		Expect(s.ask(http.MethodGet, "/nowhere", "192.0.2.1", by("https"))).To(HaveHTTPHeaderWithValue(bound, "max-age=31536000"))
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1", by("http")).Header).NotTo(HaveKey(bound))
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.2", by("https")).Header).NotTo(HaveKey(bound), "who says so is not believed")
	})

	DescribeTable("tells browsers to do nothing with it that nobody meant", func(path string, status int) {
		Expect(s.ask(http.MethodGet, path, "192.0.2.1")).To(And(HaveHTTPStatus(status),
			HaveHTTPHeaderWithValue("X-Content-Type-Options", "nosniff"), HaveHTTPHeaderWithValue("Referrer-Policy", "no-referrer"),
			HaveHTTPHeaderWithValue("Content-Security-Policy", And(ContainSubstring("default-src 'none'"), ContainSubstring("frame-ancestors 'none'"))),
			HaveHTTPHeaderWithValue("Cross-Origin-Resource-Policy", "same-origin"), HaveHTTPHeaderWithValue("Permissions-Policy", ContainSubstring("geolocation=()")),
			Not(HaveHTTPHeaderWithValue("Strict-Transport-Security", Not(BeEmpty()))),
		))
	},
		func(path string, status int) string { return path },
		Entry(nil, "/v1/things", 204),
		Entry(nil, "/nowhere", 404),
		Entry(nil, "/health", 200),
		Entry(nil, "/openapi.json", 200),
		Entry(nil, "/docs", 200),
	)

	It("holds the page of the documentation to what the page holds itself to", func() {
		resp := s.ask(http.MethodGet, "/docs", "192.0.2.1")
		page, err := io.ReadAll(resp.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(page)).To(ContainSubstring(strings.TrimSuffix(resp.Header.Get("Content-Security-Policy"), "; frame-ancestors 'none'") + `"`))
	})
})

var _ = Describe("more work than can be done", func() {
	It("waits for its turn", func() {
		s := newSite(Gateway{Concurrency: 1})
		s.gate.patience = time.Minute
		answers := make(chan int, 2)
		for range 2 {
			go func() { answers <- s.ask(http.MethodGet, "/v1/work", "192.0.2.1").StatusCode }()
		}
		Eventually(s.working).Should(Receive())
		Eventually(s.gate.length).Should(Equal(1))
		Expect(s.working).NotTo(Receive())
		s.done <- struct{}{}
		Eventually(s.working).Should(Receive())
		s.done <- struct{}{}
		Eventually(answers).Should(Receive(Equal(204)))
		Eventually(answers).Should(Receive(Equal(204)))
		Expect(s.gate.length()).To(BeZero())
		Expect(s.gate.slots).To(BeEmpty())
	})

	It("is refused when as much waits as can be done at once, and probes are answered", func() {
		s := newSite(Gateway{Concurrency: 2})
		s.gate.patience = time.Minute
		answers := make(chan int, 4)
		for range 4 {
			go func() { answers <- s.ask(http.MethodGet, "/v1/work", "192.0.2.1").StatusCode }()
		}
		Eventually(s.gate.length).Should(Equal(2))
		resp := s.ask(http.MethodGet, "/v1/things", "192.0.2.1")
		Expect(resp).To(And(HaveHTTPStatus(503), HaveHTTPHeaderWithValue("Retry-After", "1")))
		Expect(problemOf(resp).Code).To(Equal("overloaded"))
		Expect(s.ask(http.MethodGet, "/readyz", "192.0.2.1")).To(HaveHTTPStatus(200))
		for range 4 {
			s.done <- struct{}{}
		}
		for range 4 {
			Eventually(answers).Should(Receive(Equal(204)))
		}
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1")).To(HaveHTTPStatus(204))
	})

	It("is refused after a while", func() {
		s := newSite(Gateway{Concurrency: 1})
		s.gate.patience = 10 * time.Millisecond
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			s.ask(http.MethodGet, "/v1/work", "192.0.2.1")
		}()
		Eventually(s.working).Should(Receive())
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1")).To(HaveHTTPStatus(503))
		Expect(s.gate.length()).To(BeZero())
		s.done <- struct{}{}
		Eventually(answered).Should(BeClosed())
	})

	It("is refused soon where there has been a queue for a while", func() {
		s := newSite(Gateway{Concurrency: 8})
		s.gate.patience, s.gate.rush = time.Minute, time.Millisecond
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() { s.ask(http.MethodGet, "/v1/work", "192.0.2.1") })
		}
		Eventually(s.gate.length).Should(Equal(1))
		s.at.Add(int64(s.gate.memory + 1))
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1")).To(HaveHTTPStatus(503))
		Expect(s.gate.length()).To(Equal(1), "who came before the rush still waits")
		for range 9 {
			s.done <- struct{}{}
		}
		all.Wait()
		Expect(s.ask(http.MethodGet, "/v1/things", "192.0.2.1")).To(HaveHTTPStatus(204))
	})

	It("is not waited for by who has gone", func() {
		s := newSite(Gateway{Concurrency: 1})
		s.gate.patience = time.Minute
		first, second := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(first)
			s.ask(http.MethodGet, "/v1/work", "192.0.2.1")
		}()
		Eventually(s.working).Should(Receive())
		ctx, leave := context.WithCancel(context.Background())
		go func() {
			defer close(second)
			s.ask(http.MethodGet, "/v1/work", "192.0.2.2", func(r *http.Request) { *r = *r.WithContext(ctx) })
		}()
		Eventually(s.gate.length).Should(Equal(1))
		leave()
		Eventually(second).Should(BeClosed())
		Expect(s.gate.length()).To(BeZero())
		s.done <- struct{}{}
		Eventually(first).Should(BeClosed())
	})

	It("does not include those who listen to a feed", func() {
		s := newSite(Gateway{Concurrency: 1})
		s.gate.patience = 0
		told := make(chan Event[tick])
		Stream(s.API(), Route{Method: http.MethodGet, Path: "/v1/ticks", ID: "ticks", Permission: Public},
			func(context.Context, *struct{}) (Feed[tick], error) { return Feed[tick]{told, func() {}}, nil })
		server := httptest.NewServer(s.Handler())
		DeferCleanup(server.Close)
		for range 3 {
			resp, err := http.Get(server.URL + "/v1/ticks")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(resp.Body.Close)
			Expect(resp).To(HaveHTTPStatus(200))
		}
		Expect(http.Get(server.URL + "/v1/things")).To(HaveHTTPStatus(204))
		close(told)
	})
})

// length of the queue.
func (g *gate) length() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
