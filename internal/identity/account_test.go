package identity

import (
	"context"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/password"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("registering", func() {
	var s *shop
	BeforeEach(func() { s = open() })

	register := func(body object) testkit.Response {
		GinkgoHelper()
		return s.Post("/v1/auth/register", body)
	}

	It("says the same whether the address is known or not: the mail does not", func() {
		email := s.customer()
		known, unknown := register(object{"email": strings.ToUpper(email), "password": wrong}), register(object{"email": newAddress(), "password": wrong})
		Expect(known.Status).To(Equal(http.StatusAccepted))
		Expect(alike(known)).To(Equal(alike(unknown)))
		Expect(s.mail(strings.ToUpper(email), "account-exists")).To(HaveLen(1))
		Expect(s.mail(email, "verify-email")).To(HaveLen(1))
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK), "the account is what it was")
		Expect(s.login(email, wrong).Status).To(Equal(http.StatusUnauthorized))
	})

	It("makes one account, however many ask at the same moment", func() {
		email := newAddress()
		parallel(20, func(int) {
			Expect(register(object{"email": email, "password": secret}).Status).To(Or(Equal(http.StatusAccepted), Equal(http.StatusServiceUnavailable)))
		})
		Expect(s.mail(email, "verify-email")).To(HaveLen(1))
		g := s.signedIn(email)
		Expect(s.facts(g.Account.CustomerID)).To(Equal([]string{"customer.registered"}))
	})

	It("is done once for a request that is repeated", func() {
		body, again := object{"email": newAddress(), "password": secret}, testkit.Header{Name: "Idempotency-Key", Value: "r-1"}
		Expect(s.Post("/v1/auth/register", body, again).Header).NotTo(HaveKey("Idempotency-Replayed"))
		Expect(s.Post("/v1/auth/register", body, again).Header).To(HaveKey("Idempotency-Replayed"))
		Expect(s.mail(body["email"].(string), "account-exists")).To(BeEmpty())
	})

	DescribeTable("refuses what nobody may say of themselves", func(field string, value any) {
		r := register(object{"email": newAddress(), "password": secret, field: value})
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(r.Code()).To(Equal("unknown_field"))
		g := s.signedIn(s.customer())
		Expect(s.as(g).Call(http.MethodPatch, "/v1/me", object{field: value}).Code()).To(Equal("unknown_field"))
	},
		Entry("roles", "roles", []string{"owner"}), Entry("kind", "kind", "staff"), Entry("status", "status", "active"), Entry("permissions", "permissions", []string{"*"}),
		Entry("an id", "id", "01a202ac-402d-7613-9fe6-fe75b8e3a3b7"), Entry("a merchant", "tenantId", "01a202ac-402d-7613-9fe6-fe75b8e3a3b7"),
		Entry("a proof", "emailVerified", true), Entry("a customer", "customerId", "01a202ac-402d-7613-9fe6-fe75b8e3a3b7"), Entry("a version", "version", 9),
	)

	DescribeTable("refuses an address that is none", func(email string) {
		r := register(object{"email": email, "password": secret})
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(string(r.Raw)).To(ContainSubstring(`"pointer":"/email"`))
	},
		Entry("without @", "ana"), Entry("with two", "ana@example@example.com"), Entry("with a name", "Ana <ana@example.com>"), Entry("of two people", "a@example.com,b@example.com"),
		Entry("with a header behind it", "ana@example.com\r\nBcc: all@example.com"), Entry("that is too long", strings.Repeat("a", 250)+"@example.com"), Entry("that is blank", "  "),
		Entry("that would be compared as another one", "vİctim@example.com"), Entry("with the sign of Kelvin", "vi\u212atim@example.com"),
	)

	DescribeTable("refuses a password", func(password, code string) {
		r := register(object{"email": newAddress(), "password": password})
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(string(r.Raw)).To(And(ContainSubstring(`"pointer":"/password"`), ContainSubstring(`"code":"`+code+`"`)))
	},
		Entry("that is short", "seven77", "min_length"), Entry("that is long", strings.Repeat("x", 129), "max_length"), Entry("that everybody has", "Password123", "common_password"),
	)

	DescribeTable("takes a password", func(password string) {
		email := newAddress()
		Expect(register(object{"email": email, "password": password}).Status).To(Equal(http.StatusAccepted))
		Expect(s.login(email, password).Status).To(Equal(http.StatusOK))
		Expect(s.login(email, password[:len(password)-1]).Status).To(Equal(http.StatusUnauthorized), "all of it counts")
	},
		Entry("of 128 characters", strings.Repeat("xy", 63)+"ab"), Entry("with blanks and emoji", "  ☂ ünd 🌊🌊🌊 x"), Entry("of letters only", "zwetschgendatschi"),
	)
})

