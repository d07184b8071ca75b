package kafka_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

var _ = Describe("a cluster that not everybody may enter", func() {
	secure := func(brokers []string, mechanism, password string) kafka.Options {
		return kafka.Options{
			Brokers: brokers, Prefix: prefix(), TLS: true, CAFile: cluster.Authority,
			SASL: mechanism, User: kafkakit.User, Password: password,
		}
	}

	DescribeTable("lets in who knows the password, and tells who does not that this is why, by", func(ctx SpecContext, mechanism string) {
		k := carrier(secure(cluster.SASL, mechanism, kafkakit.Password))
		Expect(k.Prepare(ctx)).To(Succeed())
		Eventually(func() error { return k.Publish("parcel.moved", parcel("p1", "1")) }).Should(Succeed())

		stranger := carrier(secure(cluster.SASL, mechanism, "guess"))
		for _, refused := range []error{stranger.Check(ctx), stranger.Publish("parcel.moved", parcel("p1", "2"))} {
			Expect(refused).To(MatchError(kafka.ErrStranger))
			Expect(refused).To(MatchError(HavePrefix("the brokers do not accept kafka.user with this kafka.password")))
			Expect(refused).NotTo(MatchError(ContainSubstring("guess")))
			Expect(refused).NotTo(MatchError(event.ErrRefused), "the password may be mended")
		}
	},
		Entry(nil, "scram-sha-512"),
		Entry(nil, "scram-sha-256"),
		Entry(nil, "plain"),
	)

	It("is trusted by who knows its authority, and by nobody else", func(ctx SpecContext) {
		Expect(carrier(secure(cluster.TLS, "", "")).Prepare(ctx)).To(Succeed())
		distrustful := secure(cluster.TLS, "", "")
		distrustful.CAFile = ""
		refused := carrier(distrustful).Prepare(ctx)
		Expect(refused).To(MatchError(ContainSubstring("certificate signed by unknown authority")))
		Expect(refused).NotTo(MatchError(kafka.ErrStranger))
	})

	It("is not waited for longer than the caller does", func(ctx SpecContext) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(silent.Close)
		asking, gaveUp := context.WithCancel(ctx)
		answer := make(chan error, 1)
		go func() { answer <- carrier(kafka.Options{Brokers: []string{silent.Addr().String()}}).Check(asking) }()
		Consistently(answer, "200ms").ShouldNot(Receive())
		gaveUp()
		Eventually(answer).Should(Receive(MatchError(context.Canceled)))
	})
})

// parcel is a message about one.
func parcel(subject, body string) *message.Message {
	m := message.NewMessage("", []byte(body))
	m.Metadata.Set(event.MetadataSubject, subject)
	return m
}

// entry is a message as the cluster keeps it.
type entry struct {
	partition  int32
	key, value string
}

