package payments

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("refunds", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	It("never give back more than was captured, however many ask at once", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		var given atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				defer GinkgoRecover()
				w := refundWish{Once: clock.NewID(), Amount: "3.00", Reason: "damaged"}
				// A request that finds no connection is repeated, and is the same refund.
				for err := error(db.ErrUnavailable); errors.Is(err, db.ErrUnavailable); {
					if _, _, _, err = c.svc.refund(c.ctx, uuid.MustParse(r.ID), w); err == nil {
						given.Add(1)
					} else if !errors.Is(err, db.ErrUnavailable) {
						Expect(err).To(Or(MatchError(errAmountTooLarge), MatchError(errNothingToRefund)))
					}
				}
			})
		}
		wg.Wait()
		Expect(given.Load()).To(BeEquivalentTo(8))
		Expect(c.read(r.ID)).To(HaveField("Refunding", "24.00"))
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "24.00"), HaveField("Refunding", "0.00")))
		Expect(c.refund(r.ID, "", "damaged")).To(HaveField("Amount", "1.00"))
		minor, _ := c.bank.took()
		Expect(minor).To(BeZero())
		Expect(c.balance("sales")).To(Equal("0.00"))
		Expect(c.refund(r.ID, "", "damaged")).Error().To(MatchError(errNothingToRefund))
	})

	It("that the provider refuses stay failed with its reason, and what they were for can be refunded again", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		Expect(c.refund(r.ID, "20.00", "refused")).To(And(HaveField("Status", "failed"), HaveField("Failure", &failure{"charge_disputed", "Not this one."})))
		Expect(c.read(r.ID)).To(And(HaveField("Refunding", "0.00"), HaveField("Refunded", "0.00")))
		Expect(c.refund(r.ID, "", "damaged")).To(And(HaveField("Status", "succeeded"), HaveField("Amount", "25.00")))
		Expect(c.balance("sales")).To(Equal("0.00"))
		Expect(c.waiting()).NotTo(HaveKey(timerRefund))
	})

	It("that a bank sends back count no more, and cost nothing", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		Expect(c.refund(r.ID, "5.00", "damaged")).Error().NotTo(HaveOccurred())
		reference := c.current(r.ID).attempt.Reference
		c.bank.does(reference, func(o *provider.Object) { o.Refunds[0].Status = "failed" })
		for range 2 {
			o, err := c.bank.Fetch(c.ctx, provider.Account{}, reference)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.told(o, "")).To(Succeed())
		}
		Expect(c.read(r.ID).Refunded).To(Equal("0.00"))
		Expect([]string{c.balance("sales"), c.balance("refunds"), c.balance("clearing")}).To(Equal([]string{"-25.00", "0.00", "24.50"}))
	})

	It("that somebody made at the provider are as true", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		reference := c.current(r.ID).attempt.Reference
		c.bank.does(reference, func(o *provider.Object) {
			o.Refunds = append(o.Refunds, provider.RefundObject{Reference: "re_dashboard", Amount: eur(700), Status: "pending"})
		})
		for _, status := range []string{"pending", "succeeded", "pending"} {
			c.bank.does(reference, func(o *provider.Object) { o.Refunds[0].Status = status })
			o, err := c.bank.Fetch(c.ctx, provider.Account{}, reference)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.told(o, "")).To(Succeed())
		}
		Expect(c.read(r.ID).Refunded).To(Equal("7.00"))
		list, err := c.svc.handleRefunds(c.ctx, &byID{r.ID})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Data).To(HaveExactElements(And(HaveField("Reason", reasonElsewhere), HaveField("Actor", "provider"), HaveField("Status", "succeeded"))))
	})

	It("that bear the key of another program are booked once, however often they are heard of", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		reference := c.current(r.ID).attempt.Reference
		c.bank.does(reference, func(o *provider.Object) {
			o.Refunds = append(o.Refunds, provider.RefundObject{Reference: "re_theirs", Key: clock.NewID().String(), Amount: eur(2000), Status: "succeeded"})
		})
		for range 3 {
			c.hearsOf(reference)
		}
		Expect(c.read(r.ID).Refunded).To(Equal("20.00"))
		Expect(c.books().Strays).To(BeEmpty())
	})

	It("of more than there is are for a person to look at, until there is so much, and keep nothing else from being believed", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		reference := c.current(r.ID).attempt.Reference
		c.bank.wrong(once("refund", deaf))
		asked, err := c.refund(r.ID, "", "damaged")
		Expect(err).NotTo(HaveOccurred())
		Expect(asked.Status).To(Equal("requested"))
		c.bank.does(reference, func(o *provider.Object) {
			o.Refunds = append(o.Refunds, provider.RefundObject{Reference: "re_dashboard", Amount: eur(2000), Status: "succeeded"})
			o.Disputes = []provider.DisputeObject{{Reference: "dp_1", Amount: eur(500), Status: "needs_response", Reason: "fraudulent", Withdrawn: eur(500)}}
		})
		c.hearsOf(reference)
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "0.00"), HaveField("Disputed", "5.00")))
		Expect(c.books().Strays).To(HaveExactElements(And(HaveField("Reference", "re_dashboard"), HaveField("Captured", "20.00"))))
		c.settles() // the provider refuses what was asked for
		c.hearsOf(reference)
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "20.00"), HaveField("Refunding", "0.00")))
		Expect(c.books().Strays).To(BeEmpty())
	})

	It("of more than there is are forgotten when they come to nothing", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		reference := c.current(r.ID).attempt.Reference
		for _, status := range []string{"pending", "failed"} {
			c.bank.does(reference, func(o *provider.Object) {
				o.Refunds = []provider.RefundObject{{Reference: "re_dashboard", Amount: eur(2600), Status: status}}
			})
			c.hearsOf(reference)
			Expect(c.books().Strays).To(HaveLen(map[string]int{"pending": 1}[status]))
		}
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "0.00"), HaveField("Refunding", "0.00")))
	})

	It("that are asked for again with the same key are the same, however their amount is written", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		w := refundWish{Once: clock.NewID(), Amount: "5", Reason: "damaged"}
		for _, amount := range []httpx.Decimal{"5", "5.0", "5.00"} {
			w.Amount = amount
			_, _, _, err := c.svc.refund(c.ctx, uuid.MustParse(r.ID), w)
			Expect(err).NotTo(HaveOccurred())
		}
		w.Amount = "5.01"
		_, _, _, err := c.svc.refund(c.ctx, uuid.MustParse(r.ID), w)
		Expect(err).To(MatchError(errOtherRefund))
		c.settles()
		Expect(c.read(r.ID).Refunded).To(Equal("5.00"))
	})
})

