package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/identity"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

func (p *program) staffCommand() *cli.Command {
	settings := func() []cli.Flag { return settings("data", "database.url", "database.migrate_url", "secrets") }
	invite := leaf("invite", "Invite somebody to work for the shop, and print the token of the invitation", "EMAIL", p.inviteStaff, []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "Who it is: `TEXT`"},
		&cli.StringFlag{Name: "roles", Usage: "`LIST` of what they are in the shop, such as manager,support", Value: "owner"},
	}, tenantFlag(), jsonFlag(), settings())
	invite.Description = "A mail with the token is sent as well. With the token they choose a password:\n" +
		"POST /v1/staff/invitations/accept {\"token\": …, \"password\": …}"
	return group("staff", "Invite, list and shut out the people who work for the shop",
		invite,
		leaf("list", "List who works for the shop", "", p.listStaff, tenantFlag(), jsonFlag(), settings()),
		leaf("reset-second-factor", "Remove the second factor of somebody who has lost it", "EMAIL", p.resetSecondFactor, tenantFlag(), jsonFlag(), settings()),
		leaf("disable", "Shut somebody out", "EMAIL", p.disableStaff, tenantFlag(), jsonFlag(), settings()),
	)
}

// withAccounts does something with the accounts of the shop that the command names.
func (p *program) withAccounts(ctx context.Context, cmd *cli.Command, do func(ctx context.Context, accounts *identity.Module) error) error {
	return p.withVault(ctx, cmd, func(ctx context.Context, pool *db.DB, v *vault.Vault) error {
		outbox, err := mail.New(pool, v, slog.New(slog.DiscardHandler), mail.Options{})
		if err != nil {
			return err
		}
		if ctx, err = shopOf(ctx, cmd, pool); err != nil {
			return err
		}
		return do(ctx, identity.New(app.Kit{DB: pool, Events: event.NewLog(), Clock: clock.System, Vault: v, Mail: outbox}))
	})
}

func (p *program) inviteStaff(ctx context.Context, cmd *cli.Command) error {
	var roles []string
	for role := range strings.SplitSeq(cmd.String("roles"), ",") {
		if role = strings.TrimSpace(role); role != "" {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 {
		return usageError("fusion staff invite needs --roles, such as owner")
	}
	return p.withAccounts(ctx, cmd, func(ctx context.Context, accounts *identity.Module) error {
		person, token, err := accounts.InviteStaff(ctx, cmd.Args().First(), cmd.String("name"), roles)
		if err != nil {
			return err
		}
		p.say("Invited %s as %s. The token is not shown again.", person.Email, strings.Join(person.Roles, ", "))
		return p.show(cmd, map[string]any{"id": person.ID, "email": person.Email, "roles": person.Roles, "status": person.Status, "token": token},
			func(w io.Writer) { _, _ = fmt.Fprintln(w, token) })
	})
}

func (p *program) listStaff(ctx context.Context, cmd *cli.Command) error {
	return p.withAccounts(ctx, cmd, func(ctx context.Context, accounts *identity.Module) error {
		people, err := accounts.Staff(ctx)
		if err != nil {
			return err
		}
		return p.show(cmd, people, func(w io.Writer) {
			var rows [][]string
			for _, s := range people {
				rows = append(rows, []string{s.ID, s.Email, s.Name, strings.Join(s.Roles, ","), s.Status, when(s.CreatedAt)})
			}
			table(w, "Nobody works for the shop. Invite somebody: fusion staff invite EMAIL", rows, "ID", "E-MAIL", "NAME", "ROLES", "STATUS", "SINCE")
		})
	})
}

func (p *program) disableStaff(ctx context.Context, cmd *cli.Command) error {
	return p.withAccounts(ctx, cmd, func(ctx context.Context, accounts *identity.Module) error {
		person, err := accounts.DisableStaff(ctx, cmd.Args().First())
		if err != nil {
			return err
		}
		return p.show(cmd, person, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s is shut out. Running programs hear of it within 2 seconds.\n", person.Email)
		})
	})
}

func (p *program) resetSecondFactor(ctx context.Context, cmd *cli.Command) error {
	return p.withAccounts(ctx, cmd, func(ctx context.Context, accounts *identity.Module) error {
		person, err := accounts.ResetSecondFactor(ctx, cmd.Args().First())
		if err != nil {
			return err
		}
		return p.show(cmd, person, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s signs in with the password alone from now on, until they set a second factor again.\n", person.Email)
		})
	})
}
