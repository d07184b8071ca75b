package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	parser "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// findFile takes the first file there is. A file that was asked for must exist;
// one that exists must be readable, since starting without it would mean the
// defaults where the operator wrote something else.
func (l *loader) findFile() (shown string, content []byte) {
	for _, c := range l.candidates() {
		content, err := l.read(c.name)
		switch {
		case err == nil:
			return c.name, content
		case c.origin == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
			continue
		case c.origin == "":
			l.problem("", "file "+c.name, "cannot read the config file %s: %s", c.name, reason(err))
		default:
			l.problem("", c.origin, "cannot read the config file %s given by %s: %s", c.name, c.origin, reason(err))
		}
		return "", nil
	}
	return "", nil
}

type candidate struct{ name, origin string }

func (l *loader) candidates() []candidate {
	if name := l.sources.Flags[configFlag]; name != "" {
		return []candidate{{name, "flag --" + configFlag}}
	}
	if name := l.env[configEnv]; name != "" {
		return []candidate{{name, "env " + configEnv}}
	}
	found := []candidate{{name: "./fusion.yaml"}}
	// XDG Base Directory Specification: unset or relative means $HOME/.config.
	home := l.env["XDG_CONFIG_HOME"]
	if !filepath.IsAbs(home) {
		home = filepath.Join(l.env["HOME"], ".config")
	}
	if filepath.IsAbs(home) {
		found = append(found, candidate{name: filepath.Join(home, "fusion", "fusion.yaml")})
	}
	return append(found, candidate{name: "/etc/fusion/fusion.yaml"})
}

func (l *loader) read(name string) ([]byte, error) {
	if l.sources.ReadFile == nil {
		return nil, fs.ErrNotExist
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.sources.Cwd, name)
	}
	return l.sources.ReadFile(name)
}

// document hands the bytes of a file to koanf, whose own provider would read
// the disk itself.
type document []byte

func (d document) ReadBytes() ([]byte, error)    { return d, nil }
func (d document) Read() (map[string]any, error) { return nil, errors.New("a document needs a parser") }

func (l *loader) file() layer {
	none := layer{koanf.New("."), nil}
	shown, content := l.findFile()
	if shown == "" {
		return none
	}
	l.fileShown = shown
	origin := "file " + shown
	k := koanf.New(".")
	if err := k.Load(document(content), parser.Parser()); err != nil {
		l.problem("", origin, "%s is not a YAML file of keys and values: %s", shown, yamlReason(err))
		return none
	}
	if moreThanOne(content) { // the parser reads the first and ignores the rest
		l.problem("", origin, "%s holds more than one YAML document: keep one", shown)
	}
	given := map[string]bool{}
	origins := map[string]string{}
	l.walk("", k.Raw(), func(key string, value any) {
		if given[key] {
			l.problem(key, origin, "%s is given twice in %s: keep one", key, origin)
			return
		}
		given[key] = true
		l.checkFileKey(key, value, origin)
		origins[key] = origin
	})
	return layer{k, origins}
}

func moreThanOne(content []byte) bool {
	documents := yaml.NewDecoder(bytes.NewReader(content))
	var first, second any
	return documents.Decode(&first) == nil && documents.Decode(&second) == nil
}

// walk visits the leaves of a YAML document in a stable order. A dotted key
// ("http.addr: …") means the same as a nested one.
func (l *loader) walk(prefix string, section map[string]any, visit func(key string, value any)) {
	for _, name := range slices.Sorted(maps.Keys(section)) {
		key, value := prefix+name, section[name]
		inner, isMap := value.(map[string]any)
		switch {
		case isMap && len(inner) > 0 && !l.isKey(key):
			l.walk(key+".", inner, visit)
		case (value == nil || isMap) && l.isSection(key):
			// A section with all its keys commented out.
		default:
			visit(key, value)
		}
	}
}

func (l *loader) checkFileKey(key string, value any, origin string) {
	switch {
	case l.isKey(key):
		if value == nil {
			l.problem(key, origin, "%s in %s has no value: write one, or remove the line for the default", key, origin)
		}
	case l.isSection(key):
		l.problem("", origin, "%s in %s is a section: it takes %s", key, origin, strings.Join(l.keysIn(key), ", "))
	default:
		var hint string
		if near := nearest(key, l.keysIn("")); near != "" {
			hint = suggest("", near)
		} else if section, _, ok := strings.Cut(key, "."); ok && l.isSection(section) {
			hint = fmt.Sprintf(": %s takes %s", section, strings.Join(l.keysIn(section), ", "))
		}
		l.problem("", origin, "unknown key %s in %s%s", key, origin, hint)
	}
}

var quoted = regexp.MustCompile("`[^`]*`|'[^']*'")

// yamlReason drops what the parser quotes from the file: it may be a secret.
func yamlReason(err error) string {
	return quoted.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "…")
}
