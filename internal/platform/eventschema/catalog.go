// Package eventschema holds every published fact to its JSON Schema, and renders the
// schemas as a page for those who read the facts.
//
// A schema describes the data of an event. Beside the usual keywords it has
// "x-subject", the name of the field whose value is the envelope's subject.
package eventschema

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Module is the published language of one module. Schemas has a file
// schemas/<type>.v<version>.json for each version of each of its facts.
type Module struct {
	Name    string
	Schemas fs.FS
}

// Catalog knows the facts of some modules.
type Catalog struct{ types []Type }

// Load reads and compiles the schemas of the modules. It refuses what would make a
// reader guess: a fact without a description, without a subject, or described twice.
func Load(modules ...Module) (*Catalog, error) {
	c := &Catalog{}
	for _, m := range modules {
		files, err := fs.Glob(m.Schemas, "schemas/*")
		if err != nil {
			return nil, fmt.Errorf("schemas of %s: %w", m.Name, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("schemas of %s: there are none", m.Name)
		}
		for _, file := range files {
			t, err := read(m.Schemas, file)
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", file, m.Name, err)
			}
			if known, twice := c.find(t.Name, t.Version); twice {
				return nil, fmt.Errorf("%s of %s: %s has described it already", file, m.Name, known.Module)
			}
			t.Module = m.Name
			c.types = append(c.types, t)
		}
	}
	return c, nil
}

// Types lists the facts, module by module in the order of Load, by name within one.
func (c *Catalog) Types() []Type { return slices.Clone(c.types) }

// Check refuses data that does not follow the schema of its type. The error names
// every wrong field by its JSON pointer.
func (c *Catalog) Check(eventType string, version int, data []byte) error {
	t, known := c.find(eventType, version)
	if !known {
		return fmt.Errorf("%s has no schema of version %d", eventType, version)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s.v%d: %w", eventType, version, err)
	}
	err = t.schema.Validate(value)
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		wrong := violations(invalid.DetailedOutput())
		slices.Sort(wrong)
		return fmt.Errorf("%s.v%d: %s", eventType, version, strings.Join(wrong, "; "))
	}
	return err
}

func (c *Catalog) find(eventType string, version int) (Type, bool) {
	i := slices.IndexFunc(c.types, func(t Type) bool { return t.Name == eventType && t.Version == version })
	if i < 0 {
		return Type{}, false
	}
	return c.types[i], true
}

// violations are the leaves of what jsonschema found: what is above them only says
// that something below is wrong.
func violations(u *jsonschema.OutputUnit) (list []string) {
	for i := range u.Errors {
		list = append(list, violations(&u.Errors[i])...)
	}
	if len(u.Errors) > 0 {
		return list
	}
	if required, ok := u.Error.Kind.(*kind.Required); ok {
		for _, name := range required.Missing {
			list = append(list, u.InstanceLocation+"/"+name+": is missing")
		}
		return list
	}
	if u.InstanceLocation == "" {
		return []string{u.Error.String()}
	}
	return []string{u.InstanceLocation + ": " + u.Error.String()}
}
