package tenant_test

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("whose shop a request is for", func() {
	var (
		super     *sql.DB
		shop      uuid.UUID
		host      string
		wrist     *testkit.Watch
		directory *tenant.Directory
		ctx       = context.Background()
	)
	BeforeEach(func() {
		shared := testkit.Shared()
		super, shop, wrist = testkit.SQL(shared.Super), testkit.NewTenant(shared), testkit.NewWatch(clock.System())
		host = shop.String()[24:] + ".example.com"
		_, err := super.Exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2)`, shop, host)
		Expect(err).NotTo(HaveOccurred())
		directory = tenant.NewDirectory(testkit.Open(shared.App), wrist.Now, false, "")
	})
	// admitted is what somebody hears who comes for the shop.
	admitted := func(d *tenant.Directory) error {
		_, err := d.Admit(ctx, identity.Identity{Tenant: shop, Actor: identity.Anonymous})
		return err
	}
	closed := func() {
		GinkgoHelper()
		_, err := super.Exec(`update platform.tenant set status = 'suspended' where tenant_id = $1`, shop)
		Expect(err).NotTo(HaveOccurred())
	}
	taken := func() {
		GinkgoHelper()
		_, err := super.Exec(`delete from platform.tenant_host where tenant_id = $1`, shop)
		Expect(err).NotTo(HaveOccurred())
	}

	It("is the default tenant's under a name that is nobody's, and nobody's where names are held to", func() {
		Expect(directory.At(ctx, "nobody.example")).To(Equal(identity.DefaultTenant))
		Expect(directory.At(ctx, "127.0.0.1:8080")).To(Equal(identity.DefaultTenant))
		strict := tenant.NewDirectory(testkit.Open(testkit.Shared().App), wrist.Now, true, "")
		Expect(strict.At(ctx, host)).To(Equal(shop))
		for _, stranger := range []string{"nobody.example", "nobody.example", "x" + host, "127.0.0.1:8080", "localhost", ""} {
			at, err := strict.At(ctx, stranger)
			Expect(err).To(MatchError(ContainSubstring("No shop answers under this host")), stranger)
			Expect(at).To(Equal(uuid.Nil), stranger)
		}
	})

	It("is known again within two seconds, also by a clock that is set back", func() {
		Expect(admitted(directory)).To(Succeed())
		Expect(directory.At(ctx, host)).To(Equal(shop))
		closed()
		taken()
		wrist.Turn(memory.Freshness/2 - 1)
		Expect(admitted(directory)).To(Succeed(), "a busy shop costs a query a second")
		wrist.Turn(-time.Hour)
		Expect(admitted(directory)).To(MatchError(tenant.ErrSuspended))
		Expect(directory.At(ctx, host)).To(Equal(identity.DefaultTenant))
	})

	It("is what was known last while the database is away", func() {
		own := testkit.NewDatabase()
		super, shop = testkit.SQL(own.Super), testkit.NewTenant(own)
		_, err := super.Exec(`insert into platform.tenant_host (tenant_id, host) values ($1, $2)`, shop, host)
		Expect(err).NotTo(HaveOccurred())
		losing := tenant.NewDirectory(testkit.Open(own.App), wrist.Now, false, "")
		Expect(admitted(losing)).To(Succeed())
		Expect(losing.At(ctx, host)).To(Equal(shop))
		_, err = super.Exec(`
			do $$ begin execute format('alter database %I connection limit 0', current_database()); end $$;
			select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'fusion_app'`)
		Expect(err).NotTo(HaveOccurred())
		wrist.Turn(time.Hour)
		Expect(admitted(losing)).To(Succeed())
		Expect(losing.At(ctx, host)).To(Equal(shop))
		_, err = losing.At(ctx, "x"+host)
		Expect(err).To(HaveOccurred(), "of what was not known nothing can be said")
	})

	It("is not what was known longer than two seconds while one request waits to know it better", func() {
		directory = tenant.NewDirectory(testkit.Open(testkit.Shared().Patient().App), wrist.Now, false, "")
		Expect(directory.At(ctx, host)).To(Equal(shop))
		tx, err := super.Begin()
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = tx.Rollback() }() // when an expectation fails
		_, err = tx.Exec(`lock table platform.tenant_host in access exclusive mode`)
		Expect(err).NotTo(HaveOccurred())
		_, err = tx.Exec(`delete from platform.tenant_host where tenant_id = $1`, shop)
		Expect(err).NotTo(HaveOccurred())
		answers := make(chan uuid.UUID, 2)
		ask := func(ctx context.Context) {
			defer GinkgoRecover()
			at, err := directory.At(ctx, host)
			Expect(err).NotTo(HaveOccurred())
			answers <- at
		}
		wrist.Turn(memory.Freshness * 3 / 4)
		go ask(ctx)
		Eventually(func() (waiting int, err error) {
			return waiting, super.QueryRow(`
				select count(*) from pg_locks where relation = 'platform.tenant_host'::regclass and not granted
				and database = (select oid from pg_database where datname = current_database())`).Scan(&waiting)
		}).Should(BeNumerically(">=", 1))
		Expect(directory.At(ctx, host)).To(Equal(shop), "it is known well enough")
		wrist.Turn(memory.Freshness / 4)
		second := &testkit.Noticed{Context: ctx, At: make(chan struct{}, 1)}
		go ask(second)
		Eventually(second.At).Should(Receive(), "it is not known well enough any more")
		Expect(answers).NotTo(Receive())
		Expect(tx.Commit()).To(Succeed())
		for range 2 {
			Eventually(answers).Should(Receive(Equal(identity.DefaultTenant)))
		}
	})
})

var _ = Describe("a tenant of another deployment", func() {
	var (
		pool *db.DB
		ctx  = testkit.As(identity.DefaultTenant)
		fact tenantapi.Tenant
	)
	BeforeEach(func() {
		pool = testkit.Open(testkit.Shared().App)
		id := clock.NewID().String()
		fact = tenantapi.Tenant{TenantID: id, Slug: "f" + id, Name: "First", Status: "active", Hosts: []string{id + ".example.com"}, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	})
	// hear is what becomes of a fact of it.
	hear := func(version int64, status, name string, hosts ...string) {
		GinkgoHelper()
		f := fact
		f.Version, f.Status, f.Name, f.Hosts = version, status, name, hosts
		Expect(pool.InTx(ctx, func(tx *db.Tx) error { return tenant.Take(ctx, tx, f, "") })).To(Succeed())
	}
	known := func() tenant.Tenant {
		GinkgoHelper()
		t, err := tenant.New(pool, nil, 0).Named(ctx, fact.Slug)
		Expect(err).NotTo(HaveOccurred())
		return t
	}

	It("is as its latest version says, whenever that is heard", func() {
		first, second := fact.TenantID+".example.com", fact.TenantID+".example.org"
		hear(1, "active", "First", first)
		hear(3, "suspended", "Third", second)
		hear(2, "active", "Second", first)
		hear(3, "active", "Third again", first)
		Expect(known()).To(And(HaveField("Status", tenant.Suspended), HaveField("Name", "Third"), HaveField("Hosts", []string{second}), HaveField("Version", int64(3))))
		hear(4, "active", "Fourth")
		Expect(known()).To(And(HaveField("Status", tenant.Active), HaveField("Name", "Fourth"), HaveField("Hosts", BeEmpty())))
	})

	It("does not come back once its removal has begun", func() {
		hear(1, "deleting", "Gone")
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`update platform.tenant set status = 'deleted' where tenant_id = $1`, fact.TenantID)
		Expect(err).NotTo(HaveOccurred())
		hear(9, "active", "Back")
		Expect(known().Status).To(Equal(tenant.Deleted))
	})
})
