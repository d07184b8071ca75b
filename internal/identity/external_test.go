package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/identity/oidc"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// hosted gives the shop a host name.
func (s *shop) hosted() (host string) {
	GinkgoHelper()
	host = "h" + strings.ReplaceAll(uuid.NewString(), "-", "") + ".example"
	s.exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2)`, host)
	return host
}

// at asks the shop who somebody is, under a host and with a credential.
func (s *shop) at(host, credential string) testkit.Response {
	GinkgoHelper()
	r, err := http.NewRequest(http.MethodGet, s.URL+"/v1/me", nil)
	Expect(err).NotTo(HaveOccurred())
	r.Host = host
	r.Header.Set("Authorization", "Bearer "+credential)
	return s.Do(r)
}

var _ = Describe("a token of an identity provider", func() {
	var (
		s      *shop
		i      *issuer
		host   string
		id     string
		turned atomic.Int64
	)
	BeforeEach(func() {
		s, i = open(), newIssuer()
		turned.Store(0)
		clock := s.module.svc.now
		s.module.svc.external.seen = vouchedBy(func() time.Time { return clock().Add(time.Duration(turned.Load())) })
		host = s.hosted()
		id = s.trusts(i, object{"acceptTokens": true, "audience": audience})
		s.invited(i.person["email"].(string), "support")
		Expect(s.through(i).Status).To(Equal(http.StatusOK))
	})
	refused := func(credential string) {
		GinkgoHelper()
		r := s.at(host, credential)
		Expect(r.Status).To(Equal(http.StatusUnauthorized), "%s", r.Raw)
		Expect(r.Code()).To(Equal("invalid_credentials"))
	}

	It("lets its owner act as the account that they are linked to", func() {
		me := s.at(host, i.token(audience, nil))
		Expect(me.JSON()).To(HaveKeyWithValue("account", HaveKeyWithValue("email", i.person["email"])))
		Expect(me.JSON()).To(HaveKeyWithValue("permissions", ContainElement("orders:read")))
		Expect(me.JSON()).To(HaveKeyWithValue("permissions", Not(ContainElement("staff:write"))))
	})

	DescribeTable("is refused", func(spoil func() string) { refused(spoil()) },
		Entry("for our client: it says who signed in, and is no credential", func() string { return i.token(clientID, nil) }),
		Entry("for another audience", func() string { return i.token("https://other.example", nil) }),
		Entry("of somebody who is not linked", func() string { return i.token(audience, object{"sub": "stranger"}) }),
		Entry("of another issuer", func() string { return i.token(audience, object{"iss": "https://attacker.example"}) }),
		Entry("of an issuer that is a part of ours", func() string { return i.token(audience, object{"iss": i.URL + "/"}) }),
		Entry("that is over", func() string { return i.token(audience, object{"exp": time.Now().Unix() - 1}) }),
		Entry("that is not good yet", func() string { return i.token(audience, object{"nbf": time.Now().Unix() + 3600}) }),
		Entry("with a bit changed", func() string {
			raw := []byte(i.token(audience, nil))
			raw[len(raw)-20] ^= 1
			return string(raw)
		}),
		Entry("that is not signed", func() string {
			i.twist = func(h, _ object) { h["alg"] = "none" }
			i.forge = func([]byte) []byte { return nil }
			return i.token(audience, nil)
		}),
		Entry("signed by a provider that was made for it", func() string {
			attacker := newIssuer()
			attacker.kid, attacker.person = i.kid, i.person
			return attacker.token(audience, object{"iss": i.URL})
		}),
	)

	It("is refused in another shop, also one that trusts the same provider", func() {
		theirs := open()
		theirs.trusts(i, object{"acceptTokens": true, "audience": audience})
		raw := i.token(audience, nil)
		Expect(s.at(host, raw).Status).To(Equal(http.StatusOK))
		Expect(theirs.at(theirs.hosted(), raw).Status).To(Equal(http.StatusUnauthorized))
		Expect(s.at("", raw).Status).To(Equal(http.StatusUnauthorized), "the default shop's host")
	})

	It("is refused within two seconds of the account's end, and of the provider's", func() {
		raw := i.token(audience, nil)
		Expect(s.at(host, raw).Status).To(Equal(http.StatusOK))
		Expect(s.Call(http.MethodPatch, "/v1/auth/providers/"+id, object{"acceptTokens": false}).Status).To(Equal(http.StatusOK))
		turned.Store(int64(memory.Freshness))
		refused(raw)
		Expect(s.Call(http.MethodPatch, "/v1/auth/providers/"+id, object{"acceptTokens": true}).Status).To(Equal(http.StatusOK))
		Expect(s.at(host, raw).Status).To(Equal(http.StatusOK))
		s.exec(`update identity.account set status = 'disabled' where tenant_id = $1`)
		turned.Store(int64(2 * memory.Freshness))
		refused(raw)
	})

	It("is not kept alive by a clock that is set back, nor beyond its end by having been checked", func() {
		out, ok := s.module.svc.outbound.(oidc.Outbound)
		Expect(ok).To(BeTrue())
		s.module.svc.external.providers = oidc.New(out, func() time.Time { return time.Now().Add(time.Duration(turned.Load())) })
		ending := i.token(audience, object{"exp": time.Now().Add(time.Hour + time.Second).Unix()})
		turned.Store(int64(time.Hour))
		Expect(s.at(host, ending).Status).To(BeElementOf(http.StatusOK, http.StatusUnauthorized))
		turned.Add(int64(time.Second))
		refused(ending)

		turned.Store(0)
		raw := i.token(audience, nil)
		Expect(s.at(host, raw).Status).To(Equal(http.StatusOK))
		s.exec(`update identity.account set status = 'disabled' where tenant_id = $1`)
		turned.Store(-int64(time.Minute))
		refused(raw)
	})

	It("is refused where its provider is trusted with others than its owner", func() {
		raw := i.token(audience, nil)
		Expect(s.Call(http.MethodDelete, "/v1/auth/providers/"+id, nil).Status).To(Equal(http.StatusNoContent))
		s.trusts(i, object{"slug": "customers", "kind": "customer", "acceptTokens": true, "audience": audience})
		refused(raw)
		s.trusts(i, object{"slug": "elsewhere", "acceptTokens": true, "audience": audience, "domains": []string{"elsewhere.example"}})
		refused(raw)
		s.trusts(i, object{"slug": "off", "acceptTokens": true, "audience": audience, "enabled": false})
		refused(raw)
		s.trusts(i, object{"slug": "on", "acceptTokens": true, "audience": audience})
		Expect(s.at(host, raw).Status).To(Equal(http.StatusOK))
	})

	It("is no second factor unless it says so", func() {
		s.asksForSecondFactor()
		Expect(s.at(host, i.token(audience, nil)).JSON()).To(HaveKeyWithValue("permissions", BeEmpty()))
		Expect(s.at(host, i.token(audience, object{"amr": []string{"mfa"}})).JSON()).To(HaveKeyWithValue("permissions", ContainElement("orders:read")))
	})

	It("costs the provider nothing most of the time, however many are made up", func() {
		raw := i.token(audience, nil)
		asked := i.questions()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				defer GinkgoRecover()
				Expect(s.at(host, raw).Status).To(Equal(http.StatusOK))
			})
			all.Go(func() {
				defer GinkgoRecover()
				_, rest, _ := strings.Cut(raw, ".")
				refused("eyJhbGciOiJSUzI1NiIsImtpZCI6Im1hZGUtdXAifQ." + rest)
			})
		}
		all.Wait()
		Expect(i.questions() - asked).To(BeNumerically("<=", 1))
	})

	It("is checked with what is known while somebody waits for the provider, and else is not waited for", func() {
		out, ok := s.module.svc.outbound.(oidc.Outbound)
		Expect(ok).To(BeTrue())
		s.module.svc.external.providers = oidc.New(out, func() time.Time { return time.Now().Add(time.Duration(turned.Load())) })
		Expect(s.at(host, i.token(audience, nil)).Status).To(Equal(http.StatusOK))
		turned.Store(int64(time.Minute))
		release := i.hold()
		_, rest, _ := strings.Cut(i.token(audience, nil), ".")
		asked := make(chan testkit.Response, 1)
		go func() {
			defer GinkgoRecover()
			asked <- s.at(host, "eyJhbGciOiJSUzI1NiIsImtpZCI6Im1hZGUtdXAifQ."+rest)
		}()
		Eventually(i.kept).Should(Equal(1))
		Expect(s.at(host, i.token(audience, object{"jti": uuid.NewString()})).Status).To(Equal(http.StatusOK))
		Eventually(asked, "10s").Should(Receive(HaveField("Status", http.StatusServiceUnavailable)))
		release()

		stranger := newIssuer()
		stranger.hold()
		s.trusts(stranger, object{"slug": "slow", "acceptTokens": true, "audience": audience})
		r := s.at(host, stranger.token(audience, nil))
		Expect(r.Status).To(Equal(http.StatusServiceUnavailable), "%s", r.Raw)
		Expect(r.Code()).To(Equal("dependency_unavailable"))
	})

	It("is checked with the provider's new key when there is one", func() {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		Expect(err).NotTo(HaveOccurred())
		i.is(func(i *issuer) { i.key, i.kid = key, "second" })
		Eventually(func() int { return s.at(host, i.token(audience, nil)).Status }, "15s", "500ms").Should(Equal(http.StatusOK))
	})
})
