// Package kafkakit gives specs a real Apache Kafka: brokers of their own on this machine,
// which they may kill and start again.
//
// scripts/ensure-kafka.sh fetches it. There is no skip: a suite without its brokers is a
// broken suite, not a green one.
package kafkakit

import (
	"os"
	"path/filepath"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// Patience is how long a broker may take to start or to stop. It takes seconds, and minutes
// on a machine that builds and tests other things with all it has.
const Patience = 5 * time.Minute

// User and Password are whom the SASL listeners of a secure cluster let in.
const (
	User     = "fusion"
	Password = "open-sesame"
)

// Cluster is an Apache Kafka in KRaft mode. Each broker is a controller too, so two of
// three are a majority, and a cluster of one is always whole.
type Cluster struct {
	dir     string
	secured bool
	ports   *ports
	brokers []*broker
}

// Start runs a cluster of brokers, whose ids count from 0. It ends with the spec, or the
// container, whose set-up calls this.
func Start(brokers int) *Cluster {
	ginkgo.GinkgoHelper()
	return start(brokers, false)
}

// Secure is Start with two more listeners: one that speaks TLS, and one that asks over TLS
// for User and Password, by SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN.
func Secure(brokers int) *Cluster {
	ginkgo.GinkgoHelper()
	return start(brokers, true)
}

func start(brokers int, secured bool) *Cluster {
	ginkgo.GinkgoHelper()
	libs, err := findLibs()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	dir, err := testkit.Scratch()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	c := &Cluster{dir: dir, secured: secured}
	ginkgo.DeferCleanup(c.Close)
	c.ports, err = claimPorts(brokers * len(listeners))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	for id := range brokers {
		c.brokers = append(c.brokers, newBroker(id, dir, libs))
	}
	gomega.Expect(c.format()).To(gomega.Succeed())
	for id := range brokers {
		c.launch(id)
	}
	for id := range brokers {
		c.await(id)
	}
	return c
}

// Brokers are the addresses that take everybody, unencrypted.
func (c *Cluster) Brokers() []string { return c.at(plain) }

// TLS are the addresses of a secure cluster that encrypt, and ask for no password.
func (c *Cluster) TLS() []string { return c.at(encrypted) }

// SASL are the addresses of a secure cluster that encrypt, and ask for User and Password.
func (c *Cluster) SASL() []string { return c.at(authenticated) }

// CertificateAuthority is the file, in PEM, that the certificates of a secure cluster are
// checked against. They are for 127.0.0.1 and localhost.
func (c *Cluster) CertificateAuthority() string { return filepath.Join(c.dir, "ca.pem") }

// KillBroker ends a broker as a power cut does.
func (c *Cluster) KillBroker(id int) {
	ginkgo.GinkgoHelper()
	gomega.Expect(c.brokers[id].kill()).To(gomega.Succeed())
}

// StopBroker lets a broker hand over what it leads, and end.
func (c *Cluster) StopBroker(id int) {
	ginkgo.GinkgoHelper()
	b := c.brokers[id]
	gomega.Expect(b.stop()).To(gomega.Succeed())
	gomega.Eventually(b.exited, Patience).Should(gomega.BeClosed(), b.lastWords)
}

// StartBroker starts a broker that was killed or stopped, with its data and its ports, and
// waits until it serves.
func (c *Cluster) StartBroker(id int) {
	ginkgo.GinkgoHelper()
	c.launch(id)
	c.await(id)
}

// Close ends the cluster and removes its data. It happens by itself when the spec ends.
func (c *Cluster) Close() {
	ginkgo.GinkgoHelper()
	for _, b := range c.brokers {
		gomega.Expect(b.kill()).To(gomega.Succeed())
	}
	if c.ports != nil {
		gomega.Expect(c.ports.release()).To(gomega.Succeed())
	}
	gomega.Expect(os.RemoveAll(c.dir)).To(gomega.Succeed())
	c.brokers, c.ports = nil, nil
}

// format prepares the data folders of all brokers, as KRaft wants it before their first
// start.
func (c *Cluster) format() error {
	if c.secured {
		if err := writeCertificates(c.dir); err != nil {
			return err
		}
	}
	cluster := clusterID()
	var all errgroup.Group
	for _, b := range c.brokers {
		if err := os.WriteFile(b.settings, c.settings(b.id), 0o600); err != nil {
			return err
		}
		all.Go(func() error { return b.format(cluster, c.users()) })
	}
	return all.Wait()
}

func (c *Cluster) launch(id int) {
	ginkgo.GinkgoHelper()
	gomega.Expect(c.brokers[id].start()).To(gomega.Succeed())
}

func (c *Cluster) await(id int) {
	ginkgo.GinkgoHelper()
	b, addr := c.brokers[id], c.at(plain)[id]
	gomega.Eventually(func() error { return b.serves(addr) }, Patience, "50ms").Should(gomega.Succeed(), b.lastWords)
}
