package kafkakit

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listener is one of a broker's, by the name that its settings call it.
type listener string

const (
	controller    listener = "CONTROLLER" // between the brokers
	plain         listener = "PLAINTEXT"
	encrypted     listener = "SSL"
	authenticated listener = "SASL_SSL"
)

// listeners in the order of a broker's ports.
var listeners = []listener{controller, plain, encrypted, authenticated}

// at are the addresses of a listener, by broker.
func (c *Cluster) at(l listener) []string {
	addresses := make([]string, len(c.brokers))
	for id := range c.brokers {
		port := c.ports.number(id*len(listeners) + slices.Index(listeners, l))
		addresses[id] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return addresses
}

// settings of a broker: Kafka's own, but small, and quick to notice that a broker is gone.
func (c *Cluster) settings(id int) []byte {
	n := len(c.brokers)
	replicas, majority := strconv.Itoa(min(3, n)), strconv.Itoa(min(2, n))
	all := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          strconv.Itoa(id),
		"controller.quorum.voters":                         c.voters(),
		"controller.listener.names":                        string(controller),
		"inter.broker.listener.name":                       string(plain),
		"listeners":                                        c.listening(id),
		"listener.security.protocol.map":                   "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
		"log.dirs":                                         c.brokers[id].data,
		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              majority,
		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "3",
		"transaction.state.log.num.partitions":             "3",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    majority,
		"share.coordinator.state.topic.num.partitions":     "3",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            majority,
		"group.initial.rebalance.delay.ms":                 "0",
		// A third of Kafka's own: a busy machine may stop a live broker for a second.
		"broker.session.timeout.ms":      "3000",
		"broker.heartbeat.interval.ms":   "500",
		"num.network.threads":            "2",
		"num.io.threads":                 "4",
		"log.cleaner.dedupe.buffer.size": strconv.Itoa(4 << 20), // 128 MB otherwise
	}
	if c.secured {
		maps.Copy(all, map[string]string{
			"ssl.keystore.type":                                     "PEM",
			"ssl.keystore.location":                                 filepath.Join(c.dir, keyStore),
			"listener.name.sasl_ssl.sasl.enabled.mechanisms":        "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
			"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
			"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
			"listener.name.sasl_ssl.plain.sasl.jaas.config":         fmt.Sprintf("org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=%q;", User, Password),
		})
	}
	var file bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&file, "%s=%s\n", name, all[name])
	}
	return file.Bytes()
}

func (c *Cluster) voters() string {
	var voters []string
	for id, addr := range c.at(controller) {
		voters = append(voters, fmt.Sprintf("%d@%s", id, addr))
	}
	return strings.Join(voters, ",")
}

func (c *Cluster) listening(id int) string {
	var on []string
	for _, l := range listeners {
		if c.secured || l == controller || l == plain {
			on = append(on, fmt.Sprintf("%s://%s", l, c.at(l)[id]))
		}
	}
	return strings.Join(on, ",")
}

// users are the arguments by which the formatted storage knows User. PLAIN has its own
// list, in the settings.
func (c *Cluster) users() []string {
	if !c.secured {
		return nil
	}
	var arguments []string
	for _, mechanism := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256"} {
		arguments = append(arguments, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, User, Password))
	}
	return arguments
}
