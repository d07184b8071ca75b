package pgcluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	superuser = "postgres"

	// There is no TCP: the port is a part of the socket's name only.
	port       = 5432
	socketName = ".s.PGSQL.5432"

	lockName    = "lock"
	logName     = "postgres.log"
	maxLogBytes = 10 << 20

	// maxSocketPath is the shortest limit of the systems we run on: sun_path
	// ends with a zero byte and holds 104 bytes on macOS, 108 on Linux.
	maxSocketPath = 103
)

// folder is the layout below Options.Dir:
//
//	lock          held by the owner, holds its pid
//	postgres.log  what the server says
//	pgdata/       the data folder of PostgreSQL
//	run/          its socket, unless the path would be too long
//
// As root the folder stays root's own and the server's account may only pass
// through it: an account that could rename postgres.log would choose the file
// that root writes to.
type folder struct {
	dir    string // absolute, without symbolic links
	pgdata string
	run    string
	id     string // names this folder among all those of the machine
}

func findFolder(dir string) (folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return folder{}, err
	}
	sum := sha256.Sum256([]byte(dir))
	return folder{
		dir:    dir,
		pgdata: filepath.Join(dir, "pgdata"),
		run:    filepath.Join(dir, "run"),
		id:     "fusion-" + hex.EncodeToString(sum[:6]),
	}, nil
}

func createFolder(dir string) (folder, error) {
	if dir == "" {
		return folder{}, errors.New("no folder was given")
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // the parents are the caller's; ours is private
		return folder{}, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return folder{}, err
	}
	f, err := findFolder(dir)
	if err != nil {
		return folder{}, err
	}
	// Whoever may write here may put another socket in the place of ours.
	info, err := os.Stat(f.dir)
	if err != nil {
		return folder{}, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		if err := os.Chmod(f.dir, info.Mode().Perm()&^0o022); err != nil {
			return folder{}, fmt.Errorf("others may write to it: %w", err)
		}
	}
	return f, nil
}

// lock makes this process the owner until the returned file is closed, by us or
// by the kernel. Go opens files close-on-exec, so the server does not hold it.
func (f folder) lock() (*os.File, error) {
	file, err := f.open(lockName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		holder := "another process"
		if pid, err := io.ReadAll(io.LimitReader(file, 20)); err == nil && len(pid) > 0 {
			holder = "process " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("%w: %s holds %s", ErrInUse, holder, f.dir)
	}
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return file, nil
}

// openLog opens the server's log for appending. A large one makes room first,
// and one former log is kept.
func (f folder) openLog() (*os.File, error) {
	path := filepath.Join(f.dir, logName)
	if info, err := os.Lstat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return f.open(logName, os.O_RDWR|os.O_CREATE|os.O_APPEND)
}

// open gives a file of ours to the owner of the folder, so that one start as
// root does not lock the usual account out.
func (f folder) open(name string, flag int) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(f.dir, name), flag|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if uid, gid, err := owner(f.dir); err == nil {
			_ = file.Chown(uid, gid)
		}
	}
	return file, nil
}

// initialised tells whether pgdata holds a cluster, and of which major version.
// An unfinished initdb leaves none, because pgdata gets its name when it is done.
func (f folder) initialised() (major string, err error) {
	b, err := os.ReadFile(filepath.Join(f.pgdata, "PG_VERSION"))
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if entries, err := os.ReadDir(f.pgdata); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("%s holds something that is not a PostgreSQL cluster (no PG_VERSION): move it away", f.pgdata)
	}
	return "", nil
}

// mustRecover reads the state in the control file: a cluster that was not shut
// down replays its write-ahead log first. The state stands behind the system
// identifier and two version numbers (pg_control.h; unchanged since 8.0).
func (f folder) mustRecover() bool {
	const at, shutDown, shutDownInRecovery = 16, 1, 2
	file, err := os.Open(filepath.Join(f.pgdata, "global", "pg_control"))
	if err != nil {
		return false
	}
	defer file.Close()
	var b [4]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		return false
	}
	state := b[0] | b[3] // a small number in either byte order
	return state != shutDown && state != shutDownInRecovery
}

// socketFolder creates the private folder of the socket: run, or, where its
// path is too long or awkward in a connection string, one among the temporary
// files that is named after this folder.
func (f folder) socketFolder(a account) (string, error) {
	if fits(f.run) {
		return f.run, private(f.run, a)
	}
	for _, tmp := range []string{os.TempDir(), "/tmp"} {
		path := filepath.Join(tmp, f.id)
		if fits(path) && a.mayEnter(tmp) {
			return path, private(path, a)
		}
	}
	return "", fmt.Errorf("the path of a socket in %s is too long, and so is %s", f.run, os.TempDir())
}

// removeSocketFolder leaves nothing of ours among the temporary files.
func (f folder) removeSocketFolder(socket string) {
	if filepath.Base(socket) == f.id {
		_ = os.Remove(socket) // only when it is empty
	}
}

func fits(socketFolder string) bool {
	return len(socketFolder)+len("/"+socketName) <= maxSocketPath &&
		!strings.ContainsAny(socketFolder, ",\"'\\ \t\n") // lists of hosts and of folders split and quote
}

// private creates path, or takes it when it is already the server's, and lets
// nobody else in. Among shared temporary files anybody may have been first; it
// is changed through its descriptor, so it cannot be exchanged for a link.
func private(path string, a account) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("the folder of the socket: %w", err)
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return err
	}
	uid, _ := ownerOf(info)
	if uid != a.uid && uid != os.Geteuid() {
		return fmt.Errorf("the folder of the socket, %s, belongs to somebody else (uid %d): remove it", path, uid)
	}
	if err := d.Chmod(0o700); err != nil {
		return err
	}
	if uid != a.uid {
		return d.Chown(a.uid, a.gid)
	}
	return nil
}

func owner(path string) (uid, gid int, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, 0, err
	}
	uid, gid = ownerOf(info)
	return uid, gid, nil
}

func ownerOf(info os.FileInfo) (uid, gid int) {
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

// sync makes a rename in the folder durable.
func (f folder) sync() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
