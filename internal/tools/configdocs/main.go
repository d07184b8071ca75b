// Command configdocs renders docs/configuration.md from the declaration of the settings.
// It writes to the file that it is given, or else prints.
package main

import (
	"fmt"
	"os"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

const page = `# Configuration

Every setting has one name. The value comes from the first of these that says something: a flag, an environment
variable, the config file, the default. ` + "`fusion config`" + ` shows each value with its origin.

The file is the first that exists of ` + "`--config`, `$FUSION_CONFIG`, `./fusion.yaml`, `$XDG_CONFIG_HOME/fusion/fusion.yaml`, `/etc/fusion/fusion.yaml`" + `.
An unknown name or a wrong value stops the start, with all that is wrong in one message. A secret can come from a
file: ` + "`FUSION_DATABASE_URL_FILE=/run/secrets/db`" + `.

This page is generated from the program: edit ` + "`internal/platform/config/config.go`, then run `make generate`" + `.

`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "configdocs:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	text := page + config.Markdown()
	if len(args) == 0 {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(args[0], []byte(text), 0o644) //nolint:gosec // a page that everybody may read
}
