package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// Disk is what PostgreSQL writes to, and that can be full.
type Disk interface {
	// Fill leaves no space.
	Fill(ctx context.Context) error
	// Free gives the space back, as somebody does who has deleted something.
	Free() error
}

// mounts tells whether this account may mount file systems: root in a container may not.
// Without the right, disks are imitated by a limit to the size of files, as they are with
// FUSION_FAULTS_DISK=limit.
func (l *Lab) mounts(ctx context.Context) bool {
	if os.Getenv("FUSION_FAULTS_DISK") == "limit" {
		return false
	}
	try, err := os.MkdirTemp(l.dir, "try-")
	return err == nil && privileged(ctx, "mount", "-t", "tmpfs", "-o", "size=4096", ownMount(), try) == nil &&
		privileged(ctx, "umount", try) == nil
}

func ownMount() string { return owner + strconv.Itoa(os.Getpid()) }

// privileged runs a command as root: as ourselves, or as those may who build in a
// continuous integration.
func privileged(ctx context.Context, name string, args ...string) error {
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

const (
	dataSize = 128 << 20
	walSize  = 64 << 20
	roomy    = 1 << 30
)

// DataDisk gives PostgreSQL's tables, before it is started, a small disk of their own. The
// write-ahead log is on another one, with room.
func (l *Lab) DataDisk(ctx context.Context) (Disk, error) {
	if !l.mounts(ctx) {
		return &limit{lab: l, inflate: true}, nil
	}
	data := filepath.Join(l.postgres(), "pgdata")
	d, err := l.mount(ctx, data, dataSize)
	if err != nil {
		return nil, err
	}
	_, err = l.mount(ctx, filepath.Join(data, "pg_wal"), roomy)
	return d, err
}

// WALDisk gives PostgreSQL's write-ahead log a small disk of its own.
func (l *Lab) WALDisk(ctx context.Context) (Disk, error) {
	if !l.mounts(ctx) {
		return &limit{lab: l}, nil
	}
	return l.mount(ctx, filepath.Join(l.postgres(), "pgdata", "pg_wal"), walSize)
}

// mounted is a file system in memory.
type mounted struct{ folder string }

// owner of a mount is told by its name, so that the next suite can take away what a killed
// one has left.
const owner = "fusion-faults-"

func (l *Lab) mount(ctx context.Context, folder string, size int) (*mounted, error) {
	was := filepath.Join(l.dir, "was-"+filepath.Base(folder))
	steps := [][]string{
		{"mv", folder, was},
		{"mkdir", "--mode=700", folder},
		{"mount", "-t", "tmpfs", "-o", "size=" + strconv.Itoa(size), ownMount(), folder},
		{"chown", "--reference=" + was, folder},
		{"chmod", "--reference=" + was, folder},
		{"cp", "-a", was + "/.", folder},
		{"rm", "-r", was},
	}
	for _, s := range steps {
		if err := privileged(ctx, s[0], s[1:]...); err != nil {
			return nil, fmt.Errorf("mount a disk: %w", err)
		}
		if s[0] == "mount" {
			l.disks = append(l.disks, folder)
		}
	}
	return &mounted{folder}, nil
}

// unmount takes away the disks of a lab, the inner ones first.
func (l *Lab) unmount(ctx context.Context) error {
	var err error
	for _, folder := range slices.Backward(l.disks) {
		err = errors.Join(err, privileged(ctx, "umount", "--lazy", folder))
	}
	l.disks = nil
	return err
}

// Sweep takes away the disks that killed suites have left.
func Sweep(ctx context.Context) error {
	table, err := os.ReadFile("/proc/self/mounts")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	for _, line := range slices.Backward(lines) {
		fields := strings.Fields(line)
		pid, ours := strings.CutPrefix(fields[0], owner)
		n, err := strconv.Atoi(pid)
		if !ours || err != nil || !gone(n) {
			continue
		}
		if err := privileged(ctx, "umount", "--lazy", fields[1]); err != nil {
			return err
		}
	}
	return nil
}

func (m *mounted) ballast() string { return filepath.Join(m.folder, "ballast") }

// Fill writes until nothing goes in any more. PostgreSQL takes no notice of the file.
func (m *mounted) Fill(context.Context) error {
	file, err := os.Create(m.ballast())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.CopyN(file, zeros{}, roomy)
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is not full: %w", err)
	}
	return nil
}

func (m *mounted) Free() error { return os.Remove(m.ballast()) }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// limit makes PostgreSQL's files too long to be written on: what ulimit -f does, to a
// server that runs.
type limit struct {
	lab     *Lab
	inflate bool // only tables; the segments of the write-ahead log are in their bounds
	pids    []string
}

// segment of the write-ahead log, which is written from the start in its full length.
const segment = 16 << 20

func (d *limit) Fill(ctx context.Context) error {
	c, err := pgcluster.Attach(d.lab.postgres())
	if err != nil {
		return err
	}
	pid := strconv.Itoa(c.Pid())
	defer func() { _ = c.Stop(ctx) }() // only lets go of it
	size := int64(segment / 4)         // far more than the server's own log has
	if d.inflate {
		if size, err = d.lab.inflate(ctx); err != nil {
			return err
		}
	}
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return err
	}
	d.pids = append([]string{pid}, strings.Fields(string(children))...)
	return d.set(strconv.FormatInt(size, 10))
}

func (d *limit) Free() error { return d.set("unlimited") }

func (d *limit) set(size string) error {
	ctx, cancel := context.WithTimeout(context.Background(), goneWaits)
	defer cancel()
	for _, pid := range d.pids {
		err := asOwner(ctx, pid, "prlimit", "--pid", pid, "--fsize="+size+":unlimited")
		if n, _ := strconv.Atoi(pid); err != nil && !gone(n) {
			return fmt.Errorf("limit files of PostgreSQL: %w", err)
		}
	}
	return nil
}

// asOwner runs a command as the account that a process runs as: root in a container may
// not change the limits of others.
func asOwner(ctx context.Context, pid, name string, args ...string) error {
	info, err := os.Stat("/proc/" + pid)
	if err != nil {
		return err
	}
	if who, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		args = append([]string{fmt.Sprintf("--reuid=%d", who.Uid), fmt.Sprintf("--regid=%d", who.Gid), "--clear-groups", name}, args...)
		name = "setpriv"
	}
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

const goneWaits = 10 * time.Second

// inflate makes a table that every order is noted in longer than any other file, with rows
// that never came true, and returns a size at which its next page only half fits.
func (l *Lab) inflate(ctx context.Context) (size int64, err error) {
	db, err := l.Database()
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	const page, half = 8 << 10, 4 << 10
	if _, err := db.ExecContext(ctx, `alter table orders.timeline set (autovacuum_enabled = off)`); err != nil {
		return 0, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `
		insert into orders.timeline (tenant_id, order_id, version, status, actor, at)
		select '00000000-0000-7000-8000-000000000001', gen_random_uuid(), n, 'ballast', repeat('x', 1900), now()
		from generate_series(1, $1) n`, segment/2000+1000); err != nil {
		return 0, errors.Join(err, tx.Rollback())
	}
	if err := tx.Rollback(); err != nil {
		return 0, err
	}
	if err := db.QueryRowContext(ctx, `select pg_relation_size('orders.timeline')`).Scan(&size); err != nil {
		return 0, err
	}
	if size <= segment {
		return 0, fmt.Errorf("the table has %d bytes, which is less than a segment", size)
	}
	return size/page*page + half, nil
}
