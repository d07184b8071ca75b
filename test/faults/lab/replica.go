package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// Host makes the lab run PostgreSQL, as a machine of its own would, before any program is
// started: the programs are told where it is, and their end is not its end.
func (l *Lab) Host(ctx context.Context) error {
	c, err := pgcluster.Start(ctx, pgcluster.Options{
		Dir: l.postgres(),
		// It dies with the test process, and keeps its promises all the same.
		Throwaway: true, Settings: map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
	})
	if err != nil {
		return fmt.Errorf("host PostgreSQL: %w", err)
	}
	l.hosted, l.url = c, c.DSN("fusion_app", "fusion")
	return l.connect()
}

// DatabaseURL is what programs of a lab that hosts PostgreSQL are told.
func (l *Lab) DatabaseURL() string { return l.url }

// Unhost stops the PostgreSQL that the lab runs, if it has not ended by itself, and at once
// if it does not soon. Host starts it again.
func (l *Lab) Unhost(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, probeWaits)
	defer cancel()
	return l.hosted.Stop(soon)
}

// Replica is one more program on the database of a lab that hosts PostgreSQL.
type Replica struct {
	Addr string

	lab     *Lab
	program *program
}

// Replica starts a program with further settings and returns when it is ready.
func (l *Lab) Replica(ctx context.Context, settings ...string) (*Replica, error) {
	if l.hosted == nil {
		return nil, errors.New("replicas need a PostgreSQL that is hosted")
	}
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	r, err := l.join(l.serve(addr), settings...)
	if err != nil {
		return nil, err
	}
	r.Addr = addr
	return r, l.awaitReady(ctx, r.program, r.URL())
}

// Helper starts another program on the same database, which it finds in
// FUSION_DATABASE_URL, and does not wait.
func (l *Lab) Helper(binary string) (*Replica, error) {
	return l.join(exec.Command(binary)) //nolint:noctx // signals end it, no context does
}

func (l *Lab) join(cmd *exec.Cmd, settings ...string) (*Replica, error) {
	p, err := l.launch(cmd, settings...)
	if err != nil {
		return nil, err
	}
	r := &Replica{lab: l, program: p}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replicas = append(l.replicas, r)
	return r, nil
}

// URL of the program itself, past any balancer.
func (r *Replica) URL() string { return "http://" + r.Addr }

// Terminate asks the program to end, as a supervisor does.
func (r *Replica) Terminate() error { return r.lab.ask(r.program, syscall.SIGTERM) }

// Kill ends the program with SIGKILL.
func (r *Replica) Kill() error {
	if err := r.lab.ask(r.program, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the program: %w", err)
	}
	<-r.program.exited
	r.lab.mu.Lock()
	defer r.lab.mu.Unlock()
	r.lab.faults.Kills++
	return nil
}

// Stop is Terminate and tells how long the end took.
func (r *Replica) Stop(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	err = r.lab.stop(ctx, r.program)
	return time.Since(began), err
}
