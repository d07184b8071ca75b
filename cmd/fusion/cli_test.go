package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// commandLine is a program that has been run in this process.
type commandLine struct {
	code     int
	out, err string
}

// fusion runs the program with the given environment and nothing else of ours.
func fusion(environ []string, args ...string) commandLine {
	GinkgoHelper()
	out, errs := gbytes.NewBuffer(), gbytes.NewBuffer()
	p := &program{version: "1.2.3", stdout: out, stderr: errs, environ: environ}
	code := p.run(context.Background(), append([]string{"fusion"}, args...))
	c := commandLine{code, string(out.Contents()), string(errs.Contents())}
	AddReportEntry("fusion "+strings.Join(args, " "), fmt.Sprintf("exit %d\n%s%s", c.code, c.out, c.err), ReportEntryVisibilityFailureOrVerbose)
	return c
}

// sealedBy names a master key: none is to be made in this folder.
const sealedBy = "FUSION_SECRETS_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// onDatabase is the environment of a program that works on d and may migrate it.
func onDatabase(d testkit.Database, more ...string) []string {
	return append([]string{"FUSION_DATABASE_URL=" + d.App, "FUSION_DATABASE_MIGRATE_URL=" + d.Owner, sealedBy, "FUSION_ADDR=127.0.0.1:0", "FUSION_OPS_ADDR="}, more...)
}

// parsed is the one JSON document on stdout.
func parsed[T any](c commandLine) (document T) {
	GinkgoHelper()
	Expect(json.Unmarshal([]byte(c.out), &document)).To(Succeed(), c.out)
	return document
}

// cleanFolder is one that the account of PostgreSQL can pass through.
func cleanFolder() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "fusion-cli-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o755)).To(Succeed())
	return dir
}

// takenAddress is served by another program.
func takenAddress() string {
	GinkgoHelper()
	server := httptest.NewServer(http.NotFoundHandler())
	DeferCleanup(server.Close)
	return server.Listener.Addr().String()
}

var _ = Describe("the command line", func() {
	DescribeTable("says what is wrong with it and exits 2", func(args, sentence string) {
		c := fusion(nil, strings.Fields(args)...)
		Expect(c.code).To(Equal(exitUsage))
		Expect(c.err).To(Equal("fusion: " + sentence + "\n"))
		Expect(c.out).To(BeEmpty())
	},
		Entry("a misspelt command", "srve", "unknown command 'srve'. Did you mean 'serve'?"),
		Entry("a misspelt command with flags", "srve --addr :1", "unknown command 'srve'. Did you mean 'serve'?"),
		Entry("a misspelt command of a group", "keys lst", "unknown command 'lst'. Did you mean 'list'?"),
		Entry("help for a misspelt command", "help srve", "unknown command 'srve'. Did you mean 'serve'?"),
		Entry("nothing like a command", "xyz", "unknown command 'xyz'. See: fusion help"),
		Entry("ending a consumer that the shop needs", "events unsubscribe inventory.reserve-for-order --yes",
			"inventory.reserve-for-order is a consumer of this program: without it, what it does would not be done"),
		Entry("a replay that nobody confirmed", "events replay inventory.reserve-for-order",
			"nothing was changed: a replay makes the consumer handle again what it has handled; add --yes to do it"),
		Entry("a group without a command", "events", "fusion events needs one of list, backlog, parked, retry, drop, replay, unsubscribe"),
		Entry("a misspelt flag", "serve --adr :1", "unknown flag '--adr'. Did you mean '--addr'?"),
		Entry("nothing like a flag", "serve --zzz", "unknown flag '--zzz'. See: fusion serve --help"),
		Entry("a flag before the command", "--addr :1 serve", "fusion has no flag '--addr': the flags of a command come after its name"),
		Entry("a flag without its value", "serve --addr", "--addr needs a value"),
		Entry("a word for a number", "events list --limit many", `--limit does not take "many"`),
		Entry("a number out of range", "events list --limit 0", "--limit takes a number from 1 to 10000"),
		Entry("an argument too many", "serve now", `fusion serve does not take "now"`),
		Entry("an argument too few", "keys revoke", "fusion keys revoke needs KEY-ID"),
		Entry("a backup without its file", "backup verify", "fusion backup verify needs FILE"),
		Entry("something else than an id", "keys revoke 17", `"17" is not the id of a key: fusion keys list shows them`),
		Entry("a module that is none", "migrate down shop", "there is no module shop; the modules are "+strings.Join(moduleNames(), ", ")+", platform"),
		Entry("a key without a name", "keys create --owner", "fusion keys create needs --name, so that you know the key in a list"),
		Entry("a key that may do everything and something", "keys create --name n --owner --permissions orders:read", "--owner allows everything: leave --permissions out"),
		Entry("a demo without products", "seed --products 0", "--products takes a number from 1 to 100000"),
	)

	It("refuses a permission that no route asks for, and lists those there are", func() {
		c := fusion(nil, "keys", "create", "--name", "n", "--permissions", "orders:read,oders:write")
		Expect(c.code).To(Equal(exitUsage))
		Expect(c.err).To(And(ContainSubstring(`there is no permission "oders:write"`), ContainSubstring("inventory:read"), ContainSubstring("orders:write"), ContainSubstring("events:read")))
	})

	It("explains itself on stdout", func() {
		c := fusion(nil)
		Expect(c.code).To(BeZero())
		Expect(c.out).To(And(ContainSubstring("dev "), ContainSubstring("serve "), ContainSubstring("doctor "), ContainSubstring("completion ")))
		c = fusion(nil, "serve", "--help")
		Expect(c.code).To(BeZero())
		Expect(c.out).To(MatchRegexp(`--addr TEXT, --http-addr TEXT +Address the shop listens on \(default: 127\.0\.0\.1:8080\) \[\$FUSION_HTTP_ADDR, \$FUSION_ADDR, \$PORT\]`))
		Expect(c.err).To(BeEmpty())
	})

	DescribeTable("completes itself in a shell", func(shell, has string) {
		c := fusion(nil, "completion", shell)
		Expect(c.code).To(BeZero())
		Expect(c.out).To(ContainSubstring(has))
	},
		Entry("bash", "bash", "complete "),
		Entry("zsh", "zsh", "compdef"),
		Entry("fish", "fish", "fusion"),
		Entry("PowerShell", "pwsh", "Register-ArgumentCompleter"),
	)

	It("tells its version", func() {
		Expect(fusion(nil, "version").out).To(HavePrefix("fusion 1.2.3 (go1."))
		Expect(parsed[map[string]string](fusion(nil, "version", "--json"))).To(HaveKeyWithValue("version", "1.2.3"))
	})

	It("prints the OpenAPI document without a database", func() {
		c := fusion([]string{"FUSION_DATABASE_URL=postgres://nobody@127.0.0.1:1/none"}, "openapi")
		Expect(c.code).To(BeZero())
		document := parsed[struct {
			OpenAPI string
			Paths   map[string]any
			Info    struct{ Version string }
		}](c)
		Expect(document.OpenAPI).To(HavePrefix("3.1"))
		Expect(document.Info.Version).To(Equal("1.2.3"))
		Expect(document.Paths).To(And(HaveKey("/v1/products"), HaveKey("/v1/orders"), HaveKey("/v1/inventory/{sku}"), HaveKey("/readyz")))
	})
})

