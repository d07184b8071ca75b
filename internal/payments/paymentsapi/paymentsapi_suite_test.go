package paymentsapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestPaymentsAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "paymentsapi")
}
