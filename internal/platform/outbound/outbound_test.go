package outbound

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// canary is a server inside that nobody must reach.
type canary struct {
	*httptest.Server
	port    string
	touched atomic.Int64
}

func newCanary() *canary {
	GinkgoHelper()
	c := &canary{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the crown jewels") }))
	ln, err := net.Listen("tcp", ":0") // on all addresses of the machine
	Expect(err).NotTo(HaveOccurred())
	c.Listener = counting{ln, &c.touched}
	c.Start()
	DeferCleanup(c.Close)
	u, err := url.Parse(c.URL)
	Expect(err).NotTo(HaveOccurred())
	c.port = u.Port()
	return c
}

type counting struct {
	net.Listener
	n *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}

// anyPort is a guard that does not mind the port, so that what it refuses it refuses for
// the address.
func anyPort(o Options) *Guard {
	g := New(o)
	g.ports = nil
	for p := range 1 << 16 {
		g.ports = append(g.ports, uint16(p))
	}
	return g
}

// names is a DNS server that answers each question with the next of some addresses, the
// last one for ever.
func names(v4, v6 []string) *net.Resolver {
	GinkgoHelper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	go func() {
		question, asked := make([]byte, 512), map[uint16]int{}
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			q := question[:n]
			end := 12
			for q[end] != 0 {
				end += int(q[end]) + 1
			}
			kind := binary.BigEndian.Uint16(q[end+1:])
			all := map[uint16][]string{1: v4, 28: v6}[kind]
			answer := append([]byte{}, q[:end+5]...)
			answer[2], answer[3] = 0x81, 0x80 // an answer, without error
			for i := 6; i < 12; i++ {
				answer[i] = 0
			}
			if len(all) > 0 {
				ip := netip.MustParseAddr(all[min(asked[kind], len(all)-1)]).AsSlice()
				asked[kind]++
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(ip)))
				answer = append(answer, ip...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func get(g *Guard, address string) error {
	GinkgoHelper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return errors.Join(ErrDestination, err)
	}
	answer, err := g.Client().Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.ReadAll(answer.Body)
	return err
}

var _ = Describe("a request to an address of somebody else's choice", func() {
	DescribeTable("does not reach inside", func(address string) {
		c := newCanary()
		g := anyPort(Options{})
		to := strings.ReplaceAll(address, "PORT", c.port)
		Expect(get(g, to)).To(MatchError(ErrDestination))
		Expect(g.Flaw(to)).NotTo(BeEmpty())
		// Nor would it if nobody had looked at the URL.
		unseen := http.Client{Transport: g.transport(timeout), Timeout: 2 * time.Second, CheckRedirect: g.client.CheckRedirect}
		answer, err := unseen.Get(to)
		if err == nil {
			_ = answer.Body.Close()
		}
		Expect(err).To(HaveOccurred())
		Expect(c.touched.Load()).To(BeZero())
	},
		Entry(nil, "http://127.0.0.1:PORT/"), Entry(nil, "https://127.0.0.1:PORT/"), Entry(nil, "https://127.8.8.8:PORT/"),
		Entry(nil, "https://0.0.0.0:PORT/"), Entry(nil, "https://[::]:PORT/"), Entry(nil, "https://[::1]:PORT/"), Entry(nil, "https://[0:0:0:0:0:0:0:1]:PORT/"),
		Entry(nil, "https://[::ffff:127.0.0.1]:PORT/"), Entry(nil, "https://[::ffff:7f00:1]:PORT/"), Entry(nil, "https://[::127.0.0.1]:PORT/"),
		Entry(nil, "https://[64:ff9b::7f00:1]:PORT/"), Entry(nil, "https://[64:ff9b:1::7f00:1]:PORT/"), Entry(nil, "https://[2002:7f00:1::]:PORT/"), Entry(nil, "https://[2001:0:7f00:1::]:PORT/"),
		Entry(nil, "https://2130706433:PORT/"), Entry(nil, "https://0x7f000001:PORT/"), Entry(nil, "https://0x7f.0.0.1:PORT/"), Entry(nil, "https://0177.0.0.1:PORT/"), Entry(nil, "https://017700000001:PORT/"), Entry(nil, "https://127.1:PORT/"), Entry(nil, "https://127.0.1:PORT/"),
		Entry(nil, "https://169.254.169.254:PORT/latest/meta-data/"), Entry(nil, "https://[fe80::1%25lo]:PORT/"), Entry(nil, "https://[fe80::1]:PORT/"), Entry(nil, "https://[fd00::1]:PORT/"), Entry(nil, "https://[fd00:ec2::254]:PORT/"), Entry(nil, "https://[fc00::1]:PORT/"), Entry(nil, "https://[fec0::1]:PORT/"),
		Entry(nil, "https://10.0.0.1:PORT/"), Entry(nil, "https://172.16.0.1:PORT/"), Entry(nil, "https://172.31.255.255:PORT/"), Entry(nil, "https://192.168.1.1:PORT/"), Entry(nil, "https://100.64.0.1:PORT/"), Entry(nil, "https://198.18.0.1:PORT/"), Entry(nil, "https://192.0.0.170:PORT/"),
		Entry(nil, "https://224.0.0.1:PORT/"), Entry(nil, "https://[ff02::1]:PORT/"), Entry(nil, "https://255.255.255.255:PORT/"), Entry(nil, "https://240.0.0.1:PORT/"),
		Entry(nil, "https://localhost:PORT/"), Entry(nil, "https://localhost.:PORT/"), Entry(nil, "https://x.localhost:PORT/"), Entry(nil, "https://LOCALHOST:PORT/"), Entry(nil, "https://metadata:PORT/"), Entry(nil, "https://metadata.google.internal:PORT/"),
		Entry(nil, "https://shop.example@127.0.0.1:PORT/"), Entry(nil, "https://user:secret@127.0.0.1:PORT/"), Entry(nil, "https://127.0.0.1:PORT#shop.example"),
		Entry(nil, "file:///etc/passwd"), Entry(nil, "gopher://127.0.0.1:PORT/_x"), Entry(nil, "ftp://127.0.0.1:PORT/"), Entry(nil, "dict://127.0.0.1:PORT/"), Entry(nil, "unix:///run/postgresql.sock"),
		Entry(nil, "//127.0.0.1:PORT/"), Entry(nil, "127.0.0.1:PORT"), Entry(nil, "https:///"), Entry(nil, "https:127.0.0.1:PORT"), Entry(nil, ""),
	)

	DescribeTable("does not reach inside by a name", func(v4, v6 []string) {
		c := newCanary()
		g := anyPort(Options{Resolver: names(v4, v6)})
		to := "https://innocent.example:" + c.port + "/"
		Expect(g.Flaw(to)).To(BeEmpty(), "the name looks like any other")
		for range 3 {
			Expect(get(g, to)).To(HaveOccurred())
		}
		Expect(c.touched.Load()).To(BeZero())
	},
		Entry("of the loopback", []string{"127.0.0.1"}, nil),
		Entry("of the loopback in IPv6", nil, []string{"::1"}),
		Entry("of an IPv4 address in IPv6", nil, []string{"::ffff:127.0.0.1"}),
		Entry("of everywhere", []string{"0.0.0.0"}, []string{"::"}),
		Entry("that changes between two looks", []string{"198.51.100.1", "127.0.0.1"}, nil),
		Entry("that means outside in IPv4 and inside in IPv6", []string{"198.51.100.1"}, []string{"::1"}),
		Entry("that means inside in IPv4 and outside in IPv6", []string{"127.0.0.1"}, []string{"2001:db8::1"}),
	)

	It("is the guard's to refuse: without it the same name leads to what is inside", func() {
		c := newCanary()
		g := anyPort(Options{Inside: loopback, Resolver: names([]string{"127.0.0.1"}, nil)})
		plain := http.Client{Transport: g.transport(timeout)}
		answer, err := plain.Get("http://innocent.example:" + c.port)
		Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		Expect(c.touched.Load()).To(BeEquivalentTo(1))
	})

	It("is not sent on to another address", func() {
		c := newCanary()
		g := New(Options{Inside: loopback})
		sending := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:"+c.port, http.StatusFound))
		DeferCleanup(sending.Close)
		Expect(get(g, sending.URL)).To(Succeed())
		Expect(c.touched.Load()).To(BeZero())
	})

	It("does not go through a proxy of the environment, which would dial for us", func() {
		Expect(New(Options{}).transport(timeout).Proxy).To(BeNil())
	})

	DescribeTable("goes to the port of such services only", func(address string, good bool) {
		to := netip.MustParseAddrPort(address)
		Expect(New(Options{}).allows(to)).To(Equal(good))
		Expect(New(Options{}).Flaw("https://" + address)).To(WithTransform(func(flaw string) bool { return flaw == "" }, Equal(good)))
	},
		Entry(nil, "1.1.1.1:443", true), Entry(nil, "1.1.1.1:8443", true), Entry(nil, "[2606:4700::1111]:443", true),
		Entry(nil, "1.1.1.1:25", false), Entry(nil, "1.1.1.1:5432", false), Entry(nil, "1.1.1.1:22", false), Entry(nil, "1.1.1.1:80", false), Entry(nil, "1.1.1.1:6379", false),
	)

	It("reaches what the operator has named, at any port", func() {
		c := newCanary()
		g := New(Options{Inside: loopback})
		Expect(g.Flaw(c.URL)).NotTo(BeEmpty(), "it listens on all addresses, which is no place to go to")
		for _, to := range []string{"http://127.0.0.1:" + c.port, "http://localhost:" + c.port} {
			Expect(g.Flaw(to)).To(BeEmpty())
			Expect(get(g, to)).To(Succeed())
		}
		Expect(g.Flaw("http://login.example")).NotTo(BeEmpty())
		Expect(g.Flaw("https://10.0.0.1")).NotTo(BeEmpty())
	})

	DescribeTable("may go to", func(address string) { Expect(New(Options{}).Flaw(address)).To(BeEmpty()) },
		Entry(nil, "https://login.example.com"), Entry(nil, "https://login.example.com/realms/shop?x=1"), Entry(nil, "https://login.example.com:8443/"), Entry(nil, "https://xn--bcher-kva.example"), Entry(nil, "https://1.1.1.1"), Entry(nil, "https://a1.2b.example."),
	)

	It("does not read an answer without end", func() {
		var sent atomic.Int64
		endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			piece := []byte(strings.Repeat("x", 16<<10))
			for r.Context().Err() == nil {
				n, err := w.Write(piece)
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		}))
		DeferCleanup(endless.Close)
		Expect(get(New(Options{Inside: loopback}), endless.URL)).To(MatchError(ErrTooLong))
		Expect(sent.Load()).To(BeNumerically("<", 64<<20))
	})

	DescribeTable("reads an answer to its end when that is near", func(size int, want error) {
		given := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", size)) }))
		DeferCleanup(given.Close)
		r, err := http.NewRequest(http.MethodGet, given.URL, nil)
		Expect(err).NotTo(HaveOccurred())
		answer, err := New(Options{Inside: loopback}).Client().Do(r)
		Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if want == nil {
			Expect(err).NotTo(HaveOccurred())
		} else {
			Expect(err).To(MatchError(want))
		}
		Expect(body).To(HaveLen(min(size, MaxBody)))
	},
		Entry(nil, 0, nil), Entry(nil, MaxBody-1, nil), Entry(nil, MaxBody, nil), Entry(nil, MaxBody+1, ErrTooLong), Entry(nil, 3*MaxBody, ErrTooLong),
	)

	It("reads more for who asks for more, and no more than that", func() {
		given := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 3*MaxBody)) }))
		DeferCleanup(given.Close)
		read := func(most int) (int, error) {
			r, err := http.NewRequest(http.MethodGet, given.URL, nil)
			Expect(err).NotTo(HaveOccurred())
			answer, err := New(Options{Inside: loopback}).Larger(most, time.Minute).Do(r)
			Expect(err).NotTo(HaveOccurred())
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			return len(body), err
		}
		Expect(read(3 * MaxBody)).To(Equal(3 * MaxBody))
		_, err := read(2 * MaxBody)
		Expect(err).To(MatchError(ErrTooLong))
	})

	It("does not wait for an answer that does not come", func() {
		silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		DeferCleanup(silent.Close)
		g := New(Options{Inside: loopback})
		Expect(g.client.Timeout).To(BeNumerically("<=", 15*time.Second))
		g.client.Timeout = 100 * time.Millisecond
		Expect(get(g, silent.URL)).To(MatchError(context.DeadlineExceeded))
	})
})
