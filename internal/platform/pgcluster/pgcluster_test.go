package pgcluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

var _ = Describe("the private PostgreSQL", func() {
	Describe("starting", func() {
		It("initialises the folder once and keeps its data over restarts", func(ctx SpecContext) {
			dir := filepath.Join(filepath.Dir(passable()), "not", "yet", "postgres")
			var steps []string
			o := pgcluster.Options{Dir: dir, Progress: func(step string) { steps = append(steps, step) }}

			c := start(ctx, o)
			Expect(c.Fresh()).To(BeTrue())
			Expect(c.Adopted()).To(BeFalse())
			Expect(c.Version()).To(MatchRegexp(`^\d+(\.\d+)?$`))
			Expect(steps).To(Equal([]string{"initialising", "starting"}))
			Expect(syscall.Getpgid(c.Pid())).To(Equal(c.Pid()), "Ctrl-C in a terminal is for us")
			run(ctx, c, "create table sale as select 42 as sku")
			Expect(c.Stop(ctx)).To(Succeed())
			Expect(c.Stop(ctx)).To(Succeed(), "stopping twice is no error")

			steps = nil
			c = start(ctx, o)
			Expect(c.Fresh()).To(BeFalse())
			Expect(steps).To(Equal([]string{"starting"}))
			Expect(value(ctx, c, "select sku from sale")).To(Equal("42"))
		})

		It("speaks UTF-8 and UTC, loses nothing that was committed and has no TCP port", func(ctx SpecContext) {
			c := start(ctx, pgcluster.Options{Dir: prepared()})
			for setting, want := range map[string]string{
				"server_encoding": "UTF8", "timezone": "UTC", "log_timezone": "UTC",
				"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
				"listen_addresses": "", "unix_socket_permissions": "0700", "jit": "off",
			} {
				Expect(value(ctx, c, "show "+setting)).To(Equal(want), setting)
			}
			Expect(value(ctx, c, "select upper('é')")).To(Equal("É"))
		})

		It("takes further settings, but none that would open the cluster", func(ctx SpecContext) {
			dir := prepared()
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir, Settings: map[string]string{"Listen_Addresses": "*"}})
			Expect(err).To(MatchError(ContainSubstring(`"Listen_Addresses" belongs to the private cluster`)))
			c := start(ctx, pgcluster.Options{Dir: dir, Settings: map[string]string{"max_connections": "17", "work_mem": "6MB"}})
			Expect(value(ctx, c, "show max_connections")).To(Equal("17"))
			Expect(value(ctx, c, "show work_mem")).To(Equal("6MB"))
		})

		It("hands out addresses that take further parameters", func(ctx SpecContext) {
			c := start(ctx, pgcluster.Options{Dir: prepared()})
			run(ctx, c, `create role "shop keeper" login`)
			run(ctx, c, `create database "50% off"`)
			conn := connectTo(ctx, c.DSN("shop keeper", "50% off")+"&application_name=till&connect_timeout=5")
			var user, database, application string
			Expect(conn.QueryRowContext(ctx, "select current_user, current_database(), current_setting('application_name')").
				Scan(&user, &database, &application)).To(Succeed())
			Expect([]string{user, database, application}).To(Equal([]string{"shop keeper", "50% off", "till"}))
		})

		It("is not led astray by an environment made for another server", func(ctx SpecContext) {
			for name, value := range map[string]string{"PGHOST": "a,b", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGSERVICE": "other", "PGOPTIONS": "-c nonsense=1"} {
				GinkgoT().Setenv(name, value)
			}
			start(ctx, pgcluster.Options{Dir: prepared()})
		})

		It("repeats what the server said when it gives up", func(ctx SpecContext) {
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: prepared(), Settings: map[string]string{"shared_buffers": "plenty"}})
			Expect(err).To(MatchError(ContainSubstring(`invalid value for parameter "shared_buffers"`)))
		})

		It("begins a new log when the old one has grown large, and keeps that", func(ctx SpecContext) {
			dir := prepared()
			log := filepath.Join(dir, "postgres.log")
			Expect(os.WriteFile(log, nil, 0o600)).To(Succeed())
			Expect(os.Truncate(log, 10<<20+1)).To(Succeed())
			start(ctx, pgcluster.Options{Dir: dir})
			Expect(os.ReadFile(log)).To(ContainSubstring("starting PostgreSQL"))
			info, err := os.Stat(log + ".1")
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Size()).To(BeNumerically("==", 10<<20+1))
		})

		It("leaves nothing behind when it is called off", func(ctx SpecContext) {
			dir := passable()
			calledOff, callOff := context.WithCancel(ctx)
			_, err := pgcluster.Start(calledOff, pgcluster.Options{Dir: dir, Progress: func(string) { callOff() }})
			Expect(err).To(MatchError(context.Canceled))
			Expect(os.ReadDir(dir)).To(ConsistOf(HaveField("Name()", "lock")))
		})
	})

	Describe("finding PostgreSQL", func() {
		It("says what to install, or which setting avoids it, when there is none", func(ctx SpecContext) {
			GinkgoT().Setenv("FUSION_POSTGRES_BIN", GinkgoT().TempDir())
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: passable()})
			Expect(err).To(MatchError(pgcluster.ErrNoBinaries))
			Expect(err).To(MatchError(And(ContainSubstring("FUSION_POSTGRES_BIN"), ContainSubstring("does not hold both"),
				ContainSubstring("apt install postgresql"), ContainSubstring("dnf install"), ContainSubstring("brew install"), ContainSubstring("FUSION_DATABASE_URL"))))
		})

		It("does not touch a cluster of a version that is not installed", func(ctx SpecContext) {
			dir := prepared()
			Expect(os.WriteFile(filepath.Join(dir, "pgdata", "PG_VERSION"), []byte("9\n"), 0o600)).To(Succeed())
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(pgcluster.ErrNoBinaries))
			Expect(err).To(MatchError(ContainSubstring("was written by PostgreSQL 9 and here is ")))
		})

		It("does not take a folder that holds something else", func(ctx SpecContext) {
			dir := passable()
			Expect(os.MkdirAll(filepath.Join(dir, "pgdata", "photos"), 0o700)).To(Succeed())
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(ContainSubstring("is not a PostgreSQL cluster")))
		})
	})

	Describe("owning the folder", func() {
		It("is for one process at a time, and the second learns which", func(ctx SpecContext) {
			dir := prepared()
			c := start(ctx, pgcluster.Options{Dir: dir})
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(pgcluster.ErrInUse))
			Expect(err).To(MatchError(ContainSubstring("process %d holds", os.Getpid())))
			Expect(c.Stop(ctx)).To(Succeed())
			start(ctx, pgcluster.Options{Dir: dir})
		})

		It("is not needed to attach, which never stops the server", func(ctx SpecContext) {
			dir := prepared()
			_, err := pgcluster.Attach(filepath.Join(dir, "nowhere"))
			Expect(err).To(MatchError(pgcluster.ErrNotRunning))
			_, err = pgcluster.Attach(dir)
			Expect(err).To(MatchError(pgcluster.ErrNotRunning))

			o := newOwner(dir)
			pid := o.pid()
			_, err = pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(ContainSubstring("process %d holds", o.cmd.Process.Pid)))
			guest, err := pgcluster.Attach(dir)
			Expect(err).NotTo(HaveOccurred())
			other, err := pgcluster.Attach(dir)
			Expect(err).NotTo(HaveOccurred())
			Expect(guest.Pid()).To(Equal(pid))
			Expect(value(ctx, guest, "select 'open'")).To(Equal("open"))
			Expect(guest.Stop(ctx)).To(Succeed())
			Expect(guest.Stop(ctx)).To(Succeed())
			Expect(value(ctx, other, "select 'still open'")).To(Equal("still open"))
			Expect(other.Done()).NotTo(BeClosed())

			signal(pid, syscall.SIGINT)
			Eventually(other.Done()).Should(BeClosed())
		})
	})

	Describe("surviving", func() {
		It("adopts the server of an owner that was killed, with its sessions", func(ctx SpecContext) {
			dir := prepared()
			o := newOwner(dir)
			pid := o.pid()
			guest, err := pgcluster.Attach(dir)
			Expect(err).NotTo(HaveOccurred())
			session := connect(ctx, guest)
			_, err = session.ExecContext(ctx, "create temporary table basket as select 1 as sku")
			Expect(err).NotTo(HaveOccurred())
			o.kill()

			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Adopted()).To(BeTrue())
			Expect(c.Pid()).To(Equal(pid))
			Expect(c.Version()).To(Equal(guest.Version()))
			_, err = session.ExecContext(ctx, "select * from basket")
			Expect(err).NotTo(HaveOccurred())
			Expect(c.Stop(ctx)).To(Succeed())
			Expect(c.Done()).To(BeClosed())
			Eventually(guest.Done()).Should(BeClosed())
		})

		It("restarts a server nobody can reach, because its socket was removed", func(ctx SpecContext) {
			dir := prepared()
			o := newOwner(dir)
			pid := o.pid()
			o.kill()
			Expect(os.RemoveAll(filepath.Join(dir, "run"))).To(Succeed())
			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Pid()).NotTo(Equal(pid))
			Expect(value(ctx, c, "select 'hello'")).To(Equal("hello"))
		})

		It("does not wait for ever for a server that hangs", func(ctx SpecContext) {
			dir := prepared()
			o := newOwner(dir)
			pid := o.pid()
			o.kill()
			signal(pid, syscall.SIGSTOP)
			DeferCleanup(func() { _ = syscall.Kill(pid, syscall.SIGQUIT); _ = syscall.Kill(pid, syscall.SIGCONT) })
			soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			_, err := pgcluster.Start(soon, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(context.DeadlineExceeded))
			Expect(err).To(MatchError(ContainSubstring("pid %d", pid)))
		})

		It("waits for a server that is shutting down, then starts it again", func(ctx SpecContext) {
			dir := prepared()
			o := newOwner(dir)
			pid := o.pid()
			guest, err := pgcluster.Attach(dir)
			Expect(err).NotTo(HaveOccurred())
			session := connect(ctx, guest)
			o.kill()
			signal(pid, syscall.SIGTERM) // waits for its clients
			_, err = pgcluster.Attach(dir)
			Expect(err).To(MatchError(pgcluster.ErrNotRunning))

			started := make(chan *pgcluster.Cluster, 1)
			go func() {
				defer GinkgoRecover()
				started <- start(ctx, pgcluster.Options{Dir: dir})
			}()
			Consistently(started, 200*time.Millisecond).ShouldNot(Receive())
			Expect(session.Close()).To(Succeed())
			var c *pgcluster.Cluster
			Eventually(started).Should(Receive(&c))
			Expect(c.Adopted()).To(BeFalse())
			Expect(c.Pid()).NotTo(Equal(pid))
		})

		It("starts over when initialising was interrupted", func(ctx SpecContext) {
			dir := passable()
			o := newOwner(dir)
			o.says("step")
			Eventually(func() ([]string, error) {
				return filepath.Glob(filepath.Join(dir, "pgdata.new-*", "base"))
			}).ShouldNot(BeEmpty())
			o.kill()
			c := start(ctx, pgcluster.Options{Dir: dir, Throwaway: true})
			Expect(c.Fresh()).To(BeTrue())
			Expect(filepath.Glob(filepath.Join(dir, "pgdata.new-*"))).To(BeEmpty())
		})

		It("recovers what was committed after it had to quit at once", func(ctx SpecContext) {
			dir := prepared()
			c := start(ctx, pgcluster.Options{Dir: dir})
			run(ctx, c, "create table sale as select 42 as sku")
			inNoTime, cancel := context.WithCancel(ctx)
			cancel()
			Expect(c.Stop(inNoTime)).To(Succeed())
			Expect(c.Done()).To(BeClosed())

			var steps []string
			c = start(ctx, pgcluster.Options{Dir: dir, Progress: func(step string) { steps = append(steps, step) }})
			Expect(steps).To(Equal([]string{"recovering"}))
			Expect(value(ctx, c, "select sku from sale")).To(Equal("42"))
		})

		It("recovers after the server was killed under its clients", func(ctx SpecContext) {
			dir := prepared()
			c := start(ctx, pgcluster.Options{Dir: dir})
			run(ctx, c, "create table sale as select 42 as sku")
			busy := connect(ctx, c)
			go func() { _, _ = busy.ExecContext(ctx, "select count(*) from generate_series(1, 2000000)") }()
			Eventually(func() string {
				return value(ctx, c, "select count(*) from pg_stat_activity where state = 'active' and query like 'select count%generate_series%' and pid <> pg_backend_pid()")
			}).Should(Equal("1"))
			signal(c.Pid(), syscall.SIGKILL)
			Eventually(c.Done()).Should(BeClosed())
			Expect(c.Stop(ctx)).To(Succeed(), "it is gone already")

			c = start(ctx, pgcluster.Options{Dir: dir})
			Expect(value(ctx, c, "select sku from sale")).To(Equal("42"))
		})

		DescribeTable("is not held up by the lock files of a server that a power cut ended", func(ctx SpecContext, content func(neighbour int) string) {
			dir := prepared()
			neighbour := start(ctx, pgcluster.Options{Dir: prepared()}) // runs as the same account
			Expect(os.Mkdir(filepath.Join(dir, "run"), 0o700)).To(Succeed())
			for _, lock := range []string{"pgdata/postmaster.pid", "run/.s.PGSQL.5432.lock"} {
				Expect(os.WriteFile(filepath.Join(dir, lock), []byte(content(neighbour.Pid())), 0o600)).To(Succeed())
			}
			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Adopted()).To(BeFalse())
			Expect(value(ctx, neighbour, "select 'unharmed'")).To(Equal("unharmed"))
		},
			Entry("when its process id is nobody's", func(int) string { return lockFile(1 << 30) }),
			Entry("when its process id is another server's now", lockFile),
			Entry("when they are empty", func(int) string { return "" }),
			Entry("when they are torn", func(int) string { return "\x00\x00\x00\x00" }),
		)
	})

	Describe("telling that the server has ended", func() {
		It("does so for one that was started", func(ctx SpecContext) {
			c := start(ctx, pgcluster.Options{Dir: prepared()})
			Expect(c.Done()).NotTo(BeClosed())
			signal(c.Pid(), syscall.SIGQUIT)
			Eventually(c.Done()).Should(BeClosed())
		})

		It("does so for one that was adopted", func(ctx SpecContext) {
			dir := prepared()
			o := newOwner(dir)
			o.pid()
			o.kill()
			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Adopted()).To(BeTrue())
			Expect(c.Done()).NotTo(BeClosed())
			signal(c.Pid(), syscall.SIGQUIT)
			Eventually(c.Done()).Should(BeClosed())
		})
	})

	Describe("placing the socket", func() {
		DescribeTable("always in a folder that only the server's account may enter", func(ctx SpecContext, name string, inside bool) {
			dir := preparedAt(filepath.Join(filepath.Dir(passable()), name, "postgres"))
			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(value(ctx, c, "select 'hello'")).To(Equal("hello"))
			socket := value(ctx, c, "show unix_socket_directories")
			if inside {
				Expect(socket).To(Equal(filepath.Join(dir, "run")))
			} else {
				Expect(socket).To(HavePrefix(filepath.Clean(os.TempDir()) + "/fusion-"))
			}
			info, err := os.Stat(socket)
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode().Perm()).To(BeEquivalentTo(0o700))

			guest, err := pgcluster.Attach(dir)
			Expect(err).NotTo(HaveOccurred())
			Expect(guest.DSN("a", "b")).To(Equal(c.DSN("a", "b")))
			Expect(guest.Stop(ctx)).To(Succeed())
			Expect(c.Stop(ctx)).To(Succeed())
			if !inside {
				Expect(socket).NotTo(BeADirectory(), "nothing stays among the temporary files")
			}
		},
			Entry("in the cluster's own", "data", true),
			Entry("elsewhere when that path is too long for a socket", strings.Repeat("a-long-name/", 9), false),
			Entry("elsewhere when that path means something in an address", "tea, coffee", false),
		)
	})

	if os.Geteuid() == 0 {
		describeRoot()
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		describeLinux()
	}
})

