package stripesim

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// params are a form as Stripe reads it: metadata[order]=7, expand[]=latest_charge.
type params struct{ url.Values }

func (p params) text(name string) string { return p.Get(name) }

func (p params) flag(name string) bool { return p.Get(name) == "true" }

// group are the values of metadata[…] by what is in the brackets.
func (p params) group(name string) map[string]string {
	found := map[string]string{}
	for key, values := range p.Values {
		if inner, ok := strings.CutPrefix(key, name+"["); ok && len(values) > 0 {
			found[strings.TrimSuffix(inner, "]")] = values[0]
		}
	}
	return found
}

// many are the values of expand[], expand[0], expand[1] …
func (p params) many(name string) []string {
	var keys, found []string
	for key := range p.Values {
		if strings.HasPrefix(key, name+"[") {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return index(a) - index(b) })
	for _, key := range keys {
		found = append(found, p.Values[key]...)
	}
	return found
}

func index(key string) int {
	_, inner, _ := strings.Cut(key, "[")
	n, err := strconv.Atoi(strings.TrimSuffix(inner, "]"))
	if err != nil {
		return 0
	}
	return n
}

// number is absent, or a whole one.
func (p params) number(name string) (n int64, given bool, err error) {
	text := p.Get(name)
	if text == "" {
		return 0, false, nil
	}
	if n, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, true, invalid("parameter_invalid_integer", name, "Invalid integer: "+text)
	}
	return n, true, nil
}

// canonical is the same text for the same parameters, in whatever order they came.
func (p params) canonical() string { return p.Encode() }

// unknown is a parameter that the call does not take; empty when there is none.
func (p params) unknown(takes []string) string {
	for _, key := range slices.Sorted(maps.Keys(p.Values)) {
		name, _, _ := strings.Cut(key, "[")
		if !slices.Contains(takes, name) {
			return name
		}
	}
	return ""
}

// expand are the paths of what is sent whole instead of as an id.
type expand []string

// of tells whether something is sent whole, and what within it.
func (e expand) of(name string) (within expand, whole bool) {
	for _, path := range e {
		first, rest, deeper := strings.Cut(path, ".")
		if first != name {
			continue
		}
		whole = true
		if deeper {
			within = append(within, rest)
		}
	}
	return within, whole
}
