package e2e_test

import (
	"fmt"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type role struct {
	Name, Description string
	Permissions       []string
	BuiltIn           bool
}

var nightShift = object{"name": "night-shift", "description": "Packs at night", "permissions": []string{"inventory:write", "orders:read"}}

var _ = Describe("roles", func() {
	It("are those that every shop has, and the shop's own beside them", func() {
		s := open()
		Expect(all[role](s, "/v1/roles", nil)).To(HaveEach(HaveField("BuiltIn", true)))
		r := s.post("/v1/roles", nightShift)
		Expect(r).To(answer(201))
		Expect(r.header.Get("Location")).To(Equal("/v1/roles/night-shift"))
		made := as[role](s.get("/v1/roles/night-shift"))
		Expect(made).To(Equal(role{"night-shift", "Packs at night", []string{"inventory:write", "orders:read"}, false}))
		Expect(as[role](s.get("/v1/roles/owner"))).To(And(HaveField("BuiltIn", true), HaveField("Permissions", HaveExactElements("*"))))

		var names []string
		for _, r := range all[role](s, "/v1/roles", url.Values{"limit": {"2"}}) {
			names = append(names, r.Name)
		}
		Expect(names).To(HaveExactElements("analyst", "customer", "fulfilment", "manager", "night-shift", "owner", "support", "vendor"))
		Expect(all[role](open(), "/v1/roles", nil)).NotTo(ContainElement(HaveField("Name", "night-shift")))
	})

	It("are changed by who has seen them as they are, and deleted", func() {
		s := open()
		first := s.post("/v1/roles", nightShift).tag()
		changed := s.patch("/v1/roles/night-shift", object{"permissions": []string{"orders:read", "orders:read"}}, header{"If-Match", first})
		Expect(as[role](changed)).To(And(HaveField("Permissions", HaveExactElements("orders:read")), HaveField("Description", "Packs at night")))
		Expect(changed.tag()).NotTo(Equal(first))
		Expect(s.patch("/v1/roles/night-shift", object{"description": "x"}, header{"If-Match", first})).To(refuse(412, "version_conflict"))
		Expect(s.patch("/v1/roles/night-shift", object{"permissions": []string{"orders:read"}}).tag()).To(Equal(changed.tag()), "nothing has changed")
		Expect(s.delete("/v1/roles/night-shift")).To(answer(204))
		Expect(s.get("/v1/roles/night-shift")).To(refuse(404, "not_found"))
		Expect(s.delete("/v1/roles/night-shift")).To(refuse(404, "not_found"))
	})

	It("that every shop has stay as they are", func() {
		s := open()
		for _, name := range identity.Roles() {
			Expect(s.patch("/v1/roles/"+name, object{"permissions": []string{"*"}})).To(refuse(409, "role_built_in"))
			Expect(s.delete("/v1/roles/" + name)).To(refuse(409, "role_built_in"))
			Expect(s.post("/v1/roles", nightShift.but(object{"name": name}))).To(refuse(409, "role_taken", "/name"))
		}
		Expect(s.post("/v1/roles", nightShift)).To(answer(201))
		Expect(s.post("/v1/roles", nightShift)).To(refuse(409, "role_taken", "/name"))
	})

	It("are not deleted while somebody has them", func() {
		s := open()
		Expect(s.post("/v1/roles", nightShift)).To(answer(201))
		for _, database := range auditors {
			_, err := database.Exec(`
				insert into identity.account (tenant_id, id, kind, email, email_key, roles, status, created_at, updated_at)
				values ($1, gen_random_uuid(), 'staff', 'ana@shop.example', 'ana@shop.example', '{support,night-shift}', 'active', now(), now())`, s.tenant)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(s.delete("/v1/roles/night-shift")).To(refuse(409, "role_in_use"))
		Expect(s.get("/v1/roles/night-shift")).To(answer(200))
	})

	DescribeTable("are made only as they can be", func(changes object, status int, code string, pointers ...string) {
		s := open()
		Expect(s.post("/v1/roles", nightShift.but(changes))).To(refuse(status, code, pointers...))
		Expect(s.get("/v1/roles/night-shift")).To(refuse(404, "not_found"))
	},
		Entry("with permissions that there are", object{"permissions": []string{"orders:read", "oders:read"}}, 422, "unknown_permission", "/permissions/1"),
		Entry("with some", object{"permissions": []string{}}, 422, "validation_failed", "/permissions"),
		Entry("with a name that can stand in a path", object{"name": "Night Shift"}, 422, "validation_failed", "/name"),
		Entry("with a name of more than a letter", object{"name": "n"}, 422, "validation_failed", "/name"),
	)

	It("do not let anybody beyond what they hold: neither a new one nor one that somebody has", func() {
		s := open()
		clerk := s.staffed("roles:read", "roles:write", "orders:read", "inventory:write")
		Expect(s.post("/v1/roles", nightShift.but(object{"name": "chief", "permissions": []string{"orders:read", "orders:refund"}}))).To(answer(201))
		s.changingNothing(func() {
			for _, permissions := range [][]string{{"*"}, {"orders:read", "orders:write"}, {"keys:write"}} {
				r := clerk.post("/v1/roles", nightShift.but(object{"permissions": permissions}))
				Expect(r).To(refuse(403, "beyond_own_permissions"))
				Expect(r.problem.Detail).To(HaveSuffix(fmt.Sprintf(": %s.", permissions[len(permissions)-1])))
			}
			Expect(clerk.patch("/v1/roles/chief", object{"description": "mine"})).To(refuse(403, "beyond_own_permissions"))
			Expect(clerk.patch("/v1/roles/chief", object{"permissions": []string{"orders:read"}})).To(refuse(403, "beyond_own_permissions"))
			Expect(clerk.delete("/v1/roles/chief")).To(refuse(403, "beyond_own_permissions"))
		})
		Expect(clerk.post("/v1/roles", nightShift)).To(answer(201))
		Expect(clerk.patch("/v1/roles/night-shift", object{"permissions": []string{"orders:read", "inventory:hold"}})).To(answer(200), "inventory:write comes with it")
		Expect(clerk.patch("/v1/roles/night-shift", object{"permissions": []string{"orders:read", "roles:write", "keys:write"}})).To(refuse(403, "beyond_own_permissions"))
	})
})
