package httpx

import (
	"net"
	"net/netip"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// arrivals are addresses from where connections come, one after the other.
type arrivals []string

func (a arrivals) listener() net.Listener { return &arriving{next: a} }

type arriving struct {
	net.Listener
	next arrivals
}

func (a *arriving) Accept() (net.Conn, error) {
	from, err := net.ResolveTCPAddr("tcp", a.next[0])
	a.next = a.next[1:]
	return arrived{from: from}, err
}

type arrived struct {
	net.Conn
	from net.Addr
}

func (a arrived) RemoteAddr() net.Addr { return a.from }
func (arrived) Close() error           { return nil }

var _ = Describe("connections of one address", func() {
	// listens gives the connections that may stay.
	listens := func(most int, trusted ...netip.Prefix) (addr string, stay chan net.Conn) {
		GinkgoHelper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(ln.Close)
		stay = make(chan net.Conn, 100)
		bounded := Bound(ln, most, trusted)
		go func() {
			for {
				conn, err := bounded.Accept()
				if err != nil {
					return
				}
				stay <- conn
			}
		}()
		return ln.Addr().String(), stay
	}
	dial := func(addr string) net.Conn {
		GinkgoHelper()
		c, err := net.Dial("tcp", addr)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		return c
	}

	// refused is a connection that is closed without an answer.
	refused := func(addr string) {
		GinkgoHelper()
		c := dial(addr)
		Expect(c.SetReadDeadline(time.Now().Add(10 * time.Second))).To(Succeed())
		_, err := c.Read(make([]byte, 1))
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(os.ErrDeadlineExceeded), "it stays")
	}

	It("are as many as it may have, and make room when they end", func() {
		addr, stay := listens(2)
		dial(addr)
		dial(addr)
		var first net.Conn
		Eventually(stay).Should(Receive(&first))
		Eventually(stay).Should(Receive())
		refused(addr)
		Expect(stay).NotTo(Receive())
		Expect(first.Close()).To(Succeed())
		Expect(first.Close()).NotTo(Succeed(), "and counts once")
		dial(addr)
		Eventually(stay).Should(Receive())
		refused(addr)
	})

	It("are those of a whole network with IPv6, which has many addresses", func() {
		bounded := Bound(arrivals{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::ffff:3]:1", "[2001:db8:0:1::1]:1"}.listener(), 2, nil)
		for _, from := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"} {
			conn, err := bounded.Accept()
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.RemoteAddr().String()).To(Equal(from))
		}
	})

	DescribeTable("are any number", func(most int, trusted ...netip.Prefix) {
		addr, stay := listens(most, trusted...)
		for range 5 {
			dial(addr)
			Eventually(stay).Should(Receive())
		}
	},
		Entry("without a bound", 0),
		Entry("of a proxy that is trusted, which brings those of everybody", 2, netip.MustParsePrefix("127.0.0.0/8")),
	)
})
