package kafkakit_test

import (
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"github.com/IBM/sarama"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

var _ = Describe("a cluster of three brokers", Ordered, func() {
	var (
		kafka *kafkakit.Cluster
		topic string
	)

	BeforeAll(func() {
		kafka = kafkakit.Start(3)
		topic = newTopic(kafka.Brokers(), careful(), 3)
	})

	open := func() sarama.Client {
		GinkgoHelper()
		client, err := sarama.NewClient(kafka.Brokers(), careful())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Close)
		return client
	}

	It("loses no message when it loses the broker that leads, and takes further ones", func() {
		client := open()
		leader, err := client.Leader(topic, 0)
		Expect(err).NotTo(HaveOccurred())

		const each = 300
		var sent atomic.Int32
		done := make(chan error, 3)
		for partition := range int32(3) {
			producer, err := sarama.NewSyncProducerFromClient(client)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(producer.Close)
			go func() {
				for n := range each {
					if err := send(producer, topic, partition, fmt.Sprint(n)); err != nil {
						done <- err
						return
					}
					sent.Add(1)
				}
				done <- nil
			}()
		}
		Eventually(sent.Load, kafkakit.Patience, "1ms").Should(BeNumerically(">", 100))
		kafka.KillBroker(int(leader.ID()))
		Expect(sent.Load()).To(BeNumerically("<", 3*each), "the broker was lost while messages were sent")
		for range 3 {
			Eventually(done, kafkakit.Patience).Should(Receive(Succeed()))
		}

		var all []string
		for n := range each {
			all = append(all, fmt.Sprint(n))
		}
		Expect(client.RefreshMetadata()).To(Succeed())
		for partition := range int32(3) {
			Expect(client.Leader(topic, partition)).NotTo(HaveField("ID()", leader.ID()))
			Expect(read(client, topic, partition)).To(Equal(all))
		}

		kafka.StartBroker(int(leader.ID()))
		inSync := func() ([]int32, error) {
			if err := client.RefreshMetadata(topic); err != nil {
				return nil, err
			}
			return client.InSyncReplicas(topic, 0)
		}
		Eventually(inSync, kafkakit.Patience, "50ms").Should(ConsistOf(int32(0), int32(1), int32(2)))
	})

	It("lets a broker hand over and come back where it was", func() {
		before := kafka.Brokers()
		kafka.StopBroker(1)
		client := open()
		Eventually(func() ([]int32, error) {
			if err := client.RefreshMetadata(topic); err != nil {
				return nil, err
			}
			return client.InSyncReplicas(topic, 0)
		}, kafkakit.Patience, "50ms").Should(ConsistOf(int32(0), int32(2)))
		kafka.StartBroker(1)
		Expect(kafka.Brokers()).To(Equal(before))
	})
})

var _ = Describe("a single broker", func() {
	It("has its messages after a power cut", func() {
		kafka := kafkakit.Start(1)
		topic := newTopic(kafka.Brokers(), careful(), 1)
		client, err := sarama.NewClient(kafka.Brokers(), careful())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Close)
		producer, err := sarama.NewSyncProducerFromClient(client)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(producer.Close)
		Expect(send(producer, topic, 0, "before")).To(Succeed())

		kafka.KillBroker(0)
		impatient := careful()
		impatient.Metadata.Retry.Max = 0
		_, err = sarama.NewClient(kafka.Brokers(), impatient)
		Expect(err).To(MatchError(sarama.ErrOutOfBrokers))

		kafka.StartBroker(0)
		Expect(send(producer, topic, 0, "after")).To(Succeed())
		Expect(read(client, topic, 0)).To(Equal([]string{"before", "after"}))
	})
})

var _ = Describe("a secure broker", Ordered, func() {
	var kafka *kafkakit.Cluster

	BeforeAll(func() { kafka = kafkakit.Secure(1) })

	connect := func(addresses []string, c *sarama.Config) error {
		client, err := sarama.NewClient(addresses, c)
		if err == nil {
			DeferCleanup(client.Close)
			_, err = client.Topics()
		}
		return err
	}

	DescribeTable("lets in who knows the password, and nobody else, by", func(mechanism sarama.SASLMechanism) {
		Expect(connect(kafka.SASL(), as(withTLS(careful(), kafka), mechanism, kafkakit.User, kafkakit.Password))).To(Succeed())
		for _, stranger := range [][2]string{{kafkakit.User, "guess"}, {"stranger", kafkakit.Password}} {
			err := connect(kafka.SASL(), as(withTLS(careful(), kafka), mechanism, stranger[0], stranger[1]))
			Expect(err).To(MatchError(sarama.ErrSASLAuthenticationFailed))
		}
	},
		Entry("SCRAM-SHA-512", sarama.SASLMechanism(sarama.SASLTypeSCRAMSHA512)),
		Entry("SCRAM-SHA-256", sarama.SASLMechanism(sarama.SASLTypeSCRAMSHA256)),
		Entry("PLAIN", sarama.SASLMechanism(sarama.SASLTypePlaintext)),
	)

	It("shows a certificate that only those take who trust its authority", func() {
		Expect(connect(kafka.TLS(), withTLS(careful(), kafka))).To(Succeed())

		distrustful := withTLS(careful(), kafka)
		distrustful.Metadata.Retry.Max = 0
		distrustful.Net.TLS.Config.RootCAs = x509.NewCertPool()
		Expect(connect(kafka.TLS(), distrustful)).To(MatchError(ContainSubstring("certificate signed by unknown authority")))
	})
})
