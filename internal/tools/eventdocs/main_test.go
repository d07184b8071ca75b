package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestEventDocs(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "eventdocs")
}

var _ = Describe("docs/events.md", func() {
	root := filepath.Join("..", "..", "..")

	It("is what the schemas say today", func() {
		page, err := render(root)
		Expect(err).NotTo(HaveOccurred())
		kept, err := os.ReadFile(filepath.Join(root, "docs", "events.md"))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(kept)).To(Equal(page), "run make generate")
	})

	It("leaves no module out", func() {
		var ours []string
		for _, m := range modules {
			ours = append(ours, filepath.Join(root, contractOf(m), "schemas"))
		}
		Expect(filepath.Glob(filepath.Join(root, "internal", "*", "*api", "schemas"))).To(ConsistOf(ours))
	})
})
