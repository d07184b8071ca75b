package pgcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// programs are the two we need, of one installation.
type programs struct{ initdb, postgres string }

const programsVariable = "FUSION_POSTGRES_BIN"

// where installations keep the programs. Debian's and Fedora's are not on PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/libexec/postgresql*",           // Alpine
	"/usr/pgsql-*/bin",                   // the PostgreSQL project's own packages for Fedora and RHEL
	"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin", // built from source
	"/usr/bin",             // Fedora and Arch
}

// findPrograms chooses the newest installation, or for an existing cluster one
// of its major version: the format on disk differs between those.
func findPrograms(ctx context.Context, major string) (programs, error) {
	candidates := installed()
	if len(candidates) == 0 {
		why := "initdb and postgres are in none of the usual places"
		if dir := os.Getenv(programsVariable); dir != "" {
			why = fmt.Sprintf("%s names %s, which does not hold both initdb and postgres", programsVariable, dir)
		}
		return programs{}, fmt.Errorf("%w: %s; install PostgreSQL (Debian, Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17), name its folder of programs in %s, or set FUSION_DATABASE_URL to use a server of your own",
			ErrNoBinaries, why, programsVariable)
	}
	if major == "" {
		return candidates[0], nil
	}
	var others []string
	for _, p := range candidates {
		version, err := p.major(ctx)
		if err != nil {
			return programs{}, err
		}
		if version == major {
			return p, nil
		}
		others = append(others, version)
	}
	return programs{}, fmt.Errorf("%w: the data was written by PostgreSQL %s and here is %s: install PostgreSQL %s again (Debian, Ubuntu: apt install postgresql-%s; macOS: brew install postgresql@%s), or move the data over with pg_upgrade or pg_dump",
		ErrNoBinaries, major, strings.Join(slices.Compact(others), ", "), major, major, major)
}

// installed lists the installations: what the variable names and nothing else,
// or by place and the newest of each place first. PATH comes last, because it
// may hold another program's copy; the programs must stand side by side.
func installed() []programs {
	if dir := os.Getenv(programsVariable); dir != "" {
		return pairs(dir)
	}
	var found []programs
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // fails only for a bad pattern
		slices.SortFunc(dirs, func(a, b string) int { return numberIn(b) - numberIn(a) })
		found = append(found, pairs(dirs...)...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, pairs(filepath.Dir(path))...)
	}
	return found
}

func pairs(dirs ...string) []programs {
	var found []programs
	for _, dir := range dirs {
		// The real place: PostgreSQL looks for its share folder beside itself.
		dir, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		initdb, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
		if err != nil {
			continue
		}
		postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || filepath.Dir(initdb) != filepath.Dir(postgres) {
			continue
		}
		p := programs{initdb: initdb, postgres: postgres}
		if executable(p.initdb) && executable(p.postgres) && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

var number = regexp.MustCompile(`\d+`)

func numberIn(dir string) int {
	n, _ := strconv.Atoi(number.FindString(dir))
	return n
}

func (p programs) major(ctx context.Context) (string, error) { return majorOf(ctx, p.postgres) }

// majorOf asks for "postgres (PostgreSQL) 15.18 (Debian …)"; also "17beta1".
func majorOf(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	_, version, _ := strings.Cut(string(out), ") ")
	return number.FindString(version), nil
}
