package event_test

import (
	"context"
	"encoding/json"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

// parcels are the topics of the specs.
var parcels = kafka.Declared{Partitions: 12, Topics: map[string]kafka.Topic{"parcel.moved": {}, "parcel.lost": {}, event.Unreadable: {Partitions: 1}}}

// brokers of the suite.
var brokers []string

var _ = SynchronizedBeforeSuite(func() []byte {
	return []byte(kafkakit.Start(1).Brokers()[0])
}, func(broker []byte) {
	brokers = []string{string(broker)}
})

// carriedBy gives each depot topics and groups of its own.
func carriedBy(d *depot) *kafka.Kafka {
	GinkgoHelper()
	k, err := kafka.Carrying(parcels, kafka.Options{Brokers: brokers, Prefix: d.name() + "."}, testkit.Log())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(k.Close)
	return k
}

// onKafka carries facts on Kafka, also those of consumers of the same database.
var onKafka = transport{
	name: "Kafka",
	bus: func(d *depot, pool *db.DB, log *event.Log) *event.Bus {
		b := event.NewBus(pool, log, testkit.Log(), nil)
		b.CarriedBy(carriedBy(d))
		return b
	},
	redeliver: func(d *depot, fact uuid.UUID) {
		GinkgoHelper()
		// A fact comes again after it came, not before.
		Eventually(func() int {
			return d.count(`select count(*) from platform.delivery d join platform.event e on e.seq = d.seq where e.id = $1 and d.consumer like 'relay.%'`, fact)
		}, testkit.Patience).Should(BeZero())
		var facts []event.Recorded
		Expect(d.pool.Read(d.ctx, func(tx *db.Tx) error {
			at, _, err := d.log.Position(d.ctx, tx, fact)
			if err != nil {
				return err
			}
			facts, err = d.log.Since(d.ctx, tx, "", at-1, 1)
			return err
		})).To(Succeed())
		Expect(facts).To(HaveLen(1))
		body, err := json.Marshal(facts[0].Envelope)
		Expect(err).NotTo(HaveOccurred())
		d.bring(facts[0].Type, facts[0].Subject, body)
	},
}

var _ = conformance(onKafka)

// bring writes to a topic as any program may.
func (d *depot) bring(topic, subject string, body []byte) {
	GinkgoHelper()
	k := carriedBy(d)
	Eventually(func() error { return k.Prepare(context.Background()) }, testkit.Patience).Should(Succeed())
	m := message.NewMessage("", body)
	m.Metadata.Set(event.MetadataSubject, subject)
	Expect(k.Publish(topic, m)).To(Succeed())
}
