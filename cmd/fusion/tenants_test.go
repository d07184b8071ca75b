package main

import (
	"archive/tar"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("fusion tenants", Ordered, ContinueOnFailure, func() {
	var (
		d    testkit.Database
		env  []string
		key  string
		once = "harbour"
	)
	BeforeAll(func() {
		d = testkit.NewDatabase()
		env = onDatabase(d)
		c := fusion(env, "tenants", "create", once, "--name", "Harbour & Pine", "--host", "shop.harbour.example, harbour.example")
		Expect(c.code).To(BeZero(), c.err)
		key = strings.TrimSuffix(c.out, "\n")
		Expect(c.err).To(ContainSubstring("not shown again"))
	})
	show := func() tenantView {
		GinkgoHelper()
		c := fusion(env, "tenants", "show", once, "--json")
		Expect(c.code).To(BeZero(), c.err)
		return parsed[tenantView](c)
	}

	It("makes a shop whose owner's key is all that it prints", func(ctx SpecContext) {
		id, ok, err := apikey.NewVerifier(testkit.Open(d.App), clock.System, "", "").Authenticate(ctx, key)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeTrue())
		Expect(id.Tenant.String()).To(Equal(show().ID))
		Expect(id.Permissions).To(Equal([]string{"*"}))
		list := fusion(env, "tenants", "list")
		Expect(list.out).To(And(ContainSubstring("harbour"), ContainSubstring("default"), ContainSubstring("harbour.example,shop.harbour.example")))
		Expect(fusion(env, "tenants", "create", once).err).To(ContainSubstring("Another tenant has this slug"))
	})

	It("lets other commands act for it", func() {
		c := fusion(env, "keys", "create", "--name", "Warehouse", "--permissions", "orders:read", "--tenant", once)
		Expect(c.code).To(BeZero(), c.err)
		Expect(fusion(env, "keys", "list", "--tenant", once).out).To(ContainSubstring("Warehouse"))
		Expect(fusion(env, "keys", "list").out).NotTo(ContainSubstring("Warehouse"))
		c = fusion(env, "keys", "list", "--tenant", "nobody")
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(ContainSubstring("there is no tenant nobody"))
	})

	It("fills it with the demo catalog", func() {
		c := fusion(env, "seed", "--tenant", once, "--products", "3", "--json")
		Expect(c.code).To(BeZero(), c.err)
		var n int
		Expect(testkit.SQL(d.Super).QueryRow(`select count(*) from catalog.product where tenant_id = $1`, show().ID).Scan(&n)).To(Succeed())
		Expect(n).To(Equal(3))
		Expect(testkit.SQL(d.Super).QueryRow(`select count(*) from catalog.product`).Scan(&n)).To(Succeed())
		Expect(n).To(Equal(3))
	})

	It("gives it names and takes them", func() {
		Expect(fusion(env, "tenants", "host", "add", once, "Pine.Example").code).To(BeZero())
		Expect(show().Hosts).To(Equal([]string{"harbour.example", "pine.example", "shop.harbour.example"}))
		Expect(fusion(env, "tenants", "host", "remove", once, "harbour.example").code).To(BeZero())
		Expect(show().Hosts).To(Equal([]string{"pine.example", "shop.harbour.example"}))
		Expect(fusion(env, "tenants", "host", "add", once, "pine.example:80").code).To(Equal(exitUsage))
	})

	It("closes it and opens it again, and says so in the audit log", func() {
		Expect(fusion(env, "tenants", "suspend", once).err).To(ContainSubstring("--reason"))
		Expect(fusion(env, "tenants", "suspend", once, "--reason", "unpaid").code).To(BeZero())
		Expect(show()).To(And(HaveField("Status", "suspended"), HaveField("Reason", "unpaid")))
		Expect(fusion(env, "tenants", "suspend", once, "--reason", "unpaid").code).To(Equal(exitFailed))
		Expect(fusion(env, "tenants", "resume", once).code).To(BeZero())
		Expect(show().Status).To(Equal("active"))
		Expect(fusion(env, "audit", "list").out).To(And(ContainSubstring("suspendTenant"), ContainSubstring("unpaid"), ContainSubstring("resumeTenant")))
		Expect(fusion(env, "tenants", "suspend", "default", "--reason", "x").err).To(ContainSubstring("operator"))
	})

	It("exports it to a file that is there when it is whole, and overwrites none", func() {
		out := filepath.Join(cleanFolder(), "harbour.tar.gz")
		Expect(fusion(env, "tenants", "export", once, "--out", out).code).To(BeZero())
		Expect(out).To(BeARegularFile())
		Expect(os.ReadDir(filepath.Dir(out))).To(HaveLen(1))
		Expect(fusion(env, "tenants", "export", once, "--out", out).err).To(ContainSubstring("exists already"))
	})

	It("says which modules an export covers, and which keep theirs elsewhere", func() {
		dir := cleanFolder()
		type exported struct{ Modules, Elsewhere []string }
		whole := parsed[exported](fusion(env, "tenants", "export", once, "--json", "--out", filepath.Join(dir, "whole")))
		Expect(whole).To(Equal(exported{[]string{"catalog", "checkout", "groupbuy", "identity", "inventory", "orders", "payments", "platform", "pricing", "shipping"}, []string{}}))

		apart := testkit.NewDatabase()
		_, err := testkit.SQL(apart.Super).Exec(`drop schema checkout, groupbuy, inventory, payments, pricing, shipping cascade`)
		Expect(err).NotTo(HaveOccurred())
		env := onDatabase(apart, "FUSION_MODULES=identity,catalog,orders", "FUSION_BUS=kafka", "FUSION_KAFKA_BROKERS=127.0.0.1:1")
		Expect(fusion(env, "tenants", "create", once).code).To(BeZero())
		out := filepath.Join(dir, "part")
		c := fusion(env, "tenants", "export", once, "--out", out)
		Expect(c.code).To(BeZero(), c.err)
		Expect(c.out).To(And(ContainSubstring("by catalog, identity, orders, platform."), ContainSubstring("not all of the shop: inventory, pricing, shipping, checkout, groupbuy, payments keep theirs")))
		file, err := os.Open(out)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(file.Close)
		compressed, err := gzip.NewReader(file)
		Expect(err).NotTo(HaveOccurred())
		var manifest exported
		for archive := tar.NewReader(compressed); ; {
			h, err := archive.Next()
			Expect(err).NotTo(HaveOccurred())
			if h.Name == "manifest.json" {
				Expect(json.NewDecoder(archive).Decode(&manifest)).To(Succeed())
				break
			}
		}
		Expect(manifest.Modules).To(Equal([]string{"catalog", "identity", "orders", "platform"}))
	})

	It("ends it only when that is meant, and then leaves nothing", func() {
		id := show().ID
		c := fusion(env, "tenants", "delete", once)
		Expect(c.code).To(Equal(exitUsage))
		Expect(c.err).To(ContainSubstring("--yes"))
		Expect(fusion(env, "tenants", "delete", once, "--yes").out).To(ContainSubstring("fusion tenants resume harbour"))
		Expect(show().Status).To(Equal("deleting"))
		c = fusion(env, "tenants", "delete", once, "--yes", "--now", "--json")
		Expect(c.code).To(BeZero(), c.err)
		gone := parsed[struct{ Removed []struct{ Table string } }](c)
		Expect(gone.Removed).To(ContainElement(HaveField("Table", "catalog.product")))
		Expect(leftOf(testkit.SQL(d.Super), uuid.MustParse(id))).To(BeEmpty())
		Expect(fusion(env, "tenants", "show", once).err).To(ContainSubstring("there is no tenant harbour"))
	})
})

// leftOf names the tables in which something is left of a merchant.
func leftOf(super *sql.DB, tenant uuid.UUID) (tables []string) {
	GinkgoHelper()
	rows, err := super.Query(`
		select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
		where c.relkind in ('r', 'p') and not c.relispartition`)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	var all []string
	for rows.Next() {
		var table string
		Expect(rows.Scan(&table)).To(Succeed())
		all = append(all, table)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	Expect(len(all)).To(BeNumerically(">", 20))
	for _, table := range all {
		var some bool
		Expect(super.QueryRow(`select exists (select from `+table+` where tenant_id = $1)`, tenant).Scan(&some)).To(Succeed())
		if some {
			tables = append(tables, table)
		}
	}
	return tables
}
