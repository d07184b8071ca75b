package easypost

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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
func upstreamOf(answers map[string]string) (e *EasyPost, asked func() map[string]string) {
	said := map[string]string{}
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := r.Method + " " + r.URL.RequestURI()
		body, _ := io.ReadAll(r.Body)
		said[call] = string(body)
		answer, ok := answers[call]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error":{"code":"NOT_FOUND","message":"Nothing here"}}`
		case strings.Contains(answer, `"error"`):
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(answer, "{url}", server.URL))
	}))
	DeferCleanup(server.Close)
	guard := outbound.New(outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	return New(server.URL, guard), func() map[string]string { return said }
}

var (
	account = carrier.Account{Key: "EZTKanna"}
	rateOf  = carrier.Rate{Reference: "shp_1/rate_1"}
)

const (
	buy    = "POST /v2/shipments/shp_1/buy"
	fetch  = "GET /v2/shipments/shp_1"
	bought = `{"id":"shp_1","new":1,"tracking_code":"94001","selected_rate":{"id":"rate_1","carrier":"USPS","service":"Priority","rate":"7.9","currency":"USD"},
		"tracker":{"public_url":"https://track.example/94001"},
		"postage_label":{"label_url":"{url}/l.pdf","label_file_type":"application/pdf","label_zpl_url":null}}`
)

var _ = Describe("EasyPost's answer to a purchase", func() {
	DescribeTable("is none, and no refusal", func(ctx SpecContext, answer string) {
		e, _ := upstreamOf(map[string]string{buy: answer})
		_, err := e.Buy(ctx, account, "k", rateOf, carrier.PDF)
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
		_, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeFalse())
	},
		Entry("when the other carrier took too long", `{"error":{"code":"SHIPMENT.POSTAGE.TIMED_OUT","message":"x"}}`),
		Entry("when the other carrier did not answer", `{"error":{"code":"SHIPMENT.POSTAGE.NO_RESPONSE","message":"x"}}`),
		Entry("while it is going on", `{"error":{"code":"SHIPMENT.PURCHASE.IN_PROGRESS","message":"x"}}`),
		Entry("when there is no label in it", `{"id":"shp_1"}`),
		Entry("when nobody knows what the label cost", strings.Replace(bought, `"7.9"`, `"?"`, 1)),
		Entry("when there is one already and it cannot be fetched", `{"error":{"code":"SHIPMENT.POSTAGE.EXISTS","message":"x"}}`),
	)

	It("explains a refusal in whatever form it comes", func(ctx SpecContext) {
		for message, told := range map[string]string{`"No such street"`: "No such street", `["No","street"]`: `["No","street"]`} {
			e, _ := upstreamOf(map[string]string{buy: `{"error":{"code":"SHIPMENT.POSTAGE.FAILURE","message":` + message + `}}`})
			_, err := e.Buy(ctx, account, "k", rateOf, carrier.PDF)
			no, declined := errors.AsType[*carrier.Declined](err)
			Expect(declined).To(BeTrue())
			Expect(*no).To(Equal(carrier.Declined{Code: "SHIPMENT.POSTAGE.FAILURE", Message: told}))
		}
	})

	It("is the label there is, when there is one", func(ctx SpecContext) {
		e, _ := upstreamOf(map[string]string{buy: `{"error":{"code":"SHIPMENT.POSTAGE.EXISTS","message":"x"}}`, fetch: bought, "GET /l.pdf": "%PDF-1"})
		Expect(e.Buy(ctx, account, "k", rateOf, carrier.PDF)).To(Equal(carrier.Label{
			Reference: "shp_1", Carrier: "USPS", Service: "Priority", TrackingNumber: "94001", TrackingURL: "https://track.example/94001",
			Cost: money.Amount{Minor: 790, Currency: money.USD}, Document: []byte("%PDF-1"), Format: carrier.PDF,
		}))
	})

	It("is converted when another format is asked for", func(ctx SpecContext) {
		e, _ := upstreamOf(map[string]string{
			buy: bought, "GET /v2/shipments/shp_1/label?file_format=ZPL": strings.Replace(bought, `"label_zpl_url":null`, `"label_zpl_url":"{url}/l.zpl"`, 1), "GET /l.zpl": "^XA^XZ",
		})
		Expect(e.Buy(ctx, account, "k", rateOf, carrier.ZPL)).To(And(HaveField("Format", carrier.ZPL), HaveField("Document", BeEquivalentTo("^XA^XZ"))))
	})

	DescribeTable("is a label all the same when its paper does not come", func(ctx SpecContext, format carrier.Format) {
		e, _ := upstreamOf(map[string]string{buy: bought})
		l, err := e.Buy(ctx, account, "k", rateOf, format)
		Expect(err).To(And(MatchError(carrier.ErrNoDocument), MatchError(carrier.ErrUnknownOutcome)))
		_, declined := errors.AsType[*carrier.Declined](err)
		Expect(declined).To(BeFalse())
		Expect(l.TrackingNumber).To(Equal("94001"))
		Expect(l.Format).To(BeEmpty())
	}, Entry("as it is", carrier.PDF), Entry("as it is converted", carrier.ZPL))

	It("does not say that nothing was bought when it does not know the shipment", func(ctx SpecContext) {
		e, _ := upstreamOf(nil)
		_, err := e.Find(ctx, account, "k", rateOf)
		Expect(err).To(And(MatchError(carrier.ErrUnknownOutcome), Not(MatchError(carrier.ErrNoLabel))))
	})
})

