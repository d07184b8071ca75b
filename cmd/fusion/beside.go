package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// beside opens the shop's database for a command that runs beside the shop: a private
// cluster that the shop runs is joined, one that nobody runs is started for the moment.
func (p *program) beside(ctx context.Context, cmd *cli.Command, do func(cfg config.Config, d *database, modules []string) error) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	cfg := loaded.Config
	names, err := chosen(cfg.Modules)
	if err != nil {
		return err
	}
	// A command that only looks must not leave an empty shop where none was.
	if cfg.Database.URL.IsZero() && !hasCluster(cfg) {
		return fmt.Errorf("%w: there is no shop in %s yet.\n`fusion dev` and `fusion serve` make one; --data names another folder, --database-url a PostgreSQL of yours",
			errUnreachable, cfg.Data.Dir)
	}
	d, err := openDatabase(ctx, cfg, p.quietLogger(cfg.Log), p.waiting, true)
	if err != nil {
		return err
	}
	return errors.Join(do(cfg, d, names), d.close(ctx))
}

// waiting tells of the steps that take longer than one expects.
func (p *program) waiting(step string) {
	if step != "starting" {
		p.say("%s PostgreSQL …", step)
	}
}

// asOwner is beside for commands that do the platform's work for the default merchant.
func (p *program) asOwner(ctx context.Context, cmd *cli.Command, do func(context.Context, *db.DB) error) error {
	return p.beside(ctx, cmd, func(_ config.Config, d *database, names []string) (err error) {
		if _, err := d.prepare(ctx, false, names); err != nil {
			return err
		}
		pool, err := d.pool(2)
		if err != nil {
			return err
		}
		acting, err := shopOf(asShop(ctx), cmd, pool)
		if err == nil {
			err = do(acting, pool)
		}
		return errors.Join(d.reach(err, d.app), pool.Close())
	})
}

// asShop acts for the one merchant of a single-shop installation.
func asShop(ctx context.Context) context.Context { return asTenant(ctx, identity.DefaultTenant) }

func asTenant(ctx context.Context, tenant uuid.UUID) context.Context {
	return identity.With(ctx, identity.Identity{
		Tenant: tenant, Actor: "system:cli:" + operator(), Permissions: []string{identity.Everything},
	})
}

// operator is who runs the program, as the machine knows them: of who has become root, the
// name from before.
func operator() string {
	who := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		who = u.Username
	}
	if before := os.Getenv("SUDO_USER"); before != "" && os.Getuid() == 0 {
		who = before
	}
	return who
}

// noted leaves an entry in the audit log of what a command is about to do in transactions of
// its own. It comes first, so that nobody can do it and be gone before it is written down.
func noted(ctx context.Context, pool *db.DB, e audit.Entry) error {
	return pool.InTx(ctx, func(tx *db.Tx) error { return audit.Record(ctx, tx, e) })
}
