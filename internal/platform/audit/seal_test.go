package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// past lets a saboteur past the triggers of the audit log.
func past(d testkit.Database, statement string, args ...any) {
	GinkgoHelper()
	super := testkit.SQL(d.Super)
	super.SetMaxOpenConns(1)
	_, err := super.Exec(`set session_replication_role = replica`)
	Expect(err).NotTo(HaveOccurred())
	result, err := super.Exec(statement, args...)
	Expect(err).NotTo(HaveOccurred())
	Expect(result.RowsAffected()).To(BeNumerically(">", 0), "it changed something")
	Expect(super.Close()).To(Succeed())
}

func scan[T any](d testkit.Database, query string, args ...any) (value T) {
	GinkgoHelper()
	Expect(testkit.SQL(d.Super).QueryRow(query, args...).Scan(&value)).To(Succeed())
	return value
}

func verify(d testkit.Database, heads ...audit.Head) []audit.Report {
	GinkgoHelper()
	reports, err := audit.Verify(context.Background(), testkit.Open(d.App), heads, func(int64) {})
	Expect(err).NotTo(HaveOccurred())
	return reports
}

func sealer(d testkit.Database) *audit.Sealer {
	return audit.NewSealer(testkit.Open(d.App), testkit.Log())
}

// whole matches the reports of chains in which nothing is wrong.
var whole = HaveEach(HaveField("Broken", BeNil()))

var _ = Describe("the chain of the audit log", func() {
	var (
		d      testkit.Database
		pool   *db.DB
		tenant uuid.UUID
		ctx    context.Context
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		pool, tenant = testkit.Open(d.App), testkit.NewTenant(d)
		ctx = testkit.As(tenant)
	})
	record := func(ctx context.Context, action string) {
		GinkgoHelper()
		Expect(pool.InTx(ctx, func(tx *db.Tx) error { return audit.Record(ctx, tx, audit.Entry{Action: action}) })).To(Succeed())
	}
	seals := func() []int64 {
		GinkgoHelper()
		rows, err := testkit.SQL(d.Super).Query(`select seq from platform.audit_seal where tenant_id = $1 order by seq`, tenant)
		Expect(err).NotTo(HaveOccurred())
		defer rows.Close()
		list := []int64{}
		for rows.Next() {
			var seq int64
			Expect(rows.Scan(&seq)).To(Succeed())
			list = append(list, seq)
		}
		Expect(rows.Err()).NotTo(HaveOccurred())
		return list
	}

	It("waits for an entry that was begun earlier, and passes none", func() {
		began, goOn, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			over <- pool.InTx(ctx, func(tx *db.Tx) error {
				err := errors.Join(audit.Record(ctx, tx, audit.Entry{Action: "slow"}), tx.Finish(ctx))
				close(began)
				<-goOn
				return err
			})
		}()
		<-began
		record(ctx, "quick")
		s := sealer(d)
		Expect(s.Seal(ctx)).To(Succeed())
		Expect(seals()).To(BeEmpty())
		Expect(verify(d)).To(BeEmpty())
		close(goOn)
		Expect(<-over).To(Succeed())
		Expect(s.Seal(ctx)).To(Succeed())
		Expect(seals()).To(HaveLen(2))
		Expect(verify(d)).To(And(whole, ConsistOf(HaveField("Rows", int64(2)))))
	})

	It("is of each merchant alone", func() {
		other := testkit.As(testkit.NewTenant(d))
		for range 3 {
			record(ctx, "ours")
			record(other, "theirs")
		}
		Expect(sealer(d).Seal(ctx)).To(Succeed())
		record(ctx, "ours")
		Expect(verify(d)).To(And(whole, ConsistOf(And(HaveField("Rows", int64(3)), HaveField("Unsealed", int64(1))), And(HaveField("Rows", int64(3)), HaveField("Unsealed", int64(0))))))
		past(d, `update platform.audit set actor = 'nobody' where tenant_id = $1`, tenant)
		Expect(verify(d)).To(ConsistOf(
			And(HaveField("Tenant", tenant), HaveField("Broken.What", HavePrefix("was changed"))),
			And(HaveField("Tenant", Not(Equal(tenant))), HaveField("Broken", BeNil())),
		))
	})

	It("is made by one program at a time, whoever else tries", func() {
		for range 50 {
			record(ctx, "updateProduct")
		}
		var all sync.WaitGroup
		for range 8 {
			s := sealer(d)
			all.Go(func() {
				defer GinkgoRecover()
				Expect(s.Seal(ctx)).To(Succeed())
			})
		}
		all.Wait()
		Expect(seals()).To(HaveLen(50))
		Expect(verify(d)).To(whole)
	})

	It("grows while the program runs", func() {
		running, stop := context.WithCancel(ctx)
		over := make(chan error, 1)
		s := sealer(d)
		go func() { over <- s.Run(running) }()
		record(ctx, "first")
		Eventually(seals, testkit.Patience).Should(HaveLen(1))
		record(ctx, "second")
		Eventually(seals, testkit.Patience).Should(HaveLen(2))
		stop()
		Expect(<-over).To(Succeed())
	})

	It("costs a few statements a batch, however many entries there are", func() {
		cost := func(entries int) int64 {
			GinkgoHelper()
			Expect(pool.InTx(ctx, func(tx *db.Tx) error {
				for range entries {
					if err := audit.Record(ctx, tx, audit.Entry{Action: "updateProduct"}); err != nil {
						return err
					}
				}
				return nil
			})).To(Succeed())
			c := &db.Cost{}
			Expect(sealer(d).Seal(db.WithCost(ctx, c))).To(Succeed())
			return c.RoundTrips()
		}
		one := cost(1)
		Expect(one).To(BeNumerically("<=", 8))
		Expect(cost(900)).To(Equal(one))
	})

	It("shows its head to who keeps it elsewhere, each time it has moved", func() {
		file := filepath.Join(GinkgoT().TempDir(), "heads.log")
		export := audit.NewExporter(testkit.Log(), file)
		lines := func() []string {
			GinkgoHelper()
			Expect(pool.Across(ctx, func(tx *db.Tx) error { return export.Export(ctx, tx) })).To(Succeed())
			text, err := os.ReadFile(file)
			if os.IsNotExist(err) {
				return nil
			}
			Expect(err).NotTo(HaveOccurred())
			return strings.Split(strings.TrimSpace(string(text)), "\n")
		}
		Expect(lines()).To(BeEmpty())
		record(ctx, "first")
		s := sealer(d)
		Expect(s.Seal(ctx)).To(Succeed())
		Expect(lines()).To(ConsistOf(HavePrefix(verify(d)[0].Head.String() + " ")))
		Expect(lines()).To(HaveLen(1), "nothing has happened since")
		record(ctx, "second")
		Expect(s.Seal(ctx)).To(Succeed())
		Expect(lines()).To(HaveLen(2))
	})
})

