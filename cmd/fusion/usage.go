package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v3"
)

// usageError says what is wrong with the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// incomplete answers a group that was called without one of its commands.
func incomplete(_ context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() {
		return unknownCommand(cmd, cmd.Args().First())
	}
	var names []string
	for _, c := range cmd.VisibleCommands() {
		if c.Name != "help" {
			names = append(names, c.Name)
		}
	}
	return usageError(fmt.Sprintf("%s needs one of %s", cmd.FullName(), strings.Join(names, ", ")))
}

func unknownCommand(cmd *cli.Command, name string) error {
	near := cli.SuggestCommand(cmd.VisibleCommands(), name)
	return usageError(fmt.Sprintf("unknown command '%s'.%s", name, didYouMean(name, near, cmd.FullName()+" help")))
}

// didYouMean offers the nearest name. The library always finds one; a name that begins
// with another letter was hardly meant.
func didYouMean(name, near, otherwise string) string {
	if first := strings.TrimLeft(near, "-"); first != "" && name != "" && first[0] == name[0] {
		return fmt.Sprintf(" Did you mean '%s'?", near)
	}
	return fmt.Sprintf(" See: %s", otherwise)
}

var (
	unknownFlag  = regexp.MustCompile(`^flag provided but not defined: -(.+)$`)
	missingValue = regexp.MustCompile(`^flag needs an argument: (.+)$`)
	wrongValue   = regexp.MustCompile(`^invalid value (".*") for flag -([\w-]+): `)
)

// usage turns the library's words for a wrong command line into ours.
func usage(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	said := err.Error()
	if m := unknownFlag.FindStringSubmatch(said); m != nil {
		// The flags of a command that does not exist are not what is wrong first.
		if len(cmd.Commands) > 0 && cmd.Args().Present() {
			return unknownCommand(cmd, cmd.Args().First())
		}
		if len(cmd.Commands) > 0 {
			return usageError(fmt.Sprintf("%s has no flag '%s': the flags of a command come after its name", cmd.FullName(), dashed(m[1])))
		}
		return usageError(fmt.Sprintf("unknown flag '%s'.%s", dashed(m[1]), didYouMean(m[1], cli.SuggestFlag(cmd.VisibleFlags(), m[1], false), cmd.FullName()+" --help")))
	}
	if m := missingValue.FindStringSubmatch(said); m != nil {
		return usageError(fmt.Sprintf("%s needs a value", dashed(strings.TrimLeft(m[1], "-"))))
	}
	if m := wrongValue.FindStringSubmatch(said); m != nil {
		return usageError(fmt.Sprintf("%s does not take %s", dashed(m[2]), m[1]))
	}
	return usageError(said)
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
