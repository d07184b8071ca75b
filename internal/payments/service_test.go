package payments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/inhouse"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

// till stands in for the orders.
type till struct {
	mu     sync.Mutex
	orders map[uuid.UUID]ordersapi.Payable
	ticket string
}

func (t *till) Payable(_ context.Context, _ *db.Tx, order uuid.UUID, ticket string) (ordersapi.Payable, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.orders[order]
	p.Opened = p.Ticketed && ticket == t.ticket
	return p, ok, nil
}

// owes is a new order.
func (t *till) owes(total money.Amount, customer string) uuid.UUID {
	id := clock.NewID()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.orders[id] = ordersapi.Payable{OrderID: id.String(), CustomerID: customer, Total: total}
	return id
}

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "payments", Schemas: paymentsapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

// counter is the payments of one process, with its bank and its orders.
type counter struct {
	*Module
	svc    *service
	bank   *bank
	orders *till
	ctx    context.Context
	shop   uuid.UUID
	acc    account
}

// newCounter opens a shop that takes payments by the bank.
func newCounter() *counter {
	GinkgoHelper()
	c := &counter{bank: newBank(), orders: &till{orders: map[uuid.UUID]ordersapi.Payable{}, ticket: "fc_ct_right"}, shop: testkit.NewTenant(testkit.Shared())}
	log := event.NewLog()
	log.Check = contract().Check
	d := testkit.Open(testkit.Shared().App)
	c.Module = New(app.Kit{DB: d, Log: testkit.Log(), Events: log, Timers: timer.New(d, testkit.Log()), Clock: clock.System, Vault: testkit.Vault()}, c.orders, c.bank, inhouse.Test(d))
	c.svc = c.Module.svc
	c.ctx = testkit.As(c.shop)
	c.acc = c.account("bank", "whsec_one")
	return c
}

func (c *counter) account(name string, secrets ...string) (a account) {
	GinkgoHelper()
	key := "sk_" + name
	Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) (err error) {
		a, err = c.svc.addAccount(c.ctx, tx, account{Provider: name, Name: name, Enabled: true}, credentials{&key, &secrets})
		return err
	})).To(Succeed())
	return a
}

// pays asks for a payment as the API does.
func (c *counter) pays(order uuid.UUID, method string) (begunResponse, error) {
	in := &payInput{}
	in.Body = payBody{OrderID: order, Method: method}
	return c.svc.handlePay(c.ctx, in)
}

func (c *counter) paid(order uuid.UUID, method string) begunResponse {
	GinkgoHelper()
	r, err := c.pays(order, method)
	Expect(err).NotTo(HaveOccurred())
	return r
}

func (c *counter) holds(order uuid.UUID) begunResponse {
	GinkgoHelper()
	in := &payInput{}
	in.Body = payBody{OrderID: order, Method: "card", Capture: "manual"}
	r, err := c.svc.handlePay(c.ctx, in)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// transfers is a payment by bank transfer.
func (c *counter) transfers(order uuid.UUID) begunResponse {
	GinkgoHelper()
	in := &payInput{}
	in.Body = payBody{OrderID: order, Provider: manualName}
	r, err := c.svc.handlePay(c.ctx, in)
	Expect(err).NotTo(HaveOccurred())
	return r
}

// read is a payment as staff see it, of which nobody is asked.
func (c *counter) read(id string) paymentResponse {
	GinkgoHelper()
	r, err := c.svc.handleGet(c.ctx, &getInput{ID: id})
	Expect(err).NotTo(HaveOccurred())
	return r
}

func (c *counter) refund(id, amount, reason string) (refundResponse, error) {
	in := &refundInput{ID: id}
	in.Body = refundBody{Amount: httpx.Decimal(amount), Reason: reason}
	return c.svc.handleRefund(c.ctx, in)
}

// current is a payment with its latest attempt.
func (c *counter) current(id string) (ch charge) {
	GinkgoHelper()
	Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) (err error) {
		ch, err = c.svc.store.findPayment(c.ctx, tx, uuid.MustParse(id), "")
		return err
	})).To(Succeed())
	return ch
}

// told is that of a charge which the bank says now, with what it suspects.
func (c *counter) told(o provider.Object, warning string) error {
	var seen int64
	if err := c.svc.db.Read(c.ctx, func(tx *db.Tx) (err error) {
		seen, err = c.svc.store.versionOf(c.ctx, tx, c.acc.ID, o.Reference)
		return err
	}); err != nil {
		return err
	}
	return c.svc.hear(c.ctx, c.acc, o, seen, warning, nil)
}

