package mail

import (
	"bufio"
	"net"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// faraway is a connection to another machine.
type faraway struct{ net.Conn }

func (faraway) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

var _ = Describe("a mail server on another machine", func() {
	// greeted is what comes of a server that offers no STARTTLS.
	greeted := func(url string) error {
		GinkgoHelper()
		box, err := parseURL(url)
		Expect(err).NotTo(HaveOccurred())
		ours, theirs := net.Pipe()
		DeferCleanup(ours.Close)
		DeferCleanup(theirs.Close)
		go func() {
			lines := bufio.NewScanner(theirs)
			_, _ = theirs.Write([]byte("220 mail.example ESMTP\r\n"))
			for lines.Scan() {
				_, _ = theirs.Write([]byte("250-mail.example\r\n250 8BITMIME\r\n"))
			}
		}()
		_, err = box.greet(faraway{ours})
		return err
	}

	It("is told nothing in the clear, unless the operator says so", func() {
		Expect(greeted("smtp://mail.example")).To(MatchError(ErrPlain))
		Expect(greeted("smtp://shop:sesame@mail.example")).To(MatchError(ErrPlain))
		Expect(greeted("smtp://mail.example?starttls=off")).To(Succeed())
	})
})
