package shipping

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestShipping(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "shipping")
}

var _ = AfterSuite(testkit.Close)
