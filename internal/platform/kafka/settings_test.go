package kafka_test

import (
	"os"
	"path/filepath"

	"github.com/IBM/sarama"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/fusioncommerce/fusion/internal/platform/kafka"
)

var _ = Describe("the settings", func() {
	settings := func(o kafka.Options) *sarama.Config {
		GinkgoHelper()
		c, err := o.Settings()
		Expect(err).NotTo(HaveOccurred())
		return c
	}

	DescribeTable("lose nothing:", func(of func(*sarama.Config) any, must types.GomegaMatcher) {
		Expect(of(settings(kafka.Options{}))).To(must)
	},
		Entry("a message is there when all copies in sync have it", func(c *sarama.Config) any { return c.Producer.RequiredAcks }, Equal(sarama.WaitForAll)),
		Entry("a message that is sent again is written once", func(c *sarama.Config) any { return c.Producer.Idempotent }, BeTrue()),
		Entry("a message that is sent again does not pass the next one", func(c *sarama.Config) any { return c.Net.MaxOpenRequests }, Equal(1)),
		Entry("a leader may be elected meanwhile", func(c *sarama.Config) any { return c.Producer.Retry.Max }, BeNumerically(">=", 10)),
		Entry("what became of a message is told", func(c *sarama.Config) any { return c.Producer.Return.Successes && c.Producer.Return.Errors }, BeTrue()),
		Entry("a new consumer begins at the beginning", func(c *sarama.Config) any { return c.Consumer.Offsets.Initial }, Equal(sarama.OffsetOldest)),
		Entry("a topic is not made by asking for it, without copies", func(c *sarama.Config) any { return c.Metadata.AllowAutoTopicCreation }, BeFalse()),
		Entry("those who share a topic keep what they have", func(c *sarama.Config) any { return c.Consumer.Group.Rebalance.GroupStrategies },
			ConsistOf(HaveField("Name()", sarama.StickyBalanceStrategyName))),
	)

	It("give each group a planner of its own, which notes what it moves", func() {
		shared := settings(kafka.Options{})
		one, other := kafka.ForOneGroup(shared), kafka.ForOneGroup(shared)
		Expect(one.Consumer.Group.Rebalance.GroupStrategies[0]).NotTo(BeIdenticalTo(other.Consumer.Group.Rebalance.GroupStrategies[0]))
		Expect(one.Consumer.Group.Rebalance.GroupStrategies[0].Name()).To(Equal(sarama.StickyBalanceStrategyName))
	})

	It("give one key one partition", func() {
		p := settings(kafka.Options{}).Producer.Partitioner("order.created")
		Expect(p.RequiresConsistency()).To(BeTrue())
		of := func(key string) int32 {
			GinkgoHelper()
			n, err := p.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(key)}, 12)
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		partitions := map[int32]bool{}
		for key := range 100 {
			first := of(string(rune('A' + key)))
			Expect(of(string(rune('A' + key)))).To(Equal(first))
			partitions[first] = true
		}
		Expect(len(partitions)).To(BeNumerically(">", 6), "and the keys are spread")
	})

	It("begin the name of a consumer's group with the shop's prefix", func() {
		Expect(kafka.Options{}.GroupOf("inventory.reserve-for-order", "0199c1de-0000-7000-8000-000000000000")).To(Equal("inventory.reserve-for-order.0199c1de"))
		Expect(kafka.Options{Prefix: "eu."}.GroupOf("inventory.reserve-for-order", "0199c1de-0000-7000-8000-000000000000")).To(Equal("eu.inventory.reserve-for-order.0199c1de"))
	})

	DescribeTable("are refused with a sentence that names the setting", func(o kafka.Options, sentence string) {
		_, err := kafka.New(o, nil)
		Expect(err).To(MatchError(ContainSubstring(sentence)))
	},
		Entry("a mechanism that is none", kafka.Options{SASL: "gssapi", User: "u", Password: "p"}, `kafka.sasl: "gssapi" is none of [plain scram-sha-256 scram-sha-512]`),
		Entry("an authority that is not there", kafka.Options{TLS: true, CAFile: "/nowhere/ca.pem"}, "kafka.ca_file: open /nowhere/ca.pem: no such file"),
		Entry("a certificate that is not there", kafka.Options{TLS: true, CertFile: "/nowhere/us.pem", KeyFile: "/nowhere/us.key"}, "kafka.cert_file and kafka.key_file: open /nowhere/us.pem"),
	)

	It("are refused when the authority is no certificate", func() {
		file := filepath.Join(GinkgoT().TempDir(), "ca.pem")
		Expect(os.WriteFile(file, []byte("not a certificate"), 0o600)).To(Succeed())
		_, err := kafka.New(kafka.Options{TLS: true, CAFile: file}, nil)
		Expect(err).To(MatchError("kafka.ca_file: " + file + " holds no certificate in PEM form"))
	})
})
