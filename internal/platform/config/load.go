package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// Names of the setting that says where the other settings are.
const (
	configFlag = "config"
	configEnv  = envPrefix + "CONFIG"
)

// Sources is the world that Load looks at.
type Sources struct {
	// Flags are those given on the command line, without dashes: long
	// ("http-addr") or short ("addr"), and "config" for the file.
	Flags map[string]string
	// Environ has the form of os.Environ.
	Environ []string
	// Cwd is what relative paths start from; empty is the process' own.
	Cwd string
	// ReadFile has the manner of os.ReadFile. Without it there are no files.
	ReadFile func(path string) ([]byte, error)
	// Ignore are patterns (path.Match) of FUSION_ variables that belong to
	// others, such as FUSION_TEST_*. All others must be known.
	Ignore []string
}

// Process are the sources of the running program.
func Process(flags map[string]string) Sources {
	return Sources{Flags: flags, Environ: os.Environ(), ReadFile: os.ReadFile}
}

// Load decides every setting: flags over environment over the first file found
// over defaults. The error is an *Error with everything there is to mend.
func Load(s Sources) (Loaded, error) {
	l := &loader{sources: s, env: variables(s.Environ), schema: schema()}
	layers := []layer{l.flags(), l.environment(), l.file(), l.defaults()}
	loaded := l.decide(layers)
	if len(l.problems) == 0 {
		l.problems = needs(loaded)
	}
	if len(l.problems) > 0 {
		return Loaded{}, &Error{l.problems}
	}
	loaded.File = l.fileShown
	return loaded, nil
}

type loader struct {
	sources   Sources
	env       map[string]string
	schema    []entry
	fileShown string
	problems  []Problem
}

// layer is one source, loaded apart from the others so that a value's origin is
// the layer it was found in.
type layer struct {
	values *koanf.Koanf
	origin map[string]string
}

func (l *loader) problem(key, origin, format string, args ...any) {
	l.problems = append(l.problems, Problem{key, origin, fmt.Sprintf(format, args...)})
}

// fill loads a provider whose values are already in memory.
func (l *loader) fill(p koanf.Provider, origin map[string]string) layer {
	k := koanf.New(".")
	if err := k.Load(p, nil); err != nil {
		l.problem("", "", "%s", err)
	}
	return layer{k, origin}
}

func (l *loader) flags() layer {
	byName := map[string]entry{}
	for _, e := range l.schema {
		for _, f := range e.Flags {
			byName[f] = e
		}
	}
	values, origins := map[string]any{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(l.sources.Flags)) {
		if name == configFlag {
			continue
		}
		origin := "flag --" + name
		e, ok := byName[name]
		if !ok {
			l.problem("", origin, "unknown flag --%s%s", name, suggest("--", nearest(name, slices.Sorted(maps.Keys(byName)))))
			continue
		}
		if other, twice := origins[e.Name]; twice {
			l.problem(e.Name, origin, "%s and --%s are both given and mean %s: keep one", other, name, e.Name)
			continue
		}
		values[e.Name], origins[e.Name] = l.sources.Flags[name], origin
	}
	return l.fill(confmap.Provider(values, "."), origins)
}

func suggest(prefix, near string) string {
	if near == "" {
		return ""
	}
	return ": did you mean " + prefix + near + "?"
}

func (l *loader) isKey(key string) bool {
	return slices.ContainsFunc(l.schema, func(e entry) bool { return e.Name == key })
}

func (l *loader) isSection(key string) bool { return len(l.keysIn(key)) > 0 && !l.isKey(key) }

// keysIn lists the keys of a section, or all for "".
func (l *loader) keysIn(section string) []string {
	var keys []string
	for _, e := range l.schema {
		if section == "" || strings.HasPrefix(e.Name, section+".") {
			keys = append(keys, e.Name)
		}
	}
	return keys
}

func (l *loader) defaults() layer {
	values, origins := map[string]any{}, map[string]string{}
	for _, e := range l.schema {
		values[e.Name], origins[e.Name] = e.Default, "default"
	}
	return l.fill(confmap.Provider(values, "."), origins)
}

// decide takes each setting from the highest layer that has it. Values that are
// overruled are not judged: a flag must be able to get a shop going whose file
// is wrong.
func (l *loader) decide(layers []layer) Loaded {
	var loaded Loaded
	target := reflect.ValueOf(&loaded.Config).Elem()
	for _, e := range l.schema {
		raw, origin := pick(layers, e.Name)
		if raw == nil { // reported where it was found
			continue
		}
		value, refused := e.decode(raw)
		if refused != nil {
			l.problems = append(l.problems, e.wrong(raw, origin, *refused))
			continue
		}
		target.FieldByIndex(e.index).Set(reflect.ValueOf(value))
		loaded.rows = append(loaded.rows, Row{e.Name, e.display(value), origin, e.Description, e.Env, e.Default})
	}
	return loaded
}

func pick(layers []layer, key string) (raw any, origin string) {
	for _, l := range layers {
		if l.values.Exists(key) {
			return l.values.Get(key), l.origin[key]
		}
	}
	return nil, ""
}

// wrong is the sentence for a value that is not acceptable.
func (e entry) wrong(raw any, origin string, r refusal) Problem {
	is := "is " + quote(raw)
	switch {
	case e.Type == Hidden:
		is = "is wrong (its value is not shown)"
	case r.part != "":
		is = "contains " + quote(r.part)
	}
	detail := fmt.Sprintf("%s from %s %s: must be %s", e.Name, origin, is, e.Allowed)
	if r.hint != "" {
		detail += "; " + r.hint
	}
	return Problem{e.Name, origin, detail}
}

// reason is the error of the system without operation and path, which the
// sentence around it names already.
func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "it does not exist"
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return err.Error()
}
