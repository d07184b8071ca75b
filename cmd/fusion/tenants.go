package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

func (p *program) tenantsCommand() *cli.Command {
	create := leaf("create", "Make a shop and print the key of its owner, this once", "SLUG", p.createTenant, []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "The shop's name for people: `TEXT`", DefaultText: "its slug"},
		&cli.StringFlag{Name: "host", Usage: "`LIST` of names under which the shop answers, such as shop.example.com"},
	}, jsonFlag(), databaseSettings())
	create.Description = "stdout is the key and nothing else, so that KEY=$(fusion tenants create …) holds it."
	remove := leaf("delete", "Close a shop, and remove everything of it after the grace period", "SLUG", p.deleteTenant,
		[]cli.Flag{&cli.BoolFlag{Name: "now", Usage: "Without a grace period: everything is removed before the command ends"}},
		yesFlag("Do it: nobody gets in any more"), jsonFlag(), settings("data", "database.url", "database.migrate_url", "tenants.delete_grace"))
	remove.Description = "Until the grace period is over, `fusion tenants resume` takes it back. Export the shop first if anybody may want its data."
	return group("tenants", "Look after the shops of this installation",
		create,
		leaf("list", "List the shops", "", p.listTenants, jsonFlag(), databaseSettings()),
		leaf("show", "Show one shop", "SLUG", p.showTenant, jsonFlag(), databaseSettings()),
		leaf("suspend", "Close a shop; nothing of it is lost", "SLUG", p.suspendTenant,
			[]cli.Flag{&cli.StringFlag{Name: "reason", Usage: "Why: `TEXT`"}}, jsonFlag(), databaseSettings()),
		leaf("resume", "Open a shop again that was suspended, or deleted not too long ago", "SLUG", p.resumeTenant, jsonFlag(), databaseSettings()),
		remove,
		leaf("export", "Write everything that is kept of a shop to a file", "SLUG", p.exportTenant,
			[]cli.Flag{&cli.StringFlag{Name: "out", Usage: "`FILE` to write, a tar.gz", DefaultText: "SLUG.tar.gz"}}, jsonFlag(), databaseSettings()),
		group("host", "Give a shop names under which it answers",
			leaf("add", "Let a shop answer under a name", "SLUG HOST", p.addHost, jsonFlag(), databaseSettings()),
			leaf("remove", "Take a name from a shop", "SLUG HOST", p.removeHost, jsonFlag(), databaseSettings())),
	)
}

// tenantFlag lets a command act for another tenant than the operator's.
func tenantFlag() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "tenant", Usage: "Of the shop with this `SLUG`", DefaultText: "default"}}
}

// shopOf acts for the tenant that the command names.
func shopOf(ctx context.Context, cmd *cli.Command, pool *db.DB) (context.Context, error) {
	slug := cmd.String("tenant")
	if slug == "" {
		return ctx, nil
	}
	t, err := named(ctx, tenant.New(pool, event.NewLog(), 0), slug)
	if err != nil {
		return ctx, err
	}
	id, err := identity.From(ctx)
	if err != nil {
		return ctx, err
	}
	id.Tenant = t.ID
	return identity.With(ctx, id), nil
}

var errNoTenant = errors.New("there is no tenant")

func named(ctx context.Context, svc *tenant.Service, slug string) (tenant.Tenant, error) {
	t, err := svc.Named(ctx, slug)
	if errors.Is(err, tenant.ErrUnknown) {
		return t, fmt.Errorf("%w %s: fusion tenants list shows those there are", errNoTenant, slug)
	}
	return t, err
}

// tenantView is a tenant as commands show it.
type tenantView struct {
	ID         string          `json:"id"`
	Slug       string          `json:"slug"`
	Name       string          `json:"name"`
	Status     string          `json:"status"`
	Reason     string          `json:"reason,omitempty"`
	Hosts      []string        `json:"hosts"`
	Settings   tenant.Settings `json:"settings"`
	Quotas     tenant.Quotas   `json:"quotas"`
	PurgeAfter *time.Time      `json:"purgeAfter,omitempty"`
	CreatedAt  time.Time       `json:"createdAt"`
	OwnerKey   string          `json:"ownerKey,omitempty" secret:"true"`
}

func viewOf(t tenant.Tenant) tenantView {
	return tenantView{t.ID.String(), t.Slug, t.Name, string(t.Status), t.Reason, append([]string{}, t.Hosts...), t.Settings, t.Quotas, t.PurgeAfter, t.CreatedAt, ""}
}

