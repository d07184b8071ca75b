package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/telemetry"
)

// program is one run of the command with its surroundings.
type program struct {
	version        string
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

func (p *program) run(ctx context.Context, args []string) int {
	root := &cli.Command{
		Name: "fusion", Usage: "an open commerce engine in one binary", Writer: p.stdout, ErrWriter: p.stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Commands: []*cli.Command{
			{Name: "serve", Usage: "Run the shop", Action: p.serve, Flags: []cli.Flag{&cli.StringFlag{Name: "addr"}, &cli.StringFlag{Name: "data"}, &cli.StringFlag{Name: "modules"}}},
		},
	}
	if err := root.Run(ctx, args); err != nil {
		fmt.Fprintln(p.stderr, "fusion:", err)
		return 1
	}
	return 0
}

func (p *program) load(cmd *cli.Command) (config.Config, error) {
	flags := map[string]string{}
	for _, f := range cmd.LocalFlagNames() {
		flags[f] = cmd.String(f)
	}
	loaded, err := config.Load(config.Process(flags))
	return loaded.Config, err
}

func (p *program) serve(ctx context.Context, cmd *cli.Command) error {
	cfg, err := p.load(cmd)
	if err != nil {
		return err
	}
	log := slog.New(telemetry.Handler(slog.NewJSONHandler(p.stderr, nil)))
	s, err := open(ctx, cfg, log, p.version, nil)
	if err != nil {
		return err
	}
	if err := s.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
