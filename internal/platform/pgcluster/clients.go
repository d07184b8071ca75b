package pgcluster

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/lib/pq"
)

// Dump writes the database at dsn to w, in the custom format of pg_dump and as the
// exported snapshot sees it. The server may be anybody's; the role must read past
// row-level security.
//
// Errors: ErrNoBinaries, and what pg_dump said.
func Dump(ctx context.Context, dsn, snapshot string, w io.Writer) error {
	c, err := connectTo(ctx, dsn)
	if err != nil {
		return err
	}
	out := &destination{w: w}
	if err := c.run(ctx, "pg_dump", nil, out, "--format=custom", "--snapshot="+snapshot); err != nil {
		// A program whose reader fails says only that its pipe broke.
		return errors.Join(out.err, err)
	}
	return out.err
}

// destination remembers why nothing more could be written to it.
type destination struct {
	w   io.Writer
	err error
}

func (d *destination) Write(b []byte) (int, error) {
	n, err := d.w.Write(b)
	if err != nil {
		d.err = err
	}
	return n, err
}

// defaultGrants names the role that owned the database that was dumped; here, another may.
var defaultGrants = regexp.MustCompile(`(?m)^\d+; \d+ \d+ DEFAULT ACL .*\n`)

// Restore fills the empty database at dsn with what Dump wrote, or leaves it empty. All
// that is made belongs to the role of dsn. Roles that have been granted something must be
// there; rights to what is made in future, and what replicates the database elsewhere, are
// left out.
//
// Errors: ErrNoBinaries, and what pg_restore said.
func Restore(ctx context.Context, dsn string, dump io.ReadSeeker) error {
	c, err := connectTo(ctx, dsn)
	if err != nil {
		return err
	}
	// Not the file itself: pg_restore would seek in it, and a dump that was written to a pipe
	// begins where it begins.
	var list bytes.Buffer
	if err := c.run(ctx, "pg_restore", struct{ io.Reader }{dump}, &list, "--list"); err != nil {
		return err
	}
	if _, err := dump.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the dump again: %w", err)
	}
	chosen, err := os.CreateTemp("", "fusion-restore-*.list")
	if err != nil {
		return fmt.Errorf("list what to restore: %w", err)
	}
	defer func() { _ = os.Remove(chosen.Name()) }()
	_, err = chosen.Write(defaultGrants.ReplaceAll(list.Bytes(), nil))
	if err := errors.Join(err, chosen.Close()); err != nil {
		return fmt.Errorf("list what to restore: %w", err)
	}
	return c.run(ctx, "pg_restore", struct{ io.Reader }{dump}, io.Discard, "--dbname="+c.database, "--use-list="+chosen.Name(),
		"--single-transaction", "--no-owner", "--no-publications", "--no-subscriptions")
}

// client is how PostgreSQL's client programs reach a server.
type client struct {
	programs string // their folder
	environ  []string
	database string
}

func connectTo(ctx context.Context, dsn string) (client, error) {
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return client{}, err
	}
	major, err := serverMajor(ctx, dsn)
	if err != nil {
		return client{}, err
	}
	dir, err := findClients(ctx, major)
	if err != nil {
		return client{}, err
	}
	return client{programs: dir, environ: clientEnvironment(cfg), database: cfg.Database}, nil
}

func serverMajor(ctx context.Context, dsn string) (major int, err error) {
	pool, err := sql.Open("postgres", dsn)
	if err != nil {
		return 0, err
	}
	defer func() { _ = pool.Close() }()
	err = pool.QueryRowContext(ctx, `select current_setting('server_version_num')::int / 10000`).Scan(&major)
	return major, err
}

// clientEnvironment says how to connect where nobody else can read it: command lines are
// public.
func clientEnvironment(cfg pq.Config) []string {
	hosts, ports := []string{cfg.Host}, []string{strconv.Itoa(int(cfg.Port))}
	for _, more := range cfg.Multi {
		hosts, ports = append(hosts, more.Host), append(ports, strconv.Itoa(int(more.Port)))
	}
	environ := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			environ = append(environ, name+"="+value)
		}
	}
	for _, v := range []struct{ name, value string }{
		{"PGHOST", strings.Join(hosts, ",")},
		{"PGPORT", strings.Join(ports, ",")},
		{"PGUSER", cfg.User},
		{"PGPASSWORD", cfg.Password},
		{"PGPASSFILE", cfg.Passfile},
		{"PGDATABASE", cfg.Database},
		{"PGSSLMODE", string(cfg.SSLMode)},
		{"PGSSLCERT", cfg.SSLCert},
		{"PGSSLKEY", cfg.SSLKey},
		{"PGSSLROOTCERT", cfg.SSLRootCert},
		{"PGAPPNAME", "fusion backup"},
	} {
		if v.value != "" {
			environ = append(environ, v.name+"="+v.value)
		}
	}
	return environ
}

// run waits for the end of a client program. It gets a process group of its own: when
// Ctrl-C ends us, we end it.
func (c client) run(ctx context.Context, program string, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.programs, program), append(args, "--no-password")...) //nolint:gosec // a program we chose
	cmd.Env, cmd.Stdin, cmd.Stdout = c.environ, in, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if words := strings.TrimSpace(said.String()); err != nil && words != "" {
		const most = 2000
		return fmt.Errorf("%s: %s", program, words[max(0, len(words)-most):])
	}
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}

// findClients returns the folder of pg_dump and pg_restore for a server: of its own major
// version, or else of the next one. An older pg_dump does not know the server, and a much
// newer pg_restore says what the server does not.
func findClients(ctx context.Context, major int) (string, error) {
	best, found, versions := "", 0, []string{}
	for _, dir := range clientFolders() {
		// Debian's pg_dump on PATH is a script that chooses among the installed ones.
		dump, err := filepath.EvalSymlinks(filepath.Join(dir, "pg_dump"))
		if err != nil || filepath.Base(dump) != "pg_dump" {
			continue
		}
		dir = filepath.Dir(dump)
		if !executable(dump) || !executable(filepath.Join(dir, "pg_restore")) {
			continue
		}
		version, err := majorOf(ctx, dump)
		if err != nil {
			return "", err
		}
		number, err := strconv.Atoi(version)
		if err != nil {
			continue
		}
		versions = append(versions, version)
		if number >= major && (best == "" || number < found) {
			best, found = dir, number
		}
	}
	if best != "" {
		return best, nil
	}
	why := "pg_dump and pg_restore are in none of the usual places"
	if len(versions) > 0 {
		why = fmt.Sprintf("the server is PostgreSQL %d and pg_dump here is %s", major, strings.Join(slices.Compact(versions), ", "))
	}
	return "", fmt.Errorf("%w: %s; install the client programs of PostgreSQL %d (Debian, Ubuntu: apt install postgresql-client-%d), or name their folder in %s",
		ErrNoBinaries, why, major, major, programsVariable)
}

// clientFolders are the places of installed, whether there is a server beside the clients
// or not.
func clientFolders() []string {
	if dir := os.Getenv(programsVariable); dir != "" {
		return []string{dir}
	}
	var dirs []string
	for _, place := range places {
		found, _ := filepath.Glob(place) // fails only for a bad pattern
		dirs = append(dirs, found...)
	}
	if path, err := exec.LookPath("pg_dump"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs
}
