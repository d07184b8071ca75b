package identity

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("staff", func() {
	var s *shop
	BeforeEach(func() { s = open() })

	invite := func(by *testkit.Shop, email string, roles ...string) testkit.Response {
		GinkgoHelper()
		return by.Post("/v1/staff/invitations", object{"email": email, "roles": roles})
	}
	change := func(by *testkit.Shop, id string, body object) testkit.Response {
		GinkgoHelper()
		return by.Call(http.MethodPatch, "/v1/staff/"+id, body)
	}
	accept := func(token string) testkit.Response {
		GinkgoHelper()
		return s.With("").Post("/v1/staff/invitations/accept", object{"token": token, "password": secret})
	}

	It("are invited, choose a password and do what their roles permit", func() {
		email := newAddress()
		r := invite(s.Shop, email, "support", "fulfilment")
		Expect(r.Status).To(Equal(http.StatusCreated))
		Expect(r.Header.Get("Location")).To(Equal("/v1/staff/" + s.id(email)))
		Expect(accept(s.token(email, "invitation")).Status).To(Equal(http.StatusNoContent))
		Expect(accept(s.token(email, "invitation")).Code()).To(Equal("invalid_token"))
		g := s.signedIn(email)
		me := s.as(g).Get("/v1/me").JSON()
		Expect(me["permissions"]).To(ContainElements("orders:refund", "inventory:write"))
		Expect(me["account"]).To(And(HaveKeyWithValue("kind", "staff"), HaveKeyWithValue("emailVerified", true), Not(HaveKey("customerId"))))
		Expect(s.facts(g.Account.ID)).To(Equal([]string{"identity.account.invited", "identity.account.updated"}))
		Expect(s.as(g).Get("/v1/staff").Code()).To(Equal("forbidden"))
	})

	It("are invited again as long as they have not answered, with the newer roles", func() {
		email := newAddress()
		invite(s.Shop, email, "support")
		first := s.token(email, "invitation")
		Expect(invite(s.Shop, email, "analyst").Status).To(Equal(http.StatusCreated))
		Expect(accept(first).Status).To(Equal(http.StatusNoContent))
		Expect(s.as(s.signedIn(email)).Get("/v1/me").JSON()["permissions"]).NotTo(ContainElement("orders:refund"))
		Expect(accept(s.token(email, "invitation")).Code()).To(Equal("invalid_token"), "who has answered has a password that others do not replace")
		r := invite(s.Shop, email, "owner")
		Expect(r.Status).To(Equal(http.StatusConflict))
		Expect(r.Code()).To(Equal("email_taken"))
	})

	It("are invited at an address that somebody signed up with as a customer and has not proven", func() {
		email := s.customer()
		squatter := s.signedIn(email)
		verification := s.token(email, "verify-email")
		Expect(s.as(squatter).Post("/v1/me/addresses", object{"line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"}).Status).To(Equal(http.StatusCreated))
		Expect(s.Post("/v1/customers", object{"email": email, "name": "Bo, as the shop knows him"}).Status).To(Equal(http.StatusCreated))

		Expect(invite(s.Shop, email, "support").Status).To(Equal(http.StatusCreated))
		Expect(s.id(email)).NotTo(Equal(squatter.Account.ID), "what the one did is not the other's")
		Expect(s.login(email, secret).Code()).To(Equal("invalid_credentials"), "the password of before")
		Eventually(func() int { return s.as(squatter).Get("/v1/me").Status }).Should(Equal(http.StatusUnauthorized))
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": squatter.RefreshToken}).Code()).To(Equal("invalid_refresh_token"))
		Expect(s.With("").Post("/v1/auth/email/verify", object{"token": verification}).Code()).To(Equal("invalid_token"))
		Expect(s.Get("/v1/customers/" + squatter.Account.CustomerID).JSON()).To(And(HaveKeyWithValue("registered", false), HaveKeyWithValue("email", ""), HaveKeyWithValue("name", "Ana")))
		Expect(s.audited("account.gave-way", squatter.Account.ID)).To(Equal(1))
		Expect(s.Call(http.MethodDelete, "/v1/customers/"+squatter.Account.CustomerID, nil).Status).To(Equal(http.StatusNoContent))

		Expect(accept(s.token(email, "invitation")).Status).To(Equal(http.StatusNoContent))
		Expect(s.as(s.signedIn(email)).Get("/v1/me").JSON()["account"]).To(And(HaveKeyWithValue("kind", "staff"), HaveKeyWithValue("emailVerified", true)))
	})

	It("are not invited at the address of a customer who has proven it, and who keeps the account", func() {
		email := s.member()
		r := invite(s.Shop, email, "support")
		Expect(r.Status).To(Equal(http.StatusConflict))
		Expect(r.Code()).To(Equal("email_taken"))
		Expect(string(r.Raw)).To(ContainSubstring("invite them at another address"))
		Expect(s.mail(email, "invitation")).To(BeEmpty())
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
	})

	It("are invited once, however many invite at the moment in which the customer proves the address", func() {
		email := s.customer()
		answers := newTally()
		parallel(8, func(i int) {
			if i == 0 {
				s.With("").Post("/v1/auth/email/verify", object{"token": s.token(email, "verify-email")})
				return
			}
			answers.add(invite(s.Shop, email, "support"))
		})
		Expect(answers.of["Created"]+answers.of["email_taken"]).To(Equal(7), "%v", answers.of)
		var accounts int
		Expect(s.super.QueryRow(`select count(*) from identity.account where tenant_id = $1 and email_key = $2`, s.Tenant, email).Scan(&accounts)).To(Succeed())
		Expect(accounts).To(Equal(1))
	})

	It("are invited while the customer is being erased, and neither waits for the other", func() {
		email := s.customer()
		squatter := s.signedIn(email).Account
		erasing, err := s.super.Begin()
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = erasing.Rollback() }() // when an expectation fails
		_, err = erasing.Exec(`select from identity.customer where tenant_id = $1 and id = $2 for update`, s.Tenant, squatter.CustomerID)
		Expect(err).NotTo(HaveOccurred())
		invited := make(chan int, 1)
		go func() {
			defer GinkgoRecover()
			invited <- invite(s.Shop, email, "support").Status
		}()
		Eventually(func() (waiting int, err error) {
			return waiting, s.super.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		}).Should(Equal(1))
		_, err = erasing.Exec(`select from identity.account where tenant_id = $1 and id = $2 for update nowait`, s.Tenant, squatter.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(erasing.Commit()).To(Succeed())
		Eventually(invited).Should(Receive(Equal(http.StatusCreated)))
	})

	DescribeTable("are not invited", func(field string, value any, pointer, code string) {
		body := object{"email": newAddress(), "roles": []string{"support"}}
		body[field] = value
		r := s.Post("/v1/staff/invitations", body)
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(string(r.Raw)).To(And(ContainSubstring(`"pointer":"`+pointer+`"`), ContainSubstring(`"code":"`+code+`"`)))
	},
		Entry("to a role that there is not", "roles", []string{"support", "emperor"}, "/roles/1", "unknown_role"),
		Entry("to be customers", "roles", []string{"customer"}, "/roles/0", "unknown_role"),
		Entry("to the same role twice", "roles", []string{"support", "support"}, "/roles/1", "duplicate"),
		Entry("to nothing", "roles", []string{}, "/roles", "required"),
		Entry("at no address", "email", "ana", "/email", "email"),
		Entry("by a name of two lines", "name", "a\nb", "/name", "invalid_text"),
	)

	It("give and take only what they hold themselves", func() {
		owner := s.id(s.staff(identity.Owner))
		support := s.id(s.staff(identity.Support))
		desk := s.With(testkit.Key(s.App.DB(), s.Tenant, append([]string{"staff:read", "staff:write"}, permissionsOf([]string{identity.Support}, nil)...)...))
		Expect(invite(desk, newAddress(), identity.Owner).Code()).To(Equal("role_not_held"))
		Expect(invite(desk, newAddress(), identity.Manager).Code()).To(Equal("role_not_held"))
		Expect(invite(desk, newAddress(), identity.Support).Status).To(Equal(http.StatusCreated))
		Expect(change(desk, support, object{"roles": []string{identity.Owner}}).Code()).To(Equal("role_not_held"))
		Expect(change(desk, owner, object{"roles": []string{identity.Support}}).Code()).To(Equal("role_not_held"))
		Expect(change(desk, owner, object{"status": "disabled"}).Code()).To(Equal("role_not_held"))
		Expect(change(desk, support, object{"status": "disabled"}).Status).To(Equal(http.StatusOK))
	})

	It("have an owner, whatever happens at the same moment", func() {
		first, second := s.id(s.staff(identity.Owner)), s.id(s.staff(identity.Owner))
		answers := newTally()
		parallel(2, func(i int) {
			answers.add(change(s.Shop, []string{first, second}[i], []object{{"status": "disabled"}, {"roles": []string{"support"}}}[i]))
		})
		Expect(answers.of).To(Equal(map[string]int{"OK": 1, "last_owner": 1}))
	})

	It("have an owner, also when two have seen the other one before either leaves", func() {
		s = openOn(testkit.Shared().Patient(), "")
		first, second := s.id(s.staff(identity.Owner)), s.id(s.staff(identity.Owner))
		tx, err := s.super.Begin()
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = tx.Rollback() }() // when an expectation fails
		_, err = tx.Exec(`select from identity.account where tenant_id = $1 and id in ($2, $3) for update`, s.Tenant, first, second)
		Expect(err).NotTo(HaveOccurred())
		answers := make(chan int, 2)
		for _, id := range []string{first, second} {
			go func() {
				defer GinkgoRecover()
				answers <- change(s.Shop, id, object{"status": "disabled"}).Status
			}()
		}
		Eventually(func() (waiting int, err error) {
			return waiting, s.super.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		}).Should(BeNumerically(">=", 2)) // others of the program wait for each other, too
		Expect(tx.Commit()).To(Succeed())
		var one, other int
		Eventually(answers).Should(Receive(&one))
		Eventually(answers).Should(Receive(&other))
		Expect([]int{one, other}).To(ConsistOf(http.StatusOK, http.StatusConflict))
	})

	It("find nothing pending of before when they are let in again, nor when their second factor was taken away", func() {
		email := s.staff("support")
		id, g := s.id(email), s.signedIn(email)
		pending := func(g granted) (token string) {
			GinkgoHelper()
			next := newAddress()
			Expect(s.as(g).Call(http.MethodPatch, "/v1/me", object{"email": next, "currentPassword": secret}).Status).To(Equal(http.StatusOK))
			return s.token(next, "confirm-new-email")
		}
		token := pending(g)
		Expect(change(s.Shop, id, object{"status": "disabled"}).Status).To(Equal(http.StatusOK))
		Expect(change(s.Shop, id, object{"status": "active"}).Status).To(Equal(http.StatusOK))
		Expect(s.With("").Post("/v1/auth/email/verify", object{"token": token}).Code()).To(Equal("invalid_token"))
		Eventually(func() string { return s.as(g).Get("/v1/me").Code() }).Should(Equal("invalid_credentials"))

		g = s.signedIn(email)
		token = pending(g)
		s.exec(`insert into identity.totp (tenant_id, account_id, secret, created_at, confirmed_at) values ($1, $2, 'x', now(), now())`, id)
		Expect(s.Call(http.MethodDelete, "/v1/staff/"+id+"/second-factor", nil).Status).To(BeNumerically("<", 300))
		Expect(s.With("").Post("/v1/auth/email/verify", object{"token": token}).Code()).To(Equal("invalid_token"))
		Eventually(func() string { return s.as(g).Get("/v1/me").Code() }).Should(Equal("invalid_credentials"))
	})

	It("lose what is taken from them within two seconds, on every replica", func() {
		email := s.staff(identity.Manager)
		g, other := s.signedIn(email), s.twin()
		for _, replica := range []*shop{s, other} {
			Expect(replica.as(g).Get("/v1/staff").Status).To(Equal(http.StatusOK))
		}
		Expect(change(s.Shop, s.id(email), object{"roles": []string{"support"}}).Status).To(Equal(http.StatusOK))
		for _, replica := range []*shop{s, other} {
			Eventually(func() int { return replica.as(g).Get("/v1/staff").Status }).Should(Equal(http.StatusForbidden))
			Expect(replica.as(g).Get("/v1/me").Status).To(Equal(http.StatusOK))
		}
		Expect(change(s.Shop, s.id(email), object{"status": "disabled"}).Status).To(Equal(http.StatusOK))
		for _, replica := range []*shop{s, other} {
			Eventually(func() int { return replica.as(g).Get("/v1/me").Status }).Should(Equal(http.StatusUnauthorized))
		}
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Code()).To(Equal("invalid_refresh_token"))
		Expect(change(s.Shop, s.id(email), object{"status": "active"}).Status).To(Equal(http.StatusOK))
		Expect(s.as(g).Get("/v1/me").Status).To(Equal(http.StatusUnauthorized), "a session that was ended stays so")
		Expect(s.login(email, secret).Status).To(Equal(http.StatusOK))
	})

	It("who never chose a password are invited, not active, when they are let in again", func() {
		email := newAddress()
		invite(s.Shop, email, "support")
		Expect(change(s.Shop, s.id(email), object{"status": "disabled"}).JSON()).To(HaveKeyWithValue("status", "disabled"))
		Expect(accept(s.token(email, "invitation")).Code()).To(Equal("invalid_token"))
		Expect(change(s.Shop, s.id(email), object{"status": "active"}).JSON()).To(HaveKeyWithValue("status", "invited"))
	})

	It("are listed in pages and read, customers not among them", func() {
		a, b, c := s.id(s.staff("support")), s.id(s.staff("support")), s.id(s.customer())
		page := read[struct {
			Data       []struct{ ID string }
			NextCursor string
		}](s.Get("/v1/staff?limit=1"))
		Expect(page.Data[0].ID).To(Equal(a))
		Expect(s.Get("/v1/staff?limit=1&cursor=" + page.NextCursor).JSON()["data"]).To(ConsistOf(HaveKeyWithValue("id", b)))
		Expect(s.Get("/v1/staff/" + b).JSON()).To(HaveKeyWithValue("roles", []any{"support"}))
		Expect(s.Get("/v1/staff/" + c).Code()).To(Equal("not_found"))
		Expect(change(s.Shop, c, object{"status": "disabled"}).Code()).To(Equal("not_found"))
	})

	It("are made and shut out from the command line as well", func() {
		ctx, email := testkit.As(s.Tenant), newAddress()
		person, token, err := s.module.InviteStaff(ctx, email, "Ana", []string{identity.Owner})
		Expect(err).NotTo(HaveOccurred())
		Expect(person.Status).To(Equal("invited"))
		Expect(accept(token).Status).To(Equal(http.StatusNoContent))
		Expect(s.module.Staff(ctx)).To(ConsistOf(HaveField("Status", "active")))
		Expect(s.module.DisableStaff(ctx, email)).Error().To(MatchError(errLastOwner))
		s.staff(identity.Owner)
		Expect(s.module.DisableStaff(ctx, email)).To(HaveField("Status", "disabled"))
		Expect(s.module.DisableStaff(ctx, newAddress())).Error().To(MatchError(errNoStaff))
		_, _, err = s.module.InviteStaff(ctx, "ana", "", []string{"emperor"})
		Expect(err).To(MatchError(ContainSubstring("validation_failed")))
	})
})