var _ = Describe("fusion config", func() {
	It("shows every setting with where it came from: flag over environment over file over default", func() {
		file := filepath.Join(GinkgoT().TempDir(), "shop.yaml")
		Expect(os.WriteFile(file, []byte("http: {addr: '127.0.0.1:1'}\nlog: {level: debug, format: json}\nshutdown: {timeout: 5s}\n"), 0o600)).To(Succeed())
		c := fusion([]string{"FUSION_ADDR=127.0.0.1:2", "FUSION_LOG_LEVEL=warn", "DATABASE_URL=postgres://shop:open-sesame@db/shop", "FUSION_BOOTSTRAP_KEY=open-sesame"},
			"config", "--config", file, "--addr", "127.0.0.1:3")
		Expect(c.code).To(BeZero())
		for _, row := range []string{
			`http\.addr +127\.0\.0\.1:3 +flag --addr`, `log\.level +warn +env FUSION_LOG_LEVEL`, `log\.format +json +file ` + file, `bus\.driver +inprocess +default`,
			`database\.url +postgres://shop:\*\*\*@db/shop +env DATABASE_URL`, `bootstrap\.key +\*\*\* +env FUSION_BOOTSTRAP_KEY`,
		} {
			Expect(c.out).To(MatchRegexp(`(?m)^` + row + `$`))
		}
		Expect(c.out).NotTo(ContainSubstring("open-sesame"))
	})

	It("prints one JSON document", func() {
		c := fusion([]string{"FUSION_ADDR=127.0.0.1:2"}, "config", "--json")
		document := parsed[struct {
			Settings []struct{ Key, Value, Origin string }
		}](c)
		Expect(document.Settings).To(ContainElement(And(HaveField("Key", "http.addr"), HaveField("Value", "127.0.0.1:2"), HaveField("Origin", "env FUSION_ADDR"))))
	})

	It("exits 3 with all that is wrong, one a line", func() {
		c := fusion([]string{"FUSION_ADRR=:1", "FUSION_BUS=kafak"}, "config", "--addr", ":1", "--http-addr", ":2")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(HavePrefix("fusion: configuration: 3 problems\n  - "))
		Expect(strings.Count(c.err, "\n  - ")).To(Equal(3))
		Expect(c.err).To(And(ContainSubstring("--http-addr"), ContainSubstring("FUSION_ADRR"), ContainSubstring(`"kafak"`)))
	})

	It("takes a switch with and without a value", func() {
		Expect(fusion(nil, "config", "--database-auto-migrate=no").out).To(MatchRegexp(`database\.auto_migrate +false +flag`))
		Expect(fusion(nil, "config", "--database-pooled").out).To(MatchRegexp(`database\.pooled +true +flag`))
	})
})

