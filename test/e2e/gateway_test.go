package e2e_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// Limits bind these specs alone, so that they have programs of their own.
var _ = func() bool {
	if ours && os.Getenv("FUSION_E2E_DEPLOYMENT") != split {
		Describe("a program with limits", limited)
		Describe("a program that is attacked with connections", besieged)
	}
	return true
}()

func limited() {
	It("lets a key ask as often as it may, from 32 clients at once, and tells when to come back", func() {
		s := open()
		there := s.at(started("FUSION_LIMITS_REQUESTS_PER_MINUTE=600").url)
		began := time.Now()
		var let, refused atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				defer GinkgoRecover()
				for range 25 {
					switch r := there.get("/v1/products?limit=1"); r.status {
					case http.StatusOK:
						let.Add(1)
						Expect(r.header.Get("RateLimit-Policy")).To(Equal(`"default";q=600;w=60`))
					default:
						refused.Add(1)
						Expect(r).To(refuse(429, "rate_limited"))
						Expect(r.header.Get("Retry-After")).To(Equal("1"))
					}
				}
			})
		}
		all.Wait()
		// Ten come back every second that this takes.
		Expect(let.Load()).To(BeNumerically("~", 600, 6+int64(10*time.Since(began).Seconds())))
		Expect(let.Load() + refused.Load()).To(BeEquivalentTo(800))
		Expect(there.with("").get("/v1/products?limit=1")).To(answer(200))
		Expect(there.with(bootstrapKey).get("/v1/products?limit=1").header).NotTo(HaveKey("Ratelimit"))
		Expect(there.get("/readyz")).To(answer(200))
	})

	It("lets a page that has a publishable key ask from where the key is for", func() {
		s := open()
		page := as[apiKey](s.post("/v1/keys", object{"name": "Page", "kind": "publishable", "origins": []string{"https://shop.example"}}))
		there := s.with(page.Key)
		from := func(origin string) header { return header{"Origin", origin} }
		preflight := func(origin string) response {
			r, err := http.NewRequest(http.MethodOptions, s.url+"/v1/products", http.NoBody)
			Expect(err).NotTo(HaveOccurred())
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", "GET")
			resp, err := wire.Do(r)
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Body.Close()).To(Succeed())
			return response{exchange{method: r.Method, url: r.URL, status: resp.StatusCode, header: resp.Header}}
		}
		Eventually(func() response { return preflight("https://shop.example") }).Should(answer(204))
		Expect(preflight("https://evil.example")).To(answer(403))
		Expect(there.get("/v1/products", from("https://shop.example")).header.Get("Access-Control-Allow-Origin")).To(Equal("https://shop.example"))
		Expect(there.get("/v1/products", from("https://evil.example"))).To(refuse(403, "origin_not_allowed"))
		Expect(there.get("/v1/products")).To(answer(200))
	})
}

// dialFrom connects from one of this machine's own addresses.
func dialFrom(ip, to string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: testkit.Patience}
	return d.Dial("tcp", to)
}

func besieged() {
	It("serves others while 500 connections send a byte now and then, and closes those", func() {
		p := started()
		addr := strings.TrimPrefix(p.url, "http://")
		var open sync.WaitGroup
		var closed atomic.Int64
		over := make(chan struct{})
		DeferCleanup(func() { close(over); open.Wait() })
		for range 500 {
			conn, err := dialFrom("127.0.0.1", addr)
			Expect(err).NotTo(HaveOccurred())
			_, err = io.WriteString(conn, "GET /v1/products HTTP/1.1\r\nHost: shop\r\nX-")
			Expect(err).NotTo(HaveOccurred())
			open.Go(func() {
				defer conn.Close()
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					_, _ = io.Copy(io.Discard, conn)
					closed.Add(1)
				}()
				drip := time.NewTicker(time.Second)
				defer drip.Stop()
				for {
					select {
					case <-drip.C:
						_, _ = io.WriteString(conn, "a")
					case <-gone:
						return
					case <-over:
						return
					}
				}
			})
		}
		s := (&shop{url: p.url}).get
		Eventually(func() int64 {
			Expect(s("/v1/products?limit=1")).To(answer(200))
			return closed.Load()
		}).Should(BeEquivalentTo(500))
	})

	It("has room for other addresses when one takes all that it may", func() {
		p := started("FUSION_HTTP_MAX_CONNECTIONS=20")
		addr := strings.TrimPrefix(p.url, "http://")
		wire := func(ip string) *http.Client {
			t := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dialFrom(ip, addr) }, DisableKeepAlives: true}
			return &http.Client{Transport: t, Timeout: hurry}
		}
		ask := func(ip string) error {
			resp, err := wire(ip).Get(p.url + "/v1/products?limit=1")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		}
		Expect(ask("127.0.0.2")).To(Succeed())
		var held []net.Conn
		hold := func() {
			GinkgoHelper()
			conn, err := dialFrom("127.0.0.2", addr)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = conn.Close() })
			held = append(held, conn)
		}
		for range 20 {
			hold()
		}
		// One of them is turned away if the first request's is still there: another takes its place.
		Eventually(func() error { hold(); return ask("127.0.0.2") }).ShouldNot(Succeed())
		Expect(ask("127.0.0.3")).To(Succeed())
		for _, conn := range held {
			Expect(conn.Close()).To(Succeed())
		}
		Eventually(func() error { return ask("127.0.0.2") }).Should(Succeed())
	})
}
