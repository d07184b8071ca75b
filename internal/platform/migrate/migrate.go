// Package migrate applies the schema history of each module with golang-migrate:
// one folder, one version table, one sequence a module.
package migrate

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	gomigrate "github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/lib/pq"
)

// AppRole is the role that the program connects as. It owns nothing, so that
// row-level security binds it.
const AppRole = "fusion_app"

// versions is the schema of the version tables. It is none of a module's, because
// migrating down drops a module's schema.
const versions = "migrations"

// Runner migrates the modules it is given, in that order; the platform comes first.
type Runner struct {
	db      *sql.DB
	files   fs.FS
	modules []string
}

// Open prepares to migrate the database at dsn, which names the owner, not the
// application's role, and reaches PostgreSQL directly, not through a pooler.
func Open(dsn string, files fs.FS, modules ...string) (*Runner, error) {
	pool, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &Runner{pool, files, append([]string{"platform"}, modules...)}, nil
}

// Close ends the connections.
func (r *Runner) Close() error { return r.db.Close() }

// roleSettings bound what one statement of the program can hold up, and keep PostgreSQL
// from compiling statements that take less time than their compilation. A plan that is kept,
// such as that of a foreign key's check, may be made while a table is nearly empty: without
// enable_seqscan = off it reads the whole of a table that has filled since (seen: 4.6 s
// instead of 0.1 s for a batch of reservations). They belong to the role because a pooler
// forwards no start-up parameters.
var roleSettings = []string{
	"jit = off", "enable_seqscan = off", "statement_timeout = '5s'", "lock_timeout = '2s'", "idle_in_transaction_session_timeout = '10s'", "timezone = 'UTC'",
}

// Prepare makes what migrations take for granted, as far as it is missing: the
// application's role and the schema of the version tables. A restored database needs both
// before it has anything to migrate.
func (r *Runner) Prepare(ctx context.Context) error {
	if err := r.MakeRole(ctx); err != nil {
		return err
	}
	for _, q := range []string{
		`create schema if not exists ` + versions,
		`grant usage on schema ` + versions + ` to ` + AppRole,
		`alter default privileges in schema ` + versions + ` grant select on tables to ` + AppRole,
	} {
		if _, err := r.db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("prepare version tables: %w", err)
		}
	}
	return nil
}

// MakeRole makes the application's role with its bounds, or neither. The role belongs to
// the whole server: while another database of it is migrated, somebody else may make it.
func (r *Runner) MakeRole(ctx context.Context) error {
	var exists bool
	if err := r.db.QueryRowContext(ctx, `select exists (select from pg_roles where rolname = $1)`, AppRole).Scan(&exists); err != nil {
		return fmt.Errorf("look for role %s: %w", AppRole, err)
	}
	if exists {
		return r.boundRole(ctx)
	}
	statements := append([]string{`create role ` + AppRole + ` login nosuperuser nobypassrls nocreatedb nocreaterole noinherit`}, RoleBounds()...)
	_, err := r.db.ExecContext(ctx, strings.Join(statements, "; "))
	if pe, ok := errors.AsType[*pq.Error](err); ok && (pe.Code == duplicateObject || pe.Code == uniqueViolation) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create role %s (an administrator can do it: create role %s login nobypassrls): %w", AppRole, AppRole, err)
	}
	return nil
}

// boundRole gives a role that somebody else made its bounds. An owner who may not do that
// leaves it to an administrator: the program looks for the bounds when it starts.
func (r *Runner) boundRole(ctx context.Context) error {
	var has []string
	if err := r.db.QueryRowContext(ctx, `select coalesce(rolconfig, '{}') from pg_roles where rolname = $1`, AppRole).Scan(pq.Array(&has)); err != nil {
		return fmt.Errorf("look at role %s: %w", AppRole, err)
	}
	bare := strings.NewReplacer(" ", "", "'", "")
	if !slices.ContainsFunc(roleSettings, func(s string) bool {
		return !slices.ContainsFunc(has, func(h string) bool { return strings.EqualFold(h, bare.Replace(s)) })
	}) {
		return nil
	}
	_, err := r.db.ExecContext(ctx, strings.Join(RoleBounds(), "; "))
	if pe, ok := errors.AsType[*pq.Error](err); ok && pe.Code == insufficientPrivilege {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bound role %s: %w", AppRole, err)
	}
	return nil
}

// RoleBounds are the statements that bound the application's role.
func RoleBounds() []string {
	statements := make([]string, len(roleSettings))
	for i, s := range roleSettings {
		statements[i] = `alter role ` + AppRole + ` set ` + s
	}
	return statements
}

// What PostgreSQL says of a role that was made a moment ago, and at this moment.
const (
	duplicateObject       = "42710"
	uniqueViolation       = "23505"
	insufficientPrivilege = "42501"
)

