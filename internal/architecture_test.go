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

	It("mounts every module and migrates it, and migrates nothing else", func() {
		wired, err := os.ReadFile("../cmd/fusion/modules.go")
		Expect(err).NotTo(HaveOccurred())
		modules := moduleFolders(os.DirFS("."))
		Expect(modules).NotTo(BeEmpty())
		for _, m := range modules {
			Expect(string(wired)).To(ContainSubstring(strconv.Quote(root+m)), "cmd/fusion does not mount "+m)
			Expect(filepath.Join("..", "migrations", m, "0001_init.up.sql")).To(BeARegularFile())
		}
		Expect(moduleFolders(os.DirFS("../migrations"))).To(ConsistOf(modules))
	})

	DescribeTable("notices", func(path, source, rule string) {
		house := fstest.MapFS{
			path:                               {Data: []byte(source)},
			"catalog/module.go":                {Data: []byte(`package catalog`)},
			"catalog/catalogapi/catalogapi.go": {Data: []byte(`package catalogapi`)},
		}
		Expect(violations(house)).To(Equal([]string{path + " " + rule}))
	},
		Entry("a module that imports a neighbour's insides", "orders/service.go", `package orders; import _ "`+root+`catalog"`, "imports catalog"),
		Entry("even one nested deeper", "orders/service.go", `package orders; import _ "`+root+`catalog/media"`, "imports catalog/media"),
		Entry("even one that is named like a contract", "orders/service.go", `package orders; import _ "`+root+`catalog/catalogapi/insides"`, "imports catalog/catalogapi/insides"),
		Entry("even in a spec", "orders/service_test.go", `package orders; import _ "`+root+`catalog"`, "imports catalog"),
		Entry("a contract that imports the platform", "orders/ordersapi/events.go", `package ordersapi; import _ "`+root+`platform/db"`, "a contract imports platform/db"),
		Entry("a contract that imports another", "orders/ordersapi/events.go", `package ordersapi; import _ "`+root+`catalog/catalogapi"`, "a contract imports catalog/catalogapi"),
		Entry("a contract that imports a library", "orders/ordersapi/events.go", `package ordersapi; import _ "github.com/google/uuid"`, "a contract imports github.com/google/uuid"),
		Entry("a contract whose specs need more than its schemas", "orders/ordersapi/events_test.go", `package ordersapi_test; import _ "`+root+`platform/testkit"`, "a contract imports platform/testkit"),
		Entry("a platform that knows a module", "platform/app/app.go", `package app; import _ "`+root+`orders/ordersapi"`, "the platform imports orders/ordersapi"),
		Entry("a platform that knows a module's tables", "platform/app/app.go", "package app; const q = `select count(*) from catalog.product`", "touches the schema catalog"),
		Entry("a library that belongs behind the platform", "orders/store.go", `package orders; import _ "github.com/jmoiron/sqlx"`, "imports github.com/jmoiron/sqlx"),
		Entry("a database driver", "orders/store.go", `package orders; import _ "github.com/lib/pq"`, "imports github.com/lib/pq"),
		Entry("a database connection of a module's own", "orders/store.go", `package orders; import _ "database/sql"`, "imports database/sql"),
		Entry("a root package that shows more than it should", "orders/service.go", `package orders; func Place() {}`, "exports Place"),
		Entry("a type that is shown", "orders/order.go", `package orders; type Order struct{}`, "exports Order"),
		Entry("a variable that is shown", "orders/order.go", `package orders; var Limit = 3`, "exports Limit"),
		Entry("SQL on a neighbour's schema", "orders/store.go", "package orders; const q = `select 1 from catalog.product`", "touches the schema catalog"),
		Entry("SQL on a neighbour's schema beside its own", "orders/store.go", "package orders; const q = `select 1 from orders.line l, catalog.product p`", "touches the schema catalog"),
		Entry("SQL that calls a neighbour's function", "orders/store.go", "package orders; const q = `select catalog.price($1)`", "touches the schema catalog"),
		Entry("SQL in quotation marks", "orders/store.go", "package orders; const q = `select 1 from \"catalog\".product`", "touches the schema catalog"),
		Entry("SQL that is put together", "orders/store.go", "package orders; const q = `select 1 from ` + `catalog.product`", "touches the schema catalog"),
		Entry("SQL on the platform's schema", "orders/store.go", "package orders; const q = `delete from platform.event`", "touches the schema platform"),
		Entry("SQL on a schema of nobody's", "orders/store.go", "package orders; const q = `delete from pg_catalog.pg_class`", "touches the schema pg_catalog"),
		Entry("a transaction across merchants", "orders/service.go", `package orders; func (s *service) f() { s.db.Across(nil, nil) }`, "calls Across"),
		Entry("a transaction that acts for another merchant", "orders/service.go", `package orders; func f(tx *db.Tx) { tx.For(nil, other, nil) }`, "calls For"),
		Entry("a transaction that becomes another merchant's", "orders/service.go", `package orders; func f(tx *db.Tx) { tx.As(nil, other) }`, "calls As"),
		Entry("a transaction that goes back to all merchants", "orders/service.go", `package orders; func f(tx *db.Tx) { tx.EndAs(nil) }`, "calls EndAs"),
		Entry("a transaction that undoes its way to all merchants", "orders/service.go", `package orders; func f(tx *db.Tx) { tx.UndoAs(nil, 0) }`, "calls UndoAs"),
		Entry("such a way that is kept for later", "orders/service.go", `package orders; func f(tx *db.Tx) any { return tx.For }`, "calls For"),
		Entry("SQL that chooses another merchant", "orders/store.go", "package orders; const q = `select set_config('app.tenant_id', $1, true)`", "sets app.tenant_id"),
		Entry("SQL that looks at all merchants", "orders/store.go", "package orders; const q = `set local \"app\".all_` + `tenants = 'on'`", "sets app.all_tenants"),
		Entry("a way around transactions", "orders/service.go", `package orders; func (s *service) f() { s.db.Pool() }`, "calls Pool"),
		Entry("another way around them", "orders/service.go", `package orders; func (s *service) f() { db.Query[int](nil, s.db, "select 1") }`, "calls db.Query"),
		Entry("a float near money", "orders/order.go", `package orders; var rate float64`, "uses float64"),
		Entry("a float in money", "platform/money/money.go", `package money; type Amount float32`, "uses float32"),
	)

	DescribeTable("has nothing against", func(path, source string) {
		house := fstest.MapFS{path: {Data: []byte(source)}, "catalog/module.go": {Data: []byte(`package catalog`)}}
		Expect(violations(house)).To(BeEmpty())
	},
		Entry("a neighbour's contract", "orders/service.go", `package orders; import _ "`+root+`catalog/catalogapi"`),
		Entry("the platform", "orders/service.go", `package orders; import _ "`+root+`platform/db"`),
		Entry("money in a contract", "orders/ordersapi/events.go", `package ordersapi; import _ "`+root+`platform/money"`),
		Entry("schemas in a contract's specs", "orders/ordersapi/events_test.go", `package ordersapi_test; import (_ "`+root+`platform/eventschema/eventspec"; _ "github.com/onsi/ginkgo/v2")`),
		Entry("an interface that a module asks for, its constructor and itself", "orders/module.go", `package orders; type Offers interface{ Offers() }; type Module struct{}; func New() *Module { return nil }; func (*Module) Name() string { return "" }`),
		Entry("an error that is looked for", "orders/service.go", `package orders; func f(err error) bool { var refused *fault.Error; return errors.As(err, &refused) }`),
		Entry("one merchant's moment", "orders/service.go", `package orders; func (s *service) f() { s.db.Snapshot(nil, nil) }`),
		Entry("SQL on a module's own schema", "orders/store.go", "package orders; const q = `select o.id, l.sku from orders.orders o, orders.line l`"),
		Entry("a neighbour's name in a sentence or an event", "orders/events.go", "package orders; const q = `catalog.product: select one from the list`; const e = `catalog.price`"),
		Entry("SQL of any kind in a spec", "orders/store_test.go", "package orders; const q = `delete from platform.event`"),
	)
})

