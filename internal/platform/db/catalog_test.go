package db_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// ours are the schemas of the platform and of every module, present and future: what a
// migration adds is covered the moment it exists.
const ours = `n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname !~ '^pg_(temp|toast_temp)_'`

// Exceptions are listed here, each with its reason. Everything else is a finding.
var (
	// withoutMerchant are tables that hold nothing of any merchant's.
	withoutMerchant = map[string]string{
		"platform.subscription": "which consumer hears of what is the same for all",
		"platform.job":          "periodic work is done once for all",
		"platform.relay":        "who hands a topic to the carrier does so for all",
		"platform.deployment":   "a database is one for all",
		"platform.audit_sealed": "how far the audit log is sealed is one for all",
		"platform.signing_key":  "the set of keys that checks tokens is one for all",
		"platform.vault_key":    "the master keys are the installation's",
		"migrations.*":          "the version of a schema is the same for all",
	}
	// acrossMerchants are indexes and keys that do not begin with the merchant.
	acrossMerchants = map[string]string{
		"platform.tenant_slug_key":       "a slug names the merchant itself",
		"platform.api_key_hash":          "a credential is looked up before its merchant is known",
		"platform.api_key_previous_hash": "as api_key_hash",
		"platform.tenant_host_name":      "a host is looked up before its merchant is known, and is one merchant's",
		"platform.delivery_pkey":         "a worker claims what waits for its consumer, in the order of the log",
		"platform.delivery_failing":      "as delivery_pkey",
		"platform.idempotency_age":       "old answers are forgotten by age",
		"platform.timer_due":             "what is due is looked for across merchants",
		"platform.audit_by_seq":          "the audit log is sealed across merchants, in the order of its numbers",
		"platform.mail_due":              "as timer_due",
		"platform.subscription_pkey":     "no merchant's", "platform.subscription_by_topic": "no merchant's", "platform.job_pkey": "no merchant's", "platform.relay_pkey": "no merchant's", "platform.deployment_pkey": "no merchant's", "platform.vault_key_pkey": "no merchant's", "platform.signing_key_pkey": "no merchant's",
		"migrations.*": "no merchant's",
	}
	// asOwner are functions that run with the rights of the owner of the tables.
	asOwner = map[string]string{
		"platform.maintain_partitions": "makes partitions, which is DDL; takes no input and reads no row of a merchant",
		"platform.retire_audit":        "drops partitions, which is DDL; takes an age of a month at least, works for all merchants alike and tells no row",
		"platform.purge_tenant":        "removes what the program may only add to; row-level security confines it to the one merchant, and it refuses one whose time is not over",
	}
)

// findings runs a query over the catalog that returns what is wrong, by name.
func findings(query string, args ...any) []string {
	GinkgoHelper()
	return names(testkit.SQL(testkit.Shared().Super), query, args...)
}

func names(pool *sql.DB, query string, args ...any) []string {
	GinkgoHelper()
	rows, err := pool.Query(query, args...)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	list := []string{}
	for rows.Next() {
		var name string
		Expect(rows.Scan(&name)).To(Succeed())
		list = append(list, name)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return list
}

// unexpected leaves out the names that an exception covers.
func unexpected(names []string, exceptions map[string]string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		schema, _, _ := strings.Cut(name, ".")
		return exceptions[name] != "" || exceptions[schema+".*"] != ""
	})
}

