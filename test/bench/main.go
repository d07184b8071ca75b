// Command bench measures the built program on a private PostgreSQL with every safety on,
// and beside each figure the floor: what the machine does for the same work without the
// program. One JSON line a scenario goes to stdout, all that is for people to stderr.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// longest bounds a run, whatever hangs.
const longest = 30 * time.Minute

func main() {
	// The floor of the reads is a server in a process of its own: this program again.
	if len(os.Args) == 2 && os.Args[1] == bareArgument {
		if err := serveBare(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	o, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, longest)
	err = run(ctx, o, os.Stdout, os.Stderr)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	binary   string
	commit   string
	dir      string
	clients  int
	seconds  int
	products int
	only     []string
	// statements asks what PostgreSQL spent its time on. Counting costs a little.
	statements bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "binary", "bin/fusion", "the program to measure")
	flags.StringVar(&o.commit, "commit", "unknown", "what the program was built from, for the report")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "where the data is while it lasts; a real disk, or fsync costs nothing")
	flags.IntVar(&o.clients, "clients", 32, "how many ask at once")
	flags.IntVar(&o.seconds, "seconds", 10, "how long each measurement takes")
	flags.IntVar(&o.products, "products", 10_000, "how many products the shop has")
	flags.BoolVar(&o.statements, "statements", false, "tell on stderr what PostgreSQL spent its time on (pg_stat_statements)")
	flags.StringVar(&only, "only", "", "scenarios to run, by name and with commas between: "+strings.Join(scenarioNames(), ","))
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if err = o.check(); err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
	}
	return o, err
}

func (o options) check() error {
	for _, limit := range []struct {
		name            string
		is, least, most int
	}{
		{"-clients", o.clients, 1, 90}, // the private PostgreSQL takes 100 connections
		{"-seconds", o.seconds, 1, 300},
		{"-products", o.products, 20, 100_000},
	} {
		if limit.is < limit.least || limit.is > limit.most {
			return fmt.Errorf("%s takes a number from %d to %d", limit.name, limit.least, limit.most)
		}
	}
	for _, name := range o.only {
		if !slices.Contains(scenarioNames(), name) {
			return fmt.Errorf("there is no scenario %s; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return nil
}

// errNotClean: the figures stand, but something went wrong while they were taken.
var errNotClean = errors.New("not every request was answered as it should be")

func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp(o.dir, "fusion-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }() //nolint:gosec // the folder that was just made
	b := &bench{options: o, report: report{out: stdout, commit: o.commit, cores: runtime.NumCPU()}, log: stderr}
	clean := true
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, s := range scenarios() {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		b.say("%s …", s.name)
		errorsBefore := b.report.errors
		if err := s.run(ctx, b); errors.Is(err, errLeftOut) {
			b.say("%s is left out: %v", s.name, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		clean = clean && b.report.errors == errorsBefore
	}
	if !clean {
		return errNotClean
	}
	return nil
}
