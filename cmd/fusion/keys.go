package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

func (p *program) keysCommand() *cli.Command {
	create := leaf("create", "Make a key and print it, this once", "", p.createKey, []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "What the key is for: `TEXT` that you will recognise"},
		&cli.StringFlag{Name: "permissions", Usage: "`LIST` of what the key may do, such as orders:read,products:write"},
		&cli.BoolFlag{Name: "owner", Usage: "The key may do everything"},
		&cli.BoolFlag{Name: "publishable", Usage: "The key may stand in pages that anybody can read: it may shop and check out"},
		&cli.StringFlag{Name: "origins", Usage: "`LIST` of where the pages come from that use a publishable key, such as https://shop.example"},
		&cli.StringFlag{Name: "expires", Usage: "How long the key is good, such as 720h, or until when, such as 2027-01-31T00:00:00Z: `WHEN`"},
		&cli.StringFlag{Name: "allow-ip", Usage: "`LIST` of addresses and networks that the key is good from, such as 203.0.113.0/24"},
		&cli.IntFlag{Name: "requests-per-minute", Usage: "A limit of its own, instead of the shop's: `NUMBER`"},
	}, tenantFlag(), jsonFlag(), databaseSettings())
	create.Description = "stdout is the key and nothing else, so that KEY=$(fusion keys create …) holds it."
	rotate := leaf("rotate", "Give a key a new secret and print it, this once", "KEY-ID", p.rotateKey, []cli.Flag{
		&cli.DurationFlag{Name: "overlap", Usage: "How long the secret before is still good", Value: 24 * time.Hour},
	}, tenantFlag(), jsonFlag(), databaseSettings())
	return group("keys", "Make, list, rotate and revoke API keys",
		create, rotate,
		leaf("list", "List the keys; none can be read back", "", p.listKeys, tenantFlag(), jsonFlag(), databaseSettings()),
		leaf("revoke", "End a key", "KEY-ID", p.revokeKey, tenantFlag(), jsonFlag(), databaseSettings()),
	)
}

func (p *program) createKey(ctx context.Context, cmd *cli.Command) error {
	t, err := p.termsOfKey(cmd)
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		key, secret, err := makeKey(ctx, pool, t)
		if err != nil {
			return err
		}
		p.say("Made the key %q (%s). It is not shown again.", key.Name, key.ID)
		return p.showSecret(cmd, key, secret)
	})
}

// makeKey makes a key, with its entry in the audit log.
func makeKey(ctx context.Context, pool *db.DB, t apikey.Terms) (key apikey.Key, secret string, err error) {
	err = pool.InTx(ctx, func(tx *db.Tx) error {
		if key, secret, err = apikey.Add(ctx, tx, t); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "createKey", Entity: "key", EntityID: key.ID.String(), After: key})
	})
	return key, secret, err
}

// endKey revokes a key, with its entry in the audit log.
func endKey(ctx context.Context, pool *db.DB, id uuid.UUID) error {
	return pool.InTx(ctx, func(tx *db.Tx) error {
		key, err := apikey.Find(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := apikey.End(ctx, tx, id); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "revokeKey", Entity: "key", EntityID: id.String(), Before: key})
	})
}

func (p *program) showSecret(cmd *cli.Command, key apikey.Key, secret string) error {
	return p.show(cmd, struct {
		apikey.Key
		Secret string `json:"key"`
	}{key, secret}, func(w io.Writer) { _, _ = fmt.Fprintln(w, secret) })
}

