package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// fate of an order's payment: T-06 (a) to (h).
type fate struct {
	name   string
	card   string
	fault  string // of the simulator, at the first try to charge
	answer string // of the buyer at the bank
	early  bool   // its webhooks come before the answer to the call
}

const (
	good     = "pm_card_visa"
	asks     = "pm_card_authenticationRequired"
	declines = "pm_card_chargeDeclined"
)

func fates() []fate {
	return []fate{
		{name: "the answer is lost", card: good, fault: stripesim.Drop},
		{name: "500 after the charge", card: good, fault: stripesim.Fail},
		{name: "no answer for half a minute", card: good, fault: stripesim.Hang},
		{name: "half a minute until the charge", card: good, fault: stripesim.Slow},
		{name: "no answer that can be read", card: good, fault: stripesim.Garbage},
		{name: "busy", card: good, fault: stripesim.Busy},
		{name: "the bank asks, and the buyer agrees", card: asks, answer: "pass"},
		{name: "the bank asks, and the buyer refuses", card: asks, answer: "fail"},
		{name: "declined", card: declines},
		{name: "webhooks before the answer", card: good, early: true},
		{name: "nothing goes wrong but the program", card: good},
	}
}

// till is Stripe as the shop has it.
type till struct {
	*stripesim.Simulator
	server *httptest.Server
}

const stripeKey = "sk_test_lab"

func openTill() *till {
	GinkgoHelper()
	ctx, end := context.WithCancel(context.Background())
	sim := stripesim.New(ctx, stripesim.Options{Seed: uint64(GinkgoRandomSeed()), SearchLag: 5 * time.Second})
	t := &till{sim, httptest.NewServer(sim)}
	DeferCleanup(func() {
		end()
		t.server.CloseClientConnections()
		t.server.Close()
		sim.Close()
	})
	return t
}

// hired is the shop's account at Stripe.
type hired struct {
	ID          string `json:"id"`
	WebhookPath string `json:"webhookPath"`
	secret      string
}

// hireStripe gives the shop its account, and the account the shop's address.
func (s *shop) hireStripe(ctx context.Context, t *till) (account hired) {
	GinkgoHelper()
	made, err := s.customers.Ask(ctx, 0, load.Request{Key: "account", Method: http.MethodPost, Path: "/v1/payments/accounts", Body: map[string]any{"provider": "stripe", "secretKey": stripeKey}})
	Expect(err).NotTo(HaveOccurred())
	Expect(made.Status).To(Equal(http.StatusCreated), "%s", made.Raw)
	Expect(made.Read(&account)).To(Succeed())

	form := url.Values{"url": {s.URL + account.WebhookPath}, "enabled_events[]": {"*"}}
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, t.server.URL+"/v1/webhook_endpoints", strings.NewReader(form.Encode()))
	Expect(err).NotTo(HaveOccurred())
	ask.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ask.SetBasicAuth(stripeKey, "")
	answer, err := http.DefaultClient.Do(ask)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	var endpoint struct{ Secret string }
	Expect(json.NewDecoder(answer.Body).Decode(&endpoint)).To(Succeed())
	Expect(endpoint.Secret).To(HavePrefix("whsec_"))
	account.secret = endpoint.Secret
	s.believeIn(ctx, account, account.secret)
	return account
}

// believeIn has the shop know an account's webhooks by these secrets.
func (s *shop) believeIn(ctx context.Context, account hired, secrets ...string) {
	GinkgoHelper()
	changed, err := s.customers.Ask(ctx, 0, load.Request{Method: http.MethodPatch, Path: "/v1/payments/accounts/" + account.ID, Body: map[string]any{"webhookSecrets": secrets}})
	Expect(err).NotTo(HaveOccurred())
	Expect(changed.Status).To(Equal(http.StatusOK), "%s", changed.Raw)
}

// tell delivers a webhook as Stripe does; 0 means that there was no answer.
func (s *shop) tell(ctx context.Context, account hired, body, signature string) (status int) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+account.WebhookPath, strings.NewReader(body))
	if err != nil {
		return 0
	}
	ask.Header.Set("Content-Type", "application/json")
	ask.Header.Set("Stripe-Signature", signature)
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func signed(body, secret string) string { return stripesim.Sign([]byte(body), secret, time.Now()) }

func pay(key, order, card string) load.Request {
	return load.Request{Key: key, Method: http.MethodPost, Path: "/v1/payments", Body: map[string]any{
		"orderId": order, "method": card, "returnUrl": "https://shop.example/back",
	}}
}