var _ = Describe("a shop that cannot start", func() {
	serve := func(environ ...string) commandLine {
		GinkgoHelper()
		c := fusion(append([]string{"FUSION_ADDR=127.0.0.1:0", "FUSION_OPS_ADDR="}, environ...), "serve")
		Expect(c.err).NotTo(ContainSubstring("pq:"))
		Expect(c.out).To(BeEmpty())
		return c
	}

	It("names a module that does not exist, and exits 3", func() {
		c := serve("FUSION_MODULES=catalog,warehouse")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(Equal("fusion: there is no module warehouse; the modules are " + strings.Join(moduleNames(), ", ") + "\n"))
	})

	DescribeTable("refuses to have modules apart that work together, and says which to add", func(modules, said string) {
		c := serve("FUSION_MODULES=" + modules)
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(Equal("fusion: modules are apart that work together: " + said + "\n"))
	},
		Entry("a checkout without orders", "checkout,pricing,shipping,inventory", "checkout needs orders in the same process.\nAdd orders to the modules, or run checkout where they are"),
		Entry("a checkout alone", "catalog,checkout",
			"checkout needs inventory, pricing, shipping, orders in the same process.\nAdd inventory, pricing, shipping, orders to the modules, or run checkout where they are"),
		Entry("payments without orders", "payments,identity", "payments needs orders in the same process.\nAdd orders to the modules, or run payments where they are"),
	)

	It("says that the address is taken, before anything is started", func() {
		dir, addr := cleanFolder(), takenAddress()
		c := fusion([]string{"FUSION_DATA=" + filepath.Join(dir, "data")}, "serve", "--addr", addr)
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(HavePrefix("fusion: the address is taken: another program listens on " + addr + ".\nStop it, or"))
		Expect(os.ReadDir(dir)).To(BeEmpty())
	})

	It("says where no database answers, and exits 4", func() {
		c := serve("FUSION_DATABASE_URL=postgres://shop:open-sesame@127.0.0.1:1/shop?sslmode=disable")
		Expect(c.code).To(Equal(exitUnreachable))
		Expect(c.err).To(Equal("fusion: the database cannot be reached: nothing listens on 127.0.0.1:1.\nIs PostgreSQL running there, and is FUSION_DATABASE_URL right?\n"))

		c = serve("FUSION_DATABASE_URL=postgres://shop@nowhere.invalid/shop")
		Expect(c.code).To(Equal(exitUnreachable))
		Expect(c.err).To(ContainSubstring("there is no host named nowhere.invalid"))
	})

	It("says which part of the database URL the driver does not know, and exits 3", func() {
		c := serve("FUSION_DATABASE_URL=postgres://shop:open-sesame@db/shop?sslmode=perhaps")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(And(HavePrefix(`fusion: FUSION_DATABASE_URL cannot be used: wrong value for "sslmode": "perhaps" is not supported`), Not(ContainSubstring("open-sesame"))))
	})

	It("passes on what the database says about a role or a name, and exits 4", func() {
		c := serve("FUSION_DATABASE_URL=" + testkit.Cluster().DSN("stranger", "postgres"))
		Expect(c.code).To(Equal(exitUnreachable))
		Expect(c.err).To(And(ContainSubstring(`role "stranger" does not exist`), ContainSubstring("Mend the role or its password in FUSION_DATABASE_URL")))

		c = serve("FUSION_DATABASE_URL="+testkit.Cluster().DSN(migrate.AppRole, "postgres"), "FUSION_DATABASE_MIGRATE_URL="+testkit.Cluster().DSN("postgres", "atlantis"))
		Expect(c.code).To(Equal(exitUnreachable))
		Expect(c.err).To(And(ContainSubstring(`database "atlantis" does not exist`), ContainSubstring("FUSION_DATABASE_MIGRATE_URL")))
	})

	DescribeTable("refuses a role that row-level security does not bind, and exits 3", func(dsn func(testkit.Database) string, why string) {
		c := serve("FUSION_DATABASE_URL=" + dsn(testkit.NewDatabase()))
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(And(HavePrefix("fusion: the database role could read every tenant's rows: "), ContainSubstring(why), ContainSubstring("Connect as fusion_app")))
	},
		Entry("a superuser", func(d testkit.Database) string { return d.Super }, "postgres is a superuser"),
		Entry("the owner", func(d testkit.Database) string { return d.Owner }, "fusion_owner owns the tables"),
	)

	DescribeTable("refuses a schema that is not its own, and exits 5", func(change string, withOwner bool, sentence string) {
		d := testkit.NewDatabase()
		_, err := testkit.SQL(d.Super).Exec(change)
		Expect(err).NotTo(HaveOccurred())
		environ := []string{"FUSION_DATABASE_URL=" + d.App}
		if withOwner {
			environ = append(environ, "FUSION_DATABASE_MIGRATE_URL="+d.Owner)
		}
		c := serve(environ...)
		Expect(c.code).To(Equal(exitSchema))
		Expect(c.err).To(And(HavePrefix("fusion: "), ContainSubstring(sentence)))
	},
		Entry("older, and nobody told who may migrate it", `delete from migrations.orders`, false, "the database is older than this program: orders is at version 0 of "),
		Entry("newer", `update migrations.orders set version = 900`, true, "the database is newer than this program: orders is at version 900"),
		Entry("newer, seen by the application", `update migrations.orders set version = 900`, false, "start the newer program"),
		Entry("left half-way by a migration that failed", `update migrations.catalog set dirty = true`, true, "catalog is marked dirty at version"),
	)

	DescribeTable("leaves a newer schema as it is, whatever it is asked to do with it, and exits as it says",
		func(command string, code int, sentence string) {
			d := testkit.NewDatabase()
			super := testkit.SQL(d.Super)
			_, err := super.Exec(`update migrations.orders set version = 900; alter role fusion_app set lock_timeout = '9s'`)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() {
				_, err := super.Exec(`alter role fusion_app set lock_timeout = '2s'`)
				Expect(err).NotTo(HaveOccurred())
			})
			c := fusion(onDatabase(d), strings.Fields(command)...)
			Expect(c.code).To(Equal(code))
			Expect(c.out + c.err).To(ContainSubstring(sentence))
			Expect(c.err).NotTo(ContainSubstring("pq:"))
			var left string
			Expect(super.QueryRow(`select (select version from migrations.orders) || ' ' || array_to_string(rolconfig, ' ') from pg_roles where rolname = 'fusion_app'`).Scan(&left)).To(Succeed())
			Expect(left).To(And(HavePrefix("900 "), ContainSubstring("lock_timeout=9s")))
		},
		Entry(nil, "serve", exitSchema, "the database is newer than this program: orders is at version 900, this program knows "),
		Entry(nil, "migrate up", exitSchema, "the database is newer than this program: orders is at version 900, this program knows "),
		Entry(nil, "migrate down orders --yes", exitSchema, "start the newer program, or migrate down with it first"),
		Entry(nil, "migrate status", exitSchema, "newer than this program"),
		Entry(nil, "seed", exitSchema, "the database is newer than this program"),
		Entry(nil, "keys create --owner --name n", exitSchema, "the database is newer than this program"),
		Entry(nil, "doctor", exitProblems, "the database is newer than this program: orders is at version 900"),
	)

	It("says what to install when there is no PostgreSQL, and exits 4", func() {
		GinkgoT().Setenv("FUSION_POSTGRES_BIN", GinkgoT().TempDir())
		c := serve("FUSION_DATA=" + filepath.Join(cleanFolder(), "data"))
		Expect(c.code).To(Equal(exitUnreachable))
		Expect(c.err).To(And(ContainSubstring("apt install postgresql"), ContainSubstring("FUSION_DATABASE_URL")))
	})

	It("does not show its toys to the network", func() {
		c := fusion(nil, "dev", "--addr", "0.0.0.0:0")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(HavePrefix("fusion: fusion dev listens on this machine only, and 0.0.0.0:0 (flag --addr) is reached from others.\n"))
	})

	DescribeTable("leaves no folder behind when there is no shop to look at, and exits 4", func(command string) {
		dir := cleanFolder()
		c := fusion([]string{"FUSION_DATA=" + filepath.Join(dir, "data")}, strings.Fields(command)...)
		Expect(c.code).To(Equal(exitUnreachable))
		Expect(c.err).To(ContainSubstring("there is no shop in"))
		Expect(os.ReadDir(dir)).To(BeEmpty())
	},
		Entry(nil, "keys list"), Entry(nil, "events parked"), Entry(nil, "migrate status"),
	)
})

