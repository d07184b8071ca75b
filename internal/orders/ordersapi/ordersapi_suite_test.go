package ordersapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestOrdersAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "ordersapi")
}
