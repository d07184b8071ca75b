package identity

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/identity/oidc"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// trusts adds a provider to a shop.
func (s *shop) trusts(i *issuer, more object) (id string) {
	GinkgoHelper()
	body := object{"slug": "acme", "name": "Acme", "kind": "staff", "issuer": i.URL, "clientId": clientID, "clientSecret": "hush"}
	maps.Copy(body, more)
	r := s.Post("/v1/auth/providers", body)
	Expect(r.Status).To(Equal(http.StatusCreated), "%s", r.Raw)
	id, _ = r.JSON()["id"].(string)
	Expect(r.Header.Get("Location")).To(Equal("/v1/auth/providers/" + id))
	return id
}

// sent is a browser on its way to the provider: where it goes, and the cookie that it keeps.
func (s *shop) sent(slug string) (address, cookie string) {
	GinkgoHelper()
	r := s.Get("/v1/auth/oidc/" + slug + "/start")
	Expect(r.Status).To(Equal(http.StatusFound), "%s", r.Raw)
	cookies, err := http.ParseSetCookie(r.Header.Get("Set-Cookie"))
	Expect(err).NotTo(HaveOccurred())
	Expect(cookies.HttpOnly).To(BeTrue())
	Expect(cookies.SameSite).To(Equal(http.SameSiteLaxMode))
	return r.Header.Get("Location"), cookies.Name + "=" + cookies.Value
}

// back is the browser that comes back.
func (s *shop) back(callback, cookie string) testkit.Response {
	GinkgoHelper()
	return s.Get(strings.TrimPrefix(callback, s.URL), testkit.Header{Name: "Cookie", Value: cookie})
}

// through goes all the way.
func (s *shop) through(i *issuer) testkit.Response {
	GinkgoHelper()
	address, cookie := s.sent("acme")
	return s.back(i.authorize(address), cookie)
}

func (s *shop) invited(email string, roles ...string) {
	GinkgoHelper()
	Expect(s.Post("/v1/staff/invitations", object{"email": email, "roles": roles}).Status).To(Equal(http.StatusCreated))
}

// sessions are those that were opened in the shop.
func (s *shop) sessions() (n int) {
	GinkgoHelper()
	Expect(s.super.QueryRow(`select count(*) from identity.session where tenant_id = $1`, s.Tenant).Scan(&n)).To(Succeed())
	return n
}

