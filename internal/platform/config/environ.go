package config

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

// elsewhere are variables of ours that are no settings.
var elsewhere = []string{
	"FUSION_POSTGRES_BIN", // pgcluster looks for programs as PATH does, with or without a configuration
}

func (l *loader) environment() layer {
	l.refuseUnknownVariables()
	chosen := map[string]entry{}
	for _, e := range l.schema {
		if name := l.choose(e); name != "" {
			chosen[name] = e
		}
	}
	origins := map[string]string{}
	return l.fill(env.Provider(".", env.Opt{
		EnvironFunc: func() []string {
			var pairs []string
			for _, name := range slices.Sorted(maps.Keys(chosen)) {
				pairs = append(pairs, name+"="+l.env[name])
			}
			return pairs
		},
		TransformFunc: func(name, value string) (string, any) {
			e := chosen[name]
			origins[e.Name] = "env " + name
			switch name {
			case e.platformEnv:
				value = strings.Replace(e.platformFmt, "*", value, 1)
			case e.EnvFile:
				origins[e.Name] = fmt.Sprintf("file %s (%s)", value, name)
				secret, ok := l.secretFile(e, name, value)
				if !ok {
					return "", nil
				}
				value = secret
			}
			return e.Name, value
		},
	}), origins)
}

// choose picks the variable that speaks for a setting, or "" when none does.
// Two of ours at a time are refused, because one would be ignored without a
// word. What a hosting platform sets was not the operator's decision: it yields
// to ours. An empty variable means the empty value only when no other name has
// one, since compose files pass on unset variables as empty ones.
func (l *loader) choose(e entry) string {
	var empty string
	var full []string
	for _, name := range e.ownEnv {
		switch value, set := l.env[name]; {
		case value != "":
			full = append(full, name)
		case set && empty == "" && name != e.EnvFile:
			empty = name
		}
	}
	switch {
	case len(full) > 1:
		l.problem(e.Name, "env "+full[0], "%s are both set and mean %s: keep one", strings.Join(full, " and "), e.Name)
		return ""
	case len(full) == 1:
		return full[0]
	case l.env[e.platformEnv] != "":
		return e.platformEnv
	}
	return empty
}

// secretFile reads a secret. An empty one is refused: an empty database.url
// would mean a private, empty shop where the real one was meant. The name of a
// file that cannot be read is not repeated: it may be the secret, put into the
// wrong variable.
func (l *loader) secretFile(e entry, variable, name string) (string, bool) {
	content, err := l.read(name)
	if err != nil {
		l.problem(e.Name, "env "+variable, "%s: cannot read the file that %s names: %s", e.Name, variable, reason(err))
		return "", false
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		l.problem(e.Name, "env "+variable, "%s: the file that %s names is empty", e.Name, variable)
		return "", false
	}
	return secret, true
}

func (l *loader) refuseUnknownVariables() {
	known := append([]string{configEnv}, elsewhere...)
	for _, e := range l.schema {
		known = append(known, e.ownEnv...)
	}
	var short []string // what all names begin with says nothing about nearness
	for _, k := range known {
		short = append(short, strings.TrimPrefix(k, envPrefix))
	}
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(known, name) || l.foreign(name) {
			continue
		}
		if base, ok := strings.CutSuffix(name, fileSuffix); ok && slices.Contains(known, base) {
			l.problem("", "env "+name, "unknown environment variable %s: only secrets are read from files, use %s", name, base)
			continue
		}
		l.problem("", "env "+name, "unknown environment variable %s%s", name, suggest(envPrefix, nearest(rest, short)))
	}
}

// serviceLink matches what Kubernetes puts into every pod for a Service called
// fusion or fusion-something: FUSION_SERVICE_HOST, FUSION_PORT_8080_TCP_ADDR, …
var serviceLink = regexp.MustCompile(`^FUSION_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// foreign tells whether a variable is somebody else's in spite of its name.
func (l *loader) foreign(name string) bool {
	if slices.ContainsFunc(l.sources.Ignore, func(pattern string) bool { ok, err := path.Match(pattern, name); return ok && err == nil }) {
		return true
	}
	if l.env["KUBERNETES_SERVICE_HOST"] == "" {
		return false
	}
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(l.env[name], "://")
}

// variables reads the form of os.Environ; as in os.Getenv the first one counts.
func variables(environ []string) map[string]string {
	found := map[string]string{}
	for _, pair := range environ {
		name, value, ok := strings.Cut(pair, "=")
		if _, seen := found[name]; ok && !seen && name != "" { // Windows has nameless ones
			found[name] = value
		}
	}
	return found
}
