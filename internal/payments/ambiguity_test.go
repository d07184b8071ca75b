package payments

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// once has something go wrong with the first call of a kind.
func once(call string, wrong mishap) func(string, string) mishap {
	done := false
	return func(c, _ string) mishap {
		if c != call || done {
			return none
		}
		done = true
		return wrong
	}
}

// hears delivers a webhook as its route does.
func (c *counter) hears(n provider.Notice, secret string, at time.Time) error {
	body := message(n)
	return c.hearsAs(body, sign(secret, at, body))
}

func (c *counter) hearsAs(body []byte, signature string) error {
	in := &webhookInput{ID: c.acc.ID.String()}
	in.RawBody = body
	in.Raw = in.With(http.Header{"Bank-Signature": {signature}})
	_, err := c.svc.handleWebhook(c.ctx, in)
	return err
}

var _ = Describe("a provider that does not answer", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	DescribeTable("leaves the outcome of a charge open until it is known", func(wrong mishap, charged int) {
		c.svc.patience = 100 * time.Millisecond
		c.bank.wrong(once("charge", wrong))
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		Expect(r).To(And(HaveField("Status", "processing"), HaveField("Failure", BeNil())))
		_, charges := c.bank.took()
		Expect(charges).To(Equal(charged))
		Expect(c.waiting()).To(HaveKey(timerAttempt))
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Status", "succeeded"), HaveField("Captured", "25.00")))
		_, charges = c.bank.took()
		Expect(charges).To(Equal(1))
		Expect(c.waiting()).NotTo(HaveKey(timerAttempt))
	},
		Entry("when the question is lost", deaf, 0),
		Entry("when the answer is lost", mute, 1),
		Entry("when it hangs", hanging, 1),
	)

	It("is asked by the buyer's next try as well, and charges once", func() {
		c.bank.wrong(once("charge", mute))
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		Expect(c.paid(order, "card")).To(And(HaveField("ID", r.ID), HaveField("Status", "succeeded")))
		Expect(c.bank.asked).To(Equal([]string{"charge"}))
	})

	It("is asked with the same key when its search is behind, and charges once", func() {
		c.bank.wrong(once("charge", mute))
		c.bank.behind = true
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		Expect(c.paid(order, "card")).To(And(HaveField("ID", r.ID), HaveField("Status", "succeeded")))
		minor, charges := c.bank.took()
		Expect([]any{minor, charges}).To(Equal([]any{int64(2500), 1}))
	})

	It("keeps nobody from asking again as long as nothing is known", func() {
		c.bank.wrong(func(string, string) mishap { return deaf })
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		for n := 1; n < 4; n++ {
			Expect(c.svc.lookAfterAttempt(c.ctx, c.current(r.ID).attempt.ID.String(), n)).To(Equal(firstLook << (n - 1)))
		}
		Expect(c.read(r.ID).Status).To(Equal("processing"))
		Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).Error().To(MatchError(errInProgress))
		Expect(c.books().Undecided).To(BeEmpty(), "for ten minutes")
		c.bank.wrong(nil)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("succeeded"))
	})

	It("is never asked to charge for an order that was called off meanwhile", func() {
		c.bank.wrong(once("charge", deaf))
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		c.callsOff(order)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("processing"), "a call may be under way")
		c.later(longestCall)
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Status", "failed"), HaveField("Failure.Code", codeAbandoned)))
		Expect(c.bank.asked).To(BeEmpty())
	})

	DescribeTable("is asked again with the same key", func(call string, wrong mishap) {
		c.bank.wrong(once(call, wrong))
		switch call {
		case "capture":
			r := c.holds(c.orders.owes(eur(2500), "ana"))
			Expect(c.svc.handleCapture(c.ctx, &amountInput{ID: r.ID})).Error().To(MatchError(errInProgress))
			Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).Error().To(MatchError(errInProgress))
			c.settles()
			Expect(c.read(r.ID).Captured).To(Equal("25.00"))
		case "cancel":
			r := c.holds(c.orders.owes(eur(2500), "ana"))
			Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).Error().To(MatchError(errInProgress))
			c.settles()
			Expect(c.read(r.ID).Status).To(Equal("cancelled"))
		case "refund":
			r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
			Expect(c.refund(r.ID, "10.00", "damaged")).To(HaveField("Status", "requested"))
			Expect(c.read(r.ID)).To(And(HaveField("Refunding", "10.00"), HaveField("Refunded", "0.00")))
			c.settles()
			Expect(c.read(r.ID)).To(And(HaveField("Refunding", "0.00"), HaveField("Refunded", "10.00")))
		}
		Expect(c.bank.asked).To(Equal([]string{"charge", call}))
	},
		Entry("for a capture whose question was lost", "capture", deaf), Entry("for a capture whose answer was lost", "capture", mute),
		Entry("for a cancellation whose question was lost", "cancel", deaf), Entry("for a cancellation whose answer was lost", "cancel", mute),
		Entry("for a refund whose question was lost", "refund", deaf), Entry("for a refund whose answer was lost", "refund", mute),
	)

	It("is outlived by orders: after everything that can go wrong each was charged once and no cent is missing", func() {
		const orders, workers = 500, 8
		type fate struct {
			order uuid.UUID
			crash int // 1: between intent and call, 2: between call and result
		}
		dice := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0))
		c.bank.wrong(func(call, _ string) mishap {
			if call == "look" {
				return []mishap{none, none, none, none, deaf}[dice.IntN(5)]
			}
			return []mishap{none, none, none, deaf, mute}[dice.IntN(5)]
		})
		work, ids := make(chan fate), []uuid.UUID{}
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				defer GinkgoRecover()
				for f := range work {
					w := wish{Order: f.order, Method: "card"}
					switch f.crash {
					case 1:
						_, err := c.svc.begin(c.ctx, w, nil)
						Expect(err).NotTo(HaveOccurred())
					case 2:
						_, err := c.svc.pay(c.ctx, w, nil)
						Expect(err).NotTo(HaveOccurred())
					default:
						c.paid(f.order, "card")
					}
				}
			})
		}
		for i := range orders {
			id := c.orders.owes(eur(int64(100+i)), "ana")
			ids = append(ids, id)
			work <- fate{id, []int{0, 0, 0, 1, 2}[i%5]}
		}
		close(work)
		wg.Wait()
		// Each charge is told of three times, in any order, some of it before we know of it.
		told := []provider.Notice{}
		for i, reference := range c.bank.references() {
			for range 3 {
				told = append(told, provider.Notice{ID: fmt.Sprintf("evt_%d", i), Type: "charge.succeeded", Reference: reference})
			}
		}
		dice.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		for _, n := range told[:len(told)/2] {
			Expect(c.hears(n, "whsec_one", time.Now())).To(Succeed())
		}
		// Every tenth order is called off while it is not known what became of its payment.
		var off []uuid.UUID
		for i, id := range ids {
			if i%10 == 0 {
				off = append(off, id)
			}
		}
		c.callsOff(off...)
		c.bank.wrong(nil)
		c.later(longestCall)
		c.settles()
		c.settles()

		var sums struct {
			Paid     int64 `db:"paid"`
			Payments int64 `db:"payments"`
			Open     int64 `db:"open"`
			Wrong    int64 `db:"wrong"`
		}
		Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) error {
			return tx.Get(c.ctx, &sums, `
				select coalesce(sum(captured_minor - refunded_minor), 0)::bigint paid, count(*) payments,
				       count(*) filter (where status not in ('succeeded', 'failed', 'cancelled') or refunding_minor <> 0) open,
				       count(*) filter (where captured_minor not in (0, amount_minor)) + count(*) - count(distinct order_id) wrong
				from payments.payment`)
		})).To(Succeed())
		minor, charges := c.bank.took()
		expected := int64(0)
		for i := range orders {
			if i%10 != 0 {
				expected += int64(100 + i)
			}
		}
		Expect(sums.Payments).To(BeEquivalentTo(orders))
		Expect([]int64{sums.Open, sums.Wrong}).To(HaveEach(int64(0)))
		Expect(sums.Paid).To(Equal(expected))
		Expect(minor).To(Equal(expected))
		Expect(charges).To(BeNumerically("<=", orders))
		Expect(c.balance("sales")).To(Equal("-" + eur(expected).Decimal()))
		Expect(c.balance("refunds")).To(Equal("0.00"))
		Expect(c.books().Strays).To(BeEmpty())
	})
})