var _ = Describe("payments by a provider that cannot be relied on", func() {
	// T-06: P6 P10. Amounts are the orders': one unit each of things with different prices.
	It("charge each order once and lose no cent, whatever becomes of answers, webhooks and the program", func(ctx SpecContext) {
		const products = 20
		orders := sized(66, 506)
		clients, kills := sized(16, 32), sized(2, 8)
		t := openTill()
		s := openShop(ctx, clients, "FUSION_PAYMENTS_STRIPE_URL="+t.server.URL)
		s.stock(ctx, products, int64(orders))
		s.hireStripe(ctx, t)

		all := fates()
		of, ids := map[string]fate{}, make([]string, 0, orders)
		c := s.openCrowd(ctx, clients, 4*orders)
		for n := range orders {
			c.ask(order(fmt.Sprintf("order-%d", n), line{sku(n % products), 1 + n%3}))
		}
		for _, a := range c.hear(ctx, orders) {
			Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
			id := s.believe(a)
			of[id] = all[len(ids)%len(all)]
			ids = append(ids, id)
			if kind := of[id].fault; kind != "" {
				t.Break(stripesim.Fault{Kind: kind, Call: "POST /v1/payment_intents", Metadata: map[string]string{"order": id}, Times: 1})
			}
		}
		s.settle(ctx, toEnd) // paid is what there is stock for

		failed := map[string]bool{} // as far as the buyer was told
		try := func(round string, card func(id string) string, meanwhile func()) {
			asked := 0
			for _, id := range ids {
				if with := card(id); with != "" {
					c.ask(pay(round+"-"+id, id, with))
					asked++
				}
			}
			meanwhile()
			for _, a := range c.hear(ctx, asked) {
				if !a.OK() { // it is paid already, or nobody knows yet
					Expect(a.Code()).To(Or(Equal("order_paid"), Equal("payment_in_progress")), "%s", a.Raw)
					continue
				}
				var said struct{ OrderID, Status string }
				Expect(a.Read(&said)).To(Succeed())
				failed[said.OrderID] = said.Status == "failed"
			}
		}

		first := func(early bool) func(id string) string {
			return func(id string) string {
				if of[id].early != early {
					return ""
				}
				return of[id].card
			}
		}
		// (e) needs all webhooks to be early.
		t.Unsettle(stripesim.Chaos{Early: true})
		try("early", first(true), func() {})
		// (f) for all others: three times, in any order, some of them ten minutes late.
		t.Unsettle(stripesim.Chaos{Copies: 3, Shuffle: 2 * time.Second, Late: 10 * time.Minute, LateOf: 100, Lost: 50})
		try("first", first(false), func() {
			for range kills { // (h)
				pass(ctx, between(s.rng, 500*time.Millisecond, 2*time.Second))
				s.inject(ctx, kill)
			}
		})
		for _, i := range t.waiting(ctx) {
			Expect(t.Decide(i.id, of[i.order].answer)).To(Succeed()) // (d)
		}
		// (g) the news of what failed before is still on its way. Whoever is told of a failure
		// tries again at once: if it was none, two charges show it.
		try("second", func(id string) string {
			if failed[id] || of[id].answer == "fail" || of[id].card == declines {
				return good
			}
			return ""
		}, func() {})

		t.Unsettle(stripesim.Chaos{})
		t.Advance(10 * time.Minute)
		Eventually(func(g Gomega) {
			s.hasten(ctx)
			for _, i := range t.waiting(ctx) { // the bank was asked later than others
				g.Expect(t.Decide(i.id, "pass")).To(Succeed())
			}
			g.Expect(s.count(`select count(*) from payments.attempt where state not in ('succeeded', 'failed', 'cancelled')`)).To(BeZero())
			g.Expect(s.count(`select count(*) from platform.timer where kind like 'payments.%' and kind <> 'payments.reconcile'`)).To(BeZero())
			g.Expect(s.count(`select count(distinct order_id) from payments.payment where status = 'succeeded'`)).To(Equal(orders))
		}).WithContext(ctx).WithTimeout(2 * toEnd).WithPolling(500 * time.Millisecond).Should(Succeed())
		c.close()
		s.settle(ctx, toEnd)

		ledger := t.Ledger("")
		Expect(ledger.Orders).To(HaveLen(orders), "every order is charged")
		Expect(ledger.Orders).To(HaveEach(And(HaveField("Charges", 1), HaveField("Held", int64(0)), HaveField("Refunded", int64(0)))), "and once")
		Expect(ledger.Sums).To(HaveLen(1))
		sum := ledger.Sums[0]
		Expect(s.count(`select sum(captured_minor) from payments.payment`)).To(BeEquivalentTo(sum.Captured))
		Expect(s.count(`select sum(total_minor) from orders.orders`)).To(BeEquivalentTo(sum.Captured))
		Expect(s.balance("sales")).To(BeEquivalentTo(-sum.Captured), "to the cent")
		Expect(s.balance("fees")).To(BeEquivalentTo(sum.Fees))
		Expect(s.balance("clearing")).To(BeEquivalentTo(sum.Balance))
		Expect(s.count(`select count(*) from payments.payment where status <> 'succeeded' and captured_minor > 0`)).To(BeZero(), "failed while charged")
		Expect(s.count(`select count(*) from orders.orders where status = 'paid' and payment_status = 'paid'`)).To(Equal(orders))
		Expect(s.count(`select count(*) from payments.stray`)).To(BeZero())
		for _, f := range t.Faults() {
			Expect(f.Met).To(Equal(1), "%s of %s did not happen: the spec has proven nothing of it", f.Kind, f.Metadata)
		}
		Expect(s.Faults().Kills).To(BeNumerically(">=", kills))
		s.mustBeSound(ctx, audit.Samples{})
	}, SpecTimeout(10*time.Minute))
})

