package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/certkit"
)

var _ = Describe("a shop with a certificate", func() {
	var (
		authority *certkit.Authority
		shop      *deployed
		given     []string
	)

	BeforeEach(func() {
		authority = certkit.New()
		certFile, keyFile := authority.Issue("shop", "127.0.0.1", time.Hour)
		given = append(onDatabase(testkit.NewDatabase())[:3], "FUSION_HTTP_TLS_CERT_FILE="+certFile, "FUSION_HTTP_TLS_KEY_FILE="+keyFile, "FUSION_LIMITS_REQUESTS_PER_MINUTE=0")
		shop = deploy(unusedAddress(), given)
		given = append(given, "FUSION_ADDR="+shop.addr, "FUSION_OPS_ADDR=")
	})

	// browser trusts the authority.
	browser := func(change ...func(*tls.Config)) *http.Client {
		conf := &tls.Config{RootCAs: authority.Pool()}
		for _, f := range change {
			f(conf)
		}
		t := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
		DeferCleanup(t.CloseIdleConnections)
		return &http.Client{Transport: t}
	}
	get := func(c *http.Client, url string) (*http.Response, error) {
		resp, err := c.Get(url)
		if err == nil {
			_ = resp.Body.Close()
		}
		return resp, err
	}

	It("speaks TLS 1.3 and nothing else, and is found by its own commands", func() {
		resp, err := get(browser(), "https://"+shop.addr+"/v1/products")
		Expect(err).NotTo(HaveOccurred())
		Expect(resp).To(And(HaveHTTPStatus(200), HaveField("Proto", "HTTP/2.0"), HaveField("TLS.Version", uint16(tls.VersionTLS13)),
			HaveHTTPHeaderWithValue("Strict-Transport-Security", ContainSubstring("max-age="))))
		_, err = get(browser(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "https://"+shop.addr+"/health")
		Expect(err).To(MatchError(ContainSubstring("protocol version")))
		_, err = get(&http.Client{}, "https://"+shop.addr+"/health")
		Expect(err).To(MatchError(ContainSubstring("certificate")), "nobody else trusts the authority")
		Expect(get(http.DefaultClient, "http://"+shop.addr+"/health")).To(HaveHTTPStatus(400))
		Expect(fusion(given, "health").code).To(BeZero())
		Expect(fusion(given, "doctor").out).To(And(ContainSubstring("the shop answers on "+shop.addr), MatchRegexp(`! certificates .* expires on`)))
	})

	It("is there for others while somebody takes back all that they ask (CVE-2023-44487)", func() {
		rude, polite := browser(), browser()
		_, err := get(rude, "https://"+shop.addr+"/health")
		Expect(err).NotTo(HaveOccurred())
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 500 {
					ctx, takeBack := context.WithCancel(context.Background())
					r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+shop.addr+"/v1/products", http.NoBody)
					if err != nil {
						takeBack()
						return
					}
					// As soon as the request is on its way.
					r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { takeBack() }}))
					if resp, err := rude.Do(r); err == nil {
						_ = resp.Body.Close()
					}
					takeBack()
				}
			})
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			all.Wait()
		}()
		Eventually(func() chan struct{} {
			Expect(get(polite, "https://"+shop.addr+"/v1/products")).To(HaveHTTPStatus(200))
			return over
		}, 2*testkit.Patience).Should(BeClosed())
		Expect(get(polite, "https://"+shop.addr+"/v1/products")).To(HaveHTTPStatus(200))
	})

	It("shows a renewed one to who comes, and drops nobody who is there", func() {
		there := browser()
		stays := func() {
			GinkgoHelper()
			reused := false
			r, err := http.NewRequest(http.MethodGet, "https://"+shop.addr+"/health", http.NoBody)
			Expect(err).NotTo(HaveOccurred())
			resp, err := there.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})))
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			Expect(reused).To(BeTrue())
		}
		first, err := get(there, "https://"+shop.addr+"/health")
		Expect(err).NotTo(HaveOccurred())
		stays()
		shown := func() string {
			resp, err := get(browser(), "https://"+shop.addr+"/health")
			Expect(err).NotTo(HaveOccurred())
			return resp.TLS.PeerCertificates[0].SerialNumber.String()
		}
		authority.Issue("shop", "127.0.0.1", 2*time.Hour)
		Eventually(shown).ShouldNot(Equal(first.TLS.PeerCertificates[0].SerialNumber.String()))
		stays()

		By("breaking it")
		second := shown()
		Expect(os.WriteFile(strings.TrimPrefix(given[3], "FUSION_HTTP_TLS_CERT_FILE="), []byte("soon"), 0o600)).To(Succeed())
		Consistently(shown, 3*time.Second, 500*time.Millisecond).Should(Equal(second))
		stays()
	})
})