var _ = Describe("fusion migrate", func() {
	emptyDatabase := func() testkit.Database {
		GinkgoHelper()
		name := "cli_" + strings.ReplaceAll(clock.NewID().String(), "-", "")
		super := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
		_, err := super.Exec(`create database ` + name + ` owner ` + ownerRole)
		Expect(err).NotTo(HaveOccurred())
		c := testkit.Cluster()
		return testkit.Database{App: c.DSN(migrate.AppRole, name), Owner: c.DSN(ownerRole, name), Super: c.DSN("postgres", name)}
	}

	It("goes up, down by one step of one module, and up again", func() {
		environ := onDatabase(emptyDatabase())
		status := func() (map[string]int, int) {
			c := fusion(environ, "migrate", "status", "--json")
			versions := map[string]int{}
			for _, s := range parsed[[]migrate.Status](c) {
				versions[s.Module] = s.Version
			}
			return versions, c.code
		}
		versions, code := status()
		Expect(versions).To(And(HaveKeyWithValue("platform", 0), HaveKeyWithValue("orders", 0)))
		Expect(code).To(Equal(exitSchema))

		c := fusion(environ, "migrate", "up")
		Expect(c.code).To(BeZero())
		Expect(c.out).To(MatchRegexp(`^Applied \d+ migrations\.\n$`))
		current, code := status()
		Expect(code).To(BeZero())
		Expect(fusion(environ, "migrate", "up").out).To(Equal("Nothing to apply: the schema is current.\n"))

		By("only telling what it would do")
		c = fusion(environ, "migrate", "down", "orders")
		Expect(c.code).To(Equal(exitUsage))
		Expect(c.err).To(And(MatchRegexp(`Migrating orders from version \d+ to \d+ with orders/\d{4}_\w+\.down\.sql`), ContainSubstring("nothing was changed: add --yes")))
		versions, _ = status()
		Expect(versions).To(Equal(current))

		By("doing it")
		c = fusion(environ, "migrate", "down", "orders", "--yes", "--json")
		Expect(c.code).To(BeZero())
		Expect(parsed[map[string]any](c)).To(And(HaveKeyWithValue("module", "orders"), HaveKeyWithValue("version", BeEquivalentTo(current["orders"]-1))))
		versions, code = status()
		Expect(code).To(Equal(exitSchema))
		Expect(versions["orders"]).To(Equal(current["orders"] - 1))
		Expect(fusion(environ, "migrate", "status").out).To(MatchRegexp(`orders +\d+ +\d+ +behind`))

		Expect(parsed[map[string]any](fusion(environ, "migrate", "up", "--json"))).To(HaveKeyWithValue("applied", BeEquivalentTo(1)))
		versions, code = status()
		Expect(versions).To(Equal(current))
		Expect(code).To(BeZero())
	})

	It("takes the owner's URL where there is no other, and says so when it gets another", func() {
		d := emptyDatabase()
		c := fusion([]string{"FUSION_DATABASE_URL=" + d.App}, "migrate", "up")
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(And(ContainSubstring("permission denied"), ContainSubstring("FUSION_DATABASE_MIGRATE_URL")))
		Expect(fusion([]string{"FUSION_DATABASE_URL=" + d.Owner}, "migrate", "up").code).To(BeZero())
	})

	It("does not pull platform away from under the modules", func() {
		environ := onDatabase(testkit.NewDatabase())
		// What came to the platform later can be taken back.
		Eventually(func() string { return fusion(environ, "migrate", "down", "platform", "--yes").err }).Should(
			Equal("fusion: every module stands on platform: take " + strings.Join(moduleNames(), ", ") + " down first\n"))
	})
})