var _ = Describe("amounts", Label("db"), func() {
	It("are the currency's own, down to its last digit", func() {
		c := newCounter()
		for _, m := range []money.Amount{{Minor: 1000, Currency: money.JPY}, {Minor: 1, Currency: money.USD}, {Minor: 12345, Currency: "KWD"}, {Minor: 1<<62 + 7, Currency: money.EUR}} {
			r := c.paid(c.orders.owes(m, "ana"), "card")
			Expect([]string{r.Amount, r.Captured}).To(HaveEach(m.Decimal()))
			o, err := c.bank.Fetch(c.ctx, provider.Account{}, c.current(r.ID).attempt.Reference)
			Expect(err).NotTo(HaveOccurred())
			Expect(o.Captured).To(Equal(m))
			Expect(c.refund(r.ID, "", "damaged")).To(HaveField("Amount", m.Decimal()))
		}
		Expect(c.books().Balanced).To(BeTrue())
	})
})

var _ = Describe("the ledger", Label("db"), func() {
	var c *counter
	BeforeEach(func() {
		c = newCounter()
		c.paid(c.orders.owes(eur(2500), "ana"), "card")
	})

	DescribeTable("is never changed, not even by its owner", func(statement string) {
		for _, dsn := range []string{testkit.Shared().App, testkit.Shared().Owner, testkit.Shared().Super} {
			tx, err := testkit.SQL(dsn).Begin()
			Expect(err).NotTo(HaveOccurred())
			_, err = tx.Exec(`select set_config('app.tenant_id', $1, true)`, c.shop.String())
			Expect(err).NotTo(HaveOccurred())
			_, err = tx.Exec(statement)
			Expect(err).To(MatchError(Or(ContainSubstring("never changed"), ContainSubstring("permission denied"))))
			Expect(tx.Rollback()).To(Succeed())
		}
	},
		Entry(nil, `update payments.ledger_entry set amount_minor = amount_minor + 1`), Entry(nil, `delete from payments.ledger_entry`),
		Entry(nil, `update payments.ledger_transaction set kind = 'x'`), Entry(nil, `delete from payments.ledger_transaction`),
		Entry(nil, `truncate payments.ledger_entry`), Entry(nil, `truncate payments.ledger_transaction cascade`),
	)

	It("takes nothing that does not add up", func() {
		err := c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(c.ctx, `
				with t as (insert into payments.ledger_transaction (id, kind, source, payment_id, order_id, account_id, booked_at) values ($1, 'x', 'x', $1, $1, $1, now()) returning id)
				insert into payments.ledger_entry (transaction_id, position, account, currency, amount_minor)
				select t.id, e.position, 'sales', e.currency, e.amount from t, (values (1, 'EUR', 5), (2, 'USD', -5)) e(position, currency, amount)`, clock.NewID())
			return err
		})
		Expect(db.Violates(err, "ledger_balance")).To(BeTrue())
	})

	It("takes nothing twice", func() {
		p := posting{clock.NewID(), "capture", "ch_1@5", clock.NewID(), clock.NewID(), clock.NewID(), eur(5), clearing, sales}
		book := func() error {
			p.ID = clock.NewID()
			return c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
				c.svc.store.book(tx, []posting{p})
				return nil
			})
		}
		Expect(book()).To(Succeed())
		Expect(db.Violates(book(), "ledger_once")).To(BeTrue())
	})

	It("adds up to the same, whatever of it was added up before", func() {
		for range 3 {
			c.paid(c.orders.owes(eur(1000), "ana"), "card")
		}
		balances := func() []string { return []string{c.balance("sales"), c.balance("clearing"), c.balance("fees")} }
		Expect(balances()).To(Equal([]string{"-55.00", "53.90", "1.10"}))
		for pieces, more := 0, true; more; pieces++ {
			more = c.tallies(2)
			Expect(balances()).To(Equal([]string{"-55.00", "53.90", "1.10"}))
			Expect(pieces).To(BeNumerically("<", 6))
		}
		Expect(c.asWritten(`select account || sum_minor from payments.tally order by account`)).To(Equal([]string{"clearing5390", "fees110", "sales-5500"}))
		c.paid(c.orders.owes(eur(1000), "ana"), "card")
		Expect(balances()).To(Equal([]string{"-65.00", "63.70", "1.30"}))
		Expect(c.tallies(100)).To(BeFalse())
		Expect(c.tallies(100)).To(BeFalse())
		Expect(balances()).To(Equal([]string{"-65.00", "63.70", "1.30"}))
	})

	It("leaves out what may still be written when it is added up", func() {
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			_, err := c.svc.store.tally(c.ctx, tx, madeAt(tx.Now.Add(-tallyAfter)), 100)
			return err
		})).To(Succeed())
		Expect(c.asWritten(`select account from payments.tally`)).To(BeEmpty())
	})

	It("still shows a payment that says something else when it was added up long ago", func() {
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`update payments.payment set captured_minor = 2400 where tenant_id = $1`, c.shop)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.tallies(100)).To(BeFalse())
		differences := func() []differenceResponse {
			r, err := c.svc.handleReconciliation(c.ctx, &reconciliationInput{Minutes: 1})
			Expect(err).NotTo(HaveOccurred())
			return r.Differences
		}
		Expect(differences()).To(HaveExactElements(And(HaveField("What", "captured"), HaveField("Payment", "24.00"), HaveField("Ledger", "25.00"))))
		_, err = testkit.SQL(testkit.Shared().Super).Exec(`update payments.payment set captured_minor = 2500 where tenant_id = $1`, c.shop)
		Expect(err).NotTo(HaveOccurred())
		Expect(differences()).To(BeEmpty())
	})

	It("shows a payment that says something else", func() {
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`update payments.payment set captured_minor = 2400 where tenant_id = $1`, c.shop)
		Expect(err).NotTo(HaveOccurred())
		r, err := c.svc.handleReconciliation(c.ctx, &reconciliationInput{Minutes: 1})
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Differences).To(HaveExactElements(And(HaveField("What", "captured"), HaveField("Payment", "24.00"), HaveField("Ledger", "25.00"))))
		Expect(r.Balanced).To(BeTrue())
	})
})

