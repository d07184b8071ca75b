package db

import (
	"context"
	"fmt"
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

// Finish writes what is written last. The commit does it; specs that look at a transaction
// from outside do it sooner.
func (tx *Tx) Finish(ctx context.Context) error {
	if len(tx.last) == 0 {
		return nil
	}
	var query strings.Builder
	var args []any
	for _, w := range tx.last {
		list, more := w.Expressions()
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
