package payments

import (
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// never lets the calls of a kind go well.
func never(call string, wrong mishap) func(string, string) mishap {
	return func(c, _ string) mishap {
		if c == call {
			return wrong
		}
		return none
	}
}

// operations are the states of what was wanted.
func (c *counter) operations() (states []string) {
	GinkgoHelper()
	Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) error {
		states = nil
		return tx.Select(c.ctx, &states, `select kind || ' ' || state || coalesce(' ' || failure, '') from payments.operation order by created_at`)
	})).To(Succeed())
	return states
}

// hears an object of its bank's, as the reconciler does.
func (c *counter) takesIn(reference string) {
	GinkgoHelper()
	o, err := c.bank.Fetch(c.ctx, provider.Account{}, reference)
	Expect(err).NotTo(HaveOccurred())
	Expect(c.told(o, "")).To(Succeed())
}

var _ = Describe("what a provider was asked for before", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	refunded := func() (paymentID, refundID string) {
		GinkgoHelper()
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		back, err := c.refund(r.ID, "10.00", "damaged")
		Expect(err).NotTo(HaveOccurred())
		Expect(back.Status).To(Equal("requested"))
		return r.ID, back.ID
	}

	It("is not refunded twice when every answer is lost and the key is forgotten", func() {
		c.bank.wrong(never("refund", mute))
		id, _ := refunded()
		c.bank.forgets()
		c.settles()
		Expect(c.bank.asked).To(Equal([]string{"charge", "refund"}))
		Expect(c.read(id)).To(And(HaveField("Refunded", "10.00"), HaveField("Refunding", "0.00")))
	})

	It("is not captured twice when the answer is lost and the key is forgotten", func() {
		c.bank.wrong(once("capture", mute))
		r := c.holds(c.orders.owes(eur(2500), "ana"))
		Expect(c.svc.handleCapture(c.ctx, &amountInput{ID: r.ID})).Error().To(MatchError(errInProgress))
		c.bank.forgets()
		c.settles()
		Expect(c.read(r.ID).Captured).To(Equal("25.00"))
		Expect(c.operations()).To(Equal([]string{"capture done"}))
	})

	It("is not asked for once the key may be forgotten, and counts if it happened all the same", func() {
		c.bank.wrong(never("refund", deaf))
		id, back := refunded()
		c.later(keyLasts)
		Expect(c.svc.lookAfterRefund(c.ctx, back, 1)).To(Equal(firstLook), "a call may be under way")
		c.bank.wrong(nil)
		c.later(longestCall)
		c.settles()
		Expect(c.bank.asked).To(Equal([]string{"charge"}))
		list, err := c.svc.handleRefunds(c.ctx, &byID{id})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Data).To(ConsistOf(And(HaveField("Status", "failed"), HaveField("Failure.Code", codeAbandoned))))
		Expect(c.read(id)).To(And(HaveField("Refunded", "0.00"), HaveField("Refunding", "0.00")))
		Expect([]string{c.balance("sales"), c.balance("refunds")}).To(Equal([]string{"-25.00", "0.00"}))

		reference := c.current(id).attempt.Reference
		c.bank.does(reference, func(o *provider.Object) {
			o.Refunds = []provider.RefundObject{{Reference: "re_late", Key: back, Amount: eur(1000), Status: "succeeded"}}
		})
		for range 2 {
			c.takesIn(reference)
			Expect(c.read(id)).To(And(HaveField("Refunded", "10.00"), HaveField("Refunding", "0.00")))
			Expect([]string{c.balance("sales"), c.balance("refunds"), c.balance("clearing")}).To(Equal([]string{"-15.00", "0.00", "14.50"}))
		}
		Expect(c.books()).To(And(HaveField("Differences", BeEmpty()), HaveField("Balanced", true)))
	})

	It("is not captured a day later, and is cancelled whenever the provider can be asked", func() {
		c.bank.wrong(never("capture", deaf))
		r := c.holds(c.orders.owes(eur(2500), "ana"))
		Expect(c.svc.handleCapture(c.ctx, &amountInput{ID: r.ID})).Error().To(MatchError(errInProgress))
		c.bank.wrong(nil)
		c.later(keyLasts + longestCall)
		c.settles()
		Expect(c.operations()).To(Equal([]string{"capture failed abandoned"}))
		Expect(c.read(r.ID).Status).To(Equal("authorized"))

		c.bank.wrong(once("cancel", deaf))
		Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).Error().To(MatchError(errInProgress))
		c.later(25 * time.Hour)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("cancelled"))
		Expect(c.bank.asked).To(Equal([]string{"charge", "cancel"}))
	})

	It("is over when the charge has come to another end, and that end is taken in", func() {
		c.bank.wrong(once("cancel", deaf))
		r := c.paid(c.orders.owes(eur(2500), "ana"), "3ds")
		Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).Error().To(MatchError(errInProgress))
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		Expect(c.svc.lookAfterOperation(c.ctx, c.waiting()[timerOperation][0], 1)).To(BeZero())
		Expect(c.read(r.ID).Status).To(Equal("succeeded"))
		Expect(c.operations()).To(Equal([]string{"cancel failed " + codeOvertaken}))
	})

	It("is looked after until the charge shows the refund", func() {
		c.bank.hides = true
		id, back := refunded()
		Expect(c.svc.lookAfterRefund(c.ctx, back, 1)).To(Equal(firstLook))
		Expect(c.waiting()[timerRefund]).To(Equal([]string{back}))
		c.bank.hides = false
		c.settles()
		Expect(c.read(id).Refunded).To(Equal("10.00"))
	})

	It("is not ended by a refusal when the provider has taken it", func() {
		c.bank.hides = true
		id, back := refunded()
		c.bank.hides = false
		c.takesIn(c.current(id).attempt.Reference)
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			r, err := c.svc.concludeRefund(c.ctx, tx, uuid.MustParse(back), c.current(id).attempt.ID, provider.Object{}, &provider.Declined{Code: "charge_already_refunded"})
			Expect(r.Status).To(Equal("succeeded"))
			return err
		})).To(Succeed())
		Expect(c.read(id).Refunded).To(Equal("10.00"))
	})
})

