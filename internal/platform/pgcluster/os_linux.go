package pgcluster

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dieWithParent makes the child receive the signal when the thread that starts
// it ends.
func dieWithParent(attr *syscall.SysProcAttr, s syscall.Signal) { attr.Pdeathsig = s }

// descriptorPath is a path to an inherited descriptor, when the system has such.
func descriptorPath(fd int) (string, bool) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return "", false
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), true
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// "pid (name) state …": the name may hold anything, parentheses as well.
	_, after, _ := cutLast(string(stat), ") ")
	return strings.HasPrefix(after, "Z") || strings.HasPrefix(after, "X")
}

// commandLine has its arguments separated by spaces.
func commandLine(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.TrimRight(strings.ReplaceAll(string(b), "\x00", " "), " ")
}

// worksIn tells whether the process stands in the folder, as a postmaster does
// in its data folder. It is not known without the right to trace the process,
// which root in a container lacks.
func worksIn(pid int, folder string) (stands, known bool) {
	there, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false, false
	}
	here, err := os.Stat(folder)
	return err == nil && os.SameFile(here, there), err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