// kept are the messages of a topic as they come, each partition in its order.
func kept(topic string) func() []entry {
	GinkgoHelper()
	consumer, err := sarama.NewConsumer(cluster.Plain, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(consumer.Close)
	partitions, err := consumer.Partitions(topic)
	Expect(err).NotTo(HaveOccurred())
	var (
		mu      sync.Mutex
		entries []entry
	)
	for _, p := range partitions {
		var c sarama.PartitionConsumer
		Eventually(func() (err error) { // a partition that nobody wrote to may not have its leader yet
			c, err = consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
			return err
		}).Should(Succeed())
		DeferCleanup(c.Close)
		go func() {
			for m := range c.Messages() {
				mu.Lock()
				entries = append(entries, entry{m.Partition, string(m.Key), string(m.Value)})
				mu.Unlock()
			}
		}()
	}
	return func() []entry {
		mu.Lock()
		defer mu.Unlock()
		return append([]entry{}, entries...)
	}
}

var _ = Describe("a message", func() {
	var (
		k    *kafka.Kafka
		name string
	)
	BeforeEach(func(ctx SpecContext) {
		name = prefix()
		k = carrier(kafka.Options{Brokers: cluster.Plain, Prefix: name})
		Expect(k.Prepare(ctx)).To(Succeed())
		Eventually(k.Check).WithContext(ctx).Should(Succeed())
	})
	publish := func(messages ...*message.Message) {
		GinkgoHelper()
		Expect(k.Publish("parcel.moved", messages...)).To(Succeed())
	}

	It("has its subject as the key, by which it keeps its place among those of the subject", func() {
		const subjects, each = 8, 25
		var all sync.WaitGroup
		for s := range subjects {
			all.Go(func() {
				defer GinkgoRecover()
				for n := range each {
					publish(parcel(fmt.Sprint("p", s), fmt.Sprint(n)))
				}
			})
		}
		all.Wait()
		entries := kept(name + "parcel.moved")
		Eventually(entries).Should(HaveLen(subjects * each))
		var want []string
		for n := range each {
			want = append(want, fmt.Sprint(n))
		}
		values, partitions := map[string][]string{}, map[string]map[int32]bool{}
		for _, e := range entries() {
			values[e.key] = append(values[e.key], e.value)
			if partitions[e.key] == nil {
				partitions[e.key] = map[int32]bool{}
			}
			partitions[e.key][e.partition] = true
		}
		Expect(values).To(HaveLen(subjects))
		for s := range subjects {
			Expect(values[fmt.Sprint("p", s)]).To(Equal(want))
			Expect(partitions[fmt.Sprint("p", s)]).To(HaveLen(1))
		}
	})

	DescribeTable("that is too large is refused for good, and does not take the next ones with it", func(ctx SpecContext, limit string, size int) {
		small := parcels
		small.Config = map[string]string{"max.message.bytes": limit}
		name := prefix()
		k, err := kafka.Carrying(small, kafka.Options{Brokers: cluster.Plain, Prefix: name}, testkit.Log())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(k.Close)
		Expect(k.Prepare(ctx)).To(Succeed())
		Eventually(func() error { return k.Publish("parcel.moved", parcel("p1", "before")) }).Should(Succeed())
		Expect(k.Publish("parcel.moved", parcel("p1", strings.Repeat("x", size)))).To(MatchError(event.ErrRefused))
		Expect(k.Publish("parcel.moved", parcel("p1", "after"), parcel("p1", "later"))).To(Succeed())
		entries := kept(name + "parcel.moved")
		Eventually(entries).Should(HaveLen(3))
		var values []string
		for _, e := range entries() {
			values = append(values, e.value)
		}
		Expect(values).To(Equal([]string{"before", "after", "later"}))
	},
		Entry("for the program", "10000000", 2<<20),
		Entry("for the brokers", "1000", 2000),
	)

	It("to a topic that is missing is not taken, and is taken once the topic is there", func(ctx SpecContext) {
		other := carrier(kafka.Options{Brokers: cluster.Plain, Prefix: prefix()})
		refused := other.Publish("parcel.moved", parcel("p1", "1"))
		Expect(refused).To(HaveOccurred())
		Expect(refused).NotTo(MatchError(event.ErrRefused))
		Expect(other.Check(ctx)).To(MatchError(kafka.ErrMissing), "the topic was not made by asking for it")
		Expect(other.Prepare(ctx)).To(Succeed())
		Eventually(func() error { return other.Publish("parcel.moved", parcel("p1", "1")) }).Should(Succeed())
	})
})

var _ = Describe("a consumer", func() {
	// hear takes what comes for a consumer.
	hear := func(k *kafka.Kafka, consumer string) func() []string {
		GinkgoHelper()
		s, err := k.Subscriber(consumer, "0199c1de")
		Expect(err).NotTo(HaveOccurred())
		hearing, stop := context.WithCancel(context.Background())
		in, err := s.Subscribe(hearing, "parcel.moved")
		Expect(err).NotTo(HaveOccurred())
		var (
			mu    sync.Mutex
			heard []string
			ended = make(chan struct{})
		)
		go func() {
			defer close(ended)
			for m := range in {
				mu.Lock()
				heard = append(heard, m.Metadata.Get(event.MetadataSubject)+" "+string(m.Payload))
				mu.Unlock()
				m.Ack()
			}
		}()
		DeferCleanup(func() {
			stop()
			Eventually(ended, 2*testkit.Patience).Should(BeClosed())
			Expect(s.Close()).To(Succeed())
		})
		return func() []string {
			mu.Lock()
			defer mu.Unlock()
			return append([]string{}, heard...)
		}
	}

	It("hears its topic from the beginning, in a group of its own", func(ctx SpecContext) {
		name := prefix()
		k := carrier(kafka.Options{Brokers: cluster.Plain, Prefix: name})
		Expect(k.Prepare(ctx)).To(Succeed())
		Eventually(func() error { return k.Publish("parcel.moved", parcel("p1", "1")) }).Should(Succeed())
		shelf, label := hear(k, "shelf.moved"), hear(k, "label.moved")
		Eventually(shelf, 3*testkit.Patience).Should(Equal([]string{"p1 1"}))
		Eventually(label, 3*testkit.Patience).Should(Equal([]string{"p1 1"}))
		Expect(k.Publish("parcel.moved", parcel("p1", "2"))).To(Succeed())
		Eventually(shelf).Should(Equal([]string{"p1 1", "p1 2"}))
		Eventually(label).Should(Equal([]string{"p1 1", "p1 2"}))
		Expect(administrator().ListConsumerGroups()).To(And(HaveKey(name+"shelf.moved.0199c1de"), HaveKey(name+"label.moved.0199c1de")))
	})

	It("waits for a cluster that is away", func(ctx SpecContext) {
		name, address := prefix(), unusedAddress()
		here := carrier(kafka.Options{Brokers: cluster.Plain, Prefix: name})
		Expect(here.Prepare(ctx)).To(Succeed())
		Eventually(func() error { return here.Publish("parcel.moved", parcel("p1", "1")) }).Should(Succeed())
		away := carrier(kafka.Options{Brokers: []string{address}, Prefix: name})
		heard := hear(away, "shelf.moved")
		Expect(away.Check(ctx)).To(MatchError(ContainSubstring("connection refused")))
		Expect(heard()).To(BeEmpty())
		lead(address, cluster.Plain[0])
		Eventually(heard, 3*testkit.Patience).Should(Equal([]string{"p1 1"}))
	})

	It("can be told to stop while it waits", func() {
		s, err := carrier(kafka.Options{Brokers: []string{unusedAddress()}, Prefix: prefix()}).Subscriber("shelf.moved", "0199c1de")
		Expect(err).NotTo(HaveOccurred())
		hearing, stop := context.WithCancel(context.Background())
		in, err := s.Subscribe(hearing, "parcel.moved")
		Expect(err).NotTo(HaveOccurred())
		Consistently(in, 300*time.Millisecond).ShouldNot(BeClosed())
		stop()
		Eventually(in).Should(BeClosed())
	})
})

func unusedAddress() string {
	GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	Expect(ln.Close()).To(Succeed())
	return ln.Addr().String()
}

// lead lets whoever comes to an address through to another one, until the spec ends.
func lead(address, to string) {
	GinkgoHelper()
	ln, err := net.Listen("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(ln.Close)
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}
