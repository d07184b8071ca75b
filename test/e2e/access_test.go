package e2e_test

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// bodies that every operation with one accepts, by operation. An operation that is
// missing here fails the specs that ask all of them.
var bodies = map[string]any{
	"createProduct":  mug,
	"updateProduct":  object{"name": "Red mug"},
	"createOrder":    basket(item{SKU: "MUG", Quantity: 1}),
	"cancelOrder":    object{"reason": "changed my mind"},
	"holdOrder":      object{"reason": "the buyer is called first"},
	"releaseOrder":   object{"reason": "the buyer was called"},
	"takeParcelBack": object{"shipmentId": "019cec11-3a52-7c0e-9d14-6b8f0e27a5c3", "scrap": []object{{"sku": "MUG", "quantity": 1}}},
	"editOrder":      object{"shippingAddress": toLisbon},
	"setStock":       object{"onHand": 12},
	"adjustStock":    object{"delta": 1, "reason": "found one"},
	"createHold":     object{"items": []item{{SKU: "MUG", Quantity: 1}}},

	"createReturn":      object{"lines": []object{{"line": 1, "quantity": 1, "reason": "unwanted"}}},
	"rejectReturn":      object{"answer": "worn"},
	"receiveReturn":     object{"lines": []object{{"line": 1, "quantity": 1}}},
	"putReturnPolicy":   object{"windowDays": 30},
	"createReturnLabel": object{"parcel": object{"grams": 900}},

	"createShippingMethod":  parcel,
	"updateShippingMethod":  object{"name": "Letter"},
	"createShippingZone":    islands,
	"updateShippingZone":    object{"name": "Isles"},
	"putShippingBoxes":      object{"data": []object{{"name": "S", "length": 250, "width": 175, "height": 100}}},
	"putShippingSettings":   object{"sender": toPorto},
	"createShipment":        object{"orderId": "0199c1de-0000-7000-8000-0000000000ff"},
	"findShippingRates":     object{"destination": object{"country": "PT"}, "currency": "EUR", "subtotal": "12.50"},
	"findCarrierRates":      object{"orderId": "0199c1de-0000-7000-8000-0000000000ff"},
	"createShippingLabel":   object{"orderId": "0199c1de-0000-7000-8000-0000000000ff"},
	"createCarrierAccount":  object{"provider": "inhouse", "name": "The van"},
	"updateCarrierAccount":  object{"name": "Our van"},
	"receiveCarrierWebhook": object{},

	"createCart":            object{"items": []item{{SKU: "MUG", Quantity: 1}}, "email": "ana@example.com", "shippingAddress": object{"line1": "Rua Augusta 1", "city": "Lisboa", "country": "PT"}},
	"updateCart":            object{"operations": []object{{"op": "addItem", "sku": "MUG", "quantity": 1}}},
	"addCartItem":           item{SKU: "MUG", Quantity: 1},
	"placeCart":             object{"total": "12.50"},
	"quoteBasket":           object{"currency": "EUR", "items": []item{{SKU: "MUG", Quantity: 1}}},
	"updatePricingSettings": object{"rounding": "order"},
	"createTaxRate":         object{"name": "MwSt.", "country": "DE", "rate": "19"},
	"replaceTaxRate":        object{"name": "MwSt.", "country": "DE", "rate": "16"},
	"createDiscount":        object{"name": "Spring sale", "effect": "percent", "percent": "10"},
	"replaceDiscount":       object{"name": "Spring sale", "effect": "percent", "percent": "15"},
	"createDiscountCodes":   object{"count": 3},

	"createCampaign": offer("01a202ac-402d-7613-9fe6-fe75b8e3a3b7"),
	"updateCampaign": object{"maxParticipants": 7},
	"cancelCampaign": object{"reason": "the kiln broke"},
	"joinCampaign":   object{"userId": "ana", "quantity": 1},

	"register":            object{"email": "ana@example.com", "password": "correct horse battery", "name": "Ana"},
	"login":               object{"email": "ana@example.com", "password": "correct horse battery"},
	"refresh":             object{"refreshToken": "fc_rt_AAAA"},
	"logout":              object{"refreshToken": "fc_rt_AAAA"},
	"forgotPassword":      object{"email": "ana@example.com"},
	"resetPassword":       object{"token": "fc_ot_AAAA", "password": "correct horse battery"},
	"changePassword":      object{"currentPassword": "correct horse battery", "password": "another good secret"},
	"verifyEmail":         object{"token": "fc_ot_AAAA"},
	"requestVerification": object{"email": "ana@example.com"},
	"confirmClaim":        object{"token": "fc_ot_AAAA"},
	"introspectToken":     object{"token": "eyJ.a.b"},
	"updateMe":            object{"name": "Ana"},
	"enrolSecondFactor":   object{"currentPassword": "correct horse battery"},
	"confirmSecondFactor": object{"code": "000000"},
	"removeSecondFactor":  object{"code": "000000"},
	"inviteStaff":         object{"email": "bo@example.com", "name": "Bo", "roles": []string{"vendor"}},
	"acceptInvitation":    object{"token": "fc_ot_AAAA", "password": "correct horse battery"},
	"updateStaff":         object{"roles": []string{"vendor"}},

	"createCustomer":     object{"email": "anna@example.com", "name": "Anna"},
	"updateCustomer":     object{"name": "Anna Berg"},
	"createCustomerNote": object{"text": "Rings the bell twice."},
	"createMyAddress":    object{"line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"},
	"updateMyAddress":    object{"city": "Porto"},

	"exchangeSignIn": object{"code": "code_AAAA"},
	"createProvider": object{"slug": "acme", "name": "Acme", "kind": "customer", "issuer": "https://login.example.com", "clientId": "shop"},
	"updateProvider": object{"name": "Acme & Sons"},

	"createPaymentAccount":    object{"provider": "test", "name": "Cards"},
	"updatePaymentAccount":    object{"name": "Other cards"},
	"createPayment":           object{"orderId": "01a202ac-402d-7613-9fe6-fe75b8e3a3b7", "method": "pm_card_visa"},
	"capturePayment":          object{"amount": "1.00"},
	"markPaymentReceived":     object{"amount": "1.00"},
	"createRefund":            object{"reason": "damaged"},
	"authenticateTestPayment": object{"outcome": "succeeded"},
	"receiveWebhook":          object{},
	"receiveAccountWebhook":   object{},

	"createKey": warehouse,
	"rotateKey": object{"overlapSeconds": 60},

	"createRole":     nightShift,
	"updateRole":     object{"description": "Packs by day"},
	"createTenant":   object{"slug": "harbour", "name": "Harbour", "hosts": []string{"shop.harbour.example"}},
	"updateTenant":   object{"name": "Harbour & Pine"},
	"suspendTenant":  object{"reason": "unpaid"},
	"updateSettings": object{"senderName": "Harbour"},
}