// Lint over the catalog. Each query is a function of the pool, so that the specs below can
// also show that it finds what it is for.
const (
	tablesWithoutTenant = `
		select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where ` + ours + ` and c.relkind in ('r', 'p')
		  and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull)`
	// A partition is reached through its parent, whose policies count; it needs the fence, not the gate.
	tablesWithoutFence = `
		select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
		where ` + ours + ` and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity
		  and (c.relispartition or exists (select from pg_policy p where p.polrelid = c.oid)))`
	policiesWithHoles = `
		select n.nspname || '.' || c.relname || ': ' || p.polname from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
		where p.polcmd <> '*' or not p.polpermissive or p.polroles <> '{0}' or p.polqual is null or p.polwithcheck is null
		   or pg_get_expr(p.polqual, p.polrelid) <> pg_get_expr(p.polwithcheck, p.polrelid)
		   or pg_get_expr(p.polqual, p.polrelid) !~ 'tenant_id = \( SELECT platform\.current_tenant\(\)'
		   or (select count(*) from pg_policy o where o.polrelid = p.polrelid) > 1`
	policiesAcross = `
		select n.nspname || '.' || c.relname from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
		where n.nspname <> 'platform' and pg_get_expr(p.polqual, p.polrelid) !~ '^\(tenant_id = \( SELECT platform\.current_tenant\(\) AS current_tenant\)\)$'`
	indexesAcross = `
		select n.nspname || '.' || i.relname from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
		join pg_namespace n on n.oid = c.relnamespace
		where ` + ours + ` and not c.relispartition and not exists (
			select from pg_attribute a where a.attrelid = c.oid and a.attnum = x.indkey[0] and a.attname = 'tenant_id')`
	referencesAcross = `
		select n.nspname || '.' || k.conname from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
		where ` + ours + ` and k.contype = 'f' and not (
			exists (select from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1] and a.attname = 'tenant_id')
			and exists (select from pg_attribute a where a.attrelid = k.confrelid and a.attnum = k.confkey[1] and a.attname = 'tenant_id'))`
	referencesBetweenModules = `
		select n.nspname || '.' || k.conname from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
		join pg_class f on f.oid = k.confrelid
		where ` + ours + ` and k.contype = 'f' and f.relnamespace <> c.relnamespace`
	// A savepoint is released before a deferred constraint is looked at: its refusal would not
	// be the event's that it is due to.
	deferrable = `
		select n.nspname || '.' || k.conname from pg_constraint k join pg_namespace n on n.oid = k.connamespace where ` + ours + ` and k.condeferrable`
	definers = `
		select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ` + ours + ` and p.prosecdef`
	views = `
		select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where ` + ours + ` and (c.relkind = 'm' or c.relkind = 'v' and not coalesce('security_invoker=true' = any(c.reloptions), false))`
	owned = `
		select o from (
			select n.nspname || '.' || c.relname o, c.relowner r from pg_class c join pg_namespace n on n.oid = c.relnamespace
			union all select n.nspname || '.' || p.proname, p.proowner from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			union all select nspname, nspowner from pg_namespace
			union all select datname, datdba from pg_database
			union all select typname, typowner from pg_type) o where r = 'fusion_app'::regrole`
	// TRUNCATE goes past row-level security; REFERENCES and TRIGGER let one in behind it.
	excessive = `
		select n.nspname || '.' || c.relname || ': ' || p from pg_class c join pg_namespace n on n.oid = c.relnamespace,
		unnest(array['truncate', 'references', 'trigger']) p
		where ` + ours + ` and c.relkind in ('r', 'p', 'v', 'm') and has_table_privilege('fusion_app', c.oid, p)
		union all select nspname || ': create' from pg_namespace n where ` + ours + ` and has_schema_privilege('fusion_app', n.oid, 'create')`
	partitionsWithinReach = `
		select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace, unnest(array['select', 'insert', 'update', 'delete']) p
		where ` + ours + ` and c.relispartition and c.relkind = 'r' and has_table_privilege('fusion_app', c.oid, p)`
)

