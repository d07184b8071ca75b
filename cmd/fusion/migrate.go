package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/migrations"
)

func (p *program) migrateCommand() *cli.Command {
	settings := func() []cli.Flag { return settings("data", "database.url", "database.migrate_url", "modules") }
	down := leaf("down", "Take back the last migration of one module", "MODULE", p.migrateDown, yesFlag("Do it: what the migration made is dropped, with its rows"), jsonFlag(), settings())
	down.Description = "Without --yes it says what it would do. The shop must not be running."
	return group("migrate", "Bring the schema up to date, take a step back, or look at it",
		leaf("up", "Apply the migrations that are missing", "", p.migrateUp, jsonFlag(), settings()),
		down,
		leaf("status", "Show each module's schema; exit 5 when one is not current", "", p.migrateStatus, jsonFlag(), settings()),
	)
}

// migrating opens the database as its owner, alone: a private cluster that a shop runs
// is not migrated under it.
func (p *program) migrating(ctx context.Context, cmd *cli.Command, do func(d *database, modules []string) error) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	cfg := loaded.Config
	names, err := chosen(cfg.Modules)
	if err != nil {
		return err
	}
	d, err := openDatabase(ctx, cfg, p.quietLogger(cfg.Log), p.waiting, false)
	if err != nil {
		return err
	}
	if d.owner == "" {
		d.owner, d.app = d.app, "" // the one URL there is must be the owner's
	}
	return errors.Join(do(d, names), d.close(ctx))
}

func (p *program) migrateUp(ctx context.Context, cmd *cli.Command) error {
	return p.migrating(ctx, cmd, func(d *database, names []string) error {
		applied, err := d.migrate(ctx, names)
		if err != nil {
			return err
		}
		all, err := d.status(ctx, d.owner, names)
		if err != nil {
			return err
		}
		return p.show(cmd, map[string]any{"applied": applied, "modules": all}, func(w io.Writer) {
			if applied == 0 {
				_, _ = fmt.Fprintln(w, "Nothing to apply: the schema is current.")
				return
			}
			_, _ = fmt.Fprintf(w, "Applied %s.\n", count(int64(applied), "migration"))
		})
	})
}

func (p *program) migrateDown(ctx context.Context, cmd *cli.Command) error {
	module := cmd.Args().First()
	if module != "platform" {
		if err := exist([]string{module}); err != nil {
			return usageError(err.Error() + ", platform")
		}
	}
	return p.migrating(ctx, cmd, func(d *database, _ []string) error {
		all, err := d.status(ctx, d.owner, moduleNames())
		if err != nil {
			return err
		}
		file, version, err := stepDown(all, module)
		if err != nil {
			return err
		}
		p.say("Migrating %s from version %d to %d with %s: what version %d made is dropped.", module, version, version-1, file, version)
		if !cmd.Bool("yes") {
			return usageError("nothing was changed: add --yes to do it")
		}
		runner, err := migrate.Open(d.owner, migrations.FS, moduleNames()...)
		if err != nil {
			return err
		}
		if err := runner.Down(ctx, module); err != nil {
			return errors.Join(d.mayMigrate(d.reach(err, d.owner)), runner.Close())
		}
		return errors.Join(p.show(cmd, map[string]any{"module": module, "version": version - 1}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s is at version %d.\n", module, version-1)
		}), runner.Close())
	})
}

// stepDown finds the file that takes the last migration of a module back.
func stepDown(all []migrate.Status, module string) (file string, version int, err error) {
	var still []string
	for _, s := range all {
		if s.Module != module {
			if s.Version > 0 {
				still = append(still, s.Module)
			}
			continue
		}
		// Only the program that knows a migration knows the way back.
		if err := s.Err(); err != nil && !errors.Is(err, migrate.ErrBehind) {
			return "", 0, err
		}
		version = s.Version
	}
	if version == 0 {
		return "", 0, fmt.Errorf("%s has no migration to take back", module)
	}
	if module == "platform" && version == 1 && len(still) > 0 {
		return "", 0, fmt.Errorf("every module stands on platform: take %s down first", strings.Join(still, ", "))
	}
	files, err := fs.Glob(migrations.FS, path.Join(module, "*.down.sql"))
	if err != nil {
		return "", 0, err
	}
	at := slices.IndexFunc(files, func(f string) bool {
		number, _, _ := strings.Cut(path.Base(f), "_")
		n, err := strconv.Atoi(number)
		return err == nil && n == version
	})
	if at < 0 {
		return "", 0, fmt.Errorf("version %d of %s has no way back", version, module)
	}
	return files[at], version, nil
}

func (p *program) migrateStatus(ctx context.Context, cmd *cli.Command) error {
	return p.beside(ctx, cmd, func(_ config.Config, d *database, names []string) error {
		dsn := d.owner
		if dsn == "" {
			dsn = d.app
		}
		all, err := d.status(ctx, dsn, names)
		if err != nil {
			return err
		}
		if err := p.show(cmd, all, func(w io.Writer) {
			var rows [][]string
			for _, s := range all {
				rows = append(rows, []string{s.Module, strconv.Itoa(s.Version), strconv.Itoa(s.Latest), schemaState(s)})
			}
			table(w, "", rows, "MODULE", "VERSION", "LATEST", "STATE")
		}); err != nil {
			return err
		}
		return notCurrent(all)
	})
}

func schemaState(s migrate.Status) string {
	switch err := s.Err(); {
	case errors.Is(err, migrate.ErrDirty):
		return "failed half-way"
	case errors.Is(err, migrate.ErrNewer):
		return "newer than this program"
	case errors.Is(err, migrate.ErrBehind):
		return "behind"
	}
	return "current"
}