var _ = Describe("a parcel in EasyPost's words", func() {
	It("crosses a border with what customs ask, in ounces and inches", func(ctx SpecContext) {
		e, asked := upstreamOf(map[string]string{"POST /v2/shipments": `{"id":"shp_1","rates":[
			{"id":"rate_1","carrier":"USPS","service":"Priority","rate":"7.90","currency":"USD","delivery_days":null,"delivery_date":"2026-11-05T00:00:00Z"},
			{"id":"rate_2","carrier":"Odd","service":"Ship","rate":"7.90","currency":"shells"}]}`})
		arrives := time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)
		Expect(e.Rates(ctx, account, carrier.Consignment{
			Reference: "s1", Format: carrier.ZPL,
			From:   carrier.Address{Name: "Loja", Line1: "Rua 1", City: "Porto", PostalCode: "4050", Country: "PT"},
			To:     carrier.Address{Name: "Anna", Line1: "Main St 1", City: "Boston", Region: "MA", PostalCode: "02101", Country: "US", Phone: "1"},
			Parcel: carrier.Parcel{Grams: 1200, Length: 300},
			Items:  []carrier.Item{{SKU: "MUG", Description: "Mug", Quantity: 2, Grams: 900, Value: money.Amount{Minor: 2598, Currency: money.EUR}, HSCode: "691110", Origin: "PT"}},
		})).To(Equal([]carrier.Rate{{
			Reference: "shp_1/rate_1", Carrier: "USPS", Service: "Priority", Price: money.Amount{Minor: 790, Currency: money.USD}, EstimatedDelivery: &arrives,
		}}), "without the one that cannot be read")
		Expect(asked()["POST /v2/shipments"]).To(MatchJSON(`{"shipment":{"reference":"s1","options":{"label_format":"ZPL","label_size":"4x6"},"parcel":{"weight":42.4,"length":11.9},
			"from_address":{"name":"Loja","company":"","street1":"Rua 1","street2":"","city":"Porto","state":"","zip":"4050","country":"PT","phone":"","email":""},
			"to_address":{"name":"Anna","company":"","street1":"Main St 1","street2":"","city":"Boston","state":"MA","zip":"02101","country":"US","phone":"1","email":""},
			"customs_info":{"contents_type":"merchandise","customs_certify":true,"customs_signer":"Loja","eel_pfc":"NOEEI 30.37(a)","non_delivery_option":"return","restriction_type":"none",
			"customs_items":[{"code":"MUG","description":"Mug","quantity":2,"weight":31.8,"value":25.98,"currency":"EUR","hs_tariff_number":"691110","origin_country":"PT"}]}}}`))
	})

	It("has no rates when none can be read", func(ctx SpecContext) {
		e, _ := upstreamOf(map[string]string{"POST /v2/shipments": `{"id":"shp_1","rates":[{"id":"rate_2","rate":"7.90","currency":"shells"}]}`})
		_, err := e.Rates(ctx, account, carrier.Consignment{})
		Expect(err).To(MatchError(carrier.ErrUnknownOutcome))
	})
})

var _ = Describe("a tracker of EasyPost's", func() {
	It("stands where it says, though none of its details does, and knows more words than we", func() {
		var t tracker
		Expect(json.Unmarshal([]byte(`{"status":"delivered","updated_at":"2026-11-05T09:00:00Z","est_delivery_date":null,"tracking_details":[
			{"status":"in_transit","message":"Left","datetime":"2026-11-04T08:00:00Z","tracking_location":{"city":"Porto","state":null,"country":"PT"}},
			{"status":"teleported","message":"?","datetime":"2026-11-04T09:00:00Z"}]}`), &t)).To(Succeed())
		now := t.tracking()
		Expect(now.Status).To(Equal(carrier.Delivered))
		Expect(now.Events).To(HaveLen(3))
		Expect(now.Events[0].Place).To(Equal("Porto, PT"))
		Expect(now.Events[2]).To(Equal(carrier.Event{Status: carrier.Delivered, At: time.Date(2026, 11, 5, 9, 0, 0, 0, time.UTC)}))
		t.Status = "unknown"
		Expect(t.tracking().Status).To(Equal(carrier.InTransit), "what is not known changes nothing")
	})
})

var _ = Describe("a webhook of EasyPost's", func() {
	It("is signed with a secret in normal form", func() {
		body := []byte(`{"id":"evt_1","description":"tracker.updated","result":{"tracking_code":"94001","shipment_id":"shp_1","carrier":"USPS","status":"in_transit"}}`)
		mac := hmac.New(sha256.New, []byte("cafe\u0301"))
		mac.Write(body)
		header := http.Header{"X-Hmac-Signature": {"hmac-sha256-hex=" + hex.EncodeToString(mac.Sum(nil))}}
		n, err := (&EasyPost{}).Notice(carrier.Account{WebhookSecrets: []string{"caf\u00e9"}}, header, body, time.Time{})
		Expect(err).NotTo(HaveOccurred())
		Expect(n.Tracking).To(HaveValue(HaveField("Status", carrier.InTransit)))
		Expect(n.Reference).To(Equal("shp_1"))
	})
})
