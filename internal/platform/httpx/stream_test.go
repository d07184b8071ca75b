package httpx

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type tick struct {
	N int `json:"n"`
}

type room struct {
	Name string `path:"room"`
}

// open is the one shop of a server that is asked for no other.
type open struct{}

func (open) At(context.Context, string) (uuid.UUID, error) { return identity.DefaultTenant, nil }

func (open) Address(_ context.Context, scheme, host string) (string, error) {
	return scheme + "://" + host, nil
}
func (open) HasPages(context.Context, string) (bool, error) { return false, nil }

func (open) Allowance(context.Context) int                                           { return 0 }
func (open) Refusals() []*fault.Error                                                { return nil }
func (open) Admit(ctx context.Context, _ identity.Identity) (context.Context, error) { return ctx, nil }

var _ = Describe("a feed", func() {
	var (
		server *Server
		url    string
		events chan Event[tick]
		closed *atomic.Int64
		listen *http.Server
	)

	BeforeEach(func() {
		server = New(Options{Tenants: open{}, Log: slog.New(slog.NewTextHandler(GinkgoWriter, nil))})
		told, left := make(chan Event[tick]), &atomic.Int64{}
		events, closed = told, left
		Stream(server.API(), Route{Method: http.MethodGet, Path: "/v1/{room}/ticks", ID: "ticks", Permission: Public}, func(_ context.Context, in *room) (Feed[tick], error) {
			if in.Name == "nowhere" {
				return Feed[tick]{}, ErrNotFound
			}
			return Feed[tick]{told, func() { left.Add(1) }}, nil
		})
		Expect(server.API().Err()).To(Succeed())
	})

	// opens serves what was declared.
	opens := func(settings ...func(*http.Server)) {
		GinkgoHelper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		url, listen = "http://"+ln.Addr().String(), server.HTTP()
		for _, set := range settings {
			set(listen)
		}
		served, ended := listen, make(chan error, 1)
		go func() { ended <- served.Serve(ln) }()
		DeferCleanup(func() {
			Expect(served.Close()).To(Succeed())
			Eventually(ended).Should(Receive(MatchError(http.ErrServerClosed)))
		})
	}
	ask := func(method, path string) *http.Response {
		GinkgoHelper()
		r, err := http.NewRequest(method, url+path, http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		resp, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	// lines is what comes, as it comes.
	lines := func(resp *http.Response) chan string {
		heard := make(chan string, 100)
		go func() {
			defer close(heard)
			in := bufio.NewScanner(resp.Body)
			for in.Scan() {
				heard <- in.Text()
			}
			if in.Err() != nil {
				heard <- "broken off: " + in.Err().Error()
			}
		}()
		return heard
	}
	hears := func(heard chan string, want ...string) {
		GinkgoHelper()
		for _, line := range want {
			Eventually(heard).Should(Receive(Equal(line)))
		}
	}

	It("is heard as it is told, event by event", func() {
		opens()
		resp := ask(http.MethodGet, "/v1/a/ticks")
		Expect(resp).To(And(HaveHTTPStatus(200), HaveHTTPHeaderWithValue("Content-Type", "text/event-stream"), HaveHTTPHeaderWithValue("Cache-Control", "no-store")))
		heard := lines(resp)
		Eventually(events).Should(BeSent(Event[tick]{"7", "tick", tick{1}}))
		hears(heard, "id: 7", "event: tick", `data: {"n":1}`, "")
		Eventually(events).Should(BeSent(Event[tick]{"8", "tock", tick{2}}))
		hears(heard, "id: 8", "event: tock", `data: {"n":2}`, "")
		close(events)
		Eventually(heard).Should(BeClosed())
		Eventually(closed.Load).Should(BeEquivalentTo(1))
	})

	It("is refused like any other request", func() {
		opens()
		resp := ask(http.MethodGet, "/v1/nowhere/ticks")
		Expect(resp).To(And(HaveHTTPStatus(404), HaveHTTPHeaderWithValue("Content-Type", "application/problem+json")))
		Expect(ask(http.MethodGet, "/v1/a/ticks?colour=blue")).To(HaveHTTPStatus(400))
	})

	It("gives signs of life when there is nothing to tell", func() {
		server.API().listeners.beat = time.Millisecond
		opens()
		hears(lines(ask(http.MethodGet, "/v1/a/ticks")), ":", "", ":", "")
	})

	It("outlives the deadlines of requests", func() {
		server.API().listeners.beat = 20 * time.Millisecond
		opens(func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond })
		heard := lines(ask(http.MethodGet, "/v1/a/ticks"))
		for range 10 {
			hears(heard, ":", "")
		}
		Eventually(events).Should(BeSent(Event[tick]{"7", "tick", tick{1}}))
		Eventually(heard).Should(Receive(Equal("id: 7")))
	})

	It("answers a HEAD and is over", func() {
		opens()
		resp := ask(http.MethodHead, "/v1/a/ticks")
		Expect(resp).To(And(HaveHTTPStatus(200), HaveHTTPHeaderWithValue("Content-Type", "text/event-stream")))
		Eventually(closed.Load).Should(BeEquivalentTo(1))
	})

	It("ends when the listener goes", func() {
		opens()
		resp := ask(http.MethodGet, "/v1/a/ticks")
		Expect(resp.Body.Close()).To(Succeed())
		Eventually(closed.Load).Should(BeEquivalentTo(1))
		Eventually(func() int { return len(server.API().listeners.slots) }).Should(BeZero())
	})

	It("ends at once and in good order when the program stops", func() {
		opens()
		heard := lines(ask(http.MethodGet, "/v1/a/ticks"))
		Eventually(events).Should(BeSent(Event[tick]{"7", "tick", tick{1}}))
		hears(heard, "id: 7", "event: tick", `data: {"n":1}`, "")
		server.Drain()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		Expect(listen.Shutdown(ctx)).To(Succeed())
		Eventually(heard).Should(BeClosed())
		Expect(heard).NotTo(Receive(ContainSubstring("broken off")))
		Expect(closed.Load()).To(BeEquivalentTo(1))
	})

	It("has no more listeners than there is room for, and room again when one goes", func() {
		server.API().listeners.slots = make(chan struct{}, 2)
		opens()
		one := ask(http.MethodGet, "/v1/a/ticks")
		Expect(ask(http.MethodGet, "/v1/a/ticks")).To(HaveHTTPStatus(200))
		refused := ask(http.MethodGet, "/v1/a/ticks")
		Expect(refused).To(And(HaveHTTPStatus(503), HaveHTTPHeaderWithValue("Retry-After", "5")))
		body, err := io.ReadAll(refused.Body)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(ContainSubstring(`"code":"too_many_listeners"`))
		Expect(ask(http.MethodGet, "/v1/nowhere/ticks")).To(HaveHTTPStatus(503))
		Expect(one.Body.Close()).To(Succeed())
		Eventually(func() *http.Response { return ask(http.MethodGet, "/v1/a/ticks") }).Should(HaveHTTPStatus(200))
	})

	It("gives up a listener who does not take what is told", func() {
		opens()
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = conn.Close() }()
		_, err = io.WriteString(conn, "GET /v1/a/ticks HTTP/1.1\r\nHost: shop\r\n\r\n")
		Expect(err).NotTo(HaveOccurred())
		// More than all buffers in between hold: the deadline is what ends it.
		long := Event[tick]{strings.Repeat("7", 8<<20), "tick", tick{1}}
		Eventually(events).Should(BeSent(long))
		Eventually(closed.Load, 2*sendTimeout).Should(BeEquivalentTo(1))
	})

	It("is in the document, with what it tells and how it is refused", func() {
		op := server.API().Spec().Paths["/v1/{room}/ticks"].Get
		Expect(op.Responses["200"].Content).To(HaveKey("text/event-stream"))
		Expect(op.Responses["200"].Content).To(HaveLen(1))
		Expect(op.Responses["503"].Description).To(ContainSubstring("too_many_listeners"))
	})
})
