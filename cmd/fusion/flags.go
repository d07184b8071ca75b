package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

// setting is the flag of one key of the configuration. It hands over the text as it was
// typed, under the name it was typed with: what that means, and whether two names of one
// key are one too many, is for package config to say.
type setting struct {
	*cli.StringFlag
	key   config.Key
	typed map[string]string
}

// settings are the flags of the named sections ("database") or keys ("data.dir"); of all
// when none is named. Environment variables are only shown here: config reads them.
func settings(sections ...string) []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{
		Name: "config", Aliases: []string{"c"}, Category: "SETTINGS", Usage: "`FILE` with settings [$FUSION_CONFIG]",
		DefaultText: "the first of ./fusion.yaml, ~/.config/fusion/fusion.yaml, /etc/fusion/fusion.yaml",
	}}
	for _, k := range config.Keys() {
		section, _, _ := strings.Cut(k.Name, ".")
		if len(sections) > 0 && !slices.Contains(sections, section) && !slices.Contains(sections, k.Name) {
			continue
		}
		names := slices.Clone(k.Flags)
		slices.Reverse(names) // the short one is what people type
		def := k.Default
		if _, meaning, ok := strings.Cut(k.Allowed, "empty: "); ok && def == "" {
			def = meaning
		}
		flags = append(flags, &setting{
			StringFlag: &cli.StringFlag{Name: names[0], Aliases: names[1:], Category: "SETTINGS", Usage: k.Description, DefaultText: def},
			key:        k, typed: map[string]string{},
		})
	}
	return flags
}

// databaseSettings say where the shop's data is.
func databaseSettings() []cli.Flag { return settings("data", "database.url", "database.migrate_url") }

// Set remembers what was typed.
func (s *setting) Set(name, value string) error {
	s.typed[name] = value
	return s.StringFlag.Set(name, value)
}

// IsBoolFlag lets --auto-migrate stand for --auto-migrate=true.
func (s *setting) IsBoolFlag() bool { return s.key.Type == config.Bool }

// TakesValue is for the help text.
func (s *setting) TakesValue() bool { return s.key.Type != config.Bool }

// TypeName is for the help text.
func (s *setting) TypeName() string { return strings.ToUpper(string(s.key.Type)) }

// GetEnvVars is for the help text.
func (s *setting) GetEnvVars() []string { return append([]string{s.key.Env}, s.key.EnvAliases...) }

func (s *setting) String() string { return cli.FlagStringer(s) }

// given are the settings on the command line, by the names they were given with.
func given(cmd *cli.Command) map[string]string {
	flags := map[string]string{}
	for _, f := range cmd.Flags {
		if s, ok := f.(*setting); ok {
			maps.Copy(flags, s.typed)
		}
	}
	if cmd.IsSet("config") {
		flags["config"] = cmd.String("config")
	}
	return flags
}

// jsonFlag is on every command that prints data.
func jsonFlag() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "Print one JSON document"}}
}

func yesFlag(of string) []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "yes", Usage: of}}
}
