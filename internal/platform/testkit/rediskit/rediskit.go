// Package rediskit runs a Redis, or a Valkey, for specs.
package rediskit

import (
	"net"
	"os/exec"
	"syscall"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
)

// patience is for machines that have much to do.
const patience = 30 * time.Second

// Server keeps its address while it is stopped and started again.
type Server struct {
	addr    string
	session *gexec.Session
}

// Start runs a server until the spec ends.
func Start() *Server {
	ginkgo.GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	s := &Server{addr: ln.Addr().String()}
	gomega.Expect(ln.Close()).To(gomega.Succeed())
	s.Restart()
	ginkgo.DeferCleanup(s.Stop)
	return s
}

// URL of the server.
func (s *Server) URL() string { return "redis://" + s.addr }

// Restart starts the server, which has forgotten everything.
func (s *Server) Restart() {
	ginkgo.GinkgoHelper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		path, err = exec.LookPath("valkey-server")
	}
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), "specs need redis-server or valkey-server: scripts/ensure-redis.sh")
	host, port, err := net.SplitHostPort(s.addr)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	cmd := exec.Command(path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no")
	cmd.Dir = ginkgo.GinkgoT().TempDir()
	s.session, err = gexec.Start(cmd, ginkgo.GinkgoWriter, ginkgo.GinkgoWriter)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Eventually(s.session.Out, patience).Should(gbytes.Say("eady to accept connections"))
}

// Stop ends the server.
func (s *Server) Stop() {
	ginkgo.GinkgoHelper()
	s.session.Signal(syscall.SIGKILL)
	gomega.Eventually(s.session.Exited, patience).Should(gomega.BeClosed())
}

// Freeze makes the server one that accepts connections and says nothing.
func (s *Server) Freeze() { s.session.Signal(syscall.SIGSTOP) }

// Thaw ends that.
func (s *Server) Thaw() { s.session.Signal(syscall.SIGCONT) }
