package kafka_test

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/IBM/sarama"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// published are the types of the facts that the modules have schemas for.
func published() []string {
	GinkgoHelper()
	files, err := filepath.Glob(filepath.Join("..", "..", "*", "*api", "schemas", "*.json"))
	Expect(err).NotTo(HaveOccurred())
	Expect(files).NotTo(BeEmpty())
	version := regexp.MustCompile(`\.v\d+\.json$`)
	var types []string
	for _, f := range files {
		types = append(types, version.ReplaceAllString(filepath.Base(f), ""))
	}
	return types
}

var _ = Describe("the declared topics", func() {
	declared := func() kafka.Declared {
		GinkgoHelper()
		d, err := kafka.Topics()
		Expect(err).NotTo(HaveOccurred())
		return d
	}

	It("are one for each type of fact that a module publishes, and no other but the one for what is no fact", func() {
		topics := declared().Topics
		for _, t := range published() {
			Expect(topics).To(HaveKey(t))
			delete(topics, t)
		}
		delete(topics, event.Unreadable)
		Expect(topics).To(BeEmpty(), "nobody publishes these")
	})

	It("have the partitions that integrations were promised", func() {
		d := declared()
		for topic := range d.Topics {
			want := int32(6)
			switch {
			case strings.HasPrefix(topic, "order."), strings.HasPrefix(topic, "payment."), topic == "inventory.reserved":
				want = 12
			case topic == event.Unreadable:
				want = 1
			}
			Expect(d.PartitionsOf(topic)).To(Equal(want), topic)
		}
	})

	It("are kept for ever, and not led by a copy that lacks something", func() {
		Expect(declared().Config).To(And(
			HaveKeyWithValue("cleanup.policy", "delete"), HaveKeyWithValue("retention.ms", "-1"), HaveKeyWithValue("unclean.leader.election.enable", "false")))
	})

	It("carry facts, but for the one for what is no fact", func() {
		k, err := kafka.New(kafka.Options{}, testkit.Log())
		Expect(err).NotTo(HaveOccurred())
		Expect(k.Topics()).To(And(ContainElement("order.created"), Not(ContainElement(event.Unreadable)), HaveLen(len(declared().Topics)-1)))
	})
})

var _ = DescribeTable("the copies of a topic", func(wanted, brokers, copies int) {
	Expect(kafka.Copies(wanted, brokers)).To(Equal(copies))
},
	Entry("are three", 0, 3, 3),
	Entry("are three among many brokers", 0, 12, 3),
	Entry("are two when there are two brokers", 0, 2, 2),
	Entry("are one when there is one broker", 0, 1, 1),
	Entry("are one when no broker names itself", 0, 0, 1),
	Entry("are as many as wanted", 5, 6, 5),
	Entry("are as few as wanted", 1, 6, 1),
	Entry("are as many as wanted even if there are too few brokers, which refuse", 3, 1, 3),
)

var _ = Describe("the topics on a cluster", func() {
	// own are the settings that a topic itself has, not the broker.
	own := func(admin sarama.ClusterAdmin, topic string) map[string]string {
		GinkgoHelper()
		all, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}}, sarama.DescribeConfigsOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveExactElements(HaveField("ErrorCode", sarama.ErrNoError)))
		settings := map[string]string{}
		for _, e := range all[0].Configs {
			if e.Source == sarama.SourceTopic {
				settings[e.Name] = e.Value
			}
		}
		return settings
	}

	It("are made as declared, once, and missed until then", func(ctx SpecContext) {
		name := prefix()
		k := carrier(kafka.Options{Brokers: cluster.Plain, Prefix: name})
		Expect(k.Check(ctx)).To(MatchError(kafka.ErrMissing))
		Expect(k.Prepare(ctx)).To(Succeed())
		Eventually(k.Check).WithContext(ctx).Should(Succeed())
		Expect(k.Prepare(ctx)).To(Succeed(), "again")

		admin := administrator()
		there, err := admin.ListTopics()
		Expect(err).NotTo(HaveOccurred())
		for topic, partitions := range map[string]int32{"parcel.moved": 12, "parcel.lost": 6, event.Unreadable: 1} {
			Expect(there[name+topic]).To(And(HaveField("NumPartitions", partitions), HaveField("ReplicationFactor", int16(1))), topic)
			Expect(own(admin, name+topic)).To(And(HaveKeyWithValue("retention.ms", "-1"), HaveKeyWithValue("min.insync.replicas", "1")), topic)
		}
	})

	It("are left as they are when they are there", func(ctx SpecContext) {
		name := prefix()
		hour := "3600000"
		admin := administrator()
		Expect(admin.CreateTopic(name+"parcel.lost", &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &hour}}, false)).To(Succeed())
		k := carrier(kafka.Options{Brokers: cluster.Plain, Prefix: name})
		Eventually(k.Check).WithContext(ctx).Should(MatchError(kafka.ErrMissing))
		Expect(k.Prepare(ctx)).To(Succeed())
		Eventually(k.Check).WithContext(ctx).Should(Succeed())
		there, err := admin.ListTopics()
		Expect(err).NotTo(HaveOccurred())
		Expect(there[name+"parcel.lost"].NumPartitions).To(BeEquivalentTo(2))
		Expect(own(admin, name+"parcel.lost")).To(Equal(map[string]string{"retention.ms": hour}))
		Expect(there[name+"parcel.moved"].NumPartitions).To(BeEquivalentTo(12))
	})

	It("cannot be made with more copies than there are brokers, which is said", func(ctx SpecContext) {
		name := prefix()
		k := carrier(kafka.Options{Brokers: cluster.Plain, Prefix: name, Replication: 3})
		Expect(k.Prepare(ctx)).To(MatchError(And(ContainSubstring("make topic "+name), ContainSubstring("with 3 copies"))))
	})

	It("are on three of many brokers, two of which have a message before it counts", func(ctx SpecContext) {
		many, err := kfake.NewCluster(kfake.NumBrokers(4))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(many.Close)
		k := carrier(kafka.Options{Brokers: many.ListenAddrs()})
		Expect(k.Prepare(ctx)).To(Succeed())
		admin, err := sarama.NewClusterAdmin(many.ListenAddrs(), nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(admin.Close)
		there, err := admin.ListTopics()
		Expect(err).NotTo(HaveOccurred())
		Expect(there["parcel.moved"].ReplicationFactor).To(BeEquivalentTo(3))
		Expect(own(admin, "parcel.moved")).To(HaveKeyWithValue("min.insync.replicas", "2"))
	})
})