// withTenants hands a command the service, as the operator.
func (p *program) withTenants(ctx context.Context, cmd *cli.Command, do func(context.Context, *db.DB, *tenant.Service) error) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		return do(ctx, pool, tenant.New(pool, event.NewLog(), loaded.Config.Tenants.DeleteGrace))
	})
}

// changeTenant is one change of the tenant that the first argument names, with its entry in
// the audit log.
func (p *program) changeTenant(ctx context.Context, cmd *cli.Command, action, reason string, do func(context.Context, *db.Tx, *tenant.Service, tenant.Tenant) (tenant.Tenant, error), said func(tenant.Tenant) string) error {
	return p.withTenants(ctx, cmd, func(ctx context.Context, pool *db.DB, svc *tenant.Service) error {
		before, err := named(ctx, svc, cmd.Args().First())
		if err != nil {
			return err
		}
		changed, err := recorded(ctx, pool, action, reason, before, func(tx *db.Tx) (tenant.Tenant, error) { return do(ctx, tx, svc, before) })
		if err != nil {
			return err
		}
		return p.show(cmd, viewOf(changed), func(w io.Writer) { _, _ = fmt.Fprintln(w, said(changed)) })
	})
}

func recorded(ctx context.Context, pool *db.DB, action, reason string, before tenant.Tenant, do func(*db.Tx) (tenant.Tenant, error)) (changed tenant.Tenant, err error) {
	err = pool.InTx(ctx, func(tx *db.Tx) error {
		if changed, err = do(tx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{
			Action: action, Entity: "tenant", EntityID: changed.ID.String(), Before: viewOf(before), After: viewOf(changed), Reason: reason,
		})
	})
	return changed, err
}

func (p *program) createTenant(ctx context.Context, cmd *cli.Command) error {
	t := tenant.Tenant{Slug: cmd.Args().First(), Name: strings.TrimSpace(cmd.String("name"))}
	if t.Name == "" {
		t.Name = t.Slug
	}
	hosts, fields := tenant.ReadHosts("--host", words(cmd.String("host")))
	t.Hosts = hosts
	fields = append(fields, tenant.CheckSlug("SLUG", t.Slug)...)
	if fields = append(fields, tenant.CheckName("--name", t.Name)...); len(fields) > 0 {
		return unusable(fields)
	}
	return p.withTenants(ctx, cmd, func(ctx context.Context, pool *db.DB, svc *tenant.Service) error {
		var key string
		made, err := recorded(ctx, pool, "createTenant", "", tenant.Tenant{}, func(tx *db.Tx) (made tenant.Tenant, err error) {
			made, key, err = svc.Create(ctx, tx, t)
			return made, err
		})
		if err != nil {
			return err
		}
		p.say("Made the shop %q (%s). The key of its owner is not shown again.", made.Name, made.ID)
		view := viewOf(made)
		view.OwnerKey = key
		return p.show(cmd, view, func(w io.Writer) { _, _ = fmt.Fprintln(w, key) })
	})
}

func words(list string) (all []string) {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

func unusable(fields []fault.Field) error {
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = f.Pointer + " " + f.Detail
	}
	return usageError(strings.Join(lines, "\n"))
}

func (p *program) listTenants(ctx context.Context, cmd *cli.Command) error {
	return p.withTenants(ctx, cmd, func(ctx context.Context, _ *db.DB, svc *tenant.Service) error {
		const page = 500
		views := []tenantView{}
		for after, more := "", true; more; {
			list, err := svc.List(ctx, after, page)
			if err != nil {
				return err
			}
			for _, t := range list {
				views, after = append(views, viewOf(t)), t.Slug
			}
			more = len(list) == page
		}
		return p.show(cmd, views, func(w io.Writer) {
			var rows [][]string
			for _, v := range views {
				rows = append(rows, []string{v.Slug, v.Name, v.Status, strings.Join(v.Hosts, ","), when(v.CreatedAt), v.ID})
			}
			table(w, "There are no shops.", rows, "SLUG", "NAME", "STATUS", "HOSTS", "CREATED", "ID")
		})
	})
}

