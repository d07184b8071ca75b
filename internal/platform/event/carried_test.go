package event_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

var _ = Describe("Kafka", func() {
	var d *depot
	BeforeEach(func() { d = open(onKafka) })

	// heard are the values of a topic, from its beginning.
	heard := func(topic string) func() []string {
		GinkgoHelper()
		client, err := sarama.NewConsumer(brokers, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Close)
		name := d.name() + "." + topic
		partitions, err := client.Partitions(name)
		Expect(err).NotTo(HaveOccurred())
		var (
			mu     sync.Mutex
			values []string
		)
		for _, p := range partitions {
			var c sarama.PartitionConsumer
			Eventually(func() (err error) { // a partition that nobody wrote to may not have its leader yet
				c, err = client.ConsumePartition(name, p, sarama.OffsetOldest)
				return err
			}).Should(Succeed())
			DeferCleanup(c.Close)
			go func() {
				for m := range c.Messages() {
					mu.Lock()
					values = append(values, string(m.Key)+" "+string(m.Value))
					mu.Unlock()
				}
			}()
		}
		return func() []string {
			mu.Lock()
			defer mu.Unlock()
			return append([]string{}, values...)
		}
	}

	It("gets every fact as the envelope, with the aggregate as the key", func() {
		d.publish(d.ctx, moved{"p1", 1})
		d.consumes("shelf.moved")
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(1))
		values := heard("parcel.moved")
		Eventually(values, testkit.Patience).Should(HaveLen(1))
		Expect(values()[0]).To(HavePrefix("p1 {"))
		var e map[string]any
		Expect(json.Unmarshal([]byte(values()[0][3:]), &e)).To(Succeed())
		Expect(e).To(And(HaveKeyWithValue("type", "parcel.moved"), HaveKeyWithValue("subject", "p1"), HaveKeyWithValue("sequence", 1.0),
			HaveKeyWithValue("version", 1.0), HaveKeyWithValue("tenantId", d.tenant.String()), HaveKeyWithValue("data", HaveKeyWithValue("parcel", "p1")),
			HaveKey("id"), HaveKey("occurredAt"), HaveKey("correlationId"), HaveKey("actor")))
	})

	It("cannot be made to stop a consumer by what is no fact: that is put aside for a person", func() {
		d.consumes("shelf.moved")
		id, tenant := uuid.New(), d.tenant
		fact := func(change string) []byte {
			return fmt.Appendf(nil, `{"id":%q,"tenantId":%q,"type":"parcel.moved","version":1,"subject":"p9","sequence":1,"occurredAt":"2026-01-02T03:04:05Z","actor":"somebody","data":{"parcel":"p9","step":1}%s}`, id, tenant, change)
		}
		unreadable := [][]byte{
			[]byte("\x00\x01garbage"), []byte(""), []byte("null"), []byte(`{"type":"parcel.moved"}`), []byte(`[1,2]`),
			fact(`,"type":"parcel.lost"`), fact(`,"version":99999999`), fact(`,"id":"00000000-0000-0000-0000-000000000000"`), fact(`,"subject":""`),
		}
		for _, body := range unreadable {
			d.bring("parcel.moved", "p9", body)
		}
		d.bring("parcel.moved", "p9", fact(`,"futureField":{"a":1}`))
		d.publish(d.ctx, moved{"p1", 1})
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(ConsistOf("p9/1", "p1/1"))
		Eventually(heard(event.Unreadable), testkit.Patience).Should(HaveLen(len(unreadable)))
		Expect(d.parked()).To(BeEmpty())
	})

	It("brings facts to another database, which answers, and neither hears its own twice", func() {
		there := open(onKafka)
		there.tenant, there.ctx = d.tenant, d.ctx
		there.sql(`insert into platform.tenant (tenant_id, slug, name) values ($1, 'same', 'The same shop')`, d.tenant)
		there.transport.bus = func(_ *depot, pool *db.DB, log *event.Log) *event.Bus { return onKafka.bus(d, pool, log) } // the same topics
		far := there.replica()
		event.On(far.Bus, "label.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
			if err := note(ctx, tx, "label.moved", e); err != nil {
				return err
			}
			return far.log.Publish(ctx, tx, lost{fmt.Sprint(e.Fact.Parcel, "/", e.Fact.Step)})
		})
		far.run()
		near := d.replica()
		event.On(near.Bus, "claims.lost", func(ctx context.Context, tx *db.Tx, e event.Received[lost]) error {
			return note(ctx, tx, "claims.lost", e)
		})
		near.run()
		for n := int64(1); n <= 50; n++ {
			d.publish(d.ctx, moved{"p1", n}, moved{"p2", n})
		}
		Eventually(there.effects("label.moved"), 3*testkit.Patience).Should(HaveLen(100))
		there.audit(100, "label.moved")
		Eventually(d.effects("claims.lost"), 3*testkit.Patience).Should(HaveLen(100))
		Expect(d.count(`select count(distinct event_id) from book.effect where consumer = 'claims.lost'`)).To(Equal(100))
		Expect(d.count(`select count(*) from platform.event where carried`)).To(Equal(100), "what the others recorded")
		Expect(there.count(`select count(*) from platform.event where carried`)).To(Equal(100))
		said := heard("parcel.moved")
		Eventually(said, testkit.Patience).Should(HaveLen(100))
		Consistently(said, "500ms").Should(HaveLen(100), "a fact that was brought is not handed over again")
	})

	It("does not give a good fact up because the database refuses for a moment", func() {
		d.consumes("shelf.moved")
		d.publish(d.ctx, moved{"p1", 1})
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(HaveLen(1))
		d.sql(`revoke insert on platform.event from fusion_app`) // as a migration that is late does
		d.bring("parcel.moved", "p9", fmt.Appendf(nil, `{"id":%q,"tenantId":%q,"type":"parcel.moved","version":1,"subject":"p9","sequence":1,"occurredAt":"2026-01-02T03:04:05Z","actor":"somebody","data":{"parcel":"p9","step":1}}`, uuid.New(), d.tenant))
		Consistently(heard(event.Unreadable), "500ms").Should(BeEmpty())
		d.sql(`grant insert on platform.event to fusion_app`)
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p1/1", "p9/1"}))
	})

	It("brings a foreign fact to each consumer, whenever they were switched", func() {
		d.transport = postgres
		d.consumes("label.moved").stop()
		d.transport = onKafka
		first := d.consumes("shelf.moved")
		d.bring("parcel.moved", "p9", fmt.Appendf(nil, `{"id":%q,"tenantId":%q,"type":"parcel.moved","version":1,"subject":"p9","sequence":1,"occurredAt":"2026-01-02T03:04:05Z","actor":"somebody","data":{"parcel":"p9","step":1}}`, uuid.New(), d.tenant))
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p9/1"}))
		first.stop()
		d.consumes("shelf.moved", "label.moved")
		Eventually(d.effects("label.moved"), testkit.Patience).Should(Equal([]string{"p9/1"}))
		d.audit(1, "shelf.moved", "label.moved")
	})

	It("brings a restored database what the others said since the backup, and nothing of what it said itself", func() {
		r := d.consumes("shelf.moved")
		d.publish(d.ctx, moved{"p1", 1})
		foreign := fmt.Appendf(nil, `{"id":%q,"tenantId":%q,"type":"parcel.moved","version":1,"subject":"p9","sequence":1,"occurredAt":"2026-01-02T03:04:05Z","actor":"somebody","data":{"parcel":"p9","step":1}}`, uuid.New(), d.tenant)
		d.bring("parcel.moved", "p9", foreign)
		d.publish(d.ctx, moved{"p2", 1})
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(ConsistOf("p1/1", "p9/1", "p2/1"))
		r.stop()

		// The backup knows of the first step alone.
		for _, table := range []string{"platform.inbox where event_id in (select id from platform.event where subject <> 'p1')", "book.effect where subject <> 'p1'", "platform.event where subject <> 'p1'"} {
			d.sql(`delete from ` + table)
		}
		Expect(event.Restored(d.ctx, testkit.Open(d.Owner))).To(Succeed())
		d.consumes("shelf.moved")
		Eventually(d.effects("shelf.moved"), 2*testkit.Patience).Should(Equal([]string{"p1/1", "p9/1"}))
		d.publish(d.ctx, moved{"p3", 1})
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p1/1", "p9/1", "p3/1"}))
		d.audit(3, "shelf.moved")
	})

	It("may be switched on and off: nothing is lost and nothing comes twice", func() {
		with := map[bool]transport{true: onKafka, false: postgres}
		steps := int64(0)
		for round := range 4 {
			for _, when := range []string{"before", "during"} {
				d.transport = with[round%2 == 0]
				if when == "before" { // nobody hears of these until the next start
					steps++
					d.publish(d.ctx, moved{"p1", steps}, moved{"p2", steps})
					continue
				}
				r := d.consumes("shelf.moved")
				steps++
				d.publish(d.ctx, moved{"p1", steps}, moved{"p2", steps})
				Eventually(d.effects("shelf.moved"), 3*testkit.Patience).Should(HaveLen(int(2 * steps)))
				if round%2 == 1 { // the last ones are on their way when the program is stopped
					steps++
					d.publish(d.ctx, moved{"p1", steps}, moved{"p2", steps})
				}
				r.stop()
			}
		}
		d.transport = onKafka
		d.consumes("shelf.moved")
		d.audit(int(2*steps), "shelf.moved")
	})

	It("is not asked again for what it will never take, which is parked where it waits", func() {
		d.consumes("shelf.moved")
		d.publish(d.ctx, bulky{"p1"}, moved{"p1", 2})
		Eventually(d.effects("shelf.moved"), testkit.Patience).Should(Equal([]string{"p1/2"}))
		Eventually(d.parked, testkit.Patience).Should(HaveExactElements(HaveField("Consumer", "relay.parcel.moved")))
	})
})

