package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/shipping/carriersim"
	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

var _ = Describe("a carrier that is not well", func() {
	// T-16, the rows of the carriers: P16. Nobody waits for a label: it is bought behind the
	// shipment, which is there at once.
	It("holds up nobody, and sells each parcel one label in the end", func(ctx SpecContext) {
		each := sized(6, 40)
		simulated, end := context.WithCancel(context.Background())
		sim := carriersim.New(simulated, carriersim.Options{Seed: uint64(GinkgoRandomSeed())})
		DeferCleanup(func() {
			end()
			sim.Close()
		})
		out := wireTo(sim)
		s := openShop(ctx, 8,
			"FUSION_PAYMENTS_TEST_PROVIDER=true", "FUSION_OUTBOUND_INSIDE=127.0.0.0/8",
			"FUSION_SHIPPING_EASYPOST_URL="+out.server.URL, "FUSION_SHIPPING_SHIPPO_URL="+out.server.URL)
		s.stock(ctx, 4, 100_000)

		asked := 0
		send := func(r load.Request) *load.Answer {
			GinkgoHelper()
			a, err := s.customers.Ask(ctx, 0, r)
			Expect(err).NotTo(HaveOccurred())
			return &a
		}
		ask := func(method, path string, body any) *load.Answer {
			GinkgoHelper()
			asked++
			return send(load.Request{Key: fmt.Sprint("carrier-", asked), Method: method, Path: path, Body: body})
		}
		Expect(ask(http.MethodPut, "/v1/shipping/settings", map[string]any{
			"sender": map[string]any{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"},
		}).Status).To(Equal(http.StatusOK))
		Expect(ask(http.MethodPost, "/v1/payments/accounts", map[string]any{"provider": "test"}).Status).To(Equal(http.StatusCreated))
		accounts := []string{}
		for provider, key := range map[string]string{"easypost": "EZTKfaults", "shippo": "shippo_test_faults"} {
			var a struct{ ID string }
			made := ask(http.MethodPost, "/v1/shipping/carriers", map[string]any{"provider": provider, "secretKey": key})
			Expect(made.Status).To(Equal(http.StatusCreated), "%s", made.Raw)
			Expect(made.Read(&a)).To(Succeed())
			accounts = append(accounts, a.ID)
		}

		sheet := &table{title: "T-16 carriers: browse, cart, order, ship, admin"}
		parcels := 0
		for _, m := range moods() {
			out.be(nil)
			ids := make([]string, 0, each)
			for n := range each {
				o := order(fmt.Sprint("carrier ", m.name, " ", n), line{sku(n % 4), 1})
				o.Body.(map[string]any)["shippingAddress"] = map[string]any{"name": "Ana", "line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"}
				made := send(o)
				Expect(made.Status).To(Equal(http.StatusCreated), "%s: %s", m.name, made.Raw)
				ids = append(ids, s.believe(*made))
			}
			Eventually(func() int { return s.count(`select count(*) from orders.orders where status = 'created'`) }).WithContext(ctx).WithTimeout(toEnd).Should(BeZero(), m.name)
			for _, id := range ids {
				Expect(send(pay("pay "+id, id, good)).Status).To(Equal(http.StatusCreated), m.name)
			}
			Eventually(func() int { return s.count(`select count(*) from orders.orders where status = 'paid'`) }).WithContext(ctx).WithTimeout(toEnd).Should(Equal(parcels+each), m.name)

			out.be(m.mood)
			for n, id := range ids {
				made := ask(http.MethodPost, "/v1/shipments", map[string]any{
					"orderId": id, "carrier": accounts[n%2], "parcel": map[string]any{"grams": 900, "length": 300, "width": 200, "height": 100},
				})
				Expect(made.Status).To(Equal(http.StatusCreated), "%s: %s", m.name, made.Raw)
			}
			parcels += each
			Expect(ask(http.MethodGet, "/v1/products", nil).Status).To(Equal(http.StatusOK), m.name)
			Expect(ask(http.MethodPost, "/v1/carts", map[string]any{"items": []any{map[string]any{"sku": sku(0), "quantity": 1}}}).Status).To(Equal(http.StatusCreated), m.name)
			accepted := send(order("carrier meanwhile "+m.name, line{sku(1), 1}))
			Expect(accepted.Status).To(Equal(http.StatusCreated), m.name)
			s.believe(*accepted)
			Expect(ask(http.MethodGet, "/v1/shipments", nil).Status).To(Equal(http.StatusOK), m.name)
			if m.mood != nil {
				Eventually(func() int64 { return out.met.Load() }).WithContext(ctx).WithTimeout(toEnd).Should(BeNumerically(">=", each), "%s has not happened: the spec has proven nothing of it", m.name)
			}
			sheet.row(m.name, fmt.Sprintf("200 201 201 201 200; %d of %d shipments made", len(ids), each))
		}
		out.be(nil)
		Eventually(func() int {
			// No call lasts so long: what has no answer by then is as old as it has to be.
			_, err := s.db.ExecContext(ctx, `update shipping.purchase set asked_at = asked_at - interval '1 hour' where asked_at between now() - interval '1 hour' and now() - interval '10 seconds'`)
			Expect(err).NotTo(HaveOccurred())
			_, err = s.db.ExecContext(ctx, `update platform.timer set due_at = now() where kind = 'shipping.buy-label' and due_at > now()`)
			Expect(err).NotTo(HaveOccurred())
			return s.count(`select count(*) from shipping.shipment where status = 'labelled'`)
		}).WithContext(ctx).WithTimeout(2 * toEnd).WithPolling(500 * time.Millisecond).Should(Equal(parcels))
		s.settle(ctx, toEnd)
		sold := map[string]int{}
		for _, l := range sim.Labels() {
			sold[l.TrackingNumber]++
		}
		Expect(sim.Labels()).To(HaveLen(parcels), "one label a parcel")
		Expect(sold).To(And(HaveLen(parcels), HaveEach(1)))
		Expect(s.count(`select count(distinct tracking_number) from shipping.shipment where status = 'labelled'`)).To(Equal(parcels))
		sheet.row("in the end", fmt.Sprintf("%d parcels, %d labels sold", parcels, len(sim.Labels())))
		sheet.report()
		s.mustBeSound(ctx, audit.Samples{})
	}, SpecTimeout(10*time.Minute))
})
