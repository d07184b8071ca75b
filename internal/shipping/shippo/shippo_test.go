package shippo

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// upstreamOf answers by method and path; {url} in an answer is its own address.
func upstreamOf(answers map[string]string) (s *Shippo, asked func() map[string]string) {
	said := map[string]string{}
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.RequestURI()
		body, _ := io.ReadAll(r.Body)
		said[call] = string(body)
		answer, ok := answers[call]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"detail":"Not found."}`
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(answer, "{url}", server.URL))
	}))
	DeferCleanup(server.Close)
	guard := outbound.New(outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	return New(server.URL, guard), func() map[string]string { return said }
}

var (
	account = carrier.Account{Key: "shippo_test_anna"}
	price   = money.Amount{Minor: 790, Currency: money.USD}
	rateOf  = carrier.Rate{Reference: "r1", Carrier: "USPS", Service: "Priority Mail", Price: price}
)

const (
	buy  = "POST /transactions"
	list = "GET /transactions?rate=r1&results=100"
	sold = `{"object_id":"t1","status":"SUCCESS","metadata":"k","tracking_number":"94001","tracking_url_provider":"https://track.example/94001","label_url":"{url}/l.pdf",
		"label_file_type":"PDF_4x6","rate":{"any":"form"},"eta":null}`
)

func label(document string) carrier.Label {
	return carrier.Label{
		Reference: "t1", Carrier: "USPS", Service: "Priority Mail", TrackingNumber: "94001", TrackingURL: "https://track.example/94001", Cost: price,
		Document: []byte(document), Format: carrier.PDF,
	}
}

var _ = Describe("a purchase at Shippo", func() {
	It("carries our key", func(ctx SpecContext) {
		s, asked := upstreamOf(map[string]string{list: `{"results":[]}`, buy: sold, "GET /l.pdf": "%PDF-1"})
		Expect(s.Buy(ctx, account, "k", rateOf, carrier.PDF)).To(Equal(label("%PDF-1")))
		Expect(asked()[buy]).To(MatchJSON(`{"rate":"r1","metadata":"k","label_file_type":"PDF_4x6","async":false}`))
	})

	It("is not made again when it is there", func(ctx SpecContext) {
		s, asked := upstreamOf(map[string]string{list: `{"results":[` + sold + `]}`, "GET /l.pdf": "%PDF-1"})
		Expect(s.Buy(ctx, account, "k", rateOf, carrier.PDF)).To(Equal(label("%PDF-1")))
		Expect(asked()).NotTo(HaveKey(buy))
	})

	DescribeTable("is not made while nobody can say whether it was", func(ctx SpecContext, listed string) {
		s, asked := upstreamOf(map[string]string{list: listed, buy: sold})
		_, err := s.Buy(ctx, account, "k", rateOf, carrier.PDF)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		Expect(asked()).NotTo(HaveKey(buy))
	},
		Entry("since it is being made", `{"results":[{"object_id":"t1","status":"QUEUED","metadata":"k"}]}`),
		Entry("since it waits to be made", `{"results":[{"object_id":"t1","status":"WAITING","metadata":"k"}]}`),
		Entry("since the list is none", `{}`),
		Entry("since the list cannot be read", `<html>`),
	)

	It("is made when the one before failed, or was somebody else's", func(ctx SpecContext) {
		s, _ := upstreamOf(map[string]string{
			list: `{"results":[{"object_id":"t0","status":"ERROR","metadata":"k"},{"object_id":"t9","status":"SUCCESS","metadata":"other","tracking_number":"1","label_url":"{url}/x"}]}`,
			buy:  sold, "GET /l.pdf": "%PDF-1",
		})
		Expect(s.Buy(ctx, account, "k", rateOf, carrier.PDF)).To(Equal(label("%PDF-1")))
	})

	It("is unknown when it is answered before it is made", func(ctx SpecContext) {
		s, _ := upstreamOf(map[string]string{list: `{"results":[]}`, buy: `{"object_id":"t1","status":"QUEUED","metadata":"k","tracking_number":"","label_url":""}`})
		_, err := s.Buy(ctx, account, "k", rateOf, carrier.PDF)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
	})

	It("is refused with what the other carrier said", func(ctx SpecContext) {
		s, _ := upstreamOf(map[string]string{list: `{"results":[]}`, buy: `{"object_id":"t1","status":"ERROR","messages":[{"source":"UPS","code":"","text":"No such street."},{"text":"Sorry."}]}`})
		_, err := s.Buy(ctx, account, "k", rateOf, carrier.PDF)
		no, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeTrue())
		Expect(*no).To(Equal(carrier.Declined{Code: "TRANSACTION_ERROR", Message: "No such street. Sorry."}))
	})

	It("is a label all the same when its paper does not come", func(ctx SpecContext) {
		s, _ := upstreamOf(map[string]string{list: `{"results":[` + sold + `]}`})
		l, err := s.Find(ctx, account, "k", rateOf)
		Expect(err).To(And(MatchError(carrier.ErrNoDocument), MatchError(carrier.ErrUnknownOutcome)))
		Expect(l.TrackingNumber).To(Equal("94001"))
	})
})

var _ = Describe("a parcel in Shippo's words", func() {
	It("has all its sides, and is not asked about otherwise", func(ctx SpecContext) {
		s, asked := upstreamOf(nil)
		_, err := s.Rates(ctx, account, carrier.Consignment{Parcel: carrier.Parcel{Grams: 100, Length: 10, Width: 10}})
		no, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeTrue())
		Expect(no.Code).To(Equal("PARCEL_SIZE_REQUIRED"))
		Expect(asked()).To(BeEmpty())
	})

	It("crosses a border with what customs ask", func(ctx SpecContext) {
		s, asked := upstreamOf(map[string]string{"POST /shipments": `{"object_id":"s1","rates":[
			{"object_id":"r1","amount":"7.90","currency":"USD","provider":"USPS","servicelevel":{"token":"usps_priority","name":"Priority Mail"},"estimated_days":2},
			{"object_id":"","amount":"1.00","currency":"USD"}]}`})
		Expect(s.Rates(ctx, account, carrier.Consignment{
			Reference: "s1", Contents: carrier.ReturnedGoods, Parcel: carrier.Parcel{Grams: 1200, Length: 300, Width: 200, Height: 100},
			From:  carrier.Address{Company: "Loja", Line1: "Rua 1", City: "Porto", PostalCode: "4050", Country: "PT"},
			To:    carrier.Address{Name: "Anna", Line1: "Main St 1", City: "Boston", Region: "MA", PostalCode: "02101", Country: "US"},
			Items: []carrier.Item{{SKU: "MUG", Description: "Mug", Quantity: 2, Grams: 900, Value: money.Amount{Minor: 2598, Currency: money.EUR}, HSCode: "691110", Origin: "PT"}},
		})).To(Equal([]carrier.Rate{{Reference: "r1", Carrier: "USPS", Service: "Priority Mail", Price: price, Days: 2}}))
		Expect(asked()["POST /shipments"]).To(MatchJSON(`{"async":false,"metadata":"s1",
			"parcels":[{"length":"300","width":"200","height":"100","distance_unit":"mm","weight":"1200","mass_unit":"g"}],
			"address_from":{"name":"","company":"Loja","street1":"Rua 1","street2":"","city":"Porto","state":"","zip":"4050","country":"PT","phone":"","email":""},
			"address_to":{"name":"Anna","company":"","street1":"Main St 1","street2":"","city":"Boston","state":"MA","zip":"02101","country":"US","phone":"","email":""},
			"customs_declaration":{"certify":true,"certify_signer":"Loja","contents_type":"RETURN_MERCHANDISE","non_delivery_option":"RETURN","eel_pfc":"NOEEI_30_37_a",
			"items":[{"sku_code":"MUG","description":"Mug","quantity":2,"net_weight":"900","mass_unit":"g","value_amount":"25.98","value_currency":"EUR","tariff_number":"691110","origin_country":"PT"}]}}`))
	})
})

var _ = Describe("where a parcel is, in Shippo's words", func() {
	DescribeTable("is where it is in ours", func(status, substatus string, want carrier.Status) {
		var s scan
		Expect(json.Unmarshal([]byte(`{"status":"`+status+`","substatus":`+substatus+`,"status_date":"2026-11-04T08:00:00Z"}`), &s)).To(Succeed())
		Expect(s.status()).To(Equal(want))
	},
		Entry(nil, "UNKNOWN", `null`, carrier.Unknown), Entry(nil, "TELEPORTED", `null`, carrier.Unknown), Entry(nil, "PRE_TRANSIT", `null`, carrier.PreTransit),
		Entry(nil, "TRANSIT", `null`, carrier.InTransit), Entry(nil, "TRANSIT", `{"code":"package_arrived"}`, carrier.InTransit),
		Entry(nil, "TRANSIT", `{"code":"package_held"}`, carrier.Exception), Entry(nil, "TRANSIT", `{"code":"new","action_required":true}`, carrier.Exception),
		Entry(nil, "FAILURE", `{"code":"package_undeliverable"}`, carrier.Exception), Entry(nil, "FAILURE", `{"code":"package_disposed"}`, carrier.Lost),
	)

	It("is asked of the carrier that took it", func(ctx SpecContext) {
		s, _ := upstreamOf(map[string]string{"GET /tracks/dhl_express/9%2F4": `{"tracking_status":{"status":"DELIVERED","status_date":"2026-11-04T08:00:00Z"},"tracking_history":[]}`})
		Expect(s.Track(ctx, account, "DHL Express", "9/4")).To(HaveField("Status", carrier.Delivered))
	})
})

var _ = Describe("a webhook of Shippo's", func() {
	It("is of now", func() {
		now := time.Date(2026, 11, 4, 8, 0, 0, 0, time.UTC)
		for header, sentence := range map[string]string{
			"t=1793779200,v1=00": "wrong", "t=1793778000,v1=00": "it was sent at", "t=1793780400,v1=00": "it was sent at", "v1=00": "wrong", "t=x,v1=00": "wrong", "": "wrong",
		} {
			_, err := (&Shippo{}).Notice(carrier.Account{WebhookSecrets: []string{"s"}}, http.Header{"Shippo-Auth-Signature": {header}}, []byte(`{}`), now)
			Expect(err).To(And(MatchError(carrier.ErrSignature), MatchError(ContainSubstring(sentence))), "%q", header)
		}
	})
})
