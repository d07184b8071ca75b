// Package invariant lists what is true of every sound shop at every moment, whoever has
// been killed and whatever waits, with the SQL that finds what contradicts it. It looks at
// the tables of all modules, past their code, and so it stands beside the program that
// knows them all.
package invariant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// Invariant is a sentence that is true of every sound shop, and the SQL that finds what
// contradicts it: one line of text for each finding. It has to be asked past row-level
// security.
type Invariant struct {
	Name string
	SQL  string
	// Schemas are the modules', beside the platform's, that have to be there.
	Schemas []string
}

// Querier is a database or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Find lists what contradicts an invariant.
func Find(ctx context.Context, q Querier, query string, args ...any) (found []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		found = append(found, line)
	}
	return found, rows.Err()
}

// Within are the invariants of a shop that has the schemas of these modules and no others.
func Within(schemas []string) []Invariant {
	missing := func(s string) bool { return !slices.Contains(schemas, s) }
	return slices.DeleteFunc(Always(), func(i Invariant) bool { return slices.ContainsFunc(i.Schemas, missing) })
}

// most findings of one invariant are enough.
const most = 10

// Check looks for contradictions in one moment of the database, and returns them as lines.
func Check(ctx context.Context, db *sql.DB, invariants []Invariant) (found []string, err error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	for _, i := range invariants {
		lines, err := Find(ctx, tx, i.SQL)
		if err != nil {
			return nil, fmt.Errorf("check that %s: %w", i.Name, err)
		}
		if n := len(lines) - most; n > 0 {
			lines = append(lines[:most], fmt.Sprintf("… and %d more", n))
		}
		for _, line := range lines {
			found = append(found, i.Name+": "+line)
		}
	}
	return found, nil
}
