package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/db/dbfault"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var errRefused = errors.New("refused")

// pool opens one of a given size.
func pool(dsn string, connections int) *db.DB {
	GinkgoHelper()
	d, err := db.Open(db.Options{DSN: dsn, Connections: connections})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(d.Close)
	return d
}

// with adds a parameter to a DSN.
func with(dsn, name, value string) string {
	GinkgoHelper()
	u, err := url.Parse(dsn)
	Expect(err).NotTo(HaveOccurred())
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// noted are rows that are written last.
type noted struct{ ids []int }

func (w *noted) add(id int) { w.ids = append(w.ids, id) }

func (w *noted) Expressions() (list string, args []any) {
	return `noted as (insert into drawer.note (id) select unnest($1::int[]))`, []any{db.Array(w.ids)}
}

// numbered are rows with two columns.
type numbered struct{ id, n int64 }

func (w *numbered) add(id, n int64) { w.id, w.n = id, n }

func (w *numbered) Expressions() (list string, args []any) {
	return `numbered as (insert into drawer.note (id, n) values ($1, $2))`, []any{w.id, w.n}
}

// silent has nothing to write after all.
type silent struct{}

func (*silent) Expressions() (list string, args []any) { return "", nil }

// drawer is a table that everybody may write into, with a merchant's rows fenced off.
func drawer(d testkit.Database) *sql.DB {
	GinkgoHelper()
	super := testkit.SQL(d.Super)
	_, err := super.Exec(`create schema drawer; create table drawer.note (tenant_id uuid not null default platform.current_tenant(), id int, n int not null default 0);
		alter table drawer.note enable row level security;
		create policy tenant on drawer.note using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
		grant usage on schema drawer to fusion_app; grant all on drawer.note to fusion_app`)
	Expect(err).NotTo(HaveOccurred())
	return super
}

func note(ctx context.Context, tx *db.Tx, id int) error {
	_, err := tx.Exec(ctx, `insert into drawer.note (id) values ($1)`, id)
	return err
}

var _ = Describe("a transaction", func() {
	var (
		d      testkit.Database
		super  *sql.DB
		tenant uuid.UUID
		ctx    context.Context
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		super = drawer(d)
		tenant = testkit.NewTenant(d)
		ctx = testkit.As(tenant)
	})
	count := func(query string, args ...any) (n int) {
		GinkgoHelper()
		Expect(super.QueryRow(query, args...).Scan(&n)).To(Succeed())
		return n
	}

	It("is refused to nobody's code", func() {
		p := pool(d.App, 1)
		for _, run := range []func(context.Context, func(*db.Tx) error) error{p.InTx, p.Read} {
			Expect(run(context.Background(), func(*db.Tx) error { panic("ran") })).To(MatchError(identity.ErrNone))
			Expect(run(identity.With(context.Background(), identity.Identity{}), func(*db.Tx) error { panic("ran") })).To(MatchError(identity.ErrNone))
		}
	})

	It("has one time for all that happens in it", func() {
		now := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
		p, err := db.Open(db.Options{DSN: d.App, Connections: 1, Clock: func() time.Time { now = now.Add(time.Second); return now }})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		Expect(p.InTx(ctx, func(tx *db.Tx) error {
			Expect(tx.Now).To(Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
			return nil
		})).To(Succeed())
	})

	It("keeps all or nothing", func() {
		p := pool(d.App, 1)
		Expect(p.InTx(ctx, func(tx *db.Tx) error { return errors.Join(note(ctx, tx, 1), note(ctx, tx, 2)) })).To(Succeed())
		Expect(p.InTx(ctx, func(tx *db.Tx) error { return errors.Join(note(ctx, tx, 3), errRefused) })).To(MatchError(errRefused))
		Expect(count(`select count(*) from drawer.note where tenant_id = $1`, tenant)).To(Equal(2))
	})

	It("fails if one of its statements did, even if nobody looked", func() {
		p := pool(d.App, 1)
		ran := false
		Expect(p.InTx(ctx, func(tx *db.Tx) error {
			tx.AfterCommit(func() { ran = true })
			if err := note(ctx, tx, 1); err != nil {
				return err
			}
			_, _ = tx.Exec(ctx, `select 1 / 0`)
			return nil
		})).To(MatchError(ContainSubstring("current transaction is aborted")))
		Expect(ran).To(BeFalse())
		Expect(count(`select count(*) from drawer.note`)).To(BeZero())
		Expect(p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 2) })).To(Succeed())
	})

	It("changes nothing if it only reads", func() {
		p := pool(d.App, 1)
		Expect(p.Read(ctx, func(tx *db.Tx) error { return note(ctx, tx, 1) })).To(MatchError(ContainSubstring("read-only transaction")))
		Expect(p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 1) })).To(Succeed())
	})

	It("finds nothing as sql.ErrNoRows, and knows a violated constraint by its name", func() {
		p := pool(d.App, 1)
		_, err := super.Exec(`create unique index note_id_key on drawer.note (tenant_id, id)`)
		Expect(err).NotTo(HaveOccurred())
		var n int
		err = p.Read(ctx, func(tx *db.Tx) error { return tx.Get(ctx, &n, `select id from drawer.note`) })
		Expect(db.IsNoRows(err)).To(BeTrue())
		err = p.InTx(ctx, func(tx *db.Tx) error { return errors.Join(note(ctx, tx, 1), note(ctx, tx, 1)) })
		Expect(db.Violates(err, "note_id_key")).To(BeTrue())
		Expect(db.Violates(err, "note_other_key")).To(BeFalse())
		Expect(db.Violates(errRefused, "note_id_key")).To(BeFalse())
	})

	It("says 422, not 500, to text that cannot be stored", func() {
		p := pool(d.App, 1)
		for _, text := range []string{"a\x00b", "a\xffb"} {
			err := p.InTx(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, `select $1::text`, text)
				return err
			})
			Expect(fault.From(err).Code).To(Equal("invalid_text"), "%q", text)
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, `select $1::text`, db.Text(text))
				return err
			})).To(Succeed())
		}
	})

	Describe("that wants something done after it", func() {
		It("has it done once it is durable, in order", func() {
			p := pool(d.App, 2)
			var seen []int
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				for i := range 3 {
					tx.AfterCommit(func() { seen = append(seen, i*10+count(`select count(*) from drawer.note`)) })
				}
				return note(ctx, tx, 1)
			})).To(Succeed())
			Expect(seen).To(Equal([]int{1, 11, 21}))
		})

		It("has nothing done when it fails, and once when it had to be repeated", func() {
			p := pool(d.App, 1)
			done := 0
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				tx.AfterCommit(func() { done++ })
				return errRefused
			})).To(MatchError(errRefused))
			Expect(done).To(BeZero())
			tries := 0
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				tx.AfterCommit(func() { done++ })
				if tries++; tries < 3 {
					return &pq.Error{Code: "40P01"}
				}
				return nil
			})).To(Succeed())
			Expect(done).To(Equal(1))
		})

		It("hears of the end of every try, once it is over, whether it came true or not", func() {
			p := pool(d.App, 2)
			var seen []int
			try := func(out error) error {
				return p.InTx(ctx, func(tx *db.Tx) error {
					tx.AtEnd(func() { seen = append(seen, count(`select count(*) from drawer.note`)) })
					return errors.Join(note(ctx, tx, 1), out)
				})
			}
			Expect(try(errRefused)).To(MatchError(errRefused))
			Expect(try(nil)).To(Succeed())
			Expect(seen).To(Equal([]int{0, 1}))
		})

		It("has nothing done when the commit itself is refused", func() {
			p := pool(d.App, 1)
			_, err := super.Exec(`alter table drawer.note add constraint note_once unique (tenant_id, id) deferrable initially deferred`)
			Expect(err).NotTo(HaveOccurred())
			ran := false
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				tx.AfterCommit(func() { ran = true })
				return errors.Join(note(ctx, tx, 1), note(ctx, tx, 1))
			})).To(MatchError(ContainSubstring("note_once")))
			Expect(ran).To(BeFalse())
		})
	})

	Describe("of a worker that acts for many merchants", func() {
		var other uuid.UUID
		BeforeEach(func() { other = testkit.NewTenant(d) })
		merchant := func(tx *db.Tx) (tenant string) {
			GinkgoHelper()
			Expect(tx.Get(ctx, &tenant, `select coalesce(current_setting('app.tenant_id', true), '') || '/' || coalesce(current_setting('app.all_tenants', true), '')`)).To(Succeed())
			return tenant
		}

		It("acts for one after the other and keeps what it does not take back", func() {
			var done []string
			p := pool(d.App, 1)
			Expect(p.Across(ctx, func(tx *db.Tx) error {
				Expect(merchant(tx)).To(Equal("/on"))
				for i, t := range []uuid.UUID{tenant, other, tenant} {
					hooks := tx.Hooks()
					Expect(tx.As(ctx, t)).To(Succeed())
					Expect(merchant(tx)).To(Equal(t.String() + "/off"))
					Expect(note(ctx, tx, i)).To(Succeed())
					tx.AfterCommit(func() { done = append(done, fmt.Sprint(i)) })
					if i == 1 {
						_, err := tx.Exec(ctx, `select 1 / 0`)
						Expect(err).To(HaveOccurred())
						Expect(tx.UndoAs(ctx, hooks)).To(Succeed())
					} else {
						Expect(tx.EndAs(ctx)).To(Succeed())
					}
					Expect(merchant(tx)).To(Equal("/on"))
				}
				return nil
			})).To(Succeed())
			Expect(done).To(Equal([]string{"0", "2"}))
			Expect(count(`select count(*) from drawer.note where tenant_id = $1`, tenant)).To(Equal(2))
			Expect(count(`select count(*) from drawer.note`)).To(Equal(2))
		})

		It("shows the merchant's rows while it acts for one, and no module's before and after", func() {
			p := pool(d.App, 1)
			for _, t := range []uuid.UUID{tenant, other} {
				Expect(p.InTx(testkit.As(t), func(tx *db.Tx) error { return note(ctx, tx, 1) })).To(Succeed())
			}
			rows := func(tx *db.Tx) (n int) {
				GinkgoHelper()
				Expect(tx.Get(ctx, &n, `select count(*) from drawer.note`)).To(Succeed())
				return n
			}
			Expect(p.Across(ctx, func(tx *db.Tx) error {
				Expect(rows(tx)).To(BeZero())
				Expect(tx.As(ctx, tenant)).To(Succeed())
				Expect(rows(tx)).To(Equal(1))
				Expect(tx.EndAs(ctx)).To(Succeed())
				Expect(rows(tx)).To(BeZero())
				return nil
			})).To(Succeed())
		})

		It("notices, when it has acted, that a statement failed which nobody looked at", func() {
			p := pool(d.App, 1)
			Expect(p.Across(ctx, func(tx *db.Tx) error {
				hooks := tx.Hooks()
				Expect(tx.As(ctx, tenant)).To(Succeed())
				_, _ = tx.Exec(ctx, `select 1 / 0`)
				Expect(tx.EndAs(ctx)).To(MatchError(ContainSubstring("current transaction is aborted")))
				return tx.UndoAs(ctx, hooks)
			})).To(Succeed())
		})
	})

	Describe("writing something last", func() {
		It("writes all kinds in one statement before the commit, each once", func() {
			cost := &db.Cost{}
			Expect(pool(d.App, 1).InTx(db.WithCost(testkit.As(tenant), cost), func(tx *db.Tx) error {
				db.Last[noted](tx).add(1)
				db.Last[numbered](tx).add(2, 20)
				db.Last[noted](tx).add(3)
				db.Last[silent](tx)
				Expect(count(`select count(*) from drawer.note`)).To(BeZero())
				return nil
			})).To(Succeed())
			Expect(cost.RoundTrips()).To(Equal(int64(3)), "begin, the statement, commit")
			Expect(count(`select count(*) from drawer.note where n = 0 and id in (1, 3)`)).To(Equal(2))
			Expect(count(`select n from drawer.note where id = 2`)).To(Equal(20))
			Expect(count(`select count(*) from drawer.note`)).To(Equal(3))
		})

		It("fails the transaction when that fails", func() {
			err := pool(d.App, 1).InTx(testkit.As(tenant), func(tx *db.Tx) error {
				db.Last[numbered](tx).add(1, 1<<40) // more than its column can be
				return note(ctx, tx, 2)
			})
			Expect(err).To(MatchError(ContainSubstring("write what comes last")))
			Expect(count(`select count(*) from drawer.note`)).To(BeZero())
		})

		It("writes for whom the transaction acts then, and nothing of what is taken back", func() {
			other := testkit.NewTenant(d)
			Expect(pool(d.App, 1).Across(ctx, func(tx *db.Tx) error {
				for i, t := range []uuid.UUID{tenant, other, tenant} {
					hooks := tx.Hooks()
					Expect(tx.As(ctx, t)).To(Succeed())
					db.Last[noted](tx).add(i)
					if i == 2 {
						Expect(tx.UndoAs(ctx, hooks)).To(Succeed())
					} else {
						Expect(tx.EndAs(ctx)).To(Succeed())
					}
				}
				return nil
			})).To(Succeed())
			Expect(pool(d.App, 1).InTx(testkit.As(tenant), func(tx *db.Tx) error {
				db.Last[noted](tx).add(10)
				return tx.For(testkit.As(tenant), other, func() error {
					db.Last[noted](tx).add(11)
					return nil
				})
			})).To(Succeed())
			Expect(count(`select count(*) from drawer.note where tenant_id = $1 and id in (0, 10)`, tenant)).To(Equal(2))
			Expect(count(`select count(*) from drawer.note where tenant_id = $1 and id in (1, 11)`, other)).To(Equal(2))
			Expect(count(`select count(*) from drawer.note`)).To(Equal(4))
		})
	})

	Describe("beside others on few connections", func() {
		// T-20 c. Whatever ends a transaction, the next one on its connection starts clean.
		It("never acts for the merchant of the one before, whatever ended that", func() {
			other := testkit.NewTenant(d)
			p := pool(d.App, 2)
			var kept atomic.Int64
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					defer GinkgoRecover()
					random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(w)))
					for i := range 500 {
						acts := []uuid.UUID{tenant, other}[i%2]
						c, cancel := context.WithCancel(testkit.As(acts))
						one := func(tx *db.Tx) error {
							var seen struct {
								Tenant string `db:"tenant"`
								All    string `db:"all_tenants"`
								Rows   int    `db:"strangers"`
							}
							Expect(tx.Get(c, &seen, `select current_setting('app.tenant_id', true) tenant, coalesce(current_setting('app.all_tenants', true), '') all_tenants,
								(select count(*) from drawer.note where tenant_id <> $1) strangers`, acts)).To(Succeed())
							Expect(seen.Tenant).To(Equal(acts.String()))
							Expect(seen.All).To(BeElementOf("", "off"))
							Expect(seen.Rows).To(BeZero())
							if err := note(c, tx, i); err != nil {
								return err
							}
							switch random.IntN(8) {
							case 0:
								return errRefused
							case 1:
								panic("a handler's")
							case 2:
								cancel()
								return nil // and the commit finds out
							case 3:
								time.AfterFunc(time.Millisecond, cancel)
								_, err := tx.Exec(c, `select pg_sleep(0.01)`)
								return err
							case 4:
								_, err := tx.Exec(c, `select 1 / 0`)
								return err
							case 5:
								_, _ = tx.Exec(c, `select 1 / 0`)
							}
							return nil
						}
						func() {
							defer func() {
								if r := recover(); r != nil && r != "a handler's" {
									panic(r)
								}
							}()
							if p.InTx(c, one) == nil {
								kept.Add(1)
							}
						}()
						cancel()
						if i%10 == 0 { // a worker in between, who sees all
							Expect(p.Across(context.Background(), func(tx *db.Tx) error { return tx.As(context.Background(), acts) })).To(Succeed())
						}
					}
				})
			}
			wg.Wait()
			// The pool may still be dialling for somebody who has been served meanwhile.
			Eventually(func() int { return p.Pool().Stats().InUse }).Should(BeZero())
			Expect(count(`select count(*) from drawer.note`)).To(BeEquivalentTo(kept.Load()), "what was kept is what was said to be")
			// PostgreSQL takes a moment to see that a connection was thrown away.
			Eventually(func() int {
				return count(`select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`)
			}).Should(BeZero())
			var nobody string
			Expect(p.Pool().Get(&nobody, `select coalesce(current_setting('app.tenant_id', true), '')`)).To(Succeed())
			Expect(nobody).To(BeEmpty())
		})

		It("gives its connection back when it panics", func() {
			p := pool(d.App, 1)
			for range 5 {
				Expect(func() { _ = p.InTx(ctx, func(tx *db.Tx) error { _ = note(ctx, tx, 1); panic("a handler's") }) }).To(PanicWith("a handler's"))
			}
			Expect(p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 2) })).To(Succeed())
			Expect(count(`select count(*) from drawer.note`)).To(Equal(1))
		})

		It("is told to come again when no connection becomes free", func() {
			p := pool(d.App, 1)
			Expect(p.InTx(ctx, func(*db.Tx) error {
				var others sync.WaitGroup
				others.Go(func() {
					defer GinkgoRecover()
					Expect(p.Read(ctx, func(*db.Tx) error { panic("ran") })).To(MatchError(db.ErrUnavailable))
				})
				others.Go(func() {
					defer GinkgoRecover()
					_, err := db.Query[int](ctx, p, `select 1`)
					Expect(err).To(MatchError(db.ErrUnavailable))
				})
				others.Wait()
				return nil
			})).To(Succeed())
		})

		It("loses a deadlock at most a few times and then gets through", func() {
			_, err := super.Exec(`do $$ begin execute format('alter role fusion_app in database %I set deadlock_timeout = %L', current_database(), '20ms'); end $$`)
			Expect(err).NotTo(HaveOccurred())
			p := pool(d.App, 8)
			Expect(p.InTx(ctx, func(tx *db.Tx) error { return errors.Join(note(ctx, tx, 1), note(ctx, tx, 2)) })).To(Succeed())
			var runs atomic.Int32
			for range 5 {
				var both sync.WaitGroup
				met := make(chan struct{})
				var first atomic.Int32
				for _, order := range [][]int{{1, 2}, {2, 1}} {
					both.Go(func() {
						defer GinkgoRecover()
						Expect(p.InTx(ctx, func(tx *db.Tx) error {
							runs.Add(1)
							for i, id := range order {
								if _, err := tx.Exec(ctx, `update drawer.note set n = n + 1 where id = $1`, id); err != nil {
									return err
								}
								if i == 0 {
									if first.Add(1) == 2 {
										close(met)
									}
									<-met
								}
							}
							return nil
						})).To(Succeed())
					})
				}
				both.Wait()
			}
			Expect(runs.Load()).To(BeNumerically(">", 10), "there were deadlocks")
			Expect(count(`select min(n) from drawer.note`)).To(Equal(10))
			Expect(count(`select max(n) from drawer.note`)).To(Equal(10))
		})

		It("gives up a fight that has no end", func() {
			p := pool(d.App, 1)
			for _, code := range []pqerror.Code{"40P01", "40001"} {
				tries := 0
				err := p.InTx(ctx, func(*db.Tx) error { tries++; return fmt.Errorf("save: %w", &pq.Error{Code: code}) })
				Expect(tries).To(Equal(4))
				Expect(err).To(MatchError(db.ErrUnavailable))
				Expect(db.IsContention(err)).To(BeTrue())
			}
			tries := 0
			err := p.InTx(ctx, func(*db.Tx) error { tries++; return &pq.Error{Code: "23503"} })
			Expect(tries).To(Equal(4), "what is referred to may have gone a moment ago")
			Expect(err).NotTo(MatchError(db.ErrUnavailable))
			tries = 0
			Expect(p.InTx(ctx, func(*db.Tx) error { tries++; return errRefused })).To(MatchError(errRefused))
			Expect(tries).To(Equal(1))
		})
	})

	Describe("on a database in trouble", func() {
		kill := func() int {
			GinkgoHelper()
			return count(`select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where application_name = 'victim' and datname = current_database()`)
		}

		It("does not fail for connections that died while nobody used them", func() {
			p := pool(with(d.App, "application_name", "victim"), 5)
			warm := func() {
				var all sync.WaitGroup
				begun, leave := make(chan struct{}, 5), make(chan struct{})
				for range 5 {
					all.Go(func() {
						defer GinkgoRecover()
						Expect(p.Read(ctx, func(*db.Tx) error { begun <- struct{}{}; <-leave; return nil })).To(Succeed())
					})
				}
				for range 5 {
					Eventually(begun, testkit.Patience).Should(Receive())
				}
				close(leave)
				all.Wait()
			}
			warm()
			Expect(kill()).To(Equal(5))
			Expect(p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 1) })).To(Succeed())
			warm()
			Expect(kill()).To(Equal(5))
			Expect(db.Query[int](ctx, p, `select 7`)).To(Equal([]int{7}))
		})

		It("fails when its connection dies in the middle, keeps nothing and says that it is worth another try", func() {
			p := pool(with(d.App, "application_name", "victim"), 1)
			err := p.InTx(ctx, func(tx *db.Tx) error {
				Expect(note(ctx, tx, 1)).To(Succeed())
				Expect(kill()).To(Equal(1))
				return note(ctx, tx, 2)
			})
			Expect(err).To(MatchError(db.ErrUnavailable))
			Expect(db.IsOutage(err)).To(BeTrue())
			Expect(count(`select count(*) from drawer.note`)).To(BeZero())
			Expect(p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 3) })).To(Succeed())
		})

		It("says that the database is away, in bounded time, and works again when it is back", func() {
			proxy, err := dbfault.New(d.App)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(proxy.Close)
			p := pool(proxy.DSN(), 2)
			write := func() error { return p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 1) }) }
			Expect(write()).To(Succeed())
			Expect(proxy.Cut()).To(Succeed())
			for range 3 {
				Expect(write()).To(MatchError(db.ErrUnavailable))
				_, err := db.Query[int](ctx, p, `select 1`)
				Expect(err).To(MatchError(db.ErrUnavailable))
			}
			Expect(fault.From(write()).RetryAfter).To(BeNumerically(">", 0))
			Expect(proxy.Restore()).To(Succeed())
			Expect(write()).To(Succeed())

			// Connections that end with the answer to a commit on the way: nobody knows, so it is not called a success.
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				defer func() { Expect(proxy.Cut()).To(Succeed()) }()
				return note(ctx, tx, 1)
			})).To(MatchError(db.ErrUnavailable))
		})

		It("does not wait for a database that has fallen silent", func() {
			proxy, err := dbfault.New(d.App)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(proxy.Close)
			p, err := db.Open(db.Options{DSN: with(proxy.DSN(), "connect_timeout", "1"), Connections: 1, Silence: 200 * time.Millisecond})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			write := func(ctx context.Context) error {
				return p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 1) })
			}
			Expect(write(ctx)).To(Succeed())
			proxy.Stall()
			// A connection that was open, a new one, and a caller who gives up.
			Expect(write(ctx)).To(MatchError(db.ErrUnavailable))
			Expect(write(ctx)).To(MatchError(db.ErrUnavailable))
			hurried, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			Expect(write(hurried)).To(MatchError(db.ErrUnavailable))
			proxy.Resume()
			Expect(write(ctx)).To(Succeed())
			Expect(p.InTx(ctx, func(tx *db.Tx) error {
				proxy.Stall()
				defer proxy.Resume()
				return note(ctx, tx, 2)
			})).To(MatchError(db.ErrUnavailable))
			Expect(write(ctx)).To(Succeed())
		})

		It("has all the time that a statement may take", func() {
			p, err := db.Open(db.Options{DSN: d.App, Connections: 1, Silence: 500 * time.Millisecond})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			for range 5 { // each of them, not all together
				Expect(p.InTx(ctx, func(tx *db.Tx) error {
					_, err := tx.Exec(ctx, `select pg_sleep(0.15)`)
					return err
				})).To(Succeed())
			}
		})
	})

	It("counts its round trips", func() {
		p := pool(d.App, 1)
		cost := &db.Cost{}
		c := db.WithCost(ctx, cost)
		Expect(p.InTx(c, func(tx *db.Tx) error {
			var n int
			var list []int
			return errors.Join(note(c, tx, 1), tx.Get(c, &n, `select 1`), tx.Select(c, &list, `select 1`))
		})).To(Succeed())
		Expect(cost.RoundTrips()).To(BeEquivalentTo(5), "begin, three statements, commit")
		cost.Add(2)
		Expect(cost.RoundTrips()).To(BeEquivalentTo(7))
		Expect(p.InTx(ctx, func(tx *db.Tx) error { return note(ctx, tx, 1) })).To(Succeed())
		Expect(cost.RoundTrips()).To(BeEquivalentTo(7), "somebody else's")
		var nobody *db.Cost
		nobody.Add(1)
	})
})

