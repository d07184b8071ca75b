// Package backup keeps a shop in one file, taken while the shop works, and makes the shop
// again from there.
package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// Manifest says what is in a backup and where it comes from.
type Manifest struct {
	Format   int            `json:"format"`
	Program  string         `json:"program"` // version of the program that made it
	Postgres string         `json:"postgres"`
	TakenAt  time.Time      `json:"takenAt"`
	Schema   map[string]int `json:"schema"`      // version of each module's schema
	Position int64          `json:"logPosition"` // of the last event
	Roles    []string       `json:"roles"`       // that were granted something
	// MasterKey is the fingerprint of the key in the file, if there is one.
	MasterKey string `json:"masterKey,omitempty"`
	Contents
}

// Rows of all tables.
func (m Manifest) Rows() int64 { return m.rows() }

// Holds tells whether a module's schema is in the backup.
func (m Manifest) Holds(module string) bool { return m.Schema[module] > 0 }

var (
	// ErrBlind says that a role does not read every merchant's rows.
	ErrBlind = errors.New("the role cannot read past row-level security")
	// ErrNotEmpty says that a backup cannot be restored where something is.
	ErrNotEmpty = errors.New("the database is not empty")
	// ErrDiffers says that a restored database does not hold what the backup's did.
	ErrDiffers = errors.New("what was restored is not what was saved")
	// ErrOldServer says that a server is older than the one that a backup comes from.
	ErrOldServer = errors.New("the server is too old for this backup")
)

// Order says what to save and where.
type Order struct {
	DSN     string // of a role that reads past row-level security
	Program string // version of this program
	Path    string
	Force   bool // write over a file that is there
	// Key is the master key of a shop that keeps it beside its data; nil: the operator has it.
	Key *vault.Key
	// Progress hears what begins, and how many bytes have been written so far.
	Progress func(step string)
	Written  func(bytes int64)
}

// Create makes a backup of a database that others may be working on, as it is at one
// moment.
//
// Errors: ErrExists, ErrBlind.
func Create(ctx context.Context, o Order) (m Manifest, size int64, err error) {
	w, err := newWriter(o.Path, o.Force)
	if err != nil {
		return m, 0, err
	}
	defer w.abandon()
	db, err := sql.Open("postgres", o.DSN)
	if err != nil {
		return m, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return m, 0, err
	}
	defer func() { _ = tx.Rollback() }() // it has changed nothing
	m, snapshot, err := describe(ctx, tx)
	if err != nil {
		return m, 0, err
	}
	m.Program = o.Program
	o.Progress("saving the database")
	if err := w.dump(m.TakenAt, func(to io.Writer) error { return pgcluster.Dump(ctx, o.DSN, snapshot, to) }, o.Written); err != nil {
		return m, 0, fmt.Errorf("save the database: %w", err)
	}
	o.Progress("counting what was saved")
	if m.Tables, err = tables(ctx, tx); err != nil {
		return m, 0, err
	}
	if o.Key != nil {
		m.MasterKey = o.Key.ID()
	}
	size, err = w.finish(m, o.Key)
	if err != nil {
		return m, 0, fmt.Errorf("write %s: %w", o.Path, err)
	}
	return m, size, nil
}

// describe says of a moment what can be said before the dump. Sequences belong here: no
// snapshot holds them, and while they are dumped, later, they only move on.
func describe(ctx context.Context, tx *sql.Tx) (m Manifest, snapshot string, err error) {
	m = Manifest{Format: format, Schema: map[string]int{}}
	if _, err := tx.ExecContext(ctx, plainly); err != nil {
		return m, "", err
	}
	all, err := seesAll(ctx, tx)
	if err != nil {
		return m, "", err
	}
	if !all {
		return m, "", ErrBlind
	}
	if err := tx.QueryRowContext(ctx, `select pg_export_snapshot(), split_part(current_setting('server_version'), ' ', 1), now()`).
		Scan(&snapshot, &m.Postgres, &m.TakenAt); err != nil {
		return m, "", err
	}
	m.TakenAt = m.TakenAt.UTC()
	if m.Sequences, err = sequences(ctx, tx); err != nil {
		return m, "", err
	}
	if err := versions(ctx, tx, m.Schema); err != nil {
		return m, "", err
	}
	if !m.Holds("platform") {
		return m, "", errors.New("there is no shop in this database")
	}
	if err := tx.QueryRowContext(ctx, `select coalesce(max(seq), 0) from platform.event`).Scan(&m.Position); err != nil {
		return m, "", fmt.Errorf("find the end of the log: %w", err)
	}
	m.Roles, err = grantees(ctx, tx)
	return m, snapshot, err
}

// versions of all modules' schemas, whether this program has the module or not.
func versions(ctx context.Context, tx *sql.Tx, into map[string]int) error {
	all, err := names(ctx, tx, "r")
	if err != nil {
		return err
	}
	for _, table := range all {
		module, ok := strings.CutPrefix(table, "migrations.")
		if !ok {
			continue
		}
		var version int
		if err := tx.QueryRowContext(ctx, `select coalesce(max(version), 0) from `+table).Scan(&version); err != nil {
			return fmt.Errorf("version of %s: %w", module, err)
		}
		into[strings.Trim(module, `"`)] = version
	}
	return nil
}

