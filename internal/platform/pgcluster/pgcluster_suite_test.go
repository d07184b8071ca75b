package pgcluster_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// A process that owns a cluster and can be killed is this test binary again,
// with the folder in its environment.
const (
	ownedFolder    = "PGCLUSTER_TEST_OWNER_OF"
	ownedThrowaway = "PGCLUSTER_TEST_THROWAWAY"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(ownedFolder)
	if dir == "" {
		os.Exit(m.Run())
	}
	c, err := pgcluster.Start(context.Background(), pgcluster.Options{
		Dir: dir, Throwaway: os.Getenv(ownedThrowaway) != "",
		Progress: func(step string) { fmt.Println("step", step) },
	})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("pid", c.Pid())
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until it is killed, or its tests are
}

func TestPgcluster(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "pgcluster")
}

// template is an initialised folder, copied by the specs that do not care how
// it came to be.
var template string

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	dir := passable()
	c, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir, Throwaway: true})
	Expect(err).NotTo(HaveOccurred())
	Expect(c.Stop(ctx)).To(Succeed())
	return []byte(dir)
}, func(dir []byte) { template = string(dir) })

// scratch is memory where there is room for our dozens of clusters, because
// some disks take a second to copy the thousand files of one.
func scratch() string {
	const memory, room = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) > room {
		return memory
	}
	return os.TempDir()
}

// passable is the path of a cluster that does not exist yet, in a folder that
// every account may walk through.
func passable() string {
	GinkgoHelper()
	parent, err := os.MkdirTemp(scratch(), "pgcluster")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, parent)
	Expect(os.Chmod(parent, 0o755)).To(Succeed())
	return filepath.Join(parent, "postgres")
}

// prepared is a cluster that was initialised and shut down before.
func prepared() string { GinkgoHelper(); return preparedAt(passable()) }

func preparedAt(dir string) string {
	GinkgoHelper()
	Expect(os.MkdirAll(filepath.Dir(dir), 0o755)).To(Succeed())
	Expect(os.Mkdir(dir, 0o700)).To(Succeed())
	Expect(os.CopyFS(filepath.Join(dir, "pgdata"), os.DirFS(filepath.Join(template, "pgdata")))).To(Succeed())
	return dir
}

func start(ctx context.Context, o pgcluster.Options) *pgcluster.Cluster {
	GinkgoHelper()
	c, err := pgcluster.Start(ctx, o)
	Expect(err).NotTo(HaveOccurred())
	stopLater(c)
	return c
}

func stopLater(c *pgcluster.Cluster) {
	DeferCleanup(func(ctx SpecContext) { Expect(c.Stop(ctx)).To(Succeed()) })
}

// connect opens one connection, which the caller may hold.
func connect(ctx context.Context, c *pgcluster.Cluster) *sql.Conn {
	GinkgoHelper()
	return connectTo(ctx, c.DSN("postgres", "postgres"))
}

func connectTo(ctx context.Context, dsn string) *sql.Conn {
	GinkgoHelper()
	db, err := sql.Open("postgres", dsn)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = db.Close() }) // its server may be gone
	db.SetMaxIdleConns(-1)                  // closing the connection hangs up
	conn, err := db.Conn(ctx)
	Expect(err).NotTo(HaveOccurred())
	return conn
}

func run(ctx context.Context, c *pgcluster.Cluster, statement string) {
	GinkgoHelper()
	conn := connect(ctx, c)
	defer conn.Close()
	_, err := conn.ExecContext(ctx, statement)
	Expect(err).NotTo(HaveOccurred())
}

func value(ctx context.Context, c *pgcluster.Cluster, query string) (v string) {
	GinkgoHelper()
	conn := connect(ctx, c)
	defer conn.Close()
	Expect(conn.QueryRowContext(ctx, query).Scan(&v)).To(Succeed())
	return v
}

// owner is another process that started a cluster.
type owner struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func newOwner(dir string, environment ...string) *owner {
	GinkgoHelper()
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), ownedFolder+"="+dir), environment...)
	_, err = cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	out, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	cmd.Stderr = GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	o := &owner{cmd: cmd, lines: bufio.NewScanner(out)}
	DeferCleanup(o.kill)
	return o
}

// says reads until the line that begins with the word and returns its rest.
func (o *owner) says(word string) string {
	GinkgoHelper()
	for o.lines.Scan() {
		first, rest, _ := strings.Cut(o.lines.Text(), " ")
		if first == word {
			return rest
		}
		Expect(first).NotTo(Equal("error"), o.lines.Text())
	}
	Fail("the owner ended before it said " + word)
	return ""
}

func (o *owner) pid() int {
	GinkgoHelper()
	pid, err := strconv.Atoi(o.says("pid"))
	Expect(err).NotTo(HaveOccurred())
	return pid
}

// kill is kill -9, and waits until the process is gone.
func (o *owner) kill() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
}

func signal(pid int, s syscall.Signal) {
	GinkgoHelper()
	Expect(syscall.Kill(pid, s)).To(Succeed())
}