// behind are the libraries that only the platform may know.
var behind = []string{
	"github.com/labstack/echo", "github.com/danielgtaylor/huma", "github.com/ThreeDotsLabs/watermill", "github.com/jmoiron/sqlx", "github.com/lib/pq",
	"github.com/golang-migrate", "github.com/knadh/koanf", "database/sql",
}

var (
	statement = regexp.MustCompile(`(?is)^\s*(?:/\*.*?\*/\s*)?(?:select|insert\s+into|update|delete\s+from|with|lock|merge|truncate|copy|create|alter|drop|do)\s`)
	// relation follows a word that only a relation can follow, anywhere in a text.
	relation = regexp.MustCompile(`(?i)\b(?:from|join|into|update|table|references)\s+"?([a-z_]+)"?\."?[a-z_]`)
	// settings say whose rows a transaction sees.
	settings = regexp.MustCompile(`(?i)\bapp"?\."?(tenant_id|all_tenants)\b`)
	// qualified is any name with a point in front.
	qualified = regexp.MustCompile(`(?i)"?\b([a-z_]+)"?\."?[a-z_]`)
)

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

// violations names every place that breaks a rule, once. Specs may do more than what they
// test, but know no more.
func violations(house fs.FS) (found []string) {
	modules := moduleFolders(house)
	Expect(fs.WalkDir(house, ".", func(path string, d fs.DirEntry, err error) error {
		module, _, nested := strings.Cut(path, "/")
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || !nested || module == "tools" {
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
		report := func(format string, args ...any) {
			if v := path + " " + fmt.Sprintf(format, args...); !slices.Contains(found, v) {
				found = append(found, v)
			}
		}
		imports(module, path, file, report)
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		statements(module, modules, file, report)
		if module != "platform" {
			exports(module, path, file, report)
			calls(file, report)
		}
		if module != "platform" || strings.HasPrefix(path, "platform/money/") {
			floats(file, report)
		}
		return nil
	})).To(Succeed())
	return found
}

func imports(module, path string, file *ast.File, report func(string, ...any)) {
	contract, spec := strings.HasPrefix(path, module+"/"+module+"api/"), strings.HasSuffix(path, "_test.go")
	for _, i := range file.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		Expect(err).NotTo(HaveOccurred())
		inside, ours := strings.CutPrefix(name, root)
		target, sub, _ := strings.Cut(inside, "/")
		switch {
		case contract && spec && (strings.HasPrefix(name, "github.com/onsi/") || strings.HasPrefix(inside, "platform/eventschema") || inside == module+"/"+module+"api"):
		case contract && ours && inside != "platform/money", contract && !ours && strings.Contains(name, "."):
			report("a contract imports %s", strings.TrimPrefix(name, root))
		case module == "platform" && ours && target != "platform":
			report("the platform imports %s", inside)
		case module != "platform" && !ours && !spec && slices.ContainsFunc(behind, func(b string) bool { return strings.HasPrefix(name, b) }):
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

// statements may name their module's own schema only; the platform's, no module's.
func statements(module string, modules []string, file *ast.File, report func(string, ...any)) {
	foreign := func(name string) bool {
		return name != module && (slices.Contains(modules, name) || name == "platform" || name == "migrations")
	}
	for _, text := range texts(file) {
		if module != "platform" {
			for _, m := range settings.FindAllStringSubmatch(text, -1) {
				report("sets app.%s", strings.ToLower(m[1]))
			}
			for _, m := range relation.FindAllStringSubmatch(text, -1) {
				if m[1] != module {
					report("touches the schema %s", m[1])
				}
			}
		}
		if !statement.MatchString(text) {
			continue
		}
		for _, m := range qualified.FindAllStringSubmatch(text, -1) {
			if foreign(m[1]) && (module != "platform" || slices.Contains(modules, m[1])) {
				report("touches the schema %s", m[1])
			}
		}
	}
}

// texts are the strings of a file, those that are put together as one. What is not
// known before the program runs is a blank.
func texts(file *ast.File) (all []string) {
	var read func(n ast.Node) bool
	var text func(e ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
				return s
			}
		case *ast.BinaryExpr:
			if e.Op == token.ADD {
				return text(e.X) + text(e.Y)
			}
		case *ast.ParenExpr:
			return text(e.X)
		}
		ast.Inspect(e, read)
		return " "
	}
	read = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				all = append(all, text(n))
			}
		case *ast.BinaryExpr:
			if n.Op == token.ADD {
				all = append(all, text(n))
				return false
			}
		}
		return true
	}
	ast.Inspect(file, read)
	return all
}

// calls of a module go to the database through a merchant's transaction.
func calls(file *ast.File, report func(string, ...any)) {
	ast.Inspect(file, func(n ast.Node) bool {
		if n, ok := n.(*ast.SelectorExpr); ok {
			pkg, _ := n.X.(*ast.Ident)
			switch {
			case pkg != nil && pkg.Name == "errors" && n.Sel.Name == "As":
			case slices.Contains([]string{"Across", "For", "As", "EndAs", "UndoAs", "Pool"}, n.Sel.Name):
				report("calls %s", n.Sel.Name)
			case pkg != nil && pkg.Name == "db" && n.Sel.Name == "Query":
				report("calls db.Query")
			}
		}
		return true
	})
}

func floats(file *ast.File, report func(string, ...any)) {
	ast.Inspect(file, func(n ast.Node) bool {
		if n, ok := n.(*ast.Ident); ok && (n.Name == "float64" || n.Name == "float32") {
			report("uses %s", n.Name)
		}
		return true
	})
}
