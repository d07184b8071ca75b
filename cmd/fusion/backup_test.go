package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/cmd/fusion/backup"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// emptyDatabase belongs to a role and holds nothing.
func emptyDatabase(owner string) testkit.Database {
	GinkgoHelper()
	name := "restored_" + strings.ReplaceAll(clock.NewID().String(), "-", "")
	server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
	_, err := server.Exec(`create database ` + name + ` owner ` + owner)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		_, err := server.Exec(`drop database ` + name + ` with (force)`)
		Expect(err).NotTo(HaveOccurred())
	})
	c := testkit.Cluster()
	return testkit.Database{App: c.DSN(migrate.AppRole, name), Owner: c.DSN(owner, name), Super: c.DSN("postgres", name)}
}

func change(d testkit.Database, statements string) {
	GinkgoHelper()
	_, err := testkit.SQL(d.Super).Exec(statements)
	Expect(err).NotTo(HaveOccurred())
}

// number asks the superuser.
func number(d testkit.Database, query string) (n int) {
	GinkgoHelper()
	Expect(testkit.SQL(d.Super).QueryRow(query).Scan(&n)).To(Succeed())
	return n
}

// toSave is the environment of a program that may read everything.
func toSave(d testkit.Database) []string {
	return []string{"FUSION_DATABASE_URL=" + d.App, "FUSION_DATABASE_MIGRATE_URL=" + d.Super}
}

// tradingShop has products and events, of which one is parked.
func tradingShop() testkit.Database {
	GinkgoHelper()
	d := testkit.NewDatabase()
	Expect(fusion(onDatabase(d), "seed", "--products", "5").code).To(BeZero())
	Expect(fusion(onDatabase(d), "keys", "create", "--owner", "--name", "Boss").code).To(BeZero())
	parkEvent(d, "inventory.reserve-for-order")
	// What the event above tells of is there, too.
	change(d, `
		with o as (select tenant_id, subject::uuid id from platform.event where type = 'order.created'), c as (insert into orders.counter select tenant_id, 1002 from o),
		t as (insert into orders.timeline (tenant_id, order_id, version, status, actor, at) select tenant_id, id, 1, 'created', 'key:spec', now() from o),
		l as (insert into orders.line (tenant_id, order_id, position, product_id, sku, name, quantity, price_minor, total_minor) select tenant_id, id, 1, id, 'X', 'Ünïcode ''n'' quotes', 2, 5, 10 from o)
		insert into orders.orders (tenant_id, id, number, customer_id, status, currency, total_minor, metadata, created_at, updated_at)
		select tenant_id, id, 1001, 'anna', 'created', 'EUR', 10, '{"a": 1}', now(), now() from o`)
	return d
}

// saved makes a backup in a folder of its own.
func saved(d testkit.Database) (path string) {
	GinkgoHelper()
	path = filepath.Join(GinkgoT().TempDir(), "shop.tar")
	c := fusion(toSave(d), "backup", "create", "--to", path)
	Expect(c.code).To(BeZero(), c.err)
	return path
}

// structure is all of a database but its rows and where its sequences are.
func structure(d testkit.Database) []string {
	GinkgoHelper()
	return slices.DeleteFunc(testkit.Structure(testkit.SQL(d.Super)), func(line string) bool { return strings.Contains(line, " sequence ") })
}

// unpacked are the files of a backup.
func unpacked(path string) map[string][]byte {
	GinkgoHelper()
	file, err := os.Open(path)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	files := map[string][]byte{}
	for in := tar.NewReader(file); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		Expect(err).NotTo(HaveOccurred())
		files[h.Name], err = io.ReadAll(in)
		Expect(err).NotTo(HaveOccurred())
	}
}

// packed writes a backup with the right sums, whatever is in it.
func packed(files map[string][]byte) (path string) {
	GinkgoHelper()
	path = filepath.Join(GinkgoT().TempDir(), "forged.tar")
	files["SHA256SUMS"] = fmt.Appendf(nil, "%x  database.dump\n%x  manifest.json\n", sha256.Sum256(files["database.dump"]), sha256.Sum256(files["manifest.json"]))
	var content bytes.Buffer
	out := tar.NewWriter(&content)
	for _, name := range []string{"database.dump", "manifest.json", "SHA256SUMS"} {
		Expect(out.WriteHeader(&tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o600})).To(Succeed())
		_, err := out.Write(files[name])
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(out.Close()).To(Succeed())
	Expect(os.WriteFile(path, content.Bytes(), 0o600)).To(Succeed())
	return path
}

