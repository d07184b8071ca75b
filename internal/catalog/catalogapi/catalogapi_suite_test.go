package catalogapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestCatalogAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "catalogapi")
}
