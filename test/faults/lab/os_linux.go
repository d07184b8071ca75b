package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// endWithUs stops the program in good order, and with it its PostgreSQL, when the test
// process dies.
func endWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func pin() (unpin func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// gone is true for a zombie, too: who adopted the process may never look after it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	// "pid (name) state …": the name may hold parentheses.
	at := bytes.LastIndex(stat, []byte(") "))
	return at > 0 && at+2 < len(stat) && (stat[at+2] == 'Z' || stat[at+2] == 'X')
}