// termsOfKey are what the flags say of the new key.
func (p *program) termsOfKey(cmd *cli.Command) (t apikey.Terms, err error) {
	t = apikey.Terms{Name: strings.TrimSpace(cmd.String("name")), Kind: apikey.Secret, Origins: listed(cmd.String("origins"))}
	switch {
	case t.Name == "":
		return t, usageError("fusion keys create needs --name, so that you know the key in a list")
	case cmd.Bool("publishable") && (cmd.Bool("owner") || cmd.String("permissions") != ""):
		return t, usageError("--publishable fixes what the key may do: leave --permissions and --owner out")
	case cmd.Bool("publishable"):
		t.Kind = apikey.Publishable
	case len(t.Origins) > 0:
		return t, usageError("--origins are of a --publishable key: a secret one has no business in a page")
	default:
		if t.Permissions, err = p.permissions(cmd); err != nil {
			return t, err
		}
	}
	for _, o := range t.Origins {
		if !apikey.IsOrigin(o) {
			return t, usageError(fmt.Sprintf("%q is not an origin as browsers write it, such as https://shop.example", o))
		}
	}
	for _, text := range listed(cmd.String("allow-ip")) {
		network, err := apikey.ParseNetwork(text)
		if err != nil {
			return t, usageError(fmt.Sprintf("%q is not an address or a network such as 203.0.113.0/24", text))
		}
		t.AllowedIPs = append(t.AllowedIPs, network)
	}
	if cmd.IsSet("requests-per-minute") {
		n := cmd.Int("requests-per-minute")
		if n < 1 {
			return t, usageError("--requests-per-minute must be at least 1")
		}
		t.RequestsPerMinute = &n
	}
	t.ExpiresAt, err = expiry(cmd.String("expires"))
	return t, err
}

// listed are the words between commas.
func listed(text string) (words []string) {
	for w := range strings.SplitSeq(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// expiry is a time, or how long from now.
func expiry(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // without an end
	}
	now := clock.System()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		lasts, wrong := time.ParseDuration(text)
		if wrong != nil {
			return nil, usageError(fmt.Sprintf("--expires %q is neither a time such as 2027-01-31T00:00:00Z nor a duration such as 720h", text))
		}
		at = now.Add(lasts)
	}
	if at = at.UTC().Truncate(time.Microsecond); !at.After(now) {
		return nil, usageError(fmt.Sprintf("--expires %q is not in the future", text))
	}
	return &at, nil
}

func (p *program) rotateKey(ctx context.Context, cmd *cli.Command) error {
	id, err := uuid.Parse(cmd.Args().First())
	if err != nil {
		return usageError(fmt.Sprintf("%q is not the id of a key: fusion keys list shows them", cmd.Args().First()))
	}
	overlap := cmd.Duration("overlap")
	if overlap < 0 {
		return usageError("--overlap cannot be negative")
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		var key apikey.Key
		var secret string
		err := pool.InTx(ctx, func(tx *db.Tx) error {
			before, err := apikey.Find(ctx, tx, id)
			if err != nil {
				return err
			}
			if key, secret, err = apikey.Rotate(ctx, tx, id, overlap); err != nil {
				return err
			}
			return audit.Record(ctx, tx, audit.Entry{Action: "rotateKey", Entity: "key", EntityID: id.String(), Before: before, After: key})
		})
		if err != nil {
			return err
		}
		if key.PreviousUntil == nil {
			p.say("The key %q has a new secret. Running programs refuse the one before within 2 seconds.", key.Name)
		} else {
			p.say("The key %q has a new secret. The one before is good until %s.", key.Name, when(*key.PreviousUntil))
		}
		return p.showSecret(cmd, key, secret)
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
	for _, permission := range listed(list) {
		if slices.Contains(wanted, permission) {
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
				limit := ""
				if k.RequestsPerMinute != nil {
					limit = fmt.Sprintf("%d/min", *k.RequestsPerMinute)
				}
				rows = append(rows, []string{
					k.ID.String(), k.Name, k.Prefix + "…", strings.Join(k.Permissions, ","), strings.Join(append(k.AllowedIPs, k.Origins...), ","), limit,
					when(k.CreatedAt), whenever(k.LastUsedAt), whenever(k.ExpiresAt), whenever(k.RevokedAt),
				})
			}
			table(w, "There are no keys. Make one: fusion keys create --name NAME --owner", rows, "ID", "NAME", "KEY", "PERMISSIONS", "FROM", "LIMIT", "CREATED", "LAST USED", "EXPIRES", "REVOKED")
		})
	})
}

func (p *program) revokeKey(ctx context.Context, cmd *cli.Command) error {
	id, err := uuid.Parse(cmd.Args().First())
	if err != nil {
		return usageError(fmt.Sprintf("%q is not the id of a key: fusion keys list shows them", cmd.Args().First()))
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		if err := endKey(ctx, pool, id); err != nil {
			return err
		}
		return p.show(cmd, map[string]any{"id": id, "revoked": true}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Revoked %s. Running programs refuse it within 2 seconds.\n", id)
		})
	})
}
