package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// Options say where Kafka is and how to get in.
type Options struct {
	Brokers []string
	// Prefix of the names of topics and consumer groups, for shops that share a cluster.
	Prefix string
	// Replication is the number of copies of each topic; 0: three, or one a broker when there
	// are fewer.
	Replication int

	TLS      bool
	CAFile   string // PEM; empty: the system's
	CertFile string // PEM, with KeyFile: what we show to the brokers
	KeyFile  string

	SASL     string // "", or one of Mechanisms
	User     string
	Password string
}

// Mechanisms of SASL that can be used, as settings spell them.
var Mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

// version of the protocol: what brokers since Kafka 2.8 speak, those of Kafka 4 included.
var version = sarama.V2_8_0_0

// settings are what losing nothing asks for. The library's own defaults acknowledge a
// message that one broker has, and let a new consumer begin at the end of its topic.
func (o Options) settings() (*sarama.Config, error) {
	c := sarama.NewConfig()
	c.ClientID = "fusion"
	c.Version = version

	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // or a repeated request could pass the one behind it
	c.Producer.Retry.Max = 10
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Producer.Partitioner = sarama.NewHashPartitioner
	c.Producer.Compression = sarama.CompressionNone

	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	sticky(c)
	c.Consumer.Return.Errors = true
	// A program that was killed keeps its partitions from the next one for so long.
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 2 * time.Second

	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = 5*time.Second, 15*time.Second, 15*time.Second
	c.Producer.Timeout = 10 * time.Second
	c.Metadata.AllowAutoTopicCreation = false // a topic is made as declared, or not at all

	if err := o.secure(c); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kafka settings: %w", err)
	}
	return c, nil
}

func sticky(c *sarama.Config) {
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
}

// forOneGroup gives a group a strategy of its own: the sticky one notes, while it plans, what
// it moves, and two groups that plan with it at the same moment mix that up.
func forOneGroup(c *sarama.Config) *sarama.Config {
	own := *c
	sticky(&own)
	return &own
}

var errSettings = errors.New("kafka")

func (o Options) secure(c *sarama.Config) error {
	if o.TLS {
		conf := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CAFile != "" {
			pem, err := os.ReadFile(o.CAFile)
			if err != nil {
				return fmt.Errorf("kafka.ca_file: %w", err)
			}
			conf.RootCAs = x509.NewCertPool()
			if !conf.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("%w.ca_file: %s holds no certificate in PEM form", errSettings, o.CAFile)
			}
		}
		if o.CertFile != "" {
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
			if err != nil {
				return fmt.Errorf("kafka.cert_file and kafka.key_file: %w", err)
			}
			conf.Certificates = []tls.Certificate{pair}
		}
		c.Net.TLS.Enable, c.Net.TLS.Config = true, conf
	}
	if o.SASL == "" {
		return nil
	}
	c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = true, o.User, o.Password
	c.Net.SASL.Version = sarama.SASLHandshakeV1
	switch o.SASL {
	case "plain":
		c.Net.SASL.Mechanism = sarama.SASLTypePlaintext
	case "scram-sha-256":
		c.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA256
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA256} }
	case "scram-sha-512":
		c.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA512
		c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA512} }
	default:
		return fmt.Errorf("%w.sasl: %q is none of %v", errSettings, o.SASL, Mechanisms)
	}
	return nil
}

// conversation is SCRAM (RFC 5802) as sarama asks for it.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// Begin starts the conversation.
func (c *conversation) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return fmt.Errorf("prepare SCRAM: %w", err)
	}
	c.ClientConversation = client.NewConversation()
	return nil
}
