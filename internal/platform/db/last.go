package db

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Written is what a transaction writes last of one kind: its facts, its timers, its entries
// in the audit log. Nothing in the transaction reads it.
type Written interface {
	// Expressions are common table expressions, with their arguments from $1 on; none when
	// there is nothing to write after all.
	Expressions() (list string, args []any)
}

// waiting is what may have to wait for rows that others have locked.
type waiting interface {
	// Waits are the names of its expressions that do, each of which returns its rows.
	Waits() []string
}

// OnceWritten stands behind the select of an expression that must not come before anything of
// the statement has waited for a row: everybody who reads the log waits for who holds its fence.
const OnceWritten = "/* once written */"

// Last is what tx writes last of a kind, for more to be added. All kinds are one statement,
// right before the commit: most commands write of several, and each would be a round trip.
func Last[T any, W interface {
	*T
	Written
}](tx *Tx,
) W {
	for _, w := range tx.last {
		if known, ok := w.(W); ok {
			return known
		}
	}
	w := W(new(T))
	tx.last = append(tx.last, w)
	return w
}

// Finish writes what is written last. The commit does it; sooner does who must have locked a
// timer before something else, and specs that look at a transaction from outside.
func (tx *Tx) Finish(ctx context.Context) error {
	if len(tx.last) == 0 {
		return nil
	}
	// In one order, whoever asked first: the statements that are kept are few. What others
	// refer to comes before them.
	slices.SortFunc(tx.last, func(a, b Written) int { return strings.Compare(place(a), place(b)) })
	var first []string
	for _, w := range tx.last {
		if w, ok := w.(waiting); ok {
			for _, name := range w.Waits() {
				first = append(first, "(select count(*) from "+name+") >= 0")
			}
		}
	}
	guard := ""
	if len(first) > 0 {
		guard = "where " + strings.Join(first, " and ")
	}
	var query strings.Builder
	var args []any
	for _, w := range tx.last {
		list, more := w.Expressions()
		list = strings.ReplaceAll(list, OnceWritten, guard)
		if list == "" {
			continue
		}
		if query.Len() == 0 {
			query.WriteString(Keep + "with ")
		} else {
			query.WriteString(", ")
		}
		renumber(&query, list, len(args))
		args = append(args, more...)
	}
	tx.last = nil
	if query.Len() == 0 {
		return nil
	}
	query.WriteString(" select")
	if _, err := tx.Exec(ctx, query.String(), args...); err != nil {
		return fmt.Errorf("write what comes last: %w", err)
	}
	return nil
}

// place of a kind among the others.
func place(w Written) string {
	if _, waits := w.(waiting); waits {
		return " " + reflect.TypeOf(w).String()
	}
	return reflect.TypeOf(w).String()
}

// renumber writes a list whose parameters come after some others.
func renumber(to *strings.Builder, list string, after int) {
	for {
		text, rest, found := strings.Cut(list, "$")
		to.WriteString(text)
		if !found {
			return
		}
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.Atoi(rest[:digits])
		to.WriteByte('$')
		if err == nil {
			to.WriteString(strconv.Itoa(n + after))
		}
		list = rest[digits:]
	}
}
