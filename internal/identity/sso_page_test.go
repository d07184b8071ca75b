package identity

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a sign-in that ends at a page", func() {
	const page = "https://kiln.example:8443/welcome?from=acme"
	var (
		s    *shop
		i    *issuer
		host string
	)
	BeforeEach(func() {
		s, i = open(), newIssuer()
		host = "api." + s.Tenant.String() + ".example"
		_, err := s.super.Exec(`update platform.tenant set settings = '{"storefrontUrl":"https://kiln.example:8443/shop"}' where tenant_id = $1`, s.Tenant)
		Expect(err).NotTo(HaveOccurred())
		_, err = s.super.Exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2)`, s.Tenant, host)
		Expect(err).NotTo(HaveOccurred())
		s.trusts(i, object{"kind": "customer"})
		Eventually(func() int { return s.start(page).Status }).Should(Equal(http.StatusFound), "what a shop has decided is known within two seconds")
	})
	// ended is a browser at the page: what stands behind the #, and the cookie that it keeps.
	ended := func(twist ...func(callback string) string) (said url.Values, cookie string) {
		GinkgoHelper()
		r := s.start(page)
		callback := i.authorize(r.Header.Get("Location"))
		for _, t := range twist {
			callback = t(callback)
		}
		r = s.back(callback, kept(r, flowCookie))
		Expect(r.Status).To(Equal(http.StatusFound), "%s", r.Raw)
		Expect(r.Raw).To(BeEmpty())
		at, behind, _ := strings.Cut(r.Header.Get("Location"), "#")
		Expect(at).To(Equal(page))
		said, err := url.ParseQuery(behind)
		Expect(err).NotTo(HaveOccurred())
		return said, kept(r, pageCookie)
	}
	exchange := func(code, cookie string) testkit.Response {
		GinkgoHelper()
		return s.Post("/v1/auth/oidc/exchange", object{"code": code}, testkit.Header{Name: "Cookie", Value: cookie})
	}

	It("brings a code, which the browser exchanges for what login answers with, once", func() {
		said, cookie := ended()
		Expect(said).To(HaveLen(1))
		r := exchange(said.Get("code"), cookie)
		g := read[granted](r)
		Expect(s.as(g).Get("/v1/me").JSON()).To(HaveKeyWithValue("account", HaveKeyWithValue("email", i.person["email"])))
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Status).To(Equal(http.StatusOK))
		Expect(r.Header.Values("Set-Cookie")).To(ContainElement(And(HavePrefix("fusion_exchange=;"), ContainSubstring("Max-Age=0"))))
		again := exchange(said.Get("code"), cookie)
		Expect(again.Status).To(Equal(http.StatusBadRequest))
		Expect(again.Code()).To(Equal("sign_in_expired"))
	})

	It("is exchanged by one of many who try at once", func() {
		said, cookie := ended()
		answers := make(chan int, 8)
		parallel(8, func(int) { answers <- exchange(said.Get("code"), cookie).Status })
		close(answers)
		count := map[int]int{}
		for status := range answers {
			count[status]++
		}
		Expect(count).To(Equal(map[int]int{http.StatusOK: 1, http.StatusBadRequest: 7}))
	})

	DescribeTable("is not exchanged", func(twist func(code, cookie string) (string, string)) {
		said, cookie := ended()
		r := exchange(twist(said.Get("code"), cookie))
		Expect(r.Status).To(Equal(http.StatusBadRequest), "%s", r.Raw)
		Expect(r.Code()).To(Equal("sign_in_expired"))
		Expect(exchange(said.Get("code"), cookie).Status).To(Equal(http.StatusOK), "it is still its browser's")
	},
		Entry("in another browser", func(code, _ string) (string, string) { return code, "" }),
		Entry("in a browser that came back with another code", func(code, _ string) (string, string) {
			_, other := ended()
			return code, other
		}),
		Entry("by another code", func(_, cookie string) (string, string) {
			other, _ := newOpaque(codePrefix, s.Tenant)
			return other, cookie
		}),
		Entry("by the cookie of the sign-in", func(code, _ string) (string, string) {
			return code, pageCookie + "=" + strings.TrimPrefix(kept(s.start(page), flowCookie), flowCookie+"=")
		}),
		Entry("by a cookie that is none", func(code, cookie string) (string, string) { return code, cookie[:len(cookie)-3] }),
	)

	It("is not exchanged at another shop", func() {
		said, cookie := ended()
		theirs := open()
		r := theirs.Post("/v1/auth/oidc/exchange", object{"code": said.Get("code")}, testkit.Header{Name: "Cookie", Value: cookie})
		Expect(r.Code()).To(Equal("sign_in_expired"))
	})

	It("is not exchanged after a minute, and leaves no session then", func() {
		said, cookie := ended()
		now := s.module.svc.now
		s.module.svc.now = func() time.Time { return now().Add(pageLife) }
		Expect(exchange(said.Get("code"), cookie).Code()).To(Equal("sign_in_expired"))
		for _, table := range []string{"identity.session", "identity.refresh_token"} {
			var left float64
			Expect(s.super.QueryRow(`select extract(epoch from max(expires_at) - now()) from `+table+` where tenant_id = $1`, s.Tenant).Scan(&left)).To(Succeed())
			Expect(left).To(BeNumerically("<=", pageLife.Seconds()), table)
		}
	})

	It("is not exchanged for an account that was erased meanwhile", func() {
		said, cookie := ended()
		var customer string
		Expect(s.super.QueryRow(`select customer_id from identity.account where tenant_id = $1`, s.Tenant).Scan(&customer)).To(Succeed())
		Expect(s.Call(http.MethodDelete, "/v1/customers/"+customer, nil).Status).To(BeNumerically("<", 300))
		Expect(exchange(said.Get("code"), cookie).Code()).To(Equal("sign_in_expired"))
	})

	It("says there what went wrong", func() {
		said, cookie := ended(func(callback string) string { return callback + "&error=access_denied" })
		Expect(said).To(Equal(url.Values{"error": {"provider_refused"}}))
		Expect(cookie).To(BeEmpty())
		i.is(func(i *issuer) { i.person["email_verified"] = false })
		said, _ = ended()
		Expect(said).To(Equal(url.Values{"error": {"not_invited"}}))
		Expect(s.sessions()).To(BeZero())
	})

	It("ends at our own answer when the browser does not bring what it kept", func() {
		r := s.back(i.authorize(s.start(page).Header.Get("Location")), "")
		Expect(r.Status).To(Equal(http.StatusBadRequest))
		Expect(r.Header).NotTo(HaveKey("Location"))
	})

	DescribeTable("may end at", func(address func() string) {
		Expect(s.start(address()).Status).To(Equal(http.StatusFound))
	},
		Entry("any page of the storefront", func() string { return "https://kiln.example:8443/" }),
		Entry("the storefront itself", func() string { return "https://kiln.example:8443" }),
		Entry("a page at a host of the shop", func() string { return "https://" + host + "/admin/?a=b&c=d" }),
		Entry("a host in capitals", func() string { return "HTTPS://" + strings.ToUpper(host) + "/" }),
		Entry("the port that goes without saying", func() string { return "https://" + host + ":443/" }),
	)

	DescribeTable("may not end at", func(address string) {
		theirs := open()
		other := "theirs." + theirs.Tenant.String() + ".example"
		_, err := s.super.Exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2)`, theirs.Tenant, other)
		Expect(err).NotTo(HaveOccurred())
		r := s.start(strings.NewReplacer("HOST", host, "THEIRS", other).Replace(address))
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity), "%s %s", r.Raw, r.Header.Get("Location"))
		Expect(r.Code()).To(BeElementOf("return_not_allowed", "invalid_text"))
		Expect(r.Header).NotTo(Or(HaveKey("Location"), HaveKey("Set-Cookie")))
	},
		Entry("another site", "https://evil.example/"),
		Entry("another shop of the installation", "https://THEIRS/"),
		Entry("the storefront without TLS", "http://kiln.example:8443/"),
		Entry("another port of the storefront", "https://kiln.example/"),
		Entry("another port of a host", "https://HOST:444/"),
		Entry("a host without TLS", "http://HOST/"),
		Entry("a name that begins so", "https://HOST.evil.example/"),
		Entry("a name that ends so", "https://evilHOST/"),
		Entry("a name below a host", "https://evil.HOST/"),
		Entry("a port that begins so", "https://kiln.example:84430/"),
		Entry("a user that looks like the shop", "https://kiln.example:8443@evil.example/"),
		Entry("a user", "https://ana@kiln.example:8443/"),
		Entry("a user and a password", "https://ana:secret@HOST/"),
		Entry("a backslash for a slash", `https:\\evil.example/`),
		Entry("a backslash in the name", `https://evil.example\@HOST/`),
		Entry("a backslash behind the name", `https://HOST\.evil.example/`),
		Entry("three slashes", "https:///HOST/"),
		Entry("four slashes", "https:////evil.example/"),
		Entry("no slashes", "https:HOST"),
		Entry("no scheme", "//HOST/"),
		Entry("a path", "/welcome"),
		Entry("a path of slashes", "//evil.example/"),
		Entry("a script", "javascript:alert(1)//HOST/"),
		Entry("data", "data:text/html,<script>alert(1)</script>"),
		Entry("a scheme of an app", "kiln://HOST/"),
		Entry("a place in the page", "https://HOST/#x"),
		Entry("a point behind the name", "https://HOST./"),
		Entry("a point of another script", "https://kiln。example:8443/"),
		Entry("a name in wide letters", "https://ｋiln.example:8443/"),
		Entry("an escaped point", "https://kiln%2eexample:8443/"),
		Entry("an escaped slash", "https://kiln.example:8443%2f@evil.example/"),
		Entry("a line in it", "https://HOST/\r\nSet-Cookie: a=b"),
		Entry("a tab in it", "https://HO\tST/"),
		Entry("blanks around it", " https://HOST/ "),
		Entry("an address of the machine", "https://127.0.0.1/"),
		Entry("null", "null"),
	)
})

