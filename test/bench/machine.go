package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/test/faults/lab"
)

// coldStart measures from the start of the process to the first good answer of /readyz,
// with PostgreSQL's own start in it. Of a few starts the median counts.
func coldStart(ctx context.Context, b *bench) (err error) {
	const starts = 3
	dir, err := b.folder("cold-start")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := b.within(ctx, dir, func(*lab.Lab, *sql.DB) error { return nil }); err != nil {
		return err
	}
	var times []time.Duration
	for range starts {
		l, err := lab.Fresh(ctx, b.binary, dir)
		if err != nil {
			return err
		}
		began := time.Now()
		err = l.Start(ctx)
		times = append(times, time.Since(began))
		if err = errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
			return err
		}
	}
	return b.report.write(start{about: b.report.about("cold_start"), Existing: milliseconds(latencyOf(times).p50), Fresh: milliseconds(b.fresh)})
}

// quiet is how long a shop is left alone before one looks at its memory.
const quiet = 3 * time.Second

func rss(ctx context.Context, b *bench) error {
	return b.withShop(ctx, "rss", func(l *lab.Lab, db *sql.DB) (err error) {
		line := memory{about: b.report.about("rss")}
		time.Sleep(quiet)
		if line.ProgramIdle, line.PostgresIdle, err = inMemory(l); err != nil {
			return fmt.Errorf("%w: %w", errLeftOut, err)
		}
		o := closedLoop(ctx, address(l), b.clients, b.duration()/2, func(*rand.Rand) request { return get("/v1/products") })
		orders := closedLoop(ctx, address(l), b.clients, b.duration()/2, orderOf(b.catalog))
		if err := b.carried(ctx, db, &orders, len(orders.samples)); err != nil {
			return err
		}
		if o.add(orders); o.firstError != nil {
			return o.firstError
		}
		time.Sleep(quiet)
		if line.ProgramAfter, line.PostgresAfter, err = inMemory(l); err != nil {
			return err
		}
		return b.report.write(line)
	})
}

const megabyte = 1_000_000

// inMemory is the resident memory of the program, and of PostgreSQL the proportional one:
// its processes share most of theirs, and added up it would count for each.
func inMemory(l *lab.Lab) (program, postgres float64, err error) {
	pid, postmaster, err := l.Pids()
	if err != nil {
		return 0, 0, err
	}
	resident, err := kilobytes(pid, "status", "VmRSS:")
	if err != nil {
		return 0, 0, err
	}
	children, err := childrenOf(postmaster)
	if err != nil {
		return 0, 0, err
	}
	shared := 0
	for _, p := range append(children, postmaster) {
		n, err := kilobytes(p, "smaps_rollup", "Pss:")
		if errors.Is(err, os.ErrNotExist) {
			continue // a connection that has ended meanwhile
		}
		if err != nil {
			return 0, 0, err
		}
		shared += n
	}
	return rounded(float64(resident)*1024/megabyte, 1), rounded(float64(shared)*1024/megabyte, 1), nil
}

// kilobytes reads a line such as "VmRSS:     41234 kB" of a process.
func kilobytes(pid int, file, name string) (int, error) {
	body, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == name {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("no %s in %s of process %d", name, file, pid)
}

// ticks a second in which Linux tells of processor time, on every architecture.
const ticks = 100

// processorTime is what processes and those that they started have used; 0 where nobody tells.
func processorTime(pids ...int) time.Duration {
	var total time.Duration
	for _, pid := range pids {
		total += usedBy(pid, 4) // itself, and children that have ended
		children, err := childrenOf(pid)
		if err != nil {
			return 0
		}
		for _, child := range children {
			total += usedBy(child, 2)
		}
	}
	return total
}

// usedBy adds up the first n of utime, stime, cutime and cstime.
func usedBy(pid, n int) (total time.Duration) {
	const first = 11 // behind the name: proc(5)
	fields := statOf(pid)
	for i := first; i < first+n && i < len(fields); i++ {
		if used, err := strconv.Atoi(fields[i]); err == nil {
			total += time.Duration(used) * time.Second / ticks
		}
	}
	return total
}

// statOf is what the system says of a process behind its name, which may hold anything.
func statOf(pid int) []string {
	body, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil // it has ended meanwhile
	}
	return strings.Fields(string(body[bytes.LastIndexByte(body, ')')+1:]))
}

func childrenOf(parent int) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if fields := statOf(pid); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
	}
	return children, nil
}

// size is what has to be shipped: there is nothing beside the binary but PostgreSQL.
func size(_ context.Context, b *bench) error {
	info, err := os.Stat(b.binary)
	if err != nil {
		return err
	}
	return b.report.write(footprint{b.report.about("footprint"), rounded(float64(info.Size())/megabyte, 1)})
}
