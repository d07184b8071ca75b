package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// launcher is one Start.
type launcher struct {
	*Cluster
	options Options
}

// adoptOrLaunch does what the state of the folder asks for.
func (l *launcher) adoptOrLaunch(ctx context.Context) error {
	pm, err := l.folder.postmaster()
	if err != nil {
		return err
	}
	if pm.deaf {
		l.log.WarnContext(ctx, "restarting the PostgreSQL that was left running: its socket is gone", "pid", pm.process.Pid, "socket", pm.socket)
		_ = pm.process.Signal(syscall.SIGINT)
		return fmt.Errorf("stop PostgreSQL (pid %d), whose socket is gone: %w", pm.process.Pid, errTryAgain)
	}
	if pm.serving {
		return l.adopt(ctx, pm)
	}
	return l.launch(ctx, pm.blocked)
}

// adopt waits for a server that a killed owner left, which may be recovering or
// about to end: then it is errTryAgain.
func (l *launcher) adopt(ctx context.Context, pm postmaster) error {
	if pm.socket == "" {
		return errTryAgain
	}
	l.socket = pm.socket
	l.watch(pm.process)
	if err := l.waitReady(ctx); err != nil {
		close(l.unwatch)
		return err
	}
	l.adopted = true
	l.log.InfoContext(ctx, "adopted the PostgreSQL that was left running", "pid", l.Pid(), "version", l.version, "dir", l.folder.dir)
	return nil
}

func (l *launcher) launch(ctx context.Context, blocked bool) error {
	f := l.folder
	major, err := f.initialised()
	if err != nil {
		return err
	}
	programs, err := findPrograms(ctx, major)
	if err != nil {
		return err
	}
	a, err := accountFor(f)
	if err != nil {
		return err
	}
	if err := a.mayPass(f.dir); err != nil {
		return err
	}
	if major == "" {
		l.options.Progress("initialising")
		if err := initialise(ctx, f, programs, a, l.options.Throwaway); err != nil {
			return fmt.Errorf("initialise PostgreSQL in %s: %w", f.pgdata, err)
		}
		l.fresh = true
	} else if err := a.own(f.pgdata); err != nil {
		return fmt.Errorf("take over %s: %w", f.pgdata, err)
	}
	if l.socket, err = f.socketFolder(a); err != nil {
		return err
	}
	if err := f.clear(l.socket, blocked); err != nil {
		return fmt.Errorf("remove the lock of a server that is gone: %w", err)
	}

	output, err := f.openLog()
	if err != nil {
		return err
	}
	defer output.Close()
	before, err := output.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}

	cmd := a.command(programs.postgres)
	data, err := a.reach(cmd, f.pgdata)
	if err != nil {
		return err
	}
	socket, err := a.reach(cmd, l.socket)
	if err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, "-D", data)
	cmd.Args = append(cmd.Args, serverSettings(f, socket, l.options)...)
	cmd.Stdout, cmd.Stderr = output, output
	if l.options.Throwaway {
		// Not SIGKILL: a postmaster that cannot clean up leaks shared memory.
		dieWithParent(cmd.SysProcAttr, syscall.SIGQUIT)
	}
	if f.mustRecover() {
		l.options.Progress("recovering")
	} else {
		l.options.Progress("starting")
	}
	if err := l.run(cmd); err != nil {
		return a.explain(cmd, err)
	}
	err = l.waitReady(ctx)
	switch {
	case err == nil:
		l.log.InfoContext(ctx, "started PostgreSQL", "pid", l.Pid(), "version", l.version, "dir", f.dir)
		return nil
	case errors.Is(err, errTryAgain):
		said := lastWords(output, before)
		if heldByAnOrphan(said) {
			return fmt.Errorf("start PostgreSQL: %w: %s", errTryAgain, said)
		}
		return fmt.Errorf("PostgreSQL did not start (%s); it said: %s", cmd.ProcessState, said)
	default:
		return errors.Join(err, l.quit())
	}
}

// heldByAnOrphan recognises the refusals that pass: a backend outlives its
// killed postmaster until it looks for it, and a server that a killed owner had
// just forked may write its pid after we looked.
func heldByAnOrphan(said string) bool {
	return strings.Contains(said, "pre-existing shared memory block") ||
		strings.Contains(said, `lock file "postmaster.pid"`)
}

