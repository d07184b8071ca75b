package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

func key(seed string) (text string) {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(seed, 32)))
}

var _ = Describe("the master key", func() {
	var (
		d    testkit.Database
		dir  string
		base []string
	)
	BeforeEach(func() {
		d, dir = testkit.NewDatabase(), GinkgoT().TempDir()
		base = []string{"FUSION_DATABASE_URL=" + d.App, "FUSION_DATA=" + dir}
	})
	with := func(more ...string) []string { return append(append([]string{}, base...), more...) }
	file := func() string { return filepath.Join(dir, "secrets.key") }

	It("is made at the first start, for the owner of the folder only, and found again at the next", func() {
		addr := unusedAddress()
		first := serving(addr, base)
		content, err := os.ReadFile(file())
		Expect(err).NotTo(HaveOccurred())
		info, err := os.Stat(file())
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		first.end()
		serving(addr, base).end()
		Expect(os.ReadFile(file())).To(Equal(content))
		c := fusion(base, "secrets", "status")
		Expect(c.code).To(BeZero())
		Expect(c.out).To(MatchRegexp(`[0-9a-f]{16} +current +0`))
	})
	It("of another shop is refused with what to do, as is none where there was one", func() {
		Expect(fusion(with("FUSION_SECRETS_KEY="+key("a")), "secrets", "status").code).To(BeZero())
		for _, wrong := range [][]string{with("FUSION_SECRETS_KEY=" + key("b")), base} {
			c := fusion(append(wrong, "FUSION_ADDR=127.0.0.1:0", "FUSION_OPS_ADDR="), "serve")
			Expect(c.code).To(Equal(exitConfig))
			Expect(c.err).To(And(ContainSubstring("sealed by another master key"), ContainSubstring("Set FUSION_SECRETS_KEY to the key that the shop has had")))
			Expect(c.err).NotTo(Or(ContainSubstring(key("a")), ContainSubstring(key("b"))))
			Expect(fusion(wrong, "doctor").out).To(MatchRegexp(`✗ secrets +the secrets in this database are sealed by another master key`))
		}
		Expect(file()).NotTo(BeAnExistingFile())
	})
	It("that is none is refused", func() {
		c := fusion(with("FUSION_SECRETS_KEY=open sesame", "FUSION_SECRETS_PREVIOUS_KEYS="+key("a")+",short"), "secrets", "status")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(And(ContainSubstring("secrets.key from env FUSION_SECRETS_KEY is wrong"), ContainSubstring("secrets.previous_keys from env"), ContainSubstring("openssl rand -base64 32")))
		Expect(c.err).NotTo(Or(ContainSubstring("sesame"), ContainSubstring("short")))
		Expect(os.WriteFile(file(), []byte("nonsense"), 0o600)).To(Succeed())
		c = fusion(base, "secrets", "status")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(And(ContainSubstring(file()), Not(ContainSubstring("nonsense"))))
	})
	It("changes, and the earlier one is not needed afterwards", func() {
		before := with("FUSION_SECRETS_KEY=" + key("a"))
		Expect(fusion(before, "secrets", "status").code).To(BeZero())
		letter(d, key("a"))
		between := with("FUSION_SECRETS_KEY="+key("b"), "FUSION_SECRETS_PREVIOUS_KEYS="+key("a"))
		Expect(fusion(between, "secrets", "status").out).To(And(MatchRegexp(`current +0\n`), MatchRegexp(`earlier +1\n`)))
		Expect(fusion(between, "secrets", "rotate").out).To(HavePrefix("1 secret sealed anew"))
		after := with("FUSION_SECRETS_KEY=" + key("b"))
		Expect(parsed[[]vault.Use](fusion(after, "secrets", "status", "--json"))).To(ConsistOf(And(HaveField("Current", true), HaveField("Secrets", BeEquivalentTo(1)))))
		Expect(fusion(after, "mail", "list").out).To(ContainSubstring("a***@e***.com"))
		Expect(fusion(before, "secrets", "status").code).To(Equal(exitConfig))
	})
	It("that is missing for some secrets is named", func() {
		environ := with("FUSION_SECRETS_KEY=" + key("a"))
		letter(d, key("c"))
		c := fusion(environ, "secrets", "status")
		Expect(c.code).To(Equal(exitProblems))
		Expect(c.out).To(MatchRegexp(`missing +1\n`))
		Expect(c.err).To(ContainSubstring("FUSION_SECRETS_PREVIOUS_KEYS"))
		c = fusion(environ, "secrets", "rotate")
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(ContainSubstring("sealed by a master key that this program does not have"))
	})
})

// letter leaves one in the outbox, sealed by a key.
func letter(d testkit.Database, text string) {
	GinkgoHelper()
	k, err := vault.ParseKey(text)
	Expect(err).NotTo(HaveOccurred())
	pool := testkit.Open(d.App)
	o, err := mail.New(pool, vault.New(k), testkit.Log(), mail.Options{})
	Expect(err).NotTo(HaveOccurred())
	ctx := asShop(context.Background())
	Expect(pool.InTx(ctx, func(tx *db.Tx) error {
		return o.Send(ctx, tx, mail.Message{To: "anna@example.com", Template: "password-changed"})
	})).To(Succeed())
}

