package main

import (
	"context"
	"log/slog"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/config"
)

func (p *program) openAPICommand() *cli.Command {
	return leaf("openapi", "Print the OpenAPI 3.1 document, without a database", "", func(context.Context, *cli.Command) error {
		a, err := p.blueprint()
		if err != nil {
			return err
		}
		defer func() { _ = a.Close() }() // it was never connected
		return p.json(a.API().Spec())
	}, jsonFlag())
}

// blueprint is the program with all its modules and no database, to ask what it would do.
func (p *program) blueprint() (*app.App, error) {
	return app.New(app.Options{Version: p.version, Log: slog.New(slog.DiscardHandler)}, func(k app.Kit) []app.Module { return acquainted(modules(k, nil, config.Config{})) })
}
