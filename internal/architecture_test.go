package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const root = "github.com/fusioncommerce/fusion/internal/"

// The folders are the list of modules: a new one is held to the rules the moment it exists.
var _ = Describe("the house", func() {
	It("keeps its modules apart", func() {
		Expect(violations(os.DirFS("."))).To(BeEmpty())
	})

	It("mounts every module and migrates it", func() {
		wired, err := os.ReadFile("../cmd/fusion/modules.go")
		Expect(err).NotTo(HaveOccurred())
		for _, m := range moduleFolders(os.DirFS(".")) {
			Expect(string(wired)).To(ContainSubstring(strconv.Quote(root+m)), "cmd/fusion does not mount "+m)
			Expect(filepath.Join("..", "migrations", m, "0001_init.up.sql")).To(BeARegularFile())
		}
	})

	DescribeTable("notices", func(path, source, rule string) {
		Expect(violations(fstest.MapFS{path: {Data: []byte(source)}})).To(ConsistOf(ContainSubstring(rule)))
	},
		Entry("a module that imports a neighbour's insides", "orders/service.go", `package orders; import _ "`+root+`catalog"`, "imports catalog"),
		Entry("even one nested deeper", "orders/service.go", `package orders; import _ "`+root+`catalog/media"`, "imports catalog/media"),
		Entry("a contract that imports the platform", "orders/ordersapi/events.go", `package ordersapi; import _ "`+root+`platform/db"`, "a contract imports platform/db"),
		Entry("a contract that imports a library", "orders/ordersapi/events.go", `package ordersapi; import _ "github.com/google/uuid"`, "a contract imports github.com/google/uuid"),
		Entry("a platform that knows a module", "platform/app/app.go", `package app; import _ "`+root+`orders/ordersapi"`, "the platform imports orders/ordersapi"),
		Entry("a library that belongs behind the platform", "orders/store.go", `package orders; import _ "github.com/jmoiron/sqlx"`, "imports github.com/jmoiron/sqlx"),
		Entry("a root package that shows more than it should", "orders/service.go", `package orders; func Place() {}`, "exports Place"),
		Entry("a type that is shown", "orders/order.go", `package orders; type Order struct{}`, "exports Order"),
		Entry("SQL on a neighbour's schema", "orders/store.go", "package orders; const q = `select 1 from catalog.product`", "touches the schema catalog"),
		Entry("SQL on the platform's schema", "orders/store.go", "package orders; const q = `delete from platform.event`", "touches the schema platform"),
		Entry("a transaction across merchants", "orders/service.go", `package orders; func (s *service) f() { s.db.Across(nil, nil) }`, "calls Across"),
		Entry("a way around transactions", "orders/service.go", `package orders; func (s *service) f() { s.db.Pool() }`, "calls Pool"),
		Entry("a float near money", "orders/order.go", `package orders; var rate float64`, "uses float64"),
	)
})

// behind are the libraries that only the platform may know.
var behind = []string{"labstack/echo", "danielgtaylor/huma", "ThreeDotsLabs/watermill", "jmoiron/sqlx", "lib/pq", "golang-migrate", "knadh/koanf"}

var schema = regexp.MustCompile(`(?i)\b(?:from|join|into|update|table|references)\s+([a-z_]+)\.[a-z_]`)

func moduleFolders(house fs.FS) (names []string) {
	entries, err := fs.ReadDir(house, ".")
	Expect(err).NotTo(HaveOccurred())
	for _, e := range entries {
		if e.IsDir() && e.Name() != "platform" && e.Name() != "tools" {
			names = append(names, e.Name())
		}
	}
	return names
}

// violations names every place that breaks a rule. Specs may do more than what they test.
func violations(house fs.FS) (found []string) {
	Expect(fs.WalkDir(house, ".", func(path string, d fs.DirEntry, err error) error {
		module, _, nested := strings.Cut(path, "/")
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || !nested || module == "tools" {
			return err
		}
		source, err := fs.ReadFile(house, path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		report := func(format string, args ...any) { found = append(found, path+" "+fmt.Sprintf(format, args...)) }
		imports(module, path, file, report)
		if module != "platform" {
			exports(module, path, file, report)
			insides(module, file, report)
		}
		return nil
	})).To(Succeed())
	return found
}

func imports(module, path string, file *ast.File, report func(string, ...any)) {
	contract := strings.HasPrefix(path, module+"/"+module+"api/")
	for _, i := range file.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		Expect(err).NotTo(HaveOccurred())
		inside, ours := strings.CutPrefix(name, root)
		target, sub, _ := strings.Cut(inside, "/")
		switch {
		case contract && ours && inside != "platform/money", contract && !ours && strings.Contains(name, "."):
			report("a contract imports %s", strings.TrimPrefix(name, root))
		case module == "platform" && ours && target != "platform":
			report("the platform imports %s", inside)
		case module != "platform" && !ours && slices.ContainsFunc(behind, func(b string) bool { return strings.HasPrefix(name, "github.com/"+b) }):
			report("imports %s", name)
		case module != "platform" && ours && target != "platform" && target != module && sub != target+"api":
			report("imports %s", inside)
		}
	}
}

// exports of a module's root package are Module, New and the interfaces it asks for.
func exports(module, path string, file *ast.File, report func(string, ...any)) {
	if filepath.Dir(path) != module {
		return
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() && d.Name.Name != "New" {
				report("exports %s", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if _, wish := s.Type.(*ast.InterfaceType); s.Name.IsExported() && !wish && s.Name.Name != "Module" {
						report("exports %s", s.Name.Name)
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() {
							report("exports %s", n.Name)
						}
					}
				}
			}
		}
	}
}

func insides(module string, file *ast.File, report func(string, ...any)) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			for _, m := range schema.FindAllStringSubmatch(n.Value, -1) {
				if n.Kind == token.STRING && m[1] != module {
					report("touches the schema %s", m[1])
				}
			}
		case *ast.SelectorExpr:
			if n.Sel.Name == "Across" || n.Sel.Name == "Pool" {
				report("calls %s", n.Sel.Name)
			}
		case *ast.Ident:
			if n.Name == "float64" || n.Name == "float32" {
				report("uses %s", n.Name)
			}
		}
		return true
	})
}
