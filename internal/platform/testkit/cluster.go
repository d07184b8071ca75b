// Package testkit gives specs a real PostgreSQL, a migrated database in a fraction of a
// second, merchants that nobody else knows, and a running program to talk to.
//
// There is no skip: a suite without a database is a broken suite, not a green one.
package testkit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/migrations"
)

// template is the name of the migrated database that others are cloned from.
const (
	template  = "fusion_template"
	ownerRole = "fusion_owner"
)

var (
	started sync.Once
	cluster *pgcluster.Cluster
	failure error
)

// Cluster is the PostgreSQL of this test process. It is a copy of one that was
// initialised and migrated once for this state of the migrations, and dies with the
// process.
func Cluster() *pgcluster.Cluster {
	ginkgo.GinkgoHelper()
	started.Do(func() { cluster, failure = start(context.Background()) })
	gomega.Expect(failure).NotTo(gomega.HaveOccurred())
	return cluster
}

func start(ctx context.Context) (*pgcluster.Cluster, error) {
	origin, err := prepared(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare test cluster: %w", err)
	}
	dir, err := Scratch()
	if err != nil {
		return nil, err
	}
	if err := exec.CommandContext(ctx, "cp", "-a", origin+"/.", dir).Run(); err != nil {
		return nil, fmt.Errorf("copy test cluster: %w", err)
	}
	// The copy got the age of the original, and others sweep away what is old.
	if err := os.Chtimes(dir, time.Now(), time.Now()); err != nil {
		return nil, fmt.Errorf("copy test cluster: %w", err)
	}
	c, err := pgcluster.Start(ctx, pgcluster.Options{Dir: filepath.Join(dir, "postgres"), Throwaway: true, Settings: map[string]string{"max_connections": "300"}})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	cleanups = append(cleanups, func() error { return errors.Join(c.Stop(context.Background()), os.RemoveAll(dir)) })
	return c, nil
}

// sweep removes what suites left behind that were killed: it is memory.
func sweep() error {
	left, err := filepath.Glob(filepath.Join(scratch(), "fusion-test-[0-9]*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 2*time.Hour {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

var cleanups []func() error

// Close ends the cluster; suites call it in AfterSuite.
func Close() {
	for _, end := range cleanups {
		gomega.Expect(end()).To(gomega.Succeed())
	}
	cleanups = nil
}

// Scratch makes a folder for data that lives as long as the process, in memory where
// there is some. Whoever asks removes it.
func Scratch() (string, error) {
	if err := sweep(); err != nil {
		return "", err
	}
	return os.MkdirTemp(scratch(), "fusion-test-")
}

func scratch() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// prepared returns a folder with an initialised, migrated and stopped cluster. Its name
// is a hash of the migrations, so all suites share it until they change.
func prepared(ctx context.Context) (string, error) {
	hash := fnv.New64a()
	err := fs.WalkDir(migrations.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(migrations.FS, path)
		_, _ = fmt.Fprintf(hash, "%s\n%s\n", path, body)
		return err
	})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("fusion-test-origin-%d-%x", os.Getuid(), hash.Sum64()))
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := build(ctx, dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, os.WriteFile(filepath.Join(dir, "done"), nil, 0o600)
}

func build(ctx context.Context, dir string) (err error) {
	c, err := pgcluster.Start(ctx, pgcluster.Options{Dir: filepath.Join(dir, "postgres"), Throwaway: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop(ctx)) }()
	if err := run(ctx, c.DSN("postgres", "postgres"), `create role `+ownerRole+` login createrole`, `create database `+template+` owner `+ownerRole); err != nil {
		return err
	}
	runner, err := migrate.Open(c.DSN(ownerRole, template), migrations.FS, Modules()...)
	if err != nil {
		return err
	}
	_, err = runner.Up(ctx)
	return errors.Join(err, runner.Close())
}

// Modules that have migrations; the platform is not one of them.
func Modules() []string {
	entries, err := fs.ReadDir(migrations.FS, ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "platform" {
			names = append(names, e.Name())
		}
	}
	return names
}

func run(ctx context.Context, dsn string, statements ...string) error {
	pool, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	for _, q := range statements {
		if _, err := pool.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// Database is a migrated database.
type Database struct {
	App   string // DSN of the application's role, which row-level security binds
	Owner string // DSN of the owner of the tables
	Super string // DSN of the superuser, whom nothing binds: for auditors and saboteurs

	name string
}

// NewDatabase clones a database for the running spec and drops it afterwards.
func NewDatabase() Database {
	ginkgo.GinkgoHelper()
	return forSpec(template)
}

// Copy clones a database with all that is in it. Nobody may be connected to it.
func (d Database) Copy() Database {
	ginkgo.GinkgoHelper()
	return forSpec(d.name)
}

// Patient is the same database for a program that waits as long as it takes: where a spec
// holds what others wait for, on a machine that may stand still meanwhile.
func (d Database) Patient() Database {
	ginkgo.GinkgoHelper()
	u, err := url.Parse(d.App)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	q := u.Query()
	q.Set("lock_timeout", "0")
	q.Set("statement_timeout", "0")
	u.RawQuery = q.Encode()
	d.App = u.String()
	return d
}

func forSpec(origin string) Database {
	ginkgo.GinkgoHelper()
	name := "spec_" + strings.ReplaceAll(clock.NewID().String(), "-", "")
	d := clone(name, origin)
	ginkgo.DeferCleanup(func(ctx context.Context) {
		gomega.Expect(run(ctx, Cluster().DSN("postgres", "postgres"), `drop database if exists `+name+` with (force)`)).To(gomega.Succeed())
	})
	return d
}

func clone(name, origin string) Database {
	ginkgo.GinkgoHelper()
	c := Cluster()
	gomega.Expect(run(context.Background(), c.DSN("postgres", "postgres"), `create database `+name+` template `+origin+` owner `+ownerRole)).To(gomega.Succeed())
	d := Database{App: c.DSN(migrate.AppRole, name), Owner: c.DSN(ownerRole, name), Super: c.DSN("postgres", name), name: name}
	// A clone is a deployment of its own.
	gomega.Expect(run(context.Background(), d.Super, `update platform.deployment set id = gen_random_uuid()`)).To(gomega.Succeed())
	return d
}

// Open opens a pool on a DSN for the running spec.
func Open(dsn string) *db.DB {
	ginkgo.GinkgoHelper()
	d, err := db.Open(db.Options{DSN: dsn, Connections: 20})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(d.Close)
	return d
}

// SQL opens a plain pool, as the superuser that an auditor is.
func SQL(dsn string) *sql.DB {
	ginkgo.GinkgoHelper()
	pool, err := sql.Open("postgres", dsn)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(pool.Close)
	return pool
}

var (
	sharedOnce sync.Once
	shared     Database
)

// Shared is the one database of this test process. Specs that use a Tenant each share it
// and cannot see each other, which is the isolation that we sell.
func Shared() Database {
	ginkgo.GinkgoHelper()
	sharedOnce.Do(func() { shared = clone("shared", template) })
	return shared
}

// Lasting is a database that lives as long as the suite, beside Shared.
func Lasting(name string) Database {
	ginkgo.GinkgoHelper()
	return clone(name, template)
}

// Patience is how long specs wait for what happens soon.
const Patience = 10 * time.Second