func (p *program) showTenant(ctx context.Context, cmd *cli.Command) error {
	return p.withTenants(ctx, cmd, func(ctx context.Context, _ *db.DB, svc *tenant.Service) error {
		t, err := named(ctx, svc, cmd.Args().First())
		if err != nil {
			return err
		}
		v := viewOf(t)
		return p.show(cmd, v, func(w io.Writer) {
			var currencies []string
			for _, c := range tenant.Currencies(t.Settings) {
				currencies = append(currencies, string(c))
			}
			rows := [][]string{
				{v.Name, v.ID},
				{"status", strings.TrimSpace(v.Status + "  " + v.Reason)},
				{"hosts", strings.Join(v.Hosts, ", ")},
				{"currencies", strings.Join(currencies, ", ")},
				{"quotas", fmt.Sprintf("products %s, orders a day %s, requests a minute %s", bound(t.Quotas.Products), bound(t.Quotas.OrdersPerDay), bound(t.Quotas.RequestsPerMinute))},
				{"created", when(v.CreatedAt)},
			}
			if v.PurgeAfter != nil {
				rows = append(rows, []string{"removed after", when(*v.PurgeAfter)})
			}
			table(w, "", rows[1:], rows[0]...)
		})
	})
}

func bound(n *int64) string {
	if n == nil {
		return "unbounded"
	}
	return strconv.FormatInt(*n, 10)
}

func (p *program) suspendTenant(ctx context.Context, cmd *cli.Command) error {
	reason := strings.TrimSpace(cmd.String("reason"))
	if reason == "" {
		return usageError("fusion tenants suspend needs --reason, for those who ask later")
	}
	return p.changeTenant(ctx, cmd, "suspendTenant", reason, func(ctx context.Context, tx *db.Tx, svc *tenant.Service, t tenant.Tenant) (tenant.Tenant, error) {
		return svc.Suspend(ctx, tx, t.ID, reason)
	}, func(t tenant.Tenant) string {
		return "Suspended " + t.Slug + ". Running programs refuse it within 2 seconds."
	})
}

func (p *program) resumeTenant(ctx context.Context, cmd *cli.Command) error {
	return p.changeTenant(ctx, cmd, "resumeTenant", "", func(ctx context.Context, tx *db.Tx, svc *tenant.Service, t tenant.Tenant) (tenant.Tenant, error) {
		return svc.Resume(ctx, tx, t.ID)
	}, func(t tenant.Tenant) string { return "Opened " + t.Slug + " again." })
}

func (p *program) addHost(ctx context.Context, cmd *cli.Command) error {
	added, fields := tenant.ReadHosts("HOST", []string{cmd.Args().Get(1)})
	if len(fields) > 0 {
		return unusable(fields)
	}
	return p.changeHosts(ctx, cmd, func(hosts []string) []string {
		all := append(slices.Clone(hosts), added...)
		slices.Sort(all)
		return slices.Compact(all)
	}, func(t tenant.Tenant) string {
		return t.Slug + " answers under " + strings.Join(t.Hosts, ", ") + " within 2 seconds."
	})
}

func (p *program) removeHost(ctx context.Context, cmd *cli.Command) error {
	host, ok := tenant.Host(cmd.Args().Get(1))
	return p.changeHosts(ctx, cmd, func(hosts []string) []string {
		return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return ok && h == host })
	}, func(t tenant.Tenant) string {
		return t.Slug + " does not answer under " + cmd.Args().Get(1) + ", within 2 seconds."
	})
}

func (p *program) changeHosts(ctx context.Context, cmd *cli.Command, hosts func([]string) []string, said func(tenant.Tenant) string) error {
	return p.changeTenant(ctx, cmd, "updateTenant", "", func(ctx context.Context, tx *db.Tx, svc *tenant.Service, t tenant.Tenant) (tenant.Tenant, error) {
		return svc.Change(ctx, tx, t.ID, func(t *tenant.Tenant) error {
			t.Hosts = hosts(t.Hosts)
			return nil
		})
	}, said)
}