// waiting are the errands of the shop, by kind.
func (c *counter) waiting() map[string][]string {
	GinkgoHelper()
	var rows []struct {
		Kind    string `db:"kind"`
		Subject string `db:"subject"`
	}
	Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) error {
		rows = nil
		return tx.Select(c.ctx, &rows, `select kind, subject from platform.timer where tenant_id = platform.current_tenant()`)
	})).To(Succeed())
	list := map[string][]string{}
	for _, r := range rows {
		list[r.Kind] = append(list[r.Kind], r.Subject)
	}
	return list
}

// settles runs all errands until none is left but those that wait for somebody else.
func (c *counter) settles() {
	GinkgoHelper()
	errands := map[string]timer.Errand{
		timerAttempt: c.svc.lookAfterAttempt, timerOperation: c.svc.lookAfterOperation, timerRefund: c.svc.lookAfterRefund, timerNotice: c.svc.lookAfterNotice,
	}
	for range 5 {
		left := 0
		for kind, subjects := range c.waiting() {
			for _, subject := range subjects {
				if kind == timerClose {
					Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
						c.svc.timers.Clear(tx, kind, subject)
						return c.svc.letGo(c.ctx, tx, subject)
					})).To(Succeed())
					continue
				}
				if errands[kind] == nil {
					continue
				}
				again, err := errands[kind](c.ctx, subject, 1)
				Expect(err).NotTo(HaveOccurred())
				if again > 0 {
					left++
					continue
				}
				Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
					c.svc.timers.Clear(tx, kind, subject)
					return nil
				})).To(Succeed())
			}
		}
		if left == 0 && len(c.waiting()) <= 1 { // the reconciler's
			return
		}
	}
}

// later lets time go by: what is kept is older then.
func (c *counter) later(d time.Duration) {
	GinkgoHelper()
	Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
		for table, columns := range map[string][]string{
			"account": {"created_at", "reconciled_at"}, "payable": {"closed_at"}, "attempt": {"created_at"}, "operation": {"created_at"}, "refund": {"created_at"},
		} {
			for _, column := range columns {
				if _, err := tx.Exec(c.ctx, fmt.Sprintf(`update payments.%s set %s = %[2]s - $1 * interval '1 second'`, table, column), d.Seconds()); err != nil {
					return err
				}
			}
		}
		return nil
	})).To(Succeed())
}

// cancelled tells that an order was called off.
func (c *counter) callsOff(orders ...uuid.UUID) {
	GinkgoHelper()
	var batch []event.Received[ordersapi.OrderCancelled]
	for _, o := range orders {
		p := c.orders.orders[o]
		batch = append(batch, event.Received[ordersapi.OrderCancelled]{Fact: ordersapi.OrderCancelled{Order: ordersapi.Order{
			OrderID: o.String(), CustomerID: p.CustomerID, Total: p.Total.Decimal(), Currency: string(p.Total.Currency),
		}}})
	}
	Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error { return c.svc.onOrderCancelled(c.ctx, tx, batch) })).To(Succeed())
}

// callsOffSome tells that of an order only this is to be paid.
func (c *counter) callsOffSome(order uuid.UUID, due money.Amount) {
	GinkgoHelper()
	p := c.orders.orders[order]
	batch := []event.Received[ordersapi.ItemsCancelled]{{Fact: ordersapi.ItemsCancelled{Due: due.Decimal(), Order: ordersapi.Order{
		OrderID: order.String(), CustomerID: p.CustomerID, Total: p.Total.Decimal(), Currency: string(p.Total.Currency),
	}}}}
	Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error { return c.svc.onItemsCancelled(c.ctx, tx, batch) })).To(Succeed())
}

// hearsOf has a charge fetched and taken in, as a webhook does.
func (c *counter) hearsOf(reference string) {
	GinkgoHelper()
	o, err := c.bank.Fetch(c.ctx, provider.Account{}, reference)
	Expect(err).NotTo(HaveOccurred())
	Expect(c.told(o, "")).To(Succeed())
}

// facts are what was published, as "type status captured refunded".
func (c *counter) facts() []string {
	GinkgoHelper()
	var rows []event.Envelope
	Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) error {
		rows = nil
		return tx.Select(c.ctx, &rows, `select type, sequence, data from platform.event where tenant_id = platform.current_tenant() order by seq`)
	})).To(Succeed())
	list := []string{}
	for _, f := range rows {
		var p paymentsapi.Payment
		Expect(json.Unmarshal(f.Data, &p)).To(Succeed())
		Expect(f.Sequence).To(Equal(p.Version))
		list = append(list, fmt.Sprintf("%s %s %s %s", f.Type, p.Status, p.Captured, p.Refunded))
	}
	return list
}

