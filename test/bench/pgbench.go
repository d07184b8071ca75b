package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
	"github.com/fusioncommerce/fusion/test/faults/lab"
)

// statement is one round trip of the program, as PostgreSQL logged it.
type statement struct {
	text string
	args []arg
}

// arg is the value of a parameter.
type arg struct {
	value string
	null  bool
}

var (
	logEntry     = regexp.MustCompile(`^\S+ \S+ \S+ \[(\d+)\] (LOG|DETAIL|[A-Z]+):  (.*)$`)
	logStatement = regexp.MustCompile(`^(?:statement|execute [^:]+): `)
	logArg       = regexp.MustCompile(`\$\d+ = (NULL|'(?:[^']|'')*')`)
)

// recorded finds in PostgreSQL's log the last transaction that a marker stands in.
func recorded(log, marker string) ([]statement, error) {
	open := map[string][]statement{} // by process
	var (
		last    []statement
		process string
		marked  = map[string]bool{}
	)
	// A line that begins with a tab continues the one before.
	for entry := range strings.SplitSeq(strings.ReplaceAll(log, "\n\t", "\v"), "\n") {
		parts := logEntry.FindStringSubmatch(entry)
		if parts == nil {
			continue
		}
		said := strings.ReplaceAll(parts[3], "\v", "\n")
		process = parts[1]
		if list := open[process]; parts[2] == "DETAIL" && len(list) > 0 && strings.HasPrefix(said, "parameters: ") {
			list[len(list)-1].args = argsOf(said)
			continue
		}
		if parts[2] != "LOG" || !logStatement.MatchString(said) {
			continue
		}
		text := logStatement.ReplaceAllString(said, "")
		if strings.HasPrefix(text, "begin") {
			open[process], marked[process] = nil, false
		}
		open[process] = append(open[process], statement{text: text})
		marked[process] = marked[process] || strings.Contains(text, marker)
		if marked[process] && strings.HasSuffix(text, "commit") {
			last = slices.Clone(open[process])
		}
	}
	if last == nil {
		return nil, fmt.Errorf("no transaction with %q in PostgreSQL's log", marker)
	}
	return last, nil
}

func argsOf(detail string) []arg {
	var args []arg
	for _, m := range logArg.FindAllStringSubmatch(detail, -1) {
		if m[1] == "NULL" {
			args = append(args, arg{null: true})
		} else {
			args = append(args, arg{value: strings.ReplaceAll(m[1][1:len(m[1])-1], "''", "'")})
		}
	}
	return args
}

// script is a transaction for pgbench to repeat: the statements that the program sent, with
// a new id wherever the program would make one.
type script struct {
	text      string
	constants []string // "name=value", for -D
}

// fresh is what of the recorded values is new in each transaction, with the SQL that makes it.
type fresh struct {
	whole map[string]string // of a whole value
	part  map[string]string // of text within one
	kept  []string          // ids that are not new
}

var (
	anID        = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	placeholder = regexp.MustCompile(`\$(\d+)`)
)

// idSQL is the text of the id number n of a transaction. Like the program's own ids, they
// grow: where a row goes in an index is part of what it costs.
func idSQL(n int) string {
	return fmt.Sprintf(`('01a00000-0000-7000-8000-%x' || lpad(to_hex(:k::bigint), 11, '0'))`, n%16)
}

// scriptOf writes the script. types are the parameters' of each statement.
func scriptOf(statements []statement, types [][]string, f fresh) script {
	var s script
	var b strings.Builder
	b.WriteString("\\set n :n + 1\n\\set k :n * 1024 + :client_id\n")
	ids := map[string]int{}
	for i, st := range statements {
		if len(st.args) == 0 {
			b.WriteString("\\startpipeline\n")
			for one := range strings.SplitSeq(st.text, ";") {
				b.WriteString(strings.TrimSpace(one) + ";\n")
			}
			b.WriteString("\\endpipeline\n")
			continue
		}
		b.WriteString(placeholder.ReplaceAllStringFunc(st.text, func(p string) string {
			n, _ := strconv.Atoi(p[1:]) // digits, says the expression
			a := st.args[n-1]
			if a.null {
				return "null::" + types[i][n-1]
			}
			if a.value == "" { // pgbench has no empty variables
				return "''::" + types[i][n-1]
			}
			if expression, varies := f.expression(a.value, ids); varies {
				return "(" + expression + ")::" + types[i][n-1]
			}
			name := fmt.Sprintf("s%dp%d", i, n)
			if !slices.Contains(s.constants, name+"="+a.value) {
				s.constants = append(s.constants, name+"="+a.value)
			}
			return ":" + name
		}) + ";\n")
	}
	s.text = b.String()
	return s
}