var _ = Describe("a backup of a data folder", func() {
	It("brings the master key back, and nobody who was erased since", func() {
		const owner = "an-owner-of-the-restored-shop"
		dir, file := cleanFolder(), filepath.Join(GinkgoT().TempDir(), "shop.tar")
		before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
		serve := func(data string) (*testkit.Shop, *deployed) {
			GinkgoHelper()
			addr := unusedAddress()
			d := serving(addr, []string{"FUSION_DATA=" + data, "FUSION_BOOTSTRAP_KEY=" + owner})
			return &testkit.Shop{URL: "http://" + addr, Key: owner}, d
		}
		shop, running := serve(before)
		Expect(shop.Post("/v1/products", map[string]any{"sku": "MUG", "name": "Mug", "price": "12.50", "currency": "EUR", "inventory": 5}).Status).To(Equal(201))
		customer := shop.Post("/v1/customers", map[string]any{"email": "anna@example.com"}).JSON()["id"].(string)
		order := shop.Post("/v1/orders", map[string]any{"customerId": customer, "email": "anna@example.com", "items": []any{map[string]any{"sku": "MUG", "quantity": 1}}})
		Expect(order.Status).To(Equal(201), "%s", order.Raw)
		Expect(fusion([]string{"FUSION_DATA=" + before}, "backup", "create", "--to", file).code).To(BeZero())
		Expect(shop.Call("DELETE", "/v1/customers/"+customer, nil).Status).To(Equal(204))
		running.end()

		c := fusion([]string{"FUSION_DATA=" + after}, "backup", "restore", file, "--erasures", filepath.Join(before, "erasures.log"))
		Expect(c.code).To(BeZero(), c.err)
		Expect(c.out).To(ContainSubstring("1 erasure noted"))
		made, err := os.ReadFile(filepath.Join(before, "secrets.key"))
		Expect(err).NotTo(HaveOccurred())
		Expect(os.ReadFile(filepath.Join(after, "secrets.key"))).To(Equal(made))

		shop, running = serve(after)
		Expect(shop.Get("/v1/customers/" + customer).Status).To(Equal(404))
		path := order.Header.Get("Location")
		Eventually(func() string { return string(shop.Get(path).Raw) }).Should(And(ContainSubstring(`"total":"12.50"`), Not(ContainSubstring("anna@example.com"))))
		running.end()
		Expect(fusion([]string{"FUSION_DATA=" + after}, "secrets", "status").code).To(BeZero())
	})
	It("without its key is damaged", func() {
		dir, file := cleanFolder(), filepath.Join(GinkgoT().TempDir(), "shop.tar")
		serving(unusedAddress(), []string{"FUSION_DATA=" + dir}).end()
		Expect(fusion([]string{"FUSION_DATA=" + dir}, "backup", "create", "--to", file).code).To(BeZero())
		content, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		made, err := os.ReadFile(filepath.Join(dir, "secrets.key"))
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Count(content, made)).To(Equal(1))
		other := []byte(vault.GenerateKey().Reveal() + "\n")
		Expect(os.WriteFile(file, bytes.Replace(content, made, other, 1), 0o600)).To(Succeed())
		c := fusion([]string{"FUSION_DATA=" + filepath.Join(dir, "new")}, "backup", "restore", file)
		Expect(c.code).To(Equal(exitProblems))
		Expect(c.err).To(ContainSubstring("secrets.key is not the one that was written"))
	})
})

var _ = Describe("fusion mail", func() {
	It("shows what waits, tries it again and gives it up", func() {
		d := testkit.NewDatabase()
		environ := onDatabase(d)
		Expect(fusion(environ, "mail", "list").out).To(Equal("No mail waits.\n"))
		letter(d, strings.TrimPrefix(sealedBy, "FUSION_SECRETS_KEY="))
		change(d, `update platform.mail set parked_at = now(), attempts = 8, last_error = 'SMTP at mail:587: 550 no'`)
		Expect(fusion(environ, "mail", "list").out).To(And(MatchRegexp(`password-changed +a\*\*\*@e\*\*\*\.com .* 8 +put aside +SMTP at mail:587: 550 no`), Not(ContainSubstring("anna"))))
		Expect(fusion(environ, "mail", "retry").out).To(Equal("1 letter will be tried again by the running shop.\n"))
		Expect(fusion(environ, "mail", "retry").out).To(Equal("0 letters will be tried again by the running shop.\n"))
		id := parsed[[]mail.Waiting](fusion(environ, "mail", "list", "--json"))[0].ID.String()
		Expect(fusion(environ, "mail", "retry", id, "--json").out).To(MatchJSON(`{"retried": 1}`))
		Expect(fusion(environ, "mail", "drop", id).out).To(Equal("1 letter given up.\n"))
		Expect(fusion(environ, "mail", "drop", id).code).To(Equal(exitFailed))
		Expect(fusion(environ, "mail", "drop", "it").code).To(Equal(exitUsage))
		Expect(fusion(environ, "mail", "retry", uuid.NewString()).err).To(ContainSubstring("there is no such mail"))
	})
})
