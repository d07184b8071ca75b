package identity

import (
	"encoding/base32"
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a code of an authenticator app", func() {
	// RFC 6238, appendix B, of which ours are the last six digits.
	DescribeTable("is that of the RFC", func(seconds int64, code string) {
		Expect(totpCode([]byte("12345678901234567890"), stepAt(time.Unix(seconds, 0)))).To(Equal(code))
	},
		Entry(nil, int64(59), "287082"), Entry(nil, int64(1111111109), "081804"), Entry(nil, int64(1111111111), "050471"),
		Entry(nil, int64(1234567890), "005924"), Entry(nil, int64(2000000000), "279037"), Entry(nil, int64(20000000000), "353130"),
	)

	It("is good one step before and after its own, and after the last that was accepted", func() {
		secret, now := []byte("12345678901234567890"), time.Unix(1111111109, 0)
		at := stepAt(now)
		for d, good := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
			step, ok := acceptedStep(secret, totpCode(secret, at+d), now, 0)
			Expect(ok).To(Equal(good), "%d", d)
			if ok {
				Expect(step).To(Equal(at + d))
			}
		}
		_, ok := acceptedStep(secret, totpCode(secret, at), now, at)
		Expect(ok).To(BeFalse())
		_, ok = acceptedStep(secret, "", now, 0)
		Expect(ok).To(BeFalse())
	})
})

