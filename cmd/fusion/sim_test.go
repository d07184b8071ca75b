package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	shippingcarrier "github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/easypost"
	"github.com/fusioncommerce/fusion/internal/shipping/shippo"
)

var _ = Describe("fusion sim stripe", func() {
	It("takes payments, sends webhooks, and stops when it is told to", func(ctx SpecContext) {
		heard := make(chan string, 10)
		shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header.Get("Stripe-Signature") }))
		DeferCleanup(shop.Close)
		running, stop := context.WithCancel(ctx)
		DeferCleanup(stop)
		addr, out := unusedAddress(), gbytes.NewBuffer()
		p := &program{stdout: out, stderr: GinkgoWriter}
		code := make(chan int, 1)
		go func() {
			code <- p.run(running, []string{"fusion", "sim", "stripe", "--addr", addr, "--webhook", shop.URL, "--secret", "whsec_x"})
		}()
		Eventually(out).Should(gbytes.Say("signed with whsec_x"))

		form := url.Values{"amount": {"1299"}, "currency": {"eur"}}
		ask, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/payment_intents", strings.NewReader(form.Encode()))
		Expect(err).NotTo(HaveOccurred())
		ask.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		ask.SetBasicAuth("sk_test_anna", "")
		answer, err := http.DefaultClient.Do(ask)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(And(HaveHTTPStatus(http.StatusOK), HaveHTTPBody(ContainSubstring(`"status":"requires_payment_method"`))))
		Eventually(heard).Should(Receive(HavePrefix("t=")))
		stop()
		Eventually(code).Should(Receive())
	})

	It("says that its address is taken", func() {
		taken := httptest.NewServer(http.NotFoundHandler())
		DeferCleanup(taken.Close)
		Expect(fusion(nil, "sim", "stripe", "--addr", taken.Listener.Addr().String()).err).To(ContainSubstring("another program listens on"))
	})
})

var _ = Describe("fusion sim carrier", func() {
	It("sells labels of both, sends webhooks, and stops when it is told to", func(ctx SpecContext) {
		heard := make(chan string, 10)
		shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			heard <- r.Header.Get("X-Hmac-Signature") + r.Header.Get("Shippo-Auth-Signature")
		}))
		DeferCleanup(shop.Close)
		running, stop := context.WithCancel(ctx)
		DeferCleanup(stop)
		addr, out := unusedAddress(), gbytes.NewBuffer()
		p := &program{stdout: out, stderr: GinkgoWriter}
		code := make(chan int, 1)
		go func() {
			code <- p.run(running, []string{"fusion", "sim", "carrier", "--addr", addr, "--easypost-webhook", shop.URL, "--shippo-webhook", shop.URL, "--secret", "whsec_x"})
		}()
		Eventually(out).Should(gbytes.Say("signed with whsec_x"))

		guard := outbound.New(outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		parcel := shippingcarrier.Consignment{
			From:   shippingcarrier.Address{Name: "Shop", Line1: "Rua das Flores 1", City: "Porto", Country: "PT"},
			To:     shippingcarrier.Address{Name: "Anna", Line1: "Avenida da Liberdade 2", City: "Lisboa", Country: "PT"},
			Parcel: shippingcarrier.Parcel{Grams: 500, Length: 100, Width: 100, Height: 100},
		}
		for _, c := range []struct {
			of             shippingcarrier.Carrier
			key, signature string
		}{
			{easypost.New("http://"+addr, guard), "EZTKanna", "hmac-sha256-hex="},
			{shippo.New("http://"+addr, guard), "shippo_test_anna", "t="},
		} {
			account := shippingcarrier.Account{Key: c.key}
			rates, err := c.of.Rates(ctx, account, parcel)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.of.Buy(ctx, account, "1001", rates[0], shippingcarrier.PDF)).To(HaveField("TrackingNumber", Not(BeEmpty())))
			Eventually(heard).Should(Receive(HavePrefix(c.signature)))
		}
		answer, err := http.Get("http://" + addr + "/_sim/labels")
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(HaveHTTPBody(And(ContainSubstring(`"api": "easypost"`), ContainSubstring(`"api": "shippo"`))))
		stop()
		Eventually(code).Should(Receive())
	})
})