var _ = Describe("an attempt", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	It("is asked for with its key where nobody can search", func() {
		c.bank.wrong(func(call, _ string) mishap {
			if call == "look" {
				return deaf
			}
			return none
		})
		_, err := c.svc.begin(c.ctx, wish{Order: c.orders.owes(eur(2500), "ana"), Method: "card"}, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.svc.lookAfterAttempt(c.ctx, c.waiting()[timerAttempt][0], 1)).To(BeZero())
		Expect(c.bank.asked).To(Equal([]string{"charge"}))
	})

	It("is not asked for a day later, and gives way", func() {
		order := c.orders.owes(eur(2500), "ana")
		c.bank.wrong(never("charge", deaf))
		r := c.paid(order, "card")
		c.bank.wrong(nil)
		c.later(keyLasts + longestCall)
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Status", "failed"), HaveField("Failure.Code", codeAbandoned)))
		Expect(c.bank.asked).To(BeEmpty())
		Expect(c.paid(order, "card").Status).To(Equal("succeeded"))
	})

	It("that was given up and holds money at the provider after all lets go of it", func() {
		order := c.orders.owes(eur(2500), "ana")
		in := &payInput{}
		in.Body = payBody{OrderID: order, Method: "card", Capture: "manual"}
		c.bank.wrong(once("charge", deaf))
		r, err := c.svc.handlePay(c.ctx, in)
		Expect(err).NotTo(HaveOccurred())
		c.callsOff(order)
		c.later(longestCall)
		c.settles()
		Expect(c.read(r.ID).Failure.Code).To(Equal(codeAbandoned))

		attempt := c.current(r.ID).attempt.ID.String()
		o, err := c.bank.Charge(c.ctx, provider.Account{}, attempt, provider.Charge{Amount: eur(2500), Manual: true, Method: "card", Attempt: attempt})
		Expect(err).NotTo(HaveOccurred())
		Expect(o.Phase).To(Equal(provider.Authorized))
		c.takesIn(o.Reference)
		c.settles()
		o, err = c.bank.Fetch(c.ctx, provider.Account{}, o.Reference)
		Expect(err).NotTo(HaveOccurred())
		Expect(o.Phase).To(Equal(provider.Cancelled))
	})

	It("is over at once when the provider refuses the shop's key, but not when it was asked for before", func() {
		order := c.orders.owes(eur(2500), "ana")
		c.bank.wrong(never("charge", barred))
		Expect(c.paid(order, "card")).To(And(HaveField("Status", "failed"), HaveField("Failure.Code", codeKeyRefused)))
		c.bank.wrong(nil)
		Expect(c.paid(order, "card").Status).To(Equal("succeeded"))

		order = c.orders.owes(eur(2500), "ana")
		c.bank.wrong(never("charge", mute))
		c.paid(order, "card")
		c.bank.wrong(never("charge", barred))
		Expect(c.paid(order, "card").Status).To(Equal("processing"))
		c.bank.wrong(nil)
		c.settles()
		minor, _ := c.bank.took()
		Expect(minor).To(BeEquivalentTo(5000))
	})

	It("whose buyer has gone is cancelled after a day", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "3ds")
		c.later(forsakenAfter - time.Minute)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("requires_action"))
		c.later(2 * time.Minute)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("cancelled"))
		Expect(c.bank.asked).To(Equal([]string{"charge", "cancel"}))
		Expect(c.waiting()).NotTo(HaveKey(timerAttempt))
	})

	It("is asked about every five minutes while nobody answers, and less often while its buyer is waited for", func() {
		c.bank.wrong(once("charge", deaf))
		unanswered := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		waiting := c.paid(c.orders.owes(eur(2500), "ana"), "3ds")
		c.bank.wrong(func(string, string) mishap { return deaf })
		Expect(c.svc.lookAfterAttempt(c.ctx, c.current(unanswered.ID).attempt.ID.String(), 20)).To(Equal(5 * time.Minute))
		Expect(c.svc.lookAfterAttempt(c.ctx, c.current(waiting.ID).attempt.ID.String(), 20)).To(Equal(time.Hour))
	})

	It("that is refused keeps the provider's name for what it refused", func() {
		ch := drafted(payable{OrderID: uuid.New(), Total: eur(5)}, account{ID: uuid.New()}, eur(5), wish{}, clock.System())
		ch.refuse(&provider.Declined{Code: "card_declined"}, "pi_1")
		Expect(ch.attempt).To(And(HaveField("State", state(provider.Refused)), HaveField("Reference", "pi_1")))
	})
})

