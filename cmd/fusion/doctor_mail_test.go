package main

import (
	"crypto/tls"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/certkit"
)

// mailServer is one that speaks TLS when asked, lets in who shows the password, and takes no letter.
func mailServer(certFile, keyFile string) (addr string) {
	GinkgoHelper()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	Expect(err).NotTo(HaveOccurred())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(ln.Close)
	talk := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		words := textproto.NewConn(conn)
		say := func(line string) { _ = words.PrintfLine("%s", line) }
		say("220 ready")
		for {
			line, err := words.ReadLine()
			if err != nil {
				return
			}
			switch verb, _, _ := strings.Cut(line, " "); verb {
			case "EHLO":
				say("250-here")
				say("250-STARTTLS")
				say("250 AUTH PLAIN")
			case "STARTTLS":
				say("220 go on")
				words = textproto.NewConn(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
			case "AUTH":
				if line == "AUTH PLAIN AHNob3AAb3BlbiBzZXNhbWU=" {
					say("235 welcome")
				} else {
					say("535 5.7.8 wrong")
				}
			case "QUIT":
				say("221 bye")
				return
			default:
				say("503 no letters today")
			}
		}
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go talk(conn)
		}
	}()
	return ln.Addr().String()
}

var _ = Describe("fusion doctor about mail", func() {
	var d testkit.Database
	BeforeEach(func() { d = testkit.NewDatabase() })
	found := func(settings ...string) (finding, int) {
		GinkgoHelper()
		c := fusion(onDatabase(d, settings...), "doctor", "--json")
		Expect(c.out + c.err).NotTo(ContainSubstring("sesame"))
		for _, f := range parsed[struct{ Findings []finding }](c).Findings {
			if f.Check == "mail" {
				return f, c.code
			}
		}
		Fail("nothing about mail: " + c.out)
		return finding{}, 0
	}
	const from = "FUSION_MAIL_FROM=shop@example.com"

	It("signs in at the server, over TLS, and hands nothing over", func() {
		authority := certkit.New()
		addr := mailServer(authority.Issue("mail", "127.0.0.1", time.Hour))
		f, code := found(from, "FUSION_MAIL_SMTP_URL=smtp://shop:open%20sesame@"+addr, "FUSION_MAIL_CA_FILE="+authority.File)
		Expect(f).To(Equal(finding{"mail", fine, "SMTP at " + addr + " takes letters from shop@example.com", ""}))
		Expect(code).To(BeZero())
	})

	It("says that the password is wrong, that the certificate cannot be trusted, and that nobody answers", func() {
		authority := certkit.New()
		addr := mailServer(authority.Issue("mail", "127.0.0.1", time.Hour))
		f, code := found(from, "FUSION_MAIL_SMTP_URL=smtp://shop:closed%20sesame@"+addr, "FUSION_MAIL_CA_FILE="+authority.File)
		Expect(f.State).To(Equal(problem))
		Expect(f.Detail).To(And(ContainSubstring(addr+" does not let the shop in"), ContainSubstring("535")))
		Expect(f.Fix).To(ContainSubstring("the password in mail.smtp_url"))
		Expect(code).To(Equal(exitProblems))

		f, _ = found(from, "FUSION_MAIL_SMTP_URL=smtp://shop:open%20sesame@"+addr)
		Expect(f.State).To(Equal(problem))
		Expect(f.Fix).To(ContainSubstring("mail.ca_file"))

		f, _ = found(from, "FUSION_MAIL_SMTP_URL=smtp://shop:open%20sesame@127.0.0.1:1")
		Expect(f).To(And(HaveField("State", problem), HaveField("Detail", ContainSubstring("SMTP at 127.0.0.1:1 is out of reach")), HaveField("Fix", ContainSubstring("the host and the port"))))
	})

	It("looks whether letters can become files, and leaves none", func() {
		dir := cleanFolder()
		f, code := found("FUSION_MAIL_DIR=" + filepath.Join(dir, "not", "there", "yet"))
		Expect(f).To(And(HaveField("State", fine), HaveField("Detail", ContainSubstring("mail.smtp_url"))))
		Expect(code).To(BeZero())
		Expect(os.ReadDir(dir)).To(BeEmpty())

		file := filepath.Join(dir, "file")
		Expect(os.WriteFile(file, nil, 0o600)).To(Succeed())
		f, code = found("FUSION_MAIL_DIR=" + filepath.Join(file, "mail"))
		Expect(f).To(And(HaveField("State", problem), HaveField("Fix", ContainSubstring("mail.dir"))))
		Expect(code).To(Equal(exitProblems))
	})
})
