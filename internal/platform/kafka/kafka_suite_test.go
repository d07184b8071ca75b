package kafka_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

func TestKafka(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "kafka")
}

// cluster is where the brokers of the suite answer. It is one for all: a broker takes
// seconds to start.
var cluster struct {
	Plain, TLS, SASL []string
	Authority        string
}

var _ = SynchronizedBeforeSuite(func() []byte {
	c := kafkakit.Secure(1)
	cluster.Plain, cluster.TLS, cluster.SASL, cluster.Authority = c.Brokers(), c.TLS(), c.SASL(), c.CertificateAuthority()
	shared, err := json.Marshal(cluster)
	Expect(err).NotTo(HaveOccurred())
	return shared
}, func(shared []byte) {
	Expect(json.Unmarshal(shared, &cluster)).To(Succeed())
})

// parcels are the topics of the specs.
var parcels = kafka.Declared{
	Partitions: 6, Config: map[string]string{"retention.ms": "-1"},
	Topics: map[string]kafka.Topic{"parcel.moved": {Partitions: 12}, "parcel.lost": {}, event.Unreadable: {Partitions: 1}},
}

// prefix gives each spec topics and groups of its own.
func prefix() string { return "s" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] + "." }

func carrier(o kafka.Options) *kafka.Kafka {
	GinkgoHelper()
	k, err := kafka.Carrying(parcels, o, testkit.Log())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(k.Close)
	return k
}

// administrator of the cluster.
func administrator() sarama.ClusterAdmin {
	GinkgoHelper()
	admin, err := sarama.NewClusterAdmin(cluster.Plain, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(admin.Close)
	return admin
}
