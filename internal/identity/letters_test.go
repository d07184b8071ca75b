package identity

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("letters that anybody can have sent to somebody", func() {
	var s *shop
	BeforeEach(func() { s = open() })

	// nine asks that often, and holds that each answer is the first one's.
	nine := func(ask func() testkit.Response) {
		GinkgoHelper()
		first := ask()
		Expect(first.Status).To(BeNumerically("<", 300))
		for range 8 {
			Expect(alike(ask())).To(Equal(alike(first)))
		}
	}
	forgot := func(email string) func() testkit.Response {
		return func() testkit.Response { return s.Post("/v1/auth/password/forgot", object{"email": email}) }
	}

	It("are three an hour to choose another password", func() {
		email := s.customer()
		nine(forgot(email))
		Expect(s.mail(email, "reset-password")).To(HaveLen(3))
		s.afterLetters("59 minutes")
		nine(forgot(email))
		Expect(s.mail(email, "reset-password")).To(HaveLen(3))
		s.afterLetters("1 minute")
		nine(forgot(email))
		Expect(s.mail(email, "reset-password")).To(HaveLen(6))
	})

	It("are three in any hour, not in each by the clock", func() {
		email := s.customer()
		forgot(email)()
		s.afterLetters("50 minutes")
		nine(forgot(email))
		Expect(s.mail(email, "reset-password")).To(HaveLen(3))
		s.afterLetters("11 minutes")
		nine(forgot(email))
		Expect(s.mail(email, "reset-password")).To(HaveLen(4), "the first one is long ago, the other two are not")
	})

	It("are three, however many ask at the same moment", func() {
		email := s.customer()
		parallel(12, func(int) {
			Expect(forgot(email)().Status).To(Or(Equal(http.StatusAccepted), Equal(http.StatusServiceUnavailable)))
		})
		Expect(s.mail(email, "reset-password")).To(HaveLen(3))
	})

	It("are three an hour that there is an account, however the address is written", func() {
		email := s.customer()
		known := 0
		nine(func() testkit.Response {
			known++
			return s.Post("/v1/auth/register", object{"email": strings.ToUpper(email[:known%3+1]) + email[known%3+1:], "password": secret})
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		told := 0
		for _, l := range s.mails {
			if l.Template == "account-exists" {
				told++
			}
		}
		Expect(told).To(Equal(3))
	})

	It("are three an hour to prove an address, the first one included", func() {
		email := s.customer()
		g := s.signedIn(email)
		nine(func() testkit.Response { return s.as(g).Post("/v1/auth/email/resend", nil) })
		Expect(s.mail(email, "verify-email")).To(HaveLen(3))
		Expect(s.With("").Post("/v1/auth/email/verify", object{"token": s.token(email, "verify-email")}).Status).To(Equal(http.StatusNoContent))
	})

	It("are three an hour to an address that somebody says to be their next one, and take nothing from who registers there", func() {
		g, victim := s.signedIn(s.customer()), newAddress()
		nine(func() testkit.Response {
			return s.as(g).Call(http.MethodPatch, "/v1/me", object{"email": victim, "currentPassword": secret})
		})
		Expect(s.mail(victim, "confirm-new-email")).To(HaveLen(3))
		Expect(s.Post("/v1/auth/register", object{"email": victim, "password": secret}).Status).To(Equal(http.StatusAccepted))
		Expect(s.mail(victim, "verify-email")).To(HaveLen(1))
	})

	It("are each address's and each kind's own, and forgotten after an hour", func() {
		one, other := s.customer(), s.customer()
		nine(forgot(one))
		nine(forgot(other))
		Expect(s.mail(other, "reset-password")).To(HaveLen(3))
		Expect(s.Post("/v1/auth/register", object{"email": one, "password": secret}).Status).To(Equal(http.StatusAccepted))
		Expect(s.mail(one, "account-exists")).To(HaveLen(1))
		s.afterLetters("61 minutes")
		forgot(one)()
		var kept int
		Expect(s.super.QueryRow(`select count(*) from identity.letter_guard where tenant_id = $1`, s.Tenant).Scan(&kept)).To(Succeed())
		Expect(kept).To(Equal(1))
	})
})

var _ = Describe("a letter to an account", func() {
	var s *shop
	BeforeEach(func() { s = open() })

	It("calls its owner by a name once they have shown to read it: before, a stranger may have chosen that", func() {
		email := newAddress()
		Expect(s.Post("/v1/auth/register", object{"email": email, "password": secret, "name": "Call 555 now"}).Status).To(Equal(http.StatusAccepted))
		Expect(s.Post("/v1/auth/password/forgot", object{"email": email}).Status).To(Equal(http.StatusAccepted))
		for _, kind := range []string{"verify-email", "reset-password"} {
			Expect(s.mail(email, kind)).To(ConsistOf(HaveField("Data", Not(HaveKey("name")))))
		}
		Expect(s.With("").Post("/v1/auth/email/verify", object{"token": s.token(email, "verify-email")}).Status).To(Equal(http.StatusNoContent))
		Expect(s.Post("/v1/auth/password/forgot", object{"email": email}).Status).To(Equal(http.StatusAccepted))
		Expect(s.mail(email, "reset-password")[1].Data).To(HaveKeyWithValue("name", "Call 555 now"))

		stranger := s.customer()
		g := s.signedIn(stranger)
		for range 5 {
			Expect(s.as(g).Call(http.MethodPatch, "/v1/me", object{"email": newAddress(), "currentPassword": secret}).Status).To(Equal(http.StatusOK))
		}
		Expect(s.mail(stranger, "email-change")).To(BeEmpty(), "nobody has shown that it is theirs")

		next := newAddress()
		Expect(s.as(s.signedIn(email)).Call(http.MethodPatch, "/v1/me", object{"email": next, "currentPassword": secret}).Status).To(Equal(http.StatusOK))
		Expect(s.mail(next, "confirm-new-email")).To(ConsistOf(HaveField("Data", Not(HaveKey("name")))))
		Expect(s.mail(email, "email-change")).To(ConsistOf(HaveField("Data", HaveKey("name"))))
	})

	It("leads the staff to the administration, and customers to the storefront", func() {
		customer, staff := s.customer(), s.staff("support")
		for _, email := range []string{customer, staff} {
			Expect(s.Post("/v1/auth/password/forgot", object{"email": email}).Status).To(Equal(http.StatusAccepted))
		}
		Expect(s.mail(staff, "invitation")).To(ConsistOf(HaveField("Staff", true)))
		Expect(s.mail(staff, "reset-password")).To(ConsistOf(HaveField("Staff", true)))
		Expect(s.mail(customer, "reset-password")).To(ConsistOf(HaveField("Staff", false)))
	})
})