var _ = Describe("an error of PostgreSQL's", func() {
	DescribeTable("tells", func(code string, outage, shortage, contention, unavailable bool) {
		err := fmt.Errorf("save: %w", &pq.Error{Code: pqerror.Code(code)})
		Expect(db.IsOutage(err)).To(Equal(outage))
		Expect(db.IsShortage(err)).To(Equal(shortage))
		Expect(db.IsContention(err)).To(Equal(contention))
		Expect(errors.Is(db.Explain(context.Background(), err), db.ErrUnavailable)).To(Equal(unavailable))
	},
		Entry("a shutdown", "57P01", true, true, false, true),
		Entry("a full disk", "53100", true, true, false, true),
		Entry("too many connections", "53300", true, true, false, true),
		Entry("a lock that nobody gives back", "55P03", true, true, false, true),
		Entry("a statement that took too long", "57014", false, false, false, true),
		Entry("a deadlock", "40P01", false, false, true, true),
		Entry("a violated constraint", "23505", false, false, false, false),
		Entry("a mistake in a statement", "42601", false, false, false, false),
	)
})

var _ = Describe("a database URL", func() {
	It("gets what our use of the driver needs, and keeps what it says itself", func() {
		for _, dsn := range []string{"postgres://u:p@h/d", "postgresql://h/d?sslmode=disable", "postgres://h/d?binary_parameters=no&connect_timeout=9"} {
			got, err := db.WithParameters(dsn)
			Expect(err).NotTo(HaveOccurred())
			Expect(got).To(ContainSubstring("binary_parameters=yes"))
			if strings.Contains(dsn, "connect_timeout") {
				Expect(got).To(ContainSubstring("connect_timeout=9"))
			}
		}
		Expect(db.WithParameters("host=h dbname=d")).To(HavePrefix("host=h dbname=d binary_parameters=yes"))
	})

	It("never shows its password in an error", func() {
		for _, dsn := range []string{"postgres://u:hush@h:port/d", "postgres://u:hush@%zz/d", "host=h password=hush dbname"} {
			_, err := db.Open(db.Options{DSN: dsn, Connections: 1, Clock: clock.System})
			Expect(err).To(HaveOccurred(), dsn)
			Expect(err.Error()).NotTo(ContainSubstring("hush"), dsn)
		}
	})
})
