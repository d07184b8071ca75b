package stripe

import (
	"context"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var _ = Describe("charging by Stripe", func() {
	var b *bench

	BeforeEach(func() { b = newBench(stripesim.Options{}) })

	It("takes the money once, however often it is asked for", func(ctx SpecContext) {
		w := wish("pm_card_visa")
		o := b.charged(ctx, w)
		Expect(o).To(And(
			HaveField("Phase", provider.Succeeded), HaveField("Attempt", w.Attempt), HaveField("Reference", HavePrefix("pi_")),
			HaveField("Amount", eur(1299)), HaveField("Captured", eur(1299)), HaveField("Authorized", eur(0)), HaveField("Fee", eur(45)), HaveField("Declined", BeNil()),
		))
		Expect(b.charge(ctx, w)).To(Equal(o))
		Expect(b.fetched(ctx, o.Reference)).To(Equal(o))
		Expect(b.sim.Ledger("").Orders).To(ConsistOf(And(HaveField("Order", w.OrderID), HaveField("Charges", 1))))
	})

	It("leaves at Stripe whose it is", func() {
		tenant := uuid.New()
		ctx := identity.With(context.Background(), identity.Identity{Tenant: tenant})
		w := wish("")
		o := b.charged(ctx, w)
		i, err := b.at(b.account).V1PaymentIntents.Retrieve(ctx, o.Reference, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(i.Metadata).To(Equal(map[string]string{"attempt": w.Attempt, "order": w.OrderID, "tenant": tenant.String()}))
	})

	It("leaves the means of payment to the buyer's page", func(ctx SpecContext) {
		Expect(b.charged(ctx, wish(""))).To(And(HaveField("Phase", provider.NeedsMethod), HaveField("ClientSecret", ContainSubstring("_secret_")), HaveField("Declined", BeNil())))
	})

	It("says why a bank refuses, and has the payment that it refused", func(ctx SpecContext) {
		w := wish("pm_card_visa_chargeDeclinedInsufficientFunds")
		o, err := b.charge(ctx, w)
		no := &provider.Declined{Code: "insufficient_funds", Message: "Your card has insufficient funds."}
		Expect(err).To(Equal(no))
		Expect(o).To(And(HaveField("Phase", provider.NeedsMethod), HaveField("Declined", no), HaveField("Attempt", w.Attempt), HaveField("Captured", eur(0))))
		Expect(b.fetched(ctx, o.Reference)).To(And(HaveField("Phase", provider.NeedsMethod), HaveField("Declined", no)))
	})

	It("sends the buyer to the bank, and hears how that ended", func(ctx SpecContext) {
		o := b.charged(ctx, wish("pm_card_authenticationRequired"))
		Expect(o).To(And(HaveField("Phase", provider.NeedsAction), HaveField("NextAction", ContainSubstring("/_sim/3ds/"+o.Reference)), HaveField("Captured", eur(0))))
		Expect(b.sim.Decide(o.Reference, "pass")).To(Succeed())
		Expect(b.fetched(ctx, o.Reference)).To(And(HaveField("Phase", provider.Succeeded), HaveField("NextAction", BeEmpty())))

		o = b.charged(ctx, wish("pm_card_authenticationRequired"))
		Expect(b.sim.Decide(o.Reference, "fail")).To(Succeed())
		Expect(b.fetched(ctx, o.Reference)).To(And(HaveField("Phase", provider.NeedsMethod), HaveField("Declined.Code", "payment_intent_authentication_failure")))
	})

	It("has nowhere to send the buyer back to when the shop says none", func(ctx SpecContext) {
		w := wish("pm_card_visa")
		w.ReturnURL = ""
		Expect(b.charged(ctx, w)).To(HaveField("Phase", provider.Succeeded))
	})

	It("waits for a debit", func(ctx SpecContext) {
		o := b.charged(ctx, wish("pm_sim_debit"))
		Expect(o).To(And(HaveField("Phase", provider.Processing), HaveField("Captured", eur(0))))
		b.sim.Advance(time.Hour)
		Expect(b.fetched(ctx, o.Reference)).To(HaveField("Phase", provider.Succeeded))
	})

	Describe("that only holds the money", func() {
		It("captures a part, and takes the rest that is let go for no refund", func(ctx SpecContext) {
			o := b.charged(ctx, held("pm_card_visa"))
			Expect(o).To(And(HaveField("Phase", provider.Authorized), HaveField("Authorized", eur(1299)), HaveField("Captured", eur(0)), HaveField("Fee", eur(0))))
			o, err := b.Capture(ctx, b.account, clock.NewID().String(), o.Reference, eur(1000))
			Expect(err).NotTo(HaveOccurred())
			whole := And(HaveField("Phase", provider.Succeeded), HaveField("Authorized", eur(0)), HaveField("Captured", eur(1000)), HaveField("Refunds", BeEmpty()))
			Expect(o).To(whole)
			Expect(b.fetched(ctx, o.Reference)).To(whole)

			o = b.refunded(ctx, o.Reference, eur(299))
			Expect(o.Refunds).To(ConsistOf(And(HaveField("Amount", eur(299)), HaveField("Key", Not(BeEmpty())))), "a real one of the same amount counts")
		})

		It("lets all of it go", func(ctx SpecContext) {
			o := b.charged(ctx, held("pm_card_visa"))
			o, err := b.Cancel(ctx, b.account, clock.NewID().String(), o.Reference)
			Expect(err).NotTo(HaveOccurred())
			Expect(o).To(And(HaveField("Phase", provider.Cancelled), HaveField("Authorized", eur(0)), HaveField("Captured", eur(0)), HaveField("Refunds", BeEmpty())))
		})

		It("is refused what cannot be, with what Stripe says", func(ctx SpecContext) {
			o := b.charged(ctx, held("pm_card_visa"))
			b.sim.Advance(8 * 24 * time.Hour)
			_, err := b.Capture(ctx, b.account, clock.NewID().String(), o.Reference, eur(1299))
			Expect(err).To(BeAssignableToTypeOf(&provider.Declined{}))
			Expect(err).To(And(HaveField("Code", "payment_intent_unexpected_state"), HaveField("Message", ContainSubstring("status of canceled"))))
			Expect(b.fetched(ctx, o.Reference)).To(HaveField("Phase", provider.Cancelled))
		})
	})

	It("knows of no payment that is another account's, or none", func(ctx SpecContext) {
		o := b.charged(ctx, wish("pm_card_visa"))
		other := provider.Account{SecretKey: "sk_test_boris"}
		_, err := b.Fetch(ctx, other, o.Reference)
		Expect(err).To(MatchError(provider.ErrNoCharge))
		_, err = b.Find(ctx, other, o.Attempt, lately())
		Expect(err).To(MatchError(provider.ErrNoCharge))
		_, err = b.Find(ctx, b.account, "a' OR metadata['order']:'x", lately())
		Expect(err).To(MatchError(provider.ErrNoCharge))
	})

	It("says that a key is wrong, which is no answer to whether a payment went well", func(ctx SpecContext) {
		_, err := b.Charge(ctx, provider.Account{SecretKey: "sk_live_oops"}, "k", wish("pm_card_visa"))
		Expect(err).To(MatchError(provider.ErrKeyRefused))
		Expect(err).NotTo(MatchError(provider.ErrUnknownOutcome))
		Expect(err.Error()).NotTo(ContainSubstring("oops"))
	})

	It("counts as Stripe does, there and back", func(ctx SpecContext) {
		for _, a := range []money.Amount{{Minor: 500, Currency: "JPY"}, {Minor: 500, Currency: "ISK"}, {Minor: 500, Currency: "UGX"}, {Minor: 5120, Currency: "KWD"}, {Minor: 50000, Currency: "MGA"}, {Minor: 17500, Currency: "HUF"}} {
			w := wish("pm_card_visa")
			w.Amount = a
			Expect(b.charged(ctx, w)).To(And(HaveField("Amount", a), HaveField("Captured", a)))
		}
		asStripeHasIt := map[string]int64{"jpy": 500, "isk": 50000, "ugx": 50000, "kwd": 5120, "mga": 500, "huf": 17500}
		for _, sum := range b.sim.Ledger("").Sums {
			Expect(sum.Captured).To(Equal(asStripeHasIt[sum.Currency]), sum.Currency)
			delete(asStripeHasIt, sum.Currency)
		}
		Expect(asStripeHasIt).To(BeEmpty())
	})
})

var _ = Describe("refunding by Stripe", func() {
	var b *bench

	BeforeEach(func() { b = newBench(stripesim.Options{}) })

	It("gives back once, and never more than there is", func(ctx SpecContext) {
		o := b.charged(ctx, wish("pm_card_visa"))
		key := clock.NewID().String()
		for range 2 {
			r, err := b.Refund(ctx, b.account, key, o.Reference, eur(300), "damaged")
			Expect(err).NotTo(HaveOccurred())
			Expect(r).To(And(HaveField("Reference", o.Reference), HaveField("Captured", eur(1299)), HaveField("Attempt", o.Attempt)))
			Expect(r.Refunds).To(ConsistOf(And(
				HaveField("Key", key), HaveField("Amount", eur(300)), HaveField("Status", "succeeded"), HaveField("Reason", "damaged"), HaveField("Reference", HavePrefix("re_")),
			)))
		}
		_, err := b.Refund(ctx, b.account, clock.NewID().String(), o.Reference, eur(1000), "requested_by_customer")
		Expect(err).To(BeAssignableToTypeOf(&provider.Declined{}))
		Expect(b.sim.Ledger("").Sums).To(ConsistOf(HaveField("Refunded", int64(300))))
	})

	It("hears of those that take their time, come back, or were made at Stripe", func(ctx SpecContext) {
		slow, failing := b.charged(ctx, wish("pm_card_pendingRefund")), b.charged(ctx, wish("pm_card_refundFail"))
		Expect(b.refunded(ctx, slow.Reference, eur(1299)).Refunds).To(ConsistOf(HaveField("Status", "pending")))
		Expect(b.refunded(ctx, failing.Reference, eur(1299)).Refunds).To(ConsistOf(HaveField("Status", "succeeded")))
		b.sim.Advance(time.Hour)
		Expect(b.fetched(ctx, slow.Reference).Refunds).To(ConsistOf(HaveField("Status", "succeeded")))
		Expect(b.fetched(ctx, failing.Reference).Refunds).To(ConsistOf(HaveField("Status", "failed")))
	})

	It("lists all of them, also when there are more than Stripe sends with a payment, oldest first", func(ctx SpecContext) {
		o := b.charged(ctx, wish("pm_card_visa"))
		for n := range 13 {
			b.refunded(ctx, o.Reference, eur(int64(n)+1))
		}
		all := b.fetched(ctx, o.Reference).Refunds
		Expect(all).To(HaveLen(13))
		for n, r := range all {
			Expect(r.Amount).To(Equal(eur(int64(n) + 1)))
		}
	})
})

var _ = Describe("a dispute by Stripe", func() {
	It("says what was withdrawn, until it is given again", func(ctx SpecContext) {
		b := newBench(stripesim.Options{})
		o := b.fetched(ctx, b.charged(ctx, wish("pm_card_createDispute")).Reference)
		Expect(o.Disputes).To(ConsistOf(And(
			HaveField("Reference", HavePrefix("du_")), HaveField("Status", "needs_response"), HaveField("Reason", "fraudulent"), HaveField("Amount", eur(1299)),
			HaveField("Withdrawn", eur(1299)), HaveField("Fee", eur(1500)), HaveField("DueBy", Not(BeNil())),
		)))
		Expect(b.sim.Decide(o.Disputes[0].Reference, "won")).To(Succeed())
		Expect(b.fetched(ctx, o.Reference).Disputes).To(ConsistOf(And(HaveField("Status", "won"), HaveField("Withdrawn", eur(0)), HaveField("Fee", eur(1500)))))
	})

	It("is no more than a question at some banks", func(ctx SpecContext) {
		b := newBench(stripesim.Options{})
		o := b.fetched(ctx, b.charged(ctx, wish("pm_card_createDisputeInquiry")).Reference)
		Expect(o.Disputes).To(ConsistOf(And(HaveField("Status", "warning_needs_response"), HaveField("Withdrawn", eur(0)))))
	})
})
