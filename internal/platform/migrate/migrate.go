// Package migrate applies the schema history of each module with golang-migrate:
// one folder, one version table, one sequence a module.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	gomigrate "github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
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

// roleSettings bound what one statement of the program can hold up, and keep functions
// from remembering to scan a table that was small when they first met it. They belong to
// the role because a pooler forwards no start-up parameters.
var roleSettings = []string{
	"enable_seqscan = off", "statement_timeout = '5s'", "lock_timeout = '2s'", "idle_in_transaction_session_timeout = '10s'", "timezone = 'UTC'",
}

// prepare makes what migrations take for granted: the application's role and the
// schema of the version tables.
func (r *Runner) prepare(ctx context.Context) error {
	var exists bool
	if err := r.db.QueryRowContext(ctx, `select exists (select from pg_roles where rolname = $1)`, AppRole).Scan(&exists); err != nil {
		return fmt.Errorf("look for role %s: %w", AppRole, err)
	}
	if !exists {
		if _, err := r.db.ExecContext(ctx, `create role `+AppRole+` login nosuperuser nobypassrls nocreatedb nocreaterole noinherit`); err != nil {
			return fmt.Errorf("create role %s (an administrator can do it: create role %s login nobypassrls): %w", AppRole, AppRole, err)
		}
		for _, s := range roleSettings {
			if _, err := r.db.ExecContext(ctx, `alter role `+AppRole+` set `+s); err != nil {
				return fmt.Errorf("bound role %s: %w", AppRole, err)
			}
		}
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

// Up applies what is missing and returns how many files it applied.
func (r *Runner) Up(ctx context.Context) (applied int, err error) {
	if err := r.prepare(ctx); err != nil {
		return 0, err
	}
	before, err := r.Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range before {
		if s.Dirty {
			return applied, s.dirty()
		}
		if s.Version > s.Latest {
			return applied, s.newer()
		}
		if err := r.with(ctx, s.Module, (*gomigrate.Migrate).Up); err != nil {
			return applied, err
		}
		applied += s.Latest - s.Version
	}
	return applied, nil
}

// Down takes back the last migration of one module.
func (r *Runner) Down(ctx context.Context, module string) error {
	return r.with(ctx, module, func(m *gomigrate.Migrate) error { return m.Steps(-1) })
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
	m, err := gomigrate.NewWithInstance("iofs", src, "postgres", driver)
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
		s := Status{Module: module}
		var err error
		if s.Latest, err = latest(files, module); err != nil {
			return nil, err
		}
		var table sql.NullString
		if err := db.QueryRowContext(ctx, `select to_regclass($1)::text`, versions+"."+module).Scan(&table); err != nil {
			return nil, fmt.Errorf("version of %s: %w", module, err)
		}
		if table.Valid {
			err := db.QueryRowContext(ctx, `select version, dirty from `+versions+`."`+module+`"`).Scan(&s.Version, &s.Dirty)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return nil, fmt.Errorf("version of %s: %w", module, err)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// latest is the highest version among a module's files.
func latest(files fs.FS, module string) (int, error) {
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