var _ = Describe("news of a charge", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	It("moves a payment forward only, in whatever order it comes", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "slow")
		at := c.current(r.ID).attempt
		at.Amount = eur(2500)
		object := func(phase provider.Phase, captured, refunded int64) provider.Object {
			o := provider.Object{Reference: at.Reference, Attempt: at.ID.String(), Phase: phase, Amount: eur(2500), Captured: eur(captured)}
			if phase == provider.Authorized {
				o.Authorized = eur(2500 - captured)
			}
			if refunded > 0 {
				o.Refunds = []provider.RefundObject{{Reference: "re_1", Amount: eur(refunded), Status: "succeeded"}}
			}
			return o
		}
		list := []provider.Object{
			object(provider.NeedsAction, 0, 0), object(provider.Processing, 0, 0), object(provider.Authorized, 0, 0),
			object(provider.Succeeded, 2500, 0), object(provider.Succeeded, 2500, 300), object(provider.Succeeded, 2500, 0), object(provider.Processing, 0, 0),
		}
		list = append(list, list...)
		rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		captured, refunded := int64(0), int64(0)
		for _, o := range list {
			Expect(c.told(o, "")).To(Succeed())
			now := c.current(r.ID).payment
			Expect(now.Captured.Minor).To(BeNumerically(">=", captured))
			Expect(now.Refunded.Minor).To(BeNumerically(">=", refunded))
			captured, refunded = now.Captured.Minor, now.Refunded.Minor
		}
		Expect(c.read(r.ID)).To(And(HaveField("Status", "succeeded"), HaveField("Captured", "25.00"), HaveField("Refunded", "3.00")))
		Expect(c.balance("sales")).To(Equal("-22.00"))
	})

	It("that an older attempt failed says nothing of the next one", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "3ds")
		old := c.current(r.ID).attempt
		Expect(c.paid(order, "slow").Status).To(Equal("processing"))
		late := provider.Object{Reference: old.Reference, Attempt: old.ID.String(), Phase: provider.Refused, Amount: eur(2500), Declined: &provider.Declined{Code: "late"}}
		Expect(c.told(late, "")).To(Succeed())
		Expect(c.read(r.ID)).To(And(HaveField("Status", "processing"), HaveField("Failure", BeNil())))
	})

	It("about a charge that is nobody's, or not what was asked for, is for a person to look at", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "slow")
		stray := provider.Object{Reference: "ch_nobody", Phase: provider.Succeeded, Amount: eur(900), Captured: eur(900)}
		foreign := provider.Object{Reference: c.current(r.ID).attempt.Reference, Phase: provider.Succeeded, Amount: money.Amount{Minor: 9, Currency: money.USD}, Captured: money.Amount{Minor: 9, Currency: money.USD}}
		Expect(c.told(stray, "")).To(Succeed())
		Expect(c.told(foreign, "")).To(Succeed())
		Expect(c.books().Strays).To(ConsistOf(
			And(HaveField("Reference", "ch_nobody"), HaveField("Captured", "9.00")), And(HaveField("Currency", "USD"), HaveField("Why", ContainSubstring("something else")))))
		Expect(c.read(r.ID).Status).To(Equal("processing"))
	})

	It("that no webhook told is found by comparing", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "slow")
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		c.later(time.Hour)
		Expect(c.svc.reconcile(c.ctx, c.acc.ID.String(), 1)).To(Equal(reconcileEvery))
		Expect(c.read(r.ID).Status).To(Equal("succeeded"))
		a, err := c.svc.handleAccount(c.ctx, &byID{c.acc.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(a.ReconciledAt).NotTo(BeNil())
	})
})

