package stripesim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestStripeSim(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	RunSpecs(t, "stripe simulator")
}

type object = map[string]any

// stripe is a simulator over HTTP, with a merchant's secret key.
type stripe struct {
	*stripesim.Simulator
	server *httptest.Server
	key    string
}

func newStripe(o stripesim.Options) *stripe {
	GinkgoHelper()
	ctx, end := context.WithCancel(context.Background())
	sim := stripesim.New(ctx, o)
	s := &stripe{Simulator: sim, server: httptest.NewServer(sim), key: "sk_test_anna"}
	DeferCleanup(func() {
		end()
		s.server.CloseClientConnections()
		s.server.Close()
		sim.Close()
	})
	return s
}

type reply struct {
	status int
	header http.Header
	body   object
}

// as asks with another key.
func (s *stripe) as(key string) *stripe {
	other := *s
	other.key = key
	return &other
}

// send is a call as Stripe's libraries make it: "amount=1000&currency=eur".
func (s *stripe) send(method, path, form, idempotencyKey string) (reply, error) {
	r, err := http.NewRequest(method, s.server.URL+path, nil)
	if err != nil {
		return reply{}, err
	}
	if method == http.MethodGet {
		r.URL.RawQuery = form
	} else {
		r.Body = io.NopCloser(strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	if idempotencyKey != "" {
		r.Header.Set("Idempotency-Key", idempotencyKey)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	out := reply{status: answer.StatusCode, header: answer.Header}
	return out, json.NewDecoder(answer.Body).Decode(&out.body)
}

func (s *stripe) post(path, form string, key ...string) reply {
	GinkgoHelper()
	r, err := s.send(http.MethodPost, path, form, strings.Join(key, ""))
	Expect(err).NotTo(HaveOccurred())
	return r
}

func (s *stripe) get(path, query string) object {
	GinkgoHelper()
	r, err := s.send(http.MethodGet, path, query, "")
	Expect(err).NotTo(HaveOccurred())
	Expect(r.status).To(Equal(http.StatusOK), "%v", r.body)
	return r.body
}

// control asks the simulator itself.
func (s *stripe) control(path string, body string) reply {
	GinkgoHelper()
	answer, err := http.Post(s.server.URL+path, "application/json", strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	out := reply{status: answer.StatusCode}
	Expect(json.NewDecoder(answer.Body).Decode(&out.body)).To(Succeed())
	return out
}

const basket = "amount=1299&currency=eur&metadata[order]=1001&metadata[attempt]=a1"

// pay is a payment with a card, at once.
func (s *stripe) pay(card string, more ...string) reply {
	GinkgoHelper()
	return s.post("/v1/payment_intents", basket+"&confirm=true&return_url=https://shop.example/back&payment_method="+card+strings.Join(more, ""))
}

// paid is the object of one that went well.
func (s *stripe) paid(card string, more ...string) object {
	GinkgoHelper()
	r := s.pay(card, more...)
	Expect(r.status).To(Equal(http.StatusOK), "%v", r.body)
	return r.body
}

func (s *stripe) intent(id any) object {
	GinkgoHelper()
	return s.get("/v1/payment_intents/"+id.(string), "expand[]=latest_charge.balance_transaction&expand[]=latest_charge.refunds")
}

// problem is what is wrong with a call, or with a payment.
func problem(of object) object {
	if wrong, ok := of["error"].(object); ok {
		return wrong
	}
	wrong, _ := of["last_payment_error"].(object)
	return wrong
}

func rows(list object) (all []object) {
	for _, row := range list["data"].([]any) {
		all = append(all, row.(object))
	}
	return all
}

// types of an account's events, the oldest first.
func (s *stripe) types() (all []string) {
	GinkgoHelper()
	for _, e := range rows(s.get("/v1/events", "limit=100")) {
		all = append([]string{e["type"].(string)}, all...)
	}
	return all
}

// hands are a clock that only a spec moves.
type hands struct {
	mu sync.Mutex
	at time.Time
}

func newHands() *hands { return &hands{at: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)} }

func (h *hands) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

// shop gets webhooks.
type shop struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []message
}

type message struct {
	signature string
	body      string
	event     object
}

func newShop() *shop {
	GinkgoHelper()
	s := &shop{status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := message{signature: r.Header.Get("Stripe-Signature"), body: string(body)}
		_ = json.Unmarshal(body, &m.event)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, m)
		w.WriteHeader(s.status)
	}))
	DeferCleanup(s.Close)
	return s
}

func (s *shop) messages() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]message{}, s.got...)
}

func (s *shop) answers(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *shop) types() (all []string) {
	for _, m := range s.messages() {
		all = append(all, m.event["type"].(string))
	}
	return all
}

func decode(answer *http.Response, into any) {
	GinkgoHelper()
	Expect(json.NewDecoder(answer.Body).Decode(into)).To(Succeed())
}