// books is the reconciliation, which must find nothing wrong with the ledger.
func (c *counter) books() reconciliationResponse {
	GinkgoHelper()
	r, err := c.svc.handleReconciliation(c.ctx, &reconciliationInput{Minutes: 1})
	Expect(err).NotTo(HaveOccurred())
	Expect(r.Balanced).To(BeTrue())
	Expect(r.Differences).To(BeEmpty())
	return r
}

// balance of an account of the ledger in euro.
func (c *counter) balance(name string) string {
	GinkgoHelper()
	for _, b := range c.books().Ledger {
		if b.Account == name && b.Currency == "EUR" {
			return b.Balance
		}
	}
	return "0.00"
}

func message(n provider.Notice) []byte {
	body, err := json.Marshal(n)
	Expect(err).NotTo(HaveOccurred())
	return body
}

var _ = Describe("paying an order", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	It("takes the money, says so and books it", func() {
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		Expect(r).To(And(HaveField("Status", "succeeded"), HaveField("Captured", "25.00"), HaveField("Amount", "25.00"), HaveField("Provider", "bank"), HaveField("ClientSecret", "")))
		Expect(r.Location()).To(Equal("/v1/payments/" + r.ID))
		Expect(c.facts()).To(Equal([]string{"payment.created processing 0.00 0.00", "payment.succeeded succeeded 25.00 0.00"}))
		Expect(c.balance("sales")).To(Equal("-25.00"))
		Expect(c.balance("clearing")).To(Equal("24.50"))
		Expect(c.balance("fees")).To(Equal("0.50"))
		Expect(c.waiting()).NotTo(HaveKey(timerAttempt))
	})

	It("charges an order once, however often and at once it is asked to", func() {
		order := c.orders.owes(eur(2500), "ana")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				defer GinkgoRecover()
				if _, err := c.pays(order, "card"); err != nil {
					Expect(err).To(Or(MatchError(errPaid), MatchError(errInProgress)))
				}
			})
		}
		wg.Wait()
		minor, charges := c.bank.took()
		Expect([]any{minor, charges}).To(Equal([]any{int64(2500), 1}))
		Expect(c.pays(order, "card")).Error().To(MatchError(errPaid))
		Expect(c.balance("sales")).To(Equal("-25.00"))
	})

	It("tells a decline, and tries again with another card", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "no")
		Expect(r).To(And(HaveField("Status", "failed"), HaveField("Failure", &failure{"insufficient_funds", "Not enough."}), HaveField("Captured", "0.00")))
		again := c.paid(order, "card")
		Expect(again).To(And(HaveField("ID", r.ID), HaveField("Status", "succeeded"), HaveField("Failure", BeNil())))
		Expect(c.facts()).To(Equal([]string{
			"payment.created processing 0.00 0.00", "payment.failed failed 0.00 0.00", "payment.created processing 0.00 0.00", "payment.succeeded succeeded 25.00 0.00",
		}))
	})

	It("gives the buyer's page what it needs, goes on with that payment, and forgets it in the end", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "")
		Expect(r).To(And(HaveField("Status", "requires_payment_method"), HaveField("ClientSecret", HavePrefix("cs_"))))
		Expect(c.paid(order, "").ID).To(Equal(r.ID))
		Expect(c.read(r.ID).ClientSecret).To(BeEmpty(), "staff need none")
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		Expect(c.paid(order, "")).To(And(HaveField("ID", r.ID), HaveField("Status", "succeeded"), HaveField("ClientSecret", "")))
		Expect(c.current(r.ID).attempt.Secret).To(BeNil())
		Expect(c.bank.asked).To(Equal([]string{"charge"}))
	})

	It("cancels what waits for the buyer before something else is charged", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "3ds")
		Expect(r).To(And(HaveField("Status", "requires_action"), HaveField("NextAction", &nextAction{"redirect", "https://bank.example/3ds"})))
		Expect(c.paid(order, "card")).To(And(HaveField("ID", r.ID), HaveField("Status", "succeeded")))
		Expect(c.bank.asked).To(Equal([]string{"charge", "cancel", "charge"}))
		_, charges := c.bank.took()
		Expect(charges).To(Equal(1))
	})

	It("does not charge again what was paid while another card was chosen", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "3ds")
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		Expect(c.paid(order, "card")).To(And(HaveField("ID", r.ID), HaveField("Status", "succeeded")))
		Expect(c.bank.asked).To(Equal([]string{"charge"}))
	})

	It("is refused for an order that there is not, that is another's, that failed, or without an account", func() {
		Expect(c.pays(clock.NewID(), "card")).Error().To(MatchError(httpx.ErrNotFound))
		order := c.orders.owes(eur(2500), "ana")
		c.callsOff(order)
		Expect(c.pays(order, "card")).Error().To(MatchError(errNotPayable))
		customer := uuid.NewString()
		theirs := c.orders.owes(eur(2500), customer)
		c.ctx = testkit.AsCustomer(c.shop, uuid.NewString())
		Expect(c.pays(theirs, "card")).Error().To(MatchError(httpx.ErrNotFound))
		c.ctx = testkit.As(c.shop, permissionPay)
		Expect(c.pays(theirs, "card")).Error().To(MatchError(httpx.ErrNotFound))
		c.ctx = testkit.AsCustomer(c.shop, customer)
		Expect(c.paid(theirs, "card").Status).To(Equal("succeeded"))
		Expect(c.bank.asked).To(HaveLen(1))
		other := testkit.NewTenant(testkit.Shared())
		c.ctx = testkit.As(other)
		Expect(c.pays(c.orders.owes(eur(1), "ana"), "card")).Error().To(MatchError(errNoAccount))
	})

	It("asks a guest for the ticket of the order, and anybody else who has no part in it for nothing", func() {
		order := c.orders.owes(eur(2500), "guest-1")
		p := c.orders.orders[order]
		p.Ticketed = true
		c.orders.orders[order] = p
		c.ctx = testkit.As(c.shop, permissionPay)
		Expect(c.pays(order, "card")).Error().To(MatchError(httpx.ErrNotFound))
		in := &payInput{Ticket: "fc_ct_wrong"}
		in.Body = payBody{OrderID: order, Method: "card"}
		Expect(c.svc.handlePay(c.ctx, in)).Error().To(MatchError(httpx.ErrNotFound))
		in.Ticket = "fc_ct_right"
		r, err := c.svc.handlePay(c.ctx, in)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.svc.handleGet(c.ctx, &getInput{r.ID, ""})).Error().To(MatchError(httpx.ErrNotFound))
		Expect(c.svc.handleGet(c.ctx, &getInput{r.ID, "fc_ct_wrong"})).Error().To(MatchError(httpx.ErrNotFound))
		Expect(c.svc.handleGet(c.ctx, &getInput{r.ID, "fc_ct_right"})).To(HaveField("Status", "succeeded"))
		Expect(c.paid(c.orders.owes(eur(2500), "guest-2"), "card").Status).To(Equal("succeeded"), "an order without a ticket")
	})

	Describe("by hand", func() {
		It("holds first, and captures a part", func() {
			r := c.holds(c.orders.owes(eur(2500), "ana"))
			Expect(r).To(And(HaveField("Status", "authorized"), HaveField("Capturable", "25.00"), HaveField("Captured", "0.00")))
			Expect(c.svc.handleCapture(c.ctx, &amountInput{r.ID, &amountBody{"25.01"}})).Error().To(MatchError(errAmountTooLarge))
			Expect(c.svc.handleCapture(c.ctx, &amountInput{r.ID, &amountBody{"0"}})).Error().To(MatchError(httpx.ErrValidation()))
			Expect(c.svc.handleCapture(c.ctx, &amountInput{r.ID, &amountBody{"20"}})).To(And(
				HaveField("Status", "succeeded"), HaveField("Captured", "20.00"), HaveField("Authorized", "25.00"), HaveField("Capturable", "0.00")))
			Expect(c.svc.handleCapture(c.ctx, &amountInput{ID: r.ID})).Error().To(MatchError(errNotCapturable))
			Expect(c.balance("sales")).To(Equal("-20.00"))
			Expect(c.facts()).To(Equal([]string{
				"payment.created processing 0.00 0.00", "payment.authorized authorized 0.00 0.00", "payment.succeeded succeeded 20.00 0.00",
			}))
		})

		It("lets go of what is held", func() {
			r := c.holds(c.orders.owes(eur(2500), "ana"))
			Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).To(And(HaveField("Status", "cancelled"), HaveField("Capturable", "0.00")))
			Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).To(HaveField("Status", "cancelled"))
			Expect(c.bank.asked).To(Equal([]string{"charge", "cancel"}))
			Expect(c.facts()).To(ContainElement("payment.cancelled cancelled 0.00 0.00"))
			paid := c.paid(c.orders.owes(eur(1), "ana"), "card")
			Expect(c.svc.handleCancel(c.ctx, &byID{paid.ID})).Error().To(MatchError(errNotCancellable))
		})

		It("notes what arrives by bank transfer", func() {
			c.account(manualName)
			r := c.transfers(c.orders.owes(eur(2500), "ana"))
			Expect(r.Status).To(Equal("processing"))
			Expect(c.waiting()).NotTo(HaveKey(timerAttempt))
			Expect(c.handleReceived(c.ctx, &amountInput{r.ID, &amountBody{"10.00"}})).To(And(HaveField("Captured", "10.00"), HaveField("Status", "processing")))
			Expect(c.facts()).To(Equal([]string{"payment.created processing 0.00 0.00", "payment.received processing 10.00 0.00"}))
			Expect(c.handleReceived(c.ctx, &amountInput{ID: r.ID})).To(And(HaveField("Captured", "25.00"), HaveField("Status", "succeeded")))
			Expect(c.facts()).To(HaveLen(3))
			Expect(c.facts()[2]).To(Equal("payment.succeeded succeeded 25.00 0.00"))
			Expect(c.handleReceived(c.ctx, &amountInput{ID: r.ID})).Error().To(MatchError(httpx.ErrValidation()))
			Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).Error().To(MatchError(errNotCancellable))
			Expect(c.refund(r.ID, "", "returned")).To(HaveField("Status", "succeeded"))
			Expect(c.balance("sales")).To(Equal("0.00"))
			card := c.paid(c.orders.owes(eur(1), "ana"), "card")
			Expect(c.handleReceived(c.ctx, &amountInput{ID: card.ID})).Error().To(MatchError(errNotManual))
		})

		It("books money that comes by bank transfer for nothing, and notes that it has to go back", func() {
			c.account(manualName)
			order := c.orders.owes(eur(2500), "ana")
			r := c.transfers(order)
			Expect(c.handleReceived(c.ctx, &amountInput{r.ID, &amountBody{"26.00"}})).To(And(HaveField("Captured", "26.00"), HaveField("Refunding", "1.00")))
			c.settles()
			Expect(c.read(r.ID)).To(And(HaveField("Captured", "26.00"), HaveField("Refunded", "1.00"), HaveField("Refunding", "0.00")))
			off := c.orders.owes(eur(900), "ana")
			late := c.transfers(off)
			c.callsOff(off)
			c.settles()
			Expect(c.read(late.ID).Status).To(Equal("cancelled"))
			Expect(c.handleReceived(c.ctx, &amountInput{ID: late.ID})).To(And(HaveField("Captured", "9.00"), HaveField("Refunding", "9.00")))
			c.settles()
			Expect(c.read(late.ID)).To(And(HaveField("Captured", "9.00"), HaveField("Refunded", "9.00")))
			sweep := func() {
				Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error {
					_, err := c.svc.store.sweep(c.ctx, tx, 100)
					return err
				})).To(Succeed())
			}
			keyed := func() []string { return c.asWritten(`select reference from payments.inhouse where keys <> '{}'`) }
			sweep()
			Expect(keyed()).To(HaveLen(2))
			_, err := testkit.SQL(testkit.Shared().Super).Exec(`update payments.inhouse set changed_at = now() - interval '61 days' where tenant_id = $1`, c.shop)
			Expect(err).NotTo(HaveOccurred())
			sweep()
			Expect(keyed()).To(BeEmpty(), "nobody repeats those calls any more")
			Expect(c.balance("sales")).To(Equal("-25.00"))
		})

		It("ends a transfer of which a part has come, so that the rest is paid by card", func() {
			c.account(manualName)
			order := c.orders.owes(eur(2500), "ana")
			r := c.transfers(order)
			Expect(c.handleReceived(c.ctx, &amountInput{r.ID, &amountBody{"10.00"}})).To(HaveField("Captured", "10.00"))
			for range 2 {
				Expect(c.svc.handleCancel(c.ctx, &byID{r.ID})).To(And(HaveField("Captured", "10.00"), HaveField("Status", "succeeded")))
			}
			Expect(c.paid(order, "card")).To(And(HaveField("Amount", "15.00"), HaveField("Captured", "15.00")))
			Expect(c.pays(order, "card")).Error().To(MatchError(errPaid))
		})

		It("goes on with a transfer that a version was stopped over which asked in a transaction of its own", func() {
			c.account(manualName)
			order := c.orders.owes(eur(2500), "ana")
			var ch begun
			Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) (err error) {
				ch, err = c.svc.beginIn(c.ctx, tx, wish{Order: order, Provider: manualName})
				c.svc.timers.Set(tx, timerAttempt, ch.attempt.ID.String(), tx.Now)
				return err
			})).To(Succeed())
			id := ch.payment.ID.String()
			Expect(c.handleReceived(c.ctx, &amountInput{ID: id})).Error().To(MatchError(errInProgress))
			c.settles()
			Expect(c.waiting()).NotTo(HaveKey(timerAttempt), "people are slow, and nobody can be asked")
			Expect(c.handleReceived(c.ctx, &amountInput{ID: id})).To(HaveField("Captured", "25.00"))
		})

		It("tells a refusal again to who asks again", func() {
			r := c.holds(c.orders.owes(eur(2500), "ana"))
			c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Authorized = provider.Cancelled, zero(o.Amount) })
			key := clock.NewID()
			capture := func() error {
				_, _, err := c.svc.operate(c.ctx, func(tx *db.Tx) (op operation, ch charge, a account, err error) {
					if ch, err = c.svc.store.lockPayment(c.ctx, tx, uuid.MustParse(r.ID)); err == nil {
						op, err = c.svc.decide(c.ctx, tx, &ch, key, opCapture, "")
					}
					return op, ch, c.acc, err
				})
				return err
			}
			for range 2 {
				var refusal *fault.Error
				Expect(errors.As(capture(), &refusal)).To(BeTrue())
				Expect(refusal).To(MatchError(errRefused))
				Expect(refusal.Extra).To(HaveKeyWithValue("providerCode", "not_capturable"))
			}
		})
	})

	DescribeTable("by the test provider goes as its card says", func(method, status, code string) {
		c.account(testName)
		in := &payInput{}
		in.Body = payBody{OrderID: c.orders.owes(eur(2500), "ana"), Provider: testName, Method: method}
		r, err := c.svc.handlePay(c.ctx, in)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(status))
		if code != "" {
			Expect(r.Failure.Code).To(Equal(code))
		}
	},
		Entry(nil, "pm_card_visa", "succeeded", ""),
		Entry(nil, "pm_card_chargeDeclined", "failed", "card_declined"),
		Entry(nil, "pm_card_chargeDeclinedInsufficientFunds", "failed", "insufficient_funds"),
		Entry(nil, "pm_card_authenticationRequired", "requires_action", ""),
		Entry(nil, "tok_visa", "failed", "no_such_payment_method"),
		Entry(nil, "", "requires_payment_method", ""),
	)

	It("by the test provider has the buyer's bank ask", func() {
		c.account(testName)
		begin := func() begunResponse {
			in := &payInput{}
			in.Body = payBody{OrderID: c.orders.owes(eur(2500), "ana"), Provider: testName, Method: "pm_card_authenticationRequired"}
			r, err := c.svc.handlePay(c.ctx, in)
			Expect(err).NotTo(HaveOccurred())
			return r
		}
		answer := func(r begunResponse, outcome string) (paymentResponse, error) {
			in := &authenticateInput{ID: c.current(r.ID).attempt.ID.String()}
			Expect(r.NextAction.URL).To(Equal("/v1/payments/test/" + in.ID + "/authenticate"))
			in.Body.Outcome = outcome
			return c.handleAuthenticate(c.ctx, in)
		}
		yes, no := begin(), begin()
		Expect(answer(yes, "succeeded")).To(HaveField("Status", "succeeded"))
		Expect(answer(no, "failed")).To(And(HaveField("Status", "failed"), HaveField("Failure.Code", "authentication_failed")))
		Expect(answer(yes, "failed")).Error().To(MatchError(errNotWaiting))
		gone := begin()
		at := c.current(gone.ID).attempt
		Expect(inhouse.Test(c.svc.db).Cancel(c.ctx, provider.Account{}, "elsewhere", at.Reference)).To(HaveField("Phase", provider.Cancelled))
		Expect(answer(gone, "succeeded")).Error().To(MatchError(errRefused))
	})
})