// body of an operation; nil when it takes none.
func (o *operation) body() any {
	GinkgoHelper()
	if o.RequestBody == nil {
		return nil
	}
	Expect(bodies).To(HaveKey(o.ID))
	return bodies[o.ID]
}

// to fills the path of an operation.
func (o *operation) to(id, sku string) string {
	return strings.NewReplacer("{id}", id, "{itemId}", "0199c1de-0000-7000-8000-0000000000ff", "{sku}", sku, "{role}", "r"+id, "{token}", "no-such-token").Replace(o.Path)
}

var _ = Describe("a caller", func() {
	It("without a credential gets nothing but what is public", func() {
		anybody := &shop{url: installed.URL()}
		for _, o := range published.Operations {
			r := anybody.send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body())
			if o.Public() { // which may say that a password is not right
				Expect(r).NotTo(Or(refuse(401, "unauthenticated"), answer(403)))
			} else {
				Expect(r).To(refuse(401, "unauthenticated"))
				Expect(r.problem.Detail).To(ContainSubstring("access token or an API key"))
			}
		}
	})

	DescribeTable("with a credential that is none is refused even what is public",
		func(authorization string) {
			s := &shop{url: installed.URL()}
			for _, o := range published.Operations {
				r := s.send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body(), header{"Authorization", authorization})
				Expect(r).To(refuse(401, "invalid_credentials"))
			}
		},
		Entry("because nobody made it", "Bearer fc_sk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
		Entry("because it is empty", "Bearer "),
		Entry("because the scheme is another", "Basic b3duZXI6c2VjcmV0"),
		Entry("because it has no scheme", "fc_sk_AAAA"),
		Entry("because it is a token that nobody signed", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvd25lciIsImFkbWluIjp0cnVlfQ."),
		Entry("because it is SQL", "Bearer ' or '1'='1' --"),
		Entry("because it is no text", "Bearer \xff\xfe"),
		Entry("because it is very long", "Bearer "+strings.Repeat("x", 8000)),
	)

	It("may write the scheme as it likes, for HTTP does not mind", func() {
		s := open()
		Expect(s.with("").get("/v1/orders", header{"Authorization", "bearer " + s.key})).To(answer(200))
	})

	It("is not heard when the credential stands in the address", func() {
		s := open()
		Expect(s.with("").get("/v1/orders?access_token=" + s.key)).NotTo(answer(200))
	})

	It("without a permission is told which one it lacks, before anything is read", func() {
		s := open()
		for _, o := range published.Operations {
			if o.Public() || o.ForAnybody() {
				continue
			}
			if o.Operator {
				Expect(s.staffed("campaigns:none").send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body())).To(refuse(404, "not_found"))
			}
			s := s
			if o.Operator {
				s = first()
			}
			r := s.staffed("campaigns:none").send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body())
			Expect(r).To(refuse(403, "forbidden"))
			Expect(r.problem.Detail).To(ContainSubstring(o.Permission()))
			if o.RequestBody != nil {
				Expect(s.staffed("campaigns:none").send(o.Method, o.to(uuid.NewString(), "GHOST"), "{")).To(refuse(403, "forbidden"))
			}
		}
	})

	It("with exactly the permission gets in", func() {
		s := open()
		for _, o := range published.Operations {
			if o.Public() {
				continue
			}
			permission := o.Permission()
			if o.ForAnybody() {
				permission = "campaigns:none"
			}
			r := s.staffed(permission).send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body())
			Expect(r).NotTo(Or(refuse(401, "unauthenticated"), refuse(403, "forbidden")))
		}
	})

	It("is cut off when its key is revoked", func() {
		s := open()
		owner := testkit.As(s.tenant)
		id, secret, err := apikey.Create(owner, keys[0], "leaver", []string{"orders:read"})
		Expect(err).NotTo(HaveOccurred())
		leaver := s.with(secret)
		Expect(leaver.get("/v1/orders")).To(answer(200))
		Expect(keys[0].InTx(owner, func(tx *db.Tx) error { return apikey.End(owner, tx, id.ID) })).To(Succeed())
		shareKeys(s.tenant)
		Eventually(func() response { return leaver.get("/v1/orders") }).Should(refuse(401, "invalid_credentials"))
		Expect(leaver.get("/v1/products")).To(refuse(401, "invalid_credentials"))
		Expect(s.get("/v1/orders")).To(answer(200))
	})

	It("with the bootstrap key owns the default shop, whose products everybody sees", func() {
		s, sku := first(), "MUG-"+uuid.NewString()
		DeferCleanup(s.audit)
		p := s.sells(sku, 1)
		Expect(s.confirmed(item{SKU: sku, Quantity: 1}).Total).To(Equal("12.50"))
		Expect(as[product](s.with("").get("/v1/products/" + p.ID)).SKU).To(Equal(sku))
		Expect(as[page[product]](s.with("").get("/v1/products?sku=" + sku)).Data).To(HaveLen(1))
		Expect(as[page[product]](open().get("/v1/products?sku=" + sku)).Data).To(BeEmpty())
	})
})

