package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

type entry struct {
	ID, Actor, Action, Entity, EntityID, Reason, IP, UserAgent, RequestID, Hash string
	Seq                                                                         int64
	RecordedAt                                                                  time.Time
	Before, After                                                               map[string]any
	Changes                                                                     []string
	Status                                                                      int
}

// entries is how many the audit log has, of all databases.
func (s *shop) entries() int {
	GinkgoHelper()
	return sum(`select count(*) from platform.audit where tenant_id = $1`, s.tenant)
}

// log is the audit log by a filter, newest first: of all programs of the deployment.
func (s *shop) log(filter url.Values) (list []entry) {
	GinkgoHelper()
	for _, program := range installed.Logs() {
		list = append(list, all[entry](s.at(program), "/v1/audit", filter)...)
	}
	slices.SortStableFunc(list, func(a, b entry) int { return b.RecordedAt.Compare(a.RecordedAt) })
	return list
}

// inPerson are operations of people who sign in, each with the reason why an API key cannot
// ask for it. The specs of the module that has the people see to their entries.
var inPerson = map[string]string{
	"register": "the answer tells nobody whether there was somebody of that name", "login": "records itself",
	"resendVerification": "of one's own account", "requestVerification": "the answer tells nobody whether there is an account", "verifyEmail": "the token stands in a letter",
	"forgotPassword": "the answer tells nobody whether there is an account", "resetPassword": "the token stands in a letter", "changePassword": "of one's own account",
	"logout": "ends one's own session", "logoutEverywhere": "ends one's own sessions", "refresh": "records what is wrong by itself", "endMySession": "ends one's own session",
	"updateMe": "of one's own account", "enrolSecondFactor": "of one's own account", "confirmSecondFactor": "of one's own account", "removeSecondFactor": "of one's own account",
	"createMyAddress": "of one's own account", "updateMyAddress": "of one's own account", "deleteMyAddress": "of one's own account",
	"claimMyOrders": "of the own address", "confirmClaim": "the token stands in a letter",
	"inviteStaff": "nobody but a person invites one", "acceptInvitation": "the token stands in a letter", "updateStaff": "there is nobody yet", "removeStaffSecondFactor": "there is nobody yet",
}

// changes are the operations that change something and are to be recorded.
func changes() (list []*operation) {
	for _, o := range published.Operations {
		if o.Method != http.MethodGet && !o.Unrecorded && inPerson[o.ID] == "" {
			list = append(list, o)
		}
	}
	return list
}

// subject makes what an operation can change, and says its id.
func (s *shop) subject(o *operation, p product) (id string) {
	GinkgoHelper()
	switch {
	case strings.Contains(o.Path, "{role}"):
		id := uuid.NewString()
		Expect(s.post("/v1/roles", nightShift.but(object{"name": "r" + id}))).To(answer(201))
		return id
	case !strings.Contains(o.Path, "{id}"):
		return ""
	case strings.HasPrefix(o.Path, "/v1/tenants/"):
		id := as[object](s.post("/v1/tenants", object{"slug": "t" + uuid.NewString(), "name": "Harbour"}))["id"].(string)
		if o.ID == "resumeTenant" {
			Expect(s.post("/v1/tenants/"+id+"/suspend", object{"reason": "unpaid"})).To(answer(200))
		}
		return id
	case strings.HasPrefix(o.Path, "/v1/products/"):
		return p.ID
	case o.ID == "createReturn":
		placed := s.paid()
		s.hands(placed)
		return placed.ID
	case o.ID == "takeParcelBack":
		placed := s.paid()
		Expect(s.post("/v1/shipments/"+s.ships(placed).ID+"/ship", nil)).To(answer(200))
		Eventually(func() string { return as[object](s.get("/v1/orders/" + placed.ID))["status"].(string) }).Should(Equal("shipped"))
		return placed.ID
	case o.ID == "receiveReturn", o.ID == "createReturnLabel":
		return s.back("approved")
	case strings.HasPrefix(o.Path, "/v1/returns/"):
		return s.back("requested")
	case strings.HasPrefix(o.Path, "/v1/orders/"):
		return s.confirmed(item{SKU: p.SKU, Quantity: 1}).ID
	case strings.HasPrefix(o.Path, "/v1/inventory/holds/"):
		return as[hold](s.post("/v1/inventory/holds", bodies["createHold"])).ID
	case strings.HasPrefix(o.Path, "/v1/carts/"):
		at := "/v1/carts/" + as[product](s.post("/v1/carts", bodies["createCart"])).ID
		for _, option := range as[struct{ ShippingOptions []struct{ MethodID string } }](s.get(at + "/checkout")).ShippingOptions {
			Expect(s.patch(at, object{"operations": []object{{"op": "setShippingMethod", "shippingMethodId": option.MethodID}}})).To(answer(200))
		}
		return strings.TrimPrefix(at, "/v1/carts/")
	case strings.HasPrefix(o.Path, "/v1/shipping/methods/"):
		return as[entry](s.post("/v1/shipping/methods", parcel)).ID
	case strings.HasPrefix(o.Path, "/v1/shipping/zones/"):
		return as[entry](s.post("/v1/shipping/zones", islands)).ID
	case strings.HasPrefix(o.Path, "/v1/shipping/carriers/"):
		return as[entry](s.post("/v1/shipping/carriers", bodies["createCarrierAccount"])).ID
	case o.ID == "retryShipment":
		return s.unlabelled()
	case strings.HasPrefix(o.Path, "/v1/shipments/"):
		return s.ships(s.paid()).ID
	case strings.HasPrefix(o.Path, "/v1/payments/"):
		return s.payable(o)
	case strings.HasPrefix(o.Path, "/v1/tax/rates/"):
		return as[entry](s.post("/v1/tax/rates", taxed())).ID
	case strings.HasPrefix(o.Path, "/v1/discounts/"):
		return as[object](s.post("/v1/discounts", bodies["createDiscount"]))["id"].(string)
	case strings.HasPrefix(o.Path, "/v1/campaigns/"):
		return s.offers(p).ID
	case strings.HasPrefix(o.Path, "/v1/customers/"):
		return as[entry](s.post("/v1/customers", someone())).ID
	case strings.HasPrefix(o.Path, "/v1/auth/providers/"):
		return as[entry](s.post("/v1/auth/providers", provider())).ID
	case strings.HasPrefix(o.Path, "/v1/keys/"):
		return as[apiKey](s.post("/v1/keys", warehouse)).ID
	}
	Fail("what does " + o.ID + " change? Say so here")
	return ""
}