// The rules without a database: whatever a provider tells, in whatever order.
var _ = Describe("what a charge becomes", func() {
	It("follows the money, never back, and every posting has two sides", func() {
		always(func(t *rapid.T, g Gomega) {
			total := rapid.Int64Range(1, 1<<40).Draw(t, "total")
			c := drafted(payable{OrderID: uuid.New(), Total: eur(total)}, account{ID: uuid.New()}, eur(total), wish{}, clock.System())
			ledger := map[string]int64{}
			phases := []provider.Phase{provider.NeedsMethod, provider.NeedsAction, provider.Processing, provider.Authorized, provider.Succeeded, provider.Refused, provider.Cancelled}
			for n := range rapid.IntRange(1, 30).Draw(t, "news") {
				o := provider.Object{
					Reference: "ch_1", Attempt: c.attempt.ID.String(), Phase: rapid.SampledFrom(phases).Draw(t, fmt.Sprint("phase ", n)), Amount: eur(total),
					Captured: eur(rapid.Int64Range(0, total).Draw(t, fmt.Sprint("captured ", n))), Fee: eur(rapid.Int64Range(0, 100).Draw(t, fmt.Sprint("fee ", n))),
				}
				before := c
				news, err := c.absorb(o)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(c.payment.Captured.Minor).To(BeNumerically(">=", before.payment.Captured.Minor))
				g.Expect(c.payment.Authorized.Minor).To(BeNumerically(">=", before.payment.Authorized.Minor))
				awaited := before.payment.Status != succeeded && c.payment.Captured.Minor < total && c.attempt.State == state(provider.Processing)
				switch {
				case c.payment.Captured.Minor > 0 && awaited:
					g.Expect(c.payment.Status).To(Equal(processing))
				case c.payment.Captured.Minor > 0:
					g.Expect(c.payment.Status).To(Equal(succeeded))
				}
				if before.attempt.State.over() && o.Captured.Minor <= before.attempt.Captured.Minor {
					g.Expect(c.attempt.State).To(Equal(before.attempt.State))
				}
				for _, p := range news.postings {
					g.Expect(p.Amount.Minor).To(BeNumerically(">", 0))
					ledger[p.Debit] += p.Amount.Minor
					ledger[p.Credit] -= p.Amount.Minor
				}
				again, err := c.absorb(o)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(again.postings).To(BeEmpty(), "what was heard once is booked once")
			}
			g.Expect(ledger[sales]).To(Equal(-c.payment.Captured.Minor))
			sum := int64(0)
			for _, m := range ledger {
				sum += m
			}
			g.Expect(sum).To(BeZero())
		})
	})

	It("is refused when it cannot be counted", func() {
		c := drafted(payable{OrderID: uuid.New(), Total: eur(5)}, account{ID: uuid.New()}, eur(5), wish{}, clock.System())
		c.payment.Captured = eur(1<<63 - 1)
		_, err := c.absorb(provider.Object{Reference: "ch_1", Phase: provider.Succeeded, Amount: eur(5), Captured: eur(5)})
		Expect(err).To(MatchError(money.ErrOverflow))
		_, err = dueOf(eur(5), []charge{{payment: payment{Captured: eur(5)}}}, true)
		Expect(err).To(MatchError(errPaid))
	})

	It("is to be paid anew when it went back before all was paid, and not afterwards", func() {
		part := charge{payment: payment{Captured: eur(400), Refunded: eur(300), Refunding: eur(100), Disputed: eur(0)}}
		Expect(dueOf(eur(1000), []charge{part}, false)).To(Equal(eur(1000)))
		Expect(dueOf(eur(1000), []charge{part}, true)).To(Equal(eur(600)))
	})
})