var _ = Describe("deployments that know each other by certificates", func() {
	It("accept the service key from who shows one, and from nobody else", func() {
		authority := certkit.New()
		shopCert, shopKey := authority.Issue("shop", "127.0.0.1", time.Hour)
		ordersCert, ordersKey := authority.Issue("orders", "orders", time.Hour)
		strangerCert, strangerKey := certkit.New().Issue("stranger", "orders", time.Hour)
		const shared, owner = "FUSION_SERVICE_KEY=the-deployments-of-the-specs", "FUSION_BOOTSTRAP_KEY=" + ownerOfTheSpecs
		catalog := deploy(unusedAddress(), append(onDatabase(testkit.NewDatabase())[:3], owner, shared,
			"FUSION_HTTP_TLS_CERT_FILE="+shopCert, "FUSION_HTTP_TLS_KEY_FILE="+shopKey, "FUSION_HTTP_TLS_CLIENT_CA_FILE="+authority.File), "--modules", "catalog")
		orders := func(settings ...string) *deployed {
			GinkgoHelper()
			return deploy(unusedAddress(), append(append(onDatabase(testkit.NewDatabase())[:3], owner, shared, "FUSION_CATALOG_URL=https://"+catalog.addr,
				"FUSION_SERVICE_TLS_CA_FILE="+authority.File), settings...), "--modules", "orders,inventory")
		}
		order := `{"customerId":"c-1","items":[{"sku":"MUG","quantity":2}]}`
		resp, problem := orders("FUSION_SERVICE_TLS_CERT_FILE="+ordersCert, "FUSION_SERVICE_TLS_KEY_FILE="+ordersKey).post("/v1/orders", order)
		Expect(resp).To(HaveHTTPStatus(422), "%v", problem)
		Expect(problem).To(HaveKeyWithValue("code", "unknown_sku"), "the catalog has answered")
		resp, _ = orders().post("/v1/orders", order)
		Expect(resp).To(HaveHTTPStatus(503))
		resp, _ = orders("FUSION_SERVICE_TLS_CERT_FILE="+strangerCert, "FUSION_SERVICE_TLS_KEY_FILE="+strangerKey).post("/v1/orders", order)
		Expect(resp).To(HaveHTTPStatus(503))
	})

	It("let in who has signed in at the one with the accounts, by certificates alike", func() {
		authority := certkit.New()
		shopCert, shopKey := authority.Issue("shop", "127.0.0.1", time.Hour)
		restCert, restKey := authority.Issue("rest", "rest", time.Hour)
		const shared, owner = "FUSION_SERVICE_KEY=the-deployments-of-the-specs", "FUSION_BOOTSTRAP_KEY=" + ownerOfTheSpecs
		there := testkit.NewDatabase()
		dir := GinkgoT().TempDir()
		people := deploy(unusedAddress(), append(onDatabase(there)[:3], owner, shared, "FUSION_MAIL_DIR="+dir,
			"FUSION_HTTP_TLS_CERT_FILE="+shopCert, "FUSION_HTTP_TLS_KEY_FILE="+shopKey, "FUSION_HTTP_TLS_CLIENT_CA_FILE="+authority.File), "--modules", "identity")
		ask := func(method, url, bearer, body string) (*http.Response, map[string]any) {
			GinkgoHelper()
			r, err := http.NewRequest(method, url, strings.NewReader(body))
			Expect(err).NotTo(HaveOccurred())
			r.Header.Set("Content-Type", "application/json")
			if bearer != "" {
				r.Header.Set("Authorization", "Bearer "+bearer)
			}
			t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
			defer t.CloseIdleConnections()
			resp, err := (&http.Client{Transport: t}).Do(r)
			Expect(err).NotTo(HaveOccurred())
			defer resp.Body.Close()
			var answer map[string]any
			Expect(json.NewDecoder(resp.Body).Decode(&answer)).To(Succeed())
			return resp, answer
		}
		const who = `{"email":"ana@example.com","password":"correct horse battery"}`
		resp, _ := ask(http.MethodPost, "https://"+people.addr+"/v1/auth/register", "", who)
		Expect(resp).To(HaveHTTPStatus(202))
		_, grant := ask(http.MethodPost, "https://"+people.addr+"/v1/auth/login", "", who)
		Expect(grant).To(HaveKeyWithValue("accessToken", Not(BeEmpty())))
		mine := func(settings ...string) (*http.Response, map[string]any) {
			GinkgoHelper()
			rest := deploy(unusedAddress(), append(append(onDatabase(testkit.NewDatabase())[:3], owner, shared, "FUSION_IDENTITY_URL=https://"+people.addr,
				"FUSION_SERVICE_TLS_CA_FILE="+authority.File), settings...), "--modules", "catalog,inventory,orders")
			return ask(http.MethodGet, "http://"+rest.addr+"/v1/orders", grant["accessToken"].(string), "")
		}
		resp, answer := mine("FUSION_SERVICE_TLS_CERT_FILE="+restCert, "FUSION_SERVICE_TLS_KEY_FILE="+restKey)
		Expect(resp).To(HaveHTTPStatus(200), "%v", answer)
		resp, answer = mine()
		Expect(resp).To(HaveHTTPStatus(503), "%v", answer)
	})
})