var _ = Describe("webhooks of a provider", func() {
	// T-29: S10 P6.
	It("count once, from nobody but the provider, and are kept before they are answered", func(ctx SpecContext) {
		t := openTill()
		t.Unsettle(stripesim.Chaos{Lost: 1000}) // the spec delivers them itself
		s := openShop(ctx, 8, "FUSION_PAYMENTS_STRIPE_URL="+t.server.URL)
		s.stock(ctx, 1, 10)
		account := s.hireStripe(ctx, t)
		placed, err := s.customers.Ask(ctx, 0, order("order", line{sku(0), 1}))
		Expect(err).NotTo(HaveOccurred())
		begun, err := s.customers.Ask(ctx, 0, pay("pay", s.believe(placed), "pm_sim_debit"))
		Expect(err).NotTo(HaveOccurred())
		Expect(begun.Status).To(Equal(http.StatusCreated), "%s", begun.Raw)
		Expect(t.Decide(t.only(ctx), "pass")).To(Succeed())
		paid := t.event(ctx, "payment_intent.succeeded")
		kept := func() int { return s.count(`select count(*) from payments.notice`) }

		now := time.Now()
		for why, signature := range map[string]string{
			"none": "", "nonsense": "t=1,v1=zz", "of another secret": signed(paid, "whsec_other"), "of another body": signed(paid+" ", account.secret),
			"301 s old": stripesim.Sign([]byte(paid), account.secret, now.Add(-302*time.Second)), "of the future": stripesim.Sign([]byte(paid), account.secret, now.Add(time.Hour)),
		} {
			Expect(s.tell(ctx, account, paid, signature)).To(Equal(http.StatusBadRequest), why)
		}
		Expect(s.tell(ctx, account, strings.ReplaceAll(paid, `":`, `" :`), signed(paid, account.secret))).To(Equal(http.StatusBadRequest), "written anew")
		large := paid + strings.Repeat(" ", 256<<10+1-len(paid))
		Expect(s.tell(ctx, account, large, signed(large, account.secret))).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(kept()).To(BeZero())

		statuses := together(50, 20, func(int) int { return s.tell(ctx, account, paid, signed(paid, account.secret)) })
		Expect(statuses).To(And(HaveLen(1000), HaveEach(http.StatusOK)))
		Expect(kept()).To(Equal(1))
		Eventually(func() int { return s.count(`select count(*) from payments.payment where status = 'succeeded'`) }).WithTimeout(toEnd).Should(Equal(1))
		Expect(s.balance("sales")).To(BeEquivalentTo(-t.Ledger("").Sums[0].Captured))

		notice := func(id, about string) string {
			return fmt.Sprintf(`{"id":%q,"object":"event","type":"of.no.interest","data":{"object":{"id":%q,"object":"payment_intent"}}}`, id, about)
		}
		stranger, both := notice("evt_stranger", "pi_nobody"), notice("evt_both", "pi_nobody")
		Expect(s.tell(ctx, account, stranger, signed(stranger, account.secret))).To(Equal(http.StatusOK), "an unknown type, of an unknown payment")
		s.believeIn(ctx, account, "whsec_next", account.secret)
		_, second, _ := strings.Cut(signed(both, account.secret), ",")
		Expect(s.tell(ctx, account, both, signed(both, "whsec_other")+","+second)).To(Equal(http.StatusOK), "two signatures")
		Expect(s.tell(ctx, account, both, signed(both, "whsec_next"))).To(Equal(http.StatusOK), "the next secret")
		s.believeIn(ctx, account, "whsec_next")
		Expect(s.tell(ctx, account, both, signed(both, account.secret))).To(Equal(http.StatusBadRequest), "the former secret")

		// What is answered well while PostgreSQL goes down is there afterwards.
		var crashed sync.WaitGroup
		crashed.Go(func() { defer GinkgoRecover(); s.inject(ctx, crash) })
		answers := until(10, func() bool { return s.Faults().Crashes > 0 || ctx.Err() != nil }, func(n int) int {
			body := notice(fmt.Sprintf("evt_%d", n), "")
			return s.tell(ctx, account, body, signed(body, "whsec_next"))
		})
		crashed.Wait()
		Expect(answers).To(ContainElement(BeNumerically(">=", http.StatusInternalServerError)), "the crash was noticed")
		Expect(answers).To(HaveEach(Or(Equal(http.StatusOK), BeNumerically(">=", http.StatusInternalServerError))))
		for n, status := range answers {
			if status == http.StatusOK {
				Expect(s.count(`select count(*) from payments.notice where id = $1`, fmt.Sprintf("evt_%d", n))).To(Equal(1))
			}
		}
		Eventually(func() int { return s.count(`select count(*) from payments.notice where handled_at is null`) }).WithTimeout(toEnd).Should(BeZero())
		Expect(s.count(`select count(*) from payments.payment`)).To(Equal(1))
	}, SpecTimeout(5*time.Minute))
})

