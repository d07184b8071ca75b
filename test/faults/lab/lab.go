// Package lab runs the real program with a private PostgreSQL of its own, on a disk
// and with every safety on, and breaks both the way machines do.
package lab

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// Key is the owner's API key of every shop in a lab.
const Key = "fc_sk_faults-bootstrap-key-of-a-shop-that-is-about-to-suffer"

// Build compiles a program of the repository into dir.
func Build(ctx context.Context, program, dir string) error {
	const module = "github.com/fusioncommerce/fusion/"
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, filepath.Base(program)), module+program) //nolint:gosec // our own programs
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return nil
}

// Prepare makes a data folder with an initialised and migrated cluster, stopped in good
// order, for labs to be copies of.
func Prepare(ctx context.Context, binary, dir string) error {
	l, err := open(ctx, binary, dir)
	if err != nil {
		return err
	}
	if err := l.Start(ctx); err != nil {
		return errors.Join(err, l.Close(ctx))
	}
	return l.Close(ctx)
}

// Lab is one shop that faults are injected into. Only one goroutine breaks it at a time.
type Lab struct {
	URL string

	dir    string
	binary string
	addr   string
	log    *os.File
	dsn    string
	shared string // the database of the lab that this one is a twin of
	// settings of every program, NAME=value.
	settings []string

	hosted *pgcluster.Cluster // nil while the program runs PostgreSQL itself
	url    string             // of the database for the programs, when PostgreSQL is hosted
	disks  []string           // folders of mounted disks, the inner ones last

	mu       sync.Mutex
	running  *program
	replicas []*Replica
	faults   Faults
	gaveUp   []string
}

// Faults counts what really happened to the shop.
type Faults struct {
	Kills   int // SIGKILL of the program
	Crashes int // SIGQUIT of the postmaster, PostgreSQL's immediate shutdown
}

// New makes a lab below dir from what Prepare made. It does not start the program.
func New(ctx context.Context, binary, prepared, dir string) (*Lab, error) {
	// cp keeps the owner: PostgreSQL does not run as root.
	cp := exec.CommandContext(ctx, "cp", "-a", filepath.Join(prepared, "data"), filepath.Join(dir, "data")) //nolint:gosec // our own folders
	if out, err := cp.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copy the prepared data: %w: %s", err, out)
	}
	return open(ctx, binary, dir)
}

func open(ctx context.Context, binary, dir string) (*Lab, error) {
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "fusion.log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// It comes before the machine's own configuration, which is none of ours.
	if err := os.WriteFile(filepath.Join(dir, "fusion.yaml"), nil, 0o600); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &Lab{URL: "http://" + addr, dir: dir, binary: binary, addr: addr, log: log}, nil
}

// freeAddress lies below the ports that the system gives to outgoing connections: there,
// a client that knocks while the program is dead could be given the very port, connect
// to itself and keep the program from coming back.
func freeAddress(ctx context.Context) (string, error) {
	const first, ports, tries = 20_000, 10_000, 50
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(ports))) //nolint:gosec // not a secret
		if ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", errors.New("no free port")
}

// program is one life of the program.
type program struct {
	cmd    *exec.Cmd
	exited chan struct{}
	asked  bool // to end; guarded by Lab.mu
}

// Start starts the program and returns when it is ready for requests.
func (l *Lab) Start(ctx context.Context) error {
	if err := l.Launch(); err != nil {
		return err
	}
	return l.AwaitReady(ctx)
}

// Launch starts the program and does not wait.
func (l *Lab) Launch() error {
	p, err := l.launch(l.serve(l.addr))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = p
	return nil
}

func (l *Lab) serve(addr string) *exec.Cmd {
	args := []string{"serve", "--addr", addr}
	if l.shared == "" && l.hosted == nil {
		args = append(args, "--data", filepath.Join(l.dir, "data"))
	}
	return exec.Command(l.binary, args...) //nolint:gosec,noctx // the program under test; signals end it, no context does
}

