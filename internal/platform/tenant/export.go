package tenant

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// bookkeeping holds nothing that a merchant would miss elsewhere: what is on its way, and
// answers that are kept for a day, some of which showed a key.
const bookkeeping = `'platform.idempotency', 'platform.delivery', 'platform.inbox', 'platform.timer'`

// secret are the names of columns that hold hashes or what is sealed; bytes are no text of
// a merchant's either. What we cannot read or do not keep readable is of no use elsewhere.
const secret = `(^|_)(hash|secret|sealed|password|token|otp|nonce|ciphertext)(_|$)` //nolint:gosec // names of columns

// exported are the tables with rows of merchants and, of each, the columns that are
// exported.
const exported = `
	select format('%I.%I', n.nspname, c.relname) as name, n.nspname as module, n.nspname || '.' || c.relname as shown,
	       string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
	from pg_class c join pg_namespace n on n.oid = c.relnamespace
	join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
	where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
	  and n.nspname || '.' || c.relname not in (` + bookkeeping + `)
	  and exists (select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped)
	  and has_table_privilege(c.oid, 'select')
	  and a.atttypid <> 'bytea'::regtype and a.attname !~ '` + secret + `'
	group by n.nspname, c.relname order by 2`

const (
	// fetch is how many rows are read at a time.
	fetch = 500
	// fileSize is when a table goes on in another file: an archive says how long a file is
	// before it has it, so one is held in memory.
	fileSize = 4 << 20
)

// Export writes everything that is kept of the tenant that ctx acts for in this database, as
// it is at one moment: a tar.gz with a line of JSON for each row, and at the end the modules
// that it covers and the numbers of rows of each table. An archive without manifest.json is
// not whole. The modules, platform among them, are those whose data this database has.
func Export(ctx context.Context, d *db.DB, to io.Writer) (modules []string, err error) {
	compressed := gzip.NewWriter(to)
	archive := tar.NewWriter(compressed)
	err = d.Snapshot(ctx, func(tx *db.Tx) error {
		var tables []struct {
			Name    string `db:"name"`
			Module  string `db:"module"`
			Shown   string `db:"shown"`
			Columns string `db:"columns"`
		}
		if err := tx.Select(ctx, &tables, exported); err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		rows := map[string]int64{}
		modules = []string{}
		for _, t := range tables {
			f := files{archive: archive, at: tx.Now, table: t.Shown}
			if err := each(ctx, tx, `select row_to_json(r)::text from (select `+t.Columns+` from `+t.Name+`) r`, f.line); err != nil {
				return fmt.Errorf("export %s: %w", t.Shown, err)
			}
			if err := f.flush(); err != nil {
				return err
			}
			rows[t.Shown] = f.rows
			if !slices.Contains(modules, t.Module) {
				modules = append(modules, t.Module)
			}
		}
		manifest, err := json.MarshalIndent(map[string]any{"exportedAt": tx.Now, "modules": modules, "rows": rows}, "", "  ")
		if err != nil {
			return fmt.Errorf("write manifest: %w", err)
		}
		return put(archive, "manifest.json", tx.Now, manifest)
	})
	return modules, errors.Join(err, archive.Close(), compressed.Close())
}

// each reads the rows of a query, a few at a time.
func each(ctx context.Context, tx *db.Tx, query string, line func(string) error) error {
	if _, err := tx.Exec(ctx, `declare exported no scroll cursor for `+query); err != nil {
		return err
	}
	for {
		var lines []string
		if err := tx.Select(ctx, &lines, fmt.Sprintf(`fetch %d from exported`, fetch)); err != nil {
			return err
		}
		for _, l := range lines {
			if err := line(l); err != nil {
				return err
			}
		}
		if len(lines) < fetch {
			_, err := tx.Exec(ctx, `close exported`)
			return err
		}
	}
}

// files are those of one table.
type files struct {
	archive *tar.Writer
	at      time.Time
	table   string
	buffer  bytes.Buffer
	written int
	rows    int64
}

func (f *files) line(row string) error {
	f.buffer.WriteString(row)
	f.buffer.WriteByte('\n')
	f.rows++
	if f.buffer.Len() < fileSize {
		return nil
	}
	return f.flush()
}

func (f *files) flush() error {
	if f.buffer.Len() == 0 {
		return nil
	}
	f.written++
	defer f.buffer.Reset()
	return put(f.archive, fmt.Sprintf("%s/%05d.ndjson", f.table, f.written), f.at, f.buffer.Bytes())
}

func put(archive *tar.Writer, name string, at time.Time, body []byte) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body)), ModTime: at}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := archive.Write(body); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
