package checkoutapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestCheckoutAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "checkoutapi")
}
