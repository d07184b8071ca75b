package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

// program is one run of the command with its surroundings. What was asked for goes to
// stdout, everything about how it is going to stderr. It never asks a question: it may
// run where nobody answers.
type program struct {
	version        string
	stdout, stderr io.Writer
	environ        []string
}

func (p *program) run(ctx context.Context, args []string) int {
	var absent error // a command that help was asked for
	root := p.commands()
	root.CommandNotFound = func(_ context.Context, cmd *cli.Command, name string) { absent = unknownCommand(cmd, name) }
	err := root.Run(ctx, args)
	if err == nil {
		err = absent
	}
	return p.exit(ctx, err)
}

// load decides the configuration of a command.
func (p *program) load(cmd *cli.Command) (config.Loaded, error) {
	return config.Load(config.Sources{Flags: given(cmd), Environ: p.environ, ReadFile: os.ReadFile})
}

func (p *program) commands() *cli.Command {
	root := &cli.Command{
		Name: "fusion", Usage: "an open commerce engine in one binary", Version: p.version,
		Writer: p.stdout, ErrWriter: p.stderr,
		// Errors are printed in one place, and the process ends in one.
		ExitErrHandler:        func(context.Context, *cli.Command, error) {},
		OnUsageError:          usage,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden, c.Usage = false, "Print the completion script of a shell: bash, zsh, fish or pwsh"
			c.Action = incomplete
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return unknownCommand(cmd, cmd.Args().First())
			}
			return cli.ShowRootCommandHelp(cmd)
		},
		Commands: []*cli.Command{
			p.devCommand(), p.serveCommand(), p.migrateCommand(), p.seedCommand(),
			p.keysCommand(), p.staffCommand(), p.tenantsCommand(),
			p.authCommand(),
			p.secretsCommand(),
			p.mailCommand(),
			p.ordersCommand(),
			p.eventsCommand(),
			p.auditCommand(),
			p.backupCommand(), p.doctorCommand(), p.healthCommand(), p.configCommand(), p.openAPICommand(),
			p.permissionsCommand(),
			p.simCommand(),
			p.versionCommand(),
		},
	}
	return root
}

// group is a command that has commands of its own and does nothing by itself.
func group(name, what string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: what, Commands: commands, Action: incomplete, OnUsageError: usage}
}

// leaf is a command that does something. arguments names what it takes beside flags, in
// the manner of "MODULE [FILE]".
func leaf(name, what, arguments string, do cli.ActionFunc, flags ...[]cli.Flag) *cli.Command {
	c := &cli.Command{
		Name: name, Usage: what, ArgsUsage: arguments, HideHelpCommand: true, OnUsageError: usage,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := countArguments(cmd, strings.Fields(arguments)); err != nil {
				return err
			}
			return do(ctx, cmd)
		},
	}
	for _, f := range flags {
		c.Flags = append(c.Flags, f...)
	}
	return c
}

func countArguments(cmd *cli.Command, names []string) error {
	if extra := cmd.Args().Len() - len(names); extra > 0 {
		return usageError(fmt.Sprintf("%s does not take %q", cmd.FullName(), cmd.Args().Get(len(names))))
	}
	for i, name := range names {
		if i >= cmd.Args().Len() && !strings.HasPrefix(name, "[") {
			return usageError(fmt.Sprintf("%s needs %s", cmd.FullName(), name))
		}
	}
	return nil
}
