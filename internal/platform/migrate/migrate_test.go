package migrate_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/migrations"
)

var _ = Describe("the schema of the program", func() {
	It("is the same after all modules went down and up again", func(ctx SpecContext) {
		d := emptyDatabase()
		fresh := dump(d)
		runner := everything(d)
		files := 0
		applied, err := runner.Up(ctx)
		Expect(err).NotTo(HaveOccurred())
		first := dump(d)
		Expect(first).To(ContainElement(ContainSubstring("policy tenant of orders")), "the dump looks at the right things")

		all, err := runner.Status(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(len(testkit.Modules()) + 1))
		for _, s := range slices.Backward(all) {
			Expect(s.Err()).NotTo(HaveOccurred())
			for range s.Version {
				Expect(runner.Down(ctx, s.Module)).To(Succeed())
				files++
			}
		}
		Expect(applied).To(Equal(files))
		Expect(withoutVersions(dump(d))).To(Equal(fresh), "nothing stays behind but the version tables")

		Expect(runner.Up(ctx)).To(Equal(files))
		Expect(dump(d)).To(Equal(first))
	})

	It("leaves an older program, which knows of no shop that is closed, no key of one", func(ctx SpecContext) {
		d := migratedDatabase()
		for _, status := range []string{"active", "suspended", "deleting", "deleted"} {
			run(d.super, `with t as (insert into platform.tenant (tenant_id, slug, name, status) values (gen_random_uuid(), $1, 'x', $1) returning tenant_id)
				insert into platform.api_key (tenant_id, id, name, prefix, hash, permissions) select tenant_id, gen_random_uuid(), $1, 'x', sha256($1::bytea), '{}' from t`, status)
		}
		runner := everything(d)
		for version := lines(d.super, `select version::text from migrations.platform`)[0]; version != "5"; version = lines(d.super, `select version::text from migrations.platform`)[0] {
			Expect(runner.Down(ctx, "platform")).To(Succeed())
		}
		Expect(lines(d.super, `select name from platform.api_key where revoked_at is null`)).To(Equal([]string{"active"}))
	})

	It("is left alone by a second migration", func(ctx SpecContext) {
		d := migratedDatabase()
		before := dump(d)
		Expect(everything(d).Up(ctx)).To(BeZero())
		Expect(dump(d)).To(Equal(before))
	})

	It("is of the owner, and the application's role owns nothing", func() {
		d := migratedDatabase()
		Expect(lines(d.super, `select relname from pg_class where relowner = 'fusion_app'::regrole
			union all select nspname from pg_namespace where nspowner = 'fusion_app'::regrole
			union all select proname from pg_proc where proowner = 'fusion_app'::regrole`)).To(BeEmpty())
	})

	It("is found by the application's role", func(ctx SpecContext) {
		d := migratedDatabase()
		all, err := migrate.Check(ctx, testkit.SQL(d.app), migrations.FS, testkit.Modules()...)
		Expect(err).NotTo(HaveOccurred())
		for _, s := range all {
			Expect(s.Err()).NotTo(HaveOccurred())
			Expect(s.Version).To(BeNumerically(">", 0))
			_, err := testkit.SQL(d.app).ExecContext(ctx, `update migrations."`+s.Module+`" set version = 99`)
			Expect(err).To(MatchError(ContainSubstring("permission denied")))
		}
	})

	It("is missing, not broken, in an empty database", func(ctx SpecContext) {
		all, err := migrate.Check(ctx, testkit.SQL(emptyDatabase().app), migrations.FS)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveExactElements(HaveField("Version", 0)))
		Expect(all[0].Err()).To(MatchError(migrate.ErrBehind))
	})
})

// withoutVersions leaves the schema of the version tables out.
func withoutVersions(dump []string) []string {
	return slices.DeleteFunc(dump, func(line string) bool { return strings.HasPrefix(line, "migrations ") })
}

