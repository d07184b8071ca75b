package stripesim_test

import (
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
)

const payment = basket + "&confirm=true&return_url=https://shop.example&payment_method=pm_card_visa"

var _ = Describe("an idempotency key at the simulator", func() {
	var s *stripe

	BeforeEach(func() { s = newStripe(stripesim.Options{Clock: newHands().now}) })

	It("gets the first answer again, whatever it was, for a day", func() {
		first := s.post("/v1/payment_intents", payment, "k1")
		again := s.post("/v1/payment_intents", payment, "k1")
		Expect(again.body).To(Equal(first.body))
		Expect(again.header.Get("Idempotent-Replayed")).To(Equal("true"))
		Expect(first.header.Get("Idempotent-Replayed")).To(BeEmpty())

		const declined = basket + "&confirm=true&return_url=https://shop.example&payment_method=pm_card_chargeDeclined"
		Expect(s.post("/v1/payment_intents", declined, "k2").status).To(Equal(http.StatusPaymentRequired))
		Expect(s.post("/v1/payment_intents", declined, "k2").header.Get("Idempotent-Replayed")).To(Equal("true"))
		Expect(rows(s.get("/v1/payment_intents", ""))).To(HaveLen(2))

		s.Advance(25 * time.Hour)
		Expect(s.post("/v1/payment_intents", payment, "k1").body["id"]).NotTo(Equal(first.body["id"]))
	})

	It("is refused for anything else", func() {
		s.post("/v1/payment_intents", payment, "k1")
		for _, other := range []reply{s.post("/v1/payment_intents", payment+"&description=x", "k1"), s.post("/v1/refunds", "payment_intent=pi_x", "k1")} {
			Expect(other.status).To(Equal(http.StatusBadRequest))
			Expect(problem(other.body)).To(HaveKeyWithValue("type", "idempotency_error"))
		}
		Expect(s.as("sk_test_boris").post("/v1/payment_intents", payment+"&description=x", "k1").status).To(Equal(http.StatusOK), "it is another account's")
	})

	It("remembers no call that never began", func() {
		Expect(s.post("/v1/payment_intents", "amount=1&currency=eur", "k1").status).To(Equal(http.StatusBadRequest))
		Expect(s.post("/v1/payment_intents", payment, "k1").status).To(Equal(http.StatusOK))
		s.Break(stripesim.Fault{Kind: stripesim.Busy, Times: 1})
		Expect(s.post("/v1/payment_intents", payment, "k2").status).To(Equal(http.StatusTooManyRequests))
		Expect(s.post("/v1/payment_intents", payment, "k2").status).To(Equal(http.StatusOK))
	})

	It("is in use while its call is made: of many at once one is made", func() {
		s.Break(stripesim.Fault{Kind: stripesim.Slow, Lasting: 200 * time.Millisecond, Times: 1})
		var together sync.WaitGroup
		answers := make([]int, 8)
		for n := range answers {
			together.Go(func() {
				defer GinkgoRecover()
				answers[n] = s.post("/v1/payment_intents", payment, "k1").status
			})
		}
		together.Wait()
		Expect(answers).To(ContainElement(http.StatusOK))
		Expect(answers).To(ContainElement(http.StatusConflict))
		Expect(answers).To(HaveEach(Or(Equal(http.StatusOK), Equal(http.StatusConflict))))
		Expect(rows(s.get("/v1/payment_intents", ""))).To(HaveLen(1))
		Expect(s.post("/v1/payment_intents", payment, "k1").header.Get("Idempotent-Replayed")).To(Equal("true"))
	})
})