var _ = Describe("fusion keys", func() {
	It("makes a key that works, shows it once, lists it and ends it", func(ctx SpecContext) {
		d := testkit.NewDatabase()
		environ := onDatabase(d)
		verify := func(secret string) (identity.Identity, bool) {
			id, ok, err := apikey.NewVerifier(testkit.Open(d.App), clock.System, "", "").Authenticate(ctx, secret)
			Expect(err).NotTo(HaveOccurred())
			return id, ok
		}
		Expect(fusion(environ, "keys", "list").out).To(HavePrefix("There are no keys."))

		c := fusion(environ, "keys", "create", "--name", "Till", "--permissions", "orders:read, orders:write")
		Expect(c.code).To(BeZero())
		secret := strings.TrimSuffix(c.out, "\n")
		Expect(secret).To(MatchRegexp(`^fc_sk_[\w-]{43}$`), "nothing but the key")
		Expect(c.err).To(And(ContainSubstring(`Made the key "Till"`), Not(ContainSubstring(secret))))
		id, ok := verify(secret)
		Expect(ok).To(BeTrue())
		Expect(id.Tenant).To(Equal(identity.DefaultTenant))
		Expect(id.Permissions).To(ConsistOf("orders:read", "orders:write"))

		owner := parsed[struct{ ID, Key string }](fusion(environ, "keys", "create", "--name", "Boss", "--owner", "--json"))
		id, ok = verify(owner.Key)
		Expect(ok).To(BeTrue())
		Expect(id.Can("anything:at-all")).To(BeTrue())

		c = fusion(environ, "keys", "list")
		Expect(c.out).To(And(MatchRegexp(`Till +fc_sk_\S{4}… +orders:read,orders:write`), MatchRegexp(`Boss +fc_sk_\S{4}… +\*`)))
		Expect(c.out).NotTo(Or(ContainSubstring(secret), ContainSubstring(owner.Key)))

		c = fusion(environ, "keys", "revoke", owner.ID)
		Expect(c.code).To(BeZero())
		_, ok = verify(owner.Key)
		Expect(ok).To(BeFalse())
		_, ok = verify(secret)
		Expect(ok).To(BeTrue())
		keys := parsed[[]apikey.Key](fusion(environ, "keys", "list", "--json"))
		Expect(keys).To(HaveLen(2))
		Expect(keys).To(ContainElement(And(HaveField("Name", "Boss"), HaveField("RevokedAt", Not(BeNil())))))

		c = fusion(environ, "keys", "revoke", owner.ID)
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(Equal("fusion: There is no such key, or it was revoked before.\n"))
	})
})

// parkEvent records a fact and parks its delivery to a consumer.
func parkEvent(d testkit.Database, consumer string) uuid.UUID {
	GinkgoHelper()
	id := clock.NewID()
	_, err := testkit.SQL(d.Super).Exec(`
		with fact as (
			insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
			values ($1, $2::uuid, 'order.created', 1, $2::uuid::text, 1, now(), 'r', '', 'key:spec', '{"orderId":"1"}') returning tenant_id, seq, recorded_at, subject)
		insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject, attempts, parked_at, last_error)
		select tenant_id, $3, 0, seq, recorded_at, subject, 8, now(), E'no stock row\nfor SKU "X"' from fact`,
		identity.DefaultTenant, id, consumer)
	Expect(err).NotTo(HaveOccurred())
	return id
}