// bulky is more than a broker takes at once.
type bulky struct {
	Parcel string `json:"parcel"`
}

func (bulky) EventType() string    { return "parcel.moved" }
func (b bulky) EventKey() string   { return b.Parcel }
func (bulky) EventSequence() int64 { return 1 }
func (b bulky) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"parcel": b.Parcel, "step": 1, "photo": make([]byte, 2<<20)})
}

var _ = Describe("Kafka with three brokers", Serial, func() {
	It("loses nothing when one of them is killed while facts are published, and another one later", func() {
		cluster := kafkakit.Start(3)
		d := open(onKafka)
		d.transport.bus = func(d *depot, pool *db.DB, log *event.Log) *event.Bus {
			b := event.NewBus(pool, log, testkit.Log(), nil)
			k, err := kafka.Carrying(parcels, kafka.Options{Brokers: cluster.Brokers(), Prefix: d.name() + "."}, testkit.Log())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(k.Close)
			b.CarriedBy(k)
			return b
		}
		d.consumes("shelf.moved", "label.moved")
		d.consumes("shelf.moved", "label.moved") // a group of two, which has to share anew
		publish := func(from, to int64) {
			for n := from; n <= to; n++ {
				for p := range 5 {
					d.publish(d.ctx, moved{fmt.Sprint("p", p), n})
				}
			}
		}
		publish(1, 50)
		cluster.KillBroker(2)
		publish(51, 120)
		Eventually(d.effects("label.moved"), 9*testkit.Patience).Should(HaveLen(600))
		cluster.StartBroker(2)
		publish(121, 150)
		cluster.KillBroker(0)
		publish(151, 200)
		Eventually(d.unsaid, 9*testkit.Patience).Should(BeZero())
		d.audit(1000, "shelf.moved", "label.moved")
		Expect(d.parked()).To(BeEmpty())
	})
})

var _ = Describe("the bus while Kafka is away", func() {
	It("keeps what is published, and delivers it when Kafka comes", func() {
		d := open(onKafka)
		address := freeAddress()
		d.transport.bus = func(d *depot, pool *db.DB, log *event.Log) *event.Bus {
			b := event.NewBus(pool, log, testkit.Log(), nil)
			k, err := kafka.Carrying(parcels, kafka.Options{Brokers: []string{address}, Prefix: d.name() + "."}, testkit.Log())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(k.Close)
			b.CarriedBy(k)
			return b
		}
		r := d.replica()
		event.On(r.Bus, "shelf.moved", func(ctx context.Context, tx *db.Tx, e event.Received[moved]) error {
			return note(ctx, tx, "shelf.moved", e)
		})
		r.run()
		Eventually(func() int { return d.count(`select count(*) from platform.subscription`) }, testkit.Patience).Should(Equal(3), "the consumer and a relay for each topic")
		d.publish(d.ctx, moved{"p1", 1})
		Consistently(d.unsaid, time.Second).Should(Equal(1))
		lead(address, brokers[0])
		Eventually(d.effects("shelf.moved"), 6*testkit.Patience).Should(Equal([]string{"p1/1"}))
	})
})

func freeAddress() string {
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
