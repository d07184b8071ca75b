package stripe

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

var _ = Describe("a call of Stripe's that is not answered", func() {
	var b *bench

	BeforeEach(func() { b = newBench(stripesim.Options{SearchLag: time.Minute}) })

	charges := func() int { return len(b.sim.Ledger("").Charges) }

	DescribeTable("is unknown, never refused; the payment is found, and there is one", func(ctx SpecContext, kind string, happened, replays bool) {
		w := wish("pm_card_visa")
		b.sim.Break(stripesim.Fault{Kind: kind, Times: 1, Lasting: time.Second})
		hurried, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		defer stop()
		_, err := b.charge(hurried, w)
		Expect(err).To(MatchError(provider.ErrUnknownOutcome))
		_, declined := errors.AsType[*provider.Declined](err)
		Expect(declined).To(BeFalse())

		o, err := b.Find(ctx, b.account, w.Attempt, lately())
		if happened {
			Expect(err).NotTo(HaveOccurred())
			Expect(o).To(And(HaveField("Phase", provider.Succeeded), HaveField("Attempt", w.Attempt)))
		} else {
			Expect(err).To(MatchError(provider.ErrNoCharge))
		}
		if replays {
			Eventually(func() error { _, err = b.charge(ctx, w); return err }).Should(Succeed())
		} else {
			_, err = b.charge(ctx, w)
			Expect(err).To(MatchError(provider.ErrUnknownOutcome), "Stripe answers 500 to the same key for a day")
		}
		Expect(charges()).To(Equal(1))
	},
		Entry("when the connection is closed after the money has moved", stripesim.Drop, true, true),
		Entry("when it says 500 after the money has moved", stripesim.Fail, true, false),
		Entry("when it takes too long to answer", stripesim.Hang, true, true),
		Entry("when it takes too long to begin", stripesim.Slow, false, true),
		Entry("when it says what nobody can read", stripesim.Garbage, true, true),
		Entry("when the connection is reset before", stripesim.Reset, false, true),
		Entry("when it has no time", stripesim.Busy, false, true),
		Entry("when somebody else has the object", stripesim.Locked, false, true),
		Entry("when it is away", stripesim.Offline, false, true),
	)

	It("is unknown as well while another call with its key is going on, or when the key was for something else", func(ctx SpecContext) {
		w := wish("pm_card_visa")
		b.sim.Break(stripesim.Fault{Kind: stripesim.Slow, Times: 1, Lasting: time.Second})
		hurried, stop := context.WithTimeout(ctx, 200*time.Millisecond)
		defer stop()
		_, _ = b.charge(hurried, w)
		_, err := b.charge(ctx, w)
		Expect(err).To(And(MatchError(provider.ErrUnknownOutcome), MatchError(ContainSubstring("409 idempotency_key_in_use"))))
		Eventually(charges).Should(Equal(1))

		w.Amount = eur(1300)
		_, err = b.charge(ctx, w)
		Expect(err).To(MatchError(provider.ErrUnknownOutcome))
		Expect(charges()).To(Equal(1))
	})

	It("is unknown when nobody listens, and says nothing of what was sent", func(ctx SpecContext) {
		_, err := New("http://127.0.0.1:1", clock.System).Charge(ctx, b.account, "k", wish("pm_card_visa"))
		Expect(err).To(MatchError(provider.ErrUnknownOutcome))
		Expect(err.Error()).NotTo(Or(ContainSubstring("sk_test"), ContainSubstring("pm_card")))
	})

	It("is found among many, by search or before search knows it", func(ctx SpecContext) {
		for range 120 {
			b.charged(ctx, wish(""))
		}
		w := wish("pm_card_visa")
		o := b.charged(ctx, w)
		for range 120 {
			b.charged(ctx, wish(""))
		}
		Expect(b.Find(ctx, b.account, w.Attempt, lately())).To(Equal(o), "by the list")
		b.sim.Advance(3 * time.Hour)
		Expect(b.Find(ctx, b.account, w.Attempt, provider.Span{})).To(Equal(o), "by search")
	})

	It("is found by the list where Stripe refuses to search, as it does for merchants in India", func(ctx SpecContext) {
		b.sim.Advance(time.Hour)
		w := wish("pm_card_visa")
		made := provider.Span{From: b.sim.Now(), Until: b.sim.Now().Add(time.Minute)}
		o := b.charged(ctx, w)
		b.sim.Break(stripesim.Fault{Kind: stripesim.Refuse, Call: "GET /v1/payment_intents/search"})
		Expect(b.Find(ctx, b.account, w.Attempt, made)).To(Equal(o))
		_, err := b.Find(ctx, b.account, clock.NewID().String(), made)
		Expect(err).To(MatchError(provider.ErrNoCharge))
	})

	It("is not looked for among those of another time", func(ctx SpecContext) {
		before := b.sim.Now()
		b.sim.Advance(time.Hour)
		b.charged(ctx, wish(""))
		b.sim.Advance(time.Hour)
		lists := func(made provider.Span) error {
			b.sim.Mend()
			b.sim.Break(stripesim.Fault{Kind: stripesim.Offline, Call: "GET /v1/payment_intents"})
			_, err := b.Find(ctx, b.account, clock.NewID().String(), made)
			return err
		}
		Expect(lists(provider.Span{From: before, Until: before.Add(time.Minute)})).To(MatchError(provider.ErrUnknownOutcome), "search may not know it yet")
		Expect(lists(provider.Span{From: before.Add(-3 * time.Hour), Until: before.Add(-2 * time.Hour)})).To(MatchError(provider.ErrNoCharge), "search knows")
	})

	DescribeTable("is no refusal when a question is refused", func(ctx SpecContext, call string, ask func(ctx context.Context, reference string) error) {
		o := b.charged(ctx, wish("pm_card_visa"))
		Expect(b.sim.Decide(o.Reference, "dispute")).To(Succeed())
		b.sim.Break(stripesim.Fault{Kind: stripesim.Refuse, Call: call})
		err := ask(ctx, o.Reference)
		Expect(err).To(MatchError(provider.ErrUnknownOutcome))
		_, declined := errors.AsType[*provider.Declined](err)
		Expect(declined).To(BeFalse())
	},
		Entry("to fetch", "GET /v1/payment_intents/{id}", func(ctx context.Context, reference string) error {
			_, err := b.Fetch(ctx, b.account, reference)
			return err
		}),
		Entry("to list disputes", "GET /v1/disputes", func(ctx context.Context, reference string) error {
			_, err := b.Fetch(ctx, b.account, reference)
			return err
		}),
		Entry("to list payments", "GET /v1/payment_intents", func(ctx context.Context, _ string) error {
			_, err := b.Find(ctx, b.account, clock.NewID().String(), lately())
			return err
		}),
		Entry("to list events", "GET /v1/events", func(ctx context.Context, _ string) error {
			return b.Changed(ctx, b.account, lately(), func(string, provider.Object, error) error { return nil })
		}),
	)
})

