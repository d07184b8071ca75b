package easypost

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestEasyPost(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "easypost")
}