var _ = Describe("what becomes of money whose order does not", Label("db"), func() {
	var c *counter
	BeforeEach(func() { c = newCounter() })

	It("goes back, once", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		c.callsOff(order)
		c.callsOff(order)
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "25.00"), HaveField("Refunding", "0.00")))
		Expect(c.bank.asked).To(Equal([]string{"charge", "refund"}))
		Expect(c.balance("sales")).To(Equal("0.00"))
		list, err := c.svc.handleRefunds(c.ctx, &byID{r.ID})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Data).To(HaveExactElements(HaveField("Reason", reasonCancelled)))
	})

	It("goes back when it arrives afterwards", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "slow")
		c.callsOff(order)
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		c.settles()
		minor, _ := c.bank.took()
		Expect(minor).To(BeZero())
		Expect(c.read(r.ID)).To(And(HaveField("Captured", "25.00"), HaveField("Refunded", "25.00")))
	})

	It("is not taken when the order was called off before anybody asked for it", func() {
		order := c.orders.owes(eur(2500), "ana")
		c.callsOff(order)
		Expect(c.pays(order, "card")).Error().To(MatchError(errNotPayable))
		Expect(c.bank.asked).To(BeEmpty())
	})

	It("is let go when it was only held", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.holds(order)
		c.callsOff(order)
		c.settles()
		Expect(c.read(r.ID).Status).To(Equal("cancelled"))
		Expect(c.svc.handleCapture(c.ctx, &amountInput{ID: r.ID})).Error().To(MatchError(errNotPayable))
	})

	It("goes back as far as the provider has not given it back already", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		c.bank.does(c.current(r.ID).attempt.Reference, func(o *provider.Object) {
			o.Refunds = append(o.Refunds, provider.RefundObject{Reference: "re_elsewhere", Amount: eur(2000), Status: "succeeded"})
		})
		c.callsOff(order)
		c.settles()
		minor, _ := c.bank.took()
		Expect(minor).To(BeZero())
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "25.00"), HaveField("Refunding", "0.00")))
		Expect(c.asWritten(`select reason || ' ' || status || ' ' || amount_minor from payments.refund order by created_at, amount_minor desc`)).To(Equal([]string{
			"order_cancelled failed 2500", "made_elsewhere succeeded 2000", "order_cancelled succeeded 500",
		}))
		Expect(c.undecided()).To(BeEmpty())
	})

	It("goes back but for what the buyer's bank has taken, and that when it is given back", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		reference := c.current(r.ID).attempt.Reference
		dispute := func(status string, withdrawn int64) {
			c.bank.does(reference, func(o *provider.Object) {
				o.Disputes = []provider.DisputeObject{{Reference: "dp_1", Amount: eur(1000), Status: status, Reason: "fraudulent", Withdrawn: eur(withdrawn)}}
			})
			c.hearsOf(reference)
		}
		dispute("needs_response", 1000)
		c.callsOff(order)
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "15.00"), HaveField("Disputed", "10.00")))
		dispute("won", 0)
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Refunded", "25.00"), HaveField("Disputed", "0.00")))
	})

	It("is left to a person when the provider has refused the same amount twice", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		c.bank.stubborn = true
		c.callsOff(order)
		c.settles()
		c.settles()
		Expect(c.bank.asked).To(Equal([]string{"charge"}))
		Expect(c.balance("refunds")).To(Equal("0.00"))
		Expect(c.asWritten(`select status from payments.refund`)).To(Equal([]string{"failed", "failed"}))
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`update payments.refund set created_at = created_at - interval '1 hour' where tenant_id = $1`, c.shop)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.undecided()).To(HaveLen(2))
		c.bank.stubborn = false
		Expect(c.refund(r.ID, "", "by hand")).To(HaveField("Status", "succeeded"))
		Expect(c.undecided()).To(BeEmpty())
	})

	It("goes back in part when a part of the order is called off, once for each part, in whatever order the news comes", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "card")
		c.callsOffSome(order, eur(1800))
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Captured", "25.00"), HaveField("Refunded", "7.00")))
		c.callsOffSome(order, eur(600))
		c.callsOffSome(order, eur(1200))
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Captured", "25.00"), HaveField("Refunded", "19.00"), HaveField("Refunding", "0.00")))
		c.callsOff(order)
		c.settles()
		minor, _ := c.bank.took()
		Expect(minor).To(BeZero())
	})

	It("is less from the start when a part of the order was called off before anybody paid", func() {
		order := c.orders.owes(eur(2500), "ana")
		c.callsOffSome(order, eur(1800))
		r := c.paid(order, "card")
		c.settles()
		Expect(c.read(r.ID)).To(And(HaveField("Amount", "18.00"), HaveField("Captured", "18.00"), HaveField("Refunded", "0.00")))
	})

	Describe("that was charged twice", func() {
		var (
			order uuid.UUID
			r     begunResponse
			first string // what the bank calls the charge of the attempt before
		)
		BeforeEach(func() {
			order = c.orders.owes(eur(2500), "ana")
			r = c.paid(order, "3ds")
			first = c.current(r.ID).attempt.Reference
			Expect(c.paid(order, "card").Status).To(Equal("succeeded"))
			c.bank.does(first, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		})

		It("goes back once while the order is open, from the charge that came too many", func() {
			c.hearsOf(first)
			c.settles()
			Expect(c.read(r.ID)).To(And(HaveField("Captured", "50.00"), HaveField("Refunded", "25.00"), HaveField("Refunding", "0.00")))
			c.bank.does(first, func(o *provider.Object) { Expect(o.Refunds).To(HaveExactElements(HaveField("Amount", eur(2500)))) })
			Expect(c.asWritten(`select reason from payments.refund`)).To(Equal([]string{reasonOverpaid}))
			c.hearsOf(first)
			c.settles()
			minor, _ := c.bank.took()
			Expect(minor).To(BeEquivalentTo(2500))
		})

		It("goes back from either charge when the order is called off", func() {
			c.bank.stubborn = true
			c.hearsOf(first)
			c.settles()
			Expect(c.asWritten(`select reason || ' ' || status from payments.refund`)).To(Equal([]string{"overpaid failed", "overpaid failed"}))
			c.bank.stubborn = false
			c.callsOff(order)
			c.settles()
			minor, _ := c.bank.took()
			Expect(minor).To(BeZero())
			Expect(c.read(r.ID)).To(And(HaveField("Captured", "50.00"), HaveField("Refunded", "50.00"), HaveField("Refunding", "0.00")))
		})

		It("is refunded by hand from the charge that has it", func() {
			c.hearsOf(first)
			c.settles() // what was too much
			Expect(c.refund(r.ID, "25.01", "returned")).Error().To(MatchError(errAmountTooLarge))
			Expect(c.refund(r.ID, "20.00", "returned")).To(HaveField("Status", "succeeded"))
			Expect(c.refund(r.ID, "", "returned")).To(And(HaveField("Status", "succeeded"), HaveField("Amount", "5.00")))
			minor, _ := c.bank.took()
			Expect(minor).To(BeZero())
		})
	})

	It("is refunded by hand also when a later attempt came to nothing", func() {
		order := c.orders.owes(eur(2500), "ana")
		r := c.paid(order, "3ds")
		first := c.current(r.ID).attempt.Reference
		Expect(c.paid(order, "no").Status).To(Equal("failed"))
		c.bank.does(first, func(o *provider.Object) { o.Phase, o.Captured = provider.Succeeded, o.Amount })
		c.hearsOf(first)
		Expect(c.refund(r.ID, "", "returned")).To(And(HaveField("Status", "succeeded"), HaveField("Amount", "25.00")))
	})
})

