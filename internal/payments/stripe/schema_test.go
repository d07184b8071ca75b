package stripe

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	upstream "github.com/stripe/stripe-go/v85"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

// What our own simulator takes might be what only it takes: here Stripe's own program checks
// each call against Stripe's schema.
var _ = Describe("every call", Ordered, func() {
	var s *Stripe
	var answers *answers
	account := provider.Account{SecretKey: "sk_test_123"}

	BeforeAll(func(ctx SpecContext) {
		answers = noted(stripeMock(ctx))
		s = New(answers.URL, clock.System)
	}, NodeTimeout(soon))

	DescribeTable("is one that Stripe takes", func(ctx SpecContext, call func(SpecContext) error) {
		answers.all = nil
		err := call(ctx)
		Expect(answers.all).NotTo(BeEmpty())
		Expect(answers.all).To(HaveEach(http.StatusOK))
		// It repeats the id that it was sent where it was asked for the payment.
		Expect(err).To(Or(BeNil(), MatchError(ContainSubstring(`payment pi_123 has the status ""`))))
	},
		Entry("to charge a card", func(ctx SpecContext) error {
			w := wish("pm_card_visa")
			_, err := s.Charge(ctx, account, w.Attempt, w)
			return err
		}),
		Entry("to charge a card that nobody is sent back from", func(ctx SpecContext) error {
			w := wish("pm_card_visa")
			w.ReturnURL = ""
			_, err := s.Charge(ctx, account, w.Attempt, w)
			return err
		}),
		Entry("to hold money that a page asks for", func(ctx SpecContext) error {
			w := held("")
			_, err := s.Charge(ctx, account, w.Attempt, w)
			return err
		}),
		Entry("to capture", func(ctx SpecContext) error {
			_, err := s.Capture(ctx, account, "k", "pi_123", eur(1000))
			return err
		}),
		Entry("to cancel", func(ctx SpecContext) error {
			_, err := s.Cancel(ctx, account, "k", "pi_123")
			return err
		}),
		Entry("to refund", func(ctx SpecContext) error {
			_, err := s.Refund(ctx, account, "k", "pi_123", eur(1000), "order_cancelled")
			return err
		}),
		Entry("to refund for a reason of Stripe's", func(ctx SpecContext) error {
			_, err := s.Refund(ctx, account, "k", "pi_123", eur(1000), "requested_by_customer")
			return err
		}),
		Entry("to fetch", func(ctx SpecContext) error {
			_, err := s.Fetch(ctx, account, "pi_123")
			return err
		}),
		Entry("to find", func(ctx SpecContext) error {
			_, err := s.Find(ctx, account, clock.NewID().String(), provider.Span{From: clock.System(), Until: clock.System()})
			return err
		}),
		Entry("to hear what changed", func(ctx SpecContext) error {
			return s.Changed(ctx, account, provider.Span{From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, func(_ string, _ provider.Object, err error) error { return err })
		}),
		Entry("to list refunds and disputes", func(ctx SpecContext) error {
			i, err := s.at(account).V1PaymentIntents.Retrieve(ctx, "pi_123", wholeRetrieval())
			if err != nil {
				return err
			}
			i.LatestCharge.Disputed, i.LatestCharge.Refunds.HasMore = true, true
			_, err = s.complete(ctx, account, i)
			return err
		}),
	)

	It("is refused with a reason that Stripe does not know", func(ctx SpecContext) {
		_, err := s.at(account).V1Refunds.Create(ctx, &upstream.RefundCreateParams{PaymentIntent: new("pi_123"), Reason: new("order_cancelled")})
		Expect(trouble("refund", err)).To(BeAssignableToTypeOf(&provider.Declined{}))
	})
})

func wholeRetrieval() *upstream.PaymentIntentRetrieveParams {
	return &upstream.PaymentIntentRetrieveParams{Expand: wholeCharge("")}
}

// answers are the statuses of what another server answers.
type answers struct {
	*httptest.Server
	all []int
}

func noted(address string) *answers {
	GinkgoHelper()
	to, err := url.Parse(address)
	Expect(err).NotTo(HaveOccurred())
	a := &answers{}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		a.all = append(a.all, r.StatusCode)
		return nil
	}
	a.Server = httptest.NewServer(proxy)
	DeferCleanup(a.Close)
	return a
}

// stripeMock starts the program that scripts/ensure-stripe-mock.sh installs.
func stripeMock(ctx SpecContext) (address string) {
	GinkgoHelper()
	programs, err := filepath.Glob("../../../.bin/stripe-mock-*")
	Expect(err).NotTo(HaveOccurred())
	Expect(programs).NotTo(BeEmpty(), "there is no stripe-mock: run make stripe")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	at := ln.Addr().String()
	Expect(ln.Close()).To(Succeed())
	program := exec.Command(programs[len(programs)-1], "-http-addr", at)
	program.Stdout, program.Stderr = GinkgoWriter, GinkgoWriter
	Expect(program.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(program.Process.Kill()).To(Succeed())
		_ = program.Wait()
	})
	Eventually(ctx, func() error {
		r, err := http.Get("http://" + at)
		if err == nil {
			_ = r.Body.Close()
		}
		return err
	}).Should(Succeed())
	return "http://" + at
}
