package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// program is one life of the program.
type program struct {
	cmd    *exec.Cmd
	exited chan struct{}
	asked  bool // to end; guarded by Lab.mu
}

// Start starts the program and returns when it is ready for requests.
func (l *Lab) Start(ctx context.Context) error {
	if err := l.Launch(); err != nil {
		return err
	}
	return l.AwaitReady(ctx)
}

// Launch starts the program and does not wait.
func (l *Lab) Launch() error {
	p, err := l.launch(l.serve(l.addr))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = p
	return nil
}

func (l *Lab) serve(addr string) *exec.Cmd {
	args := []string{"serve", "--addr", addr}
	if l.shared == "" && l.hosted == nil {
		args = append(args, "--data", filepath.Join(l.dir, "data"))
	}
	return exec.Command(l.binary, args...) //nolint:gosec,noctx // the program under test; signals end it, no context does
}

func (l *Lab) launch(cmd *exec.Cmd, settings ...string) (*program, error) {
	cmd.Dir = l.dir
	cmd.Env = append(l.environ(), settings...)
	cmd.Stdout, cmd.Stderr = l.log, l.log
	cmd.SysProcAttr = endWithUs()
	p := &program{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		unpin := pin() // the system watches the thread that starts a child, not the process
		defer unpin()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state stays in cmd.ProcessState
			l.ended(p)
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	return p, nil
}

func (l *Lab) ended(p *program) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.asked {
		l.gaveUp = append(l.gaveUp, p.cmd.ProcessState.String())
	}
}

// GaveUp tells how the program ended, each time that it did and nobody had asked it to.
func (l *Lab) GaveUp() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.gaveUp...)
}

func (l *Lab) current() *program {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

func (l *Lab) ask(p *program, s syscall.Signal) error {
	if p == nil {
		return errors.New("the program does not run")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s == syscall.SIGTERM && p.asked {
		return nil // a second one would end it at once
	}
	p.asked = true
	err := p.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return err
}

// Kill ends the program with SIGKILL. PostgreSQL is left running, as a kill leaves it.
func (l *Lab) Kill() error {
	p := l.current()
	if err := l.ask(p, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the program: %w", err)
	}
	<-p.exited
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = nil
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the program was gone before it was killed: %s", p.cmd.ProcessState)
	}
	l.faults.Kills++
	return nil
}

const (
	readyEvery = 5 * time.Millisecond
	goneEvery  = 2 * time.Millisecond
	probeWaits = 2 * time.Second
)

// AwaitReady returns when the program answers that it is ready.
func (l *Lab) AwaitReady(ctx context.Context) error {
	p := l.current()
	if p == nil {
		return errors.New("the program does not run")
	}
	if err := l.awaitReady(ctx, p, l.URL); err != nil {
		return err
	}
	return l.connect()
}

func (l *Lab) awaitReady(ctx context.Context, p *program, url string) error {
	client := prober()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		if ready(ctx, client, url) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("the program ended by itself (%s) and said:\n%s", p.cmd.ProcessState, l.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("the program is not ready: %w; it said:\n%s", ctx.Err(), l.lastWords())
		}
	}
}

func prober() *http.Client {
	return &http.Client{Timeout: probeWaits, Transport: &http.Transport{DisableKeepAlives: true}}
}

func ready(ctx context.Context, client *http.Client, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

func (l *Lab) stop(ctx context.Context, p *program) error {
	if err := l.ask(p, syscall.SIGTERM); err != nil {
		return err
	}
	patience := time.NewTimer(stopWaits)
	defer patience.Stop()
	var err error
	select {
	case <-p.exited:
	case <-patience.C:
		err = fmt.Errorf("the program did not stop within %s", stopWaits)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == p {
		l.running = nil
	}
	return err
}