var _ = Describe("what is broken at the simulator", func() {
	var s *stripe

	BeforeEach(func() { s = newStripe(stripesim.Options{Clock: newHands().now}) })

	charges := func() int { return len(s.Ledger("").Charges) }

	It("loses an answer after the money has moved; the key brings it back", func() {
		s.Break(stripesim.Fault{Kind: stripesim.Drop, Times: 1})
		_, err := s.send(http.MethodPost, "/v1/payment_intents", payment, "k1")
		Expect(err).To(HaveOccurred())
		Expect(charges()).To(Equal(1))
		Expect(s.post("/v1/payment_intents", payment, "k1").body).To(HaveKeyWithValue("status", "succeeded"))
		Expect(charges()).To(Equal(1))
	})

	It("answers 500 after the money has moved, and again to the same key: only looking helps", func() {
		s.Break(stripesim.Fault{Kind: stripesim.Fail, Times: 1})
		for range 2 {
			Expect(s.post("/v1/payment_intents", payment, "k1").status).To(Equal(http.StatusInternalServerError))
		}
		Expect(rows(s.get("/v1/payment_intents", ""))).To(ConsistOf(HaveKeyWithValue("status", "succeeded")))
		Expect(charges()).To(Equal(1))
	})

	DescribeTable("keeps who asks waiting, and moves the money all the same", func(kind string) {
		s.Break(stripesim.Fault{Kind: kind, Times: 1, Lasting: 100 * time.Millisecond})
		Expect(s.post("/v1/payment_intents", payment, "k1").status).To(Equal(http.StatusOK))
		Expect(charges()).To(Equal(1))
	},
		Entry("before", stripesim.Slow),
		Entry("afterwards", stripesim.Hang),
	)

	It("goes on with a slow call when who asked has gone", func() {
		s.Break(stripesim.Fault{Kind: stripesim.Slow, Times: 1, Lasting: 300 * time.Millisecond})
		gone := &http.Client{Timeout: 50 * time.Millisecond}
		r, err := http.NewRequest(http.MethodPost, s.server.URL+"/v1/payment_intents?"+payment, nil)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+s.key)
		_, err = gone.Do(r)
		Expect(err).To(HaveOccurred())
		Expect(charges()).To(BeZero())
		Eventually(charges).Should(Equal(1))
	})

	DescribeTable("moves nothing", func(kind string, status int) {
		s.Break(stripesim.Fault{Kind: kind, Times: 1})
		r, err := s.send(http.MethodPost, "/v1/payment_intents", payment, "k1")
		if status == 0 {
			Expect(err).To(HaveOccurred())
		} else {
			Expect(r.status).To(Equal(status))
		}
		Expect(charges()).To(BeZero())
		Expect(s.post("/v1/payment_intents", payment, "k1").status).To(Equal(http.StatusOK))
	},
		Entry("when it resets the connection", stripesim.Reset, 0),
		Entry("when it is busy", stripesim.Busy, http.StatusTooManyRequests),
		Entry("when somebody else has the object", stripesim.Locked, http.StatusTooManyRequests),
		Entry("when it is away", stripesim.Offline, http.StatusServiceUnavailable),
		Entry("when it does not do that", stripesim.Refuse, http.StatusBadRequest),
	)

	It("answers with what nobody can read", func() {
		s.Break(stripesim.Fault{Kind: stripesim.Garbage, Times: 1})
		_, err := s.send(http.MethodPost, "/v1/payment_intents", payment, "k1")
		Expect(err).To(MatchError(ContainSubstring("invalid character")))
		Expect(charges()).To(Equal(1))
	})

	It("is of some calls and some payments only", func() {
		s.Break(stripesim.Fault{Kind: stripesim.Busy, Call: "POST /v1/refunds", Metadata: map[string]string{"order": "1001"}})
		i := s.paid("pm_card_visa")
		other := s.post("/v1/payment_intents", "amount=500&currency=eur&metadata[order]=2002&confirm=true&return_url=https://shop.example&payment_method=pm_card_visa").body
		Expect(s.post("/v1/refunds", "payment_intent="+i["id"].(string)).status).To(Equal(http.StatusTooManyRequests))
		Expect(s.post("/v1/refunds", "payment_intent="+other["id"].(string)).status).To(Equal(http.StatusOK))
		s.Mend()
		Expect(s.post("/v1/refunds", "payment_intent="+i["id"].(string)).status).To(Equal(http.StatusOK))
	})

	It("can be asked for over HTTP, as can everything else", func() {
		Expect(s.control("/_sim/faults", `{"kind":"oops"}`).status).To(Equal(http.StatusBadRequest))
		Expect(s.control("/_sim/faults", `{"kind":"busy","call":"POST /v1/payment_intents","times":1}`).body["faults"]).To(HaveLen(1))
		Expect(s.pay("pm_card_visa").status).To(Equal(http.StatusTooManyRequests))
		i := s.paid("pm_card_authenticationRequired")
		Expect(problem(s.control("/_sim/payment_intents/"+i["id"].(string)+"/decide", `{"outcome":"perhaps"}`).body)).To(HaveKeyWithValue("param", "outcome"))
		Expect(s.control("/_sim/payment_intents/"+i["id"].(string)+"/decide", `{"outcome":"pass"}`).body).To(HaveKeyWithValue("status", "succeeded"))
		Expect(s.control("/_sim/payment_intents/"+i["id"].(string)+"/decide", `{"outcome":"dispute"}`).status).To(Equal(http.StatusOK))
		before := s.Now()
		Expect(s.control("/_sim/clock", `{"advance":"1h"}`).status).To(Equal(http.StatusOK))
		Expect(s.Now().Sub(before)).To(Equal(time.Hour))
		Expect(s.control("/_sim/chaos", `{"copies":3,"delay":"1s","early":true}`).status).To(Equal(http.StatusOK))
		Expect(s.control("/_sim/chaos", `{"delay":1}`).status).To(Equal(http.StatusBadRequest))

		answer, err := http.Get(s.server.URL + "/_sim/ledger")
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(HaveHTTPBody(MatchJSON(`{"charges":[{"account":"anna","paymentIntent":"` + i["id"].(string) + `","attempt":"a1","order":"1001","status":"succeeded","currency":"eur",
			"held":0,"captured":1299,"refunded":0,"disputed":1299,"fees":1545}],
			"orders":[{"account":"anna","order":"1001","currency":"eur","charges":1,"held":0,"captured":1299,"refunded":0}],
			"sums":[{"account":"anna","currency":"eur","charges":1,"held":0,"captured":1299,"refunded":0,"disputed":1299,"fees":1545,"balance":-1545}]}`)))
	})
})