var _ = Describe("an account at a provider", Label("db"), func() {
	It("keeps its secrets to itself", func() {
		c := newCounter()
		a, err := c.svc.handleAccount(c.ctx, &byID{c.acc.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(a).To(And(HaveField("HasSecretKey", true), HaveField("HasWebhookSecrets", true), HaveField("Preferred", true), HaveField("WebhookPath", "/v1/payments/webhook/"+a.ID)))
		var found int
		Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select count(*) from payments.account a where position('sk_bank' in a::text) > 0 or position('whsec' in a::text) > 0`).Scan(&found)).To(Succeed())
		Expect(found).To(BeZero())
	})

	It("is preferred alone, stays as long as payments were made with it, and takes none when it is disabled", func() {
		c := newCounter()
		second := c.account(testName)
		in := &updateAccountInput{ID: second.ID.String()}
		in.Body.Preferred = new(true)
		Expect(c.svc.handleUpdateAccount(c.ctx, in)).To(HaveField("Preferred", true))
		all := &listAccountsInput{}
		all.Limit = 10
		list, err := c.svc.handleAccounts(c.ctx, all)
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Data).To(HaveExactElements(And(HaveField("Provider", "bank"), HaveField("Preferred", false)), And(HaveField("Provider", testName), HaveField("Preferred", true))))
		in2 := &payInput{}
		in2.Body = payBody{OrderID: c.orders.owes(eur(5), "ana"), Method: "pm_card_visa"}
		r, err := c.svc.handlePay(c.ctx, in2)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Provider).To(Equal(testName))
		Expect(c.svc.handleDeleteAccount(c.ctx, &deleteAccountInput{ID: second.ID.String()})).Error().To(MatchError(errAccountInUse))
		Expect(c.svc.handleDeleteAccount(c.ctx, &deleteAccountInput{ID: c.acc.ID.String()})).Error().NotTo(HaveOccurred())
		in.Body.Preferred, in.Body.Enabled = nil, new(false)
		Expect(c.svc.handleUpdateAccount(c.ctx, in)).To(HaveField("Enabled", false))
		in2.Body.OrderID = c.orders.owes(eur(5), "ana")
		Expect(c.svc.handlePay(c.ctx, in2)).Error().To(MatchError(errNoAccount))
	})

	It("by a provider that there is not is refused", func() {
		c := newCounter()
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			_, err := c.svc.addAccount(c.ctx, tx, account{Provider: "bitcoin"}, credentials{})
			return err
		})).To(MatchError(errNoProvider))
	})
})

var _ = Describe("a customer", Label("db"), func() {
	It("sees their own payments, gets to know all of them, and a guest's when the order is claimed", func() {
		c := newCounter()
		ana := uuid.NewString()
		mine, other := c.paid(c.orders.owes(eur(2500), ana), "card"), c.paid(c.orders.owes(eur(900), "guest"), "card")
		as := testkit.AsCustomer(c.shop, ana)
		list := func(ctx context.Context) []paymentResponse {
			in := &listInput{}
			in.Limit = 10
			page, err := c.svc.handleList(ctx, in)
			Expect(err).NotTo(HaveOccurred())
			return page.Data
		}
		Expect(list(as)).To(HaveExactElements(HaveField("ID", mine.ID)))
		Expect(list(c.ctx)).To(HaveExactElements(HaveField("ID", other.ID), HaveField("ID", mine.ID)))
		Expect(c.svc.handleGet(as, &getInput{ID: other.ID})).Error().To(MatchError(httpx.ErrNotFound))
		_, err := c.svc.handleRefunds(as, &byID{other.ID})
		Expect(err).To(MatchError(httpx.ErrNotFound))
		Expect(c.PersonalData(c.ctx, ana)).To(HaveLen(1))
		c.claims(uuid.MustParse(other.OrderID), ana)
		Expect(list(as)).To(HaveLen(2))
	})

	It("gets a guest's payments while those go on", func(ctx SpecContext) {
		c := newCounter()
		r := c.paid(c.orders.owes(eur(900), "guest"), "slow")
		at := c.current(r.ID).attempt.ID
		var tries atomic.Int64
		claimed := make(chan error, 1)
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			tries.Add(1)
			ch, _, err := c.svc.store.lockPayable(c.ctx, tx, payable{OrderID: uuid.MustParse(r.OrderID), CustomerID: "guest", Total: eur(900)})
			Expect(err).NotTo(HaveOccurred())
			go func() {
				claimed <- c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
					tries.Add(1)
					return c.svc.store.claim(c.ctx, tx, []string{ch.OrderID.String()}, []string{uuid.NewString()})
				})
			}()
			Eventually(func() (waiting bool) {
				Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`
					select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'payments.pay' and $1 = any(pg_blocking_pids(pid)))`, backend(c.ctx, tx)).Scan(&waiting)).To(Succeed())
				return waiting
			}).WithContext(ctx).Should(BeTrue())
			locked, err := c.svc.store.lockCharge(c.ctx, tx, at)
			if err != nil {
				return err
			}
			return c.svc.store.save(c.ctx, tx, locked)
		})).To(Succeed())
		Eventually(claimed).WithContext(ctx).Should(Receive(Succeed()))
		Expect(tries.Load()).To(BeEquivalentTo(2), "nobody had to give way")
		Expect(c.current(r.ID).payment.CustomerID).NotTo(Equal("guest"))
	}, SpecTimeout(time.Minute))
})

// tallies adds up a piece of the ledger, of whatever age. It tells whether there is more.
func (c *counter) tallies(piece int) (more bool) {
	GinkgoHelper()
	Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) (err error) {
		more, err = c.svc.store.tally(c.ctx, tx, clock.NewID(), piece)
		return err
	})).To(Succeed())
	return more
}

// backend is the process of PostgreSQL that a transaction runs in.
func backend(ctx context.Context, tx *db.Tx) (pid int) {
	GinkgoHelper()
	Expect(tx.Get(ctx, &pid, `select pg_backend_pid()`)).To(Succeed())
	return pid
}
