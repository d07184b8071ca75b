package e2e_test

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

type apiKey struct {
	ID, Name, Kind, Prefix, Key      string
	Permissions, Origins, AllowedIPs []string
	RequestsPerMinute                int
	ExpiresAt, PreviousUntil         time.Time
	LastUsedAt, RevokedAt            *time.Time
}

var warehouse = object{"name": "Warehouse", "permissions": []string{"inventory:read"}}

var _ = Describe("API keys", func() {
	It("are made over the API, shown once, and good until they are revoked", func() {
		s := open()
		r := s.post("/v1/keys", warehouse.but(object{"requestsPerMinute": 90}))
		Expect(r).To(answer(201))
		k := as[apiKey](r)
		Expect(r.header.Get("Location")).To(Equal("/v1/keys/" + k.ID))
		Expect(k.Key).To(HavePrefix(k.Prefix))
		Expect(k.RequestsPerMinute).To(Equal(90))
		Expect(s.get("/v1/keys/" + k.ID).body).NotTo(ContainSubstring(k.Key[10:]))
		Expect(all[apiKey](s, "/v1/keys", nil)).To(ContainElement(And(HaveField("ID", k.ID), HaveField("Key", ""))))

		shareKeys(s.tenant)
		bearer := s.with(k.Key)
		Expect(bearer.get("/v1/inventory")).To(answer(200))
		Expect(bearer.get("/v1/orders")).To(refuse(403, "forbidden"))
		Expect(s.delete("/v1/keys/" + k.ID)).To(answer(204))
		shareKeys(s.tenant)
		Eventually(func() response { return bearer.get("/v1/inventory") }).Should(refuse(401, "invalid_credentials"))
		Expect(s.delete("/v1/keys/" + k.ID)).To(answer(204))
		Expect(as[apiKey](s.get("/v1/keys/" + k.ID)).RevokedAt).NotTo(BeNil())
		Expect(s.post("/v1/keys/"+k.ID+"/rotate", object{})).To(refuse(409, "key_ended"))
	})

	It("are nowhere to be read afterwards, also not in the answer that is kept for a repeated request", func() {
		s := open()
		once := key(uuid.NewString())
		k := as[apiKey](s.post("/v1/keys", warehouse, once))
		again := s.post("/v1/keys", warehouse, once)
		Expect(again).To(refuse(409, "shown_once"))
		var problem struct{ Location string }
		Expect(json.Unmarshal(again.body, &problem)).To(Succeed())
		Expect(problem.Location).To(Equal("/v1/keys/" + k.ID))
		Expect(s.post("/v1/keys", warehouse.but(object{"name": "Other"}), once)).To(refuse(422, "idempotency_key_reused"))
		Expect(all[apiKey](s, "/v1/keys", nil)).To(HaveLen(2), "with the owner's")

		rotation := key(uuid.NewString())
		second := as[apiKey](s.post("/v1/keys/"+k.ID+"/rotate", object{}, rotation))
		Expect(s.post("/v1/keys/"+k.ID+"/rotate", object{}, rotation)).To(refuse(409, "shown_once"))
		for _, database := range auditors {
			for _, secret := range []string{k.Key, second.Key} {
				var kept int
				Expect(database.QueryRow(`select count(*) from platform.idempotency i where tenant_id = $1 and position($2::bytea in body) > 0`, s.tenant, []byte(secret[10:])).Scan(&kept)).To(Succeed())
				Expect(kept).To(BeZero())
				Expect(database.QueryRow(`select count(*) from platform.audit a where tenant_id = $1 and position($2 in a::text) > 0`, s.tenant, secret[10:]).Scan(&kept)).To(Succeed())
				Expect(kept).To(BeZero())
			}
		}
	})

	It("are given a new secret while the one before is still good", func() {
		s := open()
		first := as[apiKey](s.post("/v1/keys", warehouse))
		second := as[apiKey](s.post("/v1/keys/"+first.ID+"/rotate", object{"overlapSeconds": 3600}))
		Expect(second.ID).To(Equal(first.ID))
		Expect(second.PreviousUntil).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))
		shareKeys(s.tenant)
		Expect(s.with(first.Key).get("/v1/inventory")).To(answer(200))
		Expect(s.with(second.Key).get("/v1/inventory")).To(answer(200))
		third := as[apiKey](s.post("/v1/keys/"+first.ID+"/rotate", object{"overlapSeconds": 0}))
		shareKeys(s.tenant)
		Eventually(func() response { return s.with(second.Key).get("/v1/inventory") }).Should(refuse(401, "invalid_credentials"))
		Expect(s.with(third.Key).get("/v1/inventory")).To(answer(200))
	})

	It("are good from the addresses that they were made for", func() {
		s := open()
		here := as[apiKey](s.post("/v1/keys", warehouse.but(object{"allowedIps": []string{"127.0.0.0/8", "::1"}})))
		elsewhere := as[apiKey](s.post("/v1/keys", warehouse.but(object{"allowedIps": []string{"203.0.113.7"}})))
		Expect(elsewhere.AllowedIPs).To(HaveExactElements("203.0.113.7/32"))
		shareKeys(s.tenant)
		Expect(s.with(here.Key).get("/v1/inventory")).To(answer(200))
		Expect(s.with(elsewhere.Key).get("/v1/inventory")).To(refuse(403, "address_not_allowed"))
		Expect(s.with(elsewhere.Key).get("/v1/inventory", header{"X-Forwarded-For", "203.0.113.7"})).To(refuse(403, "address_not_allowed"))
		Expect(s.with(elsewhere.Key).get("/v1/products")).To(refuse(403, "address_not_allowed"))
	})

	It("that may be seen can shop and check out, and nothing else", func() {
		s := open()
		s.sells("MUG", 5)
		page := as[apiKey](s.post("/v1/keys", object{"name": "Page", "kind": "publishable", "origins": []string{"https://shop.example"}}))
		Expect(page.Key).To(HavePrefix("fc_pk_"))
		Expect(page.Permissions).To(ConsistOf("carts:use", "orders:place", "campaigns:join", "inventory:hold", "payments:pay"))
		shareKeys(s.tenant)
		visitor := s.with(page.Key)
		Expect(visitor.get("/v1/products")).To(answer(200))
		o := as[order](visitor.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1})))
		Expect(s.becomes(o.ID, "confirmed").CustomerID).To(Equal("ana"))
		Expect(visitor.get("/v1/orders/" + o.ID)).To(refuse(403, "forbidden"))
		Expect(visitor.post("/v1/orders/"+o.ID+"/cancel", object{})).To(refuse(403, "forbidden"))
		Expect(visitor.get("/v1/inventory")).To(refuse(403, "forbidden"))
		Expect(visitor.get("/v1/keys")).To(refuse(403, "forbidden"))
	})

	DescribeTable("are made only as they can be", func(changes object, status int, code string, pointers ...string) {
		s := open()
		Expect(s.post("/v1/keys", warehouse.but(changes))).To(refuse(status, code, pointers...))
		Expect(all[apiKey](s, "/v1/keys", nil)).To(HaveLen(1), "the owner's")
	},
		Entry("with permissions that there are", object{"permissions": []string{"oders:read", "orders:read"}}, 422, "unknown_permission", "/permissions/0"),
		Entry("with some", object{"permissions": []string{}}, 422, "validation_failed", "/permissions"),
		Entry("with none for a publishable one", object{"kind": "publishable"}, 422, "validation_failed", "/permissions"),
		Entry("with origins for a publishable one only", object{"origins": []string{"https://shop.example"}}, 422, "validation_failed", "/origins"),
		Entry("with origins that browsers write", object{"kind": "publishable", "permissions": absent, "origins": []string{"https://shop.example/x", "*"}}, 422, "validation_failed", "/origins/0", "/origins/1"),
		Entry("with addresses that there are", object{"allowedIps": []string{"10.0.0.0/8", "10.0.0.0/33", "home"}}, 422, "validation_failed", "/allowedIps/1", "/allowedIps/2"),
		Entry("with a limit that lets something through", object{"requestsPerMinute": 0}, 422, "validation_failed", "/requestsPerMinute"),
		Entry("with an end that is to come", object{"expiresAt": "2020-01-01T00:00:00Z"}, 422, "validation_failed", "/expiresAt"),
		Entry("with a name that shows", object{"name": "  "}, 422, "validation_failed", "/name"),
		Entry("of a kind that there is", object{"kind": "golden"}, 422, "validation_failed", "/kind"),
	)

	It("do not come from who lacks what they may do", func() {
		s := open()
		clerk := s.staffed("keys:write", "keys:read", "orders:read", "orders:write")
		owners := all[apiKey](s, "/v1/keys", nil)[0]
		Expect(clerk.post("/v1/keys", warehouse.but(object{"permissions": []string{"orders:read", "orders:place", "keys:read"}}))).To(answer(201), "orders:write comes with orders:place")
		for _, permissions := range [][]string{{"*"}, {"orders:read", "products:write"}, {"orders:refund"}} {
			r := clerk.post("/v1/keys", warehouse.but(object{"permissions": permissions}))
			Expect(r).To(refuse(403, "beyond_own_permissions"))
			Expect(r.problem.Detail).To(ContainSubstring(permissions[len(permissions)-1]))
			Expect(r.problem.Detail).NotTo(ContainSubstring("orders:read"))
		}
		Expect(clerk.post("/v1/keys", object{"name": "Page", "kind": "publishable"})).To(refuse(403, "beyond_own_permissions"))
		Expect(clerk.post("/v1/keys/"+owners.ID+"/rotate", object{})).To(refuse(403, "beyond_own_permissions"), "who sees the secret can use it")
		Expect(s.get("/v1/keys")).To(answer(200))
	})

	Describe("that make keys", func() {
		var (
			s     *shop
			maker *shop
			until time.Time
		)
		bounded := func(changes object) object {
			return warehouse.but(object{"expiresAt": until, "allowedIps": []string{"127.0.0.0/9"}, "requestsPerMinute": 60}).but(changes)
		}

		BeforeEach(func() {
			s = open()
			until = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
			maker = s.with(as[apiKey](s.post("/v1/keys", bounded(object{
				"allowedIps": []string{"127.0.0.0/8", "::1"}, "requestsPerMinute": 90, "permissions": []string{"keys:write", "keys:read", "inventory:read"},
			}))).Key)
			shareKeys(s.tenant)
		})

		It("make none that is good for longer, from elsewhere or more often than themselves", func() {
			Expect(maker.post("/v1/keys", bounded(nil))).To(answer(201))
			for pointer, changes := range map[string]object{
				"/expiresAt": {"expiresAt": until.Add(time.Microsecond)}, "/requestsPerMinute": {"requestsPerMinute": 91}, "/allowedIps": {"allowedIps": absent},
				"/allowedIps/1": {"allowedIps": []string{"127.0.0.1", "127.0.0.0/7"}}, "/allowedIps/0": {"allowedIps": []string{"203.0.113.7", "::1"}},
			} {
				Expect(maker.post("/v1/keys", bounded(changes))).To(refuse(403, "beyond_own_terms", pointer), pointer)
			}
			Expect(maker.post("/v1/keys", warehouse)).To(refuse(403, "beyond_own_terms", "/allowedIps", "/expiresAt", "/requestsPerMinute"), "what is not said has no bounds")
			Expect(all[apiKey](s, "/v1/keys", nil)).To(HaveLen(3), "the owner's, the maker and what it may make")
		})

		It("let in nobody who would outgrow them", func() {
			role := as[struct{ Name string }](s.post("/v1/roles", object{"name": "counters", "permissions": []string{"inventory:read"}}))
			inviter := s.with(as[apiKey](s.post("/v1/keys", bounded(object{"permissions": []string{"staff:write", "inventory:read"}}))).Key)
			shareKeys(s.tenant)
			invitation := object{"email": "bo." + uuid.NewString() + "@example.com", "roles": []string{role.Name}}
			Expect(inviter.post("/v1/staff/invitations", invitation)).To(refuse(403, "beyond_own_terms"))
			Expect(s.post("/v1/staff/invitations", invitation)).To(answer(201))
		})

		It("show no secret of one with wider terms", func() {
			wider := as[apiKey](s.post("/v1/keys", warehouse))
			Expect(maker.post("/v1/keys/"+wider.ID+"/rotate", object{})).To(refuse(403, "beyond_own_terms", "/allowedIps", "/expiresAt", "/requestsPerMinute"))
			narrower := as[apiKey](s.post("/v1/keys", bounded(nil)))
			Expect(maker.post("/v1/keys/"+narrower.ID+"/rotate", object{})).To(answer(200))
			self := all[apiKey](s, "/v1/keys", nil)[1]
			Expect(maker.post("/v1/keys/"+self.ID+"/rotate", object{})).To(answer(200), "it is as wide as itself")
		})
	})

	It("have no limit of their own above what all callers of the shop share", func() {
		s, _ := founded(object{"quotas": object{"requestsPerMinute": 500}})
		Expect(s.post("/v1/keys", warehouse.but(object{"requestsPerMinute": 501}))).To(refuse(422, "validation_failed", "/requestsPerMinute"))
		Expect(s.post("/v1/keys", warehouse.but(object{"requestsPerMinute": 500}))).To(answer(201))
	})
})
