package apikey_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestAPIKey(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "apikey")
}

var _ = AfterSuite(testkit.Close)
