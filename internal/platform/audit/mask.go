package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// What stands in the place of values that are not kept.
const (
	personal = "[personal]"
	secret   = "[secret]"
)

// Rendered is JSON that was made of a value of a type already.
type Rendered struct {
	JSON []byte
	Of   reflect.Type
}

// Shown is a value as the log keeps it: JSON, without what its type says is personal or
// secret. nil is nothing.
func Shown(v any) (*string, error) {
	r, made := v.(Rendered)
	if !made {
		if v == nil {
			return nil, nil //nolint:nilnil // SQL's null
		}
		body, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		r = Rendered{body, reflect.TypeOf(v)}
	}
	if len(r.JSON) == 0 {
		return nil, nil //nolint:nilnil // SQL's null
	}
	text := string(r.JSON)
	if m := maskOf(r.Of); m != nil {
		masked, err := m.apply(r.JSON)
		if err != nil {
			return nil, err
		}
		text = masked
	}
	return &text, nil
}

// Hides tells whether something of a type is not shown.
func Hides(t reflect.Type) bool { return maskOf(t) != nil }

// mask says what is hidden of a JSON value. It is nil where nothing is.
type mask struct {
	instead string           // of the value as a whole; empty: look inside
	members map[string]*mask // of an object
	each    *mask            // of an array, or of all members of an object
}

func (m *mask) apply(body []byte) (string, error) {
	var tree any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return "", fmt.Errorf("read back: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m.over(tree)); err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

func (m *mask) over(tree any) any {
	if m == nil || tree == nil {
		return tree
	}
	if m.instead != "" {
		return m.instead
	}
	switch node := tree.(type) {
	case []any:
		for i := range node {
			node[i] = m.each.over(node[i])
		}
	case map[string]any:
		for name := range node {
			if inner, ok := m.members[name]; ok {
				node[name] = inner.over(node[name])
			} else {
				node[name] = m.each.over(node[name])
			}
		}
	}
	return tree
}

var masks sync.Map // what was found out about a type stays true

func maskOf(t reflect.Type) *mask {
	if known, ok := masks.Load(t); ok {
		m, _ := known.(*mask)
		return m
	}
	m := hides(t, map[reflect.Type]*mask{})
	masks.Store(t, m)
	return m
}

var marshaler = reflect.TypeFor[json.Marshaler]()

// hides looks through a type. Above are the masks of the structs that it is part of: one
// that contains itself is hidden there by the same mask.
func hides(t reflect.Type, above map[reflect.Type]*mask) *mask {
	if m, ok := above[t]; ok {
		return m
	}
	switch t.Kind() {
	case reflect.Pointer:
		return hides(t.Elem(), above)
	case reflect.Slice, reflect.Array, reflect.Map:
		if each := hides(t.Elem(), above); each != nil {
			return &mask{each: each}
		}
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(marshaler) {
			return nil
		}
		m := &mask{members: map[string]*mask{}}
		above[t] = m
		m.gather(t, above)
		delete(above, t)
		if len(m.members) > 0 {
			return m
		}
	default:
	}
	return nil
}

// gather collects what the fields of a struct hide. Those of embedded structs are its own.
func (m *mask) gather(t reflect.Type, above map[reflect.Type]*mask) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case name == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			m.gather(inner, above)
		case !f.IsExported():
		default:
			if name == "" {
				name = f.Name
			}
			if hidden := hiddenBy(f, above); hidden != nil {
				m.members[name] = hidden
			}
		}
	}
}

func hiddenBy(f reflect.StructField, above map[reflect.Type]*mask) *mask {
	switch {
	case f.Tag.Get("secret") == "true":
		return &mask{instead: secret}
	case f.Tag.Get("personal") == "true":
		return &mask{instead: personal}
	}
	return hides(f.Type, above)
}
