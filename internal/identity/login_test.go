package identity

import (
	"net/http"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("signing in", func() {
	var s *shop
	BeforeEach(func() { s = open() })

	cookieOf := func(r testkit.Response) testkit.Header {
		GinkgoHelper()
		for _, c := range (&http.Response{Header: r.Header}).Cookies() {
			if c.Name == deviceCookie {
				return testkit.Header{Name: "Cookie", Value: c.Name + "=" + c.Value}
			}
		}
		Fail("no device cookie")
		return testkit.Header{}
	}

	It("gives an access token that works, a refresh token, and who it is", func() {
		email := s.customer()
		r := s.login("  "+strings.ToUpper(email)+" ", secret)
		g := read[granted](r)
		Expect(g.ExpiresIn).To(BeNumerically("~", 900, 5))
		Expect(g.RefreshToken).To(HavePrefix("fc_rt_"))
		me := read[object](s.as(g).Get("/v1/me"))
		Expect(me["account"]).To(And(HaveKeyWithValue("email", email), HaveKeyWithValue("kind", "customer"), HaveKeyWithValue("customerId", g.Account.CustomerID)))
		Expect(me["actor"]).To(Equal("user:" + g.Account.ID))
		Expect(me["permissions"]).To(ConsistOf("carts:use", "orders:place", "campaigns:join", "inventory:hold", "payments:pay"))
		Expect(r.Header.Get("Set-Cookie")).To(And(ContainSubstring("fusion_device="), ContainSubstring("HttpOnly"), ContainSubstring("SameSite=Lax"), Not(ContainSubstring("Secure"))))
		Expect(r.Header.Get("Cache-Control")).To(Equal("no-store"))
	})

	It("keeps nothing of what it gives but hashes", func() {
		email := s.customer()
		r := s.login(email, secret, testkit.Header{Name: "Idempotency-Key", Value: "again"})
		g := read[granted](r)
		device := strings.TrimPrefix(cookieOf(r).Value, deviceCookie+"=")
		for _, table := range []string{"identity.account", "identity.session", "identity.refresh_token", "identity.device", "platform.idempotency", "platform.audit", "platform.event"} {
			for _, kept := range []string{secret, g.RefreshToken, g.AccessToken, device} {
				var n int
				Expect(s.super.QueryRow(`select count(*) from `+table+` t where tenant_id = $1 and (t::text like '%' || $2 || '%' or t::text like '%' || encode($2::bytea, 'hex') || '%')`, s.Tenant, kept).Scan(&n)).To(Succeed())
				Expect(n).To(BeZero(), table)
			}
		}
	})

	It("is refused alike whether there is such an account or not", func() {
		email := s.customer()
		known, unknown := s.login(email, wrong), s.login(newAddress(), wrong)
		Expect(known.Status).To(Equal(http.StatusUnauthorized))
		Expect(known.Code()).To(Equal("invalid_credentials"))
		Expect(alike(known)).To(Equal(alike(unknown)))
	})

	It("is refused alike to who is disabled, and to who has not accepted an invitation", func() {
		email, waiting := s.staff("support"), newAddress()
		Expect(s.Post("/v1/staff/invitations", object{"email": waiting, "roles": []string{"support"}}).Status).To(Equal(http.StatusCreated))
		Expect(s.Call(http.MethodPatch, "/v1/staff/"+s.id(email), object{"status": "disabled"}).Status).To(Equal(http.StatusOK))
		Expect(alike(s.login(email, secret))).To(Equal(alike(s.login(newAddress(), secret))))
		Expect(alike(s.login(waiting, secret))).To(Equal(alike(s.login(newAddress(), secret))))
	})

	It("verifies five of six hundred wrong passwords that come at the same moment, on two replicas", func() {
		replicas := []*shop{s, s.twin()}
		for _, email := range []string{s.customer(), newAddress()} {
			before := replicas[0].work.verified.Load() + replicas[1].work.verified.Load()
			answers := newTally()
			parallel(600, func(i int) { answers.add(replicas[i%2].login(email, wrong)) })
			Expect(replicas[0].work.verified.Load() + replicas[1].work.verified.Load() - before).To(BeEquivalentTo(5))
			// A pool that is busy for seconds says so, perhaps to one of the five.
			Expect(answers.of["invalid_credentials"]).To(BeNumerically("<=", 5))
			Expect(answers.of["invalid_credentials"] + answers.of["too_many_attempts"] + answers.of["dependency_unavailable"]).To(Equal(600))
			Expect(answers.of["too_many_attempts"]).To(BeNumerically(">", 100))
		}
	})

	It("forgets four failures when the fifth attempt is right", func() {
		email := s.customer()
		for range 2 {
			for range 4 {
				Expect(s.login(email, wrong).Code()).To(Equal("invalid_credentials"))
			}
			Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
		}
	})

	DescribeTable("is not possible for 15 minutes after five failures, whoever's the address is", func(registered bool) {
		email := newAddress()
		if registered {
			email = s.customer()
		}
		for range 5 {
			Expect(s.login(email, wrong).Code()).To(Equal("invalid_credentials"))
		}
		s.later("5 minutes")
		r := s.login(email, secret)
		Expect(r.Status).To(Equal(http.StatusTooManyRequests))
		Expect(r.Code()).To(Equal("too_many_attempts"))
		wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
		Expect(err).NotTo(HaveOccurred())
		Expect(wait).To(BeNumerically("~", 600, 10), "the fifth failure began the time, not what came later")

		s.later("9 minutes 45 seconds")
		Expect(s.login(email, secret).Code()).To(Equal("too_many_attempts"), "asking does not prolong it, nor shorten it")
		s.later("15 seconds")
		after := s.login(email, secret)
		if registered {
			Expect(after.Status).To(Equal(http.StatusOK))
		} else {
			Expect(after.Code()).To(Equal("invalid_credentials"))
			for range 4 {
				Expect(s.login(email, wrong).Code()).To(Equal("invalid_credentials"), "and begins to count anew")
			}
			Expect(s.login(email, wrong).Code()).To(Equal("too_many_attempts"))
		}
	}, Entry("a customer's", true), Entry("nobody's", false))

	It("does not add up failures that are 15 minutes apart", func() {
		email := s.customer()
		for range 3 {
			for range 4 {
				Expect(s.login(email, wrong).Code()).To(Equal("invalid_credentials"))
			}
			s.later("15 minutes 1 second")
		}
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
	})

	Describe("in a shop that has addresses proven first", func() {
		BeforeEach(func() {
			Expect(s.Call(http.MethodPatch, "/v1/settings", object{"requireVerifiedEmail": true}).Status).To(Equal(http.StatusOK))
			Expect(s.Get("/v1/settings").JSON()).To(HaveKeyWithValue("requireVerifiedEmail", true))
			probe := s.customer()
			Eventually(func() int {
				s.later("1 hour")
				return s.login(probe, secret).Status
			}).Should(Equal(http.StatusUnauthorized))
		})

		It("tells nothing of an account to who registers an address and signs in", func() {
			free, taken := s.customer(), s.member()
			Expect(s.Post("/v1/auth/register", object{"email": taken, "password": wrong}).Status).To(Equal(http.StatusAccepted))
			before := s.work.verified.Load() + s.work.hashed.Load()
			unproven := s.login(free, secret)
			each := s.work.verified.Load() + s.work.hashed.Load() - before
			refused := s.login(taken, wrong)
			Expect(s.work.verified.Load() + s.work.hashed.Load() - before).To(Equal(2 * each))
			Expect(unproven.Code()).To(Equal("invalid_credentials"))
			Expect(alike(unproven)).To(Equal(alike(refused)))
			Expect(alike(s.login(newAddress(), secret))).To(Equal(alike(refused)))
			for range 4 {
				Expect(s.login(free, secret).Code()).To(Equal("invalid_credentials"))
			}
			Expect(s.login(free, secret).Code()).To(Equal("too_many_attempts"), "as often as a wrong password")
		})

		It("lets in who has proven the address, and staff", func() {
			Expect(s.login(s.member(), secret).Status).To(Equal(http.StatusOK))
			Expect(s.login(s.staff("support"), secret).Status).To(Equal(http.StatusOK))
		})

		It("sends the letter again to who needs it, and answers everybody alike", func() {
			ask := func(email string) object {
				GinkgoHelper()
				return alike(s.With(s.Key).Post("/v1/auth/email/request", object{"email": email}))
			}
			waiting, proven, nobody := s.customer(), s.member(), newAddress()
			first := ask(waiting)
			Expect(first).To(HaveKeyWithValue("status", http.StatusAccepted))
			Expect(ask(proven)).To(Equal(first))
			Expect(ask(nobody)).To(Equal(first))
			Expect(s.mail(waiting, "verify-email")).To(HaveLen(2))
			Expect(s.mail(proven, "verify-email")).To(HaveLen(1))
			Expect(s.mail(nobody, "verify-email")).To(BeEmpty())
			Expect(s.With("").Post("/v1/auth/email/verify", object{"token": s.token(waiting, "verify-email")}).Status).To(Equal(http.StatusNoContent))
			Expect(s.login(waiting, secret).Status).To(Equal(http.StatusOK))
		})
	})

	It("leaves an entry in the audit log for each attempt that was verified and wrong, without what was typed", func() {
		email, other := s.customer(), newAddress()
		for range 8 {
			s.login(email, wrong)
			s.login(other, wrong)
		}
		Expect(s.audited("login.failed", s.id(email))).To(Equal(5))
		Expect(s.audited("login.failed", "")).To(Equal(5), "of an address that is nobody's: it may be a password")
		var told int
		Expect(s.super.QueryRow(`select count(*) from platform.audit a where tenant_id = $1 and (a::text like '%' || $2 || '%' or a::text like '%' || $3 || '%')`, s.Tenant, other, wrong).Scan(&told)).To(Succeed())
		Expect(told).To(BeZero())
	})

	It("leaves one as well where who has signed in shows a wrong password", func() {
		g := s.signedIn(s.customer())
		for range 8 {
			s.as(g).Post("/v1/auth/password/change", object{"currentPassword": wrong, "password": "another good secret"})
		}
		Expect(s.audited("proof.failed", g.Account.ID)).To(Equal(5))
	})

	It("tells the owner and the log once that somebody guesses", func() {
		email := s.member()
		id := s.id(email)
		for range 8 {
			s.login(email, wrong)
		}
		Expect(s.facts(id)).To(Equal([]string{"identity.account.locked"}))
		Expect(s.mail(email, "account-locked")).To(HaveLen(1))
		var data string
		Expect(s.super.QueryRow(`select data::text from platform.event where tenant_id = $1 and subject = $2`, s.Tenant, id).Scan(&data)).To(Succeed())
		Expect(data).NotTo(ContainSubstring("@"))
	})

	Describe("where somebody has signed in before", func() {
		It("is possible while strangers have locked the account", func() {
			email := s.customer()
			device := cookieOf(s.login(email, secret))
			for range 6 {
				s.login(email, wrong)
			}
			Expect(s.login(email, secret).Code()).To(Equal("too_many_attempts"))
			r := s.login(email, secret, device)
			Expect(r.Status).To(Equal(http.StatusOK))
			Expect(r.Header).NotTo(HaveKey("Set-Cookie"), "it is known already")
			Expect(s.login(email, secret).Code()).To(Equal("too_many_attempts"), "for strangers nothing has changed")
		})

		It("has five attempts of its own", func() {
			email := s.customer()
			device := cookieOf(s.login(email, secret))
			answers := newTally()
			parallel(40, func(int) { answers.add(s.login(email, wrong, device)) })
			Expect(answers.of).To(Equal(map[string]int{"invalid_credentials": 5, "too_many_attempts": 35}))
			Expect(s.login(email, secret, device).Code()).To(Equal("too_many_attempts"))
			Expect(s.login(email, secret).Status).To(Equal(http.StatusOK), "elsewhere nobody failed")
		})

		It("counts for that account only, and not when the cookie is made up", func() {
			email, other := s.customer(), s.customer()
			device := cookieOf(s.login(email, secret))
			for range 5 {
				s.login(other, wrong)
			}
			Expect(s.login(other, secret, device).Code()).To(Equal("too_many_attempts"))
			Expect(s.login(other, secret, testkit.Header{Name: "Cookie", Value: deviceCookie + "=" + newDevice()}).Code()).To(Equal("too_many_attempts"))
		})
	})

	It("keeps merchants apart", func() {
		other := &shop{Shop: s.With(testkit.Key(s.App.DB(), testkit.NewTenant(testkit.Shared())))}
		email := s.customer()
		for range 5 {
			s.login(email, wrong)
		}
		Expect(other.login(email, secret).Code()).To(Equal("invalid_credentials"))
	})
})

// alike is what a stranger can learn of an answer.
func alike(r testkit.Response) object {
	GinkgoHelper()
	headers := r.Header.Clone()
	for _, own := range []string{"X-Request-Id", "Date"} {
		headers.Del(own)
	}
	body := r.JSON()
	delete(body, "requestId")
	return object{"status": r.Status, "headers": headers, "body": body}
}