var _ = Describe("fusion events", func() {
	It("lists the log, by topic and from where one left off", func() {
		d := testkit.NewDatabase()
		environ := onDatabase(d)
		Expect(fusion(environ, "events", "list").out).To(Equal("No events.\n"))
		first, second := parkEvent(d, "a.one"), parkEvent(d, "a.one")
		list := func(args ...string) (ids []uuid.UUID) {
			GinkgoHelper()
			for _, e := range parsed[[]struct {
				ID   uuid.UUID
				Data map[string]any
			}](fusion(environ, append([]string{"events", "list", "--json"}, args...)...)) {
				Expect(e.Data).To(HaveKeyWithValue("orderId", "1"))
				ids = append(ids, e.ID)
			}
			return ids
		}
		Expect(list()).To(Equal([]uuid.UUID{first, second}))
		Expect(list("--limit", "1")).To(Equal([]uuid.UUID{first}))
		Expect(list("--after", first.String())).To(Equal([]uuid.UUID{second}))
		Expect(list("--topic", "order.created")).To(HaveLen(2))
		Expect(list("--topic", "order.failed")).To(BeEmpty())
		Expect(fusion(environ, "events", "list").out).To(MatchRegexp(`order\.created +` + first.String()))

		c := fusion(environ, "events", "list", "--after", uuid.NewString())
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(HavePrefix("fusion: there is no event "))
	})

	It("shows what is parked and why, tries it again or gives it up", func() {
		d := testkit.NewDatabase()
		environ := onDatabase(d)
		Expect(fusion(environ, "events", "parked").out).To(Equal("Nothing is parked.\n"))
		Expect(fusion(environ, "events", "retry").out).To(Equal("0 deliveries will be tried again by the running shop.\n"))
		one, two, three := parkEvent(d, "inventory.a"), parkEvent(d, "inventory.a"), parkEvent(d, "orders.b")
		parked := func(args ...string) (ids []uuid.UUID) {
			GinkgoHelper()
			for _, p := range parsed[[]struct{ Event uuid.UUID }](fusion(environ, append([]string{"events", "parked", "--json"}, args...)...)) {
				ids = append(ids, p.Event)
			}
			return ids
		}
		Expect(parked()).To(Equal([]uuid.UUID{one, two, three}))
		Expect(parked("--consumer", "orders.b")).To(Equal([]uuid.UUID{three}))
		Expect(fusion(environ, "events", "parked").out).To(MatchRegexp(`inventory\.a +order\.created +` + one.String() + ` +8 +.* +no stock row for SKU "X"`))

		Expect(fusion(environ, "events", "retry", one.String()).out).To(Equal("1 delivery will be tried again by the running shop.\n"))
		Expect(parked()).To(Equal([]uuid.UUID{two, three}))

		By("only telling what it would drop")
		c := fusion(environ, "events", "drop", "--consumer", "inventory.a")
		Expect(c.code).To(Equal(exitUsage))
		Expect(c.err).To(And(ContainSubstring("This would give up 1 delivery:"), ContainSubstring(two.String()), ContainSubstring("add --yes")))
		Expect(parked()).To(HaveLen(2))

		Expect(parsed[map[string]int](fusion(environ, "events", "drop", "--consumer", "inventory.a", "--yes", "--json"))).To(HaveKeyWithValue("dropped", 1))
		Expect(parked()).To(Equal([]uuid.UUID{three}))
		Expect(parsed[map[string]int](fusion(environ, "events", "retry", "--json"))).To(HaveKeyWithValue("retried", 1))
		Expect(parked()).To(BeEmpty())
		Expect(fusion(environ, "events", "list", "--json").out).To(ContainSubstring(two.String()), "the fact stays")

		c = fusion(environ, "events", "retry", two.String())
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(HavePrefix("fusion: no parked delivery matches"))
	})
})

