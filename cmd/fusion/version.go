package main

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/urfave/cli/v3"
)

func (p *program) versionCommand() *cli.Command {
	return leaf("version", "Print the version", "", func(_ context.Context, cmd *cli.Command) error {
		return p.show(cmd, map[string]string{"version": p.version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "fusion %s (%s %s/%s)\n", p.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		})
	}, jsonFlag())
}