var _ = Describe("signing in at an identity provider", func() {
	var (
		s *shop
		i *issuer
	)
	BeforeEach(func() {
		s, i = open(), newIssuer()
	})
	email := func() string { return i.person["email"].(string) }

	It("opens the account that was invited, and from then on knows its owner by the provider's subject", func() {
		s.trusts(i, nil)
		s.invited(email(), "support")
		g := read[granted](s.through(i))
		me := s.as(g).Get("/v1/me").JSON()
		Expect(me).To(HaveKeyWithValue("account", And(HaveKeyWithValue("email", email()), HaveKeyWithValue("status", "active"), HaveKeyWithValue("emailVerified", true))))
		Expect(s.as(g).Get("/v1/staff").Status).To(Equal(http.StatusForbidden), "what support may not do")
		Expect(s.facts(g.Account.ID)).To(ContainElement("identity.account.updated"))

		i.is(func(i *issuer) { i.person["email"], i.person["email_verified"] = newAddress(), false })
		again := read[granted](s.through(i))
		Expect(again.Account.ID).To(Equal(g.Account.ID))
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": again.RefreshToken}).Status).To(Equal(http.StatusOK))
	})

	It("lets in staff of the provider at an address that somebody signed up with as a customer and has not proven", func() {
		s.trusts(i, object{"roles": []string{"support"}, "domains": []string{"example.com"}})
		squatted := s.customer()
		old := s.id(squatted)
		i.person["email"] = squatted
		g := read[granted](s.through(i))
		Expect(g.Account.ID).NotTo(Equal(old))
		Expect(s.as(g).Get("/v1/me").JSON()["account"]).To(HaveKeyWithValue("kind", "staff"))
		Expect(s.login(squatted, secret).Code()).To(Equal("invalid_credentials"))
	})

	DescribeTable("is refused", func(prepare func(), status int, code string) {
		prepare()
		before := s.sessions()
		r := s.through(i)
		Expect(r.Status).To(Equal(status), "%s", r.Raw)
		Expect(r.Code()).To(Equal(code))
		Expect(s.sessions()).To(Equal(before))
	},
		Entry("to who was not invited", func() { s.trusts(i, nil) }, 403, "not_invited"),
		Entry("to who was invited, by an address that the provider has not verified", func() {
			s.trusts(i, nil)
			s.invited(email(), "support")
			i.person["email_verified"] = false
		}, 403, "not_invited"),
		Entry("to who has no address", func() {
			s.trusts(i, nil)
			delete(i.person, "email")
		}, 403, "not_invited"),
		Entry("to the address of an account that is in use", func() {
			s.trusts(i, object{"roles": []string{"support"}, "domains": []string{"example.com"}})
			i.person["email"] = s.staff("manager")
		}, 409, "account_exists"),
		Entry("to the staff at the address of a customer who has proven it", func() {
			s.trusts(i, object{"roles": []string{"support"}, "domains": []string{"example.com"}})
			i.person["email"] = s.member()
		}, 409, "account_exists"),
		Entry("to the address of a customer's account", func() {
			s.trusts(i, object{"kind": "customer"})
			i.person["email"] = s.customer()
		}, 409, "account_exists"),
		Entry("to the staff, where customers sign in", func() {
			s.trusts(i, object{"kind": "customer"})
			s.invited(email(), "support")
		}, 409, "account_exists"),
		Entry("to who has an address of another domain", func() {
			s.trusts(i, object{"domains": []string{"shop.example"}})
			s.invited(email(), "support")
		}, 403, "not_invited"),
		Entry("to who has an address that only looks like the domain's", func() {
			s.trusts(i, object{"domains": []string{"example.com"}, "roles": []string{"support"}})
			i.person["email"] = "ana@example.com.attacker.example"
		}, 403, "not_invited"),
		Entry("to who has an address of a domain that only ends as the shop's", func() {
			s.trusts(i, object{"domains": []string{"example.com"}, "roles": []string{"support"}})
			i.person["email"] = "ana@not-example.com"
		}, 403, "not_invited"),
		Entry("to who was invited, by an address of which the provider says neither yes nor no", func() {
			s.trusts(i, nil)
			s.invited(email(), "support")
			i.person["email_verified"] = "perhaps"
		}, 403, "not_invited"),
		Entry("to the staff that it knows, where customers sign in", func() {
			s.trusts(i, object{"slug": "for-staff"})
			s.invited(email(), "support")
			address, cookie := s.sent("for-staff")
			Expect(s.back(i.authorize(address), cookie).Status).To(Equal(http.StatusOK))
			s.trusts(i, object{"kind": "customer"})
		}, 403, "not_invited"),
		Entry("to somebody whom another provider calls as this one calls somebody else", func() {
			other := newIssuer()
			other.person["sub"] = i.person["sub"]
			s.trusts(other, object{"slug": "other"})
			s.invited(other.person["email"].(string), "support")
			address, cookie := s.sent("other")
			Expect(s.back(other.authorize(address), cookie).Status).To(Equal(http.StatusOK))
			s.trusts(i, nil)
		}, 403, "not_invited"),
		Entry("to who was shut out", func() {
			s.trusts(i, nil)
			s.invited(email(), "support")
			g := read[granted](s.through(i))
			Expect(s.Call(http.MethodPatch, "/v1/staff/"+g.Account.ID, object{"status": "disabled"}).Status).To(Equal(http.StatusOK))
		}, 403, "not_invited"),
	)

	It("makes an account of the staff for who comes from the shop's own domain, with the roles that it says", func() {
		s.trusts(i, object{"roles": []string{"support"}, "domains": []string{"example.com"}})
		g := read[granted](s.through(i))
		Expect(s.Get("/v1/staff/" + g.Account.ID).JSON()).To(And(HaveKeyWithValue("roles", []any{"support"}), HaveKeyWithValue("name", "Ana Lindqvist"), HaveKeyWithValue("emailVerified", true)))
	})

	Describe("that tells only who asks for it what an address somebody has", func() {
		BeforeEach(func() {
			i.more = object{"sub": i.person["sub"], "email": i.person["email"], "email_verified": true, "amr": []string{"mfa"}}
			i.person = object{"sub": i.person["sub"]}
			s.trusts(i, nil)
			s.invited(i.more["email"].(string), "support")
		})

		It("opens the account that was invited", func() {
			g := read[granted](s.through(i))
			Expect(s.as(g).Get("/v1/me").JSON()).To(HaveKeyWithValue("account", HaveKeyWithValue("email", i.more["email"])))
			Expect(s.as(g).Get("/v1/me/sessions").JSON()["data"]).To(HaveExactElements(HaveKeyWithValue("methods", ConsistOf("sso"))), "how they have signed in stands in the token")
		})

		It("is not heard about somebody else", func() {
			i.more["sub"] = "somebody else"
			Expect(s.through(i).Code()).To(Equal("provider_refused"))
			Expect(s.sessions()).To(BeZero())
		})
	})

	DescribeTable("counts as a second factor what proves more than a password", func(proofs []string, strong bool) {
		s.trusts(i, nil)
		s.invited(email(), "support")
		i.person["amr"] = proofs
		permitted := HaveKeyWithValue("permissions", ContainElement("orders:read"))
		if !strong {
			permitted = Not(permitted)
		}
		s.asksForSecondFactor()
		Expect(s.as(read[granted](s.through(i))).Get("/v1/me").JSON()).To(permitted)
	},
		Entry("nothing", nil, false),
		Entry("a password", []string{"pwd"}, false),
		Entry("a password and a code", []string{"pwd", "otp"}, true),
		Entry("several proofs", []string{"mfa"}, true),
	)

	It("takes of a name what is fit to be shown", func() {
		s.trusts(i, object{"kind": "customer"})
		i.person["name"] = " Ana\r\n\x00" + strings.Repeat("ü", 300)
		g := read[granted](s.through(i))
		Expect(s.as(g).Get("/v1/me").JSON()).To(HaveKeyWithValue("account", HaveKeyWithValue("name", "Ana"+strings.Repeat("ü", 197))))
	})

	It("makes a customer's account", func() {
		s.trusts(i, object{"kind": "customer"})
		g := read[granted](s.through(i))
		Expect(g.Account.CustomerID).NotTo(BeEmpty())
		Expect(s.facts(g.Account.CustomerID)).To(ContainElement("customer.registered"))
		Expect(read[granted](s.through(i)).Account.ID).To(Equal(g.Account.ID))
	})

	It("makes one account of many that come at once", func() {
		s.trusts(i, object{"kind": "customer"})
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				defer GinkgoRecover()
				Expect(s.through(i).Status).To(BeElementOf(http.StatusOK, http.StatusConflict))
			})
		}
		all.Wait()
		var accounts int
		Expect(s.super.QueryRow(`select count(*) from identity.account where tenant_id = $1`, s.Tenant).Scan(&accounts)).To(Succeed())
		Expect(accounts).To(Equal(1))
	})

	DescribeTable("is refused when what comes back is not what went out", func(tamper func(callback, cookie string) (string, string), code string) {
		s.trusts(i, object{"kind": "customer"})
		address, cookie := s.sent("acme")
		r := s.back(tamper(i.authorize(address), cookie))
		Expect(r.Code()).To(Equal(code), "%s", r.Raw)
		Expect(r.Status).To(BeElementOf(400, 401, 422))
		Expect(s.sessions()).To(BeZero())
	},
		Entry("without the cookie", func(u, _ string) (string, string) { return u, "" }, "sign_in_expired"),
		Entry("with the cookie of another sign-in", func(u, _ string) (string, string) {
			_, other := s.sent("acme")
			return u, other
		}, "sign_in_expired"),
		Entry("with a cookie that is none", func(u, c string) (string, string) { return u, c[:len(c)-3] }, "sign_in_expired"),
		Entry("with a cookie of another shop", func(u, _ string) (string, string) {
			theirs := open()
			theirs.trusts(i, object{"kind": "customer"})
			_, other := theirs.sent("acme")
			return u, other
		}, "sign_in_expired"),
		Entry("with another state", func(u, c string) (string, string) {
			return regexp.MustCompile(`state=..`).ReplaceAllString(u, "state=xx"), c
		}, "sign_in_expired"),
		Entry("without a state", func(u, c string) (string, string) { return regexp.MustCompile(`&state=.*`).ReplaceAllString(u, ""), c }, "sign_in_expired"),
		Entry("to another provider", func(u, c string) (string, string) {
			s.trusts(i, object{"slug": "other", "kind": "customer"})
			return strings.Replace(u, "/acme/", "/other/", 1), c
		}, "sign_in_expired"),
		Entry("with a made-up code", func(u, c string) (string, string) { return strings.Replace(u, "code=", "code=x", 1), c }, "provider_refused"),
		Entry("without a code", func(u, c string) (string, string) { return strings.Replace(u, "code=", "scope=", 1), c }, "provider_refused"),
		Entry("with an error", func(u, c string) (string, string) { return u + "&error=access_denied", c }, "provider_refused"),
		Entry("from another issuer (RFC 9207)", func(u, c string) (string, string) { return u + "&iss=https://attacker.example", c }, "provider_refused"),
	)

	It("is over after ten minutes", func() {
		s.trusts(i, object{"kind": "customer"})
		address, cookie := s.sent("acme")
		now := s.module.svc.now
		s.module.svc.now = func() time.Time { return now().Add(flowLife) }
		Expect(s.back(i.authorize(address), cookie).Code()).To(Equal("sign_in_expired"))
	})

	It("is done once", func() {
		s.trusts(i, object{"kind": "customer"})
		address, cookie := s.sent("acme")
		callback := i.authorize(address)
		first := s.back(callback, cookie)
		Expect(first.Status).To(Equal(http.StatusOK))
		Expect(first.Header.Get("Set-Cookie")).To(And(HavePrefix("fusion_sign_in=;"), ContainSubstring("Max-Age=0")))
		Expect(s.back(callback, cookie).Code()).To(Equal("provider_refused"))
	})

	DescribeTable("is refused when the provider's token is not a good one", func(twist func(header, claims object), forge func(*issuer) func([]byte) []byte) {
		s.trusts(i, object{"kind": "customer"})
		i.twist = twist
		if forge != nil {
			i.forge = forge(i)
		}
		Expect(s.through(i).Code()).To(Equal("provider_refused"))
		Expect(s.sessions()).To(BeZero())
	},
		Entry("for another nonce", func(_, c object) { c["nonce"] = "another" }, nil),
		Entry("without a nonce", func(_, c object) { delete(c, "nonce") }, nil),
		Entry("for another client", func(_, c object) { c["aud"] = "another" }, nil),
		Entry("for another client of the same provider", func(_, c object) { c["azp"] = "another" }, nil),
		Entry("for several, and nobody says which", func(_, c object) { c["aud"] = []string{clientID, "another"} }, nil),
		Entry("of another issuer", func(_, c object) { c["iss"] = "https://attacker.example" }, nil),
		Entry("that is over", func(_, c object) { c["exp"] = time.Now().Unix() - 1 }, nil),
		Entry("without an end", func(_, c object) { delete(c, "exp") }, nil),
		Entry("of nobody", func(_, c object) { c["sub"] = "" }, nil),
		Entry("that is not signed", func(h, _ object) { h["alg"] = "none" }, func(*issuer) func([]byte) []byte { return func([]byte) []byte { return nil } }),
		Entry("signed with the public key as a secret", func(h, _ object) { h["alg"] = "HS256" }, func(i *issuer) func([]byte) []byte {
			return func(text []byte) []byte {
				mac := hmac.New(sha256.New, i.key.N.Bytes())
				_, _ = mac.Write(text)
				return mac.Sum(nil)
			}
		}),
		Entry("signed with a secret that the provider publishes", func(h, _ object) { h["alg"], h["kid"] = "HS256", "secret" }, func(*issuer) func([]byte) []byte {
			return func(text []byte) []byte {
				mac := hmac.New(sha256.New, []byte{0, 0, 0})
				_, _ = mac.Write(text)
				return mac.Sum(nil)
			}
		}),
		Entry("signed by nobody", nil, func(*issuer) func([]byte) []byte { return func([]byte) []byte { return bytes.Repeat([]byte{7}, 256) } }),
		Entry("with a key of its own in the header", func(h, _ object) { h["jwk"], h["kid"] = object{"kty": "oct", "k": "AAAA"}, "none" }, nil),
	)

	It("is refused when the provider's token is longer than any is", func() {
		s.trusts(i, object{"kind": "customer"})
		i.twist = func(_, c object) { c["pad"] = strings.Repeat("x", 16<<10) }
		Expect(s.through(i).Code()).To(Equal("provider_refused"))
	})

	It("is refused when the token is signed with a key that is not for that", func() {
		i.use = "enc"
		s.trusts(i, object{"kind": "customer"})
		Expect(s.through(i).Code()).To(Equal("provider_refused"))
	})

	It("sends nobody to an address inside, whatever the provider says", func() {
		i.place = "https://10.0.0.1/authorize"
		s.trusts(i, nil)
		r := s.Get("/v1/auth/oidc/acme/start")
		Expect(r.Code()).To(Equal("provider_unavailable"))
		Expect(r.Header).NotTo(Or(HaveKey("Location"), HaveKey("Set-Cookie")))
	})

	It("goes on by what the provider has said of itself while that does not answer", func() {
		out, ok := s.module.svc.outbound.(oidc.Outbound)
		Expect(ok).To(BeTrue())
		var later time.Duration
		s.module.svc.providers = oidc.New(out, func() time.Time { return time.Now().Add(later) })
		s.trusts(i, nil)
		s.sent("acme")
		i.is(func(i *issuer) { i.down = true })
		later = 24 * time.Hour
		s.sent("acme")
	})

	It("says that the provider does not answer, and lets it alone for a while", func() {
		s.trusts(i, object{"kind": "customer"})
		i.is(func(i *issuer) { i.down = true })
		for range 5 {
			r := s.Get("/v1/auth/oidc/acme/start")
			Expect(r.Status).To(Equal(http.StatusServiceUnavailable))
			Expect(r.Code()).To(Equal("provider_unavailable"))
			Expect(r.Header.Get("Retry-After")).NotTo(BeEmpty())
		}
		Expect(i.questions()).To(BeZero(), "no key was asked for")
	})

	It("waits for a provider that is slow, but only few do, and those who ask another one do not", func() {
		s.trusts(i, object{"kind": "customer"})
		quick := newIssuer()
		s.trusts(quick, object{"slug": "quick", "kind": "customer"})
		release := i.hold()
		answers := make(chan testkit.Response, 30)
		for range 30 {
			go func() {
				defer GinkgoRecover()
				answers <- s.Get("/v1/auth/oidc/acme/start")
			}()
		}
		for range 22 {
			var r testkit.Response
			Eventually(answers, "10s").Should(Receive(&r))
			Expect(r.Status).To(Equal(http.StatusServiceUnavailable), "%s", r.Raw)
			Expect(r.Code()).To(Equal("provider_unavailable"))
		}
		Expect(s.Get("/v1/auth/oidc/quick/start").Status).To(Equal(http.StatusFound))
		release()
		for range 8 {
			var r testkit.Response
			Eventually(answers, "10s").Should(Receive(&r))
			Expect(r.Status).To(BeElementOf(http.StatusFound, http.StatusServiceUnavailable), "%s", r.Raw)
		}
	})

	It("gives a provider up that does not answer at all, as one that is away", func() {
		s.trusts(i, object{"kind": "customer"})
		i.hold()
		r := s.Get("/v1/auth/oidc/acme/start")
		Expect(r.Status).To(Equal(http.StatusServiceUnavailable), "%s", r.Raw)
		Expect(r.Code()).To(Equal("provider_unavailable"))
	})

	It("is not possible at a provider that is switched off, removed, unknown or another shop's", func() {
		id := s.trusts(i, nil)
		Expect(open().Get("/v1/auth/oidc/acme/start").Status).To(Equal(http.StatusNotFound))
		Expect(s.Get("/v1/auth/oidc/ghost/start").Status).To(Equal(http.StatusNotFound))
		Expect(s.Call(http.MethodPatch, "/v1/auth/providers/"+id, object{"enabled": false}).Status).To(Equal(http.StatusOK))
		Expect(s.Get("/v1/auth/oidc/acme/start").Status).To(Equal(http.StatusNotFound))
		Expect(s.Call(http.MethodDelete, "/v1/auth/providers/"+id, nil).Status).To(Equal(http.StatusNoContent))
		Expect(s.Get("/v1/auth/providers/" + id).Status).To(Equal(http.StatusNotFound))
	})

	It("works at a provider that somebody else wrote", func(ctx SpecContext) {
		s.with(server(ctx, s.URL+"/v1/auth/oidc/zitadel/callback"), "zitadel")
		jar, err := cookiejar.New(nil)
		Expect(err).NotTo(HaveOccurred())
		browser := http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/v1/auth/oidc/zitadel/callback" {
				return http.ErrUseLastResponse
			}
			return nil
		}}
		address, cookie := s.sent("zitadel")
		page, err := browser.Get(address)
		Expect(err).NotTo(HaveOccurred())
		defer page.Body.Close()
		Expect(page.StatusCode).To(Equal(http.StatusOK))
		form := url.Values{"id": {page.Request.URL.Query().Get("authRequestID")}, "username": {"ana"}, "password": {"verysecure"}}
		done, err := browser.PostForm(page.Request.URL.Scheme+"://"+page.Request.URL.Host+"/login/username", form)
		Expect(err).NotTo(HaveOccurred())
		defer done.Body.Close()
		Expect(done.StatusCode).To(Equal(http.StatusFound))
		g := read[granted](s.back(done.Header.Get("Location"), cookie))
		Expect(s.as(g).Get("/v1/me").JSON()).To(HaveKeyWithValue("account", HaveKeyWithValue("email", "ana@zitadel.example")))
	}, SpecTimeout(time.Minute))
})

