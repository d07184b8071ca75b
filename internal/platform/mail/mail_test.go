package mail_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

const token = "tok-3f9a27c1b0"

var _ = Describe("mail", func() {
	var (
		d      testkit.Database
		pool   *db.DB
		super  *sql.DB
		tenant uuid.UUID
		box    *postbox
		logged *bytes.Buffer
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		pool, super, tenant = testkit.Open(d.App), testkit.SQL(d.Super), testkit.NewTenant(d)
		logged = &bytes.Buffer{}
	})
	outbox := func(o mail.Options) *mail.Outbox {
		GinkgoHelper()
		if o.From == "" {
			o.From = "shop@example.com"
		}
		o.LinkBase = "https://shop.example.com/"
		out, err := mail.New(pool, testkit.Vault(), slog.New(slog.NewTextHandler(logged, nil)), o)
		Expect(err).NotTo(HaveOccurred())
		return out
	}
	over := func(scheme, user, query string) mail.Options {
		return mail.Options{SMTPURL: scheme + "://" + user + box.addr + query, CAFile: box.caFile}
	}
	// run delivers until the function is called that comes back, or the spec ends.
	run := func(o *mail.Outbox) (stop func()) {
		GinkgoHelper()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		var stopped bool
		stop = func() {
			GinkgoHelper()
			if !stopped {
				stopped = true
				cancel()
				Eventually(done).Should(Receive(Succeed()))
			}
		}
		DeferCleanup(stop)
		return stop
	}
	send := func(o *mail.Outbox, m mail.Message) error {
		return pool.InTx(testkit.As(tenant), func(tx *db.Tx) error { return o.Send(testkit.As(tenant), tx, m) })
	}
	reset := mail.Message{To: "anna@example.com", Template: "reset-password", Data: map[string]string{"token": token, "name": "Anna"}}
	waiting := func(o *mail.Outbox) []mail.Waiting {
		GinkgoHelper()
		list, err := o.List(context.Background())
		Expect(err).NotTo(HaveOccurred())
		return list
	}
	// now makes what waits due.
	now := func() {
		GinkgoHelper()
		_, err := super.Exec(`update platform.mail set available_at = now()`)
		Expect(err).NotTo(HaveOccurred())
	}
	letters := func() []received { return box.received() }

	Describe("over SMTP", func() {
		BeforeEach(func() { box = openPostbox(false, "STARTTLS", "AUTH PLAIN") })

		It("is delivered once it is committed, encrypted, to a server that we have signed in at", func() {
			o := outbox(over("smtp", "shop:open%20sesame@", ""))
			run(o)
			Expect(send(o, reset)).To(Succeed())
			Eventually(letters).Should(HaveLen(1))
			got := letters()[0]
			Expect(got.Encrypted).To(BeTrue())
			Expect(got.SignedIn).To(Equal("|shop|open sesame"))
			Expect(got.From).To(HavePrefix("FROM:<shop@example.com>"))
			Expect(got.To).To(Equal("TO:<anna@example.com>"))
			l := testkit.ReadLetter([]byte(got.Content))
			Expect(l.Subject).To(Equal("Choose a new password"))
			Expect(l.Header.Get("From")).To(Equal(`"Spec shop" <shop@example.com>`))
			Expect(l.Header.Get("Message-ID")).To(MatchRegexp(`^<[0-9a-f-]{36}@example\.com>$`))
			Expect(l.Token()).To(Equal(token))
			for _, form := range []string{l.Text, l.HTML} {
				Expect(form).To(And(ContainSubstring("Hello Anna,"), ContainSubstring("https://shop.example.com/reset-password#token="+token), ContainSubstring("Spec shop")))
			}
			Eventually(func() []mail.Waiting { return waiting(o) }).Should(BeEmpty())
			Consistently(letters, "1200ms").Should(HaveLen(1))
		})
		It("is not sent when the transaction does not come true", func() {
			o := outbox(over("smtp", "", ""))
			run(o)
			Expect(pool.InTx(testkit.As(tenant), func(tx *db.Tx) error {
				Expect(o.Send(testkit.As(tenant), tx, reset)).To(Succeed())
				return errors.New("changed my mind")
			})).To(MatchError("changed my mind"))
			Expect(send(o, mail.Message{To: "ben@example.com", Template: "password-changed"})).To(Succeed())
			Eventually(letters).Should(HaveLen(1))
			Expect(letters()[0].To).To(Equal("TO:<ben@example.com>"))
			Expect(waiting(o)).To(Or(BeEmpty(), HaveLen(1)))
		})
		It("does not talk to a server whose certificate nobody vouches for", func() {
			options := over("smtp", "shop:open%20sesame@", "")
			options.CAFile = ""
			o := outbox(options)
			run(o)
			Expect(send(o, reset)).To(Succeed())
			Eventually(func() string { return waiting(o)[0].LastError }).Should(ContainSubstring("STARTTLS: tls: failed to verify certificate"))
			Expect(letters()).To(BeEmpty())
			where, err := mail.Check(context.Background(), options)
			Expect(where).To(Equal("SMTP at " + box.addr))
			Expect(err).To(MatchError(ContainSubstring("certificate")))
		})
		It("goes over TLS from the first word with smtps", func() {
			box = openPostbox(true, "AUTH PLAIN")
			o := outbox(over("smtps", "shop:open%20sesame@", ""))
			run(o)
			_, err := mail.Check(context.Background(), over("smtps", "shop:open%20sesame@", ""))
			Expect(err).NotTo(HaveOccurred())
			Expect(send(o, reset)).To(Succeed())
			Eventually(letters).Should(ConsistOf(And(HaveField("Encrypted", true), HaveField("SignedIn", "|shop|open sesame"))))
		})
		It("waits while the server has no time, and comes later", func() {
			box.answers(func(command string) string {
				if strings.HasPrefix(command, "RCPT") {
					return "451 4.7.1 <ANNA@example.com> greylisted, try later"
				}
				return ""
			})
			o := outbox(over("smtp", "", ""))
			stop := run(o)
			Expect(send(o, reset)).To(Succeed())
			Eventually(func() string { return waiting(o)[0].LastError }).Should(And(ContainSubstring("451"), ContainSubstring("greylisted")))
			stop()
			w := waiting(o)[0]
			Expect(w).To(And(HaveField("Attempts", 1), HaveField("To", "a***@e***.com"), HaveField("Template", "reset-password"), HaveField("Tenant", tenant)))
			Expect(w.NextTry).NotTo(BeNil())
			Expect(strings.ToLower(w.LastError + logged.String())).NotTo(ContainSubstring("anna@"))
			var seconds float64
			Expect(super.QueryRow(`select extract(epoch from available_at - now()) from platform.mail`).Scan(&seconds)).To(Succeed())
			Expect(seconds).To(And(BeNumerically(">", 0), BeNumerically("<=", 15)))
			box.answers(nil)
			now()
			run(o)
			Eventually(letters).Should(HaveLen(1))
			Eventually(func() []mail.Waiting { return waiting(o) }).Should(BeEmpty())
		})
		It("is put aside at once when the server refuses it for good, and shown until somebody decides", func() {
			box.answers(func(command string) string {
				if strings.HasPrefix(command, "RCPT") {
					return "550 5.1.1 nobody here"
				}
				return ""
			})
			o := outbox(over("smtp", "", ""))
			run(o)
			Expect(send(o, reset)).To(Succeed())
			Eventually(func() []mail.Waiting { return waiting(o) }).Should(ConsistOf(And(HaveField("NextTry", BeNil()), HaveField("LastError", ContainSubstring("550")), HaveField("Attempts", 1))))
			box.answers(nil)
			Consistently(letters, "1200ms").Should(BeEmpty())
			Expect(o.Retry(context.Background(), uuid.Nil)).To(BeEquivalentTo(1))
			Eventually(letters).Should(HaveLen(1))
		})
		It("is put aside after eight tries, and given up by who says so", func() {
			box.answers(func(command string) string {
				if strings.HasPrefix(command, "MAIL") {
					return "550 5.7.1 we do not know you" // about us, not about the letter
				}
				return ""
			})
			o := outbox(over("smtp", "", ""))
			run(o)
			Expect(send(o, reset)).To(Succeed())
			for tries := 1; tries <= 8; tries++ {
				Eventually(func() mail.Waiting { return waiting(o)[0] }).Should(And(HaveField("Attempts", tries), HaveField("LastError", ContainSubstring("550"))))
				if tries < 8 {
					Eventually(func() error {
						n, err := super.Exec(`update platform.mail set available_at = now(), last_error = null where last_error is not null`)
						Expect(err).NotTo(HaveOccurred())
						if rows, _ := n.RowsAffected(); rows == 0 {
							return errors.New("still trying")
						}
						return nil
					}).Should(Succeed())
				}
			}
			Eventually(func() mail.Waiting { return waiting(o)[0] }).Should(HaveField("NextTry", BeNil()))
			Expect(o.Drop(context.Background(), waiting(o)[0].ID)).To(BeEquivalentTo(1))
			Expect(waiting(o)).To(BeEmpty())
		})
		It("comes again as the same letter when the program ends before it has noted the delivery", func() {
			lock, err := super.Begin()
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = lock.Rollback() }) // when it fails before
			var once bool
			box.answers(func(command string) string {
				if command == "." && !once {
					once = true
					if _, err := lock.Exec(`select from platform.mail for update`); err != nil {
						return "451 " + err.Error()
					}
				}
				return ""
			})
			o := outbox(over("smtp", "", ""))
			stop := run(o)
			Expect(send(o, reset)).To(Succeed())
			Eventually(letters).Should(HaveLen(1))
			stop() // cannot note it: the row is locked
			Expect(lock.Rollback()).To(Succeed())
			Expect(waiting(o)).To(ConsistOf(HaveField("Attempts", 1)))
			now()
			run(o)
			Eventually(letters).Should(HaveLen(2))
			got := letters()
			Expect(got[1].Content).To(Equal(got[0].Content))
			Eventually(func() []mail.Waiting { return waiting(o) }).Should(BeEmpty())
		})
		It("is delivered once by two programs on one database", func() {
			o, other := outbox(over("smtp", "", "")), outbox(over("smtp", "", ""))
			run(o)
			run(other)
			for i := range 30 {
				Expect(send(o, mail.Message{To: fmt.Sprintf("p%d@example.com", i), Template: "password-changed"})).To(Succeed())
			}
			Eventually(letters).Should(HaveLen(30))
			Eventually(func() []mail.Waiting { return waiting(o) }).Should(BeEmpty())
			Expect(letters()).To(HaveLen(30))
		})
	})

	Describe("without a mail server", func() {
		It("becomes a file that only its owner reads", func() {
			dir := filepath.Join(GinkgoT().TempDir(), "mail")
			o := outbox(mail.Options{Dir: dir})
			run(o)
			Expect(send(o, reset)).To(Succeed())
			var files []string
			Eventually(func() []string {
				files, _ = filepath.Glob(filepath.Join(dir, "*.eml"))
				return files
			}).Should(HaveLen(1))
			info, err := os.Stat(files[0])
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
			content, err := os.ReadFile(files[0])
			Expect(err).NotTo(HaveOccurred())
			Expect(testkit.ReadLetter(content).Token()).To(Equal(token))
			Eventually(func() []mail.Waiting { return waiting(o) }).Should(BeEmpty())
			Expect(os.ReadDir(dir)).To(HaveLen(1))
		})
	})

	It("lies in the database sealed", func() {
		o := outbox(mail.Options{Dir: GinkgoT().TempDir()})
		Expect(send(o, reset)).To(Succeed())
		var row string
		Expect(super.QueryRow(`select m::text || encode(sealed, 'escape') from platform.mail m`).Scan(&row)).To(Succeed())
		Expect(row).NotTo(Or(ContainSubstring(token), ContainSubstring("anna"), ContainSubstring("Anna"), ContainSubstring("reset-password")))
	})
	It("to somebody who is forgotten does not leave", func() {
		o := outbox(mail.Options{Dir: GinkgoT().TempDir()})
		Expect(send(o, reset)).To(Succeed())
		Expect(send(o, mail.Message{To: "ben@example.com", Template: "password-changed"})).To(Succeed())
		Expect(pool.InTx(testkit.As(tenant), func(tx *db.Tx) error { return o.Forget(testkit.As(tenant), tx, "Anna@Example.com") })).To(Succeed())
		Expect(waiting(o)).To(ConsistOf(HaveField("To", "b***@e***.com")))
	})
	It("cannot be given another header by what people write", func() {
		dir := GinkgoT().TempDir()
		_, err := super.Exec(`update platform.tenant set name = E'Evil\r\nBcc: all@example.com\r\n\r\n<b>Körner & Söhne</b>' where tenant_id = $1`, tenant)
		Expect(err).NotTo(HaveOccurred())
		o := outbox(mail.Options{Dir: dir})
		run(o)
		Expect(send(o, mail.Message{To: "anna@example.com", Template: "invitation", Data: map[string]string{
			"token": "a&b\r\nX-Token: 1", "inviter": "Zoë\r\nX-Inviter: yes", "name": "<script>alert(1)</script>",
		}})).To(Succeed())
		var files []string
		Eventually(func() []string {
			files, _ = filepath.Glob(filepath.Join(dir, "*.eml"))
			return files
		}).Should(HaveLen(1))
		content, err := os.ReadFile(files[0])
		Expect(err).NotTo(HaveOccurred())
		head, _, _ := strings.Cut(string(content), "\r\n\r\n")
		Expect(head).NotTo(MatchRegexp(`(?m)[^\x00-\x7f]`), "headers are ASCII")
		l := testkit.ReadLetter(content)
		Expect(l.Header).To(HaveLen(8))
		Expect(l.Header).NotTo(Or(HaveKey("Bcc"), HaveKey("X-Inviter"), HaveKey("X-Token")))
		Expect(l.Subject).To(Equal("Zoë X-Inviter: yes invites you to Evil Bcc: all@example.com <b>Körner & Söhne</b>"))
		Expect(l.HTML).To(ContainSubstring("&lt;b&gt;Körner &amp; Söhne&lt;/b&gt;"))
		Expect(l.HTML).NotTo(ContainSubstring("<script>"))
	})
	DescribeTable("is not taken for what is no address", func(to string) {
		o := outbox(mail.Options{Dir: GinkgoT().TempDir()})
		m := reset
		m.To = to
		err := send(o, m)
		Expect(fault.From(err)).To(HaveField("Code", "invalid_email"))
		Expect(waiting(o)).To(BeEmpty())
	},
		Entry("nothing", ""),
		Entry("a word", "anna"),
		Entry("a name with it", "Anna <anna@example.com>"),
		Entry("two", "anna@example.com, ben@example.com"),
		Entry("a line more", "anna@example.com\r\nBcc: ben@example.com"),
		Entry("a line more, quoted", "\"anna\r\n\"@example.com"),
		Entry("a command more", "anna@example.com>\r\nRCPT TO:<ben@example.com"),
		Entry("a space", `"an na"@example.com`),
		Entry("too long", strings.Repeat("a", 250)+"@example.com"),
	)
	DescribeTable("has words for", func(template string, data map[string]string, says string) {
		dir := GinkgoT().TempDir()
		o := outbox(mail.Options{Dir: dir})
		run(o)
		Expect(send(o, mail.Message{To: "anna@example.com", Template: template, Data: data})).To(Succeed())
		var files []string
		Eventually(func() []string {
			files, _ = filepath.Glob(filepath.Join(dir, "*.eml"))
			return files
		}).Should(HaveLen(1))
		content, err := os.ReadFile(files[0])
		Expect(err).NotTo(HaveOccurred())
		l := testkit.ReadLetter(content)
		Expect(l.Token()).To(Equal(data["token"]))
		for _, form := range []string{l.Text, l.HTML} {
			Expect(form).To(And(ContainSubstring(says), ContainSubstring("Spec shop"), ContainSubstring("https://shop.example.com/")))
			Expect(form).NotTo(Or(ContainSubstring("{{"), ContainSubstring("<no value>"), ContainSubstring("ZgotmplZ")))
		}
	},
		Entry(nil, "verify-email", map[string]string{"token": token}, "/verify-email#token="+token),
		Entry(nil, "confirm-new-email", map[string]string{"token": token}, "/verify-email#token="+token),
		Entry(nil, "second-factor-removed", map[string]string{}, "/forgot-password"),
		Entry(nil, "email-change", map[string]string{}, "/forgot-password"),
		Entry(nil, "account-exists", nil, "/sign-in"),
		Entry(nil, "reset-password", map[string]string{"token": token}, "/reset-password#token="+token),
		Entry(nil, "password-changed", nil, "/forgot-password"),
		Entry(nil, "invitation", map[string]string{"token": token, "inviter": "Ben", "role": "manager"}, "Ben invites you to work in Spec shop as manager."),
		Entry(nil, "account-locked", map[string]string{"until": "14:30 UTC"}, "for a while, until 14:30 UTC."),
		Entry(nil, "claim-orders", map[string]string{"token": token, "orders": "2"}, "/claim-orders#token="+token),
		Entry(nil, "claim-orders", map[string]string{"token": token, "orders": "1"}, "1 order was placed at Spec shop"),
		Entry("with what goes back", "order-short", map[string]string{"order": "1017", "refund": "25.00 EUR"}, "goes back to you: 25.00 EUR."),
		Entry("of an unpaid one", "order-short", map[string]string{"order": "1017"}, "You have paid nothing for it."),
	)
	It("is not taken without what its words need", func() {
		o := outbox(mail.Options{Dir: GinkgoT().TempDir()})
		Expect(send(o, mail.Message{To: "anna@example.com", Template: "reset-password"})).To(MatchError(ContainSubstring("needs token")))
		Expect(send(o, mail.Message{To: "anna@example.com", Template: "greetings"})).To(MatchError(ContainSubstring("no mail template")))
	})
	DescribeTable("is not configured by", func(url string) {
		_, err := mail.New(pool, testkit.Vault(), slog.New(slog.DiscardHandler), mail.Options{SMTPURL: url})
		Expect(err).To(MatchError(And(ContainSubstring("must be smtp://"), Not(ContainSubstring("sesame")))))
	},
		Entry("a web address", "https://shop:sesame@example.com"),
		Entry("no host", "smtp://"),
		Entry("a path", "smtp://shop:sesame@example.com/inbox"),
		Entry("an unknown parameter", "smtp://shop:sesame@example.com?tls=off"),
		Entry("what is no URL", "smtp://shop:sesame@exa mple"),
	)
})
