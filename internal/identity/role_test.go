package identity

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a role of the shop's own", func() {
	var s *shop

	BeforeEach(func() {
		s = open()
		Expect(s.Post("/v1/roles", object{"name": "night-shift", "permissions": []string{"staff:read", "inventory:write"}}).Status).To(Equal(http.StatusCreated))
	})

	permissions := func(g granted) any {
		GinkgoHelper()
		return s.as(g).Get("/v1/me").JSON()["permissions"]
	}

	It("adds to what somebody may do by their other roles", func() {
		g := s.signedIn(s.staff("analyst", "night-shift"))
		analyst, _ := identity.RolePermissions(identity.Analyst)
		wanted := []any{"staff:read", "inventory:write"}
		for _, p := range analyst {
			wanted = append(wanted, p)
		}
		Expect(permissions(g)).To(ConsistOf(wanted...))
		Expect(s.as(g).Get("/v1/staff").Status).To(Equal(http.StatusOK))
		Expect(s.as(g).Get("/v1/roles").Status).To(Equal(http.StatusForbidden))
	})

	It("acts as it is changed, for those who are signed in", func() {
		g := s.signedIn(s.staff("night-shift"))
		Expect(s.as(g).Get("/v1/staff").Status).To(Equal(http.StatusOK))
		Expect(s.Call(http.MethodPatch, "/v1/roles/night-shift", object{"permissions": []string{"inventory:write"}}).Status).To(Equal(http.StatusOK))
		Eventually(func() int { return s.as(g).Get("/v1/staff").Status }, testkit.Patience).Should(Equal(http.StatusForbidden))
		Expect(permissions(g)).To(ConsistOf("inventory:write"))
	})

	It("is given and taken by who holds what it permits", func() {
		keeper := s.id(s.staff("night-shift"))
		desk := s.With(testkit.Key(s.App.DB(), s.Tenant, "staff:read", "staff:write", "roles:write"))
		body := func(roles ...string) object { return object{"email": newAddress(), "roles": roles} }
		Expect(desk.Post("/v1/staff/invitations", body("night-shift")).Code()).To(Equal("role_not_held"))
		Expect(desk.Call(http.MethodPatch, "/v1/staff/"+keeper, object{"roles": []string{}}).Code()).To(Equal("role_not_held"))
		Expect(desk.Call(http.MethodPatch, "/v1/staff/"+keeper, object{"status": "disabled"}).Code()).To(Equal("role_not_held"))
		Expect(desk.Call(http.MethodPatch, "/v1/roles/night-shift", object{"permissions": []string{"staff:read"}}).Code()).To(Equal("beyond_own_permissions"))
		wider := s.With(testkit.Key(s.App.DB(), s.Tenant, "staff:read", "staff:write", "inventory:write"))
		Expect(wider.Post("/v1/staff/invitations", body("night-shift")).Status).To(Equal(http.StatusCreated))
	})

	It("is not widened by who has it, nor are they by themselves", func() {
		Expect(s.Post("/v1/roles", object{"name": "foreman", "permissions": []string{"staff:read", "staff:write", "roles:read", "roles:write", "keys:write"}}).Status).To(Equal(http.StatusCreated))
		email := s.staff("foreman")
		g, me := s.signedIn(email), s.id(email)
		before := permissions(g)
		foreman := s.as(g)
		for _, r := range []testkit.Response{
			foreman.Call(http.MethodPatch, "/v1/roles/foreman", object{"permissions": []string{"*"}}),
			foreman.Call(http.MethodPatch, "/v1/roles/foreman", object{"permissions": []string{"staff:read", "orders:write"}}),
			foreman.Post("/v1/roles", object{"name": "chief", "permissions": []string{"*"}}),
			foreman.Post("/v1/keys", object{"name": "mine", "permissions": []string{"*"}}),
			foreman.Call(http.MethodPatch, "/v1/staff/"+me, object{"roles": []string{"foreman", "owner"}}),
			foreman.Call(http.MethodPatch, "/v1/staff/"+me, object{"roles": []string{"manager"}}),
			foreman.Post("/v1/staff/invitations", object{"email": newAddress(), "roles": []string{"owner"}}),
		} {
			Expect(r.Status).To(Equal(http.StatusForbidden), "%s", r.Raw)
		}
		Expect(permissions(g)).To(Equal(before))
	})

	It("stays as long as somebody has it, and is nobody's whom it is not given to", func() {
		email := s.staff("night-shift")
		Expect(s.Call(http.MethodDelete, "/v1/roles/night-shift", nil).Code()).To(Equal("role_in_use"))
		Expect(s.Call(http.MethodPatch, "/v1/staff/"+s.id(email), object{"roles": []string{"support"}}).Status).To(Equal(http.StatusOK))
		Expect(s.Call(http.MethodDelete, "/v1/roles/night-shift", nil).Status).To(Equal(http.StatusNoContent))
		r := s.Post("/v1/staff/invitations", object{"email": newAddress(), "roles": []string{"support", "night-shift"}})
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(string(r.Raw)).To(And(ContainSubstring(`"pointer":"/roles/1"`), ContainSubstring(`"code":"unknown_role"`)))
	})

	It("is never both deleted and given", func() {
		answers := newTally()
		for range 5 {
			s.exec(`with invitations as (delete from identity.one_time_token where tenant_id = $1) delete from identity.account where tenant_id = $1`)
			s.Post("/v1/roles", object{"name": "night-shift", "permissions": []string{"inventory:write"}})
			parallel(2, func(i int) {
				if i == 0 {
					answers.add(s.Call(http.MethodDelete, "/v1/roles/night-shift", nil))
				} else {
					answers.add(s.Post("/v1/staff/invitations", object{"email": newAddress(), "roles": []string{"night-shift"}}))
				}
			})
			var orphans int
			Expect(s.super.QueryRow(`
				select count(*) from identity.account a where tenant_id = $1 and 'night-shift' = any(roles)
				and not exists (select from identity.role r where r.tenant_id = a.tenant_id and r.name = 'night-shift')`, s.Tenant).Scan(&orphans)).To(Succeed())
			Expect(orphans).To(BeZero())
		}
	})

	It("is one of a hundred, none of which has the name of a role that every shop has", func() {
		s.exec(`insert into identity.role (tenant_id, name, description, permissions, version, created_at, updated_at)
			select $1, 'shift-' || n, '', '{orders:read}', 1, now(), now() from generate_series(2, 99) n`)
		Expect(s.Post("/v1/roles", object{"name": "manager", "permissions": []string{"orders:read"}}).Code()).To(Equal("role_taken"))
		Expect(s.Post("/v1/roles", object{"name": "shift-100", "permissions": []string{"orders:read"}}).Status).To(Equal(http.StatusCreated))
		Expect(s.Post("/v1/roles", object{"name": "shift-101", "permissions": []string{"orders:read"}}).Code()).To(Equal("too_many_roles"))
	})

	It("is another shop's neither to see nor to have", func() {
		other := open()
		Expect(other.Get("/v1/roles/night-shift").Status).To(Equal(http.StatusNotFound))
		Expect(other.Post("/v1/staff/invitations", object{"email": newAddress(), "roles": []string{"night-shift"}}).Status).To(Equal(http.StatusUnprocessableEntity))
	})
})
