package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// OwnerURL is the hosted database as its owner, who waits for no lock longer than a moment:
// what waits for a lock makes everybody wait who comes later.
func (l *Lab) OwnerURL() string {
	return l.hosted.DSN("fusion_owner", "fusion") + "&lock_timeout=1000"
}

// Fusion runs a command of the program beside those that serve.
func (l *Lab) Fusion(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, l.binary, args...) //nolint:gosec // the program under test
	cmd.Dir = l.dir
	cmd.Env = append(l.environ(), "FUSION_DATABASE_MIGRATE_URL="+l.OwnerURL())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fusion %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// once differs from dump to dump.
var once = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

// Schema is what pg_dump says of the hosted database, without its rows.
func (l *Lab) Schema(ctx context.Context) (string, error) {
	major, _, _ := strings.Cut(l.hosted.Version(), ".")
	program := "pg_dump"
	if found, _ := filepath.Glob("/usr/lib/postgresql/" + major + "/bin/pg_dump"); len(found) == 1 {
		program = found[0]
	}
	out, err := exec.CommandContext(ctx, program, "--schema-only", "--dbname="+l.hosted.DSN("postgres", "fusion")).Output() //nolint:gosec // PostgreSQL's own program
	if err != nil {
		return "", fmt.Errorf("dump the schema: %w", err)
	}
	return once.ReplaceAllString(string(out), ""), nil
}
