package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/cmd/fusion/backup"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// Exit codes are part of the contract with scripts and supervisors.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
	exitSchema      = 5
	exitProblems    = 6   // of the shop, which doctor found, or of a backup
	exitInterrupted = 130 // as shells report SIGINT
)

// exit says what went wrong, once, and with which code to end.
func (p *program) exit(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	code := exitCode(ctx, err)
	if code == exitInterrupted {
		_, _ = fmt.Fprintln(p.stderr, "fusion: interrupted")
	} else {
		_, _ = fmt.Fprintln(p.stderr, "fusion:", sentence(err))
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	_, wrongUse := errors.AsType[usageError](err)
	_, wrongConfig := errors.AsType[*config.Error](err)
	_, library := errors.AsType[cli.ExitCoder](err)
	switch {
	case is(errUnclean):
		return exitFailed
	// Whatever a command that was called off says about its end is a consequence.
	case ctx.Err() != nil:
		return exitInterrupted
	case wrongUse, library:
		return exitUsage
	case wrongConfig, is(errRole, errUnbound, errNoModule, errApart, errNotLocal, errDatabaseURL, errMasterKey, vault.ErrOtherKey, backup.ErrBlind):
		return exitConfig
	case is(errUnreachable, pgcluster.ErrNoBinaries):
		return exitUnreachable
	case is(migrate.ErrBehind, migrate.ErrNewer, migrate.ErrDirty, backup.ErrLater):
		return exitSchema
	case is(errProblems, backup.ErrForeign, backup.ErrDamaged, backup.ErrDiffers):
		return exitProblems
	}
	return exitFailed
}

// sentence is an error for a person: what is the driver's and what is for machines goes.
func sentence(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && !errors.Is(err, errUnreachable) {
		lines := []string{f.Detail}
		for _, field := range f.Fields {
			lines = append(lines, fmt.Sprintf("  - %s %s", field.Pointer, field.Detail))
		}
		return strings.Join(lines, "\n")
	}
	return strings.ReplaceAll(err.Error(), "pq: ", "")
}
