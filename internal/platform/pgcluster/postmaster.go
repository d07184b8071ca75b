package pgcluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
)

// postmaster is what postmaster.pid tells, checked against the process table.
type postmaster struct {
	process *os.Process
	socket  string // the folder of its socket; empty before it listens
	serving bool   // the process lives and is the server of this folder
	deaf    bool   // it is ready, but somebody removed its socket
	blocked bool   // the file is torn, or its pid another's now, or a zombie's: PostgreSQL would refuse to start
}

// postmaster finds the server of the folder. Nothing running is no error.
func (f folder) postmaster() (postmaster, error) {
	b, err := os.ReadFile(filepath.Join(f.pgdata, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return postmaster{}, nil
	}
	if err != nil {
		return postmaster{}, fmt.Errorf("look for a running server: %w", err)
	}
	// pid, data folder, start time, port, socket folder, … (miscinit.h); the
	// later lines come one by one while the server starts.
	lines := strings.Split(string(b), "\n")
	pid, _ := strconv.Atoi(lines[0])
	if pid <= 0 {
		return postmaster{blocked: true}, nil // torn by a power cut
	}
	// The handle comes before the questions, so that their answers are about it.
	process, _ := os.FindProcess(pid) // never fails on Unix
	if !exists(process) {
		return postmaster{}, nil
	}
	command := commandLine(pid)
	ours := strings.Contains(command, f.marker())
	serves, known := worksIn(pid, f.pgdata)
	if !known {
		serves = ours || strings.Contains(command, f.pgdata)
	}
	if !serves || !alive(process) || !strings.Contains(command, "postgres") {
		return postmaster{blocked: true}, nil
	}
	if !ours {
		return postmaster{}, fmt.Errorf("a PostgreSQL that was started by hand, or before the folder got its name, serves %s (pid %d): stop it first", f.pgdata, pid)
	}
	pm := postmaster{process: process, serving: true}
	if len(lines) > 4 {
		pm.socket = lines[4]
	}
	if strings.HasPrefix(pm.socket, "/proc/self/fd/") {
		pm.socket = f.run // it came in through a descriptor
	}
	if len(lines) > 7 && strings.HasPrefix(lines[7], "ready") {
		_, err := os.Stat(filepath.Join(pm.socket, socketName)) //nolint:gosec // what our own server wrote
		pm.deaf = errors.Is(err, os.ErrNotExist)
	}
	return pm, nil
}

// marker is in the command line of every server of this folder; PostgreSQL also
// shows it in the process list.
func (f folder) marker() string { return "cluster_name=" + f.id }

// clear removes the lock files of a server that is gone. The data folder's is
// left to PostgreSQL, which looks more closely, unless that would refuse it.
// Being wrong would still not make two servers: the second finds the shared
// memory of the first.
func (f folder) clear(socket string, blocked bool) error {
	files := []string{filepath.Join(socket, socketName+".lock")}
	if blocked {
		files = append(files, filepath.Join(f.pgdata, "postmaster.pid"))
	}
	for _, path := range files {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ask returns the version of the server behind the socket. Not by DSN: then
// PGHOSTADDR, PGSERVICE and their like in the environment would be heard too.
func ask(ctx context.Context, socket string) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	deadline, _ := ctx.Deadline()
	connector, err := pq.NewConnectorConfig(pq.Config{
		Host: socket, Port: port, User: superuser, Database: superuser, SSLMode: pq.SSLModeDisable,
		// pq does not look at the context while it waits to be greeted.
		ConnectTimeout: max(time.Until(deadline), time.Millisecond),
	})
	if err != nil {
		return "", err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.QueryRowContext(ctx, "show server_version").Scan(&version); err != nil {
		return "", err
	}
	version, _, _ = strings.Cut(version, " ") // "15.18 (Debian …)"
	return version, nil
}

// passes tells whether waiting can help: not listening yet, starting up,
// shutting down, or full; a refusal of another kind stays one.
func passes(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code.Class() == "57" || e.Code.Class() == "53"
	}
	return !errors.Is(err, os.ErrPermission)
}

// waitReady returns when the server answers, and errTryAgain when it ended instead.
func (c *Cluster) waitReady(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		version, err := ask(ctx, c.socket)
		if err == nil {
			c.version = version
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for PostgreSQL (pid %d): %w", c.Pid(), ctx.Err())
		}
		if !passes(err) {
			return fmt.Errorf("ask PostgreSQL (pid %d): %w", c.Pid(), err)
		}
		select {
		case <-ctx.Done():
		case <-c.done:
			return errTryAgain
		case <-tick.C:
		}
	}
}
