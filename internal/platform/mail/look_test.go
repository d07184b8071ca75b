package mail_test

import (
	"context"
	"database/sql"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a letter of a shop", func() {
	var (
		pool  *db.DB
		super *sql.DB
		d     testkit.Database
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		pool, super = testkit.Open(d.App), testkit.SQL(d.Super)
	})
	founded := func(name, settings string, hosts ...string) uuid.UUID {
		GinkgoHelper()
		id := testkit.NewTenant(d)
		_, err := super.Exec(`update platform.tenant set name = $2, settings = $3 where tenant_id = $1`, id, name, settings)
		Expect(err).NotTo(HaveOccurred())
		for _, h := range hosts {
			_, err := super.Exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2)`, id, h)
			Expect(err).NotTo(HaveOccurred())
		}
		return id
	}
	to := func(tenant uuid.UUID, o mail.Options, m mail.Message) testkit.Letter {
		GinkgoHelper()
		o.Dir = GinkgoT().TempDir()
		if o.LinkBase == "" {
			o.LinkBase = "https://installation.example"
		}
		out, err := mail.New(pool, testkit.Vault(), testkit.Log(), o)
		Expect(err).NotTo(HaveOccurred())
		if m.To == "" {
			m.To = "anna@example.com"
		}
		ctx := testkit.As(tenant)
		Expect(pool.InTx(ctx, func(tx *db.Tx) error { return out.Send(ctx, tx, m) })).To(Succeed())
		running, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- out.Run(running) }()
		var files []string
		Eventually(func() []string {
			files, _ = filepath.Glob(filepath.Join(o.Dir, "*.eml"))
			return files
		}).Should(HaveLen(1))
		stop()
		Eventually(done).Should(Receive(Succeed()))
		content, err := os.ReadFile(files[0])
		Expect(err).NotTo(HaveOccurred())
		return testkit.ReadLetter(content)
	}
	reset := mail.Message{Template: "reset-password", Data: map[string]string{"token": token}}
	forStaff := mail.Message{Template: "invitation", Data: map[string]string{"token": token}, Staff: true}

	It("bears its name, its sender, its colours and its addresses, and nothing of another's", func() {
		harbour := founded("Harbour & Pine", `{"storefrontUrl":"https://harbour.example/shop/?utm=mail#top","senderName":"Mia of Harbour","replyTo":"mia@harbour.example",
			"logoUrl":"https://cdn.harbour.example/logo.png","colours":{"primary":"#114b5f","background":"#fffbe6"}}`, "api.harbour.example")
		kiln := founded("Kiln", `{"colours":{"primary":"#8a1c1c"}}`, "zz.kiln.example", "kiln.example")
		options := mail.Options{From: "Installation <mail@installation.example>", PublicURL: "https://installation.example:8443"}

		theirs, others := to(harbour, options, reset), to(kiln, options, reset)
		Expect(theirs.Header.Get("From")).To(Equal(`"Mia of Harbour" <mail@installation.example>`))
		Expect(theirs.Header.Get("Reply-To")).To(Equal(`"Mia of Harbour" <mia@harbour.example>`))
		Expect(others.Header.Get("From")).To(Equal(`"Kiln" <mail@installation.example>`))
		Expect(others.Header).NotTo(HaveKey("Reply-To"))
		for _, form := range []string{theirs.Text, theirs.HTML} {
			Expect(form).To(ContainSubstring("https://harbour.example/shop/reset-password#token=" + token))
			Expect(form).NotTo(Or(ContainSubstring("Kiln"), ContainSubstring("kiln"), ContainSubstring("installation.example")))
		}
		for _, form := range []string{others.Text, others.HTML} {
			Expect(form).To(ContainSubstring("https://kiln.example:8443/reset-password#token=" + token))
			Expect(strings.ToLower(form)).NotTo(Or(ContainSubstring("harbour"), ContainSubstring("#114b5f"), ContainSubstring("installation.example")))
		}
		Expect(theirs.HTML).To(And(ContainSubstring(`background:#fffbe6`), ContainSubstring("background:#114b5f"), ContainSubstring(`src="https://cdn.harbour.example/logo.png"`)))
		Expect(others.HTML).To(And(ContainSubstring("background:#8a1c1c"), Not(ContainSubstring("<img"))))
	})

	DescribeTable("links to", func(settings, host string, m mail.Message, o mail.Options, link string) {
		var hosts []string
		if host != "" {
			hosts = []string{host}
		}
		l := to(founded("Kiln", settings, hosts...), o, m)
		Expect(l.Text).To(ContainSubstring("\n" + link + "#token=" + token + "\n"))
		Expect(l.HTML).To(ContainSubstring(`href="` + link + `#token=` + token + `"`))
	},
		Entry("its storefront", `{"storefrontUrl":"https://kiln.example"}`, "api.kiln.example", reset, mail.Options{}, "https://kiln.example/reset-password"),
		Entry("its host", `{}`, "kiln.example", reset, mail.Options{}, "https://kiln.example/reset-password"),
		Entry("its host, by the scheme and port of the installation", `{}`, "kiln.localhost", reset, mail.Options{PublicURL: "http://localhost:8080"}, "http://kiln.localhost:8080/reset-password"),
		Entry("where the installation says, when it has no address", `{}`, "", reset, mail.Options{}, "https://installation.example/reset-password"),
		Entry("the administration at its host, for the staff", `{"storefrontUrl":"https://kiln.example"}`, "api.kiln.example", forStaff, mail.Options{}, "https://api.kiln.example/admin/accept-invitation"),
		Entry("the administration of the installation, for the staff", `{"storefrontUrl":"https://kiln.example"}`, "", forStaff, mail.Options{PublicURL: "https://fusion.example"}, "https://fusion.example/admin/accept-invitation"),
		Entry("the one administration of all shops, for the staff", `{}`, "api.kiln.example", forStaff, mail.Options{AdminBase: "https://admin.example/"}, "https://admin.example/accept-invitation"),
		Entry("nothing that is no address of the web", `{"storefrontUrl":"javascript:alert(1)"}`, "", reset, mail.Options{}, "https://installation.example/reset-password"),
	)

	It("of the operator is sent in the name that stands before the installation's sender", func() {
		Expect(to(identity.DefaultTenant, mail.Options{From: "Harbour <mail@example.com>"}, reset).Header.Get("From")).To(Equal(`"Harbour" <mail@example.com>`))
	})

	It("is not given another header by what a shop decides", func() {
		l := to(founded("Kiln", `{"senderName":"Kiln\r\nBcc: all@example.com","replyTo":"a@kiln.example\r\nBcc: all@example.com"}`), mail.Options{From: "mail@example.com"}, reset)
		Expect(l.Header).NotTo(Or(HaveKey("Bcc"), HaveKey("Reply-To")))
		Expect(l.Header.Get("From")).To(Equal(`"Kiln Bcc: all@example.com" <mail@example.com>`))
	})

	DescribeTable("can be read in any colours", func(primary, background, text string) {
		settings := `{"colours":{"primary":"` + primary + `","background":"` + background + `","text":"` + text + `"}}`
		html := to(founded("Kiln", settings), mail.Options{}, reset).HTML
		one := func(pattern string) string {
			GinkgoHelper()
			m := regexp.MustCompile(pattern).FindStringSubmatch(html)
			Expect(m).NotTo(BeNil(), "%s", html)
			return m[1]
		}
		Expect(contrast(one(`<body style="margin:0;background:(#\w{6})`), one(`font-weight:600;color:(#\w{6})`))).To(BeNumerically(">=", 4.5), "the shop's name")
		Expect(contrast("#ffffff", one(`background:#fff;color:(#\w{6})`))).To(BeNumerically(">=", 4.5), "the letter")
		Expect(contrast(one(`inline-block;background:(#\w{6})`), one(`inline-block;background:#\w{6};color:(#\w{6})`))).To(BeNumerically(">=", 4.5), "the button")
	},
		Entry("all white", "#ffffff", "#ffffff", "#ffffff"),
		Entry("all black", "#000000", "#000000", "#000000"),
		Entry("all grey", "#777777", "#777777", "#777777"),
		Entry("yellow on white", "#ffee00", "#ffffff", "#ffee00"),
		Entry("dark on dark", "#101010", "#202020", "#303030"),
		Entry("red on green", "#ff0000", "#00ff00", "#ff0000"),
		Entry("what is no colour", "red;}", "#12", "url(x)"),
	)

	DescribeTable("calls nobody by what is no name", func(name string) {
		l := to(founded("Kiln", `{}`), mail.Options{}, mail.Message{Template: "reset-password", Data: map[string]string{"token": token, "name": name}})
		Expect(l.Text).To(HavePrefix("Hello,\n"))
		Expect(l.HTML).To(ContainSubstring("<p>Hello,</p>"))
	},
		Entry("a link", "Click http://evil.example"),
		Entry("a host", "Click evil.example now"),
		Entry("a host with the point of another script", "Click evil。example now"),
		Entry("a host with www", "www.evil"),
		Entry("a path", "evil/x"),
		Entry("an address of mail", "ask ana@evil"),
		Entry("a scheme", "tel:+351912345678"),
		Entry("a tag", "<a>Anna"),
		Entry("a link as Markdown", "[Anna]"),
		Entry("a message", strings.Repeat("You have won a prize, call us. ", 4)),
	)

	DescribeTable("calls people by their names", func(name, shown string) {
		l := to(founded("Kiln", `{}`), mail.Options{}, mail.Message{Template: "reset-password", Data: map[string]string{"token": token, "name": name}})
		Expect(l.Text).To(HavePrefix("Hello " + shown + ",\n"))
	},
		Entry(nil, "Zoë O'Neill-Körner", "Zoë O'Neill-Körner"),
		Entry(nil, "J. R. R. Tolkien", "J. R. R. Tolkien"),
		Entry(nil, "J.R. Smith, Jr.", "J.R. Smith, Jr."),
		Entry(nil, "李小龍", "李小龍"),
		Entry("on one line", "Anna\r\n\r\nBerg", "Anna Berg"),
	)
})

// contrast of two colours (WCAG 2.2), reckoned apart from the program.
func contrast(one, other string) float64 {
	GinkgoHelper()
	luminance := func(text string) (sum float64) {
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(text[1+2*i:3+2*i], 16, 8)
			Expect(err).NotTo(HaveOccurred())
			c := float64(n) / 255
			if c <= 0.04045 {
				sum += weight * c / 12.92
			} else {
				sum += weight * math.Pow((c+0.055)/1.055, 2.4)
			}
		}
		return sum
	}
	a, b := luminance(one), luminance(other)
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}
