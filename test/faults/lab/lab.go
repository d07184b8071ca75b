// Package lab runs the real program with a private PostgreSQL of its own, on a disk
// and with every safety on, and breaks both the way machines do.
package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// Faults so far.
func (l *Lab) Faults() Faults {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults
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
