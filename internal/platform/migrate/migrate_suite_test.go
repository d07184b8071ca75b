package migrate_test

import (
	"database/sql"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/migrations"
)

func TestMigrate(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "migrate")
}

var _ = AfterSuite(testkit.Close)

const owner = "fusion_owner" // made by testkit, with the one right to create roles

// database is one that nobody has migrated.
type database struct {
	owner, app string // DSNs
	super      *sql.DB
}

func emptyDatabase() database {
	GinkgoHelper()
	name := "empty_" + strings.ReplaceAll(clock.NewID().String(), "-", "")
	server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
	run(server, `create database `+name+` owner `+owner)
	DeferCleanup(func() { run(server, `drop database `+name+` with (force)`) })
	c := testkit.Cluster()
	return database{owner: c.DSN(owner, name), app: c.DSN(migrate.AppRole, name), super: testkit.SQL(c.DSN("postgres", name))}
}

// migratedDatabase is a copy of one that Up has migrated.
func migratedDatabase() database {
	GinkgoHelper()
	d := testkit.NewDatabase()
	return database{owner: d.Owner, app: d.App, super: testkit.SQL(d.Super)}
}

// run runs a statement.
func run(pool *sql.DB, query string, args ...any) {
	GinkgoHelper()
	_, err := pool.Exec(query, args...)
	Expect(err).NotTo(HaveOccurred(), query)
}

// lines reads a column of text.
func lines(pool *sql.DB, query string, args ...any) (all []string) {
	GinkgoHelper()
	rows, err := pool.Query(query, args...)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		Expect(rows.Scan(&line)).To(Succeed())
		all = append(all, line)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return all
}

// everything is the runner of all modules on a database.
func everything(d database) *migrate.Runner {
	GinkgoHelper()
	runner, err := migrate.Open(d.owner, migrations.FS, testkit.Modules()...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(runner.Close)
	return runner
}

// dump is what PostgreSQL knows of a database, as lines that begin with a schema's name.
func dump(d database) []string {
	GinkgoHelper()
	return lines(d.super, `
		with ours as (select oid, nspname, nspowner, nspacl from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')
		select line from (
			select format('%s schema, owner %s, grants %s', nspname, nspowner::regrole, nspacl) as line from ours
			union all
			select format('%s default grants on %s of %s: %s', n.nspname, a.defaclobjtype, a.defaclrole::regrole, a.defaclacl)
			from pg_default_acl a join ours n on n.oid = a.defaclnamespace
			union all
			select format('%s relation %s, kind %s, owner %s, options %s, row security %s, forced %s, bounds %s, grants %s',
				n.nspname, c.relname, c.relkind, c.relowner::regrole, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, pg_get_expr(c.relpartbound, c.oid), c.relacl)
			from pg_class c join ours n on n.oid = c.relnamespace
			union all
			select format('%s column %s.%s %s, place %s, not null %s, default %s, identity %s, generated %s, collation %s, grants %s',
				n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnum, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attcollation, a.attacl)
			from pg_attribute a join pg_class c on c.oid = a.attrelid join ours n on n.oid = c.relnamespace
			left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum where not a.attisdropped and a.attnum > 0
			union all
			select format('%s constraint %s of %s: %s, valid %s', n.nspname, c.conname, c.conrelid::regclass, pg_get_constraintdef(c.oid), c.convalidated)
			from pg_constraint c join ours n on n.oid = c.connamespace
			union all
			select format('%s index %s: %s, valid %s', n.nspname, c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid)
			from pg_index i join pg_class c on c.oid = i.indexrelid join ours n on n.oid = c.relnamespace
			union all
			select format('%s policy %s of %s: %s %s %s using %s check %s', p.schemaname, p.policyname, p.tablename, p.permissive, p.roles, p.cmd, p.qual, p.with_check)
			from pg_policies p join ours n on n.nspname = p.schemaname
			union all
			select format('%s function %s, owner %s, grants %s', n.nspname, pg_get_functiondef(p.oid), p.proowner::regrole, p.proacl)
			from pg_proc p join ours n on n.oid = p.pronamespace where p.prokind in ('f', 'p')
			union all
			select format('%s trigger of %s: %s', n.nspname, c.relname, pg_get_triggerdef(t.oid))
			from pg_trigger t join pg_class c on c.oid = t.tgrelid join ours n on n.oid = c.relnamespace where not t.tgisinternal
			union all
			select format('%s sequence %s: %s', n.nspname, s.sequencename, to_jsonb(s)) from pg_sequences s join ours n on n.nspname = s.schemaname
		) all_lines order by line`)
}