func (l *Lab) launch(cmd *exec.Cmd, settings ...string) (*program, error) {
	cmd.Dir = l.dir
	cmd.Env = append(l.environ(), settings...)
	cmd.Stdout, cmd.Stderr = l.log, l.log
	cmd.SysProcAttr = endWithUs()
	p := &program{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		unpin := pin() // the system watches the thread that starts a child, not the process
		defer unpin()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state stays in cmd.ProcessState
			l.ended(p)
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	return p, nil
}

// Configure gives every program that is started from now on further settings, NAME=value.
func (l *Lab) Configure(settings ...string) { l.settings = append(l.settings, settings...) }

// masterKey is that of all programs: a second one on a shop's database, or on what was
// recovered of it, must open what the first has sealed.
const masterKey = "FUSION_SECRETS_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// environ is all that a program of the lab knows of the world.
func (l *Lab) environ() []string {
	env := []string{
		"FUSION_BOOTSTRAP_KEY=" + Key, "FUSION_OPS_ADDR=", masterKey,
		// Load is what the lab is for: limits cost what they cost, and bind nobody.
		"FUSION_LIMITS_REQUESTS_PER_MINUTE=1000000", "FUSION_LIMITS_LOGINS_PER_MINUTE=0", "FUSION_LIMITS_CHECKOUTS_PER_MINUTE=0", "FUSION_HTTP_MAX_CONNECTIONS=0",
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "TMPDIR=" + os.TempDir(),
	}
	env = append(env, l.settings...)
	if l.shared != "" {
		env = append(env, "FUSION_DATABASE_URL="+l.shared)
	}
	if l.hosted != nil {
		env = append(env, "FUSION_DATABASE_URL="+l.url, "FUSION_DATABASE_MIGRATE_URL="+l.hosted.DSN("fusion_owner", "fusion"))
	}
	return env
}

func (l *Lab) ended(p *program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.asked {
		l.gaveUp = append(l.gaveUp, p.cmd.ProcessState.String())
	}
}

// GaveUp tells how the program ended, each time that it did and nobody had asked it to.
func (l *Lab) GaveUp() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.gaveUp...)
}

// Faults so far.
func (l *Lab) Faults() Faults {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults
}

func (l *Lab) current() *program {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

func (l *Lab) ask(p *program, s syscall.Signal) error {
	if p == nil {
		return errors.New("the program does not run")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s == syscall.SIGTERM && p.asked {
		return nil // a second one would end it at once
	}
	p.asked = true
	err := p.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return err
}

// Kill ends the program with SIGKILL. PostgreSQL is left running, as a kill leaves it.
func (l *Lab) Kill() error {
	p := l.current()
	if err := l.ask(p, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the program: %w", err)
	}
	<-p.exited
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = nil
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the program was gone before it was killed: %s", p.cmd.ProcessState)
	}
	l.faults.Kills++
	return nil
}

// CrashPostgres makes PostgreSQL quit at once, without a checkpoint and without telling
// its clients, and returns when the postmaster is gone.
func (l *Lab) CrashPostgres(ctx context.Context) error {
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	defer func() { _ = c.Stop(ctx) }() // only lets go of it
	pid, err := l.postmaster()
	if err != nil {
		return err
	}
	if pid != c.Pid() {
		return fmt.Errorf("postmaster.pid names %d, but %d serves", pid, c.Pid())
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("crash PostgreSQL (pid %d): %w", pid, err)
	}
	if err := awaitEnd(ctx, pid); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults.Crashes++
	return nil
}

// awaitEnd returns when a process is gone that is not our child.
func awaitEnd(ctx context.Context, pid int) error {
	tick := time.NewTicker(goneEvery)
	defer tick.Stop()
	for !gone(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL (pid %d) does not end: %w", pid, ctx.Err())
		}
	}
	return nil
}

func (l *Lab) postgres() string { return filepath.Join(l.dir, "data", "postgres") }