var _ = Describe("fusion audit", func() {
	It("lists, exports and verifies the log, and tells who tampered with it", func(ctx SpecContext) {
		d := testkit.NewDatabase()
		environ := onDatabase(d)
		Expect(fusion(environ, "audit", "list").out).To(Equal("No entries.\n"))
		Expect(fusion(environ, "audit", "verify").code).To(BeZero())
		pool, acting := testkit.Open(d.App), testkit.As(identity.DefaultTenant)
		for _, reason := range []string{"first", "second", "third"} {
			Expect(pool.InTx(acting, func(tx *db.Tx) error {
				return audit.Record(acting, tx, audit.Entry{Action: "adjustStock", Entity: "inventory", EntityID: "MUG", Reason: reason})
			})).To(Succeed())
		}
		Expect(audit.NewSealer(pool, testkit.Log()).Seal(ctx)).To(Succeed())
		Expect(fusion(environ, "audit", "list", "--entity", "inventory").out).To(MatchRegexp(`key:spec +adjustStock +inventory MUG +third\n(.*\n)+.*first`))
		Expect(fusion(environ, "audit", "list", "--from", "soon").code).To(Equal(exitUsage))
		Expect(strings.Count(fusion(environ, "audit", "export", "--action", "adjustStock").out, "\n")).To(Equal(3))
		Expect(fusion(environ, "audit", "export", "--format", "xlsx").code).To(Equal(exitUsage))

		heads := filepath.Join(GinkgoT().TempDir(), "heads")
		Expect(os.WriteFile(heads, []byte(fusion(environ, "audit", "head").out), 0o600)).To(Succeed())
		Expect(fusion(environ, "audit", "verify", "--head", heads).code).To(BeZero())
		Expect(fusion(environ, "audit", "verify", "--head", "nowhere").code).To(Equal(exitUsage))

		super := testkit.SQL(d.Super)
		var seq int64
		Expect(super.QueryRow(`select seq from platform.audit where reason = 'second'`).Scan(&seq)).To(Succeed())
		_, err := super.Exec(`set session_replication_role = replica; update platform.audit set reason = 'other' where reason = 'second'`)
		Expect(err).NotTo(HaveOccurred())
		c := fusion(environ, "audit", "verify")
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(ContainSubstring(fmt.Sprintf("row %d was changed", seq)))
	})
})

