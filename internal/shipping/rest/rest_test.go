package rest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// service answers one thing, and remembers what it was asked.
type service struct {
	*Client
	url   string
	asked []*http.Request
}

func answering(status int, body string) *service {
	s := &service{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	DeferCleanup(server.Close)
	guard := outbound.New(outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	refuse := func(body []byte) (no carrier.Declined) {
		_ = json.Unmarshal(body, &no)
		return no
	}
	s.Client, s.url = New(guard, server.URL+"/", func(r *http.Request, key string) { r.SetBasicAuth(key, "") }, refuse), server.URL
	return s
}

func (s *service) ask(ctx SpecContext) error {
	return s.Call(ctx, "ask", "secret", http.MethodPost, "/v2/things", map[string]int{"n": 1}, &struct{ N int }{})
}

var _ = Describe("a call to a carrier", func() {
	DescribeTable("says nothing of what happened", func(ctx SpecContext, status int) {
		Expect(answering(status, `{"Code":"X"}`).ask(ctx)).To(MatchError(carrier.ErrUnknownOutcome))
	},
		Entry(nil, 302), Entry(nil, 408), Entry(nil, 409), Entry(nil, 425), Entry(nil, 429), Entry(nil, 500), Entry(nil, 502), Entry(nil, 503), Entry(nil, 504),
	)

	DescribeTable("is refused for its key", func(ctx SpecContext, status int) {
		err := answering(status, `{"Code":"X"}`).ask(ctx)
		Expect(err).To(And(MatchError(carrier.ErrKeyRefused), Not(MatchError(carrier.ErrUnknownOutcome))))
	}, Entry(nil, 401), Entry(nil, 403))

	DescribeTable("is declined", func(ctx SpecContext, status int, body, code string) {
		no, ok := errors.AsType[*carrier.Declined](answering(status, body).ask(ctx))
		Expect(ok).To(BeTrue())
		Expect(no.Code).To(Equal(code))
	},
		Entry(nil, 400, `{"Code":"X"}`, "X"), Entry(nil, 402, `{}`, "PAYMENT_REQUIRED"), Entry(nil, 404, `no JSON`, "NOT_FOUND"), Entry(nil, 422, `{"Code":"Y"}`, "Y"),
	)

	It("is no answer when it cannot be read, whatever its status", func(ctx SpecContext) {
		for _, body := range []string{"", "<html>", `{"n":"text"}`, `[1]`} {
			Expect(answering(200, body).ask(ctx)).To(MatchError(carrier.ErrUnknownOutcome), "%q", body)
		}
		Expect(answering(201, `{"n":2,"new":{"field":true}}`).ask(ctx)).To(Succeed())
	})

	It("is no answer when it is longer than any has to be", func(ctx SpecContext) {
		Expect(answering(200, `{"n":1,"x":"`+strings.Repeat("x", maxBody)+`"}`).ask(ctx)).To(And(MatchError(carrier.ErrUnknownOutcome), MatchError(outbound.ErrTooLong)))
	})

	It("goes nowhere that only we can reach, and says neither key nor path", func(ctx SpecContext) {
		away := New(outbound.New(outbound.Options{}), "http://127.0.0.1:1", func(*http.Request, string) {}, nil)
		err := away.Call(ctx, "ask", "secret", http.MethodGet, "/tracks/usps/9400", nil, &struct{}{})
		Expect(err).To(And(MatchError(carrier.ErrUnknownOutcome), MatchError(outbound.ErrDestination)))
		Expect(err.Error()).NotTo(Or(ContainSubstring("secret"), ContainSubstring("9400")))
	})

	It("keeps some of a long explanation, whole characters of it", func(ctx SpecContext) {
		no, ok := errors.AsType[*carrier.Declined](answering(400, `{"Code":"X","Message":"x`+strings.Repeat("ß", maxMessage)+`"}`).ask(ctx))
		Expect(ok).To(BeTrue())
		Expect(len(no.Message)).To(And(BeNumerically("<=", maxMessage), BeNumerically(">", maxMessage-2)))
		Expect(utf8.ValidString(no.Message)).To(BeTrue())
	})

	It("shows the key to the API only, not to where a label lies", func(ctx SpecContext) {
		s := answering(200, "%PDF")
		Expect(s.Document(ctx, s.url+"/label.pdf")).To(BeEquivalentTo("%PDF"))
		Expect(s.asked[0].Header).NotTo(HaveKey("Authorization"))
		_, err := s.Document(ctx, "")
		Expect(err).To(HaveOccurred())
	})
})

var _ = Describe("what carriers write", func() {
	DescribeTable("is money", func(text, currency string, minor int64) {
		Expect(Amount(text, currency)).To(Equal(money.Amount{Minor: minor, Currency: money.Currency(strings.ToUpper(currency))}))
	},
		Entry(nil, "7.58", "USD", int64(758)), Entry(nil, "7.5800", "USD", int64(758)), Entry(nil, "7.5", "usd", int64(750)), Entry(nil, "7", "USD", int64(700)),
		Entry(nil, "550.00", "JPY", int64(550)), Entry(nil, "0.00", "USD", int64(0)), Entry(nil, "1.2340", "KWD", int64(1234)),
	)

	DescribeTable("is no money", func(text, currency string) {
		_, err := Amount(text, currency)
		Expect(err).To(HaveOccurred())
	}, Entry(nil, "7.585", "USD"), Entry(nil, "1e3", "USD"), Entry(nil, "", "USD"), Entry(nil, "x", "USD"), Entry(nil, "7.58", ""))

	DescribeTable("is never less than it weighs or measures", func(grams int64, ounces string, mm int64, inches string) {
		Expect(Ounces(grams)).To(BeEquivalentTo(ounces))
		Expect(Inches(mm)).To(BeEquivalentTo(inches))
	},
		Entry(nil, int64(0), "0.0", int64(0), "0.0"), Entry(nil, int64(1), "0.1", int64(1), "0.1"), Entry(nil, int64(28), "1.0", int64(254), "10.0"),
		Entry(nil, int64(29), "1.1", int64(255), "10.1"), Entry(nil, int64(1200), "42.4", int64(300), "11.9"), Entry(nil, int64(70_000_000), "2469177.4", int64(3_000), "118.2"),
	)
})