var _ = Describe("programs that migrate at the same moment", func() {
	// upTogether migrates with a runner each and tells how many files each of them applied.
	upTogether := func(ctx context.Context, databases ...database) []int {
		GinkgoHelper()
		applied, failures := make([]int, len(databases)), make([]error, len(databases))
		start := make(chan struct{})
		var done sync.WaitGroup
		for i, d := range databases {
			runner := everything(d)
			done.Go(func() {
				<-start
				applied[i], failures[i] = runner.Up(ctx)
			})
		}
		close(start)
		done.Wait()
		Expect(errors.Join(failures...)).NotTo(HaveOccurred())
		return applied
	}

	It("take turns: one applies everything, the others nothing", func(ctx SpecContext) {
		d := emptyDatabase()
		applied := upTogether(ctx, d, d, d, d)
		slices.Sort(applied)
		Expect(applied).To(HaveExactElements(0, 0, 0, BeNumerically(">", 0)))
	})

	It("give up their turn when they are stopped", func(ctx SpecContext) {
		d := emptyDatabase()
		holder, err := d.super.Conn(ctx)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(holder.Close)
		_, err = holder.ExecContext(ctx, `select pg_advisory_lock(71::bigint << 48)`)
		Expect(err).NotTo(HaveOccurred())
		stopped, stop := context.WithCancel(ctx)
		stop()
		_, err = everything(d).Up(stopped)
		Expect(err).To(MatchError(context.Canceled))
		Expect(lines(d.super, `select nspname from pg_namespace where nspname = 'migrations'`)).To(BeEmpty())
	})

	Context("on a server that has not seen the application's role", func() {
		BeforeEach(func() {
			server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
			run(server, `alter role fusion_app rename to fusion_app_elsewhere`)
			DeferCleanup(func() {
				run(server, `drop role if exists fusion_app`)
				run(server, `alter role fusion_app_elsewhere rename to fusion_app`)
			})
		})

		It("make the role once, with its bounds", func(ctx SpecContext) {
			a, b := emptyDatabase(), emptyDatabase()
			upTogether(ctx, a, b, a, b)
			Expect(lines(a.super, `select unnest(rolconfig) from pg_roles where rolname = 'fusion_app'`)).To(ConsistOf(
				"jit=off", "enable_seqscan=off", "statement_timeout=5s", "lock_timeout=2s", "idle_in_transaction_session_timeout=10s", "TimeZone=UTC"))
			Expect(lines(a.super, `select format('%s %s %s %s %s', rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole) from pg_roles where rolname = 'fusion_app'`)).To(
				HaveExactElements("t f f f f"))
		})

		It("say what an administrator can do when they may not make it", func(ctx SpecContext) {
			d := emptyDatabase()
			run(d.super, `alter role `+owner+` nocreaterole`)
			DeferCleanup(func() { run(d.super, `alter role `+owner+` createrole`) })
			_, err := everything(d).Up(ctx)
			Expect(err).To(MatchError(ContainSubstring("an administrator can do it: create role fusion_app login nobypassrls")))
		})
	})
})

