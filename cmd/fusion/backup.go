package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/cmd/fusion/backup"
	"github.com/fusioncommerce/fusion/cmd/fusion/invariant"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
	"github.com/fusioncommerce/fusion/migrations"
)

func (p *program) backupCommand() *cli.Command {
	create := leaf("create", "Save the shop, which may be running, to one file", "", p.createBackup, []cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "`FILE` to write", DefaultText: "fusion-<time>.tar in this folder"},
		&cli.BoolFlag{Name: "force", Usage: "Write over a file that is there"},
	}, jsonFlag(), databaseSettings())
	create.Description = "The file holds customers' data and keys' hashes: keep it where only you can read it.\n" +
		"With a database of yours, name a role that reads past row-level security in --database-migrate-url."
	verify := leaf("verify", "Restore a backup into a throw-away PostgreSQL and look at every row: exit 6 when something is wrong", "FILE", p.verifyBackup, jsonFlag())
	verify.Description = "It touches no shop. The copy goes to the folder for temporary files (TMPDIR) and away again."
	restore := leaf("restore", "Make the shop of a backup again, in a new data folder or an empty database", "FILE", p.restoreBackup, []cli.Flag{
		&cli.StringFlag{Name: "erasures", Usage: "`FILE` of whose personal data was erased since, the erasures.log of the lost shop: the first start erases it again"},
	}, jsonFlag(), databaseSettings())
	restore.Description = "What is there is never overwritten. With a database of yours, --database-migrate-url names its owner-to-be."
	return group("backup", "Save the shop to a file, try the file out, or make a shop from it", create, verify, restore)
}

func (p *program) createBackup(ctx context.Context, cmd *cli.Command) error {
	path := cmp.Or(cmd.String("to"), "fusion-"+time.Now().UTC().Format("20060102T150405Z")+".tar")
	return p.beside(ctx, cmd, func(cfg config.Config, d *database, _ []string) error {
		dsn := cmp.Or(d.owner, d.app)
		var keys masterKeys
		if d.cluster != nil {
			dsn = d.cluster.DSN("postgres", databaseName)
			var err error
			if keys, err = readMasterKeys(cfg); err != nil {
				return err
			}
		}
		if err := d.ask(ctx, dsn, func(ctx context.Context, pool *sql.DB) error { return pool.PingContext(ctx) }); err != nil {
			return err
		}
		m, size, err := backup.Create(ctx, backup.Order{
			DSN: dsn, Program: p.version, Path: path, Force: cmd.Bool("force"), Key: keys.made, Progress: p.step, Written: p.everySoOften(),
		})
		switch {
		case errors.Is(err, backup.ErrExists):
			return fmt.Errorf("%w.\nChoose another name (--to), or write over it (--force)", err)
		case errors.Is(err, backup.ErrBlind):
			return fmt.Errorf("%w, so it would save a part only.\n"+
				"An administrator can make one that can: create role fusion_backup login bypassrls password '…' in role pg_read_all_data\n"+
				"Then put its URL into FUSION_DATABASE_MIGRATE_URL, for this command", err)
		case err != nil:
			return d.reach(err, dsn)
		}
		return p.show(cmd, map[string]any{"file": path, "bytes": size, "manifest": m}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Wrote %s: %s, %s in %s, the log up to event %d.\n", shown(path), megabytes(size),
				count(m.Rows(), "row"), count(int64(len(m.Tables)), "table"), m.Position)
		})
	})
}

// step tells what begins.
func (p *program) step(what string) { p.say("%s …", what) }

