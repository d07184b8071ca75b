package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"
)

// Contents are what a database holds, in numbers: two databases with the same contents hold
// the same rows.
type Contents struct {
	Tables    []Table    `json:"tables"`
	Sequences []Sequence `json:"sequences"`
}

// Table in numbers.
type Table struct {
	Name string `json:"name"` // with its schema
	Rows int64  `json:"rows"`
	// Sum of what SHA-256 makes of each row's text, of which the order does not matter.
	Sum string `json:"sum"`
}

// Sequence and the number that it gives next.
type Sequence struct {
	Name string `json:"name"`
	Next int64  `json:"next"`
}

// rows of all tables.
func (c Contents) rows() (n int64) {
	for _, t := range c.Tables {
		n += t.Rows
	}
	return n
}

// Differences are what is in other and should not be, or should be and is not. A sequence
// may be further: numbers are drawn while a backup is made.
func (c Contents) Differences(other Contents) (found []string) {
	there := map[string]Table{}
	for _, t := range other.Tables {
		there[t.Name] = t
	}
	for _, want := range c.Tables {
		got, ok := there[want.Name]
		delete(there, want.Name)
		switch {
		case !ok:
			found = append(found, fmt.Sprintf("the table %s, with %d rows, is missing", want.Name, want.Rows))
		case got.Rows != want.Rows:
			found = append(found, fmt.Sprintf("the table %s had %d rows and has %d", want.Name, want.Rows, got.Rows))
		case got.Sum != want.Sum:
			found = append(found, fmt.Sprintf("the table %s has as many rows as it had, and not the same", want.Name))
		}
	}
	for _, t := range other.Tables {
		if _, ok := there[t.Name]; ok {
			found = append(found, fmt.Sprintf("the table %s was not there", t.Name))
		}
	}
	next := map[string]int64{}
	for _, s := range other.Sequences {
		next[s.Name] = s.Next
	}
	for _, want := range c.Sequences {
		got, ok := next[want.Name]
		switch {
		case !ok:
			found = append(found, fmt.Sprintf("the sequence %s is missing", want.Name))
		case got < want.Next:
			found = append(found, fmt.Sprintf("the sequence %s was at %d and is at %d: numbers would be given twice", want.Name, want.Next, got))
		}
	}
	return found
}

// ofTheShop leaves out what is PostgreSQL's own or an extension's.
const ofTheShop = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
	and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`

// names of the relations of a kind, in an order that does not depend on the database.
func names(ctx context.Context, tx *sql.Tx, kind string) (list []string, err error) {
	err = tx.QueryRowContext(ctx, `
		select coalesce(array_agg(format('%I.%I', n.nspname, c.relname) order by n.nspname collate "C", c.relname collate "C"), '{}')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = $1 and `+ofTheShop, kind).Scan(pq.Array(&list))
	if err != nil {
		return nil, fmt.Errorf("list what there is: %w", err)
	}
	return list, nil
}

// plainly makes values have the same text everywhere, and asks for all rows or none: a role
// that row-level security binds gets an error, not a part.
const plainly = `set local timezone = 'UTC'; set local datestyle = 'ISO'; set local intervalstyle = 'iso_8601'; set local bytea_output = 'hex';
	set local extra_float_digits = 1; set local row_security = off; set local statement_timeout = 0; set local lock_timeout = 0;
	set local idle_in_transaction_session_timeout = 0`

func sequences(ctx context.Context, tx *sql.Tx) (list []Sequence, err error) {
	all, err := names(ctx, tx, "S")
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		s := Sequence{Name: name}
		if err := tx.QueryRowContext(ctx, `select last_value + is_called::int from `+name).Scan(&s.Next); err != nil {
			return nil, fmt.Errorf("read the sequence %s: %w", name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func tables(ctx context.Context, tx *sql.Tx) (list []Table, err error) {
	all, err := names(ctx, tx, "r")
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		t := Table{Name: name}
		if err := tx.QueryRowContext(ctx, `
			select count(*), coalesce(sum(('x' || encode(substring(sha256(convert_to(whole_row::text, 'UTF8')) for 8), 'hex'))::bit(64)::bigint::numeric), 0)::text
			from `+name+` whole_row`).Scan(&t.Rows, &t.Sum); err != nil {
			return nil, fmt.Errorf("count %s: %w", name, err)
		}
		list = append(list, t)
	}
	return list, nil
}

// Count tells what a database holds that nobody works on. The owner of the tables will do:
// what binds owners, too, is lifted for the moment.
func Count(ctx context.Context, db *sql.DB) (c Contents, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	if _, err := tx.ExecContext(ctx, plainly); err != nil {
		return c, err
	}
	free, err := seesAll(ctx, tx)
	if err != nil {
		return c, err
	}
	if c.Sequences, err = sequences(ctx, tx); err != nil {
		return c, err
	}
	if !free {
		if err := unforce(ctx, tx); err != nil {
			return c, err
		}
	}
	c.Tables, err = tables(ctx, tx)
	return c, err
}

func seesAll(ctx context.Context, tx *sql.Tx) (yes bool, err error) {
	err = tx.QueryRowContext(ctx, `select rolsuper or rolbypassrls from pg_roles where rolname = current_user`).Scan(&yes)
	return yes, err
}

func unforce(ctx context.Context, tx *sql.Tx) error {
	all, err := names(ctx, tx, "r")
	if err != nil {
		return err
	}
	var statements strings.Builder
	for _, name := range all {
		statements.WriteString("alter table " + name + " no force row level security;")
	}
	_, err = tx.ExecContext(ctx, statements.String())
	return err
}
