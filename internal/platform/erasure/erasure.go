// Package erasure remembers whose personal data was erased, by id: in the database, and in
// a file beside it, because a database that comes back from a backup knows the people again
// and not that they were to be forgotten.
package erasure

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Erasure of one person's data.
type Erasure struct {
	Tenant  uuid.UUID `json:"tenant"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
}

// Log of erasures.
type Log struct {
	path string
	log  *slog.Logger
}

// New makes a log that is kept in a file too; in none when the path is empty.
func New(path string, log *slog.Logger) *Log { return &Log{path, log} }

// Note writes down that a subject is erased, when the transaction comes true.
func (l *Log) Note(ctx context.Context, tx *db.Tx, subject string) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `insert into platform.erasure (subject) values ($1) on conflict do nothing`, subject); err != nil {
		return fmt.Errorf("note the erasure: %w", err)
	}
	e := Erasure{id.Tenant, subject, tx.Now.UTC()}
	tx.AfterCommit(func() {
		if err := Append(l.path, e); err != nil {
			l.log.ErrorContext(ctx, "an erasure is not in the file that a restored backup is told of", "file", l.path, "tenant", e.Tenant, "subject", e.Subject, "err", err)
		}
	})
	return nil
}

// Append adds erasures to a file; to none when the path is empty.
func Append(path string, list ...Erasure) error {
	if path == "" || len(list) == 0 {
		return nil
	}
	var lines []byte
	for _, e := range list {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("keep the erasures: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as pgcluster makes it; the file in it is the owner's
		return fmt.Errorf("keep the erasures: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep the erasures: %w", err)
	}
	_, err = file.Write(lines) // one write: programs that share the file do not mix their lines
	return errors.Join(err, file.Sync(), file.Close())
}

// Missing are those of a list that a database does not know of.
func Missing(ctx context.Context, d *db.DB, list []Erasure) ([]Erasure, error) {
	if len(list) == 0 {
		return nil, nil
	}
	known := map[string]bool{}
	var rows []struct {
		Tenant  uuid.UUID `db:"tenant_id"`
		Subject string    `db:"subject"`
	}
	if err := d.Across(ctx, func(tx *db.Tx) error {
		rows = nil
		return tx.Select(ctx, &rows, `select tenant_id, subject from platform.erasure`)
	}); err != nil {
		return nil, fmt.Errorf("look for erasures: %w", err)
	}
	for _, r := range rows {
		known[r.Tenant.String()+r.Subject] = true
	}
	var missing []Erasure
	for _, e := range list {
		if id := e.Tenant.String() + e.Subject; !known[id] {
			known[id] = true
			missing = append(missing, e)
		}
	}
	return missing, nil
}

// Read reads the erasures of a file, the oldest first; none when there is no file.
func Read(path string) (list []Erasure, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the erasures: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var e Erasure
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("line %d of %s is no erasure: %w", n, path, err)
		}
		list = append(list, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the erasures: %w", err)
	}
	return list, nil
}
