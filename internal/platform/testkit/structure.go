package testkit

import (
	"database/sql"

	"github.com/lib/pq"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// Structure is what PostgreSQL knows of a database beside its rows, owners and grants
// included, as lines that begin with a schema's name.
func Structure(pool *sql.DB) (lines []string) {
	ginkgo.GinkgoHelper()
	gomega.Expect(pool.QueryRow(structure).Scan(pq.Array(&lines))).To(gomega.Succeed())
	return lines
}

const structure = `
		with ours as (select oid, nspname, nspowner, nspacl from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')
		select coalesce(array_agg(line order by line), '{}') from (
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
		) all_lines`
