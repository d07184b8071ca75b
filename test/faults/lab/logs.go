package lab

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Said counts the lines of the program's log that hold a text.
func (l *Lab) Said(text string) int { return count(filepath.Join(l.dir, "fusion.log"), text) }

// PostgresSaid counts the lines of PostgreSQL's log that hold a text.
func (l *Lab) PostgresSaid(text string) int {
	return count(filepath.Join(l.postgres(), "postgres.log"), text)
}

func count(path, text string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n := 0
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

func (l *Lab) lastWords() string {
	const most = 2000
	b, err := os.ReadFile(filepath.Join(l.dir, "fusion.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}

// Keep copies the logs to a folder, for somebody who wants to know what went wrong.
func (l *Lab) Keep(folder string) error {
	var failures []error
	for _, path := range []string{filepath.Join(l.dir, "fusion.log"), filepath.Join(l.postgres(), "postgres.log")} {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, filepath.Base(path)), b, 0o600) //nolint:gosec // our own folders
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
