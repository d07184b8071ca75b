package identityclient_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestIdentityClient(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "identityclient")
}

var _ = AfterSuite(testkit.Close)
