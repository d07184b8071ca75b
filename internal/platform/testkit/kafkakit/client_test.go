package kafkakit_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"

	"github.com/IBM/sarama"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/xdg-go/scram"

	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

// careful is a client that has a message on a majority of the brokers before it calls it
// sent, and that outlives the loss of one.
func careful() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Net.MaxOpenRequests = 1
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 600, 100*time.Millisecond
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = 600, 100*time.Millisecond
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	return c
}

// withTLS trusts the authority of a secure cluster.
func withTLS(c *sarama.Config, k *kafkakit.Cluster) *sarama.Config {
	GinkgoHelper()
	ca, err := os.ReadFile(k.CertificateAuthority())
	Expect(err).NotTo(HaveOccurred())
	trusted := x509.NewCertPool()
	Expect(trusted.AppendCertsFromPEM(ca)).To(BeTrue())
	c.Net.TLS.Enable = true
	c.Net.TLS.Config = &tls.Config{RootCAs: trusted}
	return c
}

// as says who it is, once: what is refused stays refused.
func as(c *sarama.Config, mechanism sarama.SASLMechanism, user, password string) *sarama.Config {
	c.Metadata.Retry.Max = 0
	c.Net.SASL.Enable = true
	c.Net.SASL.Mechanism, c.Net.SASL.User, c.Net.SASL.Password = mechanism, user, password
	c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{mechanism: mechanism} }
	return c
}

// conversation is SCRAM as sarama asks for it.
type conversation struct {
	*scram.ClientConversation
	mechanism sarama.SASLMechanism
}

func (c *conversation) Begin(user, password, authorization string) error {
	hash := scram.HashGeneratorFcn(sha512.New)
	if c.mechanism == sarama.SASLTypeSCRAMSHA256 {
		hash = sha256.New
	}
	client, err := hash.NewClient(user, password, authorization)
	if err == nil {
		c.ClientConversation = client.NewConversation()
	}
	return err
}

// newTopic with as many copies as there are brokers, up to three.
func newTopic(addresses []string, c *sarama.Config, partitions int32) string {
	GinkgoHelper()
	const name = "facts"
	admin, err := sarama.NewClusterAdmin(addresses, c)
	Expect(err).NotTo(HaveOccurred())
	defer admin.Close()
	Expect(admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: -1}, false)).To(Succeed())
	return name
}

// send returns when a majority has the message.
func send(p sarama.SyncProducer, topic string, partition int32, value string) error {
	_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(value)})
	return err
}

// read returns the messages of a partition from its beginning, until it is read to the end.
func read(client sarama.Client, topic string, partition int32) []string {
	GinkgoHelper()
	var end int64
	Eventually(func() (err error) {
		end, err = client.GetOffset(topic, partition, sarama.OffsetNewest)
		return err
	}, kafkakit.Patience).Should(Succeed())
	consumer, err := sarama.NewConsumerFromClient(client)
	Expect(err).NotTo(HaveOccurred())
	defer consumer.Close()
	messages, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	Expect(err).NotTo(HaveOccurred())
	defer messages.Close()
	var values []string
	for next := int64(0); next < end; {
		var m *sarama.ConsumerMessage
		Eventually(messages.Messages(), kafkakit.Patience).Should(Receive(&m))
		values, next = append(values, string(m.Value)), m.Offset+1
	}
	return values
}
