package groupbuyapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestGroupbuyAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "groupbuyapi")
}