func lockFile(pid int) string {
	return fmt.Sprintf("%d\n/srv/shop/pgdata\n1700000000\n5432\n/srv/shop/run\n\n  5432001         7\nready   \n", pid)
}

// What only root can do, and only root needs.
func describeRoot() {
	Describe("started by root", func() {
		DescribeTable("runs as another account", func(ctx SpecContext, mode os.FileMode, name string) {
			dir := filepath.Join(filepath.Dir(passable()), name, "postgres")
			Expect(os.MkdirAll(filepath.Dir(dir), 0o755)).To(Succeed())
			Expect(os.Chmod(filepath.Dir(filepath.Dir(dir)), mode)).To(Succeed())

			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Fresh()).To(BeTrue())
			info, err := os.Stat(fmt.Sprintf("/proc/%d", c.Pid()))
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Sys().(*syscall.Stat_t).Uid).NotTo(BeZero())
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
			Expect(err).NotTo(HaveOccurred())
			Expect(string(status)).To(MatchRegexp(`CapEff:\s+0+\n`), "without any of root's powers")

			run(ctx, c, "create table sale as select 42 as sku")
			run(ctx, c, "create database copy template template1")
			run(ctx, c, "checkpoint")
			guest, err := pgcluster.Attach(dir)
			Expect(err).NotTo(HaveOccurred())
			Expect(value(ctx, guest, "select sku from sale")).To(Equal("42"))
			Expect(guest.Stop(ctx)).To(Succeed())
			Expect(c.Stop(ctx)).To(Succeed())

			o := newOwner(dir)
			pid := o.pid()
			o.kill()
			c = start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Pid()).To(Equal(pid))
			Expect(value(ctx, c, "select sku from sale")).To(Equal("42"))
		},
			Entry("below a folder everybody may pass", os.FileMode(0o755), "shop"),
			Entry("below a folder nobody else may pass", os.FileMode(0o700), "shop"),
			Entry("below such a folder, with a path too long for a socket", os.FileMode(0o700), strings.Repeat("a-long-name/", 9)),
		)

		It("takes over a cluster that was restored by hand", func(ctx SpecContext) {
			dir := prepared()
			info, err := os.Stat(filepath.Join(dir, "pgdata", "base"))
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Sys().(*syscall.Stat_t).Uid).To(BeZero())
			c := start(ctx, pgcluster.Options{Dir: dir})
			Expect(c.Fresh()).To(BeFalse())
		})

		It("keeps the account a cluster belongs to", func(ctx SpecContext) {
			const nobody = 65534
			dir := prepared()
			Expect(exec.CommandContext(ctx, "chown", "-R", strconv.Itoa(nobody), filepath.Join(dir, "pgdata")).Run()).To(Succeed())
			c := start(ctx, pgcluster.Options{Dir: dir})
			info, err := os.Stat(fmt.Sprintf("/proc/%d", c.Pid()))
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Sys().(*syscall.Stat_t).Uid).To(BeEquivalentTo(nobody))
		})

		It("does not put its socket where somebody else was first", func(ctx SpecContext) {
			dir := prepared()
			run := filepath.Join(dir, "run")
			Expect(os.Mkdir(run, 0o700)).To(Succeed())
			Expect(os.Chown(run, 4242, 4242)).To(Succeed())
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(ContainSubstring("belongs to somebody else (uid 4242)")))
			Expect(os.Remove(run)).To(Succeed())
			// Not a folder that anything else lives from: a program that does it all the same
			// changes whom it belongs to.
			theirs := GinkgoT().TempDir()
			Expect(os.Chmod(theirs, 0o755)).To(Succeed())
			Expect(os.Symlink(theirs, run)).To(Succeed())
			_, err = pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			Expect(err).To(MatchError(ContainSubstring("the folder of the socket")))
			info, err := os.Stat(theirs)
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode().Perm()).To(BeEquivalentTo(0o755))
		})
	})
}