var _ = Describe("fusion doctor", func() {
	examined := func(c commandLine) (states, fixes map[string]string) {
		GinkgoHelper()
		states, fixes = map[string]string{}, map[string]string{}
		for _, f := range parsed[struct{ Findings []finding }](c).Findings {
			states[f.Check], fixes[f.Check] = f.State, f.Fix
		}
		return states, fixes
	}

	It("finds a sound shop sound", func() {
		c := fusion(onDatabase(testkit.NewDatabase()), "doctor", "--json")
		Expect(c.code).To(BeZero(), c.out)
		states, _ := examined(c)
		Expect(states).To(Equal(map[string]string{
			"config": fine, "address": fine, "database": fine, "schema": fine, "role": fine, "clock": fine, "events": fine, "secrets": fine, "broker": fine, "mail": fine,
			"certificates": fine, "limits": fine,
		}))
	})

	DescribeTable("exits 6 and says what to do", func(environ func(testkit.Database) []string, check, fix string) {
		d := testkit.NewDatabase()
		given := environ(d)
		c := fusion(given, "doctor", "--json")
		Expect(c.code).To(Equal(exitProblems))
		Expect(c.err).To(MatchRegexp(`^fusion: doctor found \d problems?\n$`))
		states, fixes := examined(c)
		Expect(states).To(HaveKeyWithValue(check, problem))
		Expect(fixes[check]).To(ContainSubstring(fix))
		Expect(fusion(given, "doctor").out).To(MatchRegexp(`✗ ` + check))
	},
		Entry("a wrong setting", func(d testkit.Database) []string { return onDatabase(d, "FUSION_LOG_LEVEL=loud") }, "config", ""),
		Entry("a module that does not exist", func(d testkit.Database) []string { return onDatabase(d, "FUSION_MODULES=shop") }, "config", "FUSION_MODULES"),
		Entry("an address that is taken", func(d testkit.Database) []string {
			return append(onDatabase(d)[:2], "FUSION_ADDR="+takenAddress())
		}, "address", "choose another address"),
		Entry("a database that does not answer", func(testkit.Database) []string { return []string{"FUSION_DATABASE_URL=postgres://127.0.0.1:1/shop"} }, "database", "FUSION_DATABASE_URL"),
		Entry("a role without bounds", func(d testkit.Database) []string { return []string{"FUSION_DATABASE_URL=" + d.Super} }, "role", "Connect as fusion_app"),
		Entry("an old schema", func(d testkit.Database) []string {
			_, err := testkit.SQL(d.Super).Exec(`delete from migrations.orders`)
			Expect(err).NotTo(HaveOccurred())
			return onDatabase(d)
		}, "schema", "fusion migrate up"),
		Entry("parked events", func(d testkit.Database) []string {
			_, err := testkit.SQL(d.Super).Exec(`insert into platform.subscription (consumer, part, parts, topic) values ('a.b', 0, 1, 'order.created')`)
			Expect(err).NotTo(HaveOccurred())
			parkEvent(d, "a.b")
			return onDatabase(d)
		}, "events", "fusion events parked"),
	)

	Describe("about the broker", func() {
		// cluster is a pretended Kafka.
		cluster := func(o ...kfake.Opt) *kfake.Cluster {
			GinkgoHelper()
			c, err := kfake.NewCluster(append(o, kfake.NumBrokers(1))...)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(c.Close)
			return c
		}
		// asked is what the doctor finds, and how it ends.
		asked := func(settings ...string) (finding, int) {
			GinkgoHelper()
			c := fusion(onDatabase(testkit.NewDatabase(), settings...), "doctor", "--json")
			for _, f := range parsed[struct{ Findings []finding }](c).Findings {
				if f.Check == "broker" {
					return f, c.code
				}
			}
			Fail("nothing about the broker: " + c.out)
			return finding{}, 0
		}
		on := func(brokers []string, more ...string) []string {
			return append([]string{"FUSION_BUS=kafka", "FUSION_KAFKA_BROKERS=" + strings.Join(brokers, ",")}, more...)
		}

		It("knows that none is needed", func() {
			f, code := asked()
			Expect(f).To(Equal(finding{Check: "broker", State: fine, Detail: "none is needed: events are carried by the database"}))
			Expect(code).To(BeZero())
		})

		It("finds one without topics, which the shop will make, and then with them", func(ctx SpecContext) {
			brokers := cluster().ListenAddrs()
			f, code := asked(on(brokers, "FUSION_KAFKA_PREFIX=eu.")...)
			Expect(f).To(And(HaveField("Check", "broker"), HaveField("State", warning),
				HaveField("Detail", HavePrefix("Kafka at "+brokers[0]+" answers, and a topic is missing: eu.")),
				HaveField("Fix", "The start of the shop makes the topics that are missing")))
			Expect(code).To(BeZero())

			k, err := kafka.New(kafka.Options{Brokers: brokers, Prefix: "eu."}, testkit.Log())
			Expect(err).NotTo(HaveOccurred())
			Expect(k.Prepare(ctx)).To(Succeed())
			f, code = asked(on(brokers, "FUSION_KAFKA_PREFIX=eu.")...)
			Expect(f).To(Equal(finding{Check: "broker", State: fine, Detail: "Kafka at " + brokers[0] + " has all topics"}))
			Expect(code).To(BeZero())
			f, _ = asked(on(brokers)...)
			Expect(f).To(HaveField("State", warning), "another shop's topics")
		})

		It("does not find one that is away", func() {
			f, code := asked(on([]string{unusedAddress()})...)
			Expect(f).To(And(HaveField("State", problem), HaveField("Detail", And(ContainSubstring("is out of reach"), ContainSubstring("connection refused"))),
				HaveField("Fix", ContainSubstring("Check kafka.brokers"))))
			Expect(code).To(Equal(exitProblems))
		})

		It("is not let in with a wrong password, and says that this is why", func() {
			closed := cluster(kfake.EnableSASL(), kfake.Superuser("PLAIN", "fusion", "open-sesame"))
			// It only hangs up on a wrong password. Kafka says so first.
			closed.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
				closed.KeepControl()
				login, ok := r.(*kmsg.SASLAuthenticateRequest)
				if !ok || bytes.HasSuffix(login.SASLAuthBytes, []byte("open-sesame")) {
					return nil, nil, false
				}
				refusal := kmsg.NewPtrSASLAuthenticateResponse()
				refusal.Version = login.Version
				refusal.ErrorCode, refusal.ErrorMessage = 58, new("Authentication failed: Invalid username or password")
				return refusal, nil, true
			})
			with := func(password string) []string {
				return on(closed.ListenAddrs(), "FUSION_KAFKA_SASL=plain", "FUSION_KAFKA_USER=fusion", "FUSION_KAFKA_PASSWORD="+password)
			}
			f, code := asked(with("guess")...)
			Expect(f).To(And(HaveField("State", problem), HaveField("Detail", ContainSubstring("answers, and the brokers do not accept kafka.user")),
				HaveField("Fix", ContainSubstring("Check kafka.sasl, kafka.user and kafka.password"))))
			Expect(code).To(Equal(exitProblems))
			f, _ = asked(with("open-sesame")...)
			Expect(f).To(HaveField("State", warning), "it is let in")
		})
	})

	It("tries the programs where there is no shop yet, and makes none", func() {
		dir := cleanFolder()
		c := fusion([]string{"FUSION_ADDR=127.0.0.1:0", "FUSION_DATA=" + filepath.Join(dir, "data")}, "doctor", "--json")
		Expect(c.code).To(BeZero(), c.out)
		states, _ := examined(c)
		Expect(states).To(And(HaveKeyWithValue("database", fine), HaveKeyWithValue("schema", skipped)))
		Expect(os.ReadDir(dir)).To(BeEmpty())
	})
})

var _ = Describe("fusion seed", func() {
	It("fills a shop once, and further when asked to", func() {
		environ := onDatabase(testkit.NewDatabase())
		seed := func(args ...string) map[string]int {
			GinkgoHelper()
			c := fusion(environ, append([]string{"seed", "--json"}, args...)...)
			Expect(c.code).To(BeZero(), c.err)
			return parsed[map[string]int](c)
		}
		Expect(seed()).To(Equal(map[string]int{"products": 60, "created": 60, "kept": 0, "campaigns": 2, "shippingMethods": 2}))
		Expect(seed()).To(Equal(map[string]int{"products": 60, "created": 0, "kept": 60, "campaigns": 0, "shippingMethods": 0}))
		Expect(seed("--products", "62")).To(Equal(map[string]int{"products": 62, "created": 2, "kept": 60, "campaigns": 0, "shippingMethods": 0}))
		Expect(fusion(environ, "events", "backlog", "--json").out).NotTo(MatchRegexp(`"waiting": [1-9]`), "the products have their stock")
		Expect(fusion(environ, "keys", "list", "--json").out).To(Equal("[]\n"), "no key is left behind")
	})
})
