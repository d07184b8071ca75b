package lab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// CrashPostgres makes PostgreSQL quit at once, without a checkpoint and without telling
// its clients, and returns when the postmaster is gone.
func (l *Lab) CrashPostgres(ctx context.Context) error {
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return fmt.Errorf("crash PostgreSQL: %w", err)
	}
	defer func() { _ = c.Stop(ctx) }() // only lets go of it
	pid, err := l.postmaster()
	if err != nil {
		return err
	}
	if pid != c.Pid() {
		return fmt.Errorf("postmaster.pid names %d, but %d serves", pid, c.Pid())
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("crash PostgreSQL (pid %d): %w", pid, err)
	}
	if err := awaitEnd(ctx, pid); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults.Crashes++
	return nil
}

// awaitEnd returns when a process is gone that is not our child.
func awaitEnd(ctx context.Context, pid int) error {
	tick := time.NewTicker(goneEvery)
	defer tick.Stop()
	for !gone(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL (pid %d) does not end: %w", pid, ctx.Err())
		}
	}
	return nil
}

func (l *Lab) postgres() string { return filepath.Join(l.dir, "data", "postgres") }

func (l *Lab) postmaster() (int, error) {
	b, err := os.ReadFile(filepath.Join(l.postgres(), "pgdata", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

// connect finds out, once, where the database is. The address outlives restarts.
func (l *Lab) connect() error {
	if l.dsn != "" {
		return nil
	}
	if l.hosted != nil {
		l.dsn = superuser(l.hosted)
		return nil
	}
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return err
	}
	l.dsn = superuser(c)
	return c.Stop(context.Background())
}

func superuser(c *pgcluster.Cluster) string {
	return c.DSN("postgres", "fusion") + "&application_name=faults&connect_timeout=2"
}

// Database opens the shop's database as the superuser that auditors and saboteurs are.
func (l *Lab) Database() (*sql.DB, error) {
	if l.dsn == "" {
		return nil, errors.New("the program has not been ready yet")
	}
	return sql.Open("postgres", l.dsn)
}

// HoldBack keeps a consumer from its deliveries until release is called or PostgreSQL
// crashes. It returns when the consumer has subscribed and finished what it had in hand.
func HoldBack(ctx context.Context, db *sql.DB, consumer string) (release func(), err error) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		held, err := tx.ExecContext(ctx, `select from platform.subscription where consumer = $1 for update`, consumer)
		if err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
		if n, err := held.RowsAffected(); err == nil && n > 0 {
			return sync.OnceFunc(func() { _ = tx.Rollback() }), nil
		}
		if err := tx.Rollback(); err != nil {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("no consumer %s: %w", consumer, ctx.Err())
		}
	}
}
