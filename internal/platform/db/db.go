// Package db owns the connection pools and the only ways to open a transaction.
// Every transaction belongs to one merchant: row-level security sees to it that
// a forgotten WHERE shows nothing of another one.
package db

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// ErrUnavailable is what callers see while the database cannot be reached.
var ErrUnavailable = fault.New(fault.Unavailable, "dependency_unavailable", "The database does not answer right now. Try again shortly.").After(1)

// DB is one pool of connections. Requests and event handlers have a pool each,
// so that neither can starve the other.
type DB struct {
	pool *sqlx.DB
	now  clock.Clock
}

// Options of a pool.
type Options struct {
	DSN         string // as given; what lib/pq needs is added
	Connections int    // at most that many at once
	// Pooled says that a PgBouncer in transaction mode stands in between: statements are
	// neither kept prepared nor cancelled then.
	Pooled bool
	Clock  clock.Clock
	// Silence is how long the server may say nothing; 15 seconds when it is zero.
	Silence time.Duration
}

// acquireTimeout bounds the wait for a free connection: beyond it the caller is
// better served by a 503 than by a queue.
const acquireTimeout = 2 * time.Second

// Open prepares a pool. It does not connect: the first use does.
func Open(o Options) (*DB, error) {
	dsn, err := WithParameters(o.DSN)
	if err != nil {
		return nil, err
	}
	plain, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, errors.New("database URL cannot be used") // the error could repeat the password
	}
	plain.Dialer(dialer{silence: cmp.Or(o.Silence, silence)})
	var connector driver.Connector = preparing{plain}
	if o.Pooled {
		connector = uncancelled{plain}
	}
	pool := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	pool.SetMaxOpenConns(o.Connections)
	pool.SetMaxIdleConns(o.Connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	now := o.Clock
	if now == nil {
		now = clock.System
	}
	return &DB{pool: pool, now: now}, nil
}

// WithParameters adds to a DSN what our use of lib/pq needs: binary_parameters
// makes a statement one round trip and keeps it free of named prepared
// statements, which a transaction-pooling PgBouncer cannot carry.
func WithParameters(dsn string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " binary_parameters=yes connect_timeout=5", nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("database URL cannot be parsed") // the parse error would repeat the password
	}
	q := u.Query()
	q.Set("binary_parameters", "yes")
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "5") // lib/pq does not heed the context while it connects
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Close ends all connections. That some are gone already is no trouble.
func (d *DB) Close() error {
	if err := d.pool.Close(); !isConnectionLoss(err) {
		return err
	}
	return nil
}

// Pool is for specs and for telling whether the database answers.
func (d *DB) Pool() *sqlx.DB { return d.pool }

// Tx is passed to every store method: a function that takes a *Tx takes part in
// the caller's transaction, a function that does not cannot.
type Tx struct {
	// Now is the one time of the whole unit of work.
	Now time.Time

	conn  *sqlx.Conn
	cost  *Cost
	last  []Written
	after []func() // the commit
	ended []func()
}

// Exec runs one statement and returns the number of rows it touched.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tx.cost.Add(1)
	res, err := tx.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Get reads one row into dest, a struct or a scalar; sql.ErrNoRows when there is none.
func (tx *Tx) Get(ctx context.Context, dest any, query string, args ...any) error {
	tx.cost.Add(1)
	return tx.conn.GetContext(ctx, dest, query, args...)
}

// Select reads all rows into dest, a pointer to a slice.
func (tx *Tx) Select(ctx context.Context, dest any, query string, args ...any) error {
	tx.cost.Add(1)
	return tx.conn.SelectContext(ctx, dest, query, args...)
}

// AfterCommit runs fn once the transaction is durable, and never if it is not.
// fn must not fail: wake a worker, drop a cache entry.
func (tx *Tx) AfterCommit(fn func()) { tx.after = append(tx.after, fn) }

// AtEnd runs fn once the transaction is over, whether it came true or not.
func (tx *Tx) AtEnd(fn func()) { tx.ended = append(tx.ended, fn) }

// maxAttempts bounds how often a transaction that lost a deadlock starts again.
const maxAttempts = 4

