package lab

import (
	"context"
	"errors"
)

// Fresh makes a lab of an empty folder: its first start initialises the cluster.
func Fresh(ctx context.Context, binary, dir string) (*Lab, error) { return open(ctx, binary, dir) }

// Pids are the processes to look at from outside: the program and the postmaster.
func (l *Lab) Pids() (program, postmaster int, err error) {
	p := l.current()
	if p == nil {
		return 0, 0, errors.New("the program does not run")
	}
	postmaster, err = l.postmaster()
	return p.cmd.Process.Pid, postmaster, err
}
