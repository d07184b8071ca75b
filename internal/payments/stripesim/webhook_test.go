package stripesim_test

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
)

var _ = Describe("a webhook of the simulator", func() {
	const secret = "whsec_spec"
	var sh *shop

	BeforeEach(func() { sh = newShop() })

	It("is signed as Stripe's own library wants it, and says what the list of events says", func() {
		s := newStripe(stripesim.Options{Webhook: sh.URL, Secret: secret})
		s.paid("pm_card_visa")
		Eventually(sh.messages).Should(HaveLen(3))
		for _, m := range sh.messages() {
			e, err := webhook.ConstructEvent([]byte(m.body), m.signature, secret)
			Expect(err).NotTo(HaveOccurred())
			listed := s.get("/v1/events/"+e.ID, "")
			Expect(listed).To(Equal(m.event))
		}
		_, err := webhook.ConstructEvent([]byte(sh.messages()[0].body+" "), sh.messages()[0].signature, secret)
		Expect(err).To(HaveOccurred())
	})

	It("goes to the endpoints that an account has asked for, each with a secret of its own", func() {
		s := newStripe(stripesim.Options{})
		e := s.post("/v1/webhook_endpoints", "url="+sh.URL+"&enabled_events[]=payment_intent.*").body
		s.as("sk_test_boris").paid("pm_card_visa")
		s.paid("pm_card_visa")
		Eventually(sh.types).Should(ConsistOf("payment_intent.created", "payment_intent.succeeded"))
		m := sh.messages()[0]
		_, err := webhook.ConstructEvent([]byte(m.body), m.signature, e["secret"].(string))
		Expect(err).NotTo(HaveOccurred())
		Expect(rows(s.get("/v1/webhook_endpoints", ""))).To(ConsistOf(Not(HaveKey("secret"))))

		gone, err := s.send(http.MethodDelete, "/v1/webhook_endpoints/"+e["id"].(string), "", "")
		Expect(err).NotTo(HaveOccurred())
		Expect(gone.status).To(Equal(http.StatusOK))
		s.paid("pm_card_visa")
		Consistently(sh.types, "200ms").Should(HaveLen(2))
	})

	It("comes again until it is answered with 2xx", func() {
		s := newStripe(stripesim.Options{Webhook: sh.URL, Secret: secret})
		sh.answers(http.StatusInternalServerError)
		s.post("/v1/payment_intents", basket)
		Eventually(sh.types).Should(HaveLen(1))
		sh.answers(http.StatusOK)
		s.Advance(time.Minute)
		Eventually(sh.types).Should(HaveLen(2))
		s.Advance(24 * time.Hour)
		Consistently(sh.types, "200ms").Should(HaveLen(2))
		Expect(sh.messages()[0].body).To(Equal(sh.messages()[1].body))
	})

	It("may be there before the answer to the call that caused it", func() {
		s := newStripe(stripesim.Options{Webhook: sh.URL, Secret: secret, Chaos: stripesim.Chaos{Early: true}})
		s.paid("pm_card_visa")
		Expect(sh.types()).To(ConsistOf("payment_intent.created", "charge.succeeded", "payment_intent.succeeded"))
	})

	It("comes three times, in any order, late or never, the same for the same seed", func() {
		run := func(seed uint64) []string {
			sh := newShop()
			s := newStripe(stripesim.Options{Seed: seed, Clock: newHands().now, Webhook: sh.URL, Secret: secret, Chaos: stripesim.Chaos{Copies: 3, Shuffle: time.Minute, Lost: 100}})
			for range 10 {
				s.paid("pm_card_visa")
			}
			var order []string
			for range 60 {
				s.Advance(time.Second)
				Eventually(func() bool { return settled(s) }).Should(BeTrue())
			}
			for _, m := range sh.messages() {
				order = append(order, m.event["id"].(string))
			}
			return order
		}
		first := run(7)
		Expect(len(first)).To(And(BeNumerically("<", 90), BeNumerically(">", 60)), "of ninety a tenth is lost")
		Expect(run(7)).To(ConsistOf(first))
		inOrder := newStripe(stripesim.Options{Seed: 7, Clock: newHands().now})
		for range 10 {
			inOrder.paid("pm_card_visa")
		}
		var written []string
		for _, e := range rows(inOrder.get("/v1/events", "limit=100")) {
			written = append([]string{e["id"].(string)}, written...)
		}
		Expect(unique(first)).NotTo(Equal(written))
	})

	It("can be ten minutes late", func() {
		s := newStripe(stripesim.Options{Clock: newHands().now, Webhook: sh.URL, Secret: secret, Chaos: stripesim.Chaos{Late: 10 * time.Minute, LateOf: 1000}})
		s.post("/v1/payment_intents", basket)
		s.Advance(9 * time.Minute)
		Consistently(sh.types, "200ms").Should(BeEmpty())
		s.Advance(time.Minute)
		Eventually(sh.types).Should(HaveLen(1))
	})
})

// settled tells whether nothing is due any more.
func settled(s *stripe) bool {
	answer, err := http.Get(s.server.URL + "/_sim/webhooks")
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	var list struct {
		Webhooks []struct {
			Due  time.Time
			Done bool
		}
	}
	decode(answer, &list)
	for _, w := range list.Webhooks {
		if !w.Done && !w.Due.After(s.Now()) {
			return false
		}
	}
	return true
}

func unique(ids []string) (once []string) {
	seen := map[string]bool{}
	for _, id := range ids {
		if !seen[id] {
			once = append(once, id)
		}
		seen[id] = true
	}
	return once
}
