// Package kafka carries facts between databases on Apache Kafka, or on what speaks its
// protocol. Watermill's publisher and subscriber do the talking; here are the settings that
// lose nothing, and the patience with a cluster that is away.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// Kafka is an event.Carrier.
type Kafka struct {
	opt      Options
	declared Declared
	config   *sarama.Config
	log      watermill.LoggerAdapter

	mu        sync.Mutex
	publisher *kafka.Publisher // nil until it is needed, and after a failure
}

var _ event.Carrier = (*Kafka)(nil)

// New checks the settings. It does not reach for the brokers yet.
func New(o Options, log *slog.Logger) (*Kafka, error) {
	declared, err := Topics()
	if err != nil {
		return nil, err
	}
	return Carrying(declared, o, log)
}

// Carrying is New with topics of one's own.
func Carrying(declared Declared, o Options, log *slog.Logger) (*Kafka, error) {
	config, err := o.settings()
	if err != nil {
		return nil, err
	}
	// What the library says is for whoever debugs it; what matters is logged by the bus.
	quiet := watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{
		slog.LevelDebug: watermill.LevelTrace, slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug,
	})
	return &Kafka{opt: o, declared: declared, config: config, log: quiet}, nil
}

// Topics that facts are carried on.
func (k *Kafka) Topics() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(k.declared.Topics)), func(t string) bool { return t == event.Unreadable })
}

// Prepare makes the topics that are missing.
func (k *Kafka) Prepare(ctx context.Context) error {
	return k.ask(ctx, func(admin sarama.ClusterAdmin) error {
		return prepare(admin, k.declared, k.opt.Prefix, k.opt.Replication)
	})
}

// Check tells whether the brokers answer and have the topics.
func (k *Kafka) Check(ctx context.Context) error {
	return k.ask(ctx, func(admin sarama.ClusterAdmin) error {
		there, err := admin.ListTopics()
		if err != nil {
			return fmt.Errorf("list topics: %w", err)
		}
		for _, topic := range slices.Sorted(maps.Keys(k.declared.Topics)) {
			if _, ok := there[k.opt.Prefix+topic]; !ok {
				return fmt.Errorf("%w: %s", ErrMissing, k.opt.Prefix+topic)
			}
		}
		return nil
	})
}

var (
	// ErrMissing means that the brokers answer and have not all topics.
	ErrMissing = errors.New("a topic is missing")
	// ErrStranger means that the brokers answer and do not let us in.
	ErrStranger = errors.New("the brokers do not accept kafka.user with this kafka.password by kafka.sasl")
)

// understood says what is the matter where the library only says that no broker is left.
func understood(err error) error {
	if errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
		return fmt.Errorf("%w (%w)", ErrStranger, err)
	}
	return err
}

// ask does not wait longer than ctx: the library itself knows no context.
func (k *Kafka) ask(ctx context.Context, question func(sarama.ClusterAdmin) error) error {
	answer := make(chan error, 1)
	go func() {
		admin, err := sarama.NewClusterAdmin(k.opt.Brokers, k.config)
		if err != nil {
			answer <- understood(fmt.Errorf("reach the brokers: %w", err))
			return
		}
		answer <- errors.Join(question(admin), admin.Close())
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Publish hands messages over, in order. It may be called from many places at once.
func (k *Kafka) Publish(topic string, messages ...*message.Message) error {
	p, err := k.current()
	if err != nil {
		return err
	}
	err = p.Publish(k.opt.Prefix+topic, messages...)
	_, unacceptable := errors.AsType[sarama.ConfigurationError](err) // larger than we may send
	switch {
	case err == nil:
		return nil
	case unacceptable || errors.Is(err, sarama.ErrMessageSizeTooLarge):
		return fmt.Errorf("%w: %w", event.ErrRefused, err)
	}
	// An idempotent producer that gave up on one message may refuse all that follow.
	k.forget(p)
	return err
}

func (k *Kafka) current() (*kafka.Publisher, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.publisher != nil {
		return k.publisher, nil
	}
	p, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: k.opt.Brokers, OverwriteSaramaConfig: k.config, Marshaler: keyed}, k.log)
	if err != nil {
		return nil, understood(err)
	}
	k.publisher = p
	return p, nil
}

func (k *Kafka) forget(p *kafka.Publisher) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.publisher != p {
		return // another message of the same failure was faster
	}
	k.publisher = nil
	// Closing waits for what is on its way, which fails one by one.
	go func() {
		if err := p.Close(); err != nil {
			k.log.Debug("producer closed", watermill.LogFields{"err": err.Error()})
		}
	}()
}

// Close ends the producer. The subscribers end with their contexts.
func (k *Kafka) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.publisher == nil {
		return nil
	}
	p := k.publisher
	k.publisher = nil
	return p.Close()
}

// keyed gives the facts of one aggregate one key, and with it one partition and an order.
var keyed = kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
	return m.Metadata.Get(event.MetadataSubject), nil
})

// GroupOf a consumer: each hears its whole topic, whatever others have heard. A deployment
// is told by the beginning of its id, so that a copy of a shop takes nothing from it.
func (o Options) GroupOf(consumer, deployment string) string {
	return o.Prefix + consumer + "." + deployment[:min(8, len(deployment))]
}

// Subscriber hears a topic for one consumer. When the cluster is away it waits.
func (k *Kafka) Subscriber(consumer, deployment string) (message.Subscriber, error) {
	s, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: k.opt.Brokers, OverwriteSaramaConfig: forOneGroup(k.config), Unmarshaler: keyed,
		ConsumerGroup: k.opt.GroupOf(consumer, deployment), NackResendSleep: resend, ReconnectRetrySleep: reconnect,
	}, k.log)
	if err != nil {
		return nil, fmt.Errorf("subscriber of %s: %w", consumer, err)
	}
	return &patient{Subscriber: s, prefix: k.opt.Prefix, log: k.log}, nil
}

const (
	resend    = 200 * time.Millisecond
	reconnect = time.Second
)

// patient waits for a cluster that is not there yet, which Watermill's subscriber takes
// for an error.
type patient struct {
	message.Subscriber
	prefix string
	log    watermill.LoggerAdapter
}

// Subscribe hears the topic until ctx ends.
func (p *patient) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			in, err := p.Subscriber.Subscribe(ctx, p.prefix+topic)
			if err == nil {
				pass(ctx, in, out)
				return
			}
			p.log.Debug("cannot subscribe yet", watermill.LogFields{"topic": topic, "err": err.Error()})
			select {
			case <-ctx.Done():
			case <-time.After(reconnect):
			}
		}
	}()
	return out, nil
}

// pass hands messages on, and lets go of those that nobody takes any more.
func pass(ctx context.Context, in <-chan *message.Message, out chan<- *message.Message) {
	for m := range in {
		select {
		case out <- m:
		case <-ctx.Done():
			m.Nack()
		}
	}
}