var _ = Describe("disputes and warnings", Label("db"), func() {
	It("are booked, end, and never begin again", func() {
		c := newCounter()
		r := c.paid(c.orders.owes(eur(2500), "ana"), "card")
		reference := c.current(r.ID).attempt.Reference
		hear := func(status string, withdrawn, fee int64) {
			c.bank.does(reference, func(o *provider.Object) {
				o.Disputes = []provider.DisputeObject{{Reference: "dp_1", Amount: eur(2500), Status: status, Reason: "fraudulent", Withdrawn: eur(withdrawn), Fee: eur(fee)}}
			})
			o, err := c.bank.Fetch(c.ctx, provider.Account{}, reference)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.told(o, "")).To(Succeed())
		}
		hear("needs_response", 2500, 1500)
		Expect(c.read(r.ID).Disputed).To(Equal("25.00"))
		Expect([]string{c.balance("disputes"), c.balance("clearing"), c.balance("fees")}).To(Equal([]string{"25.00", "-15.50", "15.50"}))
		hear("won", 0, 1500)
		Expect(c.read(r.ID).Disputed).To(Equal("0.00"))
		Expect(c.balance("disputes")).To(Equal("0.00"))
		hear("under_review", 2500, 1500)
		Expect(c.read(r.ID).Disputed).To(Equal("0.00"))
		Expect(c.facts()[2:]).To(Equal([]string{"payment.disputed succeeded 25.00 0.00", "payment.disputed succeeded 25.00 0.00"}))
		o, err := c.bank.Fetch(c.ctx, provider.Account{}, reference)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.told(o, "fraudulent")).To(Succeed())
		Expect(c.read(r.ID).Warning).To(Equal("fraudulent"))
	})
})

// asWritten is what the shop's rows say.
func (c *counter) asWritten(query string) (list []string) {
	GinkgoHelper()
	Expect(c.svc.db.Read(c.ctx, func(tx *db.Tx) error {
		list = nil
		return tx.Select(c.ctx, &list, query)
	})).To(Succeed())
	return list
}

// undecided is what the reconciliation shows of refunds that nobody tries any more.
func (c *counter) undecided() (list []string) {
	GinkgoHelper()
	for _, u := range c.books().Undecided {
		Expect(u.Kind).To(Equal("failed_refund"))
		list = append(list, u.ID)
	}
	return list
}

// claims tells that a guest's order is a customer's now.
func (c *counter) claims(order uuid.UUID, customer string) {
	GinkgoHelper()
	batch := []event.Received[ordersapi.OrderClaimed]{{Fact: ordersapi.OrderClaimed{Order: ordersapi.Order{OrderID: order.String(), CustomerID: customer}}}}
	Expect(c.svc.db.InTx(c.ctx, func(tx *db.Tx) error { return c.svc.onOrderClaimed(c.ctx, tx, batch) })).To(Succeed())
}
