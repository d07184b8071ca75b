package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

func (p *program) configCommand() *cli.Command {
	return leaf("config", "Print every setting, its value and where that came from", "", p.config, jsonFlag(), settings())
}

func (p *program) config(_ context.Context, cmd *cli.Command) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	return p.show(cmd, struct {
		File     string       `json:"file,omitempty"`
		Settings []config.Row `json:"settings"`
	}{loaded.File, loaded.Rows()}, func(w io.Writer) {
		var rows [][]string
		for _, r := range loaded.Rows() {
			rows = append(rows, []string{r.Key, r.Value, r.Origin})
		}
		table(w, "", rows, "KEY", "VALUE", "ORIGIN")
	})
}
