package tenantapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestTenantAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "tenantapi")
}