var _ = Describe("a webhook", Label("db"), func() {
	var (
		c         *counter
		r         begunResponse
		reference string
	)
	BeforeEach(func() {
		c = newCounter()
		r = c.paid(c.orders.owes(eur(2500), "ana"), "slow")
		reference = c.current(r.ID).attempt.Reference
		c.bank.does(reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
	})

	It("counts once, however often and at once it comes", func() {
		n := provider.Notice{ID: "evt_1", Type: "charge.succeeded", Reference: reference}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				for range 125 {
					Expect(c.hears(n, "whsec_one", time.Now())).To(Succeed())
				}
			})
		}
		wg.Wait()
		Expect(c.waiting()[timerNotice]).To(HaveLen(1))
		c.settles()
		Expect(c.hears(n, "whsec_one", time.Now())).To(Succeed())
		Expect(c.waiting()).NotTo(HaveKey(timerNotice))
		Expect(c.read(r.ID).Status).To(Equal("succeeded"))
		Expect(c.facts()).To(Equal([]string{"payment.created processing 0.00 0.00", "payment.succeeded succeeded 25.00 0.00"}))
	})

	It("is refused when its signature is wrong, old, from the future or of another body", func() {
		n := provider.Notice{ID: "evt_1", Type: "charge.succeeded", Reference: reference}
		body := message(n)
		now := time.Now()
		for _, signature := range []string{"", "x", sign("whsec_other", now, body), sign("whsec_one", now.Add(-301*time.Second), body), sign("whsec_one", now.Add(301*time.Second), body)} {
			Expect(c.hearsAs(body, signature)).To(MatchError(errSignature))
		}
		Expect(c.hearsAs([]byte(strings.ReplaceAll(string(body), ":", ": ")), sign("whsec_one", now, body))).To(MatchError(errSignature))
		Expect(c.waiting()).NotTo(HaveKey(timerNotice))
	})

	It("is believed with the old secret as well while they change, and not afterwards", func() {
		change := func(secrets ...string) {
			in := &updateAccountInput{ID: c.acc.ID.String()}
			in.Body.WebhookSecrets = &secrets
			Expect(c.svc.handleUpdateAccount(c.ctx, in)).Error().NotTo(HaveOccurred())
		}
		change("whsec_two", "whsec_one")
		Expect(c.hears(provider.Notice{ID: "evt_1"}, "whsec_one", time.Now())).To(Succeed())
		Expect(c.hears(provider.Notice{ID: "evt_2"}, "whsec_two", time.Now())).To(Succeed())
		change("whsec_two")
		Expect(c.hears(provider.Notice{ID: "evt_3"}, "whsec_one", time.Now())).To(MatchError(errSignature))
	})

	It("of a kind that means nothing here is taken, and about a charge that is gone forgotten", func() {
		Expect(c.hears(provider.Notice{ID: "evt_1", Type: "balance.available"}, "whsec_one", time.Now())).To(Succeed())
		Expect(c.waiting()).NotTo(HaveKey(timerNotice))
		Expect(c.hears(provider.Notice{ID: "evt_2", Type: "charge.succeeded", Reference: "ch_gone"}, "whsec_one", time.Now())).To(Succeed())
		c.settles()
		Expect(c.waiting()).NotTo(HaveKey(timerNotice))
	})

	It("is forgotten long after it was handled, and not while it waits", func() {
		for i := range 5 {
			Expect(c.hears(provider.Notice{ID: fmt.Sprint("evt_", i), Type: "charge.succeeded", Reference: reference}, "whsec_one", time.Now())).To(Succeed())
		}
		c.settles()
		Expect(c.hears(provider.Notice{ID: "evt_waiting", Type: "charge.succeeded", Reference: reference}, "whsec_one", time.Now())).To(Succeed())
		sweep := func() (more bool) {
			Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) (err error) {
				more, err = c.svc.store.sweep(c.ctx, tx, 2)
				return err
			})).To(Succeed())
			return more
		}
		age := func(ids string) {
			_, err := testkit.SQL(testkit.Shared().Super).Exec(`update payments.notice set received_at = now() - interval '61 days' where tenant_id = $1 and id ~ $2`, c.shop, ids)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(sweep()).To(BeFalse(), "they are young")
		age("evt_([1-4]|waiting)")
		Expect([]bool{sweep(), sweep(), sweep()}).To(Equal([]bool{true, true, false}))
		Expect(c.asWritten(`select id from payments.notice order by id`)).To(Equal([]string{"evt_0", "evt_waiting"}))
	})

	It("is not answered well when it cannot be kept", func() {
		ctx, gone := context.WithCancel(c.ctx)
		gone()
		c.ctx = ctx
		Expect(c.hears(provider.Notice{ID: "evt_1"}, "whsec_one", time.Now())).NotTo(Succeed())
	})

	It("waits until the provider can be asked", func() {
		Expect(c.hears(provider.Notice{ID: "evt_1", Type: "charge.succeeded", Reference: reference}, "whsec_one", time.Now())).To(Succeed())
		c.bank.wrong(func(string, string) mishap { return deaf })
		Expect(c.svc.lookAfterNotice(c.ctx, c.acc.ID.String()+"/evt_1", 1)).To(Equal(firstLook))
		c.bank.wrong(nil)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("succeeded"))
	})

	It("is for the shop that has the account", func() {
		other := *c
		other.ctx = testkit.As(testkit.NewTenant(testkit.Shared()))
		Expect(other.hears(provider.Notice{ID: "evt_1"}, "whsec_one", time.Now())).To(MatchError(httpx.ErrNotFound))
	})
})
