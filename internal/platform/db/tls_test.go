package db_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/certkit"
)

// server is a PostgreSQL on a port of TCP, with a certificate. Those of the other specs
// answer on a socket, where there is no TLS.
type server struct {
	dir  string
	port string
	uid  int
	gid  int
}

func startTLS(certFile, keyFile string) *server {
	GinkgoHelper()
	dir, err := testkit.Scratch()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o711)).To(Succeed())
	data := filepath.Join(dir, "postgres")
	made, err := pgcluster.Start(context.Background(), pgcluster.Options{Dir: data, Throwaway: true})
	Expect(err).NotTo(HaveOccurred())
	pool, err := sql.Open("postgres", made.DSN("postgres", "postgres"))
	Expect(err).NotTo(HaveOccurred())
	var folder, bin string
	Expect(pool.QueryRow(`select current_setting('data_directory'), (select setting from pg_config where name = 'BINDIR')`).Scan(&folder, &bin)).To(Succeed())
	Expect(pool.Close()).To(Succeed())
	Expect(made.Stop(context.Background())).To(Succeed())

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	s := &server{dir: folder, uid: os.Geteuid(), gid: os.Getegid()}
	_, s.port, err = net.SplitHostPort(ln.Addr().String())
	Expect(err).NotTo(HaveOccurred())
	Expect(ln.Close()).To(Succeed())
	info, err := os.Stat(folder)
	Expect(err).NotTo(HaveOccurred())
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		s.uid, s.gid = int(of.Uid), int(of.Gid)
	}
	s.put("server.crt", certFile)
	s.put("server.key", keyFile)
	hba := filepath.Join(folder, "tls_hba.conf")
	Expect(os.WriteFile(hba, []byte("local all all trust\nhostssl all all 127.0.0.1/32 trust\n"), 0o644)).To(Succeed())
	Expect(os.Chown(hba, s.uid, -1)).To(Succeed())
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", folder, "-c", "port="+s.port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+folder, "-c", "hba_file="+hba, "-c", "fsync=off")
	cmd.Dir = "/" // the account of PostgreSQL may not be let into ours
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}}
	}
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Eventually(session.Interrupt(), testkit.Patience).Should(gexec.Exit()) })
	Eventually(func() error { return s.tell(`alter system set ssl = on`) }, testkit.Patience).Should(Succeed())
	return s
}

// put gives the server a file of its own.
func (s *server) put(name, from string) {
	GinkgoHelper()
	content, err := os.ReadFile(from)
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(s.dir, name)
	if err := os.Remove(path); err != nil {
		Expect(err).To(MatchError(fs.ErrNotExist))
	}
	Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
	Expect(os.Chown(path, s.uid, -1)).To(Succeed())
}

// tell changes the server and lets it read its settings and certificates again.
func (s *server) tell(statement string) error {
	pool, err := sql.Open("postgres", fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres sslmode=disable", s.dir, s.port))
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	for _, line := range []string{statement, `select pg_reload_conf()`} {
		if _, err := pool.Exec(line); err != nil {
			return err
		}
	}
	return nil
}

// answers the program that connects so.
func (s *server) answers(host string, options ...string) error {
	dsn := fmt.Sprintf("postgres://postgres@%s/postgres?", net.JoinHostPort(host, s.port))
	for _, o := range options {
		dsn += o + "&"
	}
	d, err := db.Open(db.Options{DSN: dsn + "connect_timeout=5", Connections: 1})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Pool().PingContext(context.Background())
}

var _ = Describe("a database across a network", func() {
	It("is trusted by its certificate alone, which is read from it each time", func() {
		authority := certkit.New()
		s := startTLS(authority.Issue("db", "localhost", time.Hour))
		full, root := "sslmode=verify-full", "sslrootcert="+authority.File
		good := func() error { return s.answers("localhost", full, root) }
		Eventually(good, testkit.Patience).Should(Succeed())

		By("refusing others")
		Expect(s.answers("localhost", "sslmode=disable")).To(MatchError(ContainSubstring("no encryption")), "the server wants TLS")
		Expect(s.answers("127.0.0.1", full, root)).To(MatchError(ContainSubstring("127.0.0.1")), "it is another host")
		Expect(s.answers("localhost", full, "sslrootcert="+certkit.New().File)).To(MatchError(ContainSubstring("unknown authority")))
		Expect(s.answers("localhost", full)).To(MatchError(ContainSubstring("unknown authority")), "nobody else vouches for it")

		By("letting the certificate expire")
		certFile, keyFile := authority.Issue("db", "localhost", -time.Minute)
		s.put("server.crt", certFile)
		s.put("server.key", keyFile)
		Expect(s.tell(`select 1`)).To(Succeed())
		Eventually(good, testkit.Patience).Should(MatchError(ContainSubstring("expired")))

		By("showing no certificate at all")
		Expect(s.tell(`alter system set ssl = off`)).To(Succeed())
		Eventually(good, testkit.Patience).Should(MatchError(ContainSubstring("SSL is not enabled")))
	})
})
