package faults_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// mood is how a provider that is not well answers; nil lets calls through.
type mood func(w http.ResponseWriter, r *http.Request, through http.Handler)

// wire stands between the shop and somebody whom it asks.
type wire struct {
	server *httptest.Server
	mood   atomic.Pointer[mood]
	met    atomic.Int64
}

func wireTo(well http.Handler) *wire {
	GinkgoHelper()
	w := &wire{}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if m := w.mood.Load(); m != nil {
			w.met.Add(1)
			(*m)(rw, r, well)
			return
		}
		well.ServeHTTP(rw, r)
	}))
	DeferCleanup(func() {
		w.server.CloseClientConnections()
		w.server.Close()
	})
	return w
}

func (w *wire) be(m mood) {
	w.met.Store(0)
	if m == nil {
		w.mood.Store(nil)
		return
	}
	w.mood.Store(&m)
}

// hungUp ends the connection after so much of the answer.
func hungUp(answer string) mood {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, answer)
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// later answers, but only after a while.
func later(after time.Duration) mood {
	return func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		select {
		case <-time.After(after):
			through.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// trickle answers a kilobyte a second.
func trickle(w http.ResponseWriter, r *http.Request, through http.Handler) {
	whole := httptest.NewRecorder()
	through.ServeHTTP(whole, r)
	maps.Copy(w.Header(), whole.Header())
	w.WriteHeader(whole.Code)
	flush := http.NewResponseController(w)
	for body := whole.Body.Bytes(); len(body) > 0; {
		n := min(len(body), 100)
		if _, err := w.Write(body[:n]); err != nil || flush.Flush() != nil {
			return
		}
		body = body[n:]
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

func says(status int, body string) mood {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// matter is what can be the matter with somebody whom the shop asks.
type matter struct {
	name     string
	mood     mood
	answered bool // in time for who waits for it
}

func moods() []matter {
	return []matter{
		{"well", nil, true},
		{"down", hungUp(""), false},
		{"5 s late", later(5 * time.Second), true},
		{"1 kB/s", trickle, true},
		{"reset in the middle of the answer", hungUp("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"id\":\"pi_"), false},
		{"no TLS where TLS is expected", hungUp("\x15\x03\x01\x00\x02\x02\x28"), false},
		{"garbage", says(http.StatusOK, "<html>Welcome to the hotel's network</html>"), false},
		{"429", says(http.StatusTooManyRequests, "<html>Slow down</html>"), false},
	}
}

var _ = Describe("a provider of payments that is not well", func() {
	// T-16, the rows of the provider: P16. What a call comes to that it does not answer is
	// looked for later, and everything else goes on as if nothing were the matter.
	It("holds up nobody but who pays, and takes each payment once in the end", func(ctx SpecContext) {
		each := sized(8, 40)
		t := openTill()
		out := wireTo(t)
		s := openShop(ctx, 8, "FUSION_PAYMENTS_STRIPE_URL="+out.server.URL)
		s.stock(ctx, 4, 100_000)
		s.hireStripe(ctx, t)

		ask := func(method, path string, body any) *load.Answer {
			GinkgoHelper()
			a, err := s.customers.Ask(ctx, 0, load.Request{Method: method, Path: path, Body: body})
			Expect(err).NotTo(HaveOccurred())
			return &a
		}
		sheet := &table{title: "T-16 provider: browse, cart, order, admin; pay"}
		orders := 0
		for _, m := range moods() {
			out.be(m.mood)
			paid, waits := 0, 0
			c := s.openCrowd(ctx, 8, 2*each)
			ids := make([]string, 0, each)
			for n := range each {
				c.ask(order(fmt.Sprint(m.name, " ", n), line{sku(n % 4), 1}))
			}
			for _, a := range c.hear(ctx, each) {
				Expect(a.Status).To(Equal(http.StatusCreated), "%s: %s", m.name, a.Raw)
				ids = append(ids, s.believe(a))
			}
			orders += each
			Eventually(func() int { return s.count(`select count(*) from orders.orders where status = 'created'`) }).WithContext(ctx).WithTimeout(toEnd).Should(BeZero(), m.name)
			for _, id := range ids {
				c.ask(pay("pay "+id, id, good))
			}
			Expect(ask(http.MethodGet, "/v1/products", nil).Status).To(Equal(http.StatusOK), m.name)
			Expect(ask(http.MethodPost, "/v1/carts", map[string]any{"items": []any{map[string]any{"sku": sku(0), "quantity": 1}}}).Status).To(Equal(http.StatusCreated), m.name)
			Expect(ask(http.MethodGet, "/v1/payments", nil).Status).To(Equal(http.StatusOK), m.name)
			for _, a := range c.hear(ctx, each) {
				var said struct{ Status string }
				Expect(a.Status).To(Equal(http.StatusCreated), "%s: %s", m.name, a.Raw)
				Expect(a.Read(&said)).To(Succeed())
				switch said.Status {
				case "succeeded":
					paid++
				case "processing":
					waits++
				}
			}
			c.close()
			Expect(paid+waits).To(Equal(each), "%s: nobody is told that a payment has failed", m.name)
			if m.answered {
				Expect(paid).To(Equal(each), m.name)
			} else {
				Expect(waits).To(Equal(each), m.name)
			}
			if m.mood != nil {
				Expect(out.met.Load()).To(BeNumerically(">=", each), "%s has not happened: the spec has proven nothing of it", m.name)
			}
			sheet.row(m.name, fmt.Sprintf("200 201 201 200; %d of %d orders accepted; paid %d, looked for %d", len(ids), each, paid, waits))
		}
		out.be(nil)
		Eventually(func() int {
			s.hasten(ctx)
			return s.count(`select count(*) from payments.payment where status = 'succeeded'`)
		}).WithContext(ctx).WithTimeout(2 * toEnd).WithPolling(500 * time.Millisecond).Should(Equal(orders))
		s.settle(ctx, toEnd)
		ledger := t.Ledger("")
		Expect(ledger.Orders).To(And(HaveLen(orders), HaveEach(HaveField("Charges", 1))), "each order is charged once")
		Expect(s.balance("sales")).To(BeEquivalentTo(-ledger.Sums[0].Captured))
		sheet.row("in the end", fmt.Sprintf("%d orders, %d charges, %d captured at the provider and in the ledger", orders, len(ledger.Orders), ledger.Sums[0].Captured))
		sheet.report()
		s.mustBeSound(ctx, audit.Samples{})
	}, SpecTimeout(10*time.Minute))
})
