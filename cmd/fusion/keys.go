package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

func (p *program) keysCommand() *cli.Command {
	create := leaf("create", "Make a key and print it, this once", "", p.createKey, []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "What the key is for: `TEXT` that you will recognise"},
		&cli.StringFlag{Name: "permissions", Usage: "`LIST` of what the key may do, such as orders:read,products:write"},
		&cli.BoolFlag{Name: "owner", Usage: "The key may do everything"},
	}, jsonFlag(), databaseSettings())
	create.Description = "stdout is the key and nothing else, so that KEY=$(fusion keys create …) holds it."
	return group("keys", "Make, list and revoke API keys",
		create,
		leaf("list", "List the keys; none can be read back", "", p.listKeys, jsonFlag(), databaseSettings()),
		leaf("revoke", "End a key", "KEY-ID", p.revokeKey, jsonFlag(), databaseSettings()),
	)
}

func (p *program) createKey(ctx context.Context, cmd *cli.Command) error {
	name := strings.TrimSpace(cmd.String("name"))
	if name == "" {
		return usageError("fusion keys create needs --name, so that you know the key in a list")
	}
	permissions, err := p.permissions(cmd)
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		key, secret, err := apikey.Create(ctx, pool, name, permissions)
		if err != nil {
			return err
		}
		p.say("Made the key %q (%s). It is not shown again.", key.Name, key.ID)
		return p.show(cmd, struct {
			apikey.Key
			Secret string `json:"key"`
		}{key, secret}, func(w io.Writer) { _, _ = fmt.Fprintln(w, secret) })
	})
}

// permissions of the new key. Those that no route asks for are refused: a key with a
// misspelt one would look right and open nothing.
func (p *program) permissions(cmd *cli.Command) ([]string, error) {
	list, owner := cmd.String("permissions"), cmd.Bool("owner")
	switch {
	case owner && list != "":
		return nil, usageError("--owner allows everything: leave --permissions out")
	case owner:
		return []string{identity.Everything}, nil
	}
	known, err := p.knownPermissions()
	if err != nil {
		return nil, err
	}
	var wanted []string
	for permission := range strings.SplitSeq(list, ",") {
		if permission = strings.TrimSpace(permission); permission == "" || slices.Contains(wanted, permission) {
			continue
		}
		if !slices.Contains(known, permission) {
			return nil, usageError(fmt.Sprintf("there is no permission %q; there are %s", permission, strings.Join(known, ", ")))
		}
		wanted = append(wanted, permission)
	}
	if len(wanted) == 0 {
		return nil, usageError(fmt.Sprintf("fusion keys create needs --owner, or --permissions with some of %s", strings.Join(known, ", ")))
	}
	return wanted, nil
}

func (p *program) knownPermissions() ([]string, error) {
	a, err := p.blueprint()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(a.API().Permissions())), a.Close()
}

func (p *program) listKeys(ctx context.Context, cmd *cli.Command) error {
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		keys, err := apikey.List(ctx, pool)
		if err != nil {
			return err
		}
		return p.show(cmd, keys, func(w io.Writer) {
			var rows [][]string
			for _, k := range keys {
				revoked := ""
				if k.RevokedAt != nil {
					revoked = when(*k.RevokedAt)
				}
				rows = append(rows, []string{k.ID.String(), k.Name, k.Prefix + "…", strings.Join(k.Permissions, ","), when(k.CreatedAt), revoked})
			}
			table(w, "There are no keys. Make one: fusion keys create --name NAME --owner", rows, "ID", "NAME", "KEY", "PERMISSIONS", "CREATED", "REVOKED")
		})
	})
}

func (p *program) revokeKey(ctx context.Context, cmd *cli.Command) error {
	id, err := uuid.Parse(cmd.Args().First())
	if err != nil {
		return usageError(fmt.Sprintf("%q is not the id of a key: fusion keys list shows them", cmd.Args().First()))
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		if err := apikey.Revoke(ctx, pool, id); err != nil {
			return err
		}
		return p.show(cmd, map[string]any{"id": id, "revoked": true}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Revoked %s. Running programs refuse it within 2 seconds.\n", id)
		})
	})
}