// InTx runs fn in one transaction of the merchant that ctx acts for. fn may run
// again after a deadlock or a serialization failure, so it touches nothing but tx.
func (d *DB) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return d.retrying(ctx, "begin; select set_config('app.tenant_id', '"+id.Tenant.String()+"', true)", fn)
}

// Read is InTx for transactions that change nothing.
func (d *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return d.retrying(ctx, "begin read only; select set_config('app.tenant_id', '"+id.Tenant.String()+"', true)", fn)
}

// Snapshot is Read for what takes a while and must fit together: everything is seen as it
// was at one moment. fn runs once.
func (d *DB) Snapshot(ctx context.Context, fn func(tx *Tx) error) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return Explain(ctx, d.once(ctx, "begin isolation level repeatable read read only; select set_config('app.tenant_id', '"+id.Tenant.String()+"', true)", fn))
}

// Across runs fn in a transaction that sees the platform's own rows of every
// merchant (and no business row of any). Only the platform may use it: the
// architecture spec keeps modules away.
func (d *DB) Across(ctx context.Context, fn func(tx *Tx) error) error {
	return d.retrying(ctx, "begin; select set_config('app.all_tenants', 'on', true)", fn)
}

// Across lets fn, within a merchant's transaction, see and write the platform's own rows of
// every merchant: where one of them looks after another. Only the platform may use it.
func (tx *Tx) Across(ctx context.Context, fn func() error) error {
	if _, err := tx.Exec(ctx, "select set_config('app.all_tenants', 'on', true)"); err != nil {
		return fmt.Errorf("look across merchants: %w", err)
	}
	if err := fn(); err != nil {
		return err // what undoes the transaction undoes the setting
	}
	if _, err := tx.Exec(ctx, "select set_config('app.all_tenants', 'off', true)"); err != nil {
		return fmt.Errorf("look at one merchant again: %w", err)
	}
	return nil
}

// For lets fn, within a merchant's transaction, act for another one: where one of them
// makes another. Only the platform may use it.
func (tx *Tx) For(ctx context.Context, tenant uuid.UUID, fn func() error) error {
	acting, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := tx.Finish(ctx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "select set_config('app.tenant_id', $1, true)", tenant.String()); err != nil {
		return fmt.Errorf("act for another merchant: %w", err)
	}
	if err := fn(); err != nil {
		return err // what undoes the transaction undoes the setting
	}
	if err := tx.Finish(ctx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "select set_config('app.tenant_id', $1, true)", acting.Tenant.String()); err != nil {
		return fmt.Errorf("act for the merchant again: %w", err)
	}
	return nil
}

// As continues a transaction begun by Across as one merchant, up to the next
// call, and sets a savepoint that UndoAs returns to.
func (tx *Tx) As(ctx context.Context, tenant uuid.UUID) error {
	_, err := tx.Exec(ctx, "select set_config('app.tenant_id', '"+tenant.String()+"', true), set_config('app.all_tenants', 'off', true); savepoint as_tenant")
	return err
}

// EndAs keeps what was done since As and returns to seeing every merchant.
func (tx *Tx) EndAs(ctx context.Context) error {
	if err := tx.Finish(ctx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "release savepoint as_tenant; select set_config('app.tenant_id', '', true), set_config('app.all_tenants', 'on', true)")
	return err
}

// UndoAs takes back what was done since As, including what was to run after the commit.
func (tx *Tx) UndoAs(ctx context.Context, hooks int) error {
	tx.last, tx.after = nil, tx.after[:hooks]
	_, err := tx.Exec(ctx, "rollback to savepoint as_tenant; release savepoint as_tenant; select set_config('app.tenant_id', '', true), set_config('app.all_tenants', 'on', true)")
	return err
}

// Hooks is the mark to hand to UndoAs.
func (tx *Tx) Hooks() int { return len(tx.after) }

