package stripe

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

var _ = Describe("a webhook of Stripe's", func() {
	const (
		secret = "whsec_current"
		former = "whsec_former"
		body   = `{"id":"evt_1","object":"event","api_version":"2019-01-01","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent"}}}`
	)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := New("", clock.System)
	account := provider.Account{WebhookSecrets: []string{secret, former}}
	signed := func(signature string) http.Header { return http.Header{"Stripe-Signature": {signature}} }
	read := func(body string) (provider.Notice, error) {
		return s.Notice(account, signed(stripesim.Sign([]byte(body), secret, now)), []byte(body), now)
	}

	It("says where to look, whatever version of the API it is written in", func() {
		Expect(read(body)).To(Equal(provider.Notice{ID: "evt_1", Type: "payment_intent.succeeded", Reference: "pi_1"}))
	})

	DescribeTable("is about the payment", func(object, reference, warning string) {
		n, err := read(`{"id":"evt_1","object":"event","type":"x","data":{"object":` + object + `}}`)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(Equal(provider.Notice{ID: "evt_1", Type: "x", Reference: reference, Warning: warning}))
	},
		Entry("of a charge", `{"id":"ch_1","object":"charge","payment_intent":"pi_1"}`, "pi_1", ""),
		Entry("of a charge that has it whole", `{"id":"ch_1","object":"charge","payment_intent":{"id":"pi_1"}}`, "pi_1", ""),
		Entry("of a refund", `{"id":"re_1","object":"refund","payment_intent":"pi_1"}`, "pi_1", ""),
		Entry("of a dispute", `{"id":"du_1","object":"dispute","payment_intent":"pi_1"}`, "pi_1", ""),
		Entry("of a warning", `{"id":"issfr_1","object":"radar.early_fraud_warning","payment_intent":"pi_1","fraud_type":"made_with_stolen_card"}`, "pi_1", "made_with_stolen_card"),
		Entry("of none", `{"id":"po_1","object":"payout"}`, "", ""),
		Entry("of none that we know of", `{"id":"ch_1","object":"charge","payment_intent":null}`, "", ""),
	)

	DescribeTable("is believed", func(signature string, at time.Time) {
		_, err := s.Notice(account, signed(signature), []byte(body), at)
		Expect(err).NotTo(HaveOccurred())
	},
		Entry("signed with the current secret", stripesim.Sign([]byte(body), secret, now), now),
		Entry("signed with the one before", stripesim.Sign([]byte(body), former, now), now),
		Entry("signed with both", stripesim.Sign([]byte(body), "whsec_other", now)+","+strings.Split(stripesim.Sign([]byte(body), secret, now), ",")[1], now),
		Entry("three hundred seconds old", stripesim.Sign([]byte(body), secret, now), now.Add(300*time.Second)),
		Entry("from a clock that is ahead", stripesim.Sign([]byte(body), secret, now), now.Add(-300*time.Second)),
	)

	DescribeTable("is refused", func(signature, body string, at time.Time) {
		_, err := s.Notice(account, signed(signature), []byte(body), at)
		Expect(err).To(MatchError(provider.ErrSignature))
	},
		Entry("without a signature", "", body, now),
		Entry("with nonsense for one", "t=x,v1=y", body, now),
		Entry("with a time and no signature", "t=1795348800", body, now),
		Entry("with the older scheme alone", strings.Replace(stripesim.Sign([]byte(body), secret, now), "v1=", "v0=", 1), body, now),
		Entry("signed by somebody else", stripesim.Sign([]byte(body), "whsec_other", now), body, now),
		Entry("signed with nothing", stripesim.Sign([]byte(body), "", now), body, now),
		Entry("with another body", stripesim.Sign([]byte(body), secret, now), strings.Replace(body, "pi_1", "pi_2", 1), now),
		Entry("written anew", stripesim.Sign([]byte(body), secret, now), strings.ReplaceAll(body, ":", ": "), now),
		Entry("301 seconds old", stripesim.Sign([]byte(body), secret, now), body, now.Add(301*time.Second)),
		Entry("from the future", stripesim.Sign([]byte(body), secret, now), body, now.Add(-301*time.Second)),
		Entry("old, with a newer time put before", "t=1795349400,"+stripesim.Sign([]byte(body), secret, now), body, now.Add(10*time.Minute)),
		Entry("old, with a newer time put after", stripesim.Sign([]byte(body), secret, now)+",t=1795349400", body, now.Add(10*time.Minute)),
	)

	It("is refused by who has no secrets, and by who has an empty one", func() {
		for _, secrets := range [][]string{nil, {""}} {
			_, err := s.Notice(provider.Account{WebhookSecrets: secrets}, signed(stripesim.Sign([]byte(body), "", now)), []byte(body), now)
			Expect(err).To(MatchError(provider.ErrSignature))
		}
	})

	DescribeTable("is an error, but of no signature, when nobody can read it", func(body string) {
		_, err := read(body)
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(provider.ErrSignature))
	},
		Entry("no JSON", `event`),
		Entry("no event", `{"object":"payment_intent"}`),
		Entry("an event of nothing", `{"id":"evt_1","object":"event"}`),
	)
})
