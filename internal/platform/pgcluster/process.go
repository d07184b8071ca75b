package pgcluster

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// start runs cmd and returns a channel that is closed when it has exited. One
// goroutine keeps its thread for the child's whole life: Linux sends the
// parent's death signal when the thread that forked ends, not the process.
func start(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		for _, f := range cmd.ExtraFiles {
			_ = f.Close()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state stays in cmd.ProcessState
		}
		close(done)
	}()
	return done, <-started
}

func exists(p *os.Process) bool {
	err := p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}

// alive is false for a zombie: where nobody reaps orphans, as in a container
// whose first process is not an init, one exists for ever.
func alive(p *os.Process) bool { return exists(p) && !zombie(p.Pid) }
