package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fusioncommerce/fusion/test/faults/lab"
)

// bench is one run.
type bench struct {
	options
	report report
	log    io.Writer

	prepared string        // the folder that every shop is a copy of
	fresh    time.Duration // until the first answer with no data
	catalog  []product
}

type product struct{ id, sku string }

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.log, format+"\n", args...) }

func (b *bench) duration() time.Duration { return time.Duration(b.seconds) * time.Second }

// prepare makes the shop that all others are copies of: filled, at rest, stopped.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.prepared, err = b.folder("prepared"); err != nil {
		return err
	}
	l, err := lab.Fresh(ctx, b.binary, b.prepared)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	began := time.Now()
	if err := l.Start(ctx); err != nil {
		return err
	}
	b.fresh = time.Since(began)
	if err := b.fill(ctx, address(l)); err != nil {
		return fmt.Errorf("fill the shop: %w", err)
	}
	db, err := l.Database()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := await(ctx, db, b.products, `select count(*) from inventory.stock`); err != nil {
		return fmt.Errorf("wait for the stock of all products: %w", err)
	}
	if err := b.readProducts(ctx, db); err != nil {
		return err
	}
	settings := []string{
		// When a transaction became visible is known to nobody else: what it wrote down
		// itself is when it began. Costs ten bytes a transaction, in the floors as well.
		`alter system set track_commit_timestamp = on`,
		// What autovacuum would do within a minute, and to what it would: an empty table that is
		// analysed has plans made for it that never use an index.
		`vacuum analyze catalog.product, catalog.variant, catalog.price, inventory.stock, inventory.movement, platform.event, platform.inbox`,
	}
	if b.statements {
		settings = append(settings, `alter system set shared_preload_libraries = 'pg_stat_statements'`, `create extension pg_stat_statements`)
	}
	for _, statement := range settings {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func address(l *lab.Lab) string { return strings.TrimPrefix(l.URL, "http://") }

// folder is a new one that PostgreSQL's account can pass through.
func (b *bench) folder(name string) (string, error) {
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // nothing secret is in it
		return "", err
	}
	dir := filepath.Join(b.dir, name)
	return dir, os.Mkdir(dir, 0o755) //nolint:gosec // nothing secret is in it
}

// plenty is more than all orders of a run can ask for.
const plenty = 1_000_000_000

// fill makes the products as a merchant would, through the API.
func (b *bench) fill(ctx context.Context, addr string) error {
	var made atomic.Int64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go b.progress(ctx, &made)
	var next atomic.Int64
	o := crowd(ctx, addr, min(b.clients, 32), func(ctx context.Context, c *connection, _ *rand.Rand) (o outcome) {
		for n := next.Add(1); n <= int64(b.products) && ctx.Err() == nil && o.errors == 0; n = next.Add(1) {
			body := fmt.Sprintf(`{"sku":"BENCH-%05d","name":"Product %d of the bench","description":"As many words as a shop has for a mug: blue, of stoneware, fit for the dishwasher.","price":"%d.99","currency":"EUR","inventory":%d}`,
				n, n, n%90+9, plenty)
			began := time.Now()
			a, err := c.ask(ctx, post("/v1/products", body))
			o.note(began, a, err)
			made.Add(1)
		}
		return o
	})
	if o.firstError != nil {
		return o.firstError
	}
	b.say("%d products in %s (%.0f a second)", made.Load(), o.took.Round(time.Millisecond), o.perSecond())
	return ctx.Err()
}

func (b *bench) progress(ctx context.Context, made *atomic.Int64) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.say("  %d of %d products", made.Load(), b.products)
		}
	}
}

func (b *bench) readProducts(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `select product_id, sku from catalog.variant order by sku`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p product
		if err := rows.Scan(&p.id, &p.sku); err != nil {
			return err
		}
		b.catalog = append(b.catalog, p)
	}
	return rows.Err()
}

// awaitAtMost is how long what goes on behind the answers may take.
const awaitAtMost = 2 * time.Minute

// await waits until a query counts as many.
func await(ctx context.Context, db *sql.DB, wanted int, query string) error {
	ctx, cancel := context.WithTimeout(ctx, awaitAtMost)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		if err := db.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return err
		}
		if n == wanted {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w at %d of %d", ctx.Err(), n, wanted)
		}
	}
}

// withShop runs the program on a copy of the prepared shop.
func (b *bench) withShop(ctx context.Context, name string, do func(l *lab.Lab, db *sql.DB) error, settings ...string) (err error) {
	dir, err := b.folder(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return b.within(ctx, dir, do, settings...)
}

// within runs the program on a copy that stays.
func (b *bench) within(ctx context.Context, dir string, do func(l *lab.Lab, db *sql.DB) error, settings ...string) (err error) {
	l, err := lab.New(ctx, b.binary, b.prepared, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	l.Configure(settings...)
	if err := l.Start(ctx); err != nil {
		return err
	}
	db, err := l.Database()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if b.statements {
		for _, statement := range []string{`alter system set pg_stat_statements.track_planning = on`, `select pg_reload_conf()`} {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	if err := do(l, db); err != nil {
		return err
	}
	if b.statements {
		if err := b.sayStatements(ctx, db); err != nil {
			return err
		}
	}
	if ended := l.GaveUp(); len(ended) > 0 {
		return fmt.Errorf("the program ended by itself: %s", ended)
	}
	return nil
}

// sayStatements tells what PostgreSQL spent its time on, for those who want to know why.
func (b *bench) sayStatements(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `
		select round(total_exec_time + total_plan_time), calls, round((total_exec_time / calls)::numeric, 3), round((total_plan_time / calls)::numeric, 3), rows, left(regexp_replace(query, '\s+', ' ', 'g'), 150)
		from pg_stat_statements where userid = 'fusion_app'::regrole order by 1 desc limit 50`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	b.say("  %10s %8s %8s %8s %8s  statement", "ms", "calls", "each", "planned", "rows")
	for rows.Next() {
		var total, each, planned float64
		var calls, n int64
		var query string
		if err := rows.Scan(&total, &calls, &each, &planned, &n, &query); err != nil {
			return err
		}
		b.say("  %10.0f %8d %8.3f %8.3f %8d  %s", total, calls, each, planned, n, query)
	}
	return rows.Err()
}

// errLeftOut: this program cannot do what the scenario is about.
var errLeftOut = errors.New("nothing to measure")

// offers tells whether the program has a route.
func offers(ctx context.Context, addr, path string) (bool, error) {
	c := &connection{addr: addr}
	defer c.close()
	a, err := c.ask(ctx, get("/openapi.json"))
	if err != nil {
		return false, err
	}
	var document struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(a.body, &document); err != nil {
		return false, fmt.Errorf("read the document of the API: %w", err)
	}
	_, ok := document.Paths[path]
	return ok, nil
}
