package identity

import (
	"net/http"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a session", func() {
	var (
		s     *shop
		email string
		g     granted
	)
	BeforeEach(func() {
		s = open()
		email = s.customer()
		g = s.signedIn(email)
	})

	refresh := func(s *shop, token string) testkit.Response {
		GinkgoHelper()
		return s.Post("/v1/auth/refresh", object{"refreshToken": token})
	}
	works := func(on *shop, g granted) int {
		GinkgoHelper()
		return on.as(g).Get("/v1/me").Status
	}
	// gone waits until a replica that has seen the session lately hears of its end.
	gone := func(on *shop, g granted) {
		GinkgoHelper()
		Eventually(func() int { return works(on, g) }).Should(Equal(http.StatusUnauthorized))
		Expect(on.as(g).Get("/v1/me").Code()).To(Equal("invalid_credentials"))
	}

	Describe("that is refreshed", func() {
		It("gets tokens that work and goes on", func() {
			next := read[granted](refresh(s, g.RefreshToken))
			Expect(next.RefreshToken).NotTo(Equal(g.RefreshToken))
			Expect(works(s, next)).To(Equal(http.StatusOK))
			Expect(works(s, g)).To(Equal(http.StatusOK), "the access token of before is good until its time is up")
			Expect(refresh(s, next.RefreshToken).Status).To(Equal(http.StatusOK))
			var n int
			Expect(s.super.QueryRow(`select count(*) from identity.session where tenant_id = $1`, s.Tenant).Scan(&n)).To(Succeed())
			Expect(n).To(Equal(1))
		})

		It("needs no credential: the token says whose it is", func() {
			anybody := s.With("")
			Expect(anybody.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Status).To(Equal(http.StatusOK))
		})

		It("rotates once, however many use the token at the same moment, on two replicas", func() {
			replicas := []*shop{s, s.twin()}
			answers := newTally()
			parallel(600, func(i int) { answers.add(refresh(replicas[i%2], g.RefreshToken)) })
			Expect(answers.of["OK"]).To(Equal(1))
			Expect(answers.of["OK"] + answers.of["refresh_in_flight"] + answers.of["dependency_unavailable"]).To(Equal(600))
			Expect(works(s, g)).To(Equal(http.StatusOK), "two tabs are no thieves")
			var n int
			Expect(s.super.QueryRow(`select count(*) from identity.refresh_token where tenant_id = $1`, s.Tenant).Scan(&n)).To(Succeed())
			Expect(n).To(Equal(2))
		})

		It("ends when a token comes again that was used long ago", func() {
			next := read[granted](refresh(s, g.RefreshToken))
			Expect(refresh(s, g.RefreshToken).Code()).To(Equal("refresh_in_flight"))
			Expect(works(s, next)).To(Equal(http.StatusOK))
			s.exec(`update identity.refresh_token set used_at = used_at - interval '11 seconds' where tenant_id = $1`)
			Expect(refresh(s, g.RefreshToken).Code()).To(Equal("invalid_refresh_token"))
			Expect(refresh(s, next.RefreshToken).Code()).To(Equal("invalid_refresh_token"), "neither of the two has it any more")
			gone(s, next)
			refresh(s, g.RefreshToken)
			var session string
			Expect(s.super.QueryRow(`select id from identity.session where tenant_id = $1`, s.Tenant).Scan(&session)).To(Succeed())
			Expect(s.facts(session)).To(Equal([]string{"identity.session.reused"}), "once")
		})

		DescribeTable("is refused with", func(spoil func() string) {
			r := refresh(s, spoil())
			Expect(r.Status).To(Equal(http.StatusUnauthorized))
			Expect(r.Code()).To(Equal("invalid_refresh_token"))
			Expect(refresh(s, g.RefreshToken).Status).To(Equal(http.StatusOK), "that changes nothing for the right one")
		},
			Entry("a token that nobody made", func() string { raw, _ := newOpaque(refreshPrefix, s.Tenant); return raw }),
			Entry("one of nobody's", func() string { raw, _ := newOpaque(refreshPrefix, uuid.Nil); return raw }),
			Entry("the access token", func() string { return g.AccessToken[:200] }),
			Entry("a one-time token", func() string { return s.token(email, "verify-email") }),
			Entry("half a token", func() string { return g.RefreshToken[:20] }),
			Entry("a word", func() string { return "x" }),
			Entry("the same for another merchant", func() string {
				_, _, ok := readOpaque(refreshPrefix, g.RefreshToken)
				Expect(ok).To(BeTrue())
				other, _ := newOpaque(refreshPrefix, uuid.New())
				return other[:len(refreshPrefix)+20] + g.RefreshToken[len(refreshPrefix)+20:]
			}),
		)

		It("is refused when its time is up", func() {
			s.exec(`update identity.refresh_token set expires_at = now() where tenant_id = $1`)
			Expect(refresh(s, g.RefreshToken).Code()).To(Equal("invalid_refresh_token"))
		})

		It("is not let in with the refresh token itself", func() {
			Expect(s.With(g.RefreshToken).Get("/v1/me").Code()).To(Equal("invalid_credentials"))
		})
	})

	Describe("that is signed out", func() {
		It("is over at once where that was done, within two seconds elsewhere, and twice is as good", func() {
			other := s.twin()
			Expect(works(other, g)).To(Equal(http.StatusOK))
			Expect(s.as(g).Post("/v1/auth/logout", nil).Status).To(Equal(http.StatusNoContent))
			Expect(works(s, g)).To(Equal(http.StatusUnauthorized))
			gone(other, g)
			Expect(s.as(g).Post("/v1/auth/logout", nil).Status).To(Equal(http.StatusNoContent))
			Expect(refresh(s, g.RefreshToken).Code()).To(Equal("invalid_refresh_token"))
		})

		It("may be named by its refresh token", func() {
			for range 2 {
				Expect(s.With("").Post("/v1/auth/logout", object{"refreshToken": g.RefreshToken}).Status).To(Equal(http.StatusNoContent))
			}
			gone(s, g)
		})

		It("takes no other with it", func() {
			phone := s.signedIn(email)
			Expect(s.as(phone).Post("/v1/auth/logout", nil).Status).To(Equal(http.StatusNoContent))
			Expect(refresh(s, g.RefreshToken).Status).To(Equal(http.StatusOK))
		})

		It("takes all with it when that is wanted", func() {
			phone, somebody := s.signedIn(email), s.signedIn(s.customer())
			Expect(s.as(phone).Post("/v1/auth/logout-all", nil).Status).To(Equal(http.StatusNoContent))
			gone(s, g)
			gone(s, phone)
			Expect(works(s, somebody)).To(Equal(http.StatusOK))
		})
	})

	It("is listed for its owner, who ends it, and for nobody else", func() {
		phone := s.signedIn(email)
		list := read[struct {
			Data []struct {
				ID      string
				Current bool
				IP      string
			}
		}](s.as(phone).Get("/v1/me/sessions"))
		Expect(list.Data).To(HaveLen(2))
		Expect(list.Data[0].Current).To(BeFalse())
		Expect(list.Data[1].Current).To(BeTrue())
		Expect(list.Data[0].IP).To(Equal("127.0.0.1"))

		somebody := s.signedIn(s.customer())
		Expect(s.as(somebody).Call(http.MethodDelete, "/v1/me/sessions/"+list.Data[0].ID, nil).Status).To(Equal(http.StatusNotFound))
		Expect(works(s, g)).To(Equal(http.StatusOK))
		Expect(s.as(phone).Call(http.MethodDelete, "/v1/me/sessions/"+list.Data[0].ID, nil).Status).To(Equal(http.StatusNoContent))
		gone(s, g)
		Expect(s.as(phone).Call(http.MethodDelete, "/v1/me/sessions/"+list.Data[0].ID, nil).Status).To(Equal(http.StatusNotFound))
		Expect(s.as(phone).Get("/v1/me/sessions?limit=1").JSON()["data"]).To(HaveLen(1))
	})

	It("lets a customer do what a page may, and nothing of the staff's", func() {
		Expect(s.as(g).Get("/v1/staff").Code()).To(Equal("forbidden"))
		Expect(s.as(g).Post("/v1/staff/invitations", object{"email": newAddress(), "roles": []string{"owner"}}).Code()).To(Equal("forbidden"))
	})

	It("is what an API key does not have", func() {
		Expect(s.Get("/v1/me").JSON()).To(And(HaveKeyWithValue("permissions", []any{"*"}), HaveKeyWithValue("actor", HavePrefix("key:")), Not(HaveKey("account"))))
		Expect(s.Get("/v1/me/sessions").JSON()["data"]).To(BeEmpty())
		Expect(s.Post("/v1/auth/logout-all", nil).Code()).To(Equal("account_required"))
		Expect(s.With("").Get("/v1/me").Code()).To(Equal("unauthenticated"))
	})

	It("is told to the shop's other deployments, and to nobody else", func() {
		Expect(s.as(g).Post("/v1/auth/introspect", object{"token": g.AccessToken}).Code()).To(Equal("forbidden"))
		r := read[object](s.Post("/v1/auth/introspect", object{"token": g.AccessToken}))
		Expect(r).To(And(HaveKeyWithValue("active", true), HaveKeyWithValue("actor", "user:"+g.Account.ID), HaveKeyWithValue("customerId", g.Account.CustomerID), HaveKeyWithValue("tenantId", s.Tenant.String())))
		Expect(r).To(HaveKey("expiresAt"))
		Expect(read[object](open().Post("/v1/auth/introspect", object{"token": g.AccessToken}))).To(Equal(object{"active": false}), "of another shop's people")
		Expect(read[object](s.Post("/v1/auth/introspect", object{"token": "eyJ.a.b"}))).To(Equal(object{"active": false}))
		Expect(s.as(g).Post("/v1/auth/logout", nil).Status).To(Equal(http.StatusNoContent))
		Expect(read[object](s.Post("/v1/auth/introspect", object{"token": g.AccessToken}))).To(And(HaveKeyWithValue("active", false), Not(HaveKey("permissions"))))
	})
})

