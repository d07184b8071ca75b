// Package audit reads a shop's database with the eyes of an accountant: as a superuser,
// past all of the program's code, in one snapshot.
package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/cmd/fusion/invariant"
)

// Invariant is a sentence that is true of every sound shop, and the SQL that finds what
// contradicts it: one line of text for each finding.
type Invariant struct {
	Name string
	sql  string
	// claims says that the SQL compares with what customers were told, its $1.
	claims bool
}

// Violation is one finding.
type Violation struct {
	Invariant string
	Detail    string
}

func (v Violation) String() string { return v.Invariant + ": " + v.Detail }

// Claims are what customers were told.
type Claims struct {
	// Asked are the keys of all orders that anybody asked for, whatever came of it.
	Asked []string `json:"asked"`
	// Accepted are the orders that somebody got a 201 for.
	Accepted []Accepted `json:"accepted"`
}

// Accepted is an order as its 201 described it.
type Accepted struct {
	Key       string `json:"key"`
	ID        string `json:"id"`
	Number    int64  `json:"number"`
	Total     string `json:"total"`
	Currency  string `json:"currency"`
	Cancelled bool   `json:"cancelled"` // its cancellation was acknowledged later
}

// most findings of one invariant are enough.
const most = 10

// Check looks for contradictions. All of them together see one moment when q is a
// transaction of Snapshot.
func Check(ctx context.Context, q invariant.Querier, invariants []Invariant, c Claims) ([]Violation, error) {
	claims, err := json.Marshal(Claims{Asked: append([]string{}, c.Asked...), Accepted: append([]Accepted{}, c.Accepted...)}) // never null
	if err != nil {
		return nil, err
	}
	var found []Violation
	for _, i := range invariants {
		var args []any
		if i.claims {
			args = []any{string(claims)}
		}
		details, err := invariant.Find(ctx, q, i.sql, args...)
		if err != nil {
			return nil, fmt.Errorf("audit %q: %w", i.Name, err)
		}
		for n, d := range details {
			if n == most {
				d = fmt.Sprintf("… and %d more", len(details)-most)
			}
			found = append(found, Violation{i.Name, d})
			if n == most {
				break
			}
		}
	}
	return found, nil
}

// Snapshot checks one moment of the database.
func Snapshot(ctx context.Context, db *sql.DB, invariants []Invariant, c Claims) ([]Violation, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	// The tables have grown from nothing since PostgreSQL last counted them: it would loop.
	if _, err := tx.ExecContext(ctx, `set local enable_nestloop = off; set local work_mem = '32MB'`); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	found, err := Check(ctx, tx, invariants, c)
	return found, errors.Join(err, tx.Rollback())
}

// Sampler checks invariants again and again while a shop works and suffers.
type Sampler struct {
	stop   context.CancelFunc
	loops  sync.WaitGroup
	mu     sync.Mutex
	result Samples
}

// Samples are what a sampler saw.
type Samples struct {
	Stock      int           // snapshots in which Stock was checked
	Whole      int           // and those in which Always was
	Missed     int           // of either, because PostgreSQL was away
	Slowest    time.Duration // check of Stock
	Violations []Violation
}

// maxViolations of all samples together: the first are the interesting ones.
const maxViolations = 50

// easy keeps the auditor from becoming the load: between two looks at everything it
// rests so many times as long as the look took.
const easy = 4

// Every starts a sampler: of Stock in every period, and of Always as often, while that is
// cheap. The more has happened, the longer it takes.
func Every(ctx context.Context, period time.Duration, db *sql.DB) *Sampler {
	ctx, stop := context.WithCancel(ctx)
	s := &Sampler{stop: stop}
	s.loops.Go(func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for ctx.Err() == nil {
			s.sample(ctx, db, Stock(), func(r *Samples, took time.Duration) {
				r.Stock++
				r.Slowest = max(r.Slowest, took)
			})
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	s.loops.Go(func() {
		for ctx.Err() == nil {
			took := s.sample(ctx, db, Always(), func(r *Samples, _ time.Duration) { r.Whole++ })
			rest := time.NewTimer(max(period, easy*took))
			select {
			case <-ctx.Done():
			case <-rest.C:
			}
			rest.Stop()
		}
	})
	return s
}

func (s *Sampler) sample(ctx context.Context, db *sql.DB, invariants []Invariant, seen func(*Samples, time.Duration)) (took time.Duration) {
	began := time.Now()
	found, err := Snapshot(ctx, db, invariants, Claims{})
	took = time.Since(began)
	if ctx.Err() != nil {
		return took
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.result.Missed++
		return took
	}
	seen(&s.result, took)
	for _, v := range found {
		if len(s.result.Violations) < maxViolations {
			v.Detail = fmt.Sprintf("after %d samples: %s", s.result.Stock+s.result.Whole, v.Detail)
			s.result.Violations = append(s.result.Violations, v)
		}
	}
	return took
}

// Now is what was seen so far.
func (s *Sampler) Now() Samples {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result
}

// Stop ends the sampler and tells what it saw.
func (s *Sampler) Stop() Samples {
	s.stop()
	s.loops.Wait()
	return s.Now()
}

// Deadlocks that PostgreSQL counted since its last crash.
func Deadlocks(ctx context.Context, db *sql.DB) (n int, err error) {
	err = db.QueryRowContext(ctx, `select deadlocks from pg_stat_database where datname = current_database()`).Scan(&n)
	return n, err
}
