package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/migrations"
)

// database is where the shop's data is: the one that the configuration names, or a
// private cluster in the data folder.
type database struct {
	app   string // DSN of the application's role
	owner string // DSN of the owner, for migrations; empty when nobody told

	pooled  bool // a PgBouncer stands before app
	log     *slog.Logger
	options pgcluster.Options

	mu       sync.Mutex
	cluster  *pgcluster.Cluster // nil when the database is not ours
	attached bool               // another process runs it
	stopped  bool
}

const (
	ownerRole    = "fusion_owner"
	databaseName = "fusion"
)

func clusterDir(cfg config.Config) string { return filepath.Join(cfg.Data.Dir, "postgres") }

// openDatabase finds the database or starts it. With attach, a cluster that another
// process runs will do: for commands beside a running shop.
func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger, progress func(string), attach bool) (*database, error) {
	if !cfg.Database.URL.IsZero() {
		return &database{app: cfg.Database.URL.Reveal(), owner: cfg.Database.MigrateURL.Reveal(), pooled: cfg.Database.Pooled, log: log}, nil
	}
	options := pgcluster.Options{Dir: clusterDir(cfg), Log: log, Progress: progress}
	c, attached, err := startCluster(ctx, options, attach)
	if err != nil {
		return nil, inUse(cfg, err)
	}
	d, err := privateDatabase(ctx, c, options, log)
	if err != nil {
		return nil, errors.Join(err, c.Stop(ctx))
	}
	d.attached = attached
	return d, nil
}

// patience with a folder whose owner is starting or stopping just now.
const patience = 10 * time.Second

