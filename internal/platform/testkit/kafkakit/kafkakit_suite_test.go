package kafkakit_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

func TestKafkaKit(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(kafkakit.Patience)
	RunSpecs(t, "kafkakit")
}
