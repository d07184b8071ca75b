// Package model_test holds the program to a model of the order: whatever is done to an order, in
// whatever sequence, the modules together say of it what a page of arithmetic says.
//
// FUSION_FAULTS=full tries as many sequences as a night has room for; Ginkgo's --seed repeats
// those of a run, and FUSION_MODEL_SEED a single one.
package model_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestModel(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	RunSpecs(t, "the model of the order")
}

var _ = AfterSuite(testkit.Close)
