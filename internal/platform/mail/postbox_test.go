package mail_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// postbox is a mail server that keeps what it is given.
type postbox struct {
	addr     string
	caFile   string
	identity tls.Certificate
	// offers are its extensions: STARTTLS, AUTH PLAIN.
	offers []string

	mu      sync.Mutex
	answer  func(command string) string
	letters []received
}

type received struct {
	From, To, Content string
	Encrypted         bool
	SignedIn          string
}

// openPostbox listens until the spec ends. With implicit, TLS comes before the first word.
func openPostbox(implicit bool, offers ...string) *postbox {
	GinkgoHelper()
	p := &postbox{offers: offers}
	p.identity, p.caFile = certificate()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	p.addr = ln.Addr().String()
	DeferCleanup(ln.Close)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if implicit {
				conn = tls.Server(conn, p.tls())
			}
			go p.talk(conn, implicit)
		}
	}()
	return p
}

func (p *postbox) tls() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{p.identity}} }

// answers decides about commands ("." is the end of a letter) from now on; "" is the usual answer.
func (p *postbox) answers(answer func(command string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *postbox) decided(command string) string {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		return ""
	}
	return answer(command)
}

func (p *postbox) received() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]received{}, p.letters...)
}

func (p *postbox) talk(conn net.Conn, encrypted bool) {
	defer conn.Close()
	r := textproto.NewReader(bufio.NewReader(conn))
	say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 postbox ESMTP")
	got := received{Encrypted: encrypted}
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		if a := p.decided(line); a != "" {
			say(a)
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-postbox")
			for _, o := range p.offers {
				if o != "STARTTLS" || !got.Encrypted {
					say("250-" + o)
				}
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			secure := tls.Server(conn, p.tls())
			if secure.Handshake() != nil {
				return
			}
			conn, got.Encrypted = secure, true
			r = textproto.NewReader(bufio.NewReader(conn))
		case "AUTH":
			_, secret, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(secret)
			got.SignedIn = strings.ReplaceAll(string(plain), "\x00", "|")
			if got.SignedIn != "|shop|open sesame" {
				say("535 wrong")
				continue
			}
			say("235 welcome")
		case "MAIL":
			got.From = rest
			say("250 ok")
		case "RCPT":
			got.To = rest
			say("250 ok")
		case "DATA":
			say("354 go on")
			content, err := r.ReadDotBytes()
			if err != nil {
				return
			}
			got.Content = string(content)
			p.mu.Lock()
			p.letters = append(p.letters, got)
			p.mu.Unlock()
			if a := p.decided("."); a != "" {
				say(a)
				continue
			}
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what?")
		}
	}
}

// certificate of 127.0.0.1, and the file of the authority that has signed it.
func certificate() (tls.Certificate, string) {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postbox"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(GinkgoT().TempDir(), "ca.pem")
	Expect(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)).To(Succeed())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
