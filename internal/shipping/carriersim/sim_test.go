package carriersim_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/carriersim"
)

var _ = Describe("the simulator", func() {
	var b *bench

	BeforeEach(func() { b = newBench(trades[0], carriersim.Options{}) })

	tell := func(method, path, body string) (int, string) {
		GinkgoHelper()
		r, err := http.NewRequest(method, b.server.URL+path, strings.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		answer, err := http.DefaultClient.Do(r)
		Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		Expect(err).NotTo(HaveOccurred())
		return answer.StatusCode, string(said)
	}

	It("makes the same numbers for the same seed", func(ctx SpecContext) {
		number := func(seed uint64) string {
			return newBench(trades[0], carriersim.Options{Seed: seed}).bought(ctx, parcel()).TrackingNumber
		}
		Expect(number(7)).To(Equal(number(7)))
		Expect(number(7)).NotTo(Equal(number(8)))
	})

	It("keeps merchants and the two services apart", func(ctx SpecContext) {
		r := b.quoted(ctx, parcel())
		b.account.Key = "EZTKboris"
		_, err := b.Find(ctx, b.account, "k", r)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		b.account.Key = "shippo_test_anna"
		_, err = b.Rates(ctx, b.account, parcel())
		Expect(err).To(MatchError(carrier.ErrKeyRefused))
	})

	It("goes on with a slow purchase when who asked has gone, and lets nobody buy beside it at EasyPost", func(ctx SpecContext) {
		p := parcel()
		r := b.quoted(ctx, p)
		b.sim.Break(carriersim.Fault{Kind: carriersim.Slow, Call: trades[0].buying, Times: 1, Lasting: time.Second})
		hurried, done := context.WithTimeout(ctx, 200*time.Millisecond)
		defer done()
		_, err := b.Buy(hurried, b.account, p.Reference, r, carrier.PDF)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		_, err = b.Find(ctx, b.account, p.Reference, r)
		Expect(err).To(MatchError(carrier.ErrNoLabel), "it is not there yet, which is why nobody trusts this before the time is over")
		_, err = b.Buy(ctx, b.account, p.Reference, r, carrier.PDF)
		Expect(err).To(MatchError(ContainSubstring("IN_PROGRESS")))
		Eventually(b.sim.Labels).Should(HaveLen(1))
		Expect(b.Buy(ctx, b.account, p.Reference, r, carrier.PDF)).To(HaveField("TrackingNumber", b.sim.Labels()[0].TrackingNumber))
		Expect(b.sim.Labels()).To(HaveLen(1))
	})

	It("takes up webhooks again that nobody took", func(ctx SpecContext) {
		ears := listen()
		ears.answers(http.StatusInternalServerError)
		b = newBench(trades[0], carriersim.Options{EasyPostWebhook: ears.URL})
		b.bought(ctx, parcel())
		Eventually(ears.count).Should(Equal(1))
		ears.answers(http.StatusOK)
		b.sim.Advance(time.Minute)
		Eventually(ears.count).Should(Equal(2))
		Expect(ears.all()[0].body).To(Equal(ears.all()[1].body))
		Eventually(func() string { _, said := tell(http.MethodGet, "/_sim/webhooks", ""); return said }).Should(ContainSubstring(`"done": true`))
	})

	It("does over HTTP what it does in Go", func(ctx SpecContext) {
		l := b.bought(ctx, parcel())
		told := func(path, body string, status int, part string) {
			GinkgoHelper()
			code, said := tell(http.MethodPost, path, body)
			Expect(code).To(Equal(status), said)
			Expect(said).To(ContainSubstring(part))
		}
		told("/_sim/track", `{"trackingNumber":"`+l.TrackingNumber+`","status":"in_transit","place":"Coimbra","at":"2026-11-02T08:00:00Z"}`, 200, "in_transit")
		told("/_sim/track", `{"trackingNumber":"`+l.TrackingNumber+`","status":"teleported"}`, 400, "pre_transit, ")
		told("/_sim/track", `{"trackingNumber":"1","status":"in_transit"}`, 404, "NOT_FOUND")
		told("/_sim/track", `{"at":1}`, 400, "not the JSON of this call")
		told("/_sim/faults", `{"kind":"oops"}`, 400, "drop, fail")
		told("/_sim/faults", `{"kind":"busy","times":1,"for":"1s"}`, 200, `"kind": "busy"`)
		_, err := b.Rates(ctx, b.account, parcel())
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		told("/_sim/faults", `{"kind":"offline"}`, 200, `"met": 1`)
		code, said := tell(http.MethodDelete, "/_sim/faults", "")
		Expect(code).To(Equal(200))
		Expect(said).To(MatchJSON(`{"faults":[]}`))
		told("/_sim/chaos", `{"copies":3,"delay":"1s","shuffle":"5s","lost":50}`, 200, `"shuffle": "5s"`)
		told("/_sim/voids/"+l.TrackingNumber, `{"outcome":"voided"}`, 404, "being given back")
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Submitted))
		told("/_sim/voids/"+l.TrackingNumber, `{"outcome":"perhaps"}`, 400, "voided, rejected")
		told("/_sim/voids/"+l.TrackingNumber, `{"outcome":"voided"}`, 200, "voided")
		before := b.sim.Now()
		told("/_sim/clock", `{"advance":"-1h"}`, 400, "Say by how much")
		told("/_sim/clock", `{"advance":"1h"}`, 200, "now")
		Expect(b.sim.Now().Sub(before)).To(BeNumerically("~", time.Hour, time.Minute))
		_, ledger := tell(http.MethodGet, "/_sim/labels?trackingNumber="+l.TrackingNumber, "")
		Expect(ledger).To(And(ContainSubstring(`"void": "voided"`), ContainSubstring(`"cost": "7.67"`)))
		now, err := b.Track(ctx, b.account, l.Carrier, l.TrackingNumber)
		Expect(err).NotTo(HaveOccurred())
		Expect(now.Events).To(ContainElement(carrier.Event{Status: carrier.InTransit, Place: "Coimbra", At: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)}))
	})
})
