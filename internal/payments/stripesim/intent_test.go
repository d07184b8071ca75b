package stripesim_test

import (
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
)

var _ = Describe("a payment at the simulator", func() {
	var s *stripe

	BeforeEach(func() { s = newStripe(stripesim.Options{Clock: newHands().now}) })

	It("is taken at once, with what Stripe keeps of it", func() {
		i := s.paid("pm_card_visa")
		Expect(i).To(And(
			HaveKeyWithValue("status", "succeeded"), HaveKeyWithValue("amount_received", 1299.0), HaveKeyWithValue("amount_capturable", 0.0),
			HaveKeyWithValue("metadata", object{"order": "1001", "attempt": "a1"}), HaveKeyWithValue("latest_charge", HavePrefix("ch_")),
		))
		charge := s.intent(i["id"])["latest_charge"].(object)
		Expect(charge).To(And(HaveKeyWithValue("captured", true), HaveKeyWithValue("amount_captured", 1299.0), HaveKeyWithValue("paid", true)))
		Expect(charge["balance_transaction"]).To(And(HaveKeyWithValue("amount", 1299.0), HaveKeyWithValue("fee", 45.0), HaveKeyWithValue("net", 1254.0)))
		Expect(s.types()).To(Equal([]string{"payment_intent.created", "charge.succeeded", "payment_intent.succeeded"}))
	})

	It("can be begun by the shop and confirmed by the buyer's page, which shows a publishable key and the payment's secret", func() {
		i := s.post("/v1/payment_intents", basket).body
		Expect(i).To(HaveKeyWithValue("status", "requires_payment_method"))
		path := fmt.Sprintf("/v1/payment_intents/%s/confirm", i["id"])
		page := s.as("pk_test_anna")
		Expect(page.post(path, "payment_method=pm_card_visa&return_url=https://shop.example").body["error"]).To(HaveKeyWithValue("param", "client_secret"))
		Expect(page.post(path, fmt.Sprintf("payment_method=pm_card_visa&return_url=https://shop.example&client_secret=%s", i["client_secret"])).body).To(HaveKeyWithValue("status", "succeeded"))
		Expect(page.post("/v1/payment_intents", basket).status).To(Equal(http.StatusUnauthorized))
	})

	DescribeTable("is refused by the buyer's bank, and can be tried again", func(card, code, decline string) {
		r := s.pay(card)
		Expect(r.status).To(Equal(http.StatusPaymentRequired))
		Expect(problem(r.body)).To(And(HaveKeyWithValue("type", "card_error"), HaveKeyWithValue("code", code), HaveKeyWithValue("decline_code", decline)))
		i := problem(r.body)["payment_intent"].(object)
		Expect(i).To(And(HaveKeyWithValue("status", "requires_payment_method"), HaveKeyWithValue("last_payment_error", HaveKeyWithValue("decline_code", decline))))
		Expect(s.types()).To(Equal([]string{"payment_intent.created", "charge.failed", "payment_intent.payment_failed"}))
		Expect(s.Ledger("").Charges).To(BeEmpty())

		again := s.post(fmt.Sprintf("/v1/payment_intents/%s/confirm", i["id"]), "payment_method=pm_card_visa&return_url=https://shop.example").body
		Expect(again).To(And(HaveKeyWithValue("status", "succeeded"), HaveKeyWithValue("last_payment_error", BeNil())))
	},
		Entry("for no reason that it gives", "pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
		Entry("for want of money", "pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
		Entry("named without the brand", "pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
	)

	Describe("that the bank asks its customer about", func() {
		DescribeTable("ends as the customer says", func(card, outcome, status, why string) {
			i := s.paid(card)
			Expect(i).To(HaveKeyWithValue("status", "requires_action"))
			Expect(s.Ledger("").Charges).To(BeEmpty())
			Expect(s.Decide(i["id"].(string), outcome)).To(Succeed())
			i = s.intent(i["id"])
			Expect(i).To(And(HaveKeyWithValue("status", status), HaveKeyWithValue("next_action", BeNil())))
			if why != "" {
				Expect(problem(i)).To(HaveKeyWithValue("code", why))
			}
			Expect(s.Decide(i["id"].(string), "pass")).To(MatchError(ContainSubstring("has a status of")))
		},
			Entry("yes", "pm_card_threeDSecure2Required", "pass", "succeeded", ""),
			Entry("no", "pm_card_authenticationRequired", "fail", "requires_payment_method", "payment_intent_authentication_failure"),
			Entry("yes, and the bank says no", "pm_card_threeDSecureRequiredChargeDeclined", "pass", "requires_payment_method", "card_declined"),
		)

		It("is decided at a page with two buttons, which sends the buyer back", func() {
			i := s.paid("pm_card_authenticationRequired")
			page := i["next_action"].(object)["redirect_to_url"].(object)
			Expect(page).To(HaveKeyWithValue("return_url", "https://shop.example/back"))
			shown, err := http.Get(page["url"].(string))
			Expect(err).NotTo(HaveOccurred())
			Expect(shown).To(HaveHTTPBody(And(ContainSubstring("12.99 EUR"), ContainSubstring(`value="pass"`), ContainSubstring(`value="fail"`))))

			browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			pressed, err := browser.PostForm(page["url"].(string), map[string][]string{"outcome": {"pass"}})
			Expect(err).NotTo(HaveOccurred())
			Expect(pressed.StatusCode).To(Equal(http.StatusSeeOther))
			Expect(pressed.Header.Get("Location")).To(And(HavePrefix("https://shop.example/back?"), ContainSubstring("redirect_status=succeeded"), ContainSubstring("payment_intent="+i["id"].(string))))
			Expect(s.intent(i["id"])).To(HaveKeyWithValue("status", "succeeded"))
		})
	})

	It("is on its way for a while when a debit pays", func() {
		paid, returned := s.paid("pm_sim_debit"), s.paid("pm_sim_debitFailed")
		Expect(paid).To(HaveKeyWithValue("status", "processing"))
		s.Advance(time.Minute)
		Expect(s.intent(paid["id"])).To(HaveKeyWithValue("status", "succeeded"))
		Expect(s.intent(returned["id"])).To(And(HaveKeyWithValue("status", "requires_payment_method"), HaveKeyWithValue("amount_received", 0.0)))
		Expect(s.types()).To(ContainElements("payment_intent.processing", "charge.pending", "payment_intent.payment_failed"))
	})

	Describe("that only holds the money", func() {
		It("is captured in part, and the rest is listed as a refund that moved nothing, as Stripe does", func() {
			i := s.paid("pm_card_visa", "&capture_method=manual")
			Expect(i).To(And(HaveKeyWithValue("status", "requires_capture"), HaveKeyWithValue("amount_capturable", 1299.0), HaveKeyWithValue("amount_received", 0.0)))
			capture := fmt.Sprintf("/v1/payment_intents/%s/capture", i["id"])
			Expect(problem(s.post(capture, "amount_to_capture=1300").body)).To(HaveKeyWithValue("code", "amount_too_large"))
			Expect(s.post(capture, "amount_to_capture=1000").body).To(And(HaveKeyWithValue("status", "succeeded"), HaveKeyWithValue("amount_received", 1000.0), HaveKeyWithValue("amount_capturable", 0.0)))
			Expect(problem(s.post(capture, "amount_to_capture=1").body)).To(HaveKeyWithValue("code", "payment_intent_unexpected_state"))

			charge := s.intent(i["id"])["latest_charge"].(object)
			Expect(charge).To(And(HaveKeyWithValue("amount_captured", 1000.0), HaveKeyWithValue("amount_refunded", 299.0)))
			Expect(rows(charge["refunds"].(object))).To(ConsistOf(And(HaveKeyWithValue("amount", 299.0), HaveKeyWithValue("balance_transaction", BeNil()))))
			Expect(s.Ledger("").Sums).To(ConsistOf(And(HaveField("Captured", int64(1000)), HaveField("Refunded", int64(0)), HaveField("Balance", int64(960)))))
		})

		It("is let go, or expires, and then takes nothing any more", func() {
			cancelled, expired, captured := s.paid("pm_card_visa", "&capture_method=manual"), s.paid("pm_card_visa", "&capture_method=manual"), s.paid("pm_card_visa", "&capture_method=manual")
			Expect(s.post(fmt.Sprintf("/v1/payment_intents/%s/cancel", cancelled["id"]), "cancellation_reason=abandoned").body).To(HaveKeyWithValue("status", "canceled"))
			s.Advance(6 * 24 * time.Hour)
			Expect(s.intent(expired["id"])).To(HaveKeyWithValue("status", "requires_capture"))
			s.post(fmt.Sprintf("/v1/payment_intents/%s/capture", captured["id"]), "")
			s.Advance(2 * 24 * time.Hour)
			Expect(s.intent(expired["id"])).To(And(HaveKeyWithValue("status", "canceled"), HaveKeyWithValue("cancellation_reason", "automatic")))
			Expect(s.intent(captured["id"])).To(HaveKeyWithValue("status", "succeeded"))
			Expect(s.types()).To(ContainElements("payment_intent.canceled", "charge.expired"))
			Expect(problem(s.post(fmt.Sprintf("/v1/payment_intents/%s/capture", expired["id"]), "").body)).To(HaveKeyWithValue("code", "payment_intent_unexpected_state"))
			Expect(problem(s.post(fmt.Sprintf("/v1/payment_intents/%s/cancel", captured["id"]), "").body)).To(HaveKeyWithValue("code", "payment_intent_unexpected_state"))
		})
	})

	It("is found by metadata, but only after a while, and listed at once", func() {
		s = newStripe(stripesim.Options{Clock: newHands().now, SearchLag: time.Minute})
		i := s.paid("pm_card_visa")
		const query = "query=metadata['attempt']:'a1'"
		Expect(rows(s.get("/v1/payment_intents/search", query))).To(BeEmpty())
		Expect(rows(s.get("/v1/payment_intents", fmt.Sprintf("created[gte]=%.0f", i["created"])))).To(HaveLen(1))
		Expect(rows(s.get("/v1/payment_intents", fmt.Sprintf("created[gt]=%.0f", i["created"])))).To(BeEmpty())
		s.Advance(time.Minute)
		Expect(rows(s.get("/v1/payment_intents/search", query))).To(ConsistOf(HaveKeyWithValue("id", i["id"])))
		Expect(rows(s.get("/v1/payment_intents/search", "query=metadata['attempt']:'a2'"))).To(BeEmpty())
	})

	It("is on the pages of a list once", func() {
		for range 7 {
			s.paid("pm_card_visa")
		}
		var seen []any
		after := ""
		for range 4 {
			page := s.get("/v1/payment_intents", "limit=3"+after)
			for _, row := range rows(page) {
				seen = append(seen, row["id"])
			}
			Expect(page["has_more"]).To(Equal(len(seen) < 7))
			if len(seen) == 7 {
				break
			}
			after = fmt.Sprintf("&starting_after=%v", seen[len(seen)-1])
		}
		Expect(seen).To(HaveLen(7))
		Expect(seen).To(ConsistOf(seen[0], seen[1], seen[2], seen[3], seen[4], seen[5], seen[6]))
	})

	It("belongs to the account of its key", func() {
		i := s.paid("pm_card_visa")
		other := s.as("sk_test_boris")
		r, err := other.send(http.MethodGet, fmt.Sprintf("/v1/payment_intents/%s", i["id"]), "", "")
		Expect(err).NotTo(HaveOccurred())
		Expect(r.status).To(Equal(http.StatusNotFound))
		Expect(problem(r.body)).To(HaveKeyWithValue("code", "resource_missing"))
		Expect(rows(other.get("/v1/payment_intents", ""))).To(BeEmpty())
	})

	It("has the same ids for the same seed", func() {
		first, same, other := newStripe(stripesim.Options{Seed: 7}), newStripe(stripesim.Options{Seed: 7}), newStripe(stripesim.Options{Seed: 8})
		id := first.paid("pm_card_visa")["id"]
		Expect(same.paid("pm_card_visa")["id"]).To(Equal(id))
		Expect(other.paid("pm_card_visa")["id"]).NotTo(Equal(id))
	})

	DescribeTable("is refused before it begins", func(form, param, code string) {
		r := s.post("/v1/payment_intents", form)
		Expect(r.status).To(BeNumerically(">=", 400))
		Expect(problem(r.body)).To(And(HaveKeyWithValue("type", "invalid_request_error"), HaveKeyWithValue("param", param)))
		if code != "" {
			Expect(problem(r.body)).To(HaveKeyWithValue("code", code))
		}
		Expect(rows(s.get("/v1/payment_intents", ""))).To(BeEmpty())
	},
		Entry("without an amount", "currency=eur", "amount", "parameter_missing"),
		Entry("with a fraction", "amount=12.99&currency=eur", "amount", "parameter_invalid_integer"),
		Entry("with a parameter that there is not", basket+"&tip=1", "tip", "parameter_unknown"),
		Entry("with a card that there is not", basket+"&payment_method=pm_card_gold", "payment_method", "resource_missing"),
		Entry("confirmed without a card", basket+"&confirm=true&return_url=https://shop.example", "payment_method", "parameter_missing"),
		Entry("confirmed with nowhere to send the buyer back to", basket+"&confirm=true&payment_method=pm_card_visa", "return_url", ""),
	)

	DescribeTable("is for an amount as Stripe counts the currency", func(currency string, amount int64, code string) {
		r := s.post("/v1/payment_intents", fmt.Sprintf("amount=%d&currency=%s", amount, currency))
		if code == "" {
			Expect(r.status).To(Equal(http.StatusOK), "%v", r.body)
			return
		}
		Expect(problem(r.body)).To(HaveKeyWithValue("code", code))
	},
		Entry("fifty cents", "usd", int64(50), ""),
		Entry("forty-nine", "usd", int64(49), "amount_too_small"),
		Entry("nine digits", "usd", int64(100000000), "amount_too_large"),
		Entry("yen", "jpy", int64(50), ""),
		Entry("a few yen", "jpy", int64(49), "amount_too_small"),
		Entry("krónur, which end in 00", "isk", int64(50000), ""),
		Entry("a part of a króna", "isk", int64(50010), "invalid_charge_amount_no_decimal_compatible"),
		Entry("a part of a shilling", "ugx", int64(50050), "invalid_charge_amount_no_decimal_compatible"),
		Entry("dinars, whose third digit is 0", "kwd", int64(5120), ""),
		Entry("whose third digit is not", "kwd", int64(5124), "invalid_charge_amount"),
		Entry("forints, which have two digits", "huf", int64(17500), ""),
	)
})