// expression is the SQL of a value that differs from one transaction to the next.
func (f fresh) expression(value string, ids map[string]int) (string, bool) {
	if e, ok := f.whole[value]; ok {
		return e, true
	}
	marks := maps.Clone(f.part)
	if marks == nil {
		marks = map[string]string{}
	}
	for _, id := range anID.FindAllString(value, -1) {
		if slices.Contains(f.kept, id) {
			continue
		}
		if _, known := ids[id]; !known {
			ids[id] = len(ids)
		}
		marks[id] = idSQL(ids[id])
	}
	pieces := []piece{{text: value}}
	for old, e := range marks {
		var next []piece
		for _, p := range pieces {
			next = append(next, p.cut(old, e)...)
		}
		pieces = next
	}
	var sql []string
	varies := false
	for _, p := range pieces {
		sql = append(sql, p.sql())
		varies = varies || p.made
	}
	return strings.Join(sql, " || "), varies
}

// piece of a value: text as it was recorded, or SQL that makes what stands in its place.
type piece struct {
	text string
	made bool
}

func (p piece) cut(old, e string) (pieces []piece) {
	if p.made {
		return []piece{p}
	}
	for i, text := range strings.Split(p.text, old) {
		if i > 0 {
			pieces = append(pieces, piece{e, true})
		}
		if text != "" {
			pieces = append(pieces, piece{text: text})
		}
	}
	return pieces
}

func (p piece) sql() string {
	if p.made {
		return p.text
	}
	return quoted(p.text)
}

// quoted is a literal without colons, which pgbench would take for variables of its own.
func quoted(value string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, ":", `\x3a`, "\n", `\n`).Replace(value) + "'"
}

// parameterTypes asks PostgreSQL what types it takes the parameters for.
func parameterTypes(ctx context.Context, db *sql.DB, statements []statement) ([][]string, error) {
	types := make([][]string, len(statements))
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	for i, st := range statements {
		if len(st.args) == 0 {
			continue
		}
		if _, err := conn.ExecContext(ctx, `prepare recorded as `+st.text); err != nil {
			return nil, fmt.Errorf("prepare what was recorded: %w", err)
		}
		var list string
		if err := conn.QueryRowContext(ctx, `select array_to_string(parameter_types, ',') from pg_prepared_statements where name = 'recorded'`).Scan(&list); err != nil {
			return nil, err
		}
		types[i] = strings.Split(list, ",")
		if _, err := conn.ExecContext(ctx, `deallocate recorded`); err != nil {
			return nil, err
		}
	}
	return types, nil
}

// command is what a floor of writes repeats.
type command struct {
	marker string // stands in one statement of the transaction
	// send makes the program do it once, and says what of it is new each time.
	send func(ctx context.Context, c *connection) (fresh, error)
}

// withFloor records one transaction of the program. floor has pgbench repeat it on the same
// data with as many clients, and returns how often a second.
func (b *bench) withFloor(ctx context.Context, name string, cmd command, do func(pgbench floorFunc) error) (err error) {
	dir, err := b.folder(name + "-floor")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var s script
	if err := b.within(ctx, dir, func(l *lab.Lab, db *sql.DB) (err error) {
		s, err = b.record(ctx, l, db, dir, cmd)
		return err
	}); err != nil {
		return fmt.Errorf("record the statements of the floor: %w", err)
	}
	// Without the program: nobody consumes what pgbench writes.
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{Dir: filepath.Join(dir, "data", "postgres")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx))) }()
	file := filepath.Join(dir, "script.sql")
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		return err
	}
	from := 0
	return do(func(d time.Duration) (f floor, err error) {
		f, err = b.repeat(ctx, cluster, file, s, d, from)
		from += manyTransactions
		return f, err
	})
}