var _ = Describe("the schema", func() {
	It("says of every table whose rows it holds", func() {
		Expect(unexpected(findings(tablesWithoutTenant), withoutMerchant)).To(BeEmpty())
	})
	It("fences every table with a merchant's rows, even against the owner", func() {
		Expect(findings(tablesWithoutFence)).To(BeEmpty())
	})
	It("lets one policy a table decide alike what is read and what is written, for everybody", func() {
		Expect(findings(policiesWithHoles)).To(BeEmpty())
	})
	It("keeps the rows of modules from the workers that see all merchants", func() {
		Expect(findings(policiesAcross)).To(BeEmpty())
	})
	It("begins every key and every index with the merchant", func() {
		Expect(unexpected(findings(indexesAcross), acrossMerchants)).To(BeEmpty())
	})
	It("lets no row refer to another merchant's, nor to another module's", func() {
		Expect(findings(referencesAcross)).To(BeEmpty())
		Expect(findings(referencesBetweenModules)).To(BeEmpty())
	})
	It("checks every constraint at the statement that breaks it", func() {
		Expect(findings(deferrable)).To(BeEmpty())
	})
	It("runs no function as the owner but those with a reason, and pins where those look", func() {
		Expect(unexpected(findings(definers), asOwner)).To(BeEmpty())
		for name := range asOwner {
			Expect(findings(`select unnest(proconfig) from pg_proc where oid = $1::regproc`, name)).To(ContainElement(HavePrefix("search_path=pg_catalog, ")))
			Expect(findings(`select 'public' where has_function_privilege('public', $1::regproc, 'execute')`, name)).To(BeEmpty())
		}
	})
	It("has no view that looks with its owner's eyes", func() {
		Expect(findings(views)).To(BeEmpty())
	})
	It("is not the program's: its role owns nothing, bypasses nothing and is a member of nothing", func() {
		Expect(findings(owned)).To(BeEmpty())
		Expect(findings(excessive)).To(BeEmpty())
		Expect(findings(partitionsWithinReach)).To(BeEmpty())
		Expect(findings(`select rolname from pg_roles where rolname = 'fusion_app' and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolinherit)`)).To(BeEmpty())
		Expect(findings(`select roleid::regrole::text from pg_auth_members where member = 'fusion_app'::regrole`)).To(BeEmpty())
	})
	It("makes exceptions only for what exists", func() {
		exists := findings(`select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where ` + ours + `
			union all select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ` + ours)
		for _, exceptions := range []map[string]string{withoutMerchant, acrossMerchants, asOwner} {
			for name, reason := range exceptions {
				Expect(reason).NotTo(BeEmpty())
				if !strings.HasSuffix(name, ".*") {
					Expect(exists).To(ContainElement(name))
				}
			}
		}
	})

	DescribeTable("would be found out", func(query, sabotage, finding string) {
		d := testkit.NewDatabase()
		super := testkit.SQL(d.Super)
		_, err := super.Exec(`create table catalog.card (tenant_id uuid not null, id int not null, product_id uuid, primary key (tenant_id, id));
			alter table catalog.card enable row level security; alter table catalog.card force row level security;
			create policy tenant on catalog.card using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
			alter schema catalog owner to fusion_owner; alter table catalog.card owner to fusion_owner; grant select on catalog.card to fusion_app`)
		Expect(err).NotTo(HaveOccurred())
		Expect(names(super, query)).NotTo(ContainElement(ContainSubstring(finding)))
		_, err = super.Exec(sabotage)
		Expect(err).NotTo(HaveOccurred())
		Expect(names(super, query)).To(ContainElement(ContainSubstring(finding)))
	},
		Entry("with a table of nobody's", tablesWithoutTenant, `create table catalog.loose (id int primary key)`, "catalog.loose"),
		Entry("with an optional merchant", tablesWithoutTenant, `alter table catalog.card drop constraint card_pkey, alter tenant_id drop not null`, "catalog.card"),
		Entry("without row-level security", tablesWithoutFence, `alter table catalog.card disable row level security`, "catalog.card"),
		Entry("without force", tablesWithoutFence, `alter table catalog.card no force row level security`, "catalog.card"),
		Entry("without a policy", tablesWithoutFence, `drop policy tenant on catalog.card`, "catalog.card"),
		Entry("with a policy for reading only", policiesWithHoles, `drop policy tenant on catalog.card; create policy tenant on catalog.card using (tenant_id = (select platform.current_tenant()))`, "catalog.card"),
		Entry("with a second, wider policy", policiesWithHoles, `create policy more on catalog.card using (true) with check (true)`, "catalog.card: more"),
		Entry("with a module's rows open to all merchants' workers", policiesAcross, `drop policy tenant on catalog.card; create policy tenant on catalog.card
			using (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants())) with check (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))`, "catalog.card"),
		Entry("with a key across merchants", indexesAcross, `create unique index card_id on catalog.card (id)`, "catalog.card_id"),
		Entry("with a reference across merchants", referencesAcross, `create unique index product_id on catalog.product (id); alter table catalog.card add foreign key (product_id) references catalog.product (id)`, "catalog.card_product_id_fkey"),
		Entry("with a reference between modules", referencesBetweenModules, `alter table catalog.card add foreign key (tenant_id, product_id) references orders.orders`, "catalog.card_tenant_id_product_id_fkey"),
		Entry("with a deferred constraint", deferrable, `alter table catalog.card add unique (tenant_id, product_id) deferrable`, "catalog.card_tenant_id_product_id_key"),
		Entry("with a function that runs as the owner", definers, `create function catalog.peek() returns bigint language sql security definer as 'select count(*) from catalog.card'`, "catalog.peek"),
		Entry("with a view", views, `create view catalog.cards as select * from catalog.card`, "catalog.cards"),
		Entry("with a materialized view", views, `create materialized view catalog.cards as select * from catalog.card`, "catalog.cards"),
		Entry("with a table of the program's own", owned, `alter table catalog.card owner to fusion_app`, "catalog.card"),
		Entry("with the right to truncate", excessive, `grant truncate on catalog.card to fusion_app`, "catalog.card: truncate"),
		Entry("with the right to make tables", excessive, `grant create on schema catalog to fusion_app`, "catalog: create"),
		Entry("with a partition within reach", partitionsWithinReach, `grant select on platform.event_default to fusion_app`, "platform.event_default"),
	)
})