var _ = Describe("comparing with a provider", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	reconcile := func(id uuid.UUID) (time.Duration, error) { return c.svc.reconcile(c.ctx, id.String(), 1) }
	compared := func() *time.Time {
		GinkgoHelper()
		a, err := c.svc.handleAccount(c.ctx, &byID{c.acc.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		return a.ReconciledAt
	}

	It("goes on where it was stopped, leaves nothing out, and leaves what is young for the next time", func() {
		c.later(40 * 24 * time.Hour)
		calls := 0
		c.bank.wrong(func(call, _ string) mishap {
			if calls++; call == "list" && calls > 3 {
				return deaf
			}
			return none
		})
		Expect(reconcile(c.acc.ID)).Error().To(MatchError(errLine))
		first := c.bank.listed
		Expect(first).To(HaveLen(3))
		Expect(*compared()).To(BeTemporally("==", first[2].Until))

		c.bank.wrong(nil)
		Expect(reconcile(c.acc.ID)).To(Equal(reconcileEvery))
		all := c.bank.listed
		for i, in := range all {
			Expect(in.Until).To(BeTemporally(">", in.From))
			Expect(in.Until.Sub(in.From)).To(BeNumerically("<=", longestSlice))
			if i > 0 {
				Expect(in.From).To(BeTemporally("==", all[i-1].Until))
			}
		}
		Expect(all[0].From).To(BeTemporally("~", time.Now().Add(-40*24*time.Hour), time.Minute))
		Expect(*compared()).To(And(BeTemporally("==", all[len(all)-1].Until), BeTemporally("<=", time.Now().Add(-unsettled))))

		Expect(reconcile(c.acc.ID)).To(Equal(reconcileEvery))
		Expect(c.bank.listed).To(HaveLen(len(all)+1), "what has become old enough meanwhile")
	})

	It("pauses for others when there is much, and goes on", func() {
		c.later(time.Hour)
		now := time.Now()
		c.svc.now = func() time.Time { now = now.Add(reconcileFor); return now }
		for range 3 {
			Expect(reconcile(c.acc.ID)).To(Equal(soon))
		}
		Expect(c.bank.listed).To(HaveLen(3))
		c.svc.now = clock.System
		Expect(reconcile(c.acc.ID)).To(Equal(reconcileEvery))
	})

	It("takes in all others when one charge cannot be read or taken in", func() {
		nonsense, foreign := c.paid(c.orders.owes(eur(2500), "ana"), "slow"), c.paid(c.orders.owes(eur(2500), "ana"), "slow")
		var fine []string
		for range 5 {
			fine = append(fine, c.paid(c.orders.owes(eur(2500), "ana"), "slow").ID)
		}
		for _, reference := range c.bank.references() {
			c.bank.does(reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		}
		c.bank.does(c.current(nonsense.ID).attempt.Reference, func(o *provider.Object) { o.Phase = "nonsense" })
		c.bank.does(c.current(foreign.ID).attempt.Reference, func(o *provider.Object) {
			o.Refunds = []provider.RefundObject{{Reference: "re_1", Amount: eur(-1), Status: "succeeded"}}
		})
		c.later(time.Hour)
		Expect(reconcile(c.acc.ID)).To(Equal(reconcileEvery))
		for _, id := range fine {
			Expect(c.read(id).Status).To(Equal("succeeded"))
		}
		Expect(c.read(nonsense.ID).Status).To(Equal("processing"))
	})

	It("goes on for an account that is disabled and has charges", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "slow")
		idle := c.account(testName)
		disable := func(id uuid.UUID) {
			GinkgoHelper()
			off := false
			in := &updateAccountInput{ID: id.String()}
			in.Body.Enabled = &off
			Expect(c.svc.handleUpdateAccount(c.ctx, in)).Error().NotTo(HaveOccurred())
		}
		disable(c.acc.ID)
		disable(idle.ID)
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		c.later(time.Hour)
		Expect(reconcile(c.acc.ID)).To(Equal(reconcileEvery))
		Expect(c.read(r.ID).Status).To(Equal("succeeded"))
		Expect(reconcile(idle.ID)).To(Equal(reconcileEvery))
		a, err := c.svc.handleAccount(c.ctx, &byID{idle.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(a.ReconciledAt).To(BeNil(), "it has none")
	})

	It("is refused for an account that there is not", func() {
		Expect(reconcile(clock.NewID())).Error().To(MatchError(httpx.ErrNotFound))
	})
})

var _ = Describe("two that ask about one charge at the same moment", Label("db"), func() {
	var (
		c         *counter
		r         begunResponse
		reference string
		looks     int
	)
	BeforeEach(func() { c, looks = newCounter(), 0 })

	// overtakes has the charge change, and be heard of, while somebody is told how it was before.
	overtakes := func(change func(*provider.Object)) {
		c.bank.wrong(func(call, _ string) mishap {
			if call != "look" {
				return none
			}
			switch looks++; looks {
			case 1:
				now := copied(c.bank.charges[reference])
				change(&now)
				Expect(c.told(now, "")).To(Succeed())
			case 2:
				change(c.bank.charges[reference])
			}
			return none
		})
	}
	hears := func() {
		GinkgoHelper()
		Expect(c.hears(provider.Notice{ID: "evt_1", Type: "charge.updated", Reference: reference}, "whsec_one", time.Now())).To(Succeed())
		Expect(c.svc.lookAfterNotice(c.ctx, c.acc.ID.String()+"/evt_1", 1)).To(BeZero())
	}
	refuses := func(o *provider.Object) {
		o.Phase, o.NextAction, o.Declined = provider.NeedsMethod, "", &provider.Declined{Code: "authentication_failed"}
	}

	It("do not put the older news of an attempt in the place of the newer, by webhook", func() {
		r = c.paid(c.orders.owes(eur(2500), "ana"), "3ds")
		reference = c.current(r.ID).attempt.Reference
		overtakes(refuses)
		c.bank.does(reference, func(o *provider.Object) { o.NextAction = "https://bank.example/again" })
		hears()
		Expect(c.read(r.ID)).To(And(HaveField("Status", "failed"), HaveField("Failure.Code", "authentication_failed")))
		Expect(looks).To(Equal(2))
	})

	It("nor by the errand, which asks again soon", func() {
		r = c.paid(c.orders.owes(eur(2500), "ana"), "3ds")
		reference = c.current(r.ID).attempt.Reference
		overtakes(refuses)
		Expect(c.svc.lookAfterAttempt(c.ctx, c.current(r.ID).attempt.ID.String(), 9)).To(Equal(soon))
		Expect(c.read(r.ID).Status).To(Equal("failed"))
	})

	It("nor by comparing, whose list says nothing of when", func() {
		r = c.paid(c.orders.owes(eur(2500), "ana"), "3ds")
		reference = c.current(r.ID).attempt.Reference
		looks = 1
		overtakes(refuses)
		c.later(time.Hour)
		Expect(c.svc.reconcile(c.ctx, c.acc.ID.String(), 1)).To(Equal(reconcileEvery))
		Expect(looks).To(Equal(1), "what is known is not asked for")
		c.bank.does(reference, func(o *provider.Object) { o.NextAction = "https://bank.example/old" })
		c.later(time.Hour)
		Expect(c.svc.reconcile(c.ctx, c.acc.ID.String(), 1)).To(Equal(reconcileEvery))
		Expect(looks).To(BeNumerically(">", 1))
		Expect(c.read(r.ID).Status).To(Equal("failed"))
	})

	It("nor the older news of a dispute", func() {
		r = c.paid(c.orders.owes(eur(2500), "ana"), "card")
		reference = c.current(r.ID).attempt.Reference
		c.bank.does(reference, func(o *provider.Object) {
			o.Disputes = []provider.DisputeObject{{Reference: "dp_1", Amount: eur(2500), Status: "needs_response", Withdrawn: eur(2500), Fee: eur(1500)}}
		})
		overtakes(func(o *provider.Object) {
			o.Disputes = []provider.DisputeObject{{Reference: "dp_1", Amount: eur(2500), Status: "warning_under_review", Withdrawn: eur(0), Fee: eur(1500)}}
		})
		hears()
		Expect(c.read(r.ID).Disputed).To(Equal("0.00"))
		Expect(c.balance("disputes")).To(Equal("0.00"))
		Expect(looks).To(Equal(2))
	})
})
