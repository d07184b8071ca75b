package eventschema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Type is one kind of fact in one version of its shape.
type Type struct {
	Module      string
	Name        string // the topic: "order.created"
	Version     int
	Title       string
	Description string
	Subject     string // the field whose value is the envelope's subject
	Fields      []Field

	schema *jsonschema.Schema
}

// Field is one field of a fact.
type Field struct {
	Name        string // "items[].sku" is the sku of each of the items
	Type        string // in words: "integer, at least 1"
	Required    bool
	Description string
}

// node is what a reader is told of a schema; jsonschema judges by all of it.
type node struct {
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Subject     string           `json:"x-subject"`
	Type        string           `json:"type"`
	Format      string           `json:"format"`
	Pattern     string           `json:"pattern"`
	Const       any              `json:"const"`
	Enum        []string         `json:"enum"`
	Minimum     json.Number      `json:"minimum"`
	MinLength   int              `json:"minLength"`
	MinItems    int              `json:"minItems"`
	Items       *node            `json:"items"`
	Properties  map[string]*node `json:"properties"`
	Required    []string         `json:"required"`
}

var fileName = regexp.MustCompile(`^([a-z0-9_-]+(?:\.[a-z0-9_-]+)+)\.v([1-9][0-9]*)\.json$`)

func read(files fs.FS, file string) (Type, error) {
	name := fileName.FindStringSubmatch(path.Base(file))
	if name == nil {
		return Type{}, fmt.Errorf("want a file named <type>.v<version>.json")
	}
	raw, err := fs.ReadFile(files, file)
	if err != nil {
		return Type{}, err
	}
	schema, err := compile(raw)
	if err != nil {
		return Type{}, err
	}
	var n node
	if err := json.Unmarshal(raw, &n); err != nil {
		return Type{}, err
	}
	if n.Title == "" || n.Description == "" {
		return Type{}, fmt.Errorf("title and description must say what the fact means")
	}
	if n.Properties[n.Subject] == nil || !slices.Contains(n.Required, n.Subject) {
		return Type{}, fmt.Errorf("x-subject must name a required property, not %q", n.Subject)
	}
	t := Type{Name: name[1], Title: n.Title, Description: n.Description, Subject: n.Subject, Fields: n.fields(""), schema: schema}
	t.Version, err = strconv.Atoi(name[2])
	return t, err
}

func compile(raw []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()                          // in this draft a format is a remark unless one insists
	c.UseLoader(jsonschema.SchemeURLLoader{}) // a schema stands alone: it is given to others as one file
	const url = "urn:fusion:event"
	if err := c.AddResource(url, document); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// fields lists what is described below n, each object's required fields first, in
// the order in which it requires them: the order that its author chose, which JSON
// objects do not keep.
func (n *node) fields(prefix string) []Field {
	names := make([]string, 0, len(n.Properties))
	for name := range n.Properties {
		names = append(names, name)
	}
	rank := func(name string) int {
		if i := slices.Index(n.Required, name); i >= 0 {
			return i
		}
		return len(n.Required)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	var list []Field
	for _, name := range names {
		p := n.Properties[name]
		list = append(list, Field{prefix + name, p.words(), slices.Contains(n.Required, name), p.Description})
		list = append(list, p.fields(prefix+name+".")...)
		if p.Items != nil {
			list = append(list, p.Items.fields(prefix+name+"[].")...)
		}
	}
	return list
}

// words says what a value looks like.
func (n *node) words() string {
	w := []string{n.Type}
	if n.Items != nil {
		w[0] += " of " + n.Items.words()
	}
	if n.Format != "" {
		w = append(w, n.Format)
	}
	if n.Pattern != "" {
		w = append(w, "`"+n.Pattern+"`")
	}
	if n.Const != nil {
		w = append(w, fmt.Sprintf("always `%v`", n.Const))
	}
	if len(n.Enum) > 0 {
		w = append(w, "one of `"+strings.Join(n.Enum, "`, `")+"`")
	}
	if n.Minimum != "" {
		w = append(w, "at least "+n.Minimum.String())
	}
	if n.MinLength > 0 || n.MinItems > 0 {
		w = append(w, "not empty")
	}
	return strings.Join(w, ", ")
}