func startCluster(ctx context.Context, o pgcluster.Options, attach bool) (c *pgcluster.Cluster, attached bool, err error) {
	if !attach {
		c, err = pgcluster.Start(ctx, o)
		return c, false, err
	}
	deadline := time.After(patience)
	for {
		if c, err := pgcluster.Attach(o.Dir); err == nil {
			return c, true, nil
		}
		c, err := pgcluster.Start(ctx, o)
		if !errors.Is(err, pgcluster.ErrInUse) {
			return c, false, err
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-deadline:
			return nil, false, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func inUse(cfg config.Config, err error) error {
	if errors.Is(err, pgcluster.ErrInUse) {
		return fmt.Errorf("%w.\nA shop runs in %s already: stop it first, or use another folder (--data)", err, cfg.Data.Dir)
	}
	return err
}

// hasCluster tells whether there is a private cluster to attach to or to start again.
func hasCluster(cfg config.Config) bool {
	_, err := os.Stat(filepath.Join(clusterDir(cfg), "pgdata", "PG_VERSION"))
	return !errors.Is(err, fs.ErrNotExist)
}

// privateDatabase makes, in a cluster of ours, the owner and the database.
func privateDatabase(ctx context.Context, c *pgcluster.Cluster, o pgcluster.Options, log *slog.Logger) (*database, error) {
	super, err := sql.Open("postgres", c.DSN("postgres", "postgres"))
	if err != nil {
		return nil, fmt.Errorf("open private cluster: %w", err)
	}
	defer func() { _ = super.Close() }()
	for _, step := range []struct{ unless, do string }{
		{`select from pg_roles where rolname = '` + ownerRole + `'`, `create role ` + ownerRole + ` login createrole`},
		{`select from pg_database where datname = '` + databaseName + `'`, `create database ` + databaseName + ` owner ` + ownerRole},
	} {
		var exists bool
		if err := super.QueryRowContext(ctx, `select exists (`+step.unless+`)`).Scan(&exists); err != nil {
			return nil, fmt.Errorf("look into private cluster: %w", err)
		}
		if !exists {
			if _, err := super.ExecContext(ctx, step.do); err != nil && !isThere(err) {
				return nil, fmt.Errorf("prepare private cluster: %w", err)
			}
		}
	}
	return &database{
		app: c.DSN(migrate.AppRole, databaseName), owner: c.DSN(ownerRole, databaseName), log: log, options: o, cluster: c,
	}, nil
}

// isThere tells that somebody was faster: a program that was killed here left its
// statement behind, and the cluster has just finished it.
func isThere(err error) bool {
	const uniqueViolation, duplicateObject, duplicateDatabase = "23505", "42710", "42P04"
	pe, ok := errors.AsType[*pq.Error](err)
	return ok && (pe.Code == uniqueViolation || pe.Code == duplicateObject || pe.Code == duplicateDatabase)
}

// keep restarts the private cluster when it ends before the program does: after an
// out-of-memory kill, or somebody's pg_ctl stop.
func (d *database) keep(ctx context.Context) {
	for d.cluster != nil {
		select {
		case <-ctx.Done():
			return
		case <-d.cluster.Done():
		}
		if ctx.Err() != nil {
			return
		}
		d.log.WarnContext(ctx, "private PostgreSQL ended; starting it again")
		if err := d.restart(ctx); err != nil {
			d.log.ErrorContext(ctx, "private PostgreSQL does not start", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}
}

func (d *database) restart(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil
	}
	if err := d.cluster.Stop(ctx); err != nil { // gives the folder free
		return err
	}
	c, err := pgcluster.Start(ctx, d.options)
	if err != nil {
		return err
	}
	d.cluster = c
	return nil
}

// close stops the private cluster, if there is one and it is ours.
func (d *database) close(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return d.cluster.Stop(ctx)
}

// prepare brings the schema up to date where it may, and refuses to go on with a
// schema that this program does not know or a role that row-level security does not bind.
func (d *database) prepare(ctx context.Context, autoMigrate bool, names []string) (applied int, err error) {
	switch {
	case d.owner == "":
	case autoMigrate:
		if applied, err = d.migrate(ctx, names); err != nil {
			return applied, err
		}
	default:
		// Asked as the owner, because before the first migration there is no other role.
		if err := d.current(ctx, d.owner, names); err != nil {
			return applied, err
		}
	}
	if err := d.checkRole(ctx, names); err != nil {
		return applied, err
	}
	err = d.current(ctx, d.app, names)
	if errors.Is(err, migrate.ErrBehind) && d.owner == "" {
		err = fmt.Errorf("%w\nor set FUSION_DATABASE_MIGRATE_URL to the owner's URL, and it happens at start", err)
	}
	return applied, err
}

// answerTimeout is how long a database may take to say anything at all: without it a
// host that swallows packets holds the start up for minutes.
const answerTimeout = 10 * time.Second

// status of the schema, asked with the given DSN.
func (d *database) status(ctx context.Context, dsn string, names []string) (all []migrate.Status, err error) {
	err = d.ask(ctx, dsn, func(ctx context.Context, pool *sql.DB) error {
		all, err = migrate.Check(ctx, pool, migrations.FS, names...)
		return err
	})
	return all, err
}

// current refuses a schema that is not the one this program knows.
func (d *database) current(ctx context.Context, dsn string, names []string) error {
	all, err := d.status(ctx, dsn, names)
	if err != nil {
		return err
	}
	return notCurrent(all)
}

func notCurrent(all []migrate.Status) error {
	for _, s := range all {
		if err := s.Err(); err != nil {
			return err
		}
	}
	return nil
}

// ask runs a few short queries.
func (d *database) ask(ctx context.Context, given string, do func(context.Context, *sql.DB) error) error {
	dsn, err := db.WithParameters(given)
	if err != nil {
		return d.unusable(err, given)
	}
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		return d.unusable(err, given)
	}
	pool := sql.OpenDB(connector)
	defer func() { _ = pool.Close() }()
	inTime, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return d.reach(do(inTime, pool), given)
}

// pool works on the database as the program does.
func (d *database) pool(connections int) (*db.DB, error) {
	return db.Open(db.Options{DSN: d.app, Connections: connections, Pooled: d.pooled})
}

func (d *database) migrate(ctx context.Context, names []string) (int, error) {
	// First a question that is answered soon or never; migrations may take their time. When
	// there is nothing to do, as on most starts, their locks and tables are left alone.
	if current, err := d.migrated(ctx, names); err != nil || current {
		return 0, err
	}
	runner, err := migrate.Open(d.owner, migrations.FS, names...)
	if err != nil {
		return 0, err
	}
	applied, err := runner.Up(ctx)
	return applied, errors.Join(d.mayMigrate(d.reach(err, d.owner)), runner.Close())
}

// migrated tells whether the schema is current, and the role that works on it is there: a
// backup that is restored into another server brings the one without the other.
func (d *database) migrated(ctx context.Context, names []string) (yes bool, err error) {
	err = d.ask(ctx, d.owner, func(ctx context.Context, pool *sql.DB) error {
		all, err := migrate.Check(ctx, pool, migrations.FS, names...)
		if err != nil || notCurrent(all) != nil {
			return err
		}
		return pool.QueryRowContext(ctx, `select exists (select from pg_roles where rolname = $1)`, migrate.AppRole).Scan(&yes)
	})
	return yes, err
}

// mayMigrate explains a refusal that is about who migrates.
func (d *database) mayMigrate(err error) error {
	if pe, ok := errors.AsType[*pq.Error](err); ok && pe.Code == "42501" {
		return fmt.Errorf("%w\nMigrations need the owner of the database: put its URL into FUSION_DATABASE_MIGRATE_URL", err)
	}
	return err
}

var (
	errRole    = errors.New("the database role could read every tenant's rows")
	errUnbound = errors.New("the database role has no limits")
)

// checkRole refuses a role that row-level security does not bind: with it, one forgotten
// condition would show one merchant's data to another.
func (d *database) checkRole(ctx context.Context, names []string) error {
	var (
		role                 string
		super, bypass, owner bool
		unbound              bool
	)
	if err := d.ask(ctx, d.app, func(ctx context.Context, pool *sql.DB) error {
		return pool.QueryRowContext(ctx, `
			select current_user, r.rolsuper, r.rolbypassrls, exists (
				select from pg_class c join pg_namespace n on n.oid = c.relnamespace
				where n.nspname = any($1) and c.relkind in ('r', 'p') and pg_has_role(current_user, c.relowner, 'member')),
				'0' = any(array[current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')])
			from pg_roles r where r.rolname = current_user`, pq.Array(append([]string{"platform"}, names...))).Scan(&role, &super, &bypass, &owner, &unbound)
	}); err != nil {
		return err
	}
	var why string
	switch {
	case super:
		why = "is a superuser"
	case bypass:
		why = "has BYPASSRLS"
	case owner:
		why = "owns the tables"
	case unbound:
		return fmt.Errorf("%w: %s may hold locks for as long as it likes.\nAn administrator can mend it:\n  %s", errUnbound, role, strings.Join(migrate.RoleBounds(), ";\n  "))
	default:
		return nil
	}
	return fmt.Errorf("%w: %s %s.\nConnect as %s, which `fusion migrate up` makes (give it a password: alter role %s password '…'),\nand put the URL of %s into FUSION_DATABASE_MIGRATE_URL",
		errRole, role, why, migrate.AppRole, migrate.AppRole, role)
}
