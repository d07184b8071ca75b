package kafkakit_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestKafkaKit(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "kafkakit")
}