// What Linux alone can do.
func describeLinux() {
	It("dies with its owner when it is a throw-away", func(ctx SpecContext) {
		dir := prepared()
		o := newOwner(dir, ownedThrowaway+"=yes")
		pid := o.pid()
		guest, err := pgcluster.Attach(dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(guest.Pid()).To(Equal(pid))
		Expect(value(ctx, guest, "show fsync")).To(Equal("off"))
		o.kill()
		Eventually(guest.Done()).Should(BeClosed())
	})

	It("leaves a server alone that was started by hand", func(ctx SpecContext) {
		dir := prepared()
		c := start(ctx, pgcluster.Options{Dir: dir})
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.Pid()))
		Expect(err).NotTo(HaveOccurred())
		program, _, _ := strings.Cut(string(line), "\x00")
		pgdata, err := os.Stat(filepath.Join(dir, "pgdata"))
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Stop(ctx)).To(Succeed())

		st := pgdata.Sys().(*syscall.Stat_t)
		byHand := exec.Command(program, "-D", filepath.Join(dir, "pgdata"), "-c", "listen_addresses=", "-k", filepath.Join(dir, "run"))
		byHand.Dir = "/"
		if os.Geteuid() == 0 {
			byHand.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: st.Uid, Gid: st.Gid}}
		}
		Expect(byHand.Start()).To(Succeed())
		DeferCleanup(func() {
			_ = byHand.Process.Signal(syscall.SIGQUIT)
			_ = byHand.Wait()
		})
		Eventually(func() error {
			_, err := pgcluster.Start(ctx, pgcluster.Options{Dir: dir})
			return err
		}).Should(MatchError(ContainSubstring("serves %s (pid %d): stop it first", filepath.Join(dir, "pgdata"), byHand.Process.Pid)))
	})
}