// everySoOften tells how much has been written, to those who wait for long.
func (p *program) everySoOften() func(written int64) {
	const pause = 5 * time.Second
	said := time.Now()
	return func(written int64) {
		if time.Since(said) > pause {
			said = time.Now()
			p.say("  %s so far", megabytes(written))
		}
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func (p *program) verifyBackup(ctx context.Context, cmd *cli.Command) error {
	path, c := cmd.Args().First(), &checkup{}
	if err := p.tryBackup(ctx, c, path); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	problems := c.problems()
	if err := p.show(cmd, map[string]any{"ok": problems == 0, "file": path, "findings": c.findings}, c.print); err != nil {
		return err
	}
	if problems > 0 {
		return explained{fmt.Sprintf("%s cannot be relied on: make another backup, and look why", shown(path)), errProblems, nil}
	}
	return nil
}

// tryBackup makes a shop of a backup, looks at it and throws it away.
func (p *program) tryBackup(ctx context.Context, c *checkup, path string) (err error) {
	f, err := backup.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil {
		c.failed("file", err, "")
		c.skip("the file must be whole first", "schema", "restore", "role", "rules")
		return nil
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m := f.Manifest
	c.ok("file", "%s, of %s by fusion %s: every byte is as it was written", megabytes(f.Size), when(m.TakenAt), m.Program)
	if err := m.Known(migrations.FS, moduleNames()); err != nil {
		c.failed("schema", err, "")
		c.skip("the schema must be known first", "restore", "role", "rules")
		return nil
	}
	c.ok("schema", "this program knows it: %s", versionsOf(m))

	dir, err := os.MkdirTemp("", "fusion-verify-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// PostgreSQL does not run as root: then it has another account, which must get there.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the cluster in it is closed to others
		return err
	}
	o := pgcluster.Options{Dir: filepath.Join(dir, "postgres"), Throwaway: true}
	cluster, err := pgcluster.Start(ctx, o)
	if err != nil {
		return err
	}
	d, err := privateDatabase(ctx, cluster, o, p.quietLogger(config.Log{}))
	if err != nil {
		return errors.Join(err, cluster.Stop(ctx))
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	return p.examineRestored(ctx, c, f, d)
}

func (p *program) examineRestored(ctx context.Context, c *checkup, f *backup.File, d *database) error {
	m := f.Manifest
	if err := f.Restore(ctx, d.owner, migrations.FS, p.step); err != nil {
		said := strings.Split(sentence(err), "\n  - ")
		c.note("restore", problem, strings.TrimSuffix(said[0], ":"), "")
		for _, difference := range said[1:] {
			c.note("contents", problem, difference, "")
		}
		c.skip("the backup must be restored first", "role", "rules")
		return nil
	}
	c.ok("restore", "PostgreSQL %s has all %s in %s again, each as it was", d.cluster.Version(), count(m.Rows(), "row"), count(int64(len(m.Tables)), "table"))
	modules := slices.DeleteFunc(moduleNames(), func(n string) bool { return !m.Holds(n) })
	// What is true of every shop is said in the words of this program's schema.
	applied, err := d.migrate(ctx, modules)
	if err != nil {
		c.failed("migrate", err, "")
		c.skip("the schema must be current first", "role", "rules")
		return nil
	}
	if applied > 0 {
		c.ok("migrate", "%s made its schema this program's", count(int64(applied), "migration"))
	}
	if err := d.checkRole(ctx, modules); err != nil {
		c.failed("role", err, "")
	} else {
		c.ok("role", "row-level security binds the program's")
	}
	p.step("checking what is true of every shop")
	all := invariant.Within(modules)
	super, err := sql.Open("postgres", d.cluster.DSN("postgres", databaseName))
	if err != nil {
		return err
	}
	found, err := invariant.Check(ctx, super, all)
	if err := errors.Join(err, super.Close()); err != nil {
		return err
	}
	for _, line := range found {
		c.note("rules", problem, line, "")
	}
	if len(found) == 0 {
		c.ok("rules", "all %d that hold in every shop hold in this one", len(all))
	}
	return nil
}

func versionsOf(m backup.Manifest) string {
	var parts []string
	for _, module := range slices.Sorted(maps.Keys(m.Schema)) {
		parts = append(parts, fmt.Sprintf("%s %d", module, m.Schema[module]))
	}
	return strings.Join(parts, ", ")
}

func (p *program) restoreBackup(ctx context.Context, cmd *cli.Command) (err error) {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	cfg, path := loaded.Config, cmd.Args().First()
	p.step("reading " + shown(path))
	f, err := backup.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Manifest.Known(migrations.FS, moduleNames()); err != nil {
		return fmt.Errorf("%s %w", shown(path), err)
	}
	d, err := openDatabase(ctx, cfg, p.quietLogger(cfg.Log), p.waiting, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	dsn := cmp.Or(d.owner, d.app)
	if err := d.ask(ctx, dsn, func(ctx context.Context, pool *sql.DB) error { return pool.PingContext(ctx) }); err != nil {
		return err
	}
	if err := f.Restore(ctx, dsn, migrations.FS, p.step); errors.Is(err, backup.ErrNotEmpty) {
		return fmt.Errorf("%w.\nA backup becomes a new shop and never overwrites one: %s", err, anotherPlace(d))
	} else if err != nil {
		return d.mayMigrate(d.reach(err, dsn))
	}
	if f.Key != nil {
		if err := putBack(keyFile(cfg), *f.Key); err != nil {
			return err
		}
	}
	erasures, err := handOver(cmd.String("erasures"), erasureFile(cfg))
	if err != nil {
		return err
	}
	start := "fusion serve --data " + shellQuoted(cfg.Data.Dir)
	if d.cluster == nil {
		start = "fusion serve, with FUSION_DATABASE_URL naming the role " + migrate.AppRole + " (give it a password: alter role " + migrate.AppRole + " password '…')"
	}
	return p.show(cmd, map[string]any{"file": path, "manifest": f.Manifest, "erasures": erasures}, func(w io.Writer) {
		if erasures > 0 {
			_, _ = fmt.Fprintf(w, "%s noted: its first start repeats those that the backup does not know of.\n", count(int64(erasures), "erasure"))
		}
		_, _ = fmt.Fprintf(w, "Restored the shop as it was at %s: %s in %s. Start it: %s\n", when(f.Manifest.TakenAt),
			count(f.Manifest.Rows(), "row"), count(int64(len(f.Manifest.Tables)), "table"), start)
	})
}

// putBack keeps the master key of a backup where the shop looks for it.
func putBack(path string, key vault.Key) error {
	there, ok, err := vault.ReadKey(path)
	switch {
	case err != nil:
		return err
	case ok && there.ID() == key.ID():
		return nil
	case ok:
		return fmt.Errorf("%w: %s holds another one than the backup's. Move it away, and restore again", errMasterKey, shown(path))
	}
	return vault.WriteKey(path, key)
}

// handOver adds the erasures of a file to those of the data folder, for the first start to
// repeat, and says how many there are.
func handOver(from, to string) (n int, err error) {
	if from != "" {
		if _, err := os.Stat(from); err != nil {
			return 0, fmt.Errorf("read the erasures: %w", err)
		}
		list, err := erasure.Read(from)
		if err != nil {
			return 0, err
		}
		if err := erasure.Append(to, list...); err != nil {
			return 0, err
		}
	}
	list, err := erasure.Read(to)
	return len(list), err
}

// anotherPlace says where a backup can be restored instead.
func anotherPlace(d *database) string {
	if d.cluster != nil {
		return "name a folder that is not there yet (--data), or move " + shown(filepath.Dir(d.options.Dir)) + " away"
	}
	return "make an empty database (create database …) and name that one"
}
