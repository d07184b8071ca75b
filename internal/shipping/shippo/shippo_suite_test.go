package shippo

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestShippo(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "shippo")
}