var _ = Describe("the address that a provider sends people back to", func() {
	redirect := func(s *shop, host string) string {
		GinkgoHelper()
		r, err := http.NewRequest(http.MethodGet, s.URL+"/v1/auth/oidc/acme/start", nil)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+s.Key)
		if host != "" {
			r.Host = host
		}
		answer := s.Do(r)
		Expect(answer.Status).To(Equal(http.StatusFound), "%s", answer.Raw)
		u, err := url.Parse(answer.Header.Get("Location"))
		Expect(err).NotTo(HaveOccurred())
		return u.Query().Get("redirect_uri")
	}

	It("is the one that the request came to, when nobody has said where the installation is found", func() {
		s := open()
		s.trusts(newIssuer(), object{"kind": "customer"})
		Expect(redirect(s, "")).To(Equal(s.URL + "/v1/auth/oidc/acme/callback"))
		Expect(redirect(s, "kiln.example:8080")).To(Equal("http://kiln.example:8080/v1/auth/oidc/acme/callback"))
	})

	It("is where the installation is found, or the shop's own host there, whatever a request calls it", func() {
		s, theirs := openAt("https://fusion.example:8443"), open()
		host, other := "api."+s.Tenant.String()+".example", "api."+theirs.Tenant.String()+".example"
		_, err := s.super.Exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2), ($3, $4)`, s.Tenant, host, theirs.Tenant, other)
		Expect(err).NotTo(HaveOccurred())
		s.trusts(newIssuer(), object{"kind": "customer"})
		const installation = "https://fusion.example:8443/v1/auth/oidc/acme/callback"
		Expect(redirect(s, "")).To(Equal(installation))
		Expect(redirect(s, "evil.example")).To(Equal(installation))
		Expect(redirect(s, other)).To(Equal(installation))
		Expect(redirect(s, strings.ToUpper(host)+":80")).To(Equal("https://" + host + ":8443/v1/auth/oidc/acme/callback"))
	})
})

// start is a browser that wants to sign in and end at a page.
func (s *shop) start(page string) testkit.Response {
	GinkgoHelper()
	return s.Get("/v1/auth/oidc/acme/start?returnTo=" + url.QueryEscape(page))
}

// kept is a cookie that an answer has the browser keep, as it sends it.
func kept(r testkit.Response, name string) string {
	GinkgoHelper()
	for _, line := range r.Header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		Expect(err).NotTo(HaveOccurred())
		if c.Name == name && c.Value != "" {
			Expect(c).To(And(HaveField("HttpOnly", true), HaveField("SameSite", http.SameSiteLaxMode)))
			return name + "=" + c.Value
		}
	}
	return ""
}
