package e2e_test

import (
	"net/http"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

type payment struct {
	ID, OrderID, Provider, Amount, Currency, Status, Captured, Refunded string
	NextAction                                                          *struct{ URL string }
	Failure                                                             *struct{ Code string }
}

// takes opens an account at a provider, unless there is one.
func (s *shop) takes(provider string) {
	GinkgoHelper()
	for _, a := range as[page[payment]](s.get("/v1/payments/accounts?limit=100")).Data {
		if a.Provider == provider {
			return
		}
	}
	Expect(s.post("/v1/payments/accounts", object{"provider": provider})).To(answer(201))
}

func (s *shop) pays(o order, method string, more ...object) payment {
	GinkgoHelper()
	body := object{"orderId": o.ID, "method": method}
	for _, m := range more {
		body = body.but(m)
	}
	r := s.post("/v1/payments", body)
	Expect(r).To(answer(201))
	return as[payment](r)
}

// payable makes a payment of which an operation can be asked, or an account.
func (s *shop) payable(o *operation) (id string) {
	GinkgoHelper()
	s.takes("test")
	if o.ID == "updatePaymentAccount" || o.ID == "deletePaymentAccount" {
		return as[payment](s.post("/v1/payments/accounts", bodies["createPaymentAccount"])).ID
	}
	placed := s.owes()
	switch o.ID {
	case "capturePayment", "cancelPayment":
		return s.pays(placed, "pm_card_visa", object{"capture": "manual"}).ID
	case "markPaymentReceived":
		s.takes("manual")
		return s.pays(placed, "", object{"provider": "manual"}).ID
	case "authenticateTestPayment":
		return attemptOf(s.pays(placed, "pm_card_authenticationRequired"))
	}
	return s.pays(placed, "pm_card_visa").ID
}

// owes is an order that nobody has paid, of something that there is for it alone.
func (s *shop) owes() order {
	GinkgoHelper()
	sku := "P-" + uuid.NewString()[:8]
	s.sells(sku, 1)
	return s.confirmed(item{SKU: sku, Quantity: 1})
}

// attemptOf is what a bank's page is about.
func attemptOf(p payment) string {
	GinkgoHelper()
	Expect(p.NextAction).NotTo(BeNil())
	id := p.NextAction.URL[len("/v1/payments/test/"):]
	return id[:36]
}

var _ = Describe("money", func() {
	var s *shop
	BeforeEach(func() {
		s = open()
		s.sells("MUG", 50)
		s.takes("test")
	})

	It("makes an order paid, is shown with it, and goes back when it is called off", func() {
		o := s.confirmed(item{SKU: "MUG", Quantity: 2})
		p := s.pays(o, "pm_card_visa")
		Expect(p).To(And(HaveField("Status", "succeeded"), HaveField("Captured", "25.00")))
		s.becomes(o.ID, "paid")
		Expect(string(s.get("/v1/orders/" + o.ID).body)).To(ContainSubstring(`"paymentStatus":"paid"`))
		Expect(as[page[order]](s.get("/v1/orders?paymentStatus=paid")).Data).To(HaveExactElements(HaveField("ID", o.ID)))
		Expect(s.post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"})).To(refuse(409, "order_paid"))
		Expect(s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "sold out"})).To(answer(200))
		Eventually(func() payment { return as[payment](s.get("/v1/payments/" + p.ID)) }).Should(HaveField("Refunded", "25.00"))
		Eventually(func() string { return string(s.get("/v1/orders/" + o.ID).body) }).Should(ContainSubstring(`"paymentStatus":"refunded"`))
	})

	It("that is declined or asked for by the buyer's bank can still come", func() {
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		Expect(s.pays(o, "pm_card_chargeDeclined")).To(And(HaveField("Status", "failed"), HaveField("Failure.Code", "card_declined")))
		asked := s.pays(o, "pm_card_authenticationRequired")
		Expect(asked.Status).To(Equal("requires_action"))
		Expect(s.post(asked.NextAction.URL, object{"outcome": "succeeded"})).To(answer(200))
		s.becomes(o.ID, "paid")
	})

	It("is taken once for a request that is repeated", func() {
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		once := key(uuid.NewString())
		first := s.post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"}, once)
		again := s.post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"}, once)
		Expect([]any{first.status, again.status, again.replayed()}).To(Equal([]any{201, 201, true}))
		Expect(as[page[payment]](s.get("/v1/payments?orderId=" + o.ID)).Data).To(HaveLen(1))
	})

	It("of guests comes by the page, and nobody else's does", func() {
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		Expect(s.with("").post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"})).To(refuse(401, "unauthenticated"))
		Expect(s.customer().post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"})).To(refuse(404, "not_found"))
		Expect(s.visitor().post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"})).To(answer(201))
		Expect(open().post("/v1/payments", object{"orderId": o.ID, "method": "pm_card_visa"})).To(refuse(404, "not_found"))
	})

	It("is counted: the books add up", func() {
		s.pays(s.confirmed(item{SKU: "MUG", Quantity: 1}), "pm_card_visa")
		r := s.get("/v1/payments/reconciliation")
		Expect(r).To(answer(200))
		Expect(string(r.body)).To(ContainSubstring(`"balanced":true`))
		Expect(sum(`select count(*) from payments.ledger_entry where tenant_id = $1`, s.tenant)).To(Equal(2))
	})

	It("is not told of by anybody who cannot sign", func() {
		anybody := s.with("")
		account := as[page[payment]](s.get("/v1/payments/accounts")).Data[0].ID
		at := "/v1/payments/webhook/" + account + "?shop=" + s.tenant.String()
		Expect(anybody.post(at, object{"id": "evt_1", "type": "charge.succeeded"})).To(refuse(400, "invalid_signature"))
		Expect(anybody.send(http.MethodPost, at, "no JSON at all", header{"Content-Type", "text/plain"})).To(refuse(400, "invalid_signature"))
		Expect(anybody.post("/v1/payments/webhook/"+uuid.NewString(), object{})).To(refuse(404, "not_found"))
		Expect(anybody.post("/v1/payments/webhook/"+account+"?shop="+newTenant().String(), object{})).To(refuse(404, "not_found"))
		Expect(sum(`select count(*) from payments.notice where tenant_id = $1`, s.tenant)).To(BeZero())
	})
})
