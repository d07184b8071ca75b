package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

const envPrefix = "FUSION_"

// fileSuffix makes FUSION_DATABASE_URL_FILE out of FUSION_DATABASE_URL: the
// value is what the file holds, the way Docker and Kubernetes hand out secrets.
const fileSuffix = "_FILE"

// Type is the form of a value.
type Type string

const (
	Text     Type = "text"
	Hidden   Type = "secret"
	Bool     Type = "bool"
	Int      Type = "int"
	Duration Type = "duration"
	List     Type = "list" // comma separated, or a YAML list
)

// Key describes one setting, for flags, help and documentation.
type Key struct {
	Name        string   // "http.addr"
	Type        Type     //
	Env         string   // "FUSION_HTTP_ADDR"
	EnvFile     string   // "FUSION_DATABASE_URL_FILE", secrets only
	EnvAliases  []string // "FUSION_ADDR", "PORT"
	Flags       []string // "http-addr", "addr": without dashes, the long one first
	Default     string
	Description string
	Allowed     string // completes "must be …"
}

// Keys lists every setting in the order of Config.
func Keys() []Key {
	var keys []Key
	for _, e := range schema() {
		keys = append(keys, e.Key)
	}
	return keys
}

// entry is a Key with what only the loader needs.
type entry struct {
	Key
	index []int // path to the field in Config
	kind  reflect.Type
	tag   reflect.StructTag

	ownEnv      []string // FUSION_ names, the derived one first
	platformEnv string   // a name that hosting platforms set
	platformFmt string   // how its value becomes ours; * stands for it
}

func schema() []entry { return fields(reflect.TypeFor[Config](), "", nil) }

func fields(section reflect.Type, prefix string, index []int) []entry {
	var found []entry
	for f := range section.Fields() {
		name, at := prefix+f.Tag.Get("key"), slices.Concat(index, f.Index)
		if _, leaf := f.Tag.Lookup("default"); !leaf {
			found = append(found, fields(f.Type, name+".", at)...)
			continue
		}
		found = append(found, newEntry(name, at, f))
	}
	return found
}

func newEntry(name string, index []int, f reflect.StructField) entry {
	e := entry{index: index, kind: f.Type, tag: f.Tag}
	e.Key = Key{
		Name:        name,
		Type:        typeOf(f.Type),
		Env:         envPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_")),
		Flags:       []string{strings.NewReplacer(".", "-", "_", "-").Replace(name)},
		Default:     f.Tag.Get("default"),
		Description: f.Tag.Get("doc"),
		Allowed:     allowed(f.Type, f.Tag),
	}
	e.ownEnv = []string{e.Env}
	if alias := f.Tag.Get("env"); alias != "" {
		e.ownEnv = append(e.ownEnv, alias)
		e.EnvAliases = append(e.EnvAliases, alias)
	}
	if e.Type == Hidden {
		e.EnvFile = e.Env + fileSuffix
		e.ownEnv = append(e.ownEnv, e.EnvFile)
	}
	if paas := f.Tag.Get("paas"); paas != "" {
		var formed bool
		if e.platformEnv, e.platformFmt, formed = strings.Cut(paas, "="); !formed {
			e.platformFmt = "*"
		}
		e.EnvAliases = append(e.EnvAliases, e.platformEnv)
	}
	if short := f.Tag.Get("flag"); short != "" {
		e.Flags = append(e.Flags, short)
	}
	return e
}

func typeOf(t reflect.Type) Type {
	switch t {
	case reflect.TypeFor[Secret]():
		return Hidden
	case reflect.TypeFor[bool]():
		return Bool
	case reflect.TypeFor[int]():
		return Int
	case reflect.TypeFor[time.Duration]():
		return Duration
	case reflect.TypeFor[[]string]():
		return List
	}
	return Text
}
