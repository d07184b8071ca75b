package faults_test

import (
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

var _ = Describe("refunds and captures by a provider that cannot be relied on", func() {
	// T-06: P6 P7. No webhook comes, and the provider has forgotten its keys when it is asked again.
	It("move the money once, whatever becomes of the answers and of the program", func(ctx SpecContext) {
		broken := []string{"", stripesim.Fail, stripesim.Drop, stripesim.Garbage, stripesim.Busy, stripesim.Offline}
		fates := []struct {
			call, path string
			amount     string
			held       bool
		}{
			{"POST /v1/refunds", "refunds", "3.00", false},
			{"POST /v1/refunds", "refunds", "", false},
			{"POST /v1/payment_intents/{id}/capture", "capture", "4.00", true},
		}
		t := openTill()
		t.Unsettle(stripesim.Chaos{Lost: 1000})
		s := openShop(ctx, 8, "FUSION_PAYMENTS_STRIPE_URL="+t.server.URL)
		s.stock(ctx, 11, 1000)
		s.hireStripe(ctx, t)
		wanted := len(broken) * len(fates)
		c := s.openCrowd(ctx, 8, 4*wanted)

		var asks []load.Request
		for n, fault := range broken {
			for m, fate := range fates {
				key := fmt.Sprintf("%d-%d", n, m)
				c.ask(order("order-"+key, line{sku(10), 1})) // 11.10
				id := s.believe(c.hear(ctx, 1)[0])
				with := pay("pay-"+key, id, good)
				if fate.held {
					with.Body.(map[string]any)["capture"] = "manual"
				}
				c.ask(with)
				begun := c.hear(ctx, 1)[0]
				Expect(begun.Status).To(Equal(http.StatusCreated), "%s", begun.Raw)
				var made struct{ ID string }
				Expect(begun.Read(&made)).To(Succeed())
				if fault != "" {
					t.Break(stripesim.Fault{Kind: fault, Call: fate.call, Metadata: map[string]string{"order": id}, Times: 1})
				}
				body := map[string]any{}
				if fate.amount != "" {
					body["amount"] = fate.amount
				}
				if !fate.held {
					body["reason"] = "damaged"
				}
				asks = append(asks, load.Request{Key: fate.path + "-" + key, Method: http.MethodPost, Path: "/v1/payments/" + made.ID + "/" + fate.path, Body: body})
			}
		}
		for _, ask := range asks {
			c.ask(ask)
		}
		for _, a := range c.hear(ctx, wanted) {
			Expect(a.OK() || a.Code() == "payment_in_progress").To(BeTrue(), "%s", a.Raw)
		}
		c.close()
		for _, f := range t.Faults() {
			Expect(f.Met).To(Equal(1), "%s of %s did not happen: the spec has proven nothing of it", f.Kind, f.Metadata)
		}
		Expect(s.count(`select count(*) from payments.refund where status = 'requested'`)).To(BeNumerically(">", len(broken)))
		t.Advance(25 * time.Hour)
		s.inject(ctx, kill)

		Eventually(func(g Gomega) {
			s.hasten(ctx)
			g.Expect(s.count(`select count(*) from platform.timer where kind in ('payments.refund', 'payments.operation')`)).To(BeZero())
		}).WithContext(ctx).WithTimeout(2 * toEnd).WithPolling(500 * time.Millisecond).Should(Succeed())
		Expect(s.count(`select count(*) from payments.refund where status <> 'succeeded'`)).To(BeZero())
		Expect(s.count(`select count(*) from payments.operation where state <> 'done'`)).To(BeZero())

		each := len(broken)
		sum := t.Ledger("").Sums[0]
		Expect(sum.Refunded).To(BeEquivalentTo(each*300 + each*1110))
		Expect(sum.Captured).To(BeEquivalentTo(each*2*1110 + each*400))
		Expect(s.count(`select sum(refunded_minor) from payments.payment`)).To(BeEquivalentTo(sum.Refunded))
		Expect(s.count(`select sum(captured_minor) from payments.payment`)).To(BeEquivalentTo(sum.Captured))
		Expect(s.balance("sales")).To(BeEquivalentTo(sum.Refunded - sum.Captured))
		Expect(s.balance("refunds")).To(BeZero())
	}, SpecTimeout(10*time.Minute))
})