// lastWords is the end of what the server wrote since the offset.
func lastWords(log *os.File, since int64) string {
	const most = 2000
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(end-since, most))
	n, _ := log.ReadAt(b, end-int64(len(b)))
	return strings.TrimSpace(string(b[:n]))
}

// initialise makes a cluster under a name of its own, so that nothing of a
// killed initdb, dead or still running, is ever taken for one.
func initialise(ctx context.Context, f folder, p programs, a account, throwaway bool) (err error) {
	const unfinished = "pgdata.new-"
	leftovers, _ := filepath.Glob(filepath.Join(f.dir, unfinished+"*"))
	for _, leftover := range leftovers {
		_ = os.RemoveAll(leftover)
	}
	fresh, err := os.MkdirTemp(f.dir, unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(fresh)
		}
	}()
	if err := a.own(fresh); err != nil {
		return err
	}
	// C.UTF-8 knows the letters of all scripts and sorts the same on every
	// machine, so that an upgrade of the system's locales breaks no index.
	said, err := initdb(ctx, p, a, fresh, "C.UTF-8", throwaway)
	if err != nil && strings.Contains(said, "invalid locale") {
		_, err = initdb(ctx, p, a, fresh, "C", throwaway)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	if err := os.Rename(fresh, f.pgdata); err != nil {
		return err
	}
	if throwaway {
		return nil
	}
	return f.sync()
}

func initdb(ctx context.Context, p programs, a account, dir, locale string, throwaway bool) (said string, err error) {
	cmd := a.command(p.initdb,
		"--username="+superuser, "--encoding=UTF8", "--locale="+locale,
		// Should somebody open a TCP port one day, it trusts nobody.
		"--auth-local=trust", "--auth-host=reject")
	if throwaway {
		cmd.Args = append(cmd.Args, "--no-sync")
	} else {
		// A disk that lies is noticed when the page is read, not in the accounts.
		cmd.Args = append(cmd.Args, "--data-checksums")
	}
	data, err := a.reach(cmd, dir)
	if err != nil {
		return "", err
	}
	cmd.Args = append(cmd.Args, "--pgdata="+data)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	dieWithParent(cmd.SysProcAttr, syscall.SIGKILL)
	exited, err := start(cmd)
	if err != nil {
		return "", a.explain(cmd, err)
	}
	select {
	case <-exited:
	case <-ctx.Done():
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
		return "", ctx.Err()
	}
	if !cmd.ProcessState.Success() {
		said := strings.TrimSpace(output.String())
		return said, fmt.Errorf("initdb ended with %s: %s", cmd.ProcessState, said)
	}
	return "", nil
}

// reserved settings are what makes the cluster private and recognisable.
var reserved = []string{"cluster_name", "data_directory", "hba_file", "lc_messages", "listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions"}

func checkSettings(settings map[string]string) error {
	for name := range settings {
		if slices.Contains(reserved, strings.ToLower(name)) {
			return fmt.Errorf("the PostgreSQL setting %q belongs to the private cluster: use a server of your own (FUSION_DATABASE_URL) to choose it", name)
		}
	}
	return nil
}

// serverSettings suit a small shop: some 40 MB when idle, and nothing lost.
func serverSettings(f folder, socket string, o Options) []string {
	settings := map[string]string{
		"shared_buffers":                  "64MB",
		"max_connections":                 "100",
		"max_wal_size":                    "512MB",
		"fsync":                           "on",
		"synchronous_commit":              "on",
		"autovacuum":                      "on",
		"jit":                             "off", // compiling costs more than our short queries
		"max_logical_replication_workers": "0",   // saves the launcher's process
		"timezone":                        "UTC",
		"log_timezone":                    "UTC",
		"log_min_messages":                "warning",
	}
	if o.Throwaway {
		for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
			settings[name] = "off"
		}
	}
	maps.Copy(settings, o.Settings)
	maps.Copy(settings, map[string]string{
		"cluster_name":            f.id,
		"lc_messages":             "C", // heldByAnOrphan reads them
		"listen_addresses":        "",
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": socket,
		"unix_socket_permissions": "0700",
	})
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