func (p *program) deleteTenant(ctx context.Context, cmd *cli.Command) error {
	if !cmd.Bool("yes") {
		return usageError("nothing was changed: a deleted shop is closed at once and removed later; add --yes to do it")
	}
	now := cmd.Bool("now")
	return p.withTenants(ctx, cmd, func(ctx context.Context, pool *db.DB, svc *tenant.Service) error {
		before, err := named(ctx, svc, cmd.Args().First())
		if err != nil {
			return err
		}
		gone := before
		if before.Status != tenant.Deleted {
			gone, err = recorded(ctx, pool, "deleteTenant", "", before, func(tx *db.Tx) (tenant.Tenant, error) {
				if now {
					return svc.DeleteNow(ctx, tx, before.ID)
				}
				return svc.Delete(ctx, tx, before.ID)
			})
		}
		if err != nil {
			return err
		}
		if !now {
			return p.show(cmd, viewOf(gone), func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Closed %s. Everything of it is removed after %s; until then: fusion tenants resume %s\n", gone.Slug, when(*gone.PurgeAfter), gone.Slug)
			})
		}
		removed, err := p.purge(ctx, pool, gone)
		if err != nil {
			return err
		}
		return p.show(cmd, map[string]any{"slug": gone.Slug, "removed": removed}, func(w io.Writer) {
			var rows [][]string
			for _, r := range removed {
				rows = append(rows, []string{r.Table, strconv.FormatInt(r.Rows, 10)})
			}
			table(w, "There was nothing left.", rows, "TABLE", "ROWS REMOVED")
		})
	})
}

// purge removes everything of a tenant, each piece in a transaction of its own: a command
// that is interrupted goes on where it was, or the program's job does.
func (p *program) purge(ctx context.Context, pool *db.DB, gone tenant.Tenant) ([]tenant.Removed, error) {
	if wait := time.Until(*gone.PurgeAfter); wait > 0 {
		p.say("Waiting %s for what is under way …", wait.Round(time.Second))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
	all := []tenant.Removed{}
	for {
		var removed []tenant.Removed
		if err := pool.Across(ctx, func(tx *db.Tx) (err error) {
			removed, err = tenant.Purge(ctx, tx, gone.ID)
			return err
		}); err != nil {
			return nil, err
		}
		if len(removed) == 0 {
			return all, nil
		}
		for _, r := range removed {
			if i := slices.IndexFunc(all, func(a tenant.Removed) bool { return a.Table == r.Table }); i >= 0 {
				all[i].Rows += r.Rows
			} else {
				all = append(all, r)
			}
		}
	}
}

func (p *program) exportTenant(ctx context.Context, cmd *cli.Command) error {
	slug := cmd.Args().First()
	out := cmd.String("out")
	if out == "" {
		out = slug + ".tar.gz"
	}
	return p.withTenants(ctx, cmd, func(ctx context.Context, pool *db.DB, svc *tenant.Service) error {
		t, err := named(ctx, svc, slug)
		if err != nil {
			return err
		}
		if err := pool.InTx(ctx, func(tx *db.Tx) error {
			return audit.Record(ctx, tx, audit.Entry{Action: "exportTenant", Entity: "tenant", EntityID: t.ID.String()})
		}); err != nil {
			return err
		}
		id, err := identity.From(ctx)
		if err != nil {
			return err
		}
		id.Tenant = t.ID
		size, modules, err := exportTo(identity.With(ctx, id), pool, out)
		if err != nil {
			return err
		}
		elsewhere := slices.DeleteFunc(moduleNames(), func(m string) bool { return slices.Contains(modules, m) })
		return p.show(cmd, map[string]any{"slug": slug, "file": out, "bytes": size, "modules": modules, "elsewhere": elsewhere}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "Wrote %s, %s, with what is kept by %s.\n", out, count(size, "byte"), strings.Join(modules, ", "))
			if len(elsewhere) > 0 {
				_, _ = fmt.Fprintf(w, "It is not all of the shop: %s keep theirs in other databases. Run this with the settings of their deployments as well.\n", strings.Join(elsewhere, ", "))
			}
		})
	})
}

// exportTo writes beside the file first: what has the name is whole.
func exportTo(ctx context.Context, pool *db.DB, out string) (size int64, modules []string, err error) {
	if _, err := os.Stat(out); err == nil {
		return 0, nil, fmt.Errorf("%s exists already: move it away, or name another file with --out", out)
	}
	part, err := os.OpenFile(out+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, nil, fmt.Errorf("write the export: %w", err)
	}
	modules, err = tenant.Export(ctx, pool, part)
	if info, failed := part.Stat(); failed == nil {
		size = info.Size()
	}
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return 0, nil, errors.Join(fmt.Errorf("write the export: %w", err), os.Remove(part.Name()))
	}
	return size, modules, os.Rename(part.Name(), out)
}