var _ = Describe("a shop that is closed", func() {
	It("refuses what names it by a token, under whatever host", func() {
		s := open()
		email := s.customer()
		g := s.signedIn(email)
		Expect(s.Post("/v1/auth/password/forgot", object{"email": email}).Status).To(Equal(http.StatusAccepted))
		waiting := newAddress()
		Expect(s.Post("/v1/staff/invitations", object{"email": waiting, "roles": []string{"support"}}).Status).To(Equal(http.StatusCreated))
		s.exec(`update platform.tenant set status = 'suspended' where tenant_id = $1`)
		Eventually(func() string { return s.Get("/v1/me").Code() }).Should(Equal("tenant_suspended"))

		outside := s.With("")
		for path, body := range map[string]object{
			"/v1/auth/refresh":             {"refreshToken": g.RefreshToken},
			"/v1/auth/logout":              {"refreshToken": g.RefreshToken},
			"/v1/auth/email/verify":        {"token": s.token(email, "verify-email")},
			"/v1/auth/password/reset":      {"token": s.token(email, "reset-password"), "password": "another good secret"},
			"/v1/staff/invitations/accept": {"token": s.token(waiting, "invitation"), "password": secret},
		} {
			r := outside.Post(path, body)
			Expect(r.Status).To(Equal(http.StatusForbidden), path)
			Expect(r.Code()).To(Equal("tenant_suspended"), path)
		}

		s.exec(`update platform.tenant set status = 'active' where tenant_id = $1`)
		Eventually(func() int {
			return outside.Post("/v1/auth/password/reset", object{"token": s.token(email, "reset-password"), "password": "another good secret"}).Status
		}).Should(Equal(http.StatusNoContent))
	})
})
