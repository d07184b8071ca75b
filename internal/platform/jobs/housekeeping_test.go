package jobs_test

import (
	"database/sql"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("the platform's housekeeping", func() {
	var (
		d     testkit.Database
		super *sql.DB
	)

	BeforeEach(func() {
		d = testkit.NewDatabase()
		super = testkit.SQL(d.Super)
	})

	run := func(query string, args ...any) {
		GinkgoHelper()
		_, err := super.Exec(query, args...)
		Expect(err).NotTo(HaveOccurred(), query)
	}
	count := func(query string, args ...any) (n int) {
		GinkgoHelper()
		Expect(super.QueryRow(query, args...).Scan(&n)).To(Succeed())
		return n
	}
	// maintain is what the job does, as the application's role.
	maintain := func(ctx SpecContext) {
		GinkgoHelper()
		Expect(testkit.Open(d.App).Across(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `select platform.maintain_partitions()`)
			return err
		})).To(Succeed())
	}
	// ahead counts the partitions of the log and the inbox for the month that comes in
	// so many months, provided that nobody gets past row-level security through them.
	ahead := func(months int) int {
		GinkgoHelper()
		return count(`select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
			where i.inhparent in ('platform.event'::regclass, 'platform.inbox'::regclass) and c.relrowsecurity and c.relforcerowsecurity
			and c.relname ~ to_char(date_trunc('month', now() at time zone 'UTC') + make_interval(months => $1), '_YYYY_MM$')`, months)
	}
	dropAhead := func(months int) {
		GinkgoHelper()
		for _, parent := range []string{"event", "inbox"} {
			var name string
			Expect(super.QueryRow(`select 'platform.' || $1 || to_char(date_trunc('month', now() at time zone 'UTC') + make_interval(months => $2), '_YYYY_MM')`, parent, months).Scan(&name)).To(Succeed())
			run(`drop table ` + name)
		}
	}

	It("makes the partitions of this month and of the next two, with row-level security forced", func(ctx SpecContext) {
		dropAhead(1)
		dropAhead(2)
		maintain(ctx)
		Expect([]int{ahead(0), ahead(1), ahead(2)}).To(HaveExactElements(2, 2, 2))
		maintain(ctx)
		Expect(count(`select count(*) from pg_inherits where inhparent = 'platform.event'::regclass`)).To(Equal(4), "three months and the default")
	})

	It("lets the application's role reach partitions only through their tables", func(ctx SpecContext) {
		dropAhead(1)
		maintain(ctx)
		Expect(count(`select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
			where i.inhparent in ('platform.event'::regclass, 'platform.inbox'::regclass) and has_table_privilege('fusion_app', c.oid, 'select, insert, update, delete, truncate')`)).To(BeZero())
	})

	It("goes on when the default partition holds rows of a month already", func(ctx SpecContext) {
		dropAhead(1)
		dropAhead(2)
		run(`insert into platform.inbox (tenant_id, consumer, event_id, recorded_at) values (gen_random_uuid(), 'reader', gen_random_uuid(), date_trunc('month', now() at time zone 'UTC') + interval '1 month 3 days')`)
		maintain(ctx)
		Expect([]int{ahead(1), ahead(2)}).To(HaveExactElements(1, 2), "the log's next month is there, the inbox's is not")
		Expect(count(`select count(*) from platform.inbox_default`)).To(Equal(1))
	})

	It("drops inboxes that are older than any redelivery, and never events", func(ctx SpecContext) {
		for _, parent := range []string{"event", "inbox"} {
			run(`create table platform.` + parent + `_2020_01 partition of platform.` + parent + ` for values from ('2020-01-01') to ('2020-02-01')`)
		}
		maintain(ctx)
		Expect(count(`select count(*) from pg_class where relname = 'inbox_2020_01'`)).To(BeZero())
		Expect(count(`select count(*) from pg_class where relname = 'event_2020_01'`)).To(Equal(1))
		Expect(ahead(0)).To(Equal(2))
	})

	It("is done by a running program, which forgets answers after 24 hours, those of every merchant", func() {
		answer := func(tenant uuid.UUID, key, age string) {
			GinkgoHelper()
			run(`insert into platform.idempotency (tenant_id, scope, key, body_hash, status, headers, body, created_at)
				values ($1, 'POST /orders', $2, '', 201, '{}', '', now() - $3::interval)`, tenant, key, age)
		}
		for range 3 {
			tenant := testkit.NewTenant(d)
			answer(tenant, "old", "24 hours 1 second")
			answer(tenant, "older", "30 days")
			answer(tenant, "young", "23 hours")
			answer(tenant, "new", "0")
		}
		dropAhead(2)
		testkit.Start(d, app.Options{}, func(app.Kit) []app.Module { return nil })
		Eventually(func() int {
			return count(`select count(*) from platform.job where name in ('platform.partitions', 'platform.forget-answers') and last_run_at is not null and last_error is null`)
		}, testkit.Patience, "10ms").Should(Equal(2))
		Expect(count(`select count(*) from platform.idempotency where key like 'old%'`)).To(BeZero())
		Expect(count(`select count(*) from platform.idempotency where key in ('young', 'new')`)).To(Equal(6))
		Expect(ahead(2)).To(Equal(2))
	})
})