// request is the body with which an operation succeeds in a shop that sells MUG.
func (s *shop) request(o *operation, p product) any {
	GinkgoHelper()
	switch o.ID {
	case "createProduct":
		return mug.but(object{"sku": "P-" + uuid.NewString()[:8]})
	case "createCampaign":
		return offer(p.ID)
	case "createTaxRate", "replaceTaxRate":
		return taxed()
	case "createRole":
		return nightShift.but(object{"name": "r" + uuid.NewString()})
	case "placeCart":
		return object{} // whatever it costs to send
	case "createPayment":
		s.takes("test")
		return object{"orderId": s.owes().ID, "method": "pm_card_visa"}
	case "createShipment", "createShippingLabel":
		Expect(s.put("/v1/shipping/settings", object{"sender": toPorto})).To(answer(200))
		return object{"orderId": s.paid().ID}
	case "takeParcelBack":
		return object{"shipmentId": as[struct{ Data []struct{ ID string } }](s.get("/v1/shipments?limit=1")).Data[0].ID} // the newest
	case "createProvider":
		return provider()
	case "createCustomer":
		return someone()
	case "createTenant":
		return object{"slug": "t" + uuid.NewString(), "name": "Harbour"}
	case "updateSignInSettings":
		return object{"secondFactorForStaff": false}
	}
	return o.body()
}

// taxed is a tax rate of a place that has none yet.
func taxed() object {
	return object{"name": "Sales tax", "country": "US", "region": "R" + uuid.NewString()[:8], "rate": "4"}
}

// provider is one whom nobody knows yet.
func provider() object {
	id := uuid.NewString()[:8]
	return object{"slug": "p" + id, "name": "Acme", "kind": "customer", "issuer": "https://login.example.com/" + id, "clientId": "shop"}
}

// someone is a customer whom nobody knows yet.
func someone() object { return object{"email": uuid.NewString() + "@example.com", "name": "Anna"} }

