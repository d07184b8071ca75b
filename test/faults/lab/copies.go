package lab

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// Adopt makes a lab of a data folder that is below dir already. It does not start the
// program.
func Adopt(ctx context.Context, binary, dir string) (*Lab, error) { return open(ctx, binary, dir) }

// Command runs the program beside the shop, on its data folder, and returns what it
// printed.
func (l *Lab) Command(ctx context.Context, args ...string) ([]byte, error) {
	return Command(ctx, l.binary, l.dir, append(args, "--data", filepath.Join(l.dir, "data"))...)
}

// Command runs a program in a folder and returns what it printed.
func Command(ctx context.Context, binary, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir()}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s%s", filepath.Base(binary), args, err, out.Bytes(), said.Bytes())
	}
	return out.Bytes(), nil
}

// ArchiveTo makes PostgreSQL keep its write-ahead log in a folder from its next start on.
func ArchiveTo(ctx context.Context, db *sql.DB, folder string) error {
	for _, setting := range []string{
		`archive_mode = on`,
		fmt.Sprintf(`archive_command = 'test ! -f %[1]s/%%f && cp %%p %[1]s/%%f.part && mv %[1]s/%%f.part %[1]s/%%f'`, folder),
	} {
		if _, err := db.ExecContext(ctx, `alter system set `+setting); err != nil {
			return fmt.Errorf("archive the write-ahead log: %w", err)
		}
	}
	return nil
}

// BaseBackup copies the running cluster to where a lab that Adopt makes of dir has its own.
func (l *Lab) BaseBackup(ctx context.Context, db *sql.DB, dir string) error {
	var programs string
	if err := db.QueryRowContext(ctx, `select setting from pg_config where name = 'BINDIR'`).Scan(&programs); err != nil {
		return fmt.Errorf("find pg_basebackup: %w", err)
	}
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop(ctx) }() // only lets go of it
	to := filepath.Join(dir, "data", "postgres")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	_, err = Command(ctx, filepath.Join(programs, "pg_basebackup"), dir, "--dbname="+c.DSN("postgres", ""), "--pgdata="+filepath.Join(to, "pgdata"), "--checkpoint=fast")
	return err
}

// RecoverTo makes the cluster below dir, when it is started, what it was at a position of
// the write-ahead log.
func RecoverTo(dir, folder, lsn string) error {
	pgdata := filepath.Join(dir, "data", "postgres", "pgdata")
	file, err := os.OpenFile(filepath.Join(pgdata, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// Without hot standby nobody gets in before everything is there again.
	_, err = fmt.Fprintf(file, "archive_mode = off\nhot_standby = off\nrestore_command = 'cp %s/%%f %%p'\nrecovery_target_lsn = '%s'\nrecovery_target_action = 'promote'\n", folder, lsn)
	return errors.Join(err, file.Close(), os.WriteFile(filepath.Join(pgdata, "recovery.signal"), nil, 0o600))
}
