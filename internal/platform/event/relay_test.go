package event_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// cart is a carrier of one topic that asks what to do with each subject.
type cart struct {
	take func(subject string) error

	mu    sync.Mutex
	taken []string
}

func (c *cart) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		subject := m.Metadata.Get(event.MetadataSubject)
		if err := c.take(subject); err != nil {
			return err
		}
		c.mu.Lock()
		c.taken = append(c.taken, subject)
		c.mu.Unlock()
	}
	return nil
}

func (c *cart) has() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.taken)
}

func (*cart) Close() error                  { return nil }
func (*cart) Topics() []string              { return []string{"parcel.moved"} }
func (*cart) Prepare(context.Context) error { return nil }
func (*cart) Check(context.Context) error   { return nil }
func (*cart) Subscriber(string, string) (message.Subscriber, error) {
	return nil, errors.New("nobody hears")
}

var _ = Describe("a relay", func() {
	It("forgets what the carrier took, however long it takes over the rest", func() {
		const patience = time.Second
		var once sync.Once
		c := &cart{take: func(subject string) (err error) {
			if subject == "heavy" {
				once.Do(func() {
					time.Sleep(2 * patience)
					err = errors.New("too heavy right now")
				})
			}
			return err
		}}
		d := open(transport{bus: func(_ *depot, pool *db.DB, log *event.Log) *event.Bus {
			b := event.NewBus(pool, log, testkit.Log(), nil)
			b.BatchTimeout = patience
			b.CarriedBy(c)
			return b
		}})
		d.publish(d.ctx, moved{"heavy", 1}, moved{"light", 1})
		d.replica().run()
		Eventually(c.has, testkit.Patience).Should(ContainElement("heavy"))
		Eventually(d.unsaid, testkit.Patience).Should(BeZero())
		Expect(c.has()).To(Equal([]string{"light", "heavy"}))
	})

	It("keeps what follows a fact that was not taken behind it, and parks what never will be", func() {
		var mu sync.Mutex
		tries := 0
		c := &cart{take: func(subject string) error {
			mu.Lock()
			defer mu.Unlock()
			tries++
			switch {
			case subject == "bulky":
				return event.ErrRefused
			case tries < 3:
				return errors.New("not now")
			}
			return nil
		}}
		d := open(transport{bus: func(_ *depot, pool *db.DB, log *event.Log) *event.Bus {
			b := event.NewBus(pool, log, testkit.Log(), nil)
			b.CarriedBy(c)
			return b
		}})
		d.publish(d.ctx, moved{"p1", 1}, moved{"bulky", 1}, moved{"p1", 2})
		d.replica().run()
		Eventually(c.has, testkit.Patience).Should(HaveLen(2))
		Eventually(d.unsaid, testkit.Patience).Should(BeZero())
		Expect(c.has()).To(Equal([]string{"p1", "p1"}))
		Expect(d.parked()).To(HaveExactElements(And(HaveField("Consumer", "relay.parcel.moved"), HaveField("Attempts", 1))))
	})
})