// together has so many do something so often at the same time, and tells what came of each.
func together(clients, times int, do func(n int) int) []int {
	results := make([]int, clients*times)
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for n := range times {
				results[client*times+n] = do(client*times + n)
			}
		})
	}
	all.Wait()
	return results
}

// until has so many do something at the same time, again and again until something is so, and once
// more, and tells what came of each.
func until(clients int, so func() bool, do func(n int) int) map[int]int {
	var all sync.WaitGroup
	var mu sync.Mutex
	var next atomic.Int64
	results := map[int]int{}
	for range clients {
		all.Go(func() {
			for last := false; !last; {
				last = so()
				n := int(next.Add(1))
				result := do(n)
				mu.Lock()
				results[n] = result
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return results
}

// only is the one payment that there is.
func (t *till) only(ctx context.Context) string {
	GinkgoHelper()
	list := t.list(ctx, "/v1/payment_intents")
	Expect(list).To(HaveLen(1))
	var i struct{ ID string }
	Expect(json.Unmarshal(list[0], &i)).To(Succeed())
	return i.ID
}

// event is the latest of a type, as it is delivered.
func (t *till) event(ctx context.Context, kind string) string {
	GinkgoHelper()
	list := t.list(ctx, "/v1/events?type="+kind)
	Expect(list).NotTo(BeEmpty())
	return string(list[0])
}

func (t *till) list(ctx context.Context, path string) []json.RawMessage {
	GinkgoHelper()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, t.server.URL+path, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	ask.SetBasicAuth(stripeKey, "")
	answer, err := http.DefaultClient.Do(ask)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	var page struct{ Data []json.RawMessage }
	Expect(json.NewDecoder(answer.Body).Decode(&page)).To(Succeed())
	return page.Data
}

// balance of an account of the ledger, debits less credits.
func (s *shop) balance(account string) int {
	GinkgoHelper()
	return s.count(`select coalesce(sum(amount_minor), 0) from payments.ledger_entry where account = $1`, account)
}

// hasten makes due what payments has put off: half a minute, and longer each time.
func (s *shop) hasten(ctx context.Context) {
	GinkgoHelper()
	_, err := s.db.ExecContext(ctx, `update platform.timer set due_at = now() where kind like 'payments.%' and due_at > now()`)
	Expect(err).NotTo(HaveOccurred())
}

type waitingPayment struct{ id, order string }

// waiting are the payments that a bank has asked its customer about.
func (t *till) waiting(ctx context.Context) (found []waitingPayment) {
	GinkgoHelper()
	const mostPages = 100
	after := ""
	for range mostPages {
		list := t.list(ctx, "/v1/payment_intents?limit=100"+after)
		for _, text := range list {
			var i struct {
				ID       string
				Status   string
				Metadata struct{ Order string }
			}
			Expect(json.Unmarshal(text, &i)).To(Succeed())
			if i.Status == "requires_action" {
				found = append(found, waitingPayment{i.ID, i.Metadata.Order})
			}
			after = "&starting_after=" + i.ID
		}
		if len(list) < 100 {
			break
		}
	}
	return found
}
