package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/password"
	"github.com/fusioncommerce/fusion/internal/platform/token"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

func (p *program) authCommand() *cli.Command {
	rotate := leaf("rotate-key", "Let the key that signs access tokens be followed by a new one", "", p.rotateSigningKey, []cli.Flag{
		&cli.BoolFlag{Name: "drop", Usage: "The present keys are in wrong hands: nothing that they have signed is good any more"},
	}, jsonFlag(), settings("data", "database.url", "database.migrate_url", "secrets", "auth"))
	rotate.Description = "The new key is published now and signs a few minutes later, when nobody keeps a key set without it.\n" +
		"What the old one has signed stays good until its time is up. With --drop the new key signs at once and\n" +
		"all others are forgotten: who has signed in needs a new access token, which a refresh token gets."
	return group("auth", "Look after the keys that sign access tokens", rotate)
}

func (p *program) rotateSigningKey(ctx context.Context, cmd *cli.Command) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	return p.withVault(ctx, cmd, func(ctx context.Context, pool *db.DB, v *vault.Vault) error {
		o := tokenOptions(loaded.Config.Auth)
		o.DB, o.Vault = pool, v
		drop := cmd.Bool("drop")
		if err := noted(ctx, pool, audit.Entry{Action: "rotateSigningKey", Entity: "signing-key", After: map[string]bool{"drop": drop}}); err != nil {
			return err
		}
		kid, from, err := follow(ctx, token.New(o), drop)
		if err != nil {
			return err
		}
		return p.show(cmd, map[string]any{"kid": kid, "signsFrom": from}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Made the key %s. It signs from %s on.\n", kid, when(from))
		})
	})
}

func follow(ctx context.Context, tokens *token.Tokens, drop bool) (kid string, from time.Time, err error) {
	if drop {
		return tokens.Replace(ctx)
	}
	return tokens.Rotate(ctx)
}

func passwordSettings(a config.Auth) password.Settings {
	return password.Settings{Passes: uint32(a.PasswordPasses), MemoryKiB: uint32(a.PasswordMemory), Threads: 1} //nolint:gosec // bounded by the configuration
}

func tokenOptions(a config.Auth) token.Options {
	return token.Options{Issuer: a.Issuer, Algorithm: a.Algorithm, TTL: a.AccessTTL, Rotation: a.KeyRotation}
}