// grantees are the roles that may do something with what they do not own.
func grantees(ctx context.Context, tx *sql.Tx) (roles []string, err error) {
	err = tx.QueryRowContext(ctx, `
		with granted as (
			select relnamespace namespace, relowner owner, (aclexplode(relacl)).grantee from pg_class
			union all select oid, nspowner, (aclexplode(nspacl)).grantee from pg_namespace
			union all select pronamespace, proowner, (aclexplode(proacl)).grantee from pg_proc
		)
		select coalesce(array_agg(distinct r.rolname::text), '{}')
		from granted g join pg_namespace n on n.oid = g.namespace join pg_roles r on r.oid = g.grantee
		where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public') and g.grantee <> g.owner`).Scan(pq.Array(&roles))
	if err != nil {
		return nil, fmt.Errorf("list who was granted something: %w", err)
	}
	return roles, nil
}

// Known refuses a backup with a schema that the program does not know: the modules are
// those it has files for.
func (m Manifest) Known(files fs.FS, modules []string) error {
	for _, module := range slices.Sorted(maps.Keys(m.Schema)) {
		s := migrate.Status{Module: module, Version: m.Schema[module]}
		if module == "platform" || slices.Contains(modules, module) {
			var err error
			if s.Latest, err = migrate.Latest(files, module); err != nil {
				return err
			}
		}
		if s.Version > s.Latest {
			return fmt.Errorf("%w: its %s is at version %d, this program knows %d; use fusion %s or a newer one",
				ErrLater, module, s.Version, s.Latest, m.Program)
		}
	}
	return nil
}

// lostFuture is more events than a shop records between two backups. What came after the
// backup is gone, but whoever read it may come back with a position in it: if new events
// got the same positions, that reader would miss them.
const lostFuture = 1_000_000

// Restore fills an empty database, or leaves it empty. dsn is of the role that will own
// everything.
//
// Errors: ErrNotEmpty, ErrOldServer, ErrDiffers.
func (f *File) Restore(ctx context.Context, dsn string, files fs.FS, progress func(step string)) (err error) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := f.fits(ctx, db); err != nil {
		return err
	}
	runner, err := migrate.Open(dsn, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	if err := runner.MakeRole(ctx); err != nil {
		return err
	}
	if err := makeRoles(ctx, db, f.Manifest.Roles); err != nil {
		return err
	}
	progress("restoring the database")
	if _, err := f.dump.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := pgcluster.Restore(ctx, dsn, f.dump); err != nil {
		return fmt.Errorf("restore the database, which is as empty as before: %w", err)
	}
	if err := runner.Prepare(ctx); err != nil {
		return err
	}
	progress("counting what was restored")
	there, err := Count(ctx, db)
	if err != nil {
		return err
	}
	if found := f.Manifest.Differences(there); len(found) > 0 {
		return fmt.Errorf("%w:\n  - %s", ErrDiffers, strings.Join(found, "\n  - "))
	}
	if _, err := db.ExecContext(ctx, `select setval('platform.event_seq', last_value + $1) from platform.event_seq`, lostFuture); err != nil {
		return fmt.Errorf("leave room in the log: %w", err)
	}
	if err := f.Manifest.rename(ctx, dsn); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `analyze`); err != nil {
		return fmt.Errorf("tell the planner what there is: %w", err)
	}
	return nil
}

// fits refuses a database that holds something, and a server that cannot take the backup.
func (f *File) fits(ctx context.Context, db *sql.DB) error {
	var major, from int
	var version string
	if err := db.QueryRowContext(ctx, `select current_setting('server_version_num')::int / 10000, split_part(current_setting('server_version'), ' ', 1)`).
		Scan(&major, &version); err != nil {
		return err
	}
	if _, err := fmt.Sscan(strings.SplitN(f.Manifest.Postgres, ".", 2)[0], &from); err == nil && from > major {
		return fmt.Errorf("%w: it comes from PostgreSQL %s and this is %s", ErrOldServer, f.Manifest.Postgres, version)
	}
	var holds []string
	if err := db.QueryRowContext(ctx, `
		select coalesce(array_agg(name order by name), '{}') from (
			select format('schema %I', n.nspname) name from pg_namespace n
			where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public')
			union all
			select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and `+ofTheShop+`
		) found`).Scan(pq.Array(&holds)); err != nil {
		return fmt.Errorf("look whether the database is empty: %w", err)
	}
	if len(holds) > 0 {
		return fmt.Errorf("%w: it holds %s", ErrNotEmpty, strings.Join(holds, ", "))
	}
	return nil
}

// makeRoles makes those that are missing. They get what they were granted, and nobody can
// log in as them: their passwords are not in a backup.
func makeRoles(ctx context.Context, db *sql.DB, roles []string) error {
	for _, role := range roles {
		var exists bool
		if err := db.QueryRowContext(ctx, `select exists (select from pg_roles where rolname = $1)`, role).Scan(&exists); err != nil {
			return fmt.Errorf("look for role %s: %w", role, err)
		}
		if exists {
			continue
		}
		if _, err := db.ExecContext(ctx, `create role `+pq.QuoteIdentifier(role)+` nologin`); err != nil {
			return fmt.Errorf("create role %s, which has rights in the backup (an administrator can do it): %w", role, err)
		}
	}
	return nil
}
