// Package eventspec has the specs that every module's published language passes, so
// that a change which would break a reader fails before it is published.
package eventspec

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
)

// Contract declares the specs for the package under test, given a filled-in example
// of each of its event structs.
//
// Goldens, testdata/<type>.v<version>.json, are facts as they were once published and
// lie in somebody's log for ever: they never change. So a field that comes later is
// optional, in the struct and in the schema; a golden of its own keeps it from getting
// lost: <type>.v<version>.<what came>.json, beside the first.
func Contract(module string, schemas fs.FS, facts ...event.Event) bool {
	return Describe("the facts of "+module, func() {
		var known *eventschema.Catalog
		goldens := os.DirFS("testdata")

		BeforeEach(func() {
			var err error
			known, err = eventschema.Load(eventschema.Module{Name: module, Schemas: schemas})
			Expect(err).NotTo(HaveOccurred())
		})

		It("are all held to this contract", func() {
			var structs []string
			for _, fact := range facts {
				structs = append(structs, reflect.TypeOf(fact).Name())
			}
			Expect(structs).To(ConsistOf(declared()))
		})

		It("have a schema and a golden each, and there is none without a fact", func() {
			var ours, described, kept []string
			for _, fact := range facts {
				ours = append(ours, name(fact)+".json")
			}
			for _, t := range known.Types() {
				described = append(described, fmt.Sprintf("%s.v%d.json", t.Name, t.Version))
			}
			Expect(described).To(ConsistOf(ours))
			for _, fact := range facts {
				Expect(fs.Stat(goldens, name(fact)+".json")).NotTo(BeNil())
				kept = append(kept, goldensOf(goldens, fact)...)
			}
			Expect(fs.Glob(goldens, "*")).To(ConsistOf(kept))
		})

		for _, fact := range facts {
			Context(name(fact), func() {
				check := func(data []byte) error { return known.Check(fact.EventType(), version(fact), data) }

				It("is published as its schema says", func() {
					data, err := json.Marshal(fact)
					Expect(err).NotTo(HaveOccurred())
					Expect(check(data)).To(Succeed())
				})

				It("has the fields of its schema, which requires those that are always there", func() {
					described := map[string]bool{}
					for _, f := range typeOf(known, fact).Fields {
						described[f.Name] = f.Required
					}
					Expect(described).To(Equal(fields(reflect.TypeOf(fact), "")))
				})

				It("is about the thing that its schema names", func() {
					data, err := json.Marshal(fact)
					Expect(err).NotTo(HaveOccurred())
					var values map[string]any
					Expect(json.Unmarshal(data, &values)).To(Succeed())
					Expect(values).To(HaveKeyWithValue(typeOf(known, fact).Subject, fact.EventKey()))
				})

				It("is understood as it was once published", func() {
					for _, file := range goldensOf(goldens, fact) {
						golden, err := fs.ReadFile(goldens, file)
						Expect(err).NotTo(HaveOccurred())
						Expect(check(golden)).To(Succeed(), file)
						Expect(again(golden, fact)).To(MatchJSON(golden), file)
					}
				})

				It("may gain fields that its readers do not know yet", func() {
					for _, file := range goldensOf(goldens, fact) {
						golden, err := fs.ReadFile(goldens, file)
						Expect(err).NotTo(HaveOccurred())
						var value any
						Expect(json.Unmarshal(golden, &value)).To(Succeed())
						larger, err := json.Marshal(grown(value))
						Expect(err).NotTo(HaveOccurred())
						Expect(check(larger)).To(Succeed(), file)
					}
				})
			})
		}
	})
}

func version(fact event.Event) int {
	if v, ok := fact.(event.Versioned); ok {
		return v.EventVersion()
	}
	return 1
}

func name(fact event.Event) string { return fmt.Sprintf("%s.v%d", fact.EventType(), version(fact)) }

func typeOf(known *eventschema.Catalog, fact event.Event) eventschema.Type {
	GinkgoHelper()
	for _, t := range known.Types() {
		if t.Name == fact.EventType() && t.Version == version(fact) {
			return t
		}
	}
	Fail(name(fact) + " has no schema")
	return eventschema.Type{}
}

func goldensOf(goldens fs.FS, fact event.Event) []string {
	GinkgoHelper()
	first, err := fs.Glob(goldens, name(fact)+".json")
	Expect(err).NotTo(HaveOccurred())
	later, err := fs.Glob(goldens, name(fact)+".*.json")
	Expect(err).NotTo(HaveOccurred())
	return append(first, later...)
}

// declared finds the event structs in the source of the package under test, so that
// a new one cannot be forgotten.
func declared() (structs []string) {
	GinkgoHelper()
	files, err := filepath.Glob("*.go")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		Expect(err).NotTo(HaveOccurred())
		for _, d := range source.Decls {
			method, ok := d.(*ast.FuncDecl)
			if !ok || method.Recv == nil || method.Name.Name != "EventType" {
				continue
			}
			receiver, ok := method.Recv.List[0].Type.(*ast.Ident)
			Expect(ok).To(BeTrue(), "a fact is a value, not a pointer: "+file)
			structs = append(structs, receiver.Name)
		}
	}
	return structs
}

// fields of the JSON that t becomes, and whether each is always there. Names are
// those of eventschema.Field.
func fields(t reflect.Type, prefix string) map[string]bool {
	all := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if f.Anonymous && tag == "" || tag == "-" || !f.IsExported() {
			continue // the fields of an embedded struct are visible themselves
		}
		name, options, _ := strings.Cut(tag, ",")
		all[prefix+name] = !strings.Contains(options, "omit")
		inner, at := f.Type, prefix+name
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice {
				at += "[]"
			}
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct || inner.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			continue // a time is a text
		}
		maps.Copy(all, fields(inner, at+"."))
	}
	return all
}

// again decodes a golden into today's struct, refusing fields that it does not have,
// and encodes it.
func again(golden []byte, fact event.Event) []byte {
	GinkgoHelper()
	into := reflect.New(reflect.TypeOf(fact))
	d := json.NewDecoder(bytes.NewReader(golden))
	d.DisallowUnknownFields()
	Expect(d.Decode(into.Interface())).To(Succeed())
	data, err := json.Marshal(into.Interface())
	Expect(err).NotTo(HaveOccurred())
	return data
}

// grown is a value with one more field in each of its objects.
func grown(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = grown(v[key])
		}
		v["addedLater"] = true
	case []any:
		for i := range v {
			v[i] = grown(v[i])
		}
	}
	return value
}
