package httpx

import (
	"net"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

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

	It("are as many as it may have, and make room when they end", func() {
		addr, stay := listens(2)
		dial(addr)
		dial(addr)
		var first net.Conn
		Eventually(stay).Should(Receive(&first))
		Eventually(stay).Should(Receive())
		_, err := dial(addr).Read(make([]byte, 1))
		Expect(err).To(HaveOccurred(), "the third is closed")
		Expect(stay).NotTo(Receive())
		Expect(first.Close()).To(Succeed())
		Expect(first.Close()).NotTo(Succeed(), "and counts once")
		dial(addr)
		Eventually(stay).Should(Receive())
		_, err = dial(addr).Read(make([]byte, 1))
		Expect(err).To(HaveOccurred())
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