var _ = Describe("a merchant's rows", Ordered, func() {
	var (
		d      testkit.Database
		super  *sql.DB
		app    *sql.DB
		a, b   uuid.UUID
		tables []string // with tenant_id, as the program reaches them
	)
	BeforeAll(func() {
		d = testkit.NewDatabase()
		super, app = testkit.SQL(d.Super), testkit.SQL(d.App)
		a, b = testkit.NewTenant(d), testkit.NewTenant(d)
		tables = names(super, `
			select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
			join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant_id'
			where `+ours+` and c.relkind in ('r', 'p') and not c.relispartition order by 1`)
		Expect(len(tables)).To(BeNumerically(">", 10))
		for _, t := range []uuid.UUID{a, b} {
			for _, table := range tables {
				if table != "platform.tenant" {
					testkit.Fill(super, table, t)
				}
			}
		}
	})
	count := func(table string) (n int) {
		GinkgoHelper()
		Expect(app.QueryRow(`select count(*) from ` + table).Scan(&n)).To(Succeed())
		return n
	}

	It("are there, in every table", func() {
		for _, table := range tables {
			var merchants int
			Expect(super.QueryRow(`select count(distinct tenant_id) from ` + table + ` where tenant_id <> '00000000-0000-7000-8000-000000000001'`).Scan(&merchants)).To(Succeed())
			Expect(merchants).To(Equal(2), table)
		}
	})

	It("are seen by nobody who does not say which merchant acts", func() {
		for _, table := range tables {
			Expect(count(table)).To(BeZero(), table)
		}
		// Not even on a connection that acted for somebody a moment ago: the setting is '' then, not NULL.
		app.SetMaxOpenConns(1)
		_, err := app.Exec(`begin; select set_config('app.tenant_id', '` + a.String() + `', true), set_config('app.all_tenants', 'on', true); commit`)
		Expect(err).NotTo(HaveOccurred())
		for _, table := range tables {
			Expect(count(table)).To(BeZero(), table)
		}
	})

	It("are not even seen by the owner of the tables", func() {
		owner := testkit.SQL(d.Owner)
		for _, table := range tables {
			var n int
			Expect(owner.QueryRow(`select count(*) from ` + table).Scan(&n)).To(Succeed())
			Expect(n).To(BeZero(), table)
		}
	})

	It("are all that the merchant sees", func() {
		pool := testkit.Open(d.App)
		for _, t := range []uuid.UUID{a, b} {
			Expect(pool.Read(testkit.As(t), func(tx *db.Tx) error {
				for _, table := range tables {
					var merchants []string
					if err := tx.Select(testkit.As(t), &merchants, `select distinct tenant_id::text from `+table); err != nil {
						return err
					}
					Expect(merchants).To(Equal([]string{t.String()}), table)
				}
				return nil
			})).To(Succeed())
		}
	})

	It("cannot be written for somebody else", func() {
		pool := testkit.Open(d.App)
		for _, table := range tables {
			if len(names(super, `select 'yes' where has_table_privilege('fusion_app', $1, 'insert')`, table)) == 0 {
				continue
			}
			columns := names(super, `select quote_ident(attname) from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attname <> 'tenant_id' order by attnum`, table)
			list := strings.Join(columns, ", ")
			Expect(pool.InTx(testkit.As(a), func(tx *db.Tx) error {
				_, err := tx.Exec(testkit.As(a), fmt.Sprintf(`insert into %s (tenant_id, %s) select '%s', %s from %s`, table, list, b, list, table))
				return err
			})).To(MatchError(ContainSubstring("violates row-level security policy")), table)
			if len(names(super, `select 'yes' where has_table_privilege('fusion_app', $1, 'update')`, table)) == 0 {
				continue
			}
			Expect(pool.InTx(testkit.As(a), func(tx *db.Tx) error {
				n, err := tx.Exec(testkit.As(a), fmt.Sprintf(`update %s set tenant_id = tenant_id where tenant_id = '%s'`, table, b))
				Expect(n).To(BeZero(), table)
				return err
			})).To(Succeed())
			Expect(pool.InTx(testkit.As(a), func(tx *db.Tx) error {
				_, err := tx.Exec(testkit.As(a), fmt.Sprintf(`update %s set tenant_id = '%s'`, table, b))
				return err
			})).To(MatchError(ContainSubstring("violates row-level security policy")), table)
		}
	})

	It("are seen by the platform's workers if they are the platform's, and not if they are a module's", func() {
		pool := testkit.Open(d.App)
		Expect(pool.Across(testkit.As(a), func(tx *db.Tx) error {
			for _, table := range tables {
				var merchants int
				if err := tx.Get(testkit.As(a), &merchants, `select count(distinct tenant_id) from `+table+` where tenant_id = any($1)`, db.Array([]string{a.String(), b.String()})); err != nil {
					return err
				}
				if strings.HasPrefix(table, "platform.") {
					Expect(merchants).To(Equal(2), table)
				} else {
					Expect(merchants).To(BeZero(), table)
				}
			}
			return nil
		})).To(Succeed())
	})
})