var _ = Describe("an audit log of 2,000 entries by 50 writers", Ordered, func() {
	const writers, each = 50, 40
	var (
		origin testkit.Database
		tenant uuid.UUID
		head   audit.Head
		middle int64 // an entry
	)

	BeforeAll(func() {
		origin, tenant = testkit.NewDatabase(), clock.NewID()
		ctx := testkit.As(tenant)
		pool, err := db.Open(db.Options{DSN: origin.App, Connections: 20})
		Expect(err).NotTo(HaveOccurred())
		done, stop := context.WithCancel(ctx)
		sealed := make(chan error, 1)
		go func() { sealed <- audit.NewSealer(pool, testkit.Log()).Run(done) }()
		var all sync.WaitGroup
		for n := range writers {
			all.Go(func() {
				defer GinkgoRecover()
				for i := range each {
					Expect(pool.InTx(ctx, func(tx *db.Tx) error {
						return audit.Record(ctx, tx, audit.Entry{Action: "updateProduct", Entity: "product", EntityID: fmt.Sprint(n), After: map[string]int{"n": i}})
					})).To(Succeed())
				}
			})
		}
		all.Wait()
		stop()
		Expect(<-sealed).To(Succeed())
		// PostgreSQL may still be about to undo what the one that was stopped had begun.
		Eventually(func(g Gomega) {
			g.Expect(audit.NewSealer(pool, testkit.Log()).Seal(ctx)).To(Succeed())
			reports, err := audit.Verify(ctx, pool, nil, func(int64) {})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(reports).To(ConsistOf(And(HaveField("Rows", int64(writers*each)), HaveField("Unsealed", int64(0)), HaveField("Broken", BeNil()))))
			head = reports[0].Head
		}, testkit.Patience, "100ms").Should(Succeed())
		Expect(pool.Close()).To(Succeed())
		super, err := sql.Open("postgres", origin.Super)
		Expect(err).NotTo(HaveOccurred())
		Expect(super.Exec(`insert into platform.tenant (tenant_id, slug, name) values ($1, 'audited', 'Spec shop')`, tenant)).Error().NotTo(HaveOccurred())
		Expect(super.QueryRow(`select seq from platform.audit order by seq offset 1000 limit 1`).Scan(&middle)).To(Succeed())
		Expect(super.Close()).To(Succeed())
	})

	// abroad is a database as a session sees it whose clock and texts are another country's.
	abroad := func(d testkit.Database) testkit.Database {
		u, err := url.Parse(d.App)
		Expect(err).NotTo(HaveOccurred())
		if u.Scheme == "" {
			d.App += " TimeZone=Asia/Kathmandu DateStyle=German extra_float_digits=0"
			return d
		}
		q := u.Query()
		q.Set("TimeZone", "Asia/Kathmandu")
		q.Set("DateStyle", "German")
		q.Set("extra_float_digits", "0")
		u.RawQuery = q.Encode()
		d.App = u.String()
		return d
	}

	It("is whole, in whichever time zone one looks, and leads to the head that was kept", func() {
		d := origin.Copy()
		Expect(verify(d, head)).To(whole)
		Expect(verify(abroad(d), head)).To(And(whole, HaveExactElements(HaveField("Head", head))))
		Expect(verify(d, audit.Head{Hash: head.Hash})).To(whole)
	})

	It("gives away a forged head", func() {
		d := origin.Copy()
		forged := strings.Repeat("ab", 32)
		Expect(verify(d, audit.Head{Hash: forged})).To(ContainElement(HaveField("Broken.What", ContainSubstring("is in no chain"))))
		Expect(verify(d, audit.Head{Tenant: tenant, Seq: middle, Hash: forged})).To(HaveExactElements(HaveField("Broken", HaveValue(And(HaveField("Seq", middle), HaveField("What", ContainSubstring("made anew")))))))
	})

	DescribeTable("gives away who can do everything, and at which entry:",
		func(tamper string, at int64, what string) {
			d := origin.Copy()
			past(d, tamper, middle)
			Expect(verify(d)).To(HaveExactElements(HaveField("Broken", HaveValue(And(HaveField("Seq", middle+at), HaveField("What", ContainSubstring(what)))))))
			Expect(verify(abroad(d))).To(HaveExactElements(HaveField("Broken.Seq", middle+at)))
		},
		Entry("an actor is another", `update platform.audit set actor = 'key:other' where seq = $1`, int64(0), "was changed"),
		Entry("one byte of what was after is another", `update platform.audit set after = replace(after::text, '{', '{ ')::json where seq = $1`, int64(0), "was changed"),
		Entry("nothing became the empty text", `update platform.audit set before = '""' where seq = $1`, int64(0), "was changed"),
		Entry("it happened a microsecond later", `update platform.audit set recorded_at = recorded_at + interval '1 microsecond' where seq = $1`, int64(0), "was changed"),
		Entry("an entry is gone", `delete from platform.audit where seq = $1`, int64(0), "was removed"),
		Entry("an entry is gone, and its seal with it", `with row as (delete from platform.audit where seq = $1 returning seq) delete from platform.audit_seal where seq = (select seq from row)`, int64(1), "does not continue"),
		Entry("two entries have changed places", `update platform.audit set seq = 2 * $1::bigint + 1 - seq where seq in ($1::bigint, $1::bigint + 1)`, int64(0), "was changed"),
		Entry("an entry was slipped in beside another", `insert into platform.audit select (a).* from (
			select jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'recorded_at', a.recorded_at + interval '1 second')) a from platform.audit a where seq = $1) x`, int64(0), "was slipped in"),
		Entry("a seal is another", `update platform.audit_seal set hash = sha256('x') where seq = $1`, int64(0), "was changed"),
	)

	It("gives away an entry that was slipped in behind the last", func() {
		d := origin.Copy()
		past(d, `update platform.audit_sealed set through = through + 10`)
		past(d, `insert into platform.audit (tenant_id, seq, id, actor, on_behalf_of, action, entity, entity_id, reason, status, ip, user_agent, request_id)
			select $1, through, gen_random_uuid(), '', '', 'x', '', '', '', 0, '', '', '' from platform.audit_sealed`, tenant)
		Expect(verify(d)).To(HaveExactElements(HaveField("Broken.What", ContainSubstring("was slipped in"))))
	})

	It("gives away to who has kept a head that the end was cut off", func() {
		d := origin.Copy()
		past(d, `delete from platform.audit where seq > $1`, middle)
		past(d, `delete from platform.audit_seal where seq > $1`, middle)
		Expect(verify(d)).To(whole, "nothing in the database tells")
		for _, h := range []audit.Head{head, {Hash: head.Hash}} {
			Expect(verify(d, h)).To(ContainElement(HaveField("Broken.What", ContainSubstring("the end was cut off"))))
		}
	})

	It("gives away to who has kept a head that all of it was made anew", func() {
		d := origin.Copy()
		past(d, `update platform.audit set actor = 'key:other' where seq = $1`, middle)
		past(d, `delete from platform.audit_seal`)
		past(d, `update platform.audit_sealed set through = 0`)
		Expect(sealer(d).Seal(context.Background())).To(Succeed())
		Expect(verify(d)).To(whole)
		Expect(verify(d, head)).To(HaveExactElements(HaveField("Broken", HaveValue(And(HaveField("Seq", head.Seq), HaveField("What", ContainSubstring("made anew")))))))
	})
})

