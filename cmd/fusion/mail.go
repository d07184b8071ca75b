package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

func (p *program) mailCommand() *cli.Command {
	settings := func() []cli.Flag { return settings("data", "database.url", "database.migrate_url", "secrets") }
	return group("mail", "See the mail that could not be delivered, and decide about it",
		leaf("list", "List the mail that waits or was put aside, and why", "", p.listMail, jsonFlag(), settings()),
		leaf("retry", "Try one again now, or all that were put aside", "[MAIL-ID]", p.retryMail, jsonFlag(), settings()),
		leaf("drop", "Give one up", "MAIL-ID", p.dropMail, jsonFlag(), settings()),
	)
}

func (p *program) withMail(ctx context.Context, cmd *cli.Command, do func(ctx context.Context, pool *db.DB, o *mail.Outbox) error) error {
	return p.withVault(ctx, cmd, func(ctx context.Context, pool *db.DB, v *vault.Vault) error {
		o, err := mail.New(pool, v, slog.New(slog.DiscardHandler), mail.Options{})
		if err != nil {
			return err
		}
		return do(ctx, pool, o)
	})
}

func (p *program) listMail(ctx context.Context, cmd *cli.Command) error {
	return p.withMail(ctx, cmd, func(ctx context.Context, _ *db.DB, o *mail.Outbox) error {
		list, err := o.List(ctx)
		if err != nil {
			return err
		}
		return p.show(cmd, list, func(w io.Writer) {
			var rows [][]string
			for _, m := range list {
				next := "put aside"
				if m.NextTry != nil {
					next = when(*m.NextTry)
				}
				rows = append(rows, []string{m.ID.String(), m.Template, m.To, when(m.CreatedAt), strconv.Itoa(m.Attempts), next, oneLine(m.LastError, 80)})
			}
			table(w, "No mail waits.", rows, "ID", "TEMPLATE", "TO", "WRITTEN", "TRIES", "NEXT TRY", "LAST ERROR")
		})
	})
}

func (p *program) retryMail(ctx context.Context, cmd *cli.Command) error {
	id := uuid.Nil
	if cmd.Args().Present() {
		var err error
		if id, err = mailID(cmd.Args().First()); err != nil {
			return err
		}
	}
	return p.withMail(ctx, cmd, func(ctx context.Context, pool *db.DB, o *mail.Outbox) error {
		if err := noted(ctx, pool, audit.Entry{Action: "retryMail", Entity: "mail", EntityID: unlessNil(id)}); err != nil {
			return err
		}
		n, err := o.Retry(ctx, id)
		if err != nil {
			return err
		}
		return p.mailChanged(cmd, id, n, "retried", "will be tried again by the running shop")
	})
}

func (p *program) dropMail(ctx context.Context, cmd *cli.Command) error {
	id, err := mailID(cmd.Args().First())
	if err != nil {
		return err
	}
	return p.withMail(ctx, cmd, func(ctx context.Context, pool *db.DB, o *mail.Outbox) error {
		if err := noted(ctx, pool, audit.Entry{Action: "dropMail", Entity: "mail", EntityID: id.String()}); err != nil {
			return err
		}
		n, err := o.Drop(ctx, id)
		if err != nil {
			return err
		}
		return p.mailChanged(cmd, id, n, "dropped", givenUp)
	})
}

func mailID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, usageError(fmt.Sprintf("%q is not the id of a mail: fusion mail list shows them", text))
	}
	return id, nil
}

func (p *program) mailChanged(cmd *cli.Command, id uuid.UUID, n int64, verb, outcome string) error {
	if n == 0 && id != uuid.Nil {
		return errors.New("there is no such mail: fusion mail list shows those there are")
	}
	return p.show(cmd, map[string]int64{verb: n}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s %s.\n", count(n, "letter"), outcome)
	})
}