var _ = Describe("an account", func() {
	var s *shop
	BeforeEach(func() { s = open() })

	verify := func(token string) testkit.Response {
		GinkgoHelper()
		return s.With("").Post("/v1/auth/email/verify", object{"token": token})
	}
	me := func(g granted) object {
		GinkgoHelper()
		account, _ := s.as(g).Get("/v1/me").JSON()["account"].(object)
		return account
	}

	It("has an address that its owner proves, once", func() {
		email := s.customer()
		g := s.signedIn(email)
		Expect(me(g)).To(HaveKeyWithValue("emailVerified", false))
		Expect(s.as(g).Post("/v1/auth/email/resend", nil).Status).To(Equal(http.StatusAccepted))
		Expect(s.mail(email, "verify-email")).To(HaveLen(2))
		Expect(verify(s.token(email, "verify-email")).Status).To(Equal(http.StatusNoContent))
		g = s.signedIn(email)
		Expect(me(g)).To(HaveKeyWithValue("emailVerified", true))
		Expect(verify(s.token(email, "verify-email")).Code()).To(Equal("invalid_token"))
		Expect(s.as(g).Post("/v1/auth/email/resend", nil).Status).To(Equal(http.StatusAccepted))
		Expect(s.mail(email, "verify-email")).To(HaveLen(2), "there is nothing left to prove")
	})

	It("takes another name at once, and another address when that is proven", func() {
		email, next := s.member(), newAddress()
		g := s.signedIn(email)
		r := s.as(g).Call(http.MethodPatch, "/v1/me", object{"name": "Anna", "email": next, "currentPassword": secret})
		Expect(r.Status).To(Equal(http.StatusOK))
		Expect(s.Get("/v1/customers/" + g.Account.CustomerID).JSON()).To(HaveKeyWithValue("name", "Anna"))
		Expect(me(g)).To(And(HaveKeyWithValue("name", "Anna"), HaveKeyWithValue("email", email)))
		Expect(s.login(next, secret).Status).To(Equal(http.StatusUnauthorized))
		Expect(s.mail(email, "email-change")).To(HaveLen(1), "its owner hears of it where the password does not help")
		Expect(verify(s.token(next, "confirm-new-email")).Status).To(Equal(http.StatusNoContent))
		Expect(s.mail(email, "email-changed")).To(HaveLen(1))
		Expect(me(g)).To(HaveKeyWithValue("email", next))
		Expect(s.login(next, secret).Status).To(Equal(http.StatusOK))
		Expect(s.login(email, secret).Status).To(Equal(http.StatusUnauthorized))
	})

	Describe("whose session is in the wrong hands", func() {
		var (
			email, next string
			g           granted
		)
		BeforeEach(func() {
			email, next = s.customer(), newAddress()
			g = s.signedIn(email)
		})
		change := func(more object) testkit.Response {
			GinkgoHelper()
			more["email"] = next
			return s.as(g).Call(http.MethodPatch, "/v1/me", more)
		}

		It("keeps its address for who does not show the password", func() {
			r := change(object{})
			Expect(r.Status).To(Equal(http.StatusUnprocessableEntity))
			Expect(string(r.Raw)).To(ContainSubstring(`"pointer":"/currentPassword"`))
			Expect(change(object{"currentPassword": wrong}).Code()).To(Equal("invalid_credentials"))
			Expect(s.mail(next, "confirm-new-email")).To(BeEmpty())
			Expect(s.as(g).Call(http.MethodPatch, "/v1/me", object{"email": email, "name": "Anna"}).Status).To(Equal(http.StatusOK), "the address that it has")
		})

		It("has the password guessed five times at most there", func() {
			answers := newTally()
			parallel(20, func(int) { answers.add(change(object{"currentPassword": wrong})) })
			Expect(answers.of).To(Equal(map[string]int{"invalid_credentials": 5, "too_many_attempts": 15}))
		})

		It("keeps its address when there is no password to show", func() {
			s.exec(`update identity.account set password_hash = null where tenant_id = $1`)
			Expect(change(object{"currentPassword": secret}).Code()).To(Equal("no_password"))
			Expect(s.as(g).Post("/v1/auth/password/change", object{"currentPassword": secret, "password": "another good secret"}).Code()).To(Equal("no_password"))
		})

		DescribeTable("loses a change that was begun when its owner", func(act func()) {
			Expect(change(object{"currentPassword": secret}).Status).To(Equal(http.StatusOK))
			act()
			Expect(verify(s.token(next, "confirm-new-email")).Code()).To(Equal("invalid_token"))
			Expect(s.login(next, secret).Status).To(Equal(http.StatusUnauthorized))
		},
			Entry("chooses another password", func() {
				Expect(s.as(s.signedIn(email)).Post("/v1/auth/password/change", object{"currentPassword": secret, "password": "another good secret"}).Status).To(Equal(http.StatusNoContent))
			}),
			Entry("has forgotten the password", func() {
				s.Post("/v1/auth/password/forgot", object{"email": email})
				Expect(s.With("").Post("/v1/auth/password/reset", object{"token": s.token(email, "reset-password"), "password": "another good secret"}).Status).To(Equal(http.StatusNoContent))
			}),
			Entry("signs out everywhere", func() {
				Expect(s.as(s.signedIn(email)).Post("/v1/auth/logout-all", nil).Status).To(Equal(http.StatusNoContent))
			}),
			Entry("is given a new epoch", func() { s.exec(`update identity.account set epoch = epoch + 1 where tenant_id = $1`) }),
		)
	})

	It("does not tell by an address that somebody else has it", func() {
		g, taken, free := s.signedIn(s.customer()), s.customer(), newAddress()
		change := func(email string) object {
			GinkgoHelper()
			return alike(s.as(g).Call(http.MethodPatch, "/v1/me", object{"email": email, "currentPassword": secret}))
		}
		Expect(change(taken)).To(Equal(change(free)))
		Expect(s.mail(taken, "account-exists")).To(HaveLen(1))
		Expect(s.mail(taken, "verify-email")).To(HaveLen(1), "its own")
	})

	It("is not overwritten by who has not seen it as it is", func() {
		g := s.signedIn(s.customer())
		tag := s.as(g).Get("/v1/me").Header.Get("ETag")
		patch := func(name string) testkit.Response {
			return s.as(g).Call(http.MethodPatch, "/v1/me", object{"name": name}, testkit.Header{Name: "If-Match", Value: tag})
		}
		Expect(patch("Anna").Status).To(Equal(http.StatusOK))
		Expect(patch("Anne").Code()).To(Equal("version_conflict"))
	})

	Describe("whose password is forgotten", func() {
		forgot := func(email string) testkit.Response {
			GinkgoHelper()
			return s.Post("/v1/auth/password/forgot", object{"email": email})
		}
		reset := func(token, password string) testkit.Response {
			GinkgoHelper()
			return s.With("").Post("/v1/auth/password/reset", object{"token": token, "password": password})
		}

		It("gets a mail, of which nobody else hears", func() {
			email, unknown := s.customer(), newAddress()
			Expect(forgot(email).Status).To(Equal(http.StatusAccepted))
			Expect(alike(forgot(email))).To(Equal(alike(forgot(unknown))))
			Expect(s.mail(email, "reset-password")).To(HaveLen(2))
			Expect(s.mail(unknown, "reset-password")).To(BeEmpty())
		})

		It("gets another one with the token of the mail, once, and all sessions end", func() {
			email := s.customer()
			g := s.signedIn(email)
			for range 6 {
				s.login(email, wrong)
			}
			forgot(email)
			forgot(email)
			first, second := s.mail(email, "reset-password")[0].Data["token"], s.mail(email, "reset-password")[1].Data["token"]
			Expect(reset(first, "another good secret").Status).To(Equal(http.StatusNoContent))
			Expect(s.login(email, "another good secret").Status).To(Equal(http.StatusOK), "and its owner is let in although strangers guessed")
			Expect(s.login(email, secret).Status).To(Equal(http.StatusUnauthorized))
			Expect(s.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Code()).To(Equal("invalid_refresh_token"))
			Eventually(func() int { return s.as(g).Get("/v1/me").Status }).Should(Equal(http.StatusUnauthorized))
			Expect(reset(first, secret).Code()).To(Equal("invalid_token"))
			Expect(reset(second, secret).Code()).To(Equal("invalid_token"), "it was for the password of before")
			Expect(s.mail(email, "password-changed")).To(HaveLen(1))
		})

		It("is named by the audit log wherever its owner showed no more than a token", func() {
			email := s.customer()
			Expect(verify(s.token(email, "verify-email")).Status).To(Equal(http.StatusNoContent))
			g := s.signedIn(email)
			Expect(s.With("").Post("/v1/auth/logout", object{"refreshToken": g.RefreshToken}).Status).To(Equal(http.StatusNoContent))
			forgot(email)
			Expect(reset(s.token(email, "reset-password"), "another good secret").Status).To(Equal(http.StatusNoContent))
			var actions []string
			rows, err := s.super.Query(`select action from platform.audit where tenant_id = $1 and entity = 'account' and entity_id = $2 order by seq`, s.Tenant, g.Account.ID)
			Expect(err).NotTo(HaveOccurred())
			defer rows.Close()
			for rows.Next() {
				var action string
				Expect(rows.Scan(&action)).To(Succeed())
				actions = append(actions, action)
			}
			Expect(rows.Err()).NotTo(HaveOccurred())
			Expect(actions).To(ContainElements("register", "login", "verifyEmail", "logout", "forgotPassword", "resetPassword"))
		})

		It("is named by the audit log where its owner has signed in", func() {
			g := s.signedIn(s.member())
			Expect(s.as(g).Post("/v1/auth/password/change", object{"currentPassword": secret, "password": "another good secret"}).Status).To(Equal(http.StatusNoContent))
			Expect(s.as(g).Post("/v1/auth/email/resend", nil).Status).To(Equal(http.StatusAccepted))
			Expect(s.as(g).Call(http.MethodPatch, "/v1/me", object{"name": "Anna"}).Status).To(Equal(http.StatusOK))
			Expect(s.as(g).Post("/v1/auth/logout-all", nil).Status).To(Equal(http.StatusNoContent))
			for _, action := range []string{"register", "verifyEmail", "changePassword", "resendVerification", "updateMe", "logoutEverywhere"} {
				Expect(s.audited(action, g.Account.ID)).To(Equal(1), action)
			}
			email := s.customer()
			Expect(s.Post("/v1/auth/register", object{"email": email, "password": secret}).Status).To(Equal(http.StatusAccepted))
			Expect(s.audited("register", s.id(email))).To(Equal(1), "who signs up again makes nothing")
		})

		It("is changed once by a request that is repeated, whichever shop's host it comes to", func() {
			email := s.customer()
			forgot(email)
			body, again := object{"token": s.token(email, "reset-password"), "password": "another good secret"}, testkit.Header{Name: "Idempotency-Key", Value: "p-1"}
			for _, replayed := range []string{"", "true"} {
				r := s.With("").Post("/v1/auth/password/reset", body, again)
				Expect(r.Status).To(Equal(http.StatusNoContent), "%s", r.Raw)
				Expect(r.Header.Get("Idempotency-Replayed")).To(Equal(replayed))
			}
			Expect(s.mail(email, "password-changed")).To(HaveLen(1))
			other := object{"token": body["token"], "password": "a third good secret"}
			Expect(s.With("").Post("/v1/auth/password/reset", other, again).Code()).To(Equal("idempotency_key_reused"))
		})

		It("is changed once, however many use the token at the same moment", func() {
			email := s.customer()
			forgot(email)
			answers := newTally()
			parallel(10, func(int) { answers.add(reset(s.token(email, "reset-password"), "another good secret")) })
			Expect(answers.of).To(Equal(map[string]int{"No Content": 1, "invalid_token": 9}))
		})

		It("is not changed by a token that is late, of another kind, or made up", func() {
			email := s.customer()
			forgot(email)
			s.exec(`update identity.one_time_token set expires_at = now() where tenant_id = $1 and purpose = 'reset'`)
			made, _ := newOpaque(oneTimePrefix, s.Tenant)
			before := s.work.hashed.Load()
			for _, token := range []string{s.token(email, "reset-password"), s.token(email, "verify-email"), made, "x"} {
				Expect(s.With("").Post("/v1/staff/invitations/accept", object{"token": token, "password": secret}).Code()).To(Equal("invalid_token"))
				r := reset(token, "another good secret")
				Expect(r.Status).To(Equal(http.StatusBadRequest))
				Expect(r.Code()).To(Equal("invalid_token"))
			}
			Expect(s.work.hashed.Load()).To(Equal(before), "nobody has the program work at passwords without a token")
			Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
		})

		It("cannot be sought in the time that the link is good when the address has changed", func() {
			email, next := s.customer(), newAddress()
			g := s.signedIn(email)
			forgot(email)
			s.as(g).Call(http.MethodPatch, "/v1/me", object{"email": next, "currentPassword": secret})
			Expect(verify(s.token(next, "confirm-new-email")).Status).To(Equal(http.StatusNoContent))
			Expect(reset(s.token(email, "reset-password"), "another good secret").Code()).To(Equal("invalid_token"))
		})
	})

	Describe("whose password is changed", func() {
		change := func(g granted, current, password string) testkit.Response {
			GinkgoHelper()
			return s.as(g).Post("/v1/auth/password/change", object{"currentPassword": current, "password": password})
		}

		It("keeps the session that asked, and no other", func() {
			email := s.customer()
			g, phone := s.signedIn(email), s.signedIn(email)
			Expect(change(g, secret, "another good secret").Status).To(Equal(http.StatusNoContent))
			Eventually(func() int { return s.as(phone).Get("/v1/me").Status }).Should(Equal(http.StatusUnauthorized))
			Expect(s.as(g).Get("/v1/me").Status).To(Equal(http.StatusOK))
			Expect(s.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Status).To(Equal(http.StatusOK))
			Expect(s.login(email, "another good secret").Status).To(Equal(http.StatusOK))
		})

		It("has its present one guessed five times at most", func() {
			g := s.signedIn(s.customer())
			before := s.work.verified.Load()
			answers := newTally()
			parallel(30, func(int) { answers.add(change(g, wrong, "another good secret")) })
			Expect(answers.of).To(Equal(map[string]int{"invalid_credentials": 5, "too_many_attempts": 25}))
			Expect(s.work.verified.Load() - before).To(BeEquivalentTo(5))
		})
	})

	It("gets a stronger hash when the settings are stronger", func() {
		email := s.customer()
		hash := func() (h string) {
			GinkgoHelper()
			Expect(s.super.QueryRow(`select password_hash from identity.account where id = $1`, s.id(email)).Scan(&h)).To(Succeed())
			return h
		}
		weak, err := password.New(password.Settings{Passes: 1, MemoryKiB: 8, Threads: 1}).Hash(context.Background(), secret)
		Expect(err).NotTo(HaveOccurred())
		s.exec(`update identity.account set password_hash = $2 where tenant_id = $1`, weak)
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
		Expect(hash()).To(ContainSubstring("m=64,"))
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
	})
})
