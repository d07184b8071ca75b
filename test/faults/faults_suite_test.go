// Package faults_test breaks the program the way machines do and asks an auditor what is
// left. FUSION_FAULTS=full runs everything at full size; without it the same specs run
// in a size that suits every build.
package faults_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/test/faults/lab"
)

func TestFaults(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	RunSpecs(t, "faults")
}

// full is the size of a night, not of a build.
var full = os.Getenv("FUSION_FAULTS") == "full"

// sized chooses between the two presets.
func sized[T any](short, long T) T {
	if full {
		return long
	}
	return short
}

// workshop holds the program and the prepared data that labs are copies of.
var workshop string

func binary() string { return filepath.Join(workshop, "fusion") }

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	dir, err := os.MkdirTemp("", "fusion-faults-")
	Expect(err).NotTo(HaveOccurred())
	workshop = dir
	// A program that was built with a fault in it can be put in the place of the real one:
	// the specs must fail then.
	for program, mutant := range map[string]string{
		"cmd/fusion": os.Getenv("FUSION_FAULTS_BINARY"), "test/faults/consumer": os.Getenv("FUSION_FAULTS_CONSUMER"),
	} {
		if mutant != "" {
			Expect(os.Symlink(mutant, filepath.Join(dir, filepath.Base(program)))).To(Succeed())
			continue
		}
		Expect(lab.Build(ctx, program, dir)).To(Succeed())
	}
	Expect(lab.Sweep(ctx)).To(Succeed())
	Expect(lab.Prepare(ctx, binary(), dir)).To(Succeed())
	return []byte(dir)
}, func(dir []byte) { workshop = string(dir) })

var _ = SynchronizedAfterSuite(func() {}, func() {
	Expect(os.RemoveAll(workshop)).To(Succeed())
})