// Up applies what is missing and returns how many files it applied. It changes nothing
// when it cannot go on with one of the modules.
func (r *Runner) Up(ctx context.Context) (applied int, err error) {
	err = r.alone(ctx, func() error {
		before, err := r.Status(ctx)
		if err != nil {
			return err
		}
		for _, s := range before {
			if err := s.Err(); err != nil && !errors.Is(err, ErrBehind) {
				return err
			}
		}
		// Not sooner: a newer program may have given the role other bounds.
		if err := r.Prepare(ctx); err != nil {
			return err
		}
		for _, s := range before {
			if err := r.with(ctx, s.Module, (*gomigrate.Migrate).Up); err != nil {
				return err
			}
			applied += s.Latest - s.Version
		}
		return nil
	})
	return applied, err
}

// Down takes back the last migration of one module.
func (r *Runner) Down(ctx context.Context, module string) error {
	return r.alone(ctx, func() error {
		s, err := check(ctx, r.db, r.files, module)
		if err != nil {
			return err
		}
		// Only the program that knows a migration knows the way back.
		if err := s.Err(); err != nil && !errors.Is(err, ErrBehind) {
			return err
		}
		if s.Version == 0 {
			return fmt.Errorf("%s has no migration to take back", module)
		}
		return r.with(ctx, module, func(m *gomigrate.Migrate) error { return m.Steps(-1) })
	})
}

const (
	// turn is the advisory lock of whoever migrates this database.
	turn = "71::bigint << 48"
	// askEvery is how often it is asked for. Waiting for it inside PostgreSQL would hold a
	// snapshot, which CREATE INDEX CONCURRENTLY in the other's migration waits for.
	askEvery = 50 * time.Millisecond
	// giveBack bounds how long a server may take to hear that the turn is over.
	giveBack = 5 * time.Second
)

// alone waits until nobody else migrates this database: replicas that start at the same
// moment take turns, and the later ones find nothing to do.
func (r *Runner) alone(ctx context.Context, do func() error) (err error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for mine := false; !mine; {
		if err := conn.QueryRowContext(ctx, `select pg_try_advisory_lock(`+turn+`)`).Scan(&mine); err != nil {
			return fmt.Errorf("wait for another migration to end: %w", err)
		}
		if !mine {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for another migration to end: %w", ctx.Err())
			case <-time.After(askEvery):
			}
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBack)
		defer cancel()
		if _, unlockErr := conn.ExecContext(ctx, `select pg_advisory_unlock(`+turn+`)`); unlockErr != nil {
			err = errors.Join(err, fmt.Errorf("end migration: %w", unlockErr))
		}
	}()
	return do()
}

// with runs one step of golang-migrate on a connection of its own: the library
// keeps its advisory lock on it and closes it.
func (r *Runner) with(ctx context.Context, module string, step func(*gomigrate.Migrate) error) (err error) {
	src, err := iofs.New(r.files, module)
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", module, err)
	}
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	driver, err := postgres.WithConnection(ctx, conn, &postgres.Config{
		MigrationsTable: `"` + versions + `"."` + module + `"`, MigrationsTableQuoted: true, MultiStatementEnabled: false,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("version table of %s: %w", module, err), conn.Close())
	}
	m, err := gomigrate.NewWithInstance("iofs", src, "postgres", &whole{Driver: driver, ctx: ctx, table: `"` + versions + `"."` + module + `"`})
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", module, err)
	}
	defer func() {
		srcErr, dbErr := m.Close()
		err = errors.Join(err, srcErr, dbErr)
	}()
	if err := step(m); err != nil && !errors.Is(err, gomigrate.ErrNoChange) {
		return fmt.Errorf("migrate %s: %w", module, err)
	}
	return nil
}

// whole makes a file and the note that it was applied one transaction, which the library
// writes before and after it: who is killed in between leaves a schema from before the file
// or from after it, not one that a person has to look at.
type whole struct {
	database.Driver
	ctx   context.Context // of the step: the library passes none to a driver
	table string
	next  int // version that the file leads to
}

const (
	// patience bounds how long a file waits for a table. Everybody who comes after it waits
	// with it, and two tables that are locked one after the other may be those of a customer
	// in the opposite order: a file gives up what it has before PostgreSQL looks for
	// deadlocks (deadlock_timeout, 1 s), and begins again.
	patience = "400ms"
	// stamina is how long every fifth time: an autovacuum gives way only to who has waited for
	// longer than deadlock_timeout.
	stamina = "1400ms"
	// pause lets those pass who waited. It grows with each time.
	pause = 100 * time.Millisecond
	// longestPause bounds it.
	longestPause = 2 * time.Second
	// lockNotAvailable and deadlockDetected are what PostgreSQL says to who gives way.
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
)

// SetVersion leaves the note that a file is about to run to Run.
func (w *whole) SetVersion(version int, dirty bool) error {
	if w.next = version; dirty {
		return nil
	}
	return w.Driver.SetVersion(version, false)
}

