package carriersim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/carriersim"
)

const (
	// patience with one call: the simulator has done what it does long before.
	patience = 5 * time.Second
	soon     = 5 * time.Minute
)

var _ = Describe("a carrier", func() {
	for _, t := range trades {
		Describe(t.name, func() { behaves(t) })
	}
})

func behaves(t trade) {
	var b *bench

	BeforeEach(func() { b = newBench(t, carriersim.Options{}) })

	usd := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.USD} }

	It("says what a parcel would cost, and buys nothing by it", func(ctx SpecContext) {
		rates, err := b.Rates(ctx, b.account, parcel())
		Expect(err).NotTo(HaveOccurred())
		Expect(rates).To(HaveLen(3))
		Expect(rates[0]).To(And(HaveField("Carrier", "USPS"), HaveField("Service", Not(BeEmpty())), HaveField("Price", usd(512+3*85)), HaveField("Days", 5)))
		Expect(b.sim.Labels()).To(BeEmpty())
	})

	It("takes parcels across a border, with what customs ask", func(ctx SpecContext) {
		p := parcel()
		p.To.Country = "US"
		Expect(b.quoted(ctx, p).Price).To(Equal(usd(1450 + 3*480)))
		Expect(b.bought(ctx, p).Carrier).To(Equal("USPS"))
	})

	It("offers nothing where nobody goes", func(ctx SpecContext) {
		p := parcel()
		p.To.Line1 = "Nowhere 1"
		Expect(b.Rates(ctx, b.account, p)).To(BeEmpty())
	})

	It("sells a label, with its paper", func(ctx SpecContext) {
		for _, f := range []carrier.Format{carrier.PDF, carrier.ZPL} {
			p := parcel()
			r := b.quoted(ctx, p)
			l, err := b.Buy(ctx, b.account, p.Reference, r, f)
			Expect(err).NotTo(HaveOccurred())
			Expect(l).To(And(HaveField("Carrier", "USPS"), HaveField("Service", r.Service), HaveField("Cost", r.Price), HaveField("Format", f)))
			Expect(l.TrackingNumber).To(HavePrefix("94"))
			Expect(l.TrackingURL).To(ContainSubstring(l.TrackingNumber))
			Expect(string(l.Document)).To(And(ContainSubstring(l.TrackingNumber), HavePrefix(map[carrier.Format]string{carrier.PDF: "%PDF", carrier.ZPL: "^XA"}[f])))
		}
		Expect(b.sim.Labels()).To(HaveLen(2))
	})

	It("sells the same label again, never a second", func(ctx SpecContext) {
		p := parcel()
		r := b.quoted(ctx, p)
		_, err := b.Find(ctx, b.account, p.Reference, r)
		Expect(err).To(MatchError(carrier.ErrNoLabel))
		first, err := b.Buy(ctx, b.account, p.Reference, r, carrier.PDF)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.Buy(ctx, b.account, p.Reference, r, carrier.PDF)).To(Equal(first))
		Expect(b.Find(ctx, b.account, p.Reference, r)).To(Equal(first))
		Expect(b.sim.Labels()).To(HaveLen(1))
	})

	It("says why it takes no parcel, and sells nothing", func(ctx SpecContext) {
		p := parcel()
		p.To.Line1 = "Refused 1"
		r := b.quoted(ctx, p)
		_, err := b.Buy(ctx, b.account, p.Reference, r, carrier.PDF)
		no, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeTrue(), "%v", err)
		Expect(no).To(And(HaveField("Code", Not(BeEmpty())), HaveField("Message", ContainSubstring("does not take this parcel"))))
		Expect(err).NotTo(MatchError(carrier.ErrUnknownOutcome))
		Expect(b.sim.Labels()).To(BeEmpty())
		_, err = b.Find(ctx, b.account, p.Reference, r)
		Expect(err).To(MatchError(carrier.ErrNoLabel))
	})

	It("refuses a rate of nobody's", func(ctx SpecContext) {
		_, err := b.Buy(ctx, b.account, "k", carrier.Rate{Reference: "shp_x/rate_x"}, carrier.PDF)
		_, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeTrue(), "%v", err)
		_, err = b.Buy(ctx, b.account, "k", carrier.Rate{Reference: ""}, carrier.PDF)
		_, declined = errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeTrue(), "%v", err)
	})

	It("refuses a key that is wrong", func(ctx SpecContext) {
		b.account.Key = "live_secret"
		_, err := b.Rates(ctx, b.account, parcel())
		Expect(err).To(MatchError(carrier.ErrKeyRefused))
		Expect(err.Error()).NotTo(ContainSubstring("live_secret"))
	})

	DescribeTable("does not know what happened to a purchase", func(ctx SpecContext, kind string, sold bool) {
		p := parcel()
		r := b.quoted(ctx, p)
		b.sim.Break(carriersim.Fault{Kind: kind, Call: t.buying, Times: 1})
		hurried, done := context.WithTimeout(ctx, patience)
		defer done()
		_, err := b.Buy(hurried, b.account, p.Reference, r, carrier.PDF)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		if sold {
			Eventually(b.sim.Labels).Should(HaveLen(1))
			Expect(b.Find(ctx, b.account, p.Reference, r)).To(HaveField("TrackingNumber", b.sim.Labels()[0].TrackingNumber))
		} else {
			_, err = b.Find(ctx, b.account, p.Reference, r)
			Expect(err).To(MatchError(carrier.ErrNoLabel))
		}
		again, err := b.Buy(ctx, b.account, p.Reference, r, carrier.PDF)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.sim.Labels()).To(ConsistOf(HaveField("TrackingNumber", again.TrackingNumber)))
	},
		Entry("when the connection is closed after it", carriersim.Drop, true),
		Entry("when the answer is 500 after it", carriersim.Fail, true),
		Entry("when there is no answer after it", carriersim.Hang, true),
		Entry("when nobody can read the answer", carriersim.Garbage, true),
		Entry("when the connection is reset before it", carriersim.Reset, false),
		Entry("when the carrier is busy", carriersim.Busy, false),
		Entry("when the carrier is away", carriersim.Offline, false),
	)

	DescribeTable("decides nothing when it cannot say what was bought", func(ctx SpecContext, kind string) {
		p := parcel()
		r := b.quoted(ctx, p)
		b.sim.Break(carriersim.Fault{Kind: kind, Call: t.finding})
		_, err := b.Find(ctx, b.account, p.Reference, r)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		Expect(err).NotTo(MatchError(carrier.ErrNoLabel))
		_, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeFalse())
	},
		Entry("since it refuses to", carriersim.Refuse), Entry("since it is away", carriersim.Offline),
		Entry("since it says what nobody can read", carriersim.Garbage), Entry("since it closes the connection", carriersim.Drop),
	)

	It("sells one label for each of 500 that are bought at once, whatever becomes of the answers", func(ctx SpecContext) {
		const parcels = 500
		keys, rates := make([]string, parcels), make([]carrier.Rate, parcels)
		for n := range parcels {
			p := parcel()
			keys[n], rates[n] = p.Reference, b.quoted(ctx, p)
		}
		b.sim.Break(carriersim.Fault{Kind: carriersim.Hang, Call: t.buying, PerMille: 10})
		for _, kind := range []string{carriersim.Drop, carriersim.Fail, carriersim.Garbage, carriersim.Reset, carriersim.Busy} {
			b.sim.Break(carriersim.Fault{Kind: kind, Call: t.buying, PerMille: 200})
		}
		labels := make([]carrier.Label, parcels)
		var together sync.WaitGroup
		for n := range parcels {
			together.Go(func() {
				defer GinkgoRecover()
				l, err := b.insist(ctx, keys[n], rates[n], n%2 == 0)
				Expect(err).NotTo(HaveOccurred())
				labels[n] = l
			})
		}
		together.Wait()
		for _, f := range b.sim.Faults() {
			Expect(f.Met).To(BeNumerically(">", 0), "%s never happened", f.Kind)
		}
		sold := map[string]string{}
		for _, l := range b.sim.Labels() {
			Expect(sold).NotTo(HaveKey(l.Reference), "a second label of one parcel")
			sold[l.Reference] = l.TrackingNumber
		}
		Expect(sold).To(HaveLen(parcels))
		for n, l := range labels {
			Expect(sold[keys[n]]).To(Equal(l.TrackingNumber))
		}
	}, SpecTimeout(soon))

	It("takes a label back once, and says how that stands", func(ctx SpecContext) {
		l := b.bought(ctx, parcel())
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Submitted))
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Submitted))
		b.sim.Advance(time.Minute)
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Voided))
		Expect(b.sim.Labels()).To(ConsistOf(HaveField("Void", carrier.Voided)))
	})

	It("does not take a label back that was used", func(ctx SpecContext) {
		l := b.bought(ctx, parcel())
		Expect(b.sim.Track(l.TrackingNumber, carrier.Event{Status: carrier.InTransit})).To(Succeed())
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Submitted))
		b.sim.Advance(time.Minute)
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Rejected))
	})

	It("does not know what became of giving back when nobody answers", func(ctx SpecContext) {
		l := b.bought(ctx, parcel())
		b.sim.Break(carriersim.Fault{Kind: carriersim.Drop, Times: 1})
		_, err := b.Void(ctx, b.account, l.Reference)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Submitted))
	})

	DescribeTable("tells where a parcel is", func(ctx SpecContext, moved carrier.Status, told carrier.Status) {
		l := b.bought(ctx, parcel())
		made := b.sim.Now()
		Expect(b.Track(ctx, b.account, l.Carrier, l.TrackingNumber)).To(HaveField("Status", carrier.PreTransit))
		Expect(b.sim.Track(l.TrackingNumber, carrier.Event{Status: moved, Description: "Seen", Place: "Coimbra", At: made.Add(time.Hour)})).To(Succeed())
		now, err := b.Track(ctx, b.account, l.Carrier, l.TrackingNumber)
		Expect(err).NotTo(HaveOccurred())
		Expect(now.Status).To(Equal(told))
		Expect(now.Events[1]).To(Equal(carrier.Event{Status: told, Description: "Seen", Place: "Coimbra", At: made.Add(time.Hour)}))
		Expect(now.EstimatedDelivery).To(HaveValue(BeTemporally(">", made)))
	},
		Entry("on its way", carrier.InTransit, carrier.InTransit), Entry("in the van", carrier.OutForDelivery, carrier.OutForDelivery),
		Entry("with the buyer", carrier.Delivered, carrier.Delivered), Entry("waiting", carrier.AvailableForPickup, carrier.AvailableForPickup),
		Entry("in trouble", carrier.Exception, carrier.Exception), Entry("nowhere", carrier.Lost, carrier.Lost),
		Entry("on its way back", carrier.ReturnToSender, carrier.ReturnToSender), Entry("back, which neither tells from being on its way", carrier.Returned, carrier.ReturnToSender),
	)

	It("knows of no parcel that it has not sold", func(ctx SpecContext) {
		_, err := b.Track(ctx, b.account, "USPS", "9400000000000000000000")
		Expect(err).To(MatchError(carrier.ErrNoTracking))
	})

	It("tells by webhooks what it tells when it is asked, late, thrice and in any order", func(ctx SpecContext) {
		ears := listen()
		b = newBench(t, carriersim.Options{
			EasyPostWebhook: ears.URL, ShippoWebhook: ears.URL, Secret: "whsec_spec", Chaos: carriersim.Chaos{Copies: 3, Shuffle: 2 * time.Second},
		})
		l := b.bought(ctx, parcel())
		for n, s := range []carrier.Status{carrier.InTransit, carrier.InTransit, carrier.OutForDelivery, carrier.Exception, carrier.OutForDelivery, carrier.Delivered} {
			Expect(b.sim.Track(l.TrackingNumber, carrier.Event{Status: s, Place: fmt.Sprint(n), At: b.sim.Now().Add(time.Duration(n) * time.Hour)})).To(Succeed())
		}
		Eventually(ears.count).Should(Equal(3 * 7))
		var known carrier.Tracking
		ids := map[string]bool{}
		for _, m := range ears.all() {
			n, err := b.Notice(b.account, m.header, m.body, b.sim.Now())
			Expect(err).NotTo(HaveOccurred())
			Expect(n.Reference).To(Equal(l.Reference))
			Expect(n.TrackingNumber).To(Equal(l.TrackingNumber))
			ids[n.ID] = true
			if n.Tracking != nil {
				known = carrier.Merge(known, *n.Tracking)
			}
		}
		Expect(ids).To(HaveLen(7), "copies are one message")
		asked, err := b.Track(ctx, b.account, l.Carrier, l.TrackingNumber)
		Expect(err).NotTo(HaveOccurred())
		Expect(known).To(Equal(asked))
		Expect(known.Status).To(Equal(carrier.Delivered))
	})

	It("tells by a webhook when a label was taken back", func(ctx SpecContext) {
		ears := listen()
		b = newBench(t, carriersim.Options{EasyPostWebhook: ears.URL, ShippoWebhook: ears.URL, Secret: "whsec_spec"})
		l := b.bought(ctx, parcel())
		Expect(b.Void(ctx, b.account, l.Reference)).To(Equal(carrier.Submitted))
		Expect(b.sim.Decide(l.TrackingNumber, carrier.Voided)).To(Succeed())
		Eventually(func() (void carrier.VoidState) {
			for _, m := range ears.all() {
				n, err := b.Notice(b.account, m.header, m.body, b.sim.Now())
				Expect(err).NotTo(HaveOccurred())
				if n.Void != "" {
					Expect(n.Reference).To(Equal(l.Reference))
					void = n.Void
				}
			}
			return void
		}).Should(Equal(carrier.Voided))
	})

	It("is believed only when the signature is right", func() {
		body := []byte(`{"id":"evt_1","description":"batch.updated","event":"batch_created","result":{},"data":{}}`)
		now := b.sim.Now()
		signed := func(secret string, at time.Time) http.Header {
			h := http.Header{}
			carriersim.Sign(h, t.name, body, secret, at)
			return h
		}
		n, err := b.Notice(b.account, signed("whsec_spec", now), body, now)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(And(HaveField("Tracking", BeNil()), HaveField("Reference", BeEmpty()), HaveField("ID", Not(BeEmpty()))))

		refused := func(h http.Header, body []byte) {
			GinkgoHelper()
			_, err := b.Notice(b.account, h, body, now)
			Expect(err).To(MatchError(carrier.ErrSignature))
		}
		refused(http.Header{}, body)
		refused(signed("whsec_other", now), body)
		refused(signed("whsec_spec", now), append(body, ' '))
		b.account.WebhookSecrets = []string{""}
		refused(signed("", now), body)
		b.account.WebhookSecrets = []string{"whsec_new", "whsec_spec"}
		_, err = b.Notice(b.account, signed("whsec_spec", now), body, now)
		Expect(err).NotTo(HaveOccurred(), "while secrets change")
	})
}

// ears hear webhooks.
type ears struct {
	*httptest.Server
	mu     sync.Mutex
	heard  []message
	status int
}

type message struct {
	header http.Header
	body   []byte
}

func listen() *ears {
	e := &ears{status: http.StatusOK}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, message{r.Header, body})
		w.WriteHeader(e.status)
	}))
	DeferCleanup(e.Close)
	return e
}

func (e *ears) answers(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

func (e *ears) all() []message {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]message(nil), e.heard...)
}

func (e *ears) count() int { return len(e.all()) }
