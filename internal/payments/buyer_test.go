package payments

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a buyer", Label("db"), func() {
	var (
		c           *counter
		ana         string
		buyer, page context.Context
	)
	BeforeEach(func() {
		c = newCounter()
		c.account(manualName)
		c.account(testName)
		ana = clock.NewID().String()
		buyer, page = testkit.AsCustomer(c.shop, ana), testkit.As(c.shop, identity.Storefront()...)
	})
	asks := func(ctx context.Context, order uuid.UUID, provider, method string) (begunResponse, error) {
		in := &payInput{}
		in.Body = payBody{OrderID: order, Provider: provider, Method: method}
		return c.svc.handlePay(ctx, in)
	}
	begins := func(ctx context.Context, order uuid.UUID, provider, method string) begunResponse {
		GinkgoHelper()
		r, err := asks(ctx, order, provider, method)
		Expect(err).NotTo(HaveOccurred())
		return r
	}

	Describe("who pays where nobody else has to be asked", func() {
		It("is answered at once, in nine round trips, and nothing is looked after", func() {
			for range 2 { // the accounts are read, the statements known
				begins(buyer, c.orders.owes(eur(2500), ana), testName, "pm_card_visa")
			}
			cost := &db.Cost{}
			Expect(begins(db.WithCost(buyer, cost), c.orders.owes(eur(2500), ana), testName, "pm_card_visa").Status).To(Equal("succeeded"))
			Expect(cost.RoundTrips()).To(BeEquivalentTo(9), "begin, the order's lock, the account, the payment, the charge, what others keep, what became of it, facts and ledger, commit")
			Expect(c.waiting()).NotTo(HaveKey(timerAttempt))
		})

		It("is looked after as long as their bank is asked", func() {
			r := begins(buyer, c.orders.owes(eur(2500), ana), testName, "pm_card_authenticationRequired")
			Expect(c.waiting()).To(HaveKeyWithValue(timerAttempt, []string{c.current(r.ID).attempt.ID.String()}))
		})

		It("has not begun anything when the answer could not be kept", func() {
			order, gone := c.orders.owes(eur(2500), ana), errors.New("gone")
			_, err := c.svc.pay(buyer, wish{Order: order, Provider: testName, Method: "pm_card_visa"}, func(*db.Tx, charge) error { return gone })
			Expect(err).To(MatchError(gone))
			Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) error {
				var n int
				if err := tx.Get(c.ctx, &n, `select (select count(*) from payments.payment) + (select count(*) from payments.inhouse) + (select count(*) from payments.ledger_transaction)`); err != nil {
					return err
				}
				Expect(n).To(BeZero())
				return nil
			})).To(Succeed())
			Expect(begins(buyer, order, testName, "pm_card_visa").Captured).To(Equal("25.00"))
		})
	})

	It("is told that there is no account when it was removed in this moment, and so is the provider", func() {
		gone := clock.NewID()
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			b, _, err := c.svc.store.lockPayable(c.ctx, tx, payable{OrderID: clock.NewID(), CustomerID: ana, Total: eur(2500)})
			if err != nil {
				return err
			}
			return c.svc.store.begin(c.ctx, tx, drafted(b, account{ID: gone, Provider: testName}, eur(2500), wish{}, tx.Now))
		})).To(MatchError(errNoAccount))
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			_, err := c.svc.store.insertNotice(c.ctx, tx, gone, provider.Notice{ID: "evt_1", Type: "x"})
			return err
		})).To(MatchError(httpx.ErrNotFound))
	})

	Describe("who has chosen to pay by bank transfer", func() {
		It("may pay otherwise as long as nothing has come", func() {
			order := c.orders.owes(eur(2500), ana)
			transfer := begins(buyer, order, manualName, "")
			Expect(begins(buyer, order, "", "")).To(HaveField("ID", transfer.ID), "nobody asks for something else")
			Expect(begins(buyer, order, testName, "pm_card_visa")).To(And(HaveField("Status", "succeeded"), HaveField("Captured", "25.00")))
			Expect(c.read(transfer.ID).Status).To(Equal("cancelled"))
			Expect(c.facts()).To(ContainElement("payment.cancelled cancelled 0.00 0.00"))
			Expect(c.handleReceived(c.ctx, &amountInput{ID: transfer.ID})).To(And(HaveField("Captured", "25.00"), HaveField("Refunding", "25.00")), "what comes all the same goes back")
		})

		It("waits for the rest when a part has come", func() {
			order := c.orders.owes(eur(2500), ana)
			transfer := begins(buyer, order, manualName, "")
			Expect(c.handleReceived(c.ctx, &amountInput{transfer.ID, &amountBody{"10.00"}})).To(HaveField("Captured", "10.00"))
			Expect(asks(buyer, order, testName, "pm_card_visa")).Error().To(MatchError(errInProgress))
			Expect(c.read(transfer.ID)).To(And(HaveField("Status", "processing"), HaveField("Captured", "10.00")))
		})

		It("may go back to it while another provider waits for them, and not once money is held", func() {
			order := c.orders.owes(eur(2500), ana)
			first := begins(buyer, order, testName, "pm_card_authenticationRequired")
			Expect(begins(buyer, order, manualName, "")).To(And(HaveField("Provider", manualName), HaveField("Status", "processing")))
			Expect(c.read(first.ID).Status).To(Equal("cancelled"))
			held := c.orders.owes(eur(2500), ana)
			c.holds(held)
			Expect(asks(buyer, held, manualName, "")).Error().To(MatchError(errInProgress))
		})
	})

	It("leaves it to the shop when money is captured", func() {
		b := payBody{Capture: "manual"}
		field := HaveExactElements(And(HaveField("Pointer", "/capture"), HaveField("Code", "staff_only")))
		Expect(b.CheckFor(page)).To(field)
		Expect(b.CheckFor(buyer)).To(field)
		Expect(b.CheckFor(testkit.As(c.shop, permissionWrite))).To(BeEmpty())
		Expect((&payBody{}).CheckFor(page)).To(BeEmpty())

		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			_, err := c.svc.addAccount(c.ctx, tx, account{Provider: testName, Enabled: true, Preferred: true, Capture: captureManual}, credentials{})
			return err
		})).To(Succeed())
		Expect(begins(buyer, c.orders.owes(eur(2500), ana), testName, "pm_card_visa")).To(And(HaveField("Status", "authorized"), HaveField("Capture", "manual"), HaveField("Captured", "0.00")))
		in := &payInput{}
		in.Body = payBody{OrderID: c.orders.owes(eur(2500), ana), Provider: testName, Method: "pm_card_visa", Capture: captureAutomatic}
		Expect(c.svc.handlePay(c.ctx, in)).To(And(HaveField("Status", "succeeded"), HaveField("Capture", "automatic")))
	})

	DescribeTable("is not told what their bank suspects", func(method, code, shown string) {
		order := c.orders.owes(eur(2500), ana)
		r := begins(buyer, order, testName, method)
		Expect(r.Failure).To(HaveValue(And(HaveField("Code", shown), HaveField("Message", Not(BeEmpty())))))
		Expect(c.svc.handleGet(buyer, &getInput{ID: r.ID})).To(HaveField("Failure.Code", shown))
		Expect(c.read(r.ID).Failure.Code).To(Equal(code))
	},
		Entry(nil, "pm_card_chargeDeclinedLostCard", "lost_card", "card_declined"),
		Entry(nil, "pm_card_chargeDeclinedFraudulent", "fraudulent", "card_declined"),
		Entry(nil, "pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", "insufficient_funds"),
	)

	It("is not told that their bank warns of fraud", func() {
		r := begins(buyer, c.orders.owes(eur(2500), ana), testName, "pm_card_visa")
		Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(c.ctx, `update payments.payment set warning = 'made_with_stolen_card' where id = $1`, r.ID)
			return err
		})).To(Succeed())
		Expect(c.read(r.ID).Warning).To(Equal("made_with_stolen_card"))
		Expect(c.svc.handleGet(buyer, &getInput{ID: r.ID})).To(HaveField("Warning", ""))
		in := &listInput{}
		in.Limit = 5
		mine, err := c.svc.handleList(buyer, in)
		Expect(err).NotTo(HaveOccurred())
		Expect(mine.Data).To(HaveExactElements(And(HaveField("ID", r.ID), HaveField("Warning", ""))))
	})

	It("may try twenty cards for an order, by whatever provider, and no more", func() {
		order := c.orders.owes(eur(2500), ana)
		begins(buyer, order, manualName, "")
		for n := range mostAttempts - 1 {
			Expect(begins(buyer, order, testName, "pm_card_chargeDeclined").Status).To(Equal("failed"), fmt.Sprint(n))
		}
		Expect(asks(buyer, order, testName, "pm_card_visa")).Error().To(MatchError(errTooMany))
		Expect(asks(c.ctx, order, manualName, "")).Error().To(MatchError(errTooMany))
		Expect(begins(buyer, c.orders.owes(eur(2500), ana), testName, "pm_card_visa").Status).To(Equal("succeeded"))
	})
})
