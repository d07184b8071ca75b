package shippingapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestShippingAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "shippingapi")
}
