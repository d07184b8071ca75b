package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

func (p *program) secretsCommand() *cli.Command {
	settings := func() []cli.Flag { return settings("data", "database.url", "database.migrate_url", "secrets") }
	rotate := leaf("rotate", "Seal all secrets anew with the current master key", "", p.rotateSecrets, jsonFlag(), settings())
	rotate.Description = "First start every program of the shop with the new key in FUSION_SECRETS_KEY and the earlier one in\n" +
		"FUSION_SECRETS_PREVIOUS_KEYS. Afterwards the earlier one can go. It may be interrupted, and run again."
	return group("secrets", "See which master keys seal the shop's secrets, and change the key",
		leaf("status", "Show how many secrets each master key seals: exit 6 when one cannot be opened", "", p.secretsStatus, jsonFlag(), settings()),
		rotate,
	)
}

// withVault does something with the shop's secrets and the columns that hold them.
func (p *program) withVault(ctx context.Context, cmd *cli.Command, do func(ctx context.Context, pool *db.DB, v *vault.Vault) error) error {
	return p.beside(ctx, cmd, func(cfg config.Config, d *database, names []string) (err error) {
		if _, err := d.prepare(ctx, false, names); err != nil {
			return err
		}
		v, err := d.unlock(ctx, cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		// The modules know which columns are sealed.
		a, err := app.New(app.Options{Version: p.version, Log: slog.New(slog.DiscardHandler), Vault: v}, func(k app.Kit) []app.Module { return acquainted(modules(k, nil, config.Config{})) })
		if err != nil {
			return err
		}
		pool, err := d.pool(1)
		if err != nil {
			return errors.Join(err, a.Close())
		}
		return errors.Join(d.reach(do(asShop(ctx), pool, v), d.app), pool.Close(), a.Close())
	})
}

func (p *program) rotateSecrets(ctx context.Context, cmd *cli.Command) error {
	return p.withVault(ctx, cmd, func(ctx context.Context, pool *db.DB, v *vault.Vault) error {
		if err := noted(ctx, pool, audit.Entry{Action: "rotateSecrets", Entity: "master-key"}); err != nil {
			return err
		}
		renewed, err := v.Rotate(ctx, pool)
		if err != nil {
			return fmt.Errorf("%w\n%s sealed anew; the rest is as it was. Add the key that is missing to FUSION_SECRETS_PREVIOUS_KEYS, and run this again", err, count(renewed, "secret"))
		}
		return p.show(cmd, map[string]any{"renewed": renewed}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s sealed anew: all are sealed by the current master key. Earlier ones are not needed any more.\n", count(renewed, "secret"))
		})
	})
}

func (p *program) secretsStatus(ctx context.Context, cmd *cli.Command) error {
	return p.withVault(ctx, cmd, func(ctx context.Context, pool *db.DB, v *vault.Vault) error {
		uses, err := v.Status(ctx, pool)
		if err != nil {
			return err
		}
		if err := p.show(cmd, uses, func(w io.Writer) {
			var rows [][]string
			for _, u := range uses {
				rows = append(rows, []string{u.Key, keyState(u), strconv.FormatInt(u.Secrets, 10)})
			}
			table(w, "", rows, "MASTER KEY", "STATE", "SECRETS")
		}); err != nil {
			return err
		}
		return unopened(uses)
	})
}

func keyState(u vault.Use) string {
	switch {
	case u.Current:
		return "current"
	case u.Known:
		return "earlier"
	}
	return "missing"
}

// unopened tells of secrets that nobody can read.
func unopened(uses []vault.Use) error {
	for _, u := range uses {
		if !u.Known && u.Secrets > 0 {
			return explained{fmt.Sprintf("%s sealed by the master key %s, which is missing: name it in FUSION_SECRETS_PREVIOUS_KEYS", count(u.Secrets, "secret"), u.Key), errProblems, nil}
		}
	}
	return nil
}