// manyTransactions is more than a client of pgbench can do in one turn: where the numbers
// of the next turn begin.
const manyTransactions = 1_000_000

func (b *bench) record(ctx context.Context, l *lab.Lab, db *sql.DB, dir string, cmd command) (script, error) {
	// Whatever had to be looked up or counted out for the first time is over by the second.
	const rehearsals = 3
	c := &connection{addr: address(l)}
	defer c.close()
	var f fresh
	for n := range rehearsals {
		if n == rehearsals-1 {
			if err := logAll(ctx, db, true); err != nil {
				return script{}, err
			}
		}
		var err error
		if f, err = cmd.send(ctx, c); err != nil {
			return script{}, err
		}
	}
	if err := logAll(ctx, db, false); err != nil {
		return script{}, err
	}
	log, err := os.ReadFile(filepath.Join(dir, "data", "postgres", "postgres.log"))
	if err != nil {
		return script{}, err
	}
	statements, err := recorded(string(log), cmd.marker)
	if err != nil {
		return script{}, err
	}
	types, err := parameterTypes(ctx, db, statements)
	if err != nil {
		return script{}, err
	}
	for _, p := range b.catalog {
		f.kept = append(f.kept, p.id)
	}
	return scriptOf(statements, types, f), nil
}

// logAll has PostgreSQL log every statement, and returns when all processes know.
func logAll(ctx context.Context, db *sql.DB, on bool) error {
	change := `alter system reset log_statement`
	if on {
		change = `alter system set log_statement = 'all'`
	}
	for _, s := range []string{change, `select pg_reload_conf()`} {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	time.Sleep(500 * time.Millisecond) // nothing tells when an idle process has heard of it
	return nil
}

// settling is not counted: each turn has new connections, which first read the schema and
// prepare their statements.
const settling = time.Second

var tps = regexp.MustCompile(`(?m)^progress: .* s, ([0-9.]+) tps`)

func (b *bench) repeat(ctx context.Context, cluster *pgcluster.Cluster, file string, s script, d time.Duration, from int) (f floor, err error) {
	// The server's own pgbench stands beside it.
	postgres, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", cluster.Pid()))
	if err != nil {
		return f, fmt.Errorf("%w: pgbench is not found here: %w", errLeftOut, err)
	}
	args := []string{
		"--no-vacuum", "--protocol=prepared", "--client=" + strconv.Itoa(b.clients), "--jobs=" + strconv.Itoa(min(b.clients, b.report.cores)),
		"--time=" + strconv.Itoa(int((d+settling)/time.Second)), "--progress=1", "--file=" + file, "--define=n=" + strconv.Itoa(from),
	}
	for _, c := range s.constants {
		args = append(args, "--define="+c)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(postgres), "pgbench"), append(args, cluster.DSN("fusion_app", "fusion"))...) //nolint:gosec // the program beside the server
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return f, err
	}
	time.Sleep(settling)
	before := processorTime(cluster.Pid())
	if err := cmd.Wait(); err != nil {
		return f, fmt.Errorf("pgbench: %w\n%s\n%s", err, &out, s.text)
	}
	used := processorTime(cluster.Pid()) - before
	seconds := tps.FindAllSubmatch(out.Bytes(), -1)
	if len(seconds) < 2 {
		return f, fmt.Errorf("pgbench said nothing of a rate:\n%s", &out)
	}
	for _, m := range seconds[1:] {
		perSecond, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return f, err
		}
		f.perSecond += perSecond / float64(len(seconds)-1)
	}
	f.cpu = ratio(float64(used/time.Microsecond), f.perSecond*d.Seconds())
	return f, nil
}