var _ = Describe("an audit log that grows old", func() {
	const keep = 60 * 24 * time.Hour
	var (
		d      testkit.Database
		pool   *db.DB
		tenant uuid.UUID
		ctx    context.Context
		s      *audit.Sealer
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		pool, tenant = testkit.Open(d.App), testkit.NewTenant(d)
		ctx, s = testkit.As(tenant), sealer(d)
		for _, table := range []string{"audit", "audit_seal"} {
			_, err := testkit.SQL(d.Owner).Exec(fmt.Sprintf(`create table platform.%[1]s_2020_03 partition of platform.%[1]s for values from ('2020-03-01 00:00:00+00') to ('2020-04-01 00:00:00+00')`, table))
			Expect(err).NotTo(HaveOccurred())
		}
	})
	// recordAt records as long ago as nothing else could.
	recordAt := func(ctx context.Context, at string) {
		GinkgoHelper()
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			if at == "" {
				return audit.Record(ctx, tx, audit.Entry{Action: "updateProduct"})
			}
			_, err := tx.Exec(ctx, `
				insert into platform.audit (recorded_at, id, actor, on_behalf_of, action, entity, entity_id, reason, status, ip, user_agent, request_id)
				values ($1::timestamptz, gen_random_uuid(), 'key:old', '', 'updateProduct', 'product', '', '', 200, '', '', '')`, at)
			return err
		})).To(Succeed())
	}
	retire := func() error {
		return pool.Across(ctx, func(tx *db.Tx) error { return audit.Retire(ctx, tx, keep) })
	}
	const old = "2020-03-15T12:00:00Z"
	months := func() int {
		return scan[int](d, `select count(*) from pg_class where relname in ('audit_2020_03', 'audit_seal_2020_03')`)
	}

	It("loses whole months, says so, and the rest still is whole", func() {
		quiet := testkit.As(testkit.NewTenant(d))
		recordAt(quiet, old)
		recordAt(ctx, old)
		recordAt(ctx, "") // a transaction that began later and drew its number earlier
		recordAt(ctx, old)
		recordAt(ctx, "")
		Expect(s.Seal(ctx)).To(Succeed())
		before := verify(d)
		Expect(before).To(whole)
		heads := []audit.Head{before[0].Head, before[1].Head}
		Expect(retire()).To(Succeed())
		Expect(months()).To(BeZero())
		Expect(verify(d, heads...)).To(whole, "before the entry that says so is sealed")
		Expect(s.Seal(ctx)).To(Succeed())
		recordAt(quiet, "")
		Expect(s.Seal(ctx)).To(Succeed())
		Expect(verify(d, heads...)).To(And(whole, ConsistOf(HaveField("Rows", int64(2)), HaveField("Rows", int64(3)))))
		Expect(scan[int](d, `select count(*) from platform.audit where action = 'audit.retired'`)).To(Equal(2))
		Expect(retire()).To(Succeed())
		Expect(scan[int](d, `select count(*) from platform.audit where action = 'audit.retired'`)).To(Equal(2), "there was nothing more to drop")
	})

	It("keeps what is not sealed", func() {
		recordAt(ctx, old)
		Expect(retire()).To(Succeed())
		Expect(months()).To(Equal(2))
	})

	It("keeps what is younger", func() {
		recordAt(ctx, "")
		Expect(s.Seal(ctx)).To(Succeed())
		Expect(retire()).To(Succeed())
		Expect(verify(d)).To(And(whole, ConsistOf(HaveField("Rows", int64(1)))))
	})

	It("gives away who cuts its beginning off and says that age did it", func() {
		for range 5 {
			recordAt(ctx, "")
		}
		Expect(s.Seal(ctx)).To(Succeed())
		past(d, `insert into platform.audit_retired (tenant_id, seq, hash, until) select tenant_id, seq, hash, now() from platform.audit_seal order by seq offset 2 limit 1`)
		past(d, `delete from platform.audit where seq <= (select seq from platform.audit_retired)`)
		past(d, `delete from platform.audit_seal where seq <= (select seq from platform.audit_retired)`)
		Expect(verify(d)).To(HaveExactElements(HaveField("Broken.What", ContainSubstring("no entry says that they were dropped"))))
	})

	It("is not dropped before it is a month old, nor by one merchant", func() {
		Expect(pool.Across(ctx, func(tx *db.Tx) error { return audit.Retire(ctx, tx, 24*time.Hour) })).To(MatchError(ContainSubstring("30 days at least")))
		Expect(pool.InTx(ctx, func(tx *db.Tx) error { return audit.Retire(ctx, tx, keep) })).To(MatchError(ContainSubstring("for all at once")))
	})
})
