// Package pgcluster runs a private PostgreSQL below the data folder, so that a
// shop starts with no database to ask anybody for. The programs are those
// installed on the machine; the SQL and the guarantees are those of production.
//
// A folder has one owner at a time, the process whose Start succeeded. The
// server outlives an owner that was killed: the next Start adopts it, or waits
// for its recovery, or starts it again. Others may Attach to a running cluster.
//
//	c, err := pgcluster.Start(ctx, pgcluster.Options{Dir: "data/postgres", Log: log})
//	if err != nil {
//		return err
//	}
//	defer c.Stop(stopCtx)
//	pool, err := sql.Open("postgres", c.DSN("postgres", "postgres"))
//
// Nobody needs a password, because nobody reaches the server except through a
// unix socket in a folder that only its own account (and root) may enter.
// There is no TCP port.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// ErrNoBinaries says that initdb and postgres were not found, or not in the
	// major version an existing cluster needs. The message says what to install.
	ErrNoBinaries = errors.New("no PostgreSQL programs to run")
	// ErrInUse says that another process owns the folder; the message names it.
	ErrInUse = errors.New("the PostgreSQL folder is in use")
	// ErrNotRunning says that no server answers for the folder.
	ErrNotRunning = errors.New("the private PostgreSQL is not running")
)

// Options say where the cluster lives and how it behaves.
type Options struct {
	// Dir is the folder of the cluster. It is created with mode 0700; its parent
	// folders are created when missing.
	Dir string
	// Log hears about starts, adoptions and unexpected exits. The server's own
	// log is Dir/postgres.log.
	Log *slog.Logger
	// Settings are further server settings, which win over ours. They apply to
	// a server that is started: an adopted one keeps what it was started with.
	Settings map[string]string
	// Throwaway trades durability for speed and, on Linux, lets the server die
	// with this process. For tests.
	Throwaway bool
	// Progress hears "initialising", "starting" and "recovering" as they begin.
	Progress func(step string)
}

// Cluster is a running PostgreSQL. Its methods may be called from any goroutine.
type Cluster struct {
	folder  folder
	log     *slog.Logger
	socket  string // the folder of the unix socket
	process *os.Process
	version string

	fresh, adopted, attached bool

	done    chan struct{} // closed when the postmaster is gone
	unwatch chan struct{} // closed to stop watching an attached one
	wanted  atomic.Bool   // it answered, and nobody stopped it
	release func()        // gives the folder back
}

// Start finds the PostgreSQL programs, initialises the folder when it is new,
// adopts the server a killed owner left behind or starts one, and returns when
// it answers. ctx bounds the start only; Stop ends the server. A recovery, which
// may take minutes after a crash under load, is waited for as long as ctx allows.
//
// Errors: ErrInUse, ErrNoBinaries, and what PostgreSQL said when it gave up.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if err := checkSettings(o.Settings); err != nil {
		return nil, err
	}
	f, err := createFolder(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", o.Dir, err)
	}
	lock, err := f.lock()
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: f, log: o.Log}
	c.release = sync.OnceFunc(func() {
		f.removeSocketFolder(c.socket)
		_ = lock.Close()
	})
	defer func() {
		if err != nil {
			c.release()
		}
	}()

	l := launcher{Cluster: c, options: o}
	// A server that has just been killed, or whose postmaster has, may need a
	// moment before its memory is free: then the launch is tried again.
	for try := 0; ; try++ {
		err = l.adoptOrLaunch(ctx)
		if err == nil {
			c.wanted.Store(true)
			return c, nil
		}
		if !errors.Is(err, errTryAgain) || try == maxTries {
			return nil, err
		}
		if err := sleep(ctx, retryEvery); err != nil {
			return nil, err
		}
	}
}

const (
	pollEvery  = 15 * time.Millisecond
	watchEvery = 100 * time.Millisecond
	retryEvery = 100 * time.Millisecond
	maxTries   = 300 // some 40 s: an orphaned backend ends at its next look at the postmaster
)

// errTryAgain marks a state that ends by itself within moments.
var errTryAgain = errors.New("not yet")

