package db_test

import (
	"context"
	"database/sql"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/db/dbfault"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a caller who goes away while a statement runs", func() {
	// The statement waits for us, and shows in a sequence, which no rollback takes back, that
	// it was not cancelled.
	const statement = `with held as materialized (select pg_advisory_lock(42)) select nextval('drawer.ended') from held`
	var (
		d     testkit.Database
		super *sql.DB
		ours  *sql.Conn // holds what the statement waits for
		proxy *dbfault.Proxy
		ctx   context.Context
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		super = drawer(d)
		_, err := super.Exec(`create sequence drawer.ended; grant usage on sequence drawer.ended to fusion_app`)
		Expect(err).NotTo(HaveOccurred())
		ours, err = super.Conn(context.Background())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(ours.Close)
		_, err = ours.ExecContext(context.Background(), `select pg_advisory_lock(42)`)
		Expect(err).NotTo(HaveOccurred())
		proxy, err = dbfault.New(d.App)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(proxy.Close)
		ctx = testkit.As(testkit.NewTenant(d))
	})

	through := func(pooled bool) *db.DB {
		GinkgoHelper()
		p, err := db.Open(db.Options{DSN: proxy.DSN(), Connections: 1, Pooled: pooled})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		return p
	}
	waiting := func() (n int, err error) {
		err = super.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
		return n, err
	}
	ended := func() (called bool) {
		GinkgoHelper()
		Expect(super.QueryRow(`select is_called from drawer.ended`).Scan(&called)).To(Succeed())
		return called
	}
	backend := func(p *db.DB) (pid int) {
		GinkgoHelper()
		Expect(p.InTx(ctx, func(tx *db.Tx) error { return tx.Get(ctx, &pid, `select pg_backend_pid()`) })).To(Succeed())
		return pid
	}
	// leave runs the statement for a caller who goes away while it waits.
	leave := func(p *db.DB, run func(context.Context, *db.Tx) error) <-chan error {
		GinkgoHelper()
		calling, away := context.WithCancel(ctx)
		DeferCleanup(away)
		answer := make(chan error, 1)
		go func() {
			answer <- p.InTx(calling, func(tx *db.Tx) error {
				// The limits of the role would end it sooner than a busy machine may look.
				if _, err := tx.Exec(calling, `set local lock_timeout = 0; set local statement_timeout = 0`); err != nil {
					return err
				}
				if err := run(calling, tx); err != nil {
					return err
				}
				return note(calling, tx, 1)
			})
		}()
		Eventually(waiting, testkit.Patience, "5ms").Should(Equal(1))
		away()
		return answer
	}
	exec := func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, statement); return err }
	query := func(ctx context.Context, tx *db.Tx) error {
		var n []int
		return tx.Select(ctx, &n, statement)
	}

	DescribeTable("leaves it alone behind a PgBouncer, where a cancel request may hit somebody else:", func(run func(context.Context, *db.Tx) error) {
		p := through(true)
		before := backend(p)
		answer := leave(p, run)
		Consistently(answer, 200*time.Millisecond).ShouldNot(Receive())
		Expect(waiting()).To(Equal(1))
		_, err := ours.ExecContext(ctx, `select pg_advisory_unlock(42)`)
		Expect(err).NotTo(HaveOccurred())
		Eventually(answer, testkit.Patience).Should(Receive(MatchError(context.Canceled)))
		Expect(ended()).To(BeTrue(), "it ran to its end")
		var notes int
		Expect(super.QueryRow(`select count(*) from drawer.note`).Scan(&notes)).To(Succeed())
		Expect(notes).To(BeZero(), "nothing further was begun, and nothing kept")
		Expect(backend(p)).To(Equal(before), "the connection is as good as before")
		Expect(proxy.Accepted()).To(Equal(1), "nobody came with a cancel request")
	},
		Entry("a command", exec),
		Entry("a query", query),
	)

	DescribeTable("has it cancelled otherwise:", func(run func(context.Context, *db.Tx) error) {
		p := through(false)
		backend(p)
		answer := leave(p, run)
		Eventually(answer, testkit.Patience).Should(Receive(HaveOccurred()))
		Eventually(waiting, testkit.Patience).Should(BeZero())
		Expect(ended()).To(BeFalse())
		Expect(proxy.Accepted()).To(BeNumerically(">", 1), "the cancel request came on a connection of its own")
		Expect(backend(p)).NotTo(BeZero(), "the pool goes on")
	},
		Entry("a command", exec),
		Entry("a query", query),
	)

	It("gets nothing begun behind a PgBouncer when it has gone before", func() {
		p := through(true)
		gone, away := context.WithCancel(ctx)
		away()
		began := false
		Expect(p.InTx(gone, func(*db.Tx) error { began = true; return nil })).To(MatchError(context.Canceled))
		Expect(began).To(BeFalse())
		Expect(backend(p)).NotTo(BeZero())
	})
})
