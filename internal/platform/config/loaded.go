package config

import "strings"

// Loaded is the effective configuration and where it came from. It keeps no
// raw values, so that printing it gives no secret away.
type Loaded struct {
	Config Config
	File   string // the file that was read, as shown in origins; empty when there was none

	rows []Row
}

// Row is one setting as `fusion config show` prints it, secrets hidden.
type Row struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Origin      string `json:"origin"`
	Description string `json:"description"`
	Env         string `json:"env"`
	Default     string `json:"default"`
}

// Rows lists every setting in the order of Config.
func (l Loaded) Rows() []Row { return append([]Row(nil), l.rows...) }

// Origin says where the value of a key came from: "default", "env PORT",
// "flag --addr", "file ./fusion.yaml", or for a secret file
// "file /run/secrets/db (FUSION_DATABASE_URL_FILE)". Empty for an unknown key.
func (l Loaded) Origin(key string) string {
	for _, r := range l.rows {
		if r.Key == key {
			return r.Origin
		}
	}
	return ""
}

// Markdown renders every setting as a table for the documentation. It depends
// on nothing but the code, so that a stale document shows up as a difference.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Key | Default | Environment | Flag | What it is |\n|---|---|---|---|---|\n")
	for _, k := range Keys() {
		names := []string{k.Env}
		if k.EnvFile != "" {
			names = append(names, k.EnvFile)
		}
		flags := make([]string, len(k.Flags))
		for i, f := range k.Flags {
			flags[i] = "--" + f
		}
		def := "empty"
		if k.Default != "" {
			def = code(k.Default)
		}
		cells := []string{code(k.Name), def, code(append(names, k.EnvAliases...)...), code(flags...), k.Description + ": " + k.Allowed + "."}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

func code(names ...string) string { return "`" + strings.Join(names, "` `") + "`" }