func (d *DB) retrying(ctx context.Context, begin string, fn func(tx *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := d.once(ctx, begin, fn)
		if attempt == maxAttempts || !IsContention(err) && !lostSight(err) {
			return Explain(ctx, err)
		}
		wait := time.Duration(attempt) * time.Duration(5+rand.IntN(10)) * time.Millisecond //nolint:gosec // jitter, not a secret
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (d *DB) once(ctx context.Context, begin string, fn func(tx *Tx) error) (err error) {
	conn, err := d.begin(ctx, begin)
	if err != nil {
		return err
	}
	tx := &Tx{Now: d.now(), conn: conn, cost: costOf(ctx)}
	finished := false
	// After an error or a panic the connection is rolled back; one that cannot be
	// is thrown away, so that no transaction ever leaks into the next request.
	defer func() {
		if !finished {
			rollback(ctx, conn)
		}
		for _, hook := range tx.ended {
			hook()
		}
		err = errors.Join(err, ignoreGone(conn.Close()))
	}()
	tx.cost.Add(1)
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Finish(ctx); err != nil {
		return err
	}
	tx.cost.Add(1)
	// COMMIT alone succeeds in a transaction that has failed, and rolls it back. The empty
	// SELECT does not: an error that fn has swallowed is not taken for a success.
	if _, err := conn.ExecContext(ctx, "select; commit"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	finished = true
	for _, hook := range tx.after {
		hook()
	}
	return nil
}

// begin opens the transaction and names its merchant in one round trip.
func (d *DB) begin(ctx context.Context, statement string) (*sqlx.Conn, error) {
	conn, err := d.connect(ctx, func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return conn, nil
}

// Query reads with one statement that needs no transaction and no merchant.
func Query[T any](ctx context.Context, d *DB, query string, args ...any) ([]T, error) {
	var rows []T
	conn, err := d.connect(ctx, func(conn *sqlx.Conn) error {
		rows = nil
		return conn.SelectContext(ctx, &rows, query, args...)
	})
	if err != nil {
		return nil, Explain(ctx, err)
	}
	return rows, Explain(ctx, ignoreGone(conn.Close()))
}

// connect takes a connection and makes its first use.
//
// A connection that died in the pool (the server was restarted) only shows at
// its first use. Nothing has happened by then, so the next one is tried, until a
// fresh one had to be dialled.
func (d *DB) connect(ctx context.Context, use func(*sqlx.Conn) error) (*sqlx.Conn, error) {
	acquire, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		conn, err := d.pool.Connx(acquire)
		if err != nil {
			if acquire.Err() != nil && ctx.Err() == nil {
				return nil, fmt.Errorf("%w (no free connection: %w)", ErrUnavailable, err)
			}
			return nil, fmt.Errorf("connect: %w", err)
		}
		err = use(conn)
		if err == nil {
			return conn, nil
		}
		discard(conn)
		if attempt > d.pool.Stats().MaxOpenConnections || !isConnectionLoss(err) {
			return nil, err
		}
	}
}

// rollbackTimeout is short: a server that does not answer a rollback is gone.
const rollbackTimeout = 2 * time.Second

func rollback(ctx context.Context, conn *sqlx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "rollback"); err != nil {
		discard(conn)
	}
}

// discard takes a connection out of the pool; database/sql does so for ErrBadConn.
func discard(conn *sqlx.Conn) {
	// The only result is the ErrBadConn that we return ourselves.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

func ignoreGone(err error) error {
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return nil
	}
	return err
}

// Explain turns what PostgreSQL says about an outage or about unreadable input
// into a fault, so that neither becomes a 500.
func Explain(ctx context.Context, err error) error {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err // the caller went away: it has nothing to learn
	}
	if _, declared := errors.AsType[*fault.Error](err); declared {
		return err
	}
	pe, ok := errors.AsType[*pq.Error](err)
	switch {
	case ok && (pe.Code == "22021" || pe.Code == "22P05"): // NUL or invalid UTF-8 that came through
		return fmt.Errorf("%w: %w", errText, err)
	case isConnectionLoss(err), IsContention(err), ok && unavailable(pe), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

var errText = fault.New(fault.Invalid, "invalid_text", "Some text holds characters that cannot be stored.")

// unavailable: insufficient resources, operator intervention, connection
// exceptions, lock not available, query cancelled (statement_timeout).
func unavailable(pe *pq.Error) bool {
	switch pe.Code.Class() {
	case "53", "57", "08", "58":
		return true
	}
	return pe.Code == "55P03"
}