var _ = Describe("what changed at Stripe", func() {
	It("is told once a payment: new ones, and older ones that something happened to", func(ctx SpecContext) {
		b := newBench(stripesim.Options{})
		refunded, quiet, disputed := b.charged(ctx, wish("pm_card_visa")), b.charged(ctx, wish("pm_card_visa")), b.charged(ctx, wish("pm_card_visa"))
		b.sim.Advance(time.Hour)
		since := b.sim.Now()
		b.sim.Advance(time.Minute)
		b.refunded(ctx, refunded.Reference, eur(100))
		b.refunded(ctx, refunded.Reference, eur(100))
		Expect(b.sim.Decide(disputed.Reference, "dispute")).To(Succeed())
		fresh := b.charged(ctx, wish("pm_card_visa"))
		waiting := b.charged(ctx, wish(""))
		until := b.sim.Now().Add(time.Minute)
		b.sim.Advance(2 * time.Minute)
		later := b.charged(ctx, wish("pm_card_visa"))
		b.refunded(ctx, quiet.Reference, eur(100))

		var told []string
		Expect(b.Changed(ctx, b.account, provider.Span{From: since, Until: until}, func(reference string, o provider.Object, err error) error {
			Expect(err).NotTo(HaveOccurred())
			Expect(reference).To(Equal(o.Reference))
			told = append(told, reference)
			switch o.Reference {
			case refunded.Reference:
				Expect(o.Refunds).To(HaveLen(2))
			case disputed.Reference:
				Expect(o.Disputes).To(HaveLen(1))
			}
			return nil
		})).To(Succeed())
		Expect(told).To(ConsistOf(refunded.Reference, disputed.Reference, fresh.Reference, waiting.Reference))
		Expect(told).NotTo(ContainElement(Or(Equal(quiet.Reference), Equal(later.Reference))))
	})

	It("is told of the others when one cannot be read, and not at all when nobody answers", func(ctx SpecContext) {
		b := newBench(stripesim.Options{})
		disputed, fine := b.charged(ctx, wish("pm_card_visa")), b.charged(ctx, wish("pm_card_visa"))
		Expect(b.sim.Decide(disputed.Reference, "dispute")).To(Succeed())
		told := map[string]error{}
		hear := func() error {
			clear(told)
			return b.Changed(ctx, b.account, lately(), func(reference string, _ provider.Object, err error) error { told[reference] = err; return nil })
		}
		b.sim.Break(stripesim.Fault{Kind: stripesim.Refuse, Call: "GET /v1/disputes"})
		Expect(hear()).To(Succeed())
		Expect(told).To(And(HaveKeyWithValue(fine.Reference, BeNil()), HaveKeyWithValue(disputed.Reference, MatchError(provider.ErrUnknownOutcome))))
		b.sim.Mend()
		b.sim.Break(stripesim.Fault{Kind: stripesim.Offline, Call: "GET /v1/disputes"})
		Expect(hear()).To(MatchError(provider.ErrUnknownOutcome))
		Expect(told).NotTo(HaveKey(disputed.Reference))
	})

	It("stops where who listens fails", func(ctx SpecContext) {
		b := newBench(stripesim.Options{})
		b.charged(ctx, wish("pm_card_visa"))
		b.charged(ctx, wish("pm_card_visa"))
		full, heard := errors.New("full"), 0
		Expect(b.Changed(ctx, b.account, lately(), func(string, provider.Object, error) error { heard++; return full })).To(MatchError(full))
		Expect(heard).To(Equal(1))
	})
})