// with adds a provider that runs as a program of its own.
func (s *shop) with(issuer, slug string) {
	GinkgoHelper()
	r := s.Post("/v1/auth/providers", object{"slug": slug, "name": slug, "kind": "customer", "issuer": issuer, "clientId": "web", "clientSecret": "secret"})
	Expect(r.Status).To(Equal(http.StatusCreated), "%s", r.Raw)
}

// server starts the provider that scripts/ensure-oidc.sh installs, with one person.
func server(ctx context.Context, redirect string) (issuer string) {
	GinkgoHelper()
	programs, err := filepath.Glob("../../.bin/oidc-server-*")
	Expect(err).NotTo(HaveOccurred())
	Expect(programs).NotTo(BeEmpty(), "there is no identity provider: run make oidc")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	Expect(ln.Close()).To(Succeed())
	people, err := json.Marshal(object{"ana": object{"ID": "ana", "Username": "ana", "Password": "verysecure", "FirstName": "Ana", "Email": "ana@zitadel.example", "EmailVerified": true}})
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(GinkgoT().TempDir(), "people.json")
	Expect(os.WriteFile(file, people, 0o600)).To(Succeed())
	program := exec.Command(programs[len(programs)-1])
	program.Env = append(os.Environ(), "PORT="+port, "REDIRECT_URI="+redirect, "USERS_FILE="+file)
	program.Stdout, program.Stderr = GinkgoWriter, GinkgoWriter
	Expect(program.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(program.Process.Kill()).To(Succeed())
		_ = program.Wait()
	})
	issuer = "http://localhost:" + port + "/"
	Eventually(ctx, func() error {
		r, err := http.Get(issuer + ".well-known/openid-configuration")
		if err == nil {
			_ = r.Body.Close()
		}
		return err
	}).Should(Succeed())
	return issuer
}