var _ = Describe("fusion doctor about certificates", func() {
	DescribeTable("finds", func(host string, life time.Duration, addr, state, detail string) {
		certFile, keyFile := certkit.New().Issue("shop", host, life)
		c := fusion(append(onDatabase(testkit.NewDatabase())[:3], "FUSION_HTTP_TLS_CERT_FILE="+certFile, "FUSION_HTTP_TLS_KEY_FILE="+keyFile, "FUSION_ADDR="+addr), "doctor", "--json")
		Expect(parsed[struct{ Findings []finding }](c).Findings).To(ContainElement(And(
			HaveField("Check", "certificates"), HaveField("State", state), HaveField("Detail", ContainSubstring(detail)))))
	},
		Entry("a good one", "shop.example", 60*24*time.Hour, "127.0.0.1:0", fine, "for shop.example until"),
		Entry("one that nobody has renewed", "shop.example", 20*24*time.Hour, "127.0.0.1:0", warning, "expires on"),
		Entry("one that has expired", "shop.example", -time.Hour, "127.0.0.1:0", problem, "expired on"),
		Entry("one for another name", "other.example", 60*24*time.Hour, "192.0.2.1:443", problem, "is for other.example"),
	)

	It("finds a key of another", func() {
		authority := certkit.New()
		certFile, _ := authority.Issue("shop", "shop.example", time.Hour)
		_, keyFile := authority.Issue("other", "shop.example", time.Hour)
		c := fusion(onDatabase(testkit.NewDatabase(), "FUSION_HTTP_TLS_CERT_FILE="+certFile, "FUSION_HTTP_TLS_KEY_FILE="+keyFile), "doctor", "--json")
		Expect(c.code).To(Equal(exitProblems))
		Expect(parsed[struct{ Findings []finding }](c).Findings).To(ContainElement(And(HaveField("Check", "certificates"), HaveField("State", problem), HaveField("Detail", ContainSubstring("does not match")))))
		Expect(fusion(onDatabase(testkit.NewDatabase(), "FUSION_HTTP_TLS_CERT_FILE="+certFile, "FUSION_HTTP_TLS_KEY_FILE="+keyFile), "serve").err).To(ContainSubstring("http.tls_cert_file"))
	})

	It("finds a store of limits that is away, which nobody has to have", func() {
		c := fusion(onDatabase(testkit.NewDatabase(), "FUSION_LIMITS_STORE_URL=redis://:open-sesame@127.0.0.1:1"), "doctor", "--json")
		Expect(c.code).To(BeZero())
		Expect(c.out).NotTo(ContainSubstring("open-sesame"))
		Expect(parsed[struct{ Findings []finding }](c).Findings).To(ContainElement(And(HaveField("Check", "limits"), HaveField("State", warning), HaveField("Detail", ContainSubstring("127.0.0.1:1")))))
	})
})