// What PostgreSQL refuses to do in a transaction is noted the library's way.
var single = regexp.MustCompile(`(?i)\bconcurrently\b`)

// Run applies a file. Statements that are sent together are one transaction.
func (w *whole) Run(file io.Reader) error {
	body, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read migration: %w", err)
	}
	if single.Match(body) {
		if err := w.Driver.SetVersion(w.next, true); err != nil {
			return err
		}
		return w.Driver.Run(bytes.NewReader(body))
	}
	text := string(body) + "\n;\ntruncate " + w.table
	if w.next >= 0 {
		text += fmt.Sprintf("; insert into %s (version, dirty) values (%d, false)", w.table, w.next)
	}
	for try := 1; ; try++ {
		waits := patience
		if try%5 == 0 {
			waits = stamina
		}
		err := w.Driver.Run(strings.NewReader("set local lock_timeout = '" + waits + "'; " + text))
		switch {
		case err == nil:
			return nil
		case !givesWay(err):
			return errors.Join(err, w.Driver.SetVersion(w.next, true))
		}
		select {
		case <-w.ctx.Done():
			return fmt.Errorf("wait for tables that others use: %w", w.ctx.Err())
		case <-time.After(min(time.Duration(try)*pause, longestPause)):
		}
	}
}

// givesWay tells whether a file met somebody who has a table, and changed nothing.
func givesWay(err error) bool {
	failed, ok := errors.AsType[database.Error](err)
	if !ok {
		return false
	}
	pe, ok := errors.AsType[*pq.Error](failed.OrigErr)
	return ok && (pe.Code == lockNotAvailable || pe.Code == deadlockDetected)
}

// Status of one module's schema. Version 0 is an empty one.
type Status struct {
	Module  string `json:"module"`
	Version int    `json:"version"`
	Latest  int    `json:"latest"`
	Dirty   bool   `json:"dirty"`
}

// Refusals to go on with a schema; the program has an exit code for them.
var (
	ErrDirty  = errors.New("a migration failed half-way")
	ErrNewer  = errors.New("the database is newer than this program")
	ErrBehind = errors.New("the database is older than this program")
)

func (s Status) dirty() error {
	return fmt.Errorf("%w: %s is marked dirty at version %d; repair the schema, then set dirty to false in %s.%s", ErrDirty, s.Module, s.Version, versions, s.Module)
}

func (s Status) newer() error {
	return fmt.Errorf("%w: %s is at version %d, this program knows %d; start the newer program, or migrate down with it first", ErrNewer, s.Module, s.Version, s.Latest)
}

// Err says whether the program can work with the schema as it is.
func (s Status) Err() error {
	switch {
	case s.Dirty:
		return s.dirty()
	case s.Version > s.Latest:
		return s.newer()
	case s.Version < s.Latest:
		return fmt.Errorf("%w: %s is at version %d of %d; run: fusion migrate up", ErrBehind, s.Module, s.Version, s.Latest)
	}
	return nil
}

// Status reports the schema of each module.
func (r *Runner) Status(ctx context.Context) ([]Status, error) {
	return Check(ctx, r.db, r.files, r.modules[1:]...)
}

// Check reports the schema of each module. The application's role may do it.
func Check(ctx context.Context, db *sql.DB, files fs.FS, modules ...string) ([]Status, error) {
	all := make([]Status, 0, len(modules)+1)
	for _, module := range append([]string{"platform"}, modules...) {
		s, err := check(ctx, db, files, module)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func check(ctx context.Context, db *sql.DB, files fs.FS, module string) (s Status, err error) {
	s.Module = module
	if s.Latest, err = Latest(files, module); err != nil {
		return s, err
	}
	var table sql.NullString
	if err := db.QueryRowContext(ctx, `select to_regclass($1)::text`, versions+`."`+module+`"`).Scan(&table); err != nil {
		return s, fmt.Errorf("version of %s: %w", module, err)
	}
	if table.Valid {
		err := db.QueryRowContext(ctx, `select version, dirty from `+versions+`."`+module+`"`).Scan(&s.Version, &s.Dirty)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return s, fmt.Errorf("version of %s: %w", module, err)
		}
	}
	s.Version = max(s.Version, 0) // the library writes -1 when the first migration could not be taken back
	return s, nil
}

// Latest is the highest version among a module's files.
func Latest(files fs.FS, module string) (int, error) {
	entries, err := fs.ReadDir(files, module)
	if err != nil {
		return 0, fmt.Errorf("migrations of %s: %w", module, err)
	}
	highest := 0
	for _, e := range entries {
		if m, err := source.DefaultParse(e.Name()); err == nil && strings.HasSuffix(e.Name(), ".up.sql") {
			highest = max(highest, int(m.Version))
		}
	}
	return highest, nil
}