var _ = Describe("a schema that the program cannot work with", func() {
	var (
		d     database
		files fstest.MapFS
	)

	BeforeEach(func() {
		d = emptyDatabase()
		files = fstest.MapFS{
			"platform/0001_init.up.sql":   sqlFile(`create schema platform`),
			"platform/0001_init.down.sql": sqlFile(`drop schema platform`),
			"parcel/0001_init.up.sql":     sqlFile(`create schema parcel`),
			"parcel/0001_init.down.sql":   sqlFile(`drop schema parcel`),
			"parcel/0002_box.up.sql":      sqlFile(`create table parcel.box (width int)`),
			"parcel/0002_box.down.sql":    sqlFile(`drop table parcel.box`),
		}
	})

	open := func() *migrate.Runner {
		GinkgoHelper()
		runner, err := migrate.Open(d.owner, files, "parcel")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(runner.Close)
		return runner
	}
	status := func(ctx context.Context) migrate.Status {
		GinkgoHelper()
		all, err := migrate.Check(ctx, testkit.SQL(d.app), files, "parcel")
		Expect(err).NotTo(HaveOccurred())
		return all[1]
	}

	It("is older, until what is missing is applied", func(ctx SpecContext) {
		Expect(open().Up(ctx)).To(Equal(3))
		files["parcel/0003_weight.up.sql"] = sqlFile(`alter table parcel.box add weight int`)
		files["parcel/0004_colour.up.sql"] = sqlFile(`alter table parcel.box add colour text`)
		err := status(ctx).Err()
		Expect(err).To(MatchError(migrate.ErrBehind))
		Expect(err).To(MatchError("the database is older than this program: parcel is at version 2 of 4; run: fusion migrate up"))
		Expect(open().Up(ctx)).To(Equal(2))
		Expect(status(ctx).Err()).NotTo(HaveOccurred())
	})

	It("is newer, and no module is touched", func(ctx SpecContext) {
		Expect(open().Up(ctx)).To(Equal(3))
		delete(files, "parcel/0002_box.up.sql")
		delete(files, "parcel/0002_box.down.sql")
		files["platform/0002_more.up.sql"] = sqlFile(`create table platform.more ()`)
		const said = "the database is newer than this program: parcel is at version 2, this program knows 1; start the newer program, or migrate down with it first"
		Expect(status(ctx).Err()).To(And(MatchError(migrate.ErrNewer), MatchError(said)))
		run(d.super, `alter role fusion_app set lock_timeout = '9s'; alter default privileges for role `+owner+` in schema migrations revoke select on tables from fusion_app`)
		DeferCleanup(func() { run(d.super, `alter role fusion_app set lock_timeout = '2s'`) })
		before := dump(d)
		applied, err := open().Up(ctx)
		Expect(applied).To(BeZero())
		Expect(err).To(And(MatchError(migrate.ErrNewer), MatchError(said)))
		Expect(open().Down(ctx, "parcel")).To(And(MatchError(migrate.ErrNewer), MatchError(said)))
		Expect(dump(d)).To(Equal(before))
		Expect(lines(d.super, `select unnest(rolconfig) from pg_roles where rolname = 'fusion_app'`)).To(ContainElement("lock_timeout=9s"), "what the newer program decided")
	})

	It("is dirty after a file failed, keeps nothing of that file, and goes on once it is repaired", func(ctx SpecContext) {
		files["parcel/0002_box.up.sql"] = sqlFile(`create table parcel.half (); create table nowhere.box ()`)
		_, err := open().Up(ctx)
		Expect(err).To(MatchError(And(ContainSubstring("parcel"), ContainSubstring(`schema "nowhere" does not exist`))))
		Expect(lines(d.super, `select to_regclass('parcel.half') is null`)).To(HaveExactElements("true"))

		files["platform/0002_more.up.sql"] = sqlFile(`create table platform.more ()`)
		const said = "a migration failed half-way: parcel is marked dirty at version 2; repair the schema, then set dirty to false in migrations.parcel"
		Expect(status(ctx).Err()).To(And(MatchError(migrate.ErrDirty), MatchError(said)))
		before := dump(d)
		applied, err := open().Up(ctx)
		Expect(applied).To(BeZero())
		Expect(err).To(And(MatchError(migrate.ErrDirty), MatchError(said)))
		Expect(open().Down(ctx, "parcel")).To(And(MatchError(migrate.ErrDirty), MatchError(said)))
		Expect(dump(d)).To(Equal(before))

		run(d.super, `create table parcel.box ()`)
		run(d.super, `update migrations.parcel set dirty = false`)
		Expect(open().Up(ctx)).To(Equal(1), "of the platform, which waited")
		Expect(status(ctx).Err()).NotTo(HaveOccurred())
	})

	It("is dirty at version 0 after the first file could not be taken back", func(ctx SpecContext) {
		files["parcel/0001_init.down.sql"] = sqlFile(`drop schema elsewhere`)
		runner := open()
		Expect(runner.Up(ctx)).To(Equal(3))
		Expect(runner.Down(ctx, "parcel")).To(Succeed())
		Expect(runner.Down(ctx, "parcel")).To(MatchError(ContainSubstring(`schema "elsewhere" does not exist`)))
		Expect(status(ctx)).To(And(HaveField("Version", 0), HaveField("Dirty", true)))

		run(d.super, `drop schema parcel`)
		run(d.super, `update migrations.parcel set dirty = false`)
		Expect(status(ctx).Err()).To(MatchError("the database is older than this program: parcel is at version 0 of 2; run: fusion migrate up"))
		Expect(runner.Up(ctx)).To(Equal(2))
	})

	Context("while a customer has a table that a file changes", func() {
		var customer *sql.Conn

		BeforeEach(func(ctx SpecContext) {
			files["parcel/0003_lid.up.sql"] = sqlFile(`create table parcel.lid (width int)`)
			Expect(open().Up(ctx)).To(Equal(4))
			files["parcel/0004_colour.up.sql"] = sqlFile(`alter table parcel.box add colour text; alter table parcel.lid add colour text`)
			var err error
			customer, err = d.super.Conn(ctx)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(customer.Close)
			_, err = customer.ExecContext(ctx, `begin; lock table parcel.lid in row exclusive mode`)
			Expect(err).NotTo(HaveOccurred())
		})

		// up migrates, and returns when the file waits for the customer.
		up := func(ctx context.Context) chan error {
			GinkgoHelper()
			ended := make(chan error, 1)
			runner := open()
			go func() {
				_, err := runner.Up(ctx)
				ended <- err
			}()
			Eventually(func() []string {
				return lines(d.super, `select relation::regclass::text from pg_locks where relation = 'parcel.lid'::regclass and not granted`)
			}).Should(HaveExactElements("parcel.lid"))
			return ended
		}

		It("lets the customer have the other tables as well, and goes on after", func(ctx SpecContext) {
			ended := up(ctx)
			_, err := customer.ExecContext(ctx, `lock table parcel.box in row exclusive mode`)
			Expect(err).NotTo(HaveOccurred())
			_, err = customer.ExecContext(ctx, `commit`)
			Expect(err).NotTo(HaveOccurred())
			Expect(<-ended).NotTo(HaveOccurred())
			Expect(status(ctx).Err()).NotTo(HaveOccurred())
			Expect(lines(d.super, `select deadlocks::text from pg_stat_database where datname = current_database()`)).To(HaveExactElements("0"))
		}, SpecTimeout(time.Minute))

		It("gives up when it is stopped, and leaves the schema as it was", func(ctx SpecContext) {
			stopped, stop := context.WithCancel(ctx)
			ended := up(stopped)
			stop()
			Expect(<-ended).To(MatchError(context.Canceled))
			Expect(status(ctx)).To(And(HaveField("Version", 3), HaveField("Dirty", false)))
		}, SpecTimeout(time.Minute))
	})

	It("cannot be taken back further than to nothing", func(ctx SpecContext) {
		Expect(open().Down(ctx, "parcel")).To(MatchError("parcel has no migration to take back"))
		Expect(open().Down(ctx, "castle")).To(MatchError(ContainSubstring("migrations of castle")))
	})
})

func sqlFile(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