// Attach joins the cluster in dir that another process runs. It does not own
// it: Stop leaves the server alone. ErrNotRunning when no server answers there,
// also while it is still starting.
func Attach(dir string) (*Cluster, error) {
	f, err := findFolder(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", ErrNotRunning, dir)
	}
	if err != nil {
		return nil, err
	}
	pm, err := f.postmaster()
	if err != nil {
		return nil, err
	}
	if !pm.serving || pm.socket == "" {
		return nil, fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	c := &Cluster{folder: f, log: slog.New(slog.DiscardHandler), socket: pm.socket, attached: true}
	c.version, err = ask(context.Background(), c.socket) //nolint:forbidigo // bounded by ask itself
	if err != nil {
		return nil, fmt.Errorf("%w in %s: %w", ErrNotRunning, dir, err)
	}
	c.wanted.Store(true)
	c.watch(pm.process)
	return c, nil
}

// DSN is a URL for lib/pq, which always has a query: further parameters are
// appended with "&". What it leaves open, lib/pq takes from the environment
// (PGOPTIONS and its like).
//
//	postgres://shop@/fusion?host=%2Fsrv%2Fdata%2Fpostgres%2Frun&port=5432&sslmode=disable
func (c *Cluster) DSN(user, database string) string {
	q := url.Values{"host": {c.socket}, "port": {strconv.Itoa(port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// Pid is the process id of the postmaster.
func (c *Cluster) Pid() int { return c.process.Pid }

// Version is the server's version, as "15.18".
func (c *Cluster) Version() string { return c.version }

// Fresh tells that this Start initialised the cluster: it is empty.
func (c *Cluster) Fresh() bool { return c.fresh }

// Adopted tells that the server was already running, left by a killed owner.
func (c *Cluster) Adopted() bool { return c.adopted }

// Done is closed when the server has exited, by Stop or by accident. A database
// that ends before the program does is a reason to stop the program.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Stop disconnects every client, writes everything down and waits for the
// server's exit. When ctx ends first the server quits at once instead; nothing
// that was committed is lost, but the next start has to recover. A server that
// is gone already is no error; an attached one is left running, and no longer watched.
func (c *Cluster) Stop(ctx context.Context) error {
	wanted := c.wanted.Swap(false)
	if c.attached {
		if wanted {
			close(c.unwatch)
		}
		return nil
	}
	if err := c.signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop PostgreSQL (pid %d): %w", c.Pid(), err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.log.WarnContext(ctx, "PostgreSQL did not stop in time and quits without a checkpoint", "pid", c.Pid())
		if err := c.quit(); err != nil {
			return err
		}
	}
	c.release()
	return nil
}

// quit ends the server without a checkpoint. The postmaster itself kills what
// has not left after 5 s, so twice that is never reached by a sound machine.
func (c *Cluster) quit() error {
	if err := c.signal(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("quit PostgreSQL (pid %d): %w", c.Pid(), err)
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("PostgreSQL (pid %d) does not stop", c.Pid())
	}
}

func (c *Cluster) signal(s syscall.Signal) error {
	if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// watch closes done when a process that is not our child is gone, which the
// kernel tells nobody but its parent.
func (c *Cluster) watch(p *os.Process) {
	c.process, c.done, c.unwatch = p, make(chan struct{}), make(chan struct{})
	done, unwatch := c.done, c.unwatch
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for alive(p) {
			select {
			case <-tick.C:
			case <-unwatch:
				return
			}
		}
		c.exited("")
		close(done)
	}()
}

// run starts the postmaster as our child and closes done when it has exited.
func (c *Cluster) run(cmd *exec.Cmd) error {
	wait, err := start(cmd)
	if err != nil {
		return err
	}
	c.process, c.done = cmd.Process, make(chan struct{})
	done := c.done
	go func() {
		<-wait
		c.exited(cmd.ProcessState.String())
		close(done)
	}()
	return nil
}

// exited reports the end of a server that answered and that nobody stopped.
func (c *Cluster) exited(status string) {
	if c.wanted.Load() {
		c.log.Error("PostgreSQL ended unexpectedly", "pid", c.process.Pid, "status", status, "log", filepath.Join(c.folder.dir, logName))
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
