package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
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

	log     *slog.Logger
	options pgcluster.Options

	mu      sync.Mutex
	cluster *pgcluster.Cluster // nil when the database is not ours
	stopped bool
}

const (
	ownerRole    = "fusion_owner"
	databaseName = "fusion"
)

// openDatabase finds the database or starts it. With attach, a cluster that another
// process runs will do: for commands beside a running shop.
func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger, progress func(string), attach bool) (*database, error) {
	if !cfg.Database.URL.IsZero() {
		return &database{app: cfg.Database.URL.Reveal(), owner: cfg.Database.MigrateURL.Reveal(), log: log}, nil
	}
	dir := filepath.Join(cfg.Data.Dir, "postgres")
	if attach {
		if c, err := pgcluster.Attach(dir); err == nil {
			return privateDatabase(ctx, c, pgcluster.Options{}, log)
		}
	}
	options := pgcluster.Options{Dir: dir, Log: log, Progress: progress}
	c, err := pgcluster.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	d, err := privateDatabase(ctx, c, options, log)
	if err != nil {
		return nil, errors.Join(err, c.Stop(ctx))
	}
	return d, nil
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
			if _, err := super.ExecContext(ctx, step.do); err != nil {
				return nil, fmt.Errorf("prepare private cluster: %w", err)
			}
		}
	}
	return &database{
		app: c.DSN(migrate.AppRole, databaseName), owner: c.DSN(ownerRole, databaseName), log: log, options: o, cluster: c,
	}, nil
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
	if autoMigrate && d.owner != "" {
		if applied, err = d.migrate(ctx, names); err != nil {
			return applied, err
		}
	}
	pool, err := sql.Open("postgres", d.app)
	if err != nil {
		return applied, fmt.Errorf("open database: %w", err)
	}
	defer func() { _ = pool.Close() }()
	if err := checkRole(ctx, pool, names); err != nil {
		return applied, err
	}
	all, err := migrate.Check(ctx, pool, migrations.FS, names...)
	if err != nil {
		return applied, reach(err)
	}
	for _, s := range all {
		if err := s.Err(); err != nil {
			if errors.Is(err, migrate.ErrBehind) && d.owner == "" {
				err = fmt.Errorf("%w\nor set FUSION_DATABASE_MIGRATE_URL to the owner's URL, and it happens at start", err)
			}
			return applied, err
		}
	}
	return applied, nil
}

func (d *database) migrate(ctx context.Context, names []string) (int, error) {
	runner, err := migrate.Open(d.owner, migrations.FS, names...)
	if err != nil {
		return 0, err
	}
	applied, err := runner.Up(ctx)
	return applied, errors.Join(reach(err), runner.Close())
}

var (
	errRole        = errors.New("the database role could read every tenant's rows")
	errUnreachable = errors.New("the database cannot be reached")
)

// checkRole refuses a role that row-level security does not bind: with it, one forgotten
// condition would show one merchant's data to another.
func checkRole(ctx context.Context, pool *sql.DB, names []string) error {
	var (
		role                 string
		super, bypass, owner bool
	)
	err := pool.QueryRowContext(ctx, `
		select current_user, r.rolsuper, r.rolbypassrls, exists (
			select from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname = any($1) and c.relkind in ('r', 'p') and pg_has_role(current_user, c.relowner, 'member'))
		from pg_roles r where r.rolname = current_user`, pq.Array(append([]string{"platform"}, names...))).Scan(&role, &super, &bypass, &owner)
	if err != nil {
		return reach(fmt.Errorf("check database role: %w", err))
	}
	why := ""
	switch {
	case super:
		why = "is a superuser"
	case bypass:
		why = "has BYPASSRLS"
	case owner:
		why = "owns the tables"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s %s.\nConnect as %s, which `fusion migrate up` makes (give it a password: alter role %s password '…'),\nand put the URL of %s into FUSION_DATABASE_MIGRATE_URL",
		errRole, role, why, migrate.AppRole, migrate.AppRole, role)
}

// reach says of an error what an operator has to look at.
func reach(err error) error {
	if err == nil {
		return nil
	}
	pe, ok := errors.AsType[*pq.Error](err)
	switch {
	case db.IsOutage(err), strings.Contains(err.Error(), "no such host"):
		return fmt.Errorf("%w: %w\nIs it running, and is FUSION_DATABASE_URL right?", errUnreachable, err)
	case ok && (pe.Code == "28P01" || pe.Code == "28000"):
		return fmt.Errorf("%w: %w\nThe role or its password in FUSION_DATABASE_URL is wrong", errUnreachable, err)
	case ok && pe.Code == "3D000":
		return fmt.Errorf("%w: %w\nThe database named in FUSION_DATABASE_URL does not exist: create it first", errUnreachable, err)
	}
	return err
}