var _ = Describe("two merchants", func() {
	It("know nothing of each other: what is one's is to the other as if it did not exist", func() {
		ours, theirs := open(), open()
		p := theirs.sells("CUP", 3)
		o := theirs.confirmed(item{SKU: "CUP", Quantity: 1})
		c := theirs.offers(p)
		theirs.changingNothing(func() {
			asked := 0
			for _, op := range published.Operations {
				if !op.ByID() {
					continue
				}
				asked++
				id := p.ID
				if strings.Contains(op.Path, "orders") {
					id = o.ID
				}
				if strings.Contains(op.Path, "campaigns") {
					id = c.ID
				}
				unknownID, unknownSKU := uuid.NewString(), "GHOST"
				foreign := ours.send(op.Method, op.to(id, "CUP"), op.body(), header{"X-Request-Id", "same"})
				unknown := ours.send(op.Method, op.to(unknownID, unknownSKU), op.body(), header{"X-Request-Id", "same"})
				Expect(foreign).To(refuse(404, "not_found"))
				Expect(strings.NewReplacer(id, unknownID, "CUP", unknownSKU).Replace(string(foreign.body))).To(Equal(string(unknown.body)))
				Expect(foreign.header.Values("ETag")).To(BeEmpty())
			}
			Expect(asked).To(BeNumerically(">=", 10))
			for _, list := range []string{"/v1/products", "/v1/products?status=draft", "/v1/products?sku=CUP", "/v1/orders", "/v1/orders?customerId=ana", "/v1/inventory", "/v1/campaigns", "/v1/campaigns?shareCode=" + c.ShareCode, "/v1/events"} {
				Expect(as[page[object]](ours.get(list)).Data).To(BeEmpty(), list)
			}
			Expect(ours.post("/v1/orders", basket(item{SKU: "CUP", Quantity: 1}))).To(refuse(422, "unknown_sku", "/items/0/sku"))
			Expect(ours.get("/v1/events?after=" + theirs.facts("")[0].ID)).To(refuse(422, "unknown_event"))
		})
	})

	It("can sell the same SKU, each at its own price and from its own stock", func() {
		ours, theirs := open(), open()
		ours.sells("MUG", 5)
		theirs.sells("MUG", 7, object{"price": "99.00", "currency": "USD"})
		Expect(ours.confirmed(item{SKU: "MUG", Quantity: 5})).To(And(HaveField("Total", "62.50"), HaveField("Currency", "EUR"), HaveField("Number", int64(1001))))
		Expect(theirs.confirmed(item{SKU: "MUG", Quantity: 1})).To(And(HaveField("Total", "99.00"), HaveField("Currency", "USD"), HaveField("Number", int64(1001))))
		Expect(ours.stock("MUG").Available).To(BeZero())
		Expect(theirs.stock("MUG").Available).To(BeEquivalentTo(6))
	})

	It("do not take each other's cursors for anything but positions", func() {
		ours, theirs := open(), open()
		for _, sku := range []string{"A", "B", "C"} {
			theirs.sells(sku, 1)
		}
		ours.sells("MUG", 1)
		cursor := as[page[product]](theirs.get("/v1/products?limit=1")).NextCursor
		for _, p := range as[page[product]](ours.get("/v1/products?cursor=" + cursor)).Data {
			Expect(p.SKU).To(Equal("MUG"))
		}
	})

	It("cannot be told apart by a header or a field that names the other", func() {
		ours, theirs := open(), open()
		for _, name := range []string{"X-Tenant-Id", "X-Tenant", "Tenant", "X-Forwarded-Host", "X-Original-Host"} {
			Expect(ours.send(http.MethodGet, "/v1/products", nil, header{name, theirs.tenant.String()})).To(answer(200))
		}
		Expect(ours.post("/v1/products", mug.but(object{"tenantId": theirs.tenant}))).To(refuse(422, "unknown_field", "/tenantId"))
		Expect(ours.get("/v1/products?tenantId=" + theirs.tenant.String())).To(refuse(400, "unknown_parameter", "?tenantId"))
		Expect(as[page[object]](theirs.get("/v1/products")).Data).To(BeEmpty())
	})
})