func contentOf(path string) []byte {
	GinkgoHelper()
	content, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	return content
}

// claiming is a backup whose manifest says something else.
func claiming(path string, lie func(*backup.Manifest)) string {
	GinkgoHelper()
	files := unpacked(path)
	var m backup.Manifest
	Expect(json.Unmarshal(files["manifest.json"], &m)).To(Succeed())
	lie(&m)
	var err error
	files["manifest.json"], err = json.Marshal(m)
	Expect(err).NotTo(HaveOccurred())
	return packed(files)
}

var _ = Describe("fusion backup", func() {
	It("saves a shop to one file, and makes the same shop from it in an empty database", func() {
		shop := tradingShop()
		path := filepath.Join(GinkgoT().TempDir(), "shop.tar")
		c := fusion(toSave(shop), "backup", "create", "--to", path, "--json")
		Expect(c.code).To(BeZero(), c.err)
		made := parsed[struct {
			File     string
			Bytes    int64
			Manifest backup.Manifest
		}](c)
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		Expect([]any{made.File, made.Bytes}).To(Equal([]any{path, info.Size()}))
		Expect(os.ReadDir(filepath.Dir(path))).To(HaveLen(1), "nothing else is left in the folder")
		Expect(made.Manifest.Program).To(Equal("1.2.3"))
		Expect(made.Manifest.Schema).To(And(HaveKey("platform"), HaveKey("orders"), HaveLen(len(moduleNames())+1)))
		Expect(made.Manifest.Position).To(BeEquivalentTo(number(shop, `select max(seq) from platform.event`)))
		Expect(made.Manifest.Tables).To(ContainElement(And(HaveField("Name", "catalog.product"), HaveField("Rows", BeEquivalentTo(5)))))

		By("trying it out")
		v := fusion(nil, "backup", "verify", path)
		Expect(v.code).To(BeZero(), v.out+v.err)
		for _, check := range []string{"file", "schema", "restore", "role", "rules"} {
			Expect(v.out).To(MatchRegexp(`(?m)^  ✓ ` + check + ` `))
		}

		By("restoring it")
		empty := emptyDatabase(ownerRole)
		r := fusion(onDatabase(empty), "backup", "restore", path)
		Expect(r.code).To(BeZero(), r.err)
		Expect(r.out).To(HavePrefix("Restored the shop as it was at "))
		Expect(structure(empty)).To(Equal(structure(shop)), "with owners and grants")
		Expect(fusion(onDatabase(empty), "doctor").out).To(And(ContainSubstring("✓ role"), ContainSubstring("✓ schema"), ContainSubstring("1 parked")))
		Expect(fusion(onDatabase(empty), "keys", "list").out).To(Equal(fusion(onDatabase(shop), "keys", "list").out))
		Expect(fusion(onDatabase(empty), "events", "list", "--json").out).To(Equal(fusion(onDatabase(shop), "events", "list", "--json").out))

		By("going on with it")
		last := number(shop, `select last_value from platform.event_seq`)
		Expect(parsed[map[string]int](fusion(onDatabase(empty), "seed", "--products", "7", "--json"))).To(HaveKeyWithValue("created", 2))
		Expect(number(empty, fmt.Sprintf(`select count(*) from platform.event where seq > %d`, last))).To(BeNumerically(">=", 2))
		Expect(number(empty, `select min(seq) from platform.event where seq > `+fmt.Sprint(last))).To(
			BeNumerically(">", last+100_000), "a reader who has seen more than the backup misses nothing of what comes")
	})

	It("is of an older program, too, and is tried out with what this one would make of it", func() {
		d := testkit.NewDatabase()
		Expect(fusion(onDatabase(d), "migrate", "down", "inventory", "--yes").code).To(BeZero())
		v := fusion(nil, "backup", "verify", saved(d))
		Expect(v.code).To(BeZero(), v.out+v.err)
		Expect(v.out).To(And(MatchRegexp(`(?m)^  ✓ migrate +1 migration made its schema this program's$`), ContainSubstring("✓ rules")))
	})

	It("is made by a role that may read everything and change nothing", func() {
		server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
		_, err := server.Exec(`create role fusion_backup login bypassrls in role pg_read_all_data`)
		Expect(err).NotTo(HaveOccurred())
		d := tradingShop()
		reader := strings.Replace(d.Super, "postgres@", "fusion_backup@", 1)
		path := filepath.Join(GinkgoT().TempDir(), "shop.tar")
		c := fusion([]string{"FUSION_DATABASE_URL=" + d.App, "FUSION_DATABASE_MIGRATE_URL=" + reader}, "backup", "create", "--to", path)
		Expect(c.code).To(BeZero(), c.err)
		Expect(fusion(onDatabase(emptyDatabase(ownerRole)), "backup", "restore", path).code).To(BeZero())
		_, err = server.Exec(`drop role fusion_backup`)
		Expect(err).NotTo(HaveOccurred())
	})

	It("gives everything to the new owner, whatever he is called", func() {
		path := saved(tradingShop())
		server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
		_, err := server.Exec(`create role merchant login createrole`)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			_, err := server.Exec(`drop role merchant`)
			Expect(err).NotTo(HaveOccurred())
		})
		d := emptyDatabase("merchant")
		r := fusion(onDatabase(d), "backup", "restore", path)
		Expect(r.code).To(BeZero(), r.err)
		Expect(number(d, `select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname in ('platform', 'catalog', 'orders', 'inventory', 'migrations') and relowner <> 'merchant'::regrole`)).To(BeZero())
		Expect(number(d, `select count(*) from pg_default_acl where defaclrole = 'merchant'::regrole and defaclnamespace = 'migrations'::regnamespace`)).To(Equal(1))
		Expect(fusion(onDatabase(d), "migrate", "status").code).To(BeZero())
		Expect(fusion(onDatabase(d), "keys", "list").code).To(BeZero())
	})

	It("makes the roles that were granted something and are not there", func() {
		shop := tradingShop()
		server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
		_, err := server.Exec(`create role "report's" login`)
		Expect(err).NotTo(HaveOccurred())
		change(shop, `grant usage on schema orders to "report's"; grant select on orders.line to "report's"`)
		path := saved(shop)
		change(shop, `drop owned by "report's"; drop role "report's"`)
		d := emptyDatabase(ownerRole)
		r := fusion(onDatabase(d), "backup", "restore", path)
		Expect(r.code).To(BeZero(), r.err)
		Expect(number(d, `select has_table_privilege('report''s', 'orders.line', 'select')::int + (select 2 * rolcanlogin::int from pg_roles where rolname = 'report''s')`)).To(
			Equal(1), "it may read, and nobody can log in as it")
		change(d, `drop owned by "report's"; drop role "report's"`)
	})

	It("does not write over a file, unless it is told to", func() {
		d := testkit.NewDatabase()
		path := filepath.Join(GinkgoT().TempDir(), "mine")
		Expect(os.WriteFile(path, []byte("precious"), 0o644)).To(Succeed())
		c := fusion(toSave(d), "backup", "create", "--to", path)
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(Equal("fusion: the file exists: " + path + ".\nChoose another name (--to), or write over it (--force)\n"))
		Expect(os.ReadFile(path)).To(BeEquivalentTo("precious"))

		Expect(fusion(toSave(d), "backup", "create", "--to", path, "--force").code).To(BeZero())
		Expect(unpacked(path)).To(HaveKey("database.dump"))
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
	})

	DescribeTable("leaves no file behind when it cannot save everything", func(environ func() []string, code int, sentence string) {
		dir := GinkgoT().TempDir()
		c := fusion(environ(), "backup", "create", "--to", filepath.Join(dir, "shop.tar"))
		Expect(c.code).To(Equal(code))
		Expect(c.err).To(And(ContainSubstring(sentence), Not(ContainSubstring("pq:"))))
		Expect(os.ReadDir(dir)).To(BeEmpty())
	},
		Entry("as the owner, whom row-level security binds", func() []string { return onDatabase(testkit.NewDatabase()) }, exitConfig, "create role fusion_backup login bypassrls"),
		Entry("of a database without a shop", func() []string { return toSave(emptyDatabase(ownerRole)) }, exitFailed, "there is no shop in this database"),
		Entry("of a database that is not there", func() []string {
			return []string{"FUSION_DATABASE_URL=postgres://shop@127.0.0.1:1/shop?sslmode=disable"}
		}, exitUnreachable, "nothing listens on 127.0.0.1:1"),
		Entry("of a folder without a shop", func() []string { return []string{"FUSION_DATA=" + filepath.Join(GinkgoT().TempDir(), "none")} }, exitUnreachable, "there is no shop in"),
		Entry("without PostgreSQL's programs", func() []string {
			environ := toSave(testkit.NewDatabase())
			GinkgoT().Setenv("FUSION_POSTGRES_BIN", GinkgoT().TempDir())
			return environ
		}, exitUnreachable, "apt install postgresql-client-"),
	)

	It("restores into nothing that holds something, and leaves that as it is", func() {
		path, other := saved(tradingShop()), testkit.NewDatabase()
		before := number(other, `select count(*) from pg_class`)
		r := fusion(onDatabase(other), "backup", "restore", path)
		Expect(r.code).To(Equal(exitFailed))
		Expect(r.err).To(And(ContainSubstring("fusion: the database is not empty: it holds schema catalog, "), ContainSubstring("make an empty database (create database …) and name that one")))
		Expect(number(other, `select count(*) from pg_class`)).To(Equal(before))
		Expect(number(other, `select count(*) from catalog.product`)).To(BeZero())

		stranger := emptyDatabase(ownerRole)
		change(stranger, `create table public.notes ()`)
		r = fusion(onDatabase(stranger), "backup", "restore", path)
		Expect(r.code).To(Equal(exitFailed))
		Expect(r.err).To(ContainSubstring("it holds notes."))
	})

	It("leaves the database empty when the dump cannot be restored to its end", func() {
		files := unpacked(saved(tradingShop()))
		files["database.dump"] = files["database.dump"][:len(files["database.dump"])-100] // the rows come last
		d := emptyDatabase(ownerRole)
		r := fusion(onDatabase(d), "backup", "restore", packed(files))
		Expect(r.code).To(Equal(exitFailed))
		Expect(r.err).To(ContainSubstring("which is as empty as before: pg_restore: "))
		Expect(number(d, `select count(*) from pg_namespace where nspname in ('platform', 'orders', 'migrations')`)).To(BeZero())
		Expect(fusion(onDatabase(d), "backup", "restore", saved(tradingShop())).code).To(BeZero(), "the next try finds it empty")
	})
})