var _ = Describe("a second factor", func() {
	var (
		s     *shop
		email string
		g     granted
	)
	BeforeEach(func() {
		s = open()
		email = s.member()
		g = s.signedIn(email)
	})

	enrol := func(g granted) []byte {
		GinkgoHelper()
		r := read[struct{ Secret, URL string }](s.as(g).Post("/v1/me/totp", object{"currentPassword": secret}))
		u, err := url.Parse(r.URL)
		Expect(err).NotTo(HaveOccurred())
		Expect(u.Query().Get("secret")).To(Equal(r.Secret))
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(r.Secret)
		Expect(err).NotTo(HaveOccurred())
		return raw
	}
	// code that is good now. The step that was accepted is forgotten: specs do not wait for
	// the next one.
	code := func(secret []byte) string {
		GinkgoHelper()
		s.exec(`update identity.totp set last_step = 0 where tenant_id = $1`)
		return totpCode(secret, stepAt(time.Now()))
	}
	confirm := func(g granted, code string) testkit.Response {
		GinkgoHelper()
		return s.as(g).Post("/v1/me/totp/confirm", object{"code": code})
	}
	with := func(field, value string) testkit.Response {
		GinkgoHelper()
		return s.Post("/v1/auth/login", object{"email": email, "password": secret, field: value})
	}

	It("is asked for once it is confirmed, and each code is good once", func() {
		key := enrol(g)
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK), "nobody has shown that the app works")
		Expect(confirm(g, "000000").Code()).To(Equal("invalid_code"))
		Expect(confirm(g, code(key)).Status).To(Equal(http.StatusOK))
		r := s.login(email, secret)
		Expect(r.Status).To(Equal(http.StatusUnauthorized))
		Expect(r.Code()).To(Equal("second_factor_required"))
		Expect(alike(s.login(email, wrong))).To(Equal(alike(s.login(newAddress(), wrong))), "who does not know the password does not hear of it")
		shown := code(key)
		Expect(with("code", shown).Status).To(Equal(http.StatusOK))
		Expect(with("code", shown).Code()).To(Equal("invalid_second_factor"))
		Expect(s.as(g).Post("/v1/me/totp", object{"currentPassword": secret}).Code()).To(Equal("second_factor_set"))
	})

	It("is set by who shows the password and has proven the address", func() {
		Expect(s.as(g).Post("/v1/me/totp", object{"currentPassword": wrong}).Code()).To(Equal("invalid_credentials"))
		Expect(s.as(g).Post("/v1/me/totp", object{}).Status).To(Equal(http.StatusUnprocessableEntity))
		stranger := s.signedIn(s.customer())
		Expect(s.as(stranger).Post("/v1/me/totp", object{"currentPassword": secret}).Code()).To(Equal("email_not_verified"))
	})

	DescribeTable("and sessions of before are nothing to who proves the address first", func(prove func()) {
		Expect(confirm(g, code(enrol(g))).Status).To(Equal(http.StatusOK))
		s.exec(`update identity.account set email_verified_at = null where tenant_id = $1`)
		prove()
		Eventually(func() int { return s.as(g).Get("/v1/me").Status }).Should(Equal(http.StatusUnauthorized))
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Code()).To(Equal("invalid_refresh_token"))
		for _, table := range []string{"totp", "recovery_code", "device"} {
			var left int
			Expect(s.super.QueryRow(`select count(*) from identity.`+table+` where tenant_id = $1`, s.Tenant).Scan(&left)).To(Succeed())
			Expect(left).To(BeZero(), table)
		}
		again := s.signedIn(email)
		Expect(s.as(again).Get("/v1/me").JSON()["account"]).To(And(HaveKeyWithValue("emailVerified", true), HaveKeyWithValue("secondFactor", false)))
	},
		Entry("by the mail of the account", func() {
			s.exec(`update identity.one_time_token set used_at = null where tenant_id = $1`)
			Expect(s.With("").Post("/v1/auth/email/verify", object{"token": s.token(email, "verify-email")}).Status).To(Equal(http.StatusNoContent))
		}),
		Entry("by the mail for another password", func() {
			Expect(s.Post("/v1/auth/password/forgot", object{"email": email}).Status).To(Equal(http.StatusAccepted))
			Expect(s.With("").Post("/v1/auth/password/reset", object{"token": s.token(email, "reset-password"), "password": secret}).Status).To(Equal(http.StatusNoContent))
		}),
	)

	It("is guessed five times at most, also by who knows the password", func() {
		key := enrol(g)
		Expect(confirm(g, code(key)).Status).To(Equal(http.StatusOK))
		for range 4 {
			Expect(with("code", "000000").Code()).To(Equal("invalid_second_factor"))
			Expect(s.login(email, secret).Code()).To(Equal("second_factor_required"), "which does not begin the count anew")
		}
		Expect(with("code", "000000").Code()).To(Equal("invalid_second_factor"))
		Expect(with("code", code(key)).Code()).To(Equal("too_many_attempts"))
	})

	It("has codes for the day on which the phone is lost, each good once", func() {
		key := enrol(g)
		codes := read[struct{ RecoveryCodes []string }](confirm(g, code(key))).RecoveryCodes
		Expect(codes).To(HaveLen(10))
		Expect(with("recoveryCode", codes[0]).Status).To(Equal(http.StatusOK))
		Expect(with("recoveryCode", codes[0]).Code()).To(Equal("invalid_second_factor"))
		answers := newTally()
		parallel(4, func(int) { answers.add(with("recoveryCode", " "+codes[1])) })
		Expect(answers.of).To(Equal(map[string]int{"OK": 1, "invalid_second_factor": 3}))
	})

	It("is accepted once by however many show the same code at the same moment", func() {
		key := enrol(g)
		Expect(confirm(g, code(key)).Status).To(Equal(http.StatusOK))
		shown, answers := code(key), newTally()
		parallel(5, func(int) { answers.add(with("code", shown)) })
		Expect(answers.of["OK"]).To(Equal(1))
	})

	It("is kept sealed, and its codes as hashes", func() {
		key := enrol(g)
		codes := read[struct{ RecoveryCodes []string }](confirm(g, code(key))).RecoveryCodes
		var found int
		Expect(s.super.QueryRow(`select count(*) from identity.totp where tenant_id = $1 and position($2 in secret) > 0`, s.Tenant, key).Scan(&found)).To(Succeed())
		Expect(found).To(BeZero())
		for _, table := range []string{"platform.audit", "platform.event", "platform.idempotency"} {
			Expect(s.super.QueryRow(`select count(*) from `+table+` t where tenant_id = $1 and (t::text like '%' || $2 || '%' or t::text like '%' || $3 || '%')`, s.Tenant, base32Of(key), codes[0]).Scan(&found)).To(Succeed())
			Expect(found).To(BeZero(), table)
		}
	})

	It("is removed by who shows it, and guessed five times at most there", func() {
		key := enrol(g)
		Expect(confirm(g, code(key)).Status).To(Equal(http.StatusOK))
		Expect(s.audited("enrolSecondFactor", g.Account.ID)).To(Equal(1))
		Expect(s.audited("confirmSecondFactor", g.Account.ID)).To(Equal(1))
		remove := func(code string) testkit.Response {
			return s.as(g).Call(http.MethodDelete, "/v1/me/totp", object{"code": code})
		}
		Expect(remove("000000").Code()).To(Equal("invalid_code"))
		Expect(remove(code(key)).Status).To(Equal(http.StatusNoContent))
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
		Expect(remove(code(key)).Code()).To(Equal("second_factor_not_set"))

		Expect(confirm(g, code(enrol(g))).Status).To(Equal(http.StatusOK))
		answers := newTally()
		parallel(20, func(int) { answers.add(remove("000000")) })
		Expect(answers.of).To(Equal(map[string]int{"invalid_code": 5, "too_many_attempts": 15}))
	})

	It("is what staff must have where the shop says so: without one they can only set one", func() {
		boss := s.staff(identity.Manager)
		session := s.signedIn(boss)
		Expect(s.as(session).Get("/v1/staff").Status).To(Equal(http.StatusOK))
		Expect(s.Call(http.MethodPatch, "/v1/settings", object{"secondFactorForStaff": true}).Status).To(Equal(http.StatusOK))
		Eventually(func() int { return s.as(session).Get("/v1/staff").Status }).Should(Equal(http.StatusForbidden))
		Expect(s.as(g).Get("/v1/me").JSON()["permissions"]).NotTo(BeEmpty(), "customers choose")

		key := enrol(session)
		Expect(confirm(session, code(key)).Status).To(Equal(http.StatusOK))
		Expect(s.as(session).Get("/v1/staff").Status).To(Equal(http.StatusOK))
		email = boss
		again := read[granted](with("code", code(key)))
		Expect(s.as(again).Get("/v1/staff").Status).To(Equal(http.StatusOK))
	})

	It("is asked for before anything else, on every route but those that serve to set one", func() {
		boss := s.staff(identity.Manager)
		session := s.signedIn(boss)
		Expect(s.as(session).Get("/v1/me").JSON()).To(HaveKeyWithValue("secondFactorEnrolmentRequired", false))
		Expect(s.Call(http.MethodPatch, "/v1/settings", object{"secondFactorForStaff": true}).Status).To(Equal(http.StatusOK))
		Eventually(func() string { return s.as(session).Get("/v1/staff").Code() }).Should(Equal("second_factor_enrolment_required"))
		refused := 0
		for _, r := range s.App.API().Routes() {
			if r.Enrolment {
				continue
			}
			answer := s.as(session).Call(r.Method, strings.NewReplacer("{id}", s.id(boss), "{slug}", "x", "{role}", "x").Replace(r.Path), nil)
			Expect(answer.Status).To(Equal(http.StatusForbidden), "%s %s: %s", r.Method, r.Path, answer.Raw)
			Expect(answer.Code()).To(Equal("second_factor_enrolment_required"), r.Path)
			refused++
		}
		Expect(refused).To(BeNumerically(">", 40))
		me := s.as(session).Get("/v1/me")
		Expect(me.JSON()).To(And(HaveKeyWithValue("secondFactorEnrolmentRequired", true), HaveKeyWithValue("permissions", BeEmpty())))
		Expect(s.login(boss, secret).JSON()).To(HaveKeyWithValue("secondFactorEnrolmentRequired", true))
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": session.RefreshToken}).JSON()).To(HaveKeyWithValue("secondFactorEnrolmentRequired", true))
		Expect(s.login(email, secret).JSON()).To(HaveKeyWithValue("secondFactorEnrolmentRequired", false), "customers choose")

		again := s.signedIn(boss)
		Expect(confirm(again, code(enrol(again))).Status).To(Equal(http.StatusOK))
		Expect(s.as(again).Get("/v1/me").JSON()).To(HaveKeyWithValue("secondFactorEnrolmentRequired", false))
		Expect(s.as(session).Post("/v1/auth/logout", nil).Status).To(Equal(http.StatusNoContent))
	})

	It("is turned off for all staff by an owner only", func() {
		off, on := object{"secondFactorForStaff": false}, object{"secondFactorForStaff": true}
		manager := s.With(testkit.Key(s.App.DB(), s.Tenant, "settings:read", "settings:write"))
		Expect(manager.Call(http.MethodPatch, "/v1/settings", on).Status).To(Equal(http.StatusOK))
		r := manager.Call(http.MethodPatch, "/v1/settings", off)
		Expect(r.Status).To(Equal(http.StatusForbidden))
		Expect(r.Code()).To(Equal("owner_required"))
		Expect(manager.Call(http.MethodPatch, "/v1/settings", object{"senderName": "Harbour", "secondFactorForStaff": true}).Status).To(Equal(http.StatusOK))
		Expect(s.Get("/v1/settings").JSON()).To(HaveKeyWithValue("secondFactorForStaff", true))
		Expect(s.Call(http.MethodPatch, "/v1/settings", off).Status).To(Equal(http.StatusOK))
	})

	It("is not told of to who does not know the password", func() {
		Expect(confirm(g, code(enrol(g))).Status).To(Equal(http.StatusOK))
		guess := func(email string) object {
			GinkgoHelper()
			return alike(s.Post("/v1/auth/login", object{"email": email, "password": wrong, "code": "000000"}))
		}
		Expect(guess(email)).To(Equal(guess(newAddress())))
		Expect(with("code", "000000").Status).To(Equal(http.StatusUnauthorized))
		Expect(s.audited("login.failed", s.id(email))).To(Equal(2))
	})

	Describe("that its owner has lost", func() {
		var boss string
		BeforeEach(func() {
			boss = s.staff(identity.Support)
			session := s.signedIn(boss)
			Expect(confirm(session, code(enrol(session))).Status).To(Equal(http.StatusOK))
			Expect(s.login(boss, secret).Code()).To(Equal("second_factor_required"))
		})
		remove := func(by *testkit.Shop, id string) testkit.Response {
			GinkgoHelper()
			return by.Call(http.MethodDelete, "/v1/staff/"+id+"/second-factor", nil)
		}

		It("is removed by who holds what they hold, and they hear of it", func() {
			id := s.id(boss)
			weak := s.With(testkit.Key(s.App.DB(), s.Tenant, "staff:write"))
			Expect(remove(weak, id).Code()).To(Equal("role_not_held"))
			Expect(remove(s.Shop, s.id(email)).Code()).To(Equal("not_found"), "customers are no staff")
			Expect(s.login(boss, secret).Code()).To(Equal("second_factor_required"))

			Expect(remove(s.Shop, id).Status).To(Equal(http.StatusNoContent))
			Expect(s.mail(boss, "second-factor-removed")).To(HaveLen(1))
			Expect(s.login(boss, secret).Status).To(Equal(http.StatusOK))
			Expect(remove(s.Shop, id).Code()).To(Equal("second_factor_not_set"))
			var entries int
			Expect(s.super.QueryRow(`select count(*) from platform.audit where tenant_id = $1 and action = 'removeStaffSecondFactor' and status = 204`, s.Tenant).Scan(&entries)).To(Succeed())
			Expect(entries).To(Equal(1))
		})

		It("is not removed by its owner without a code", func() {
			owner := s.staff(identity.Owner)
			Expect(remove(s.as(s.signedIn(owner)), s.id(owner)).Code()).To(Equal("own_second_factor"))
		})

		It("is removed from the command line as well", func() {
			Expect(s.module.ResetSecondFactor(testkit.As(s.Tenant), boss)).To(HaveField("Email", boss))
			Expect(s.login(boss, secret).Status).To(Equal(http.StatusOK))
			Expect(s.module.ResetSecondFactor(testkit.As(s.Tenant), boss)).Error().To(MatchError(errNoTOTP))
		})
	})
})
