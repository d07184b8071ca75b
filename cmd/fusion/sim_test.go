package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
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
