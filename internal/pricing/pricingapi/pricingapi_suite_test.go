package pricingapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestPricingAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "pricingapi")
}
