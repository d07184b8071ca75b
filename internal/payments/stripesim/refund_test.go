package stripesim_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
)

var _ = Describe("giving money back at the simulator", func() {
	var s *stripe

	BeforeEach(func() { s = newStripe(stripesim.Options{Clock: newHands().now}) })

	refund := func(of any, more string) reply {
		return s.post("/v1/refunds", fmt.Sprintf("payment_intent=%s%s", of, more))
	}

	It("never gives back more than was taken", func() {
		i := s.paid("pm_card_visa")
		Expect(refund(i["id"], "&amount=300&metadata[refund]=r1").body).To(And(HaveKeyWithValue("status", "succeeded"), HaveKeyWithValue("metadata", object{"refund": "r1"})))
		Expect(problem(refund(i["id"], "&amount=1000").body)["message"]).To(ContainSubstring("greater than unrefunded amount on charge (999)"))
		Expect(refund(i["id"], "").body).To(HaveKeyWithValue("amount", 999.0))
		Expect(problem(refund(i["id"], "").body)).To(HaveKeyWithValue("code", "charge_already_refunded"))
		charge := s.intent(i["id"])["latest_charge"].(object)
		Expect(charge).To(And(HaveKeyWithValue("amount_refunded", 1299.0), HaveKeyWithValue("refunded", true)))
		Expect(s.Ledger("").Sums).To(ConsistOf(And(HaveField("Captured", int64(1299)), HaveField("Refunded", int64(1299)), HaveField("Balance", int64(-45)))))
	})

	It("gives back nothing that is only held, or on its way", func() {
		Expect(problem(refund(s.paid("pm_card_visa", "&capture_method=manual")["id"], "").body)).To(HaveKeyWithValue("code", "charge_not_refundable"))
		Expect(problem(refund(s.paid("pm_sim_debit")["id"], "").body)).To(HaveKeyWithValue("code", "charge_not_refundable"))
	})

	It("takes its time with some cards", func() {
		r := refund(s.paid("pm_card_pendingRefund")["id"], "").body
		Expect(r).To(HaveKeyWithValue("status", "pending"))
		s.Advance(time.Minute)
		Expect(s.get("/v1/refunds/"+r["id"].(string), "")).To(HaveKeyWithValue("status", "succeeded"))
		Expect(s.types()).To(ContainElement("refund.updated"))
	})

	It("fails with some cards after it seemed to have gone well, and the money is there again", func() {
		i := s.paid("pm_card_refundFail")
		r := refund(i["id"], "&amount=300").body
		Expect(r).To(HaveKeyWithValue("status", "succeeded"))
		s.Advance(time.Minute)
		Expect(s.get("/v1/refunds/"+r["id"].(string), "")).To(And(HaveKeyWithValue("status", "failed"), HaveKeyWithValue("failure_reason", "lost_or_stolen_card")))
		Expect(s.intent(i["id"])["latest_charge"]).To(HaveKeyWithValue("amount_refunded", 0.0))
		Expect(s.types()).To(ContainElement("refund.failed"))
		Expect(s.Ledger("").Sums).To(ConsistOf(And(HaveField("Refunded", int64(0)), HaveField("Balance", int64(1254)))))
	})
})

var _ = Describe("a dispute at the simulator", func() {
	var s *stripe

	BeforeEach(func() { s = newStripe(stripesim.Options{Clock: newHands().now}) })

	open := func(card string) object {
		s.paid(card)
		return rows(s.get("/v1/disputes", ""))[0]
	}

	It("takes the money and a fee until it is won", func() {
		d := open("pm_card_createDispute")
		Expect(d).To(And(HaveKeyWithValue("status", "needs_response"), HaveKeyWithValue("amount", 1299.0), HaveKeyWithValue("reason", "fraudulent")))
		Expect(s.Ledger("").Sums).To(ConsistOf(And(HaveField("Disputed", int64(1299)), HaveField("Fees", int64(1545)), HaveField("Balance", int64(-1545)))))
		Expect(problem(s.post("/v1/refunds", "payment_intent="+d["payment_intent"].(string)).body)).To(HaveKeyWithValue("code", "charge_disputed"))

		answered := s.post("/v1/disputes/"+d["id"].(string), "evidence[uncategorized_text]=winning_evidence").body
		Expect(answered).To(HaveKeyWithValue("status", "under_review"))
		s.Advance(time.Minute)
		Expect(s.get("/v1/disputes/"+d["id"].(string), "")).To(HaveKeyWithValue("status", "won"))
		Expect(s.Ledger("").Sums).To(ConsistOf(And(HaveField("Disputed", int64(0)), HaveField("Balance", int64(-246)))))
		Expect(s.types()).To(ContainElements("charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.updated", "charge.dispute.funds_reinstated", "charge.dispute.closed"))
	})

	DescribeTable("is lost", func(lose func(id string)) {
		d := open("pm_card_createDisputeProductNotReceived")
		lose(d["id"].(string))
		Expect(s.get("/v1/disputes/"+d["id"].(string), "")).To(HaveKeyWithValue("status", "lost"))
		Expect(s.types()).NotTo(ContainElement("charge.dispute.funds_reinstated"))
		Expect(s.Decide(d["id"].(string), "won")).To(Succeed())
		Expect(s.get("/v1/disputes/"+d["id"].(string), "")).To(HaveKeyWithValue("status", "lost"), "what is over stays so")
	},
		Entry("by evidence that does not convince", func(id string) {
			s.post("/v1/disputes/"+id, "evidence[uncategorized_text]=losing_evidence")
			s.Advance(time.Minute)
		}),
		Entry("by giving in", func(id string) { s.post("/v1/disputes/"+id+"/close", "") }),
		Entry("by saying nothing for a week", func(string) { s.Advance(8 * 24 * time.Hour) }),
		Entry("because the spec says so", func(id string) { Expect(s.Decide(id, "lost")).To(Succeed()) }),
	)

	It("is only a question at first with some banks, for which no money moves", func() {
		d := open("pm_card_createDisputeInquiry")
		Expect(d).To(HaveKeyWithValue("status", "warning_needs_response"))
		Expect(s.Ledger("").Sums).To(ConsistOf(HaveField("Disputed", int64(0))))
		Expect(s.Decide(d["id"].(string), "won")).To(Succeed())
		Expect(s.get("/v1/disputes/"+d["id"].(string), "")).To(HaveKeyWithValue("status", "warning_closed"))
	})

	It("may be announced by the bank", func() {
		i := s.paid("pm_card_createIssuerFraudRecord")
		Expect(rows(s.get("/v1/radar/early_fraud_warnings", fmt.Sprintf("payment_intent=%s", i["id"])))).To(ConsistOf(HaveKeyWithValue("fraud_type", "made_with_stolen_card")))
		Expect(s.types()).To(ContainElement("radar.early_fraud_warning.created"))
	})
})