var _ = Describe("the audit log", func() {
	It("has exactly one entry for each call that changes something, and none for one that is refused", func() {
		own := open()
		owned := own.sells("MUG", 100)
		operator := first()
		for _, o := range changes() {
			s, p := own, owned
			if strings.HasPrefix(o.Path, "/v1/tenants") {
				s = operator
			}
			for _, headers := range [][]header{nil, {key(uuid.NewString())}} {
				if headers != nil && o.Method != http.MethodPost {
					continue
				}
				id := s.subject(o, p)
				path, body := o.to(id, "MUG"), s.request(o, p)
				before := s.entries()
				Expect(s.with("").send(o.Method, path, body, headers...).status).To(Or(Equal(401), Equal(403)))
				Expect(s.staffed("campaigns:none").send(o.Method, path, body, headers...)).To(answer(403))
				if strings.Contains(o.Path, "{") {
					Expect(s.send(o.Method, o.to(uuid.NewString(), "GHOST"), body)).To(answer(404))
				}
				if o.RequestBody != nil && o.RequestBody.Required {
					Expect(s.send(o.Method, path, object{"noSuchField": 1}, headers...)).To(answer(422))
				}
				Expect(s.entries()).To(Equal(before), "%s was refused", o.ID)

				r := s.send(o.Method, path, body, headers...)
				Expect(r.status).To(BeNumerically("<", 300), "%s: %s", o.ID, r)
				Expect(s.entries()).To(Equal(before+1), o.ID)
				if made := r.header.Get("Location"); made != "" {
					Expect(sum(`select count(*) from platform.audit where tenant_id = $1 and action = $2 and $3 like '%/' || entity || 's/' || entity_id`, s.tenant, o.ID, made)).To(Equal(1), o.ID)
				}
				if headers != nil {
					Expect(s.send(o.Method, path, body, headers...).replayed() || s.send(o.Method, path, body, headers...).problem.Code == "shown_once").To(BeTrue(), o.ID)
					Expect(s.entries()).To(Equal(before+1), "%s was answered again, not done again", o.ID)
				}
			}
		}
		Expect(changes()).NotTo(BeEmpty())
	})

	It("has one entry for many who ask the same with the same key at once", func() {
		s := open()
		s.sells("MUG", 100)
		before, once := s.entries(), key(uuid.NewString())
		done := make(chan struct{})
		for range 8 {
			go func() {
				defer GinkgoRecover()
				defer func() { done <- struct{}{} }()
				_, err := s.try(http.MethodPost, "/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), once)
				Expect(err).NotTo(HaveOccurred())
			}()
		}
		for range 8 {
			<-done
		}
		Expect(s.entries()).To(Equal(before + 1))
	})

	It("says who changed what, how it was and how it is, from where and in which request", func() {
		s := open()
		p := s.sells("MUG", 10)
		changed := s.patch("/v1/products/"+p.ID, object{"price": "13.00", "name": "Red mug"}, header{"User-Agent", "till/3"})
		Expect(changed).To(answer(200))
		list := s.log(url.Values{"entity": {"product"}, "entityId": {p.ID}})
		Expect(list).To(HaveExactElements(
			And(HaveField("Action", "updateProduct"), HaveField("Status", 200), HaveField("Changes", []string{"name", "price", "updatedAt"}),
				HaveField("Before", HaveKeyWithValue("price", "12.50")), HaveField("After", HaveKeyWithValue("price", "13.00")),
				HaveField("Actor", HavePrefix("key:")), HaveField("UserAgent", "till/3"), HaveField("RequestID", changed.header.Get("X-Request-Id")), HaveField("IP", Not(BeEmpty()))),
			And(HaveField("Action", "createProduct"), HaveField("Status", 201), HaveField("Before", BeNil()), HaveField("After", HaveKeyWithValue("id", p.ID))),
		))
		Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -2, "reason": "broken in transport"})).To(answer(200))
		Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
		Expect(s.log(url.Values{"entity": {"inventory"}})).To(HaveExactElements(And(
			HaveField("EntityID", "MUG"), HaveField("Reason", "broken in transport"), HaveField("Before", HaveKeyWithValue("onHand", 10.0)), HaveField("After", HaveKeyWithValue("onHand", 8.0)))))
		Expect(s.log(url.Values{"action": {"archiveProduct"}})).To(HaveExactElements(And(HaveField("Before", HaveKeyWithValue("status", "active")), HaveField("After", BeNil()))))
		Expect(open().log(nil)).To(BeEmpty(), "what is another's")
	})

	It("keeps nothing that has to be erased one day, and no secret", func() {
		s := open()
		s.sells("MUG", 10)
		canary := "canary" + strings.ReplaceAll(uuid.NewString(), "-", "")
		o := as[order](s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{
			"email": canary + "@example.org", "metadata": object{"note": canary, canary: "x"},
			"shippingAddress": object{"name": canary, "line1": canary, "line2": canary, "city": canary, "region": canary, "postalCode": canary[:20], "country": "PT", "phone": canary},
		}), key(uuid.NewString())))
		s.becomes(o.ID, "confirmed")
		Expect(s.get("/v1/orders")).To(answer(200))
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "changed my mind"})).To(answer(200))
		made := as[apiKey](s.post("/v1/keys", warehouse))
		rotated := as[apiKey](s.post("/v1/keys/"+made.ID+"/rotate", object{}))
		for _, word := range []string{canary[:20], made.Key, rotated.Key} {
			Expect(sum(`select count(*) from platform.audit a where tenant_id = $1 and position($2 in a::text) > 0`, s.tenant, word)).To(BeZero())
		}
		Expect(s.log(url.Values{"action": {"createOrder"}})).To(HaveExactElements(HaveField("After", And(
			HaveKeyWithValue("email", "[personal]"), HaveKeyWithValue("shippingAddress", "[personal]"), HaveKeyWithValue("metadata", "[personal]"), HaveKeyWithValue("total", "12.50")))))
		Expect(s.log(url.Values{"action": {"rotateKey"}})).To(HaveExactElements(HaveField("After", HaveKeyWithValue("key", "[secret]"))))
	})

	It("knows who looked at personal data of others: at which, and how many", func() {
		s := open()
		s.sells("MUG", 10)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		support, clerk := s.staffed("orders:read", "customers:pii"), s.staffed("orders:read")
		before := s.entries()
		Expect(clerk.get("/v1/orders/" + o.ID)).To(answer(200))
		Expect(support.get("/v1/orders/" + uuid.NewString())).To(answer(404))
		Expect(s.entries()).To(Equal(before))
		Expect(support.get("/v1/orders/" + o.ID)).To(answer(200))
		Expect(support.get("/v1/orders?customerId=ana&limit=5")).To(answer(200))
		Expect(s.entries()).To(Equal(before + 2))
		list := s.log(url.Values{"entity": {"order"}})
		Expect(list[0]).To(And(HaveField("Action", "listOrders"), HaveField("EntityID", ""),
			HaveField("After", Equal(map[string]any{"count": 1.0, "filter": map[string]any{"customerId": "ana", "limit": "5"}}))))
		Expect(list[1]).To(And(HaveField("Action", "getOrder"), HaveField("EntityID", o.ID), HaveField("After", Equal(map[string]any{"count": 1.0}))))
	})

	It("is tied together soon, and shows the head of its chain", func() {
		s := open()
		s.sells("MUG", 1)
		Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "found one"})).To(answer(200))
		var list []entry
		Eventually(func() string {
			list = s.log(url.Values{"entity": {"inventory"}})
			return list[0].Hash
		}, testkit.Patience).Should(MatchRegexp(`^[0-9a-f]{64}$`))
		head := as[struct {
			Seq  int64
			Hash string
		}](s.get("/v1/audit/head"))
		Expect(head.Seq).To(Equal(list[0].Seq))
		Expect(head.Hash).To(Equal(list[0].Hash))
	})

	It("is exported whole, as lines of JSON or for a spreadsheet, and says so", func() {
		s := open()
		s.sells("MUG", 1000)
		for n := range 5 {
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": fmt.Sprintf("=%d", n)})).To(answer(200))
		}
		r := s.get("/v1/audit/export?action=adjustStock")
		Expect(r).To(answer(200))
		Expect(r.header.Get("Content-Type")).To(Equal("application/x-ndjson"))
		Expect(r.header.Get("Content-Disposition")).To(ContainSubstring("audit.ndjson"))
		lines := strings.Split(strings.TrimSpace(string(r.body)), "\n")
		Expect(lines).To(HaveLen(5))
		var e entry
		Expect(json.Unmarshal([]byte(lines[0]), &e)).To(Succeed())
		Expect(e.Reason).To(Equal("=0"))
		sheet := s.get("/v1/audit/export?action=adjustStock&format=csv")
		Expect(sheet.header.Get("Content-Type")).To(Equal("text/csv"))
		Expect(strings.Count(string(sheet.body), "\n")).To(Equal(6))
		Expect(string(sheet.body)).To(And(HavePrefix("seq,id,"), ContainSubstring(",'=0,")))
		Expect(s.log(url.Values{"action": {"exportAudit"}})).To(HaveLen(2))
		Expect(s.get("/v1/audit/export?format=xlsx")).To(refuse(422, "validation_failed", "?format"))
		for _, text := range []string{"%00", "a%00b", "%FF"} {
			Expect(s.get("/v1/audit?actor=" + text)).To(refuse(422, "invalid_text"))
			Expect(s.get("/v1/audit/export?actor=" + text)).To(refuse(422, "invalid_text", "?actor"))
		}
		Expect(s.log(url.Values{"action": {"exportAudit"}})).To(HaveLen(2))
	})

	It("is a list like the others", func() {
		s := open()
		s.sells("MUG", 10)
		for range 5 {
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "found one"})).To(answer(200))
		}
		list := s.log(url.Values{"limit": {"2"}})
		Expect(list).To(HaveLen(6))
		for i := range list[1:] {
			Expect(list[i].Seq).To(BeNumerically(">", list[i+1].Seq))
		}
		Expect(s.log(url.Values{"from": {in(time.Hour)}})).To(BeEmpty())
		Expect(s.log(url.Values{"until": {in(time.Hour)}, "from": {in(-time.Hour)}, "actor": {list[0].Actor}})).To(HaveLen(6))
		Expect(s.get("/v1/audit?cursor=x")).To(refuse(422, "invalid_cursor", "?cursor"))
		Expect(s.get("/v1/audit?from=yesterday").status).To(Equal(422))
	})
})
