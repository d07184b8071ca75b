package orders

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestOrders(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	RunSpecs(t, "orders")
}

var _ = AfterSuite(testkit.Close)

// always checks a rule on many generated cases and reports the smallest that breaks it.
// The rule asserts with its own g: the suite's Expect would end the search at the first
// failure.
func always(rule func(t *rapid.T, g Gomega)) {
	GinkgoHelper()
	rapid.Check(GinkgoT(), func(t *rapid.T) { rule(t, NewWithT(t)) })
}