func (l *Lab) postmaster() (int, error) {
	b, err := os.ReadFile(filepath.Join(l.postgres(), "pgdata", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

const (
	readyEvery = 5 * time.Millisecond
	goneEvery  = 2 * time.Millisecond
	probeWaits = 2 * time.Second
)

// AwaitReady returns when the program answers that it is ready.
func (l *Lab) AwaitReady(ctx context.Context) error {
	p := l.current()
	if p == nil {
		return errors.New("the program does not run")
	}
	if err := l.awaitReady(ctx, p, l.URL); err != nil {
		return err
	}
	return l.connect()
}

func (l *Lab) awaitReady(ctx context.Context, p *program, url string) error {
	client := prober()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		if ready(ctx, client, url) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("the program ended by itself (%s) and said:\n%s", p.cmd.ProcessState, l.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("the program is not ready: %w; it said:\n%s", ctx.Err(), l.lastWords())
		}
	}
}

func prober() *http.Client {
	return &http.Client{Timeout: probeWaits, Transport: &http.Transport{DisableKeepAlives: true}}
}

func ready(ctx context.Context, client *http.Client, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

// connect finds out, once, where the database is. The address outlives restarts.
func (l *Lab) connect() error {
	if l.dsn != "" {
		return nil
	}
	if l.hosted != nil {
		l.dsn = superuser(l.hosted)
		return nil
	}
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return err
	}
	l.dsn = superuser(c)
	return c.Stop(context.Background())
}

func superuser(c *pgcluster.Cluster) string {
	return c.DSN("postgres", "fusion") + "&application_name=faults&connect_timeout=2"
}

// Database opens the shop's database as the superuser that auditors and saboteurs are.
func (l *Lab) Database() (*sql.DB, error) {
	if l.dsn == "" {
		return nil, errors.New("the program has not been ready yet")
	}
	return sql.Open("postgres", l.dsn)
}

// HoldBack keeps a consumer from its deliveries until release is called or PostgreSQL
// crashes. It returns when the consumer has subscribed and finished what it had in hand.
func HoldBack(ctx context.Context, db *sql.DB, consumer string) (release func(), err error) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		held, err := tx.ExecContext(ctx, `select from platform.subscription where consumer = $1 for update`, consumer)
		if err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
		if n, err := held.RowsAffected(); err == nil && n > 0 {
			return sync.OnceFunc(func() { _ = tx.Rollback() }), nil
		}
		if err := tx.Rollback(); err != nil {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("no consumer %s: %w", consumer, ctx.Err())
		}
	}
}

const stopWaits = 30 * time.Second

// Close stops all programs in good order, and PostgreSQL if the program left it behind.
func (l *Lab) Close(ctx context.Context) error {
	var err error
	if p := l.current(); p != nil {
		err = l.stop(ctx, p)
	}
	l.mu.Lock()
	replicas := l.replicas
	l.mu.Unlock()
	for _, r := range replicas {
		if _, stop := r.Stop(ctx); stop != nil {
			err = errors.Join(err, stop)
		}
	}
	if l.hosted != nil {
		err = errors.Join(err, l.hosted.Stop(ctx))
	} else if c, absent := pgcluster.Attach(l.postgres()); absent == nil {
		if pid, found := l.postmaster(); found == nil && pid == c.Pid() {
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGQUIT), awaitEnd(ctx, pid))
		}
		err = errors.Join(err, c.Stop(ctx))
	}
	return errors.Join(err, l.unmount(ctx), l.log.Close())
}

func (l *Lab) stop(ctx context.Context, p *program) error {
	if err := l.ask(p, syscall.SIGTERM); err != nil {
		return err
	}
	patience := time.NewTimer(stopWaits)
	defer patience.Stop()
	var err error
	select {
	case <-p.exited:
	case <-patience.C:
		err = fmt.Errorf("the program did not stop within %s", stopWaits)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == p {
		l.running = nil
	}
	return err
}

// Said counts the lines of the program's log that hold a text.
func (l *Lab) Said(text string) int { return count(filepath.Join(l.dir, "fusion.log"), text) }

// PostgresSaid counts the lines of PostgreSQL's log that hold a text.
func (l *Lab) PostgresSaid(text string) int {
	return count(filepath.Join(l.postgres(), "postgres.log"), text)
}

func count(path, text string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n := 0
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

func (l *Lab) lastWords() string {
	const most = 2000
	b, err := os.ReadFile(filepath.Join(l.dir, "fusion.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// Keep copies the logs to a folder, for somebody who wants to know what went wrong.
func (l *Lab) Keep(folder string) error {
	var failures []error
	for _, path := range []string{filepath.Join(l.dir, "fusion.log"), filepath.Join(l.postgres(), "postgres.log")} {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, filepath.Base(path)), b, 0o600) //nolint:gosec // our own folders
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