// A backup that cannot be relied on is one that a test must have seen to be refused.
var _ = Describe("a backup that is not what it should be", Ordered, func() {
	var shop testkit.Database
	var path string
	BeforeAll(func() {
		shop = tradingShop()
		dir, err := os.MkdirTemp("", "fusion-backup-")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		path = filepath.Join(dir, "shop.tar")
		Expect(fusion(toSave(shop), "backup", "create", "--to", path).code).To(BeZero())
	})

	DescribeTable("is refused before anything is changed", func(harm func(whole []byte) []byte, code int, sentence string) {
		whole, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		dir := cleanFolder()
		harmed := filepath.Join(dir, "harmed.tar")
		Expect(os.WriteFile(harmed, harm(whole), 0o600)).To(Succeed())
		v := fusion(nil, "backup", "verify", harmed, "--json")
		Expect(v.code).To(Equal(exitProblems))
		Expect(v.out).To(ContainSubstring(sentence))

		data := filepath.Join(dir, "data")
		r := fusion([]string{"FUSION_DATA=" + data}, "backup", "restore", harmed)
		Expect(r.code).To(Equal(code))
		Expect(r.err).To(And(ContainSubstring("fusion: "+harmed+" "), ContainSubstring(sentence)))
		Expect(data).NotTo(BeADirectory())
	},
		Entry("empty", func([]byte) []byte { return nil }, exitProblems, "is not a backup"),
		Entry("a letter", func([]byte) []byte { return []byte(strings.Repeat("Dear Anna, ", 200)) }, exitProblems, "is not a backup"),
		Entry("another archive", func([]byte) []byte {
			var b bytes.Buffer
			out := tar.NewWriter(&b)
			Expect(out.WriteHeader(&tar.Header{Name: "holiday.jpg", Size: 0, Mode: 0o600})).To(Succeed())
			Expect(out.Close()).To(Succeed())
			return b.Bytes()
		}, exitProblems, "is not a backup"),
		Entry("cut off in the dump", func(b []byte) []byte { return b[:len(b)/2] }, exitProblems, "is damaged: it ends in the middle of its database.dump"),
		Entry("cut off after the dump", func(b []byte) []byte { b, _, _ = bytes.Cut(b, []byte("manifest.json")); return b }, exitProblems, "is damaged: it ends before its manifest.json"),
		Entry("cut off in the sums", func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("  manifest.json\n"))] }, exitProblems, "is damaged: it ends in the middle of its SHA256SUMS"),
		Entry("with another byte in the dump", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, exitProblems, "is damaged: its files do not have the sums"),
		Entry("with another number in the manifest", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"rows": 5,`), []byte(`"rows": 4,`), 1)
		}, exitProblems, "is damaged: its files do not have the sums"),
		Entry("with another head in the middle", func(b []byte) []byte {
			return bytes.Replace(b, []byte("manifest.json\x00"), []byte("manifesto.txt\x00"), 1)
		}, exitProblems, "is damaged: what should be the head of its manifest.json is none"),
		Entry("of a later format", func([]byte) []byte {
			return contentOf(claiming(path, func(m *backup.Manifest) { m.Format = 900 }))
		}, exitSchema, "was made by a newer program (fusion 1.2.3), in a format that this one does not know"),
		Entry("with a newer schema", func([]byte) []byte {
			return contentOf(claiming(path, func(m *backup.Manifest) { m.Schema["orders"] = 900 }))
		}, exitSchema, "was made by a newer program: its orders is at version 900, this program knows "),
		Entry("with a module that nobody knows", func([]byte) []byte {
			return contentOf(claiming(path, func(m *backup.Manifest) { m.Schema["bookings"] = 1 }))
		}, exitSchema, "was made by a newer program: its bookings is at version 1, this program knows 0"),
	)

	// It is whole by its sums: only what comes out of it tells.
	It("is seen through when it is tried out", func() {
		twin := twinOf(shop)
		change(twin, `
			drop table catalog.price;
			truncate inventory.movement;
			delete from inventory.stock where ctid = (select min(ctid) from inventory.stock);
			update orders.line set name = 'Something else';
			create table orders.extra ();
			select setval('platform.event_seq', 1)`)
		files := unpacked(path)
		files["database.dump"] = unpacked(saved(twin))["database.dump"]
		forged := packed(files)
		v := fusion(nil, "backup", "verify", forged)
		Expect(v.code).To(Equal(exitProblems), v.out)
		Expect(v.out).To(MatchRegexp(`(?m)^  ✗ restore +what was restored is not what was saved$`))
		r := fusion(onDatabase(emptyDatabase(ownerRole)), "backup", "restore", forged)
		Expect(r.code).To(Equal(exitProblems))
		for _, difference := range []string{
			"the table catalog.price, with 5 rows, is missing",
			"the table inventory.movement had 5 rows and has 0",
			"the table inventory.stock had 5 rows and has 4",
			"the table orders.line has as many rows as it had, and not the same",
			"the table orders.extra was not there",
		} {
			Expect(v.out).To(MatchRegexp(`(?m)^  ✗ contents +` + regexp.QuoteMeta(difference) + `$`))
			Expect(r.err).To(ContainSubstring("\n  - " + difference + "\n"))
		}
		Expect(v.out).To(MatchRegexp(`(?m)^  ✗ contents +the sequence platform\.event_seq was at \d+ and is at 2: numbers would be given twice$`))
	})

	It("is seen through when the shop that was saved was not sound", func() {
		twin := twinOf(shop)
		change(twin, `update inventory.stock set on_hand = on_hand + 1; update orders.counter set next = 1001; alter table orders.line no force row level security`)
		v := fusion(nil, "backup", "verify", saved(twin))
		Expect(v.code).To(Equal(exitProblems), v.out)
		Expect(v.out).To(And(ContainSubstring("✓ restore"), ContainSubstring("stock is the sum of its movements: "),
			ContainSubstring("an order's number is used up: number 1001 is taken"), ContainSubstring("a merchant's rows are shown to nobody else: orders.line")))
		Expect(v.err).To(ContainSubstring("cannot be relied on"))
	})

	It("is refused by a server that is older than its own", func() {
		d := emptyDatabase(ownerRole)
		r := fusion(onDatabase(d), "backup", "restore", claiming(path, func(m *backup.Manifest) { m.Postgres = "99.1" }))
		Expect(r.code).To(Equal(exitFailed))
		Expect(r.err).To(ContainSubstring("the server is too old for this backup: it comes from PostgreSQL 99.1 and this is "))
		Expect(number(d, `select count(*) from pg_namespace where nspname = 'platform'`)).To(BeZero())
	})

	It("is none when there is no file", func() {
		for _, command := range []string{"verify", "restore"} {
			c := fusion(nil, "backup", command, "/no/such/file.tar")
			Expect(c.code).To(Equal(exitFailed))
			Expect(c.err).To(ContainSubstring("no such file or directory"))
		}
	})
})

// twinOf is a copy of a database, to be harmed.
func twinOf(d testkit.Database) testkit.Database {
	GinkgoHelper()
	twin := emptyDatabase(ownerRole)
	r := fusion(onDatabase(twin), "backup", "restore", saved(d))
	Expect(r.code).To(BeZero(), r.err)
	// A restore moves it on, which a twin must not show.
	change(twin, `select setval('platform.event_seq', (select max(seq) from platform.event))`)
	return twin
}
