package money

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// inexact lists what could bring a float into a source file: float and complex
// types and literals, anything named after floats (strconv.ParseFloat,
// big.Float), math/big and math/cmplx, and all of math except its integer limits
// (math.Pow10(2) is a float that names none).
func inexact(file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if name := strings.ToLower(n.Name); strings.Contains(name, "float") || strings.Contains(name, "complex") {
				found = append(found, n.Name)
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				found = append(found, n.Value)
			}
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "math" && !strings.Contains(n.Sel.Name, "Int") {
				found = append(found, "math."+n.Sel.Name)
			}
		case *ast.ImportSpec:
			path, _ := strconv.Unquote(n.Path.Value)
			renamed := n.Name != nil && path == "math"
			if path == "math/big" || path == "math/cmplx" || renamed {
				found = append(found, n.Path.Value)
			}
		}
		return true
	})
	return found
}

var _ = Describe("the source of this package", func() {
	var files map[string]*ast.File

	BeforeEach(func() {
		names, err := filepath.Glob("*.go")
		Expect(err).NotTo(HaveOccurred())
		files = map[string]*ast.File{}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, 0)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(files).To(HaveKey("money.go"))
	})

	It("keeps floats away from money", func() {
		for name, file := range files {
			Expect(inexact(file)).To(BeEmpty(), name)
		}
	})

	It("imports the standard library alone, so that every module's contract may import it", func() {
		for name, file := range files {
			for _, spec := range file.Imports {
				first, _, _ := strings.Cut(strings.Trim(spec.Path.Value, `"`), "/")
				Expect(first).NotTo(ContainSubstring("."), "%s imports %s", name, spec.Path.Value)
			}
		}
	})

	DescribeTable("would be caught with", func(imports, body string) {
		source := fmt.Sprintf("package p\nimport %s\nfunc f() { %s }", imports, body)
		file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(inexact(file)).NotTo(BeEmpty())
	},
		Entry("a float type", `"fmt"`, `var price float64; fmt.Print(price)`),
		Entry("a conversion", `"fmt"`, `fmt.Print(float32(1))`),
		Entry("a literal", `"fmt"`, `fmt.Print(29.99)`),
		Entry("an exponent", `"fmt"`, `fmt.Print(1e2)`),
		Entry("a complex number", `"fmt"`, `var z complex128; fmt.Print(z)`),
		Entry("an imaginary number", `"fmt"`, `fmt.Print(2i)`),
		Entry("parsing", `"strconv"`, `strconv.ParseFloat("1", 64)`),
		Entry("a function of math that returns one", `"math"`, `_ = int64(math.Pow10(2))`),
		Entry("math under another name", `m "math"`, `_ = int64(m.Pow10(2))`),
		Entry("big floats", `"math/big"`, `_ = new(big.Float)`),
	)
})
