package inventoryapi_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestInventoryAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "inventoryapi")
}
