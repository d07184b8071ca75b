package jobs_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("a job", func() {
	var (
		d     testkit.Database
		super *sql.DB
	)

	BeforeEach(func() {
		d = testkit.NewDatabase()
		super = testkit.SQL(d.Super)
		for _, q := range []string{`create schema book`, `create table book.done (job text)`, `grant usage on schema book to fusion_app`, `grant all on book.done to fusion_app`} {
			_, err := super.Exec(q)
			Expect(err).NotTo(HaveOccurred())
		}
	})

	// replica is one process that runs jobs.
	replica := func(list ...jobs.Job) *jobs.Runner {
		GinkgoHelper()
		r := jobs.NewRunner(testkit.Open(d.App), testkit.Log())
		for _, j := range list {
			r.Add(j)
		}
		return r
	}
	// notes that it was done, in its transaction.
	notes := func(name string) func(context.Context, *db.Tx) error {
		return func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into book.done values ($1)`, name)
			return err
		}
	}
	count := func(query string, args ...any) (n int) {
		GinkgoHelper()
		Expect(super.QueryRow(query, args...).Scan(&n)).To(Succeed())
		return n
	}
	done := func(name string) int {
		GinkgoHelper()
		return count(`select count(*) from book.done where job = $1`, name)
	}
	makeDue := func(name string) {
		GinkgoHelper()
		_, err := super.Exec(`update platform.job set next_run_at = now() where name = $1`, name)
		Expect(err).NotTo(HaveOccurred())
	}
	lastError := func(name string) (text sql.NullString) {
		GinkgoHelper()
		Expect(super.QueryRow(`select last_error from platform.job where name = $1`, name).Scan(&text)).To(Succeed())
		return text
	}

	It("runs at first sight, and again when its time has come", func(ctx SpecContext) {
		r := replica(jobs.Job{Name: "tidy", Every: time.Hour, Run: notes("tidy")})
		Expect(r.Look(ctx)).To(Succeed())
		Expect(r.Look(ctx)).To(Succeed())
		Expect(done("tidy")).To(Equal(1))
		Expect(count(`select count(*) from platform.job where name = 'tidy' and next_run_at = last_run_at + interval '1 hour' and last_error is null`)).To(Equal(1))

		makeDue("tidy")
		Expect(r.Look(ctx)).To(Succeed())
		Expect(done("tidy")).To(Equal(2))
	})

	It("runs once although many replicas look at the same moment", func(ctx SpecContext) {
		const rounds = 5
		var replicas []*jobs.Runner
		for range 4 {
			replicas = append(replicas, replica(jobs.Job{Name: "tidy", Every: time.Hour, Run: notes("tidy")}))
		}
		for round := 1; round <= rounds; round++ {
			failures := make([]error, len(replicas))
			var all sync.WaitGroup
			for i, r := range replicas {
				all.Go(func() { failures[i] = r.Look(ctx) })
			}
			all.Wait()
			Expect(errors.Join(failures...)).NotTo(HaveOccurred())
			Expect(done("tidy")).To(Equal(round))
			makeDue("tidy")
		}
	})

	It("is not waited for by another replica while it runs", func(ctx SpecContext) {
		running, finish, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		busy := replica(jobs.Job{Name: "tidy", Every: time.Hour, Run: func(ctx context.Context, tx *db.Tx) error {
			close(running)
			<-finish
			return notes("tidy")(ctx, tx)
		}})
		go func() { ended <- busy.Look(ctx) }()
		Eventually(running, testkit.Patience).Should(BeClosed())
		Expect(replica(jobs.Job{Name: "tidy", Every: time.Hour, Run: notes("tidy")}, jobs.Job{Name: "count", Every: time.Hour, Run: notes("count")}).Look(ctx)).To(Succeed())
		Expect(done("tidy")).To(BeZero())
		Expect(done("count")).To(Equal(1))
		close(finish)
		Eventually(ended, testkit.Patience).Should(Receive(Succeed()))
		Expect(done("tidy")).To(Equal(1))
	})

	It("of another program version is left alone", func(ctx SpecContext) {
		Expect(replica(jobs.Job{Name: "old", Every: time.Hour, Run: notes("old")}).Look(ctx)).To(Succeed())
		makeDue("old")
		Expect(replica(jobs.Job{Name: "new", Every: time.Hour, Run: notes("new")}).Look(ctx)).To(Succeed())
		Expect(done("old")).To(Equal(1))
		Expect(done("new")).To(Equal(1))
	})

	Describe("that fails", func() {
		failing := func(run func(context.Context, *db.Tx) error) []jobs.Job {
			return []jobs.Job{
				{Name: "before", Every: time.Hour, Run: notes("before")},
				{Name: "failing", Every: time.Hour, Run: func(ctx context.Context, tx *db.Tx) error {
					return errors.Join(notes("failing")(ctx, tx), run(ctx, tx))
				}},
				{Name: "after", Every: time.Hour, Run: notes("after")},
			}
		}

		DescribeTable("leaves a note, leaves nothing else, and does not stop the others:",
			func(ctx SpecContext, run func(context.Context, *db.Tx) error, said string) {
				Expect(replica(failing(run)...).Look(ctx)).To(Succeed())
				Expect(done("failing")).To(BeZero())
				Expect([]int{done("before"), done("after")}).To(HaveExactElements(1, 1))
				Expect(lastError("failing").String).To(ContainSubstring(said))
				Expect(count(`select count(*) from platform.job where name = 'failing' and last_run_at is null and next_run_at > now()`)).To(Equal(1), "it is tried later")
			},
			Entry("an error", func(context.Context, *db.Tx) error { return errors.New("no ink") }, "no ink"),
			Entry("a statement that PostgreSQL refuses", func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `select 1 / 0`)
				return err
			}, "division by zero"),
			Entry("a refusal that it did not look at", func(ctx context.Context, tx *db.Tx) error {
				_, _ = tx.Exec(ctx, `select 1 / 0`)
				return nil
			}, "current transaction is aborted"),
			Entry("a panic", func(context.Context, *db.Tx) error { panic("the printer burns") }, "panic: the printer burns"),
			Entry("an error that PostgreSQL cannot store", func(context.Context, *db.Tx) error { return errors.New("no \x00 ink \xff") }, "no \uFFFD ink \uFFFD"),
			Entry("an error without an end", func(context.Context, *db.Tx) error { return errors.New(strings.Repeat("ä", 100_000)) }, strings.Repeat("ä", 2000)),
		)

		It("is tried again, and its note is gone when it succeeds", func(ctx SpecContext) {
			err := errors.New("no ink")
			r := replica(failing(func(context.Context, *db.Tx) error { return err })...)
			Expect(r.Look(ctx)).To(Succeed())
			err = nil
			Expect(r.Look(ctx)).To(Succeed())
			Expect(done("failing")).To(BeZero(), "it is not due yet")

			makeDue("failing")
			Expect(r.Look(ctx)).To(Succeed())
			Expect(done("failing")).To(Equal(1))
			Expect(lastError("failing").Valid).To(BeFalse())
			Expect(done("after")).To(Equal(1))
		})

		It("leaves no note when another replica has done it since", func(ctx SpecContext) {
			r := replica(failing(func(ctx context.Context, tx *db.Tx) error {
				var pid int
				if err := tx.Get(ctx, &pid, `select pg_backend_pid()`); err != nil {
					return err
				}
				if _, err := super.ExecContext(ctx, `select pg_terminate_backend($1, 5000)`, pid); err != nil {
					return err
				}
				// The server has let go of the row: somebody else takes it.
				other := replica(jobs.Job{Name: "failing", Every: time.Hour, Run: notes("failing")})
				return errors.Join(other.Look(ctx), errors.New("connection lost"))
			})...)
			Expect(r.Look(ctx)).To(Succeed())
			Expect(done("failing")).To(Equal(1))
			Expect(lastError("failing").Valid).To(BeFalse())
			Expect(count(`select count(*) from platform.job where name = 'failing' and next_run_at = last_run_at + interval '1 hour'`)).To(Equal(1))
		})

		It("because the program stops, leaves no note and stays due", func(ctx SpecContext) {
			running, stop := context.WithCancel(ctx)
			r := replica(failing(func(ctx context.Context, _ *db.Tx) error {
				stop()
				return ctx.Err()
			})...)
			Expect(r.Look(running)).To(Succeed())
			Expect(done("failing")).To(BeZero())
			Expect(lastError("failing").Valid).To(BeFalse())
			Expect(count(`select count(*) from platform.job where name = 'failing' and next_run_at <= now()`)).To(Equal(1))
		})
	})

	It("runs in a running program until that is stopped", func(ctx SpecContext) {
		running, stop := context.WithCancel(ctx)
		r, ended := replica(jobs.Job{Name: "tidy", Every: time.Hour, Run: notes("tidy")}), make(chan error, 1)
		go func() { ended <- r.Run(running) }()
		Eventually(func() int { return done("tidy") }, testkit.Patience, "10ms").Should(Equal(1))
		stop()
		Eventually(ended, testkit.Patience).Should(Receive(Succeed()))
	})

	Describe("for each merchant", func() {
		var merchants []uuid.UUID
		BeforeEach(func() {
			merchants = nil
			for range 3 {
				merchants = append(merchants, testkit.NewTenant(d))
			}
		})
		// look with a runner that has one connection, as few as there may be.
		look := func(ctx context.Context, do func(context.Context, *db.Tx) (bool, error)) {
			GinkgoHelper()
			narrow, err := db.Open(db.Options{DSN: d.App, Connections: 1})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(narrow.Close)
			r := jobs.NewRunner(narrow, testkit.Log())
			r.Add(jobs.Job{Name: "tidy", Every: time.Hour, Run: jobs.ForEach(testkit.Open(d.App), "tidy", do)})
			Expect(r.Look(ctx)).To(Succeed())
		}
		note := func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into book.done values (current_setting('app.tenant_id'))`)
			return err
		}

		It("is done for the others when it fails for one", func(ctx SpecContext) {
			look(ctx, func(ctx context.Context, tx *db.Tx) (bool, error) {
				if id, err := identity.From(ctx); err != nil || id.Tenant == merchants[1] {
					return false, errors.Join(err, note(ctx, tx), errors.New("a broken shelf"))
				}
				return false, note(ctx, tx)
			})
			Expect([]int{done(merchants[0].String()), done(merchants[1].String()), done(merchants[2].String())}).To(HaveExactElements(1, 0, 1))
			Expect(lastError("tidy").String).To(And(ContainSubstring(merchants[1].String()+": a broken shelf"), Not(ContainSubstring(merchants[0].String()))))
		})

		It("goes on piece by piece, and what is done is done, while the rest is being worked on", func(ctx SpecContext) {
			_, err := super.Exec(`update platform.tenant set status = 'deleted' where tenant_id <> $1`, merchants[0])
			Expect(err).NotTo(HaveOccurred())
			var seen []int
			look(ctx, func(ctx context.Context, tx *db.Tx) (bool, error) {
				seen = append(seen, done(merchants[0].String()))
				return len(seen) < 3, note(ctx, tx)
			})
			Expect(seen).To(HaveExactElements(0, 1, 2))
			Expect(count(`select count(*) from platform.job where name = 'tidy' and last_run_at is not null and last_error is null`)).To(Equal(1))
		})
	})

	It("waits for a database that does not answer, until the program is stopped", func(ctx SpecContext) {
		away, err := db.Open(db.Options{DSN: "postgres://fusion_app@127.0.0.1:1/nowhere?sslmode=disable", Connections: 1})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(away.Close)
		r := jobs.NewRunner(away, testkit.Log())
		r.Add(jobs.Job{Name: "tidy", Every: time.Hour, Run: notes("tidy")})
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- r.Run(running) }()
		stop()
		Eventually(ended, testkit.Patience).Should(Receive(Succeed()))
	})
})
